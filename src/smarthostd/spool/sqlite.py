"""The embedded keeper: SQLite in WAL mode, group commit.

``writer.py`` syncs the log before it tells anybody that something is written. A body up to 64 KiB lies in the row; a
larger one, which SQLite would write twice, in ``content/ID``, synced together with its directory before the row that
names it.
The removal of what was delivered rides along with the next commit, or follows within ``LAZY_DELAY``.

Reads have a connection and a thread of their own and do not wait for commits. The daemon holds a kernel
lock on ``spool.lock``; tools open the same database without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, count, zip_longest
from pathlib import Path
from typing import Self, TypeVar

from msgspec import Struct

from smarthostd.address import Address
from smarthostd.durable import make_directory
from smarthostd.envelope import Message, Recipient
from smarthostd.errors import SpoolError, SpoolLocked
from smarthostd.hints import Hint
from smarthostd.message_id import SHAPE
from smarthostd.spool import rows, tray
from smarthostd.spool.base import ALL, Changes, Counts, Kept, Notice, Pending, Selection, Summary, Thawing, Waiting
from smarthostd.spool.content import FileSink, spool_error, sync_file
from smarthostd.spool.database import Connections, locked_if_free, open_database, take_lock
from smarthostd.spool.owner import give_away, is_forbidden, owner_only
from smarthostd.spool.selection import condition
from smarthostd.spool.spares import Spares, taken_away
from smarthostd.spool.threads import Threads, settle
from smarthostd.spool.writer import NotSynced, Writer, spool_trouble

T = TypeVar("T")

AT_ONCE = 2000
"""Messages that one transaction changes, where more are to be changed."""
LOCK_TRIES, LOCK_PAUSE = 5, 0.1
"""How often, and with how many seconds in between, somebody else's lock is looked at again."""
NEVER = float("-inf")
"""A time at which nothing is due."""

_LISTED = """
SELECT seq, id, received, size, sender, coalesce((SELECT since FROM freezing WHERE message = seq), 0.0), envelope,
       done_addresses
FROM message WHERE seq > ? AND
"""
_COUNTED = """
SELECT count(*), total(EXISTS (SELECT 1 FROM freezing WHERE message = seq)), min(received) FROM message WHERE
"""
_IDS = "SELECT id FROM message WHERE"
_STANDING = """
SELECT id, EXISTS (SELECT 1 FROM freezing WHERE message = seq)
FROM message WHERE id IN (SELECT value FROM json_each(?))
"""
_COUNTED_ALL = """
SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM freezing),
       (SELECT received FROM message ORDER BY seq LIMIT 1)
"""
_FINISHED = """
SELECT id FROM message WHERE damaged = '' AND NOT EXISTS (SELECT 1 FROM recipient WHERE message = seq AND state <> 1)
"""


class _Claiming(Struct, eq=False):
    """A claim that is reading, and the ids that others let go of meanwhile."""

    let_go: set[str]


def _well_formed(id: str) -> str:
    """Return *id* if it is one of ours, for nothing else names a file; raises SpoolError."""
    if not SHAPE.fullmatch(id):
        raise SpoolError(f"{id!r} is no message id")
    return id


async def _locked(directory: Path) -> int:
    """Lock the spool; a tool may have it for a moment (``locked_if_free``). Raises SpoolLocked, OSError."""
    for _ in range(LOCK_TRIES):
        with contextlib.suppress(SpoolLocked):
            return take_lock(directory)
        await asyncio.sleep(LOCK_PAUSE)
    return take_lock(directory)


def _empty_tray(
    directory: Path, connection: sqlite3.Connection, now: float, set_aside: Callable[[str, str], None]
) -> None:
    """Put the messages into the database, due *now*, that a daemon which was killed had in its tray.

    Raises OSError, sqlite3.Error.
    """
    left, unreadable = tray.left_in(directory)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for message in left:
            rows.insert_if_missing(connection, message, now)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    for path, why in unreadable.items():
        _keep(path, "damaged", why, set_aside)
    tray.remove(directory)


def _keep(path: Path, ending: str, why: str, set_aside: Callable[[str, str], None]) -> None:
    """Give what nobody must delete a name of its own, and tell; raises OSError."""
    names = (path.with_name(f"{path.name}.{ending}{number or ''}") for number in count())
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    set_aside(path.name, f"{why}; it is kept as {aside}")


def _keep_content(directory: Path, set_aside: Callable[[str, str], None]) -> None:
    """Where the database is gone, keep the content of its messages, which the sweep would take away; raises OSError."""
    database, content = directory / "spool.sqlite3", directory / "content"
    is_gone = not database.exists() or not database.stat().st_size
    if is_gone and any(SHAPE.fullmatch(one.name) for one in content.iterdir()):
        _keep(content, "lost", "the database of these messages is gone", set_aside)
        make_directory(content, 0o700)
        give_away(content)


class SqliteSpool:
    """Keeps messages in ``spool.sqlite3`` and ``content/`` below one directory."""

    def __init__(
        self, directory: Path, connections: Connections, lock: int | None,
        set_aside: Callable[[str, str], None], now: Callable[[], float],
    ) -> None:  # fmt: skip
        self._directory = directory
        self._content = directory / "content"
        self._content_descriptor: int | None = None
        self._unsynced: dict[Path, int] = {}
        """Descriptors of content files that are whole and have no row yet."""
        self._lock = lock
        self._set_aside = set_aside
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._connections = connections
        self._read_connection = connections.reader
        self._writer = Writer(connections.writer, connections.background, directory / "spool.sqlite3-wal")
        self._reader = ThreadPoolExecutor(1, "spool-reader")
        self._syncer = Threads(4, "spool-sync")
        self._spares = Spares(self._syncer, self._left_behind)
        self._claimed: set[str] = set()
        self._claiming: list[_Claiming] = []
        self._unwanted: set[str] = set()
        """Messages that may be in the database although it was said that they are not kept; they go, and nobody sees
        them meanwhile."""
        self._born: dict[str, list[str]] = {}
        """Reports whose record is to be tried again, and may have been written all the same, by the message's id: they
        are claimed until it is recorded, or let go."""
        self._put_aside_already: set[str] = set()
        """Damaged messages that were met; each is told once."""

    @classmethod
    async def open(
        cls, directory: Path, *, lock: bool = True, set_aside: Callable[[str, str], None] = lambda id, why: None,
        now: Callable[[], float] | None = None,
    ) -> Self:  # fmt: skip
        """Open the spool in *directory*, made if need be.

        *set_aside* is told of each damaged message, once. Raises SpoolLocked when another daemon has
        it, SpoolError when it cannot be opened.
        """
        held: int | None = None
        spool: Self | None = None
        now = now or time.time
        try:
            for place in (directory, directory / "content"):
                make_directory(place, 0o700)
            give_away(directory / "content")
            held = await _locked(directory) if lock else None
            if lock:
                _keep_content(directory, set_aside)
            connections = open_database(directory / "spool.sqlite3", locked=lock)
            left: Sequence[Message] = ()
            if tray.is_in(directory):
                with contextlib.nullcontext(True) if lock else locked_if_free(directory) as is_ours:
                    if is_ours:
                        left = cls._emptied(directory, connections.writer, now(), set_aside)
            spool = cls(directory, connections, held, set_aside, now)
            if lock:
                spool._take_over(left)
                await spool._sweep()
        except (OSError, sqlite3.Error, SpoolError) as error:
            if spool is not None:
                await spool.close()
            elif held is not None:
                os.close(held)
            if isinstance(error, SpoolError):
                raise
            reason = error.strerror if isinstance(error, OSError) else error
            fix = owner_only(directory, ours=lock) if is_forbidden(directory, error) else "see spool_directory"
            raise SpoolError(f"cannot open the spool {directory}: {reason}; {fix}") from error
        return spool

    @classmethod
    def _emptied(
        cls, directory: Path, connection: sqlite3.Connection, now: float, set_aside: Callable[[str, str], None]
    ) -> Sequence[Message]:
        """Empty the tray of a daemon that was killed; return what has to stay there. Raises OSError, sqlite3.Error."""
        _empty_tray(directory, connection, now, set_aside)
        return ()

    def _take_over(self, left: Sequence[Message]) -> None:
        """Know what is *left* in the tray; raises OSError."""

    # -- receiving

    def sink(self, id: str) -> FileSink:
        """Return a sink for the message *id*."""
        return FileSink(self._content, _well_formed(id), self._unsynced, self._spares)

    async def put(self, message: Message, *, claim: bool = False, listing: Sequence[Notice] = ()) -> None:
        """Keep *message*, instead of the notices that it is *listing*; on return it is synced."""
        kept: asyncio.Future[None] = self._loop.create_future()
        self.take(message, partial(settle, kept, None), claim=claim, listing=listing)
        try:
            await asyncio.shield(kept)
        except asyncio.CancelledError:
            if claim:
                kept.add_done_callback(partial(self._abandoned, message.id))
            raise

    def _abandoned(self, id: str, kept: asyncio.Future[None]) -> None:
        """Let go of a message that is kept now, if it is: who wanted to work on it is there no more."""
        if not kept.exception():
            self._free(id)

    def _free(self, id: str) -> None:
        """End a claim, as soon as that can be."""
        self._let_go([id])

    def take(self, message: Message, kept: Kept, *, claim: bool = False, listing: Sequence[Notice] = ()) -> None:
        """Keep *message*, and call *kept* when it is synced, or has failed."""
        if message.id in self._unwanted:
            kept = self._given_again(message.id, kept, claim=claim)
        if claim:
            self._claimed.add(message.id)
        if message.content.file is None:
            return self._insert(message, listing, kept)
        synced = partial(self._file_synced, message, listing, kept)
        try:
            directory = self._content_directory()
            work = partial(sync_file, self._unsynced_file(message.content.file), directory)
        except OSError as error:
            self._loop.call_soon(synced, None, error)
            return None
        return self._syncer.ask(work, synced)

    def _unsynced_file(self, path: Path) -> int:
        """Return the descriptor of a content file, still open if it was written just now; raises OSError."""
        descriptor = self._unsynced.pop(path, None)
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC) if descriptor is None else descriptor

    def _content_directory(self) -> int:
        """Return the descriptor of their directory; raises OSError."""
        if self._content_descriptor is None:
            self._content_descriptor = os.open(self._content, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._content_descriptor

    def _file_synced(
        self, message: Message, listing: Sequence[Notice], kept: Kept, _: None, error: Exception | None
    ) -> None:
        if error is None:
            return self._insert(message, listing, kept)
        self._not_kept(message)
        what = "cannot sync a content file"
        return kept(spool_error(error, what) if isinstance(error, OSError) else SpoolError(f"{what}: {error}"))

    def _insert(self, message: Message, listing: Sequence[Notice], kept: Kept) -> None:
        due = self._now()

        def job(connection: sqlite3.Connection) -> None:
            rows.insert(connection, message, due)
            if listing:
                numbers = [(one.number,) for one in listing]
                connection.executemany("DELETE FROM notice WHERE number = ?", numbers)

        def done(_: object, error: SpoolError | None) -> None:
            if error is not None:
                self._not_kept(message)
            if isinstance(error, NotSynced):
                self._take_back(message.id, listing)
            kept(error)

        self._writer.ask(job, done)

    def _take_back(self, id: str, listing: Sequence[Notice]) -> None:
        """Remove a message that is there, and might stay: who gave it to us will give it again, perhaps by this id.

        The notices that it is *listing* are there again then.
        """
        self._unwanted.add(id)
        self._claimed.add(id)

        def job(connection: sqlite3.Connection) -> None:
            if id in self._unwanted and rows.remove_by_id(connection, [id]):
                rows.insert_notices(connection, listing)

        def then(_: object) -> None:
            if id in self._unwanted:
                self._unwanted.discard(id)
                self._let_go([id])

        self._writer.soon(job, then)

    def _given_again(self, id: str, kept: Kept, *, claim: bool) -> Kept:
        """Make room for a message that is given again before it was removed; return who is to be told then."""

        def kept_again(error: SpoolError | None) -> None:
            if error is not None:
                self._take_back(id, ())
            elif not claim:
                self._let_go([id])
            kept(error)

        self._unwanted.discard(id)
        self._writer.ask(lambda connection: rows.remove_by_id(connection, [id]), lambda result, error: None)
        return kept_again

    def _not_kept(self, message: Message) -> None:
        """Take away the content file of a message that is not kept; what stays behind is swept at the next start."""
        self._claimed.discard(message.id)
        if message.content.file is not None:
            with contextlib.suppress(OSError):
                message.content.file.unlink(missing_ok=True)

    # -- claims

    async def claim(self, now: float, limit: int, *, destinations: Collection[str] = ()) -> list[Pending]:
        """Return and claim up to *limit* messages that are due at *now*."""
        return await self._claim(lambda connection: self._due(connection, now, limit, destinations))

    async def claim_waiting(self, destination: str) -> Pending | None:
        """Return and claim the oldest message that waits for *destination*."""
        found = await self._claim(lambda connection: self._due(connection, NEVER, 1, [destination]))
        return found[0] if found else None

    async def claim_frozen(self, due: Thawing, limit: int) -> list[Pending]:
        """Return and claim up to *limit* frozen messages that are *due*."""

        def read(connection: sqlite3.Connection) -> list[Pending]:
            found = connection.execute(
                "SELECT message FROM freezing INDEXED BY longest_frozen CROSS JOIN message ON seq = message WHERE"
                " (received <= ? OR sender = '' AND received <= ? AND since <= ? OR sender <> '' AND since <= ?)"
                " AND damaged = '' ORDER BY since LIMIT ?",
                (due.received, due.null_sender_received, due.null_sender_frozen, due.frozen, limit),
            ).fetchall()
            return [pending for (seq,) in found if (pending := self._by_seq(connection, seq))]

        return await self._claim(read)

    async def frozen(self) -> list[str]:
        """Return the ids of the frozen messages."""
        query = (
            "SELECT id FROM freezing INDEXED BY longest_frozen CROSS JOIN message ON seq = message"
            " WHERE damaged = '' ORDER BY since"
        )
        return [id for (id,) in await self._read(lambda connection: connection.execute(query).fetchall())]

    async def claim_one(self, id: str) -> Pending | None:
        """Return and claim this message, due or not, frozen or not."""

        def read(connection: sqlite3.Connection) -> list[Pending]:
            pending = self._by_id(connection, id)
            return [pending] if pending else []

        found = await self._claim(read)
        return found[0] if found else None

    async def release(self, ids: Collection[str]) -> None:
        """End claims without a change."""
        self._let_go(ids)

    def _let_go(self, ids: Collection[str]) -> None:
        if self._born:
            ids = [*ids, *chain.from_iterable(self._born.pop(id, ()) for id in ids)]
        self._claimed.difference_update(ids)
        for claiming in self._claiming:
            claiming.let_go.update(ids)

    async def _claim(self, read: Callable[[sqlite3.Connection], list[Pending]]) -> list[Pending]:
        """Claim what *read* finds, but what somebody claims meanwhile, or has let go of: that may be otherwise now."""
        claiming = _Claiming(set())
        self._claiming.append(claiming)
        try:
            found = await self._read(read)
        finally:
            self._claiming.remove(claiming)
        taken = {pending.message.id: pending for pending in found if pending.message.id not in self._claimed}
        for id in claiming.let_go:
            taken.pop(id, None)
        self._claimed.update(taken)
        return list(taken.values())

    def _due(
        self, connection: sqlite3.Connection, now: float, limit: int, destinations: Collection[str]
    ) -> list[Pending]:
        """Return up to *limit* due messages that are not claimed, the longest due first."""

        def is_due(waiting: Waiting) -> bool:
            return waiting.until <= now or waiting.destination in destinations

        claimed = frozenset(self._claimed)
        seqs: dict[int, None] = {}
        for seq, id in self._due_rows(connection, now, destinations):
            if id not in claimed:
                seqs[seq] = None
            if len(seqs) >= limit:
                break
        return [pending for seq in seqs if (pending := self._by_seq(connection, seq, is_due))]

    @staticmethod
    def _due_rows(
        connection: sqlite3.Connection, now: float, destinations: Collection[str]
    ) -> Iterable[tuple[int, str]]:
        """Yield what waits for *destinations* and what is due by turns: a long queue for one must not stop the rest.

        A message stands there once for each recipient, claimed or not. The rows come from the indexes as they are
        asked for, so that nothing is read but what is taken.
        """
        opened = chain.from_iterable(
            connection.execute(
                "SELECT message, id FROM recipient INDEXED BY waiting JOIN message ON seq = message"
                " WHERE state = 0 AND destination = ? AND destination <> '' ORDER BY message",
                (destination,),
            )
            for destination in destinations
        )
        due = connection.execute(
            "SELECT message, id FROM recipient INDEXED BY due JOIN message ON seq = message"
            " WHERE state = 0 AND until <= ? ORDER BY until",
            (now,),
        )
        for pair in zip_longest(opened, due):
            yield from filter(None, pair)

    async def next_due(self) -> float | None:
        """Return when the next unclaimed, unfrozen recipient is due."""
        claimed = frozenset(self._claimed)

        def read(connection: sqlite3.Connection) -> float | None:
            found = connection.execute(
                "SELECT until, id FROM recipient INDEXED BY due JOIN message ON seq = message"
                " WHERE state = 0 ORDER BY until"
            )
            return next((until for until, id in found if id not in claimed), None)

        return await self._read(read)

    # -- recording

    async def record(self, id: str, changes: Changes) -> None:
        """Write *changes* and end the claim."""
        await self._record(id, changes)

    async def _record(
        self, id: str, changes: Changes, *, missing: Message | None = None, synced: Callable[[], None] = lambda: None
    ) -> None:
        """Likewise, of a message that may be *missing* in the database; *synced* is called when it is all there.

        Such a one may wait for company: a crash would only have it tried once more.
        """
        now = self._now()
        born = [message.id for message in changes.new]
        if born:  # nobody sees them before they are synced, and their cause is
            self._claimed.update(born)
            self._born[id] = born

        def job(connection: sqlite3.Connection) -> bool:
            if missing is not None:
                rows.insert_if_missing(connection, missing, now)
            return rows.record(connection, id, changes, now)

        def then(left_a_file: bool) -> None:
            synced()
            self._let_go([id])
            if left_a_file:
                self._spares.add(self._path(id))

        def given_up() -> None:
            self._let_go(self._born.pop(id, ()))

        if changes.waiting or changes.new or changes.notices or changes.hints or changes.frozen is not None:
            await self._writer.do(job, then, given_up, is_urgent=missing is None)
        else:
            self._writer.soon(job, then)

    # -- looking

    async def load(self, id: str) -> Pending | None:
        """Return a message without claiming it."""

        def read(connection: sqlite3.Connection) -> Pending | None:
            return self._by_id(connection, id)

        return None if id in self._unwanted else await self._read_all(read)

    async def summaries(self, limit: int = 0, after: str = "", selection: Selection = ALL) -> list[Summary]:
        """Return the queue, oldest first."""
        where, values = condition(selection)

        def read(connection: sqlite3.Connection) -> list[Summary]:
            seq = rows.place_of(connection, after) if after else 0
            found = connection.execute(f"{_LISTED} {where} ORDER BY seq LIMIT ?", (seq, *values, limit or -1))
            return rows.summaries(connection, found.fetchall())

        return await self._read_all(read)

    async def ids(self, selection: Selection = ALL) -> list[str]:
        """Return the ids of those messages, oldest first."""
        where, values = condition(selection)
        query = f"{_IDS} {where} ORDER BY seq"
        return [id for (id,) in await self._read_all(lambda connection: connection.execute(query, values).fetchall())]

    async def counts(self, selection: Selection = ALL) -> Counts:
        """Return what is to be said of those messages as a whole; of all of them, from indexes alone."""
        await self._whole()
        return await self._counts(selection)

    async def _counts(self, selection: Selection) -> Counts:
        where, values = condition(selection)
        query = _COUNTED_ALL if selection == ALL else f"{_COUNTED} {where}"
        count, frozen, oldest = await self._read(lambda connection: connection.execute(query, values).fetchone())
        return Counts(count, int(frozen), oldest or 0.0)

    async def standing(self, ids: Collection[str]) -> dict[str, bool]:
        """Return which of these messages there are, and whether each is frozen."""
        listed = json.dumps(list(ids))
        found = await self._read_all(lambda connection: connection.execute(_STANDING, (listed,)).fetchall())
        return {id: bool(frozen) for id, frozen in found}

    async def count(self) -> tuple[int, int]:
        """Return how many messages there are, and how many of them are frozen."""
        counts = await self._counts(ALL)
        return counts.messages, counts.frozen

    async def destinations(self) -> dict[str, int]:
        """Return for each destination that recipients wait for how many do."""
        query = "SELECT destination, count(*) FROM recipient WHERE state = 0 AND destination <> '' GROUP BY destination"
        return dict(await self._read(lambda connection: connection.execute(query).fetchall()))

    async def events(self, id: str) -> list[tuple[float, str]]:
        """Return the story of a message."""
        query = "SELECT at, text FROM event JOIN message ON seq = message WHERE id = ? ORDER BY event.rowid"
        return await self._read_all(lambda connection: connection.execute(query, (id,)).fetchall())

    async def notices(self, readers: int, each: int) -> list[Notice]:
        """Return up to *each* notices for up to *readers* readers."""
        query = (
            "SELECT reader, at, text, status, number FROM ("
            "  SELECT *, row_number() OVER (PARTITION BY reader ORDER BY number) AS place FROM notice"
            "  WHERE reader IN (SELECT reader FROM notice GROUP BY reader ORDER BY min(number) LIMIT ?)"
            ") WHERE place <= ? ORDER BY number"
        )
        found = await self._read(lambda connection: connection.execute(query, (readers, each)).fetchall())
        return [Notice(*row) for row in found]

    async def hints(self) -> dict[str, Hint]:
        """Return all retry hints."""
        found = await self._read(lambda connection: connection.execute("SELECT * FROM hint").fetchall())
        return {
            key: Hint(first, last, next_, bool(gone), errno, text, *hold)
            for key, first, last, next_, gone, errno, text, *hold in found
        }

    # -- steering

    async def freeze(self, ids: Collection[str], frozen: bool, *, at_once: bool = True, pause: float = 0.0) -> int:
        """Freeze or thaw; return how many there are of these."""
        now = self._now() + pause

        def job(connection: sqlite3.Connection) -> int:
            found = rows.numbers(connection, ids)
            rows.freeze(connection, found, frozen, now, at_once=at_once)
            return len(found)

        return int(await self._steer(job))

    async def hurry(self, ids: Collection[str] | None) -> int:
        """Make these messages (None: all that are not frozen) due now; return how many."""
        now = self._now()

        def job(connection: sqlite3.Connection) -> int:
            assert ids is not None
            found = rows.numbers(connection, ids)
            rows.hurry(connection, found, now)
            return len(found)

        if ids is not None:
            return int(await self._steer(job))
        last: int | None = 0
        while last is not None:  # mail that comes in meanwhile must not wait for all of it
            last = await self._writer.steer(partial(rows.hurry_some, after=last, count=AT_ONCE, now=now))
        counts = await self.counts()
        return counts.messages - counts.frozen

    async def remove(self, ids: Collection[str]) -> int:
        """Remove messages; return how many."""

        removed = await self._steer(lambda connection: rows.remove_by_id(connection, ids))
        for id, in_file in removed:
            if in_file:
                self._spares.add(self._path(id))
        return len(removed)

    async def add_recipients(self, id: str, recipients: Sequence[Recipient]) -> None:
        """Let a message have more recipients, due at once."""
        now = self._now()

        def job(connection: sqlite3.Connection) -> None:
            rows.add_recipients(connection, id, recipients, now)

        await self._steer(job)

    async def set_sender(self, id: str, sender: Address) -> None:
        """Let a message be from somebody else."""
        update = "UPDATE message SET sender = ? WHERE id = ?"
        await self._steer(lambda connection: connection.execute(update, (str(sender), id)) and None)

    async def mark_done(self, id: str, addresses: Collection[str]) -> None:
        """Let these recipients of a message count as done, and the message stay although all may be."""
        update = "UPDATE recipient SET state = 1 WHERE message = (SELECT seq FROM message WHERE id = ?) AND address = ?"
        values = [(id, address) for address in addresses]
        await self._steer(lambda connection: connection.executemany(update, values) and None)

    async def finished(self) -> list[str]:
        """Return the ids of messages of which every recipient is marked as done."""
        return [id for (id,) in await self._read(lambda connection: connection.execute(_FINISHED).fetchall())]

    async def reserve(self, ids: Collection[str]) -> list[str]:
        """Claim these messages without reading them; return those that were free."""
        free = [id for id in ids if id not in self._claimed]
        self._claimed.update(free)
        return free

    async def close(self) -> None:
        """Write what is waiting to be written, and close."""
        await self._writer.close()
        self._reader.shutdown()
        self._spares.clear()
        self._syncer.stop()
        for descriptor in (self._content_descriptor, *self._unsynced.values()):
            if descriptor is not None:
                os.close(descriptor)
        for connection in self._connections:
            connection.close()
        if self._lock is not None:
            os.close(self._lock)

    # -- inside

    def _path(self, id: str) -> Path:
        """Return where the content of *id* lies."""
        return self._content / _well_formed(id)

    async def _whole(self) -> None:
        """Return when all that this keeper has is in the database."""

    async def _read_all(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what *work* reads of all that there is."""
        await self._whole()
        return await self._read(work)

    async def _steer(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Change any of all that there is in a transaction of its own, which may take long."""
        await self._whole()
        return await self._writer.steer(job)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what *work* reads, all of it of one moment."""

        def read(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.execute("ROLLBACK")

        try:
            return await asyncio.get_running_loop().run_in_executor(self._reader, read, self._read_connection)
        except sqlite3.Error as error:
            raise spool_trouble(error) from error

    def _by_id(self, connection: sqlite3.Connection, id: str) -> Pending | None:
        seq = rows.find(connection, id)
        return None if seq is None else self._by_seq(connection, seq)

    def _by_seq(self, connection: sqlite3.Connection, seq: int, is_due: rows.IsDue | None = None) -> Pending | None:
        row = connection.execute(f"{rows.MESSAGE} WHERE seq = ? AND damaged = ''", (seq,)).fetchone()
        if row is None:
            return None
        try:
            return rows.pending(connection, row, self._path, is_due)
        except rows.Damaged as error:
            self._put_aside(seq, str(row[1]), str(error))
            return None

    def _put_aside(self, seq: int, id: str, why: str) -> None:
        """Keep a damaged message out of the way: it stays in the database, frozen, and is never sent."""
        if id in self._put_aside_already:
            return  # it was met again before it was marked
        self._put_aside_already.add(id)

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE message SET damaged = ? WHERE seq = ?", (why, seq))
            rows.freeze(connection, [seq], True, self._now())

        self._loop.call_soon_threadsafe(self._writer.soon, job, lambda _: self._set_aside(id, why))

    async def _sweep(self) -> None:
        """Take away content files that no row names: their message was never accepted, or is finished."""

        def read(connection: sqlite3.Connection) -> set[str]:
            return {id for (id,) in connection.execute("SELECT id FROM message WHERE in_file = 1")}

        named = await self._read(read)
        orphans = [path for path in self._content.iterdir() if SHAPE.fullmatch(path.name) and path.name not in named]
        for id, why in taken_away(orphans).items():
            self._left_behind(id, why)

    def _left_behind(self, id: str, why: str) -> None:
        self._set_aside(id, f"its content file stays behind: {why}")
