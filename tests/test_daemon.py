"""What the daemon does when something under it fails, without a process."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from smarthostd.daemon import Daemon
from smarthostd.errors import SpoolError
from smarthostd.listener.room import NO_LIMIT

PATIENCE = 10


def nobody_loads() -> Any:
    raise AssertionError("nothing is read again")


async def test_a_queue_that_cannot_be_read_does_not_end_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner waits until it can be; who tells how we are must not be the one who falls."""
    told: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()
    answers = [SpoolError("disk I/O error"), (3, 1)]

    async def count() -> tuple[int, int]:
        answer = answers.pop(0)
        if isinstance(answer, SpoolError):
            raise answer
        return answer

    daemon: Any = Daemon(SimpleNamespace(), nobody_loads, {})  # type: ignore[arg-type]  # of which nothing is asked
    daemon._spool = SimpleNamespace(count=count)
    daemon._health = SimpleNamespace(states=dict)
    daemon._listener = SimpleNamespace(policy=SimpleNamespace(room=NO_LIMIT))
    monkeypatch.setattr(daemon._notifier, "tell", lambda *lines: told.put_nowait(lines))
    monkeypatch.setattr("smarthostd.daemon.STATUS_INTERVAL", 0.0)
    telling = asyncio.create_task(daemon._keep_telling())
    async with asyncio.timeout(PATIENCE):
        assert await told.get() == ("WATCHDOG=1", "STATUS=the queue cannot be read: disk I/O error")
        assert await told.get() == ("WATCHDOG=1", "STATUS=3 queued, 1 frozen")
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)


async def test_a_reservation_that_ends_by_itself_ends_no_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool was quick, and another one has the message when the first one's minute is over."""
    released: list[list[str]] = []

    async def reserve(ids: list[str]) -> list[str]:
        return ids

    async def release(ids: list[str]) -> None:
        released.append(list(ids))

    daemon: Any = Daemon(SimpleNamespace(), nobody_loads, {})  # type: ignore[arg-type]  # of which nothing is asked
    daemon._spool = SimpleNamespace(reserve=reserve, release=release)
    daemon._runner = SimpleNamespace(wake=lambda: None)
    timers: list[Any] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda seconds, *call: timers.append(call))
    assert await daemon._reserve({"ids": ["one", "two"]}) == {"free": ["one", "two"]}
    await daemon._release({"ids": ["one"]})
    await daemon._reserve({"ids": ["one"]})
    (expire, *of), (expire_later, *of_later) = timers
    expire(*of)
    expire_later(*of_later)
    await asyncio.gather(*daemon._tasks)
    assert released == [["one"], ["two"], ["one"]]
