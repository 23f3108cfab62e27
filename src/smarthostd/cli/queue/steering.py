"""Changes to queued messages, made by a tool, with a daemon or without one.

A change must not meet an attempt at the same message. The daemon keeps in memory what it works on, and is asked first
to reserve the messages (:mod:`smarthostd.control`); what it works on just now is told as busy and left alone. Without
a daemon nobody works on anything. What was done is written to the log, by the daemon if there is one.

Many messages are changed in batches, each a transaction of some milliseconds: between them the daemon writes what comes
in. A tool that is interrupted ends behind a batch, so that what is changed is also told in the log.

What makes attempts is imported where it is needed: a look at the queue must not pay for it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from smarthostd.address import Address
from smarthostd.cli.common import caller
from smarthostd.config import Loaded
from smarthostd.control import Answer, ask
from smarthostd.envelope import Recipient
from smarthostd.errors import ControlError
from smarthostd.message_id import SHAPE
from smarthostd.spool import tray
from smarthostd.spool.base import NOT_FOUND
from smarthostd.spool.sqlite import AT_ONCE, SqliteSpool

if TYPE_CHECKING:
    from smarthostd.mainlog import MainLog

BATCH = AT_ONCE
"""Messages that are changed at a time: few enough for one answer of the daemon, which waits for no tool."""
THAWING = 60.0
"""Seconds after which messages are due that a tool was thawing when it was killed."""
REPORTS = 100
"""Messages that are given up at a time: each is a report to be written, and perhaps delivered."""


class Fate(Enum):
    """What became of the wish to change a message."""

    CHANGED = "changed"
    SAME = "is already so"
    MISSING = "is not in the queue"
    BUSY = "is being delivered just now"


Fates = dict[str, Fate]
Change = Callable[[list[str]], Awaitable[Any]]


class Queue(Struct, frozen=True):
    """The queue in a tool's hands."""

    loaded: Loaded
    spool: SqliteSpool
    who: str
    log: _OwnLog
    advance: Callable[[int], object] = lambda count: None
    """Is told of each batch that is done."""
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    """Is set when no further batch is to be begun; messages that were not come to have no fate."""

    def ask(self, command: str, **arguments: Any) -> Answer | None:
        """Ask the daemon; None where there is none. Raises ControlError."""
        return _ask(self.loaded, command, **arguments)

    async def tell(self, lines: Sequence[tuple[str, str]], *, let_go: Sequence[str] = ()) -> None:
        """Have *lines* on messages written to the log; messages that are reserved may be tried again."""
        if not (lines or let_go):
            return
        if self.ask("release", ids=list(let_go), lines=lines) is None and lines:
            log = await self.log.opened()
            for id, line in lines:
                log.told(id, line)

    # -- changes

    async def freeze(self, ids: Sequence[str]) -> Fates:
        """Keep messages from being tried."""
        change = _Change(lambda ids: self.spool.freeze(ids, True), (f"frozen by {self.who}",), frozen=False)
        return await self._change(ids, change)

    async def thaw(self, ids: Sequence[str], *, at_once: bool = True) -> Fates:
        """Let frozen messages be tried again, *at_once* or when it is time.

        Of many the daemon tries none before all are thawed: the two would stand in one another's way.
        """
        lines = (f"unfrozen by {self.who}",)
        pause = THAWING if at_once and len(ids) > BATCH else 0.0
        change = _Change(lambda ids: self.spool.freeze(ids, False, at_once=at_once, pause=pause), lines, frozen=True)
        fates = await self._change(ids, change)
        if pause:
            thawed = [id for id, fate in fates.items() if fate is Fate.CHANGED]
            for at in range(0, len(thawed), BATCH):
                await self.spool.hurry(thawed[at : at + BATCH])
            self.ask("release")  # has it look at the spool
        return fates

    async def remove(self, ids: Sequence[str]) -> Fates:
        """Remove messages; nobody is told."""
        return await self._change(ids, _Change(self.spool.remove, (f"removed by {self.who}", "Completed")))

    async def add_recipients(self, id: str, addresses: Sequence[Address]) -> Fate:
        """Let a message go to more addresses."""
        recipients = [Recipient(address) for address in addresses]
        lines = [f"recipient <{address}> added by {self.who}" for address in addresses]
        return await self._edit(id, lambda ids: self.spool.add_recipients(id, recipients), lines)

    async def set_sender(self, id: str, sender: Address) -> Fate:
        """Let a message be from somebody else."""
        line = f"sender address changed to <{sender}> by {self.who}"
        return await self._edit(id, lambda ids: self.spool.set_sender(id, sender), [line])

    async def mark_done(self, id: str, addresses: Sequence[str]) -> Fate:
        """Let recipients count as served; the attempt that finds nobody left completes the message."""
        lines = [f"address <{address}> marked delivered by {self.who}" for address in addresses]
        fate = await self._edit(id, lambda ids: self.spool.mark_done(id, addresses), lines)
        if fate is Fate.CHANGED and id in await self.spool.finished():
            self.ask("complete", ids=[id])
        return fate

    async def retry(self, ids: Sequence[str]) -> Fates:
        """Let messages be tried now, frozen ones too; without a daemon, when it starts."""
        fates: Fates = {}
        for some in self._batches(ids):
            there = await self.spool.standing(some)
            if self.ask("retry", ids=list(there)) is None:
                await self.spool.freeze([id for id, frozen in there.items() if frozen], False)
                await self.spool.hurry(list(there))
            fates |= {id: _fate(id, there) for id in some}
        return fates

    async def bounce(self, ids: Sequence[str]) -> Fates:
        """Give messages up, and tell their senders."""
        if self.ask("status") is None:
            from smarthostd.queue_run import ByHand

            async with ByHand(self.loaded) as hand:
                return await self._each(ids, lambda some: hand.give_up(some, self.who))
        return await self._each(ids, self._have_given_up)

    async def _have_given_up(self, ids: Sequence[str]) -> list[str]:
        answer = self.ask("give_up", ids=list(ids), who=self.who)
        return list(ids) if answer is None else list(answer["left"])

    async def _each(self, ids: Sequence[str], end: Callable[[Sequence[str]], Awaitable[list[str]]]) -> Fates:
        """Have messages ended by *end*, which returns those that it could not."""
        fates: Fates = {}
        for some in self._batches(ids, REPORTS):
            there = await self.spool.standing(some)
            left = set(await end(list(there)))
            fates |= {id: _fate(id, there, left) for id in some}
            await self.tell([(id, line) for id in some if id not in there for line in _lines(id, Fate.MISSING, ())])
        return fates

    # -- how

    async def _edit(self, id: str, work: Change, lines: Sequence[str]) -> Fate:
        return (await self._change([id], _Change(work, lines)))[id]

    async def _change(self, ids: Sequence[str], change: _Change) -> Fates:
        """Make a change to those messages that are there and free."""
        fates: Fates = {}
        for some in self._batches(ids):
            answer = self.ask("reserve", ids=some)
            if answer is None:
                await self.log.opened()  # where it cannot be written, nothing is changed
            free = some if answer is None else list(answer["free"])
            told: list[tuple[str, str]] = []
            try:
                mine = await self._change_free(some, free, change)
                told = [(id, line) for id, fate in mine.items() for line in _lines(id, fate, change.lines)]
                fates |= mine
            finally:
                await self.tell(told, let_go=free)
        return fates

    async def _change_free(self, ids: Sequence[str], free: Sequence[str], change: _Change) -> Fates:
        there = await self.spool.standing(ids)
        busy = set(ids).difference(free)
        fates = {id: _fate(id, there, busy) for id in ids}
        if change.frozen is not None:
            fates |= {id: Fate.SAME for id in free if there.get(id, change.frozen) is not change.frozen}
        changed = [id for id, fate in fates.items() if fate is Fate.CHANGED]
        if changed:
            await change.work(changed)
        return fates

    def _batches(self, ids: Sequence[str], size: int = 0) -> Iterator[list[str]]:
        """Yield *ids*, each once, so many at a time; none after an interrupt."""
        unique = list(dict.fromkeys(ids))
        size = size or BATCH
        for at in range(0, len(unique), size):
            if self.interrupted.is_set():
                return
            some = unique[at : at + size]
            yield some
            self.advance(len(some))


def _ask(loaded: Loaded, command: str, **arguments: Any) -> Answer | None:
    return ask(Path(loaded.settings.runtime_directory) / "control.sock", command, **arguments)


class _OwnLog:
    """The log as a tool writes it where no daemon does: opened for the first line."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._exits = AsyncExitStack()
        self._log: MainLog | None = None

    async def opened(self) -> MainLog:
        """Return the log; raises ConfigurationError where it cannot be written."""
        if self._log is None:
            from smarthostd.queue_run import tool_log

            self._log = await self._exits.enter_async_context(tool_log(self._loaded))
        return self._log

    async def close(self) -> None:
        """Write what is left to be written."""
        await self._exits.aclose()


class _Change(Struct, frozen=True):
    """What is done to messages, the lines that the log gets of each, and what *frozen* must be for it to make sense."""

    work: Change
    lines: Sequence[str]
    frozen: bool | None = None


def _lines(id: str, fate: Fate, lines: Sequence[str]) -> Sequence[str]:
    """Return what the log gets."""
    match fate:
        case Fate.CHANGED:
            return lines
        case Fate.MISSING if SHAPE.fullmatch(id):
            return [NOT_FOUND.format(id)]
        case _:
            return []


def _fate(id: str, there: Collection[str], busy: Collection[str] = ()) -> Fate:
    if id not in there:
        return Fate.MISSING
    return Fate.BUSY if id in busy else Fate.CHANGED


@asynccontextmanager
async def opened(loaded: Loaded, advance: Callable[[int], object] = lambda count: None) -> AsyncIterator[Queue]:
    """Open the spool beside the daemon, if there is one, for as long as this lasts; raises SpoolError."""
    directory = Path(loaded.settings.spool_directory)
    async with AsyncExitStack() as undo:
        if tray.is_in(directory):
            with suppress(ControlError):  # without the daemon all is there that was not put in just now
                _ask(loaded, "settle")
        spool = await SqliteSpool.open(directory, lock=False)
        undo.push_async_callback(spool.close)
        log = _OwnLog(loaded)
        undo.push_async_callback(log.close)
        yield Queue(loaded, spool, caller() or f"uid{os.getuid()}", log, advance)
