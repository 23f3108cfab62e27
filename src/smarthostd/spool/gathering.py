"""Group commit: what is asked for while others ask, too, is written and synced together."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from smarthostd.errors import SpoolError

R = TypeVar("R")

LAZY_DELAY = 0.1
"""Seconds that what is in no hurry waits for a commit to ride along with."""
QUICK = 0.001
"""Seconds that a quick sync takes: on a slower disk the loop never waits for one, but for the first that is slow."""
GATHER_TURNS = 8
"""Turns of the loop that a group waits for more, at most."""
VAIN_TURNS = 2
"""Turns in a row that may bring nothing while it waits: each takes some microseconds, a sync a hundred or more. Where
10 clients send a message a connection, mail goes 1.35 times as fast so as with none, for 0.83 of the processor time."""
ALONE = 8
"""Groups of one in a row after which one turn in vain is enough: there is a single client."""


class Syncs:
    """Syncs of a journal, and how long the last one took: on a quick disk the loop makes the next one itself.

    To wake a thread and be woken by it takes longer than such a sync.
    """

    def __init__(self) -> None:
        self.took = 0.0
        """Seconds."""
        self.is_quick = False
        """Whether the last one was, and succeeded."""

    def make(self, sync: Callable[[], None]) -> None:
        """Do *sync*; raises what that raises."""
        began = time.monotonic()
        self.is_quick = False
        sync()
        self.took = time.monotonic() - began
        self.is_quick = self.took < QUICK

    def make_here(self, sync: Callable[[], None]) -> OSError | SpoolError | None:
        """Do it on the loop; return what went wrong."""
        try:
            self.make(sync)
        except (OSError, SpoolError) as error:
            return error
        return None


class Gathering(ABC, Generic[R]):
    """Collects requests on the event loop; while a group is being committed, what comes waits for the next one."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[R] = []
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._alone = 0
        """How many groups in a row were of one."""
        self._is_looking = False
        """Whether it will be seen to that what is in no hurry does not wait in vain."""
        self._idle = asyncio.Event()
        self._idle.set()

    @abstractmethod
    def _commit(self) -> None:
        """Write what waits, and have it synced; then begin anew, or be idle."""

    @abstractmethod
    def _is_owed(self) -> bool:
        """Whether anything waits, be it in no hurry."""

    def _ask(self, request: R) -> None:
        """Commit *request* with what comes in the next turns of the loop."""
        self._waiting.append(request)
        if self._idle.is_set():
            self._idle.clear()
            self._gather_from(0)

    def _look_later(self) -> None:
        """Commit within ``LAZY_DELAY`` what waits for company: one timer, not one for each."""
        if not self._is_looking:
            self._is_looking = True
            self._loop.call_later(LAZY_DELAY, self._look)

    def _look(self) -> None:
        self._is_looking = False
        if self._idle.is_set() and self._is_owed():
            self._commit()

    def _tell(self, done: Callable[..., None], *of: object) -> None:
        """Tell one who waits; a defect there must not keep the others waiting for ever."""
        try:
            done(*of)
        except Exception as defect:
            self._loop.call_exception_handler({"message": "told of the end of a request", "exception": defect})

    def _gather_from(self, turns: int, in_vain: int = 0) -> None:
        """Commit when turns of the loop have brought nothing more, or after so many of them."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_soon(self._gather, len(self._waiting), turns, in_vain)

    def _gather(self, before: int, turns: int, in_vain: int) -> None:
        in_vain = 0 if len(self._waiting) > before else in_vain + 1
        if turns < GATHER_TURNS and in_vain <= (VAIN_TURNS if self._alone < ALONE else 0):
            self._gather_from(turns + 1, in_vain)
            return
        self._alone = self._alone + 1 if len(self._waiting) == 1 else 0
        self._commit()
