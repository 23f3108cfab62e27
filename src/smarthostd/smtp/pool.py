"""Connections to one destination: how many, which one serves next, when one is let go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from smarthostd.smtp.connection import Connection

Open = Callable[[], Awaitable[Connection]]


class Pool:
    """At most *limit* connections, each for at most *max_messages*, kept for *idle* after its last message.

    Until one connection has come up as it should, they are opened one at a time: a wrong password or a
    dead host costs one attempt, not *limit* of them.
    """

    def __init__(self, limit: int, max_messages: int, idle: timedelta) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._max_messages = max_messages
        self._idle = idle.total_seconds()
        self._free: list[Connection] = []
        self._proven = False
        self._opening = asyncio.Lock()
        self._closers: set[asyncio.Task[None]] = set()

    async def take(self, open_connection: Open) -> Connection:
        """Lend a connection, a kept one if there is; raises what *open_connection* raises."""
        await self._slots.acquire()
        try:
            return self._kept() or await self._open(open_connection)
        except BaseException:
            self._slots.release()
            raise

    def give_back(self, connection: Connection) -> None:
        """Take a lent connection back: keep it, or let it go if it is of no more use."""
        self._slots.release()
        if not connection.usable:
            connection.abort()
        elif self._max_messages and connection.messages >= self._max_messages:
            self._say_good_bye(connection)
        else:
            self._free.append(connection)
            asyncio.get_running_loop().call_later(self._idle, self._retire, connection, connection.messages)

    def _kept(self) -> Connection | None:
        """Return the most recently used connection that can still be used; the others age out."""
        while self._free:
            connection = self._free.pop()
            if connection.usable:
                return connection
            connection.abort()
        return None

    async def _open(self, open_connection: Open) -> Connection:
        if self._proven:
            try:
                return await open_connection()
            except BaseException:
                self._proven = False
                raise
        async with self._opening:
            connection = self._kept() or await open_connection()
            self._proven = True
            return connection

    def _retire(self, connection: Connection, messages: int) -> None:
        """Let a connection go that has not been used since."""
        if connection.messages == messages and connection in self._free:
            self._free.remove(connection)
            self._say_good_bye(connection)

    def _say_good_bye(self, connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(connection.quit())
        self._closers.add(task)
        task.add_done_callback(self._closers.discard)

    async def close(self) -> None:
        """Let all kept connections go."""
        for connection in self._free:
            self._say_good_bye(connection)
        self._free.clear()
        if self._closers:
            await asyncio.wait(self._closers)
