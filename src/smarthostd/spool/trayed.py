"""A daemon's keeper: SQLite, and in front of it the tray for what leaves as soon as it has come.

::

    take ──► tray ── delivered ──► gone
               └──── has to wait, or stays for longer than STAY ──► database ──► as in ``sqlite.py``

A message lies in the tray only while it is claimed, so nobody looks for it in the database but who looks at all that
there is. It goes from the tray when the database has it, and what the database has is never taken from the tray again
after a crash: so at each moment at least one of them knows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

from smarthostd.envelope import Message
from smarthostd.errors import SpoolError
from smarthostd.spool import rows
from smarthostd.spool.base import Changes, Kept, Notice
from smarthostd.spool.content import spool_error
from smarthostd.spool.database import Connections
from smarthostd.spool.sqlite import SqliteSpool
from smarthostd.spool.threads import settle
from smarthostd.spool.tray import Tray, left_in
from smarthostd.spool.writer import is_full

STAY = 0.2
"""Seconds that a message lies in the tray, where tools do not see it, before it is put into the database."""


class TraySpool(SqliteSpool):
    """A ``SqliteSpool`` with a tray; the spool must be locked."""

    def __init__(
        self, directory: Path, connections: Connections, lock: int | None,
        set_aside: Callable[[str, str], None], now: Callable[[], float],
    ) -> None:  # fmt: skip
        super().__init__(directory, connections, lock, set_aside, now)
        self._tray = Tray(directory)
        self._moving: set[str] = set()
        """Those that are on their way into the database just now."""
        self._perhaps: set[str] = set()
        """Those that lie in the tray, and perhaps in the database, too: a move of theirs was asked for."""
        self._released: set[str] = set()
        """Those whose claim ends when they are there."""
        self._looking: asyncio.TimerHandle | None = None

    @classmethod
    def _emptied(
        cls, directory: Path, connection: sqlite3.Connection, now: float, set_aside: Callable[[str, str], None]
    ) -> Sequence[Message]:
        """See ``SqliteSpool``: on a full disk a daemon starts all the same, for what it delivers makes room."""
        try:
            return super()._emptied(directory, connection, now, set_aside)
        except (OSError, sqlite3.Error) as error:
            left, unreadable = left_in(directory)
            if unreadable or not left or not is_full(error):
                raise
            return left

    def _take_over(self, left: Sequence[Message]) -> None:
        """See ``SqliteSpool``: they are free when they are in the database."""
        if left:
            self._tray.take_over(left)
            ids = [message.id for message in left]
            self._claimed.update(ids)
            self._released.update(ids)
            self._look_later()

    # -- receiving

    def take(self, message: Message, kept: Kept, *, claim: bool = False, listing: Sequence[Notice] = ()) -> None:
        """See ``SqliteSpool``: what is claimed lies in the tray, if it is small; where that fails, in the database."""

        def done(error: OSError | None) -> None:
            if error is None:
                kept(None)
            else:
                super(TraySpool, self).take(message, kept, claim=claim)

        if not claim or listing or message.id in self._unwanted or not self._tray.put(message, done):
            return super().take(message, kept, claim=claim, listing=listing)
        self._claimed.add(message.id)
        return self._look_later()

    # -- what does not stay there

    def _look_later(self) -> None:
        if self._looking is None:
            self._looking = self._loop.call_later(STAY, self._look)

    def _look(self) -> None:
        """Put into the database what has lain in the tray for too long."""
        self._looking = None
        self._move([one for one in self._tray.older_than(STAY) if one.id not in self._moving])
        if self._tray:
            oldest = self._tray.oldest(self._moving)
            now = self._loop.time()
            when = now + STAY if oldest is None else max(oldest + STAY, now + STAY / 20)
            self._looking = self._loop.call_at(when, self._look)

    def _move(
        self, messages: Sequence[Message], then: Callable[[SpoolError | None], None] = lambda error: None
    ) -> None:
        """Put *messages* into the database; *then* is called when they are there, or are not."""
        ids = [message.id for message in messages]
        due = self._now()
        self._moving.update(ids)
        self._perhaps.update(ids)

        def job(connection: sqlite3.Connection) -> None:
            for message in messages:
                rows.insert_if_missing(connection, message, due)

        def done(_: object, error: SpoolError | None) -> None:
            if error is None:
                self._left(ids)
            self._moving.difference_update(ids)
            then(error)

        if messages:
            self._writer.ask(job, done)
        else:
            then(None)

    def _left(self, ids: Collection[str]) -> None:
        """These are in the database now, or are no more."""
        self._tray.gone(ids)
        self._perhaps.difference_update(ids)
        released = self._released.intersection(ids)
        self._released -= released
        self._let_go(released)

    async def _moved(self, messages: Sequence[Message]) -> None:
        """Put *messages* into the database; raises SpoolError."""
        moved: asyncio.Future[None] = self._loop.create_future()
        self._move(messages, partial(settle, moved, None))
        await moved

    async def settle(self) -> None:
        """Put all that lies in the tray into the database, where others may change it; raises SpoolError."""
        await self._whole()
        await self._tray.settle()

    async def _whole(self) -> None:
        """See ``SqliteSpool``."""
        await self._moved(self._tray.older_than(0))

    async def release(self, ids: Collection[str]) -> None:
        """See ``SqliteSpool``; what lies in the tray is free when it is in the database: if that fails, later."""
        here = [message for id in ids if (message := self._tray.get(id)) is not None]
        self._released.update(message.id for message in here)
        self._let_go(set(ids).difference(self._released))
        with contextlib.suppress(SpoolError):
            await self._moved(here)

    def _free(self, id: str) -> None:
        """See ``SqliteSpool``, and :meth:`release`."""
        message = self._tray.get(id)
        if message is None:
            return super()._free(id)
        self._released.add(id)
        return self._move([message])

    async def count(self) -> tuple[int, int]:
        """See ``SqliteSpool``; nothing is moved for it, for it is asked every few seconds, whatever the disk says."""
        messages, frozen = await super().count()
        return messages + self._tray.count(self._perhaps), frozen

    # -- recording

    async def record(self, id: str, changes: Changes) -> None:
        """See ``SqliteSpool``: of what was delivered at once the tray forgets, and the database has never heard."""
        message = self._tray.get(id)
        if changes.new or changes.notices:
            # A crash must not bring it back beside a report about it: the tray is to have forgotten it before.
            if message is not None:
                await self._moved([message])
            await self._settled()
            return await super().record(id, changes)
        if message is None:
            return await super().record(id, changes)
        if changes.waiting or len(changes.done) < len(message.envelope.recipients):
            return await self._record(id, changes, missing=message, synced=partial(self._left, [id]))
        self._tray.gone([id])
        if changes.hints or id in self._perhaps:
            self._perhaps.discard(id)
            return await super().record(id, changes)
        return self._let_go([id])

    async def _settled(self) -> None:
        """Return when no crash brings back what the tray has forgotten."""
        await self._tray.settle()
        if not self._tray.is_usable:
            await self._whole()  # with the last one the journal goes

    async def close(self) -> None:
        """See ``SqliteSpool``."""
        if self._looking is not None:
            self._looking.cancel()
        try:
            await self._tray.settle()
            await self._whole()
            await self._tray.close()
        except OSError as error:
            raise spool_error(error, "cannot close the tray") from error
        finally:
            await super().close()
