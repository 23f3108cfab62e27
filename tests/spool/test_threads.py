"""What is asked of the threads is done, and who asked is told on the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from smarthostd.spool.threads import Threads, settle

MOST = 3


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    made = Threads(MOST, "test-threads")
    yield made
    made.stop()


async def result(threads: Threads, work: Callable[[], Any]) -> Any:
    """Return what *work* returns, or raise what it raises."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    threads.ask(work, partial(settle, future))
    return await future


def running() -> int:
    return sum(one.name == "test-threads" for one in threading.enumerate())


async def test_a_result_comes_back(threads: Threads) -> None:
    assert await asyncio.gather(*(result(threads, lambda n=n: n * n) for n in range(10))) == [n * n for n in range(10)]


async def test_what_goes_wrong_comes_back_and_the_thread_goes_on(threads: Threads) -> None:
    for _ in range(MOST + 1):
        with pytest.raises(ZeroDivisionError):
            await result(threads, lambda: 1 // 0)
    assert await result(threads, lambda: 1) == 1


async def test_as_many_as_may_work_at_once_and_none_before_it_is_needed(threads: Threads) -> None:
    assert running() == 0
    together = threading.Barrier(MOST)
    await asyncio.gather(*(result(threads, lambda: together.wait(timeout=30)) for _ in range(2 * MOST)))
    assert running() == MOST


async def test_who_goes_away_stops_nothing(threads: Threads) -> None:
    may_go_on, ended = threading.Event(), threading.Event()
    waiting = asyncio.create_task(result(threads, lambda: may_go_on.wait(30) and ended.set()))
    await asyncio.sleep(0)
    waiting.cancel()
    may_go_on.set()
    assert await result(threads, lambda: ended.wait(30))


async def test_what_was_asked_is_done_before_the_end() -> None:
    threads = Threads(1, "test-threads")
    done: list[int] = []
    told: list[Exception | None] = []
    for number in range(20):
        threads.ask(lambda number=number: done.append(number), lambda result, error: told.append(error))
    threads.stop()
    assert done == list(range(20))
    assert running() == 0
    await asyncio.sleep(0)
    assert told == [None] * 20


async def test_where_no_thread_can_be_had_who_asked_is_told(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service may have only so many; whoever waits must not wait for ever. Later there may be one."""

    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await result(threads, int)
    assert await result(threads, int) == 0
    monkeypatch.setattr(threading.Thread, "start", none_left)
    assert await result(threads, int) == 0, "the one that there is does it"
