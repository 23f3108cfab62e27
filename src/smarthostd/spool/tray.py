"""The tray: messages that are on their way as soon as they have come, in a journal and not in the database.

Most messages leave within milliseconds. To make a row for such a one and to take it away again is most of what keeping
it costs: seven pages of the database in fourteen writes. Here it is one write, synced before anybody is told, and that
it has gone is a few octets in one of the next writes. With one client mail goes 1.2 times as fast so. Who has to stay
is put into the database by ``sqlite.py``.

A record is all that came together: puts, and the ids of those that have gone. It begins at a multiple of
:data:`PAGE`, so a write that a loss of power has torn harms nothing before it, and has a checksum. Two segments are
written in turn; one is begun anew only when nothing in it is needed any more, under a new random mark, by which the
records of a segment are known: what lies behind the last one, perhaps within a message that a stranger has written,
cannot pass for a record.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from smarthostd.durable import sync_directory
from smarthostd.envelope import BLOCK, Content, Envelope, Message
from smarthostd.spool.gathering import QUICK, Gathering, Syncs
from smarthostd.spool.owner import give_away
from smarthostd.spool.threads import Threads, settle

PAGE = 4096
"""Octets that a disk writes as a whole, or a multiple of them."""
SEGMENT = 4 << 20
"""Octets after which a segment counts as full; the record that fills it may be longer."""
LONGEST_HOPE = 0.005
"""Seconds that a group waits for company on a slow disk, at most; and no longer than half a sync."""
NAMES = ("tray.0", "tray.1")
_TOO_MANY = frozenset({23, 24})
"""ENFILE, EMFILE: files are open elsewhere, which says nothing against this disk."""
_MAGIC = b"tray"
_MARK = 16
_HEADER = struct.Struct(f"<4s{_MARK}sII")
"""Magic, the segment's mark, the payload's length and its checksum."""

Done: TypeAlias = Callable[[OSError | None], None]


class _Put(Struct, frozen=True, array_like=True):
    """A message as the journal keeps it: small, and so all head."""

    id: str
    received: float
    envelope: Envelope
    head: bytes
    message_id: str
    subject: str

    def message(self) -> Message:
        """Return it."""
        return Message(self.id, self.received, self.envelope, Content(self.head), self.message_id, self.subject)


class _Record(Struct, frozen=True, array_like=True):
    """What one write says."""

    number: int
    """One more than that of the record before it, in whichever segment."""
    gone: list[str]
    puts: list[_Put]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Record)


class Unreadable(Exception):
    """A segment holds a record that is damaged, or is whole and says nothing that we know."""


def _records(segment: bytes) -> Iterator[_Record]:
    """Yield the records of a segment, the last of which may be torn; raises Unreadable, behind all that can be read.

    Where one follows that is not the last, its disk has damaged it: a segment's mark is written nowhere else.
    """
    at, mark, torn, damage = 0, b"", False, ""
    while at + _HEADER.size <= len(segment):
        magic, own, length, checksum = _HEADER.unpack_from(segment, at)
        if not at and magic != _MAGIC:
            return  # what lies behind may be a stranger's
        mark = mark or own
        payload = memoryview(segment)[at + _HEADER.size : at + _HEADER.size + length]
        if magic != _MAGIC or own != mark or len(payload) != length or zlib.crc32(payload, _seed(mark)) != checksum:
            torn = True
            at += PAGE
            continue
        if torn:
            torn, damage = False, "a record of it is damaged"
        try:
            yield _DECODER.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            damage = str(error)
        at += _pages(_HEADER.size + length)
    if damage:
        raise Unreadable(damage)


def _seed(mark: bytes) -> int:
    return zlib.crc32(mark)


def _pages(octets: int) -> int:
    """Return *octets*, rounded up to whole pages."""
    return -(-octets // PAGE) * PAGE


def left_in(directory: Path) -> tuple[list[Message], dict[Path, str]]:
    """Return what the journal in *directory* holds that has not gone, oldest first; and why a segment is unreadable.

    Raises OSError.
    """
    records: list[_Record] = []
    unreadable: dict[Path, str] = {}
    for path in (directory / name for name in NAMES):
        try:
            records += _records(path.read_bytes())
        except FileNotFoundError:
            continue
        except Unreadable as error:
            unreadable[path] = str(error)
    records.sort(key=lambda record: record.number)
    puts = {put.id: put for record in records for put in record.puts}
    for record in records:
        for id in record.gone:
            puts.pop(id, None)
    return [put.message() for put in puts.values()], unreadable


def is_in(directory: Path) -> bool:
    """Whether there is a journal in *directory*: who closes it takes it away, who is killed does not."""
    return any(os.path.exists(directory / name) for name in NAMES)  # noqa: PTH110 - Path's raises where one may not look


def remove(directory: Path) -> None:
    """Take the journal away, all of which is elsewhere or has gone; raises OSError."""
    # The earlier one goes first: what has gone of it stands in the later one.
    for path in sorted((directory / name for name in NAMES), key=_first_number):
        path.unlink(missing_ok=True)
        sync_directory(directory)


def _first_number(path: Path) -> int:
    """Return the number of the first record of a segment, -1 where there is none."""
    try:
        return next((record.number for record in _records(path.read_bytes())), -1)
    except (OSError, Unreadable):
        return -1


class _Segment:
    """One of the two files."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        give_away(path)
        self.end = 0
        self.lying = 0
        """How many of its messages are still needed."""
        self.is_stale = False
        """Whether its first page is still that of its last use."""
        self._mark = os.urandom(_MARK)

    def begin(self) -> None:
        """Begin anew: the next record is the first one."""
        self.end, self._mark, self.is_stale = 0, os.urandom(_MARK), True

    def write(self, payload: bytes) -> None:
        """Add a record; raises OSError."""
        octets = _HEADER.size + len(payload)
        header = _HEADER.pack(_MAGIC, self._mark, len(payload), zlib.crc32(payload, _seed(self._mark)))
        padding = bytes(_pages(octets) - octets)
        written = os.pwritev(self._descriptor, [header, payload, padding], self.end)
        if written != octets + len(padding):
            raise OSError(28, "there is no room for a record")
        self.end += written

    def sync(self) -> None:
        """Let what was written outlive a loss of power; raises OSError."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class _Lying(Struct):
    """A message in the tray."""

    message: Message
    since: float
    """The loop's time when it came."""
    segment: _Segment | None = None
    """Where it was written; None before that is synced."""


class _Request(Struct):
    """A message to be written, and who is told."""

    put: _Put | None
    """None: who is told only wants all that has gone by now to be written."""
    done: Done


class Tray(Gathering[_Request]):
    """The journal of a keeper; must be made and used on the event loop, by who has the spool locked.

    A journal that cannot be written or synced is not used again; what lies in it is still known.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self._segments: list[_Segment] = []
        """The one that is written comes first; none before they are needed."""
        self._lying: dict[str, _Lying] = {}
        self._gone: list[str] = []
        self._number = 0
        self.is_usable = True
        """Whether the journal is in order."""
        self._syncs = Syncs()
        """On a quick disk all are made on the loop, however many wait. With ten clients mail goes 1.1 times as fast so,
        for 0.9 of the processor time."""
        self._sizes = (0, 0)
        """How many requests the last two groups held."""
        self._is_hoping = False
        """Whether a group waits for company."""
        self._threads = Threads(1, "spool-tray")

    def take_over(self, left: Sequence[Message]) -> None:
        """Know what is *left* in a journal that is there, and is not written any more; raises OSError."""
        self.is_usable = False
        self._segments = self._opened()
        segment = self._segments[0]
        segment.lying = len(left)
        now = self._loop.time()
        self._lying = {message.id: _Lying(message, now, segment) for message in left}

    def put(self, message: Message, done: Done) -> bool:
        """Keep *message*, and call *done* when it is synced, or why it is not; return False if that cannot be."""
        content = message.content
        if content.file is not None or content.size > 2 * BLOCK or not self._has_room():
            return False
        put = _Put(message.id, message.received, message.envelope, content.head, message.message_id, message.subject)
        self._lying[message.id] = _Lying(message, self._loop.time())
        self._ask(_Request(put, done))
        return True

    def _has_room(self) -> bool:
        """Whether a message can be written, in this segment or, if that is full, in the other one."""
        if not self.is_usable:
            return False
        try:
            if not self._segments:
                self._segments = self._opened()
        except OSError as error:
            self.is_usable = error.errno in _TOO_MANY
            return False
        current, other = self._segments
        return current.end < SEGMENT or not other.lying

    def _opened(self) -> list[_Segment]:
        """Return both segments, which outlive a loss of power; raises OSError, and leaves none open."""
        with contextlib.ExitStack() as undo:
            segments = []
            for name in NAMES:
                segments.append(_Segment(self._directory / name))
                undo.callback(segments[-1].close)
            sync_directory(self._directory)
            undo.pop_all()
        return segments

    def count(self, but: Collection[str]) -> int:
        """Return how many messages lie here, *but* those."""
        return sum(id not in but for id in self._lying)

    def oldest(self, but: Collection[str]) -> float | None:
        """Return the loop's time when the first one came that lies here, *but* those."""
        return min((one.since for id, one in self._lying.items() if id not in but), default=None)

    def get(self, id: str) -> Message | None:
        """Return the message *id*, if it lies here."""
        lying = self._lying.get(id)
        return None if lying is None else lying.message

    def older_than(self, seconds: float) -> list[Message]:
        """Return what has been written and has lain here for so long."""
        before = self._loop.time() - seconds
        return [one.message for one in self._lying.values() if one.segment is not None and one.since <= before]

    def __len__(self) -> int:
        return len(self._lying)

    def gone(self, ids: Collection[str]) -> None:
        """These are not needed here any more; a restart knows it within ``LAZY_DELAY``, or with the next message."""
        for id in ids:
            lying = self._lying.pop(id, None)
            if lying is not None and lying.segment is not None:
                lying.segment.lying -= 1
                self._gone.append(id)
        if not self.is_usable:
            self._forget()
        elif self._gone:
            self._look_later()

    def _forget(self) -> None:
        """Take a journal that is out of order away when nothing lies there: a restart might bring all of it back."""
        self._gone.clear()
        if self._segments and not self._lying:
            with contextlib.suppress(OSError):
                remove(self._directory)

    def _is_owed(self) -> bool:
        """See ``Gathering``: the word of what has gone."""
        return bool(self._gone) and self.is_usable

    async def settle(self) -> None:
        """Return when it is written and synced what has gone; where it cannot be, a restart may bring it back."""
        if self.is_usable and (self._waiting or self._gone or not self._idle.is_set()):
            told: asyncio.Future[None] = self._loop.create_future()
            self._ask(_Request(None, lambda error: settle(told, None, None)))
            await told

    async def close(self) -> None:
        """Write what waits; where nothing lies here any more, the journal goes. Raises OSError."""
        await self.settle()
        await self._loop.run_in_executor(None, self._threads.stop)
        for segment in self._segments:
            segment.close()
        if self._segments and not self._lying:
            remove(self._directory)

    # -- committing

    def _ask(self, request: _Request) -> None:
        """See ``Gathering``."""
        super()._ask(request)
        if self._is_hoping and not self._is_small():
            self._is_hoping = False
            super()._gather_from(0)

    def _gather_from(self, turns: int, in_vain: int = 0) -> None:
        """See ``Gathering``; on a slow disk a small group waits a moment for company.

        Those who were told at the same time come again at nearly the same time: without this the first one has a sync
        for itself, and all the others wait for that one first. So they fall into two groups, one of which works while
        the other is synced. With syncs of 5 ms three clients get 1.8 times the rate, ten 1.3 times, fifty the same; a
        single one never waits.
        """
        self._is_hoping = turns == 0 and self._syncs.took > QUICK and self._is_small()
        if not self._is_hoping:
            super()._gather_from(turns, in_vain)
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(min(self._syncs.took / 2, LONGEST_HOPE), self._commit)

    def _is_small(self) -> bool:
        """Whether what waits is less than half of what came in one of the last two groups."""
        return 2 * len(self._waiting) < max(self._sizes)

    def _commit(self) -> None:
        """See ``Gathering``."""
        self._timer = None
        self._is_hoping = False
        self._idle.clear()
        self._number += 1
        segment = self._turn()
        group: list[_Request] = []
        gone: list[str] = []
        if segment.is_stale:  # first a page alone: of a longer record all but that might outlive a loss of power
            segment.is_stale = False
        else:
            group, self._waiting = self._waiting, []
            gone, self._gone = self._gone, []
            self._sizes = (len(group), self._sizes[0])
        try:
            if not self.is_usable:
                raise OSError(5, "the tray is out of order")
            puts = [request.put for request in group if request.put is not None]
            segment.write(_ENCODER.encode(_Record(self._number, gone, puts)))
        except Exception as error:  # a defect, too, must not keep the others waiting for ever
            self._gone = gone + self._gone
            self._failed(group, error)
            return
        if self._syncs.is_quick:
            self._synced(segment, group, None, self._syncs.make_here(segment.sync))
        else:
            self._threads.ask(partial(self._syncs.make, segment.sync), partial(self._synced, segment, group))

    def _turn(self) -> _Segment:
        """Return the segment to be written: the other one, if this one is full."""
        current, other = self._segments
        if current.end >= SEGMENT and not other.lying:
            other.begin()
            self._segments.reverse()
        return self._segments[0]

    def _synced(self, segment: _Segment, group: Sequence[_Request], _: None, error: Exception | None) -> None:
        if error is not None:
            self._failed(group, error)
            return
        for request in group:
            if request.put is not None and (lying := self._lying.get(request.put.id)) is not None:
                lying.segment = segment
                segment.lying += 1
        for request in group:
            self._tell(request.done, None)
        self._go_on()

    def _failed(self, group: Sequence[_Request], error: Exception) -> None:
        """Tell who waits that it is not to be."""
        own = error if isinstance(error, OSError) else OSError(22, str(error))
        self.is_usable = self.is_usable and not isinstance(error, OSError)
        for request in group:
            if request.put is not None:
                self._lying.pop(request.put.id, None)
        for request in group:
            self._tell(request.done, own)
        if not self.is_usable:
            self._forget()
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting:
            self._gather_from(0)
        else:
            self._idle.set()
            if self._gone:
                self._look_later()
