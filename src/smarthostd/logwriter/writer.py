"""Lines are collected, and written at the end of the event loop's turn, or a moment later where many come."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Protocol

PENDING_LIMIT = 10_000
"""Lines that wait for the end of the turn before they are written at once."""


PAUSE = 0.005
"""Seconds between writes. One client's messages, with two writes for each, took 40 us more without it."""
AGAIN = 0.2
"""Seconds after which a destination that would not take lines is tried again."""


class Destination(Protocol):
    """One place that lines go to."""

    def open(self) -> None:
        """Open it, again if need be; raises ConfigurationError, and then it is as it was."""
        ...

    def write(self, log: str, lines: Sequence[str]) -> bool:
        """Write *lines* to the log ``main``, ``reject`` or ``panic``, as far as there is such a one; never waits.

        Return whether nothing is left that must be tried again soon, by a call with whatever lines there are then.
        """
        ...

    def close(self) -> None:
        """Close it."""
        ...


class LogWriter:
    """Writes lines to each destination."""

    def __init__(self, destinations: Sequence[Destination]) -> None:
        """Open them; raises ConfigurationError."""
        self._destinations = destinations
        self._pending: dict[str, list[str]] = {}
        self._count = 0
        self._scheduled = False
        self._flushed = 0.0
        """The monotonic clock's time of the last write."""
        self._again: asyncio.TimerHandle | None = None
        self.reopen()

    def reopen(self) -> None:
        """Open all by their names again; raises ConfigurationError, and goes on with what was open."""
        self.flush()
        for destination in self._destinations:
            destination.open()

    def renew(self, destinations: Sequence[Destination]) -> None:
        """Write to other destinations from now on, which are open."""
        self.flush()
        self._close()
        self._destinations = destinations

    def write(self, line: str) -> None:
        """Take one line for the main log; see :meth:`write_to`."""
        self.write_to("main", line)

    def write_to(self, log: str, line: str) -> None:
        """Take one line; it is written within ``PAUSE``, or at once without an event loop."""
        self._pending.setdefault(log, []).append(line)
        self._count += 1
        if self._scheduled and self._count < PENDING_LIMIT:
            return
        try:
            self._schedule(asyncio.get_running_loop())
        except RuntimeError:
            self.flush()
        if self._count >= PENDING_LIMIT:
            self.flush()

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have it written: at the end of this turn, where nothing was written just now."""
        pause = self._flushed + PAUSE - time.monotonic()
        if pause > 0:
            loop.call_later(pause, self.flush)
        else:
            loop.call_soon(self.flush)
        self._scheduled = True

    def flush(self) -> None:
        """Write what is pending."""
        self._scheduled = False
        self._flushed = time.monotonic()
        pending, self._pending, self._count = self._pending, {}, 0
        done = [place.write(log, lines) for log, lines in pending.items() for place in self._destinations]
        if not all(done) and self._again is None:
            with contextlib.suppress(RuntimeError):  # without a loop it goes with the next line
                self._again = asyncio.get_running_loop().call_later(AGAIN, self._flush_again)

    def _flush_again(self) -> None:
        self._again = None
        self._pending.setdefault("main", [])
        self.flush()

    def close(self) -> None:
        """Write what is pending, and close."""
        self.flush()
        if self._again is not None:
            self._again.cancel()
        self._close()

    def _close(self) -> None:
        for destination in self._destinations:
            destination.close()
