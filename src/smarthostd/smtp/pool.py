"""Connections to one destination: how many, which one serves next, when one is let go.

A message has a connection for itself while it is being sent. Then, where the peer takes commands in groups, the next
message may have it, while the first still waits for its answer; but a connection that waits for nothing, or one that
may be opened, is better: behind another message one waits for that, too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import TracebackType

from smarthostd.smtp.connection import Connection

Open = Callable[[], Awaitable[Connection]]
Fits = Callable[[Connection], bool]
OPENINGS = 2
"""Connections that may be opened at the same time, once there is one that came up as it should."""


class Lease:
    """One message's use of a connection, to be entered.

    (A class of its own: as a generator with ``asynccontextmanager`` it cost 4 us more for each message.)
    """

    __slots__ = ("_pool", "connection", "shared")

    def __init__(self, pool: Pool, connection: Connection) -> None:
        self._pool = pool
        self.connection = connection
        self.shared = False

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.give_back(self, broken=kind is not None)

    def share(self) -> None:
        """Let others send, too: our message is sent, and only its answer is missing."""
        if not self.shared and self._pool.may_share(self.connection):
            self.shared = True
            self._pool.take_back(self.connection)


class Pool:
    """At most *limit* connections, each for at most *max_messages* (0: no limit), kept for *idle* when unused.

    Up to *pipelined* messages may be under way on each. While none is open they are opened one at a time: a wrong
    password or a dead host costs one attempt, not *limit* of them. After that as many at a time as are open, and two at
    least, for a password may also change while others are logged in.
    """

    def __init__(self, limit: int, max_messages: int, idle: timedelta, pipelined: int = 1) -> None:
        self._limit = limit
        self._max_messages = max_messages
        self._idle = idle.total_seconds()
        self._pipelined = pipelined
        self._open: set[Connection] = set()
        self._opening = 0
        self._free: list[Connection] = []
        """Those that nobody is sending on."""
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._farewells: set[asyncio.Task[None]] = set()

    @property
    def empty(self) -> bool:
        """Whether nothing is open, being opened, or being closed."""
        return not (self._open or self._farewells or self._opening)

    async def lease(self, fits: Fits, open_connection: Open) -> Lease:
        """Lend a connection, when there is one: a kept one that *fits*, else a new one; raises what opening raises."""
        return Lease(self, await self.connection(fits, open_connection))

    def give_back(self, lease: Lease, *, broken: bool) -> None:
        """Take the connection of a lease that has ended; a *broken* one is of no more use."""
        if broken:
            self._drop(lease.connection)
        if lease.shared:
            self._settle(lease.connection)
        else:
            self.take_back(lease.connection)

    async def connection(self, fits: Fits, open_connection: Open) -> Connection:
        """Return a connection that nobody else sends on, after those who came before have theirs."""
        if self._waiters:
            await self._change()
        while (connection := self._take(fits)) is None:
            if self._may_open():
                connection = await self._opened(open_connection)
                break
            await self._change()
        self._wake()  # there may be another one
        return connection

    async def _opened(self, open_connection: Open) -> Connection:
        self._opening += 1
        self._wake()
        try:
            connection = await open_connection()
        finally:
            self._opening -= 1
            self._wake()
        self._open.add(connection)
        return connection

    async def _change(self) -> None:
        """Wait until another connection may be had, after those who wait already."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._wake()  # it was our turn: it is the next one's
            raise

    def _wake(self) -> None:
        """Let the first one who waits look, if there is anything to be had."""
        while self._waiters and (self._free or self._may_open()):
            waiter = self._waiters.popleft()
            if not waiter.cancelled():
                return waiter.set_result(None)
        return None

    def may_share(self, connection: Connection) -> bool:
        """Whether another message may be sent on *connection* behind those that wait for their answers."""
        return (
            connection.under_way < self._pipelined
            and not self._may_open()
            and not self._worn(connection)
            and connection.usable
        )

    def _may_open(self) -> bool:
        """Whether another connection may be opened now."""
        at_once = max(OPENINGS, len(self._open)) if self._open else 1
        return self._opening < at_once and not self._is_full()

    def _is_full(self) -> bool:
        return len(self._open) + self._opening >= self._limit

    def take_back(self, connection: Connection) -> None:
        """Let others have *connection*."""
        self._free.append(connection)
        self._settle(connection)

    def _settle(self, connection: Connection) -> None:
        """Let *connection* go, if nobody is sending on it, and nobody shall."""
        if connection in self._free:
            if not connection.usable:
                if connection.polite:
                    self._bid_farewell(connection)
                else:
                    self._drop(connection)
            elif not connection.under_way:
                if self._worn(connection) or not self._idle:
                    self._bid_farewell(connection)
                else:
                    self._sweep_in(self._idle)
        self._wake()

    def _worn(self, connection: Connection) -> bool:
        return bool(self._max_messages) and connection.messages >= self._max_messages

    def _take(self, fits: Fits) -> Connection | None:
        """Return the connection to be used next: the most recently used idle one, as the others age out.

        When no more may be opened now, the one whose last message was sent first.
        """
        found = None
        for one in reversed(self._free):
            if not one.under_way and one.usable and fits(one):
                found = one
                break
        if found is None and not self._may_open():
            found = next((one for one in self._free if self.may_share(one) and fits(one)), None)
            if found is None and self._free and self._is_full():
                self._bid_farewell(self._free[0])  # it is for other messages
        if found is not None:
            self._free.remove(found)
        return found

    # -- letting go

    def _sweep_in(self, seconds: float) -> None:
        """Look for idle connections later: one timer for all of them, not one for each message."""
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        oldest = asyncio.get_running_loop().time() - self._idle
        idle = [one for one in self._free if not one.under_way]
        for connection in [one for one in idle if one.idle_since <= oldest]:
            idle.remove(connection)
            self._bid_farewell(connection)
        if idle:
            self._sweep_in(max(min(one.idle_since for one in idle) - oldest, 0.01))

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._free:
            self._free.remove(connection)

    def _drop(self, connection: Connection) -> None:
        self._forget(connection)
        connection.abort()

    def _bid_farewell(self, connection: Connection) -> None:
        """Say good-bye, after the last answer."""
        self._forget(connection)
        task = asyncio.get_running_loop().create_task(connection.quit())
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def close(self) -> None:
        """Let all kept connections go, politely."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        while self._free:
            self._bid_farewell(self._free[-1])
        if self._farewells:
            await asyncio.wait(self._farewells)
