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
    """Call ``smarthostd exim WORDS`` with an empty environment."""
    out, err = io.StringIO(newline="\n"), io.StringIO(newline="\n")
    status = run(words, Process(io.StringIO(stdin), out, err, {}))
    return Answer(out.getvalue(), err.getvalue(), status)


def like_the_golden_machine(monkeypatch: pytest.MonkeyPatch, zone: dict[str, Any]) -> None:
    """Give this machine the addresses and the name service that the records were made with."""
    monkeypatch.setattr(assembly, "Resolver", lambda **options: ZoneResolver(zone))
    monkeypatch.setattr(assembly, "BlockingNames", lambda resolver: ZoneNames(zone))
    monkeypatch.setattr(assembly, "LocalAddresses", lambda extra: lambda: LOCAL_ADDRESSES)
