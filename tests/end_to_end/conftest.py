"""Fixtures: a relay that is stopped in the end, and smarthosts for it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smarthostd.demo.daemon import Daemon
from smarthostd.demo.sandbox import Certificate, Kept, Running, Sandbox
from tests.end_to_end.relay import Places, credentials
from tests.peers.fixtures import authority, dovecot, exim_smarthost, postfix

__all__ = ["authority", "dovecot", "exim_smarthost", "postfix"]

StartDaemon = Callable[..., Daemon]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A relay's directory and port, with the seed's credentials in place."""
    places = Places.make(tmp_path / "relay")
    places.credentials.write_text(credentials())
    places.credentials.chmod(0o600)
    return places


@pytest.fixture
def daemon(places: Places) -> Iterator[StartDaemon]:
    """Start the daemon with a configuration; what still runs at the end of the test is killed."""
    started: list[Daemon] = []

    def start(text: str, **options: object) -> Daemon:
        started.append(places.start(text, **options))
        return started[-1]

    yield start
    for one in started:
        if one.running:
            one.kill()


class Post:
    """A running sandbox, and its messages as they arrive."""

    def __init__(self, directory: Path) -> None:
        certificate = Certificate()
        self.ca = directory / "sandbox-ca.pem"
        self.ca.write_bytes(certificate.authority)
        self._arrivals: queue.SimpleQueue[Kept] = queue.SimpleQueue()
        self.sandbox = Sandbox("my_username", "secret", certificate, on_kept=self._arrivals.put)
        self.running = Running(self.sandbox)

    def next(self, patience: float = 30.0) -> Kept:
        """Return the next message that arrives; fail when none does."""
        return self._arrivals.get(timeout=patience)

    @property
    def quiet(self) -> bool:
        """Whether nothing has arrived that ``next`` has not returned."""
        return self._arrivals.empty()

    @property
    def route(self) -> str:
        """The sandbox, as in ``route_list``."""
        return f"127.0.0.1::{self.sandbox.port}"


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    """A sandbox smarthost."""
    post = Post(tmp_path)
    with post.running:
        yield post
