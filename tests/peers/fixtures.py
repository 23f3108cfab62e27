"""Fixtures for tests that talk to real peers; a ``conftest.py`` imports what it offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.peers.certificates import Authority
from tests.peers.dovecot import DovecotLMTP
from tests.peers.exim import EximSmarthost, Terms
from tests.peers.postfix import Postfix

StartExim = Callable[..., EximSmarthost]
StartDovecot = Callable[..., DovecotLMTP]
StartPostfix = Callable[..., Postfix]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A private certificate authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def exim_smarthost(tmp_path: Path, authority: Authority) -> Iterator[StartExim]:
    """Start real Exims as smarthosts: ``exim_smarthost("expired", mechanisms=["PLAIN"])``; see ``Terms``."""
    started: list[EximSmarthost] = []

    def start(certificate: str = "good", **options: Any) -> EximSmarthost:
        directory = tmp_path / f"exim{len(started)}"
        smarthost = EximSmarthost(directory, authority.issue(certificate), Terms(**options))
        started.append(smarthost)
        return smarthost

    yield start
    for smarthost in started:
        smarthost.stop()


@pytest.fixture
def dovecot(tmp_path: Path) -> Iterator[StartDovecot]:
    """Start real Dovecots that take mail by LMTP: ``dovecot(["user@domain"], quota="1K")``."""
    started: list[DovecotLMTP] = []

    def start(users: Sequence[str], **options: Any) -> DovecotLMTP:
        started.append(DovecotLMTP(tmp_path / f"dovecot{len(started)}", tuple(users), **options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def postfix(tmp_path: Path) -> Iterator[StartPostfix]:
    """Start real Postfixes: ``postfix(smtpd_recipient_restrictions="…")`` and other parameters of ``main.cf``."""
    started: list[Postfix] = []

    def start(**parameters: str) -> Postfix:
        started.append(Postfix(tmp_path / f"postfix{len(started)}", parameters))
        return started[-1]

    yield start
    for server in started:
        server.stop()
