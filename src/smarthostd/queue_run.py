"""A queue run by a tool, while no daemon has the spool: message by message, and then it ends (``exim -q``, ``-M``).

It keeps to the times that the daemon keeps to, and leaves behind in the spool what it has learned. With *forced* those
times do not count; yet a destination that does not serve the first message is not tried again for the next one, for
the first has tried it just now.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from msgspec import Struct

from smarthostd.admission import has_queue_file
from smarthostd.alarms import Announcer
from smarthostd.clock import SystemClock
from smarthostd.delivery import AS_USUAL, How
from smarthostd.envelope import Message, Recipient
from smarthostd.errors import ConfigurationError, SpoolError
from smarthostd.logwriter import LogWriter, Stderr
from smarthostd.mainlog import MainLog
from smarthostd.retry import Subject
from smarthostd.road import HELD, QUEUED, Surroundings, alarm_options, build_road, log_places, log_style
from smarthostd.spool.base import NOT_FOUND, Pending, Summary, Waiting
from smarthostd.spool.sqlite import SqliteSpool

if TYPE_CHECKING:
    from smarthostd.config.load import Loaded

PAGE = 500
"""Messages whose summaries are read at a time."""


class QueueRun(Struct, frozen=True):
    """What a queue run takes, and what it minds (exim.md 9.3)."""

    flags: str = ""
    """As the log shows them: `` -qff``."""
    forced: bool = False
    """Times for retries do not count."""
    first_forced: bool = False
    """They do not count for the first message that is taken; the others profit from what it finds out."""
    frozen: bool = False
    """Frozen messages are taken, too."""
    local_only: bool = False
    """Deliveries to other hosts are left for the next run."""
    new_only: bool = False
    first: str = ""
    last: str = ""
    """The ids between which a message's must be; empty for no end."""
    recipient: re.Pattern[str] | None = None
    """What a recipient that is not done must have in it."""
    sender: re.Pattern[str] | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is said of which messages it takes."""
        return not (self.new_only or self.first or self.recipient or self.sender)

    def takes(self, summary: Summary) -> bool:
        """Return whether a message is one of those."""
        if (self.first and summary.id < self.first) or (self.last and summary.id > self.last):
            return False
        if self.new_only and any(waiting and waiting.attempts for _, _, waiting in summary.recipients):
            return False
        if self.sender and not self.sender.search(summary.sender):
            return False
        pattern = self.recipient
        return not pattern or any(pattern.search(address) for address, done, _ in summary.recipients if not done)


@contextlib.asynccontextmanager
async def tool_log(loaded: Loaded, alarmed: Callable[[str], object] = lambda line: None) -> AsyncIterator[MainLog]:
    """Yield the main log for a tool: the daemon's files and syslog, but not the tool's own terminal.

    *alarmed* is told what goes to the panic log. Raises SpoolError where nothing can be written: what is not told
    is not done.
    """
    try:
        writer = LogWriter([place for place in log_places(loaded.settings) if not isinstance(place, Stderr)])
    except ConfigurationError as error:
        raise SpoolError(str(error)) from error

    def aside(log: str, line: str) -> None:
        writer.write_to(log, line)
        if log == "panic":
            alarmed(line)

    try:
        yield MainLog(writer.write, SystemClock(), log_style(loaded.settings), aside)
    finally:
        writer.close()


class ByHand:
    """The road in a tool's hands; entering it raises SpoolLocked while a daemon has the spool."""

    def __init__(self, loaded: Loaded, alarmed: Callable[[str], object] = lambda line: None) -> None:
        """*alarmed* is told what goes to the panic log."""
        self._loaded = loaded
        self._alarmed = alarmed
        self._exits = contextlib.AsyncExitStack()

    async def __aenter__(self) -> ByHand:
        settings = self._loaded.settings
        async with contextlib.AsyncExitStack() as undo:
            self.log = await undo.enter_async_context(tool_log(self._loaded, self._alarmed))
            self.spool = await SqliteSpool.open(Path(settings.spool_directory), now=SystemClock.now)
            undo.push_async_callback(self.spool.close)
            alarms = Announcer(self.log, alarm_options(settings))
            undo.push_async_callback(alarms.close, settings.alarm_timeout)
            self._around = Surroundings(self.spool, self.log, SystemClock(), alarms)
            self.road = build_road(settings, self._loaded.source, self._around)
            undo.push_async_callback(self.road.close)
            self.road.memory.restore(await self.spool.hints(), soon=False)
            self._exits = undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    # -- what tools ask for

    async def run(self, run: QueueRun) -> None:
        """Run the queue as it is now once, the oldest message first."""
        self.log.queue_run("Start", run.flags)
        if run.local_only:
            self.road = self.road.local_only(self._loaded.settings, self._around)
        first = run.forced or run.first_forced
        if first:
            self.road.memory.health.release()
        for id in await self._taken(run):
            pending = await self.spool.claim_one(id)
            if pending is not None:
                forced = run.forced or first
                await self._try(pending, forced=forced, frozen=run.frozen, all_of_it=forced)
                first = False
        self.log.queue_run("End", run.flags)

    async def _taken(self, run: QueueRun) -> list[str]:
        """Return the ids of the messages that *run* takes: before it begins, for it changes what is there."""
        ids: list[str] = []
        after = ""
        while page := await self.spool.summaries(PAGE, after):
            after = page[-1].id
            ids += [summary.id for summary in page if run.takes(summary)]
        return ids

    async def deliver(self, ids: Collection[str], *, forced: bool, how: How = AS_USUAL) -> None:
        """Try these messages, *how* they are to be tried; *forced*, whatever they wait for, frozen or not."""
        if forced:
            self.road.memory.health.release()
        for id in ids:
            pending = await self.spool.claim_one(id)
            if pending is None:
                self.log.told(id, NOT_FOUND.format(id))
            else:
                await self._try(pending, forced=forced, frozen=forced, all_of_it=True, how=how)

    async def give_up(self, ids: Collection[str], who: str) -> list[str]:
        """End these messages, and tell their senders; return those that are gone."""
        gone = []
        for id in ids:
            pending = await self.spool.claim_one(id)
            if pending is None:
                gone.append(id)
            else:
                await self._deliver_reports((await self.road.delivery.give_up(pending, who)).reports)
        return gone

    # -- one message

    async def _try(self, pending: Pending, *, forced: bool, frozen: bool, all_of_it: bool, how: How = AS_USUAL) -> None:
        """Make an attempt, but leave alone what is frozen, unless that is to be taken or its time has come."""
        id = pending.message.id
        if pending.frozen and not (frozen or self.road.delivery.thawing().takes(pending)):
            self.log.still_frozen(id)
            await self.spool.release([id])
        else:
            await self._attempt(pending, forced=forced, all_of_it=all_of_it or pending.frozen, how=how)

    async def _attempt(self, pending: Pending, *, forced: bool, all_of_it: bool, how: How = AS_USUAL) -> None:
        """Try a message's recipients whose time has come, or all; of the others the log says that it has not."""
        if not all_of_it:
            pending = self._due(pending)
            await self.road.delivery.tell_later(pending)
        # Where nobody is left for now, the sender may have to be warned of that.
        left = await self.road.delivery.attempt(pending, forced=forced, how=how)
        await self._deliver_reports(left.reports, how)

    def _due(self, pending: Pending) -> Pending:
        """Put off the recipients whose time has not come, or their domain's, which another message has found out."""
        now = SystemClock.now()

        def is_due(recipient: Recipient, waiting: Waiting) -> bool:
            if self.road.delivery.holds_back(recipient, waiting) or waiting.reason in (HELD, QUEUED):
                return True  # to be told so, or not held any longer: it was a queue run that this waited for
            if self._is_put_off(recipient, pending.message, now):
                return False
            return self.road.memory.lets_go(waiting, now)

        return pending.due(is_due)

    def _is_put_off(self, recipient: Recipient, message: Message, now: float) -> bool:
        """Whether a hint says that it is not the time; what is older than retry rules last is tried all the same."""
        sender = str(message.envelope.sender)
        address = str(recipient.address).lower()
        for key in (f"R:{recipient.address.domain.lower()}", f"R:{address}", f"R:{address}:<{sender}>"):
            hint = self.road.memory.hints.find(key, now)
            if hint is None or hint.next_try <= now:
                continue
            if "@" not in key:
                return not hint.expired
            subject = Subject(str(recipient.address), hint.error, sender)
            return now - message.received <= self.road.parts.retry.patience(subject)
        return False

    async def _deliver_reports(self, ids: Collection[str], how: How = AS_USUAL) -> None:
        """Try the reports that an attempt has put into the spool, as that was made; not with a ``queue_only_file``."""
        if ids and has_queue_file(self._loaded.settings):
            return
        for id in ids:
            pending = await self.spool.claim_one(id)
            if pending is not None:
                await self._attempt(pending, forced=False, all_of_it=True, how=how)
