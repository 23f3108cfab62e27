"""Connections to one destination: how many, which one serves next, when one is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from smarthostd.smtp.connection import Connection

Open = Callable[[], Awaitable[Connection]]
Fits = Callable[[Connection], bool]
OPENINGS = 2
"""Connections that are opened at the same time, once there is one that came up as it should."""


class Pool:
    """At most *limit* connections, each for at most *max_messages* (0: no limit), kept for *idle* when unused.

    While none is open they are opened one at a time: a wrong password or a dead host costs one attempt, not
    *limit* of them. After that two at a time, for a password may also change while others are logged in.
    """

    def __init__(self, limit: int, max_messages: int, idle: timedelta) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._limit = limit
        self._max_messages = max_messages
        self._idle = idle.total_seconds()
        self._free: list[Connection] = []
        self._open = 0
        self._first = asyncio.Lock()
        self._more = asyncio.Semaphore(OPENINGS)
        self._sweeper: asyncio.TimerHandle | None = None
        self._farewells: set[asyncio.Task[None]] = set()

    @property
    def empty(self) -> bool:
        """Whether nothing is open, being opened, or being closed."""
        return not (self._open or self._farewells or self._first.locked())

    @asynccontextmanager
    async def lease(self, fits: Fits, open_connection: Open) -> AsyncIterator[Connection]:
        """Lend a connection: a kept one that *fits* if there is, else a new one; raises what opening raises."""
        async with self._slots:
            connection = self._take(fits) or await self._new(fits, open_connection)
            try:
                yield connection
            except BaseException:
                self._drop(connection)
                raise
            self._give_back(connection)

    def _take(self, fits: Fits) -> Connection | None:
        """Return the most recently used connection that fits and can still be used; the others age out."""
        for at in range(len(self._free) - 1, -1, -1):
            connection = self._free[at]
            if not connection.usable:
                del self._free[at]
                self._drop(connection)
            elif fits(connection):
                del self._free[at]
                return connection
        return None

    async def _new(self, fits: Fits, open_connection: Open) -> Connection:
        async with self._more if self._open else self._first:
            connection = self._take(fits)  # somebody may have finished in the meantime
            if connection is not None:
                return connection
            if self._free and self._open >= self._limit:
                self._bid_farewell(self._free.pop(0))
            connection = await open_connection()
            self._open += 1
            return connection

    def _give_back(self, connection: Connection) -> None:
        if not connection.usable:
            self._drop(connection)
        elif (self._max_messages and connection.messages >= self._max_messages) or not self._idle:
            self._bid_farewell(connection)
        else:
            self._free.append(connection)
            self._sweep_in(self._idle)

    # -- letting go

    def _sweep_in(self, seconds: float) -> None:
        """Look for idle connections later: one timer for all of them, not one for each message."""
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        oldest = asyncio.get_running_loop().time() - self._idle
        for connection in [one for one in self._free if one.idle_since <= oldest]:
            self._free.remove(connection)
            self._bid_farewell(connection)
        if self._free:
            self._sweep_in(max(min(one.idle_since for one in self._free) - oldest, 0.01))

    def _drop(self, connection: Connection) -> None:
        self._open -= 1
        connection.abort()

    def _bid_farewell(self, connection: Connection) -> None:
        self._open -= 1
        task = asyncio.get_running_loop().create_task(connection.quit())
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def close(self) -> None:
        """Let all kept connections go, politely."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        while self._free:
            self._bid_farewell(self._free.pop())
        if self._farewells:
            await asyncio.wait(self._farewells)
