"""Name service that answers when a test says so."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

PATIENCE = 10
"""Seconds after which what does not come fails the test."""


class NameServer:
    """Stands in for the system's resolver: it is silent until it is told to answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: dict[str, str | OSError] = {}
        self.reverse: dict[str, str | OSError] = {}
        self.asked: list[str] = []
        self.answers = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)
        monkeypatch.setattr(socket, "gethostbyaddr", self._gethostbyaddr)

    def _wait(self, about: str) -> None:
        self.asked.append(about)
        self._loop.call_soon_threadsafe(self._news.set)
        assert self.answers.wait(PATIENCE)

    def _getaddrinfo(self, host: str, *arguments: Any, **named: Any) -> Any:
        if not host.endswith(".example"):
            return self._real(host, *arguments, **named)
        self._wait(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, host, (_or_raised(self.names[host]), 0))]

    def _gethostbyaddr(self, address: str) -> tuple[str, list[str], list[str]]:
        self._wait(address)
        return _or_raised(self.reverse[address]), [], [address]

    async def is_asked(self) -> None:
        """Wait until somebody waits for an answer."""
        async with asyncio.timeout(PATIENCE):
            await self._news.wait()


def _or_raised(answer: str | OSError) -> str:
    if isinstance(answer, OSError):
        raise answer
    return answer
