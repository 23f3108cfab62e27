"""Calls of ``smarthostd exim`` in this process, on a machine like the one that the golden records were made on."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from smarthostd import assembly
from smarthostd.cli.exim.dispatch import run
from smarthostd.cli.exim.process import Process
from tests.language import LOCAL_ADDRESSES, ZoneNames
from tests.zone import ZoneResolver


@dataclass(frozen=True)
class Answer:
    """What a call left behind."""

    out: str
    err: str
    status: int


def call(words: Sequence[str], stdin: str = "") -> Answer:
    """Call ``smarthostd exim WORDS`` with an empty environment; ``-C`` costs no rights: its file is taken for ours."""
    streams = [_stream(stdin), _stream(), _stream()]
    status = run(words, Process(*streams, {}, lambda: None))
    out, err = (_said(one) for one in streams[1:])
    return Answer(out, err, status)


def _stream(text: str = "") -> io.TextIOWrapper:
    octets = io.BytesIO(text.encode("utf-8", "surrogateescape"))
    return io.TextIOWrapper(octets, encoding="utf-8", errors="surrogateescape", newline="\n")


def _said(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode("utf-8", "surrogateescape")  # type: ignore[attr-defined]


def like_the_golden_machine(monkeypatch: pytest.MonkeyPatch, zone: dict[str, Any]) -> None:
    """Give this machine the addresses and the name service that the records were made with."""
    monkeypatch.setattr(assembly, "Resolver", lambda **options: ZoneResolver(zone))
    monkeypatch.setattr(assembly, "BlockingNames", lambda resolver: ZoneNames(zone))
    monkeypatch.setattr(assembly, "LocalAddresses", lambda extra: lambda: LOCAL_ADDRESSES)
