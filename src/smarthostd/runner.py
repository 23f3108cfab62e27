"""The queue runner: keeps a bounded window of messages under way.

A new message goes straight from intake into the window, its content still in memory, when there is
room (:meth:`Runner.offer`); else it waits in the spool like any other. The runner sleeps until the
next recipient is due, a destination opens or wants a probe, or somebody wakes it.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from datetime import timedelta

from smarthostd.clock import Clock
from smarthostd.company import Company
from smarthostd.delivery import Delivery
from smarthostd.errors import SpoolError
from smarthostd.health import Memory
from smarthostd.mainlog import MainLog
from smarthostd.spool.base import Pending, Spool

AT_ONCE = 10
"""Attempts that begin in one turn of the event loop: each may take milliseconds until it waits for something, and who
hands in mail is not to wait for a whole window of them."""
LONGEST_SLEEP = 60.0
"""Seconds: the clock may have jumped while we slept."""
WATCH_INTERVAL = 1.0
"""Seconds between looks at the files whose change ends a hold."""
LOOK_INTERVAL = 60.0
"""Seconds between looks at frozen messages whose time has come, and at reports that wait for a digest."""
SPOOL_TROUBLE_PAUSE = 5.0
"""Seconds before the spool is asked again after it failed."""


class Runner:
    """Claims what is due and hands it to delivery, never more than *window* messages at once."""

    def __init__(
        self, spool: Spool, delivery: Delivery, memory: Memory, log: MainLog, clock: Clock, window: int
    ) -> None:
        self._spool = spool
        self._delivery = delivery
        self._health = memory.health
        self._hints = memory.hints
        self._log = log
        self._clock = clock
        self._window = window
        self._active: dict[str, asyncio.Task[None]] = {}
        self._company = Company(self._begin)
        self._opened: set[str] = set()
        self._unclaimed: set[str] = set()  # to be probed, but at most what is under way waits for them
        self._wanted: deque[str] = deque()
        self._wake = asyncio.Event()
        self._backlog = True
        self._stopping = False
        self._until = math.inf
        """When the loop will look by itself; while it is looking, never: what it has not seen is to be said."""
        self._looked = clock.now()
        self._probes: dict[str, str] = {}
        self._health.on_open(self.opened)
        self._hints.on_cleared(self.opened)

    # -- what others tell the runner

    def room(self) -> bool:
        """Whether a new message can be offered; if not, it is put without a claim and found later."""
        if self.active < self._window and not self._stopping:
            return True
        self._backlog = True
        return False

    def offer(self, pending: Pending) -> None:
        """Work on this new, claimed message, now or with others that come in the next milliseconds."""
        if self._stopping:
            self._begin(pending)
        else:
            self._company.join(pending)

    def opened(self, destination: str) -> None:
        """Mail that waits for *destination* is due."""
        self._opened.add(destination)
        self.wake()

    def want(self, id: str) -> None:
        """Try this message now, whatever it waits for, frozen or not, in ``hold_domains`` or not."""
        self._wanted.append(id)
        self.wake()

    async def give_up(self, id: str, who: str) -> bool:
        """End this message because *who* wants it, and tell its sender; return whether it was there and free."""
        pending = await self._spool.claim_one(id)
        if pending is None:
            return False
        try:
            left = await self._delivery.give_up(pending, who)
        except BaseException:  # who wants it waits no longer, say, for a spool in trouble
            await self._spool.release([id])
            raise
        if left.reports:
            self.wake()
        return True

    def deliver_by(self, delivery: Delivery) -> None:
        """Make the attempts from now on by *delivery*; those under way end as they began."""
        self._delivery = delivery

    def wake(self) -> None:
        """Look at the spool: something may be due."""
        self._backlog = True
        self._wake.set()

    def is_trying(self, id: str) -> bool:
        """Whether an attempt at the message *id* is under way."""
        return id in self._active or id in self._company

    @property
    def active(self) -> int:
        """How many messages are under way, or about to be."""
        return len(self._active) + len(self._company)

    # -- the loop

    async def run(self) -> None:
        """Run the queue until cancelled or drained."""
        await self._suspect_unknown()
        self._wanted += await self._spool.finished()
        watcher = asyncio.create_task(self._watch())
        try:
            while not self._stopping:
                self._wake.clear()
                self._until = math.inf
                try:
                    await self._fill()
                    until = await self._next_look()
                except SpoolError as error:
                    self._log.noted(f"the queue cannot be read, trying again: {error}")
                    until = self._clock.now() + SPOOL_TROUBLE_PAUSE
                self._until = until
                try:
                    await asyncio.wait_for(self._wake.wait(), max(until - self._clock.now(), 0.0))
                except TimeoutError:
                    self._backlog = True  # at the end of the pause something is due
        finally:
            watcher.cancel()

    async def drain(self, grace: timedelta) -> int:
        """Finish what is under way within *grace*, and begin nothing; then let go. Return how many were cut short."""
        self._stopping = True
        self._company.set_out()
        self._wake.set()
        loop = asyncio.get_running_loop()
        end = loop.time() + grace.total_seconds()
        while self._active and (left := end - loop.time()) > 0:  # intake may hand on what it had counted on room for
            await asyncio.wait(self._active.values(), timeout=left)
        cut = list(self._active.items())
        for _, task in cut:
            task.cancel()
        await asyncio.gather(*(task for _, task in cut), return_exceptions=True)
        return len(cut)

    async def _fill(self) -> None:
        """Claim as much as there is room for: what is wanted, probes, what opened, what is due."""
        await self._fill_with_wanted()
        if self._looked - self._clock.now() > LOOK_INTERVAL:
            await self._turned_back(self._looked - self._clock.now())
        for key in self._probes_due():
            await self._probe(key)
        if abs(self._clock.now() - self._looked) >= LOOK_INTERVAL:
            await self._look_around()
        while self._backlog and not self._stopping and (room := self._window - self.active) > 0:
            await self._begin_all(await self._claim(room))

    def _begin(self, pending: Pending, *, forced: bool = False) -> None:
        task = asyncio.get_running_loop().create_task(self._work(pending, forced=forced))
        self._active[pending.message.id] = task

    async def _begin_all(self, claimed: Sequence[Pending], *, forced: bool = False) -> None:
        """Work on what was *claimed*; what has not begun when the house empties is let go: it would only be cut."""
        for number, pending in enumerate(claimed):
            if self._stopping:
                await self._spool.release([one.message.id for one in claimed[number:]])
                return
            self._begin(pending, forced=forced)
            if (number + 1) % AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _claim(self, room: int) -> list[Pending]:
        """Claim some of what is due; while there is any, there may be more.

        What opens meanwhile is for the next time. What has closed again is for its probe.
        """
        closed = self._health.states()
        opened = {key for key in self._opened if key not in closed and key not in self._hints}
        self._opened.clear()
        self._backlog = False
        try:
            claimed = await self._spool.claim(self._clock.now(), room, destinations=opened)
        except SpoolError:
            self._opened |= opened
            raise
        if claimed:
            self._opened |= opened
            self._backlog = True
        return claimed

    async def _fill_with_wanted(self) -> None:
        while self._wanted and not self._stopping and self.active < self._window:
            pending = await self._spool.claim_one(self._wanted[0])
            self._wanted.popleft()
            await self._begin_all([pending] if pending else [], forced=True)

    async def _probe(self, key: str) -> None:
        """Send one message that waits for *key*; where none waits, there is nothing to know."""
        claimed = await self._spool.claim_waiting(key)
        if claimed:
            self._probes[claimed.message.id] = key
            self._health.probe(key, claimed.message.id)
            await self._begin_all([claimed])
        elif self.active:
            self._unclaimed.add(key)  # until one of these has ended
        else:
            self._health.forget(key)

    def _probes_due(self) -> list[str]:
        """Return the destinations to probe now."""
        return [key for key in self._health.probes_due() if key not in self._unclaimed]

    async def _look_around(self) -> None:
        """See to what has no time of its own: frozen messages, and reports that wait for one another."""
        self._looked = self._clock.now()
        try:
            self._backlog = await self._delivery.send_digests() or self._backlog
        except SpoolError:
            raise
        except Exception as error:  # a defect of ours, which must not stop the queue
            self._log.panicked("", "digest", error)
        room = max(0, self._window - self.active)
        await self._begin_all(await self._spool.claim_frozen(self._delivery.thawing(), room))

    async def _turned_back(self, seconds: float) -> None:
        """The clock was set back: what waits for a time would wait for so much longer, so all of it is tried now."""
        self._looked = self._clock.now()
        self._log.noted(f"the clock was set back by {seconds:.0f}s or more: what waits is tried now")
        self._health.turned_back()
        await self._spool.hurry(None)
        self._backlog = True

    async def _next_look(self) -> float:
        """Return until when nothing will be due, in seconds since the epoch."""
        latest = self._clock.now() + LONGEST_SLEEP
        if self.active >= self._window:
            self._backlog = True
            return latest
        look = self._looked + LOOK_INTERVAL
        probe = self._health.next_probe(self._unclaimed)
        times = [time for time in (await self._spool.next_due(), probe, look) if time is not None]
        return min(*times, latest)

    async def _work(self, pending: Pending, *, forced: bool) -> None:
        id = pending.message.id
        try:
            left = await self._delivery.attempt(pending, forced=forced)
            if left.reports or left.due < self._until or self._probe_before(self._until):
                self.wake()  # the pause was reckoned without them
        except asyncio.CancelledError:
            await self._spool.release([id])
        except Exception as error:  # the message stays claimed by nobody and is tried again
            self._log.panicked(id, "attempt", error)
            await self._spool.release([id])
        finally:
            del self._active[id]
            if probed := self._probes.pop(id, ""):
                self._health.probed(probed, id)
            if self._unclaimed or (self._backlog and self.active <= self._window // 2):
                self._unclaimed.clear()
                self._wake.set()

    def _probe_before(self, time: float) -> bool:
        """Whether a destination is to be probed before *time*."""
        probe = self._health.next_probe(self._unclaimed)
        return probe is not None and probe < time

    async def _watch(self) -> None:
        """Release what is held when the file that was wrong has changed."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            if self._health.any_held and self._health.release_mended():
                self.wake()

    async def _suspect_unknown(self) -> None:
        """Probe each destination that mail waits for and of which nothing is remembered."""
        for key in await self._spool.destinations():
            if key not in self._hints:
                self._health.suspect(key)
