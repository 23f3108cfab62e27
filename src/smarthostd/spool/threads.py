"""Threads that work for the event loop and tell it what has come of it.

A ThreadPoolExecutor does the same, with a future of its own for each piece of work, and locks: for a message of 1 MiB,
whose file is synced in a thread, that was 2 % of the processor time.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Work: TypeAlias = Callable[[], Any]
Done: TypeAlias = Callable[[Any, Exception | None], None]
"""Is given the result, or what went wrong."""


class Threads:
    """A few threads, each begun when there is work for it; must be made and used on the event loop."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._asked: queue.SimpleQueue[tuple[Work, Done] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def ask(self, work: Work, done: Done) -> None:
        """Have *work* done in one of the threads; *done* is called on the loop."""
        if len(self._threads) < self._most:
            try:
                self._begin()
            except RuntimeError as error:  # there may be no more in this machine, or for this service
                if not self._threads:
                    self._loop.call_soon(done, None, error)
                    return
        self._asked.put((work, done))

    def _begin(self) -> None:
        """Begin one more; raises RuntimeError."""
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        """End the threads, when all that was asked is done."""
        for _ in self._threads:
            self._asked.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            work, done = asked
            result, trouble = None, None
            try:
                result = work()
            except Exception as error:  # whatever it is: who asked must not wait for ever
                trouble = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(done, result, trouble)


def settle(future: asyncio.Future[T], result: T, error: Exception | None) -> None:
    """Give *future* its end, unless nobody waits for it any more."""
    if not future.done():
        future.set_result(result) if error is None else future.set_exception(error)
