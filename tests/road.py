"""The road in one process on a held clock: real from the spool to a mailbox file, with no client and no daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from smarthostd import headers
from smarthostd.address import Address
from smarthostd.config.settings import Settings
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.mainlog import MainLog
from smarthostd.message_id import MessageIds
from smarthostd.road import Surroundings, build_road
from smarthostd.runner import Runner
from smarthostd.spool.base import Pending, Waiting
from smarthostd.spool.sqlite import SqliteSpool
from tests.clocks import HeldClock

PATIENCE = 10
"""Seconds after which a line that does not come fails the test."""
READS = 8
"""More than the runner makes before it sleeps, if it finds nothing."""
SENDER = Address("sender", "box.example")


class Road:
    """Spool, runner, routers and a mailbox."""

    def __init__(self, box: Path, spool: SqliteSpool, clock: HeldClock, settings: Settings) -> None:
        self.clock, self.spool, self.box = clock, spool, box
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        log = MainLog(lambda line: self._lines.put_nowait(line[20:]), clock)
        self._ids = MessageIds(clock)
        built = build_road(settings, "", Surroundings(spool, log, clock, log))
        self.memory, self.delivery = built.memory, built.delivery
        self.bounces = built.delivery._bounces  # for tests that break it
        self.runner = Runner(spool, self.delivery, self.memory, log, clock, 10)

    async def put(self, *recipients: str, sender: Address = SENDER) -> str:
        """Put a small message into the spool, due now; return its id."""
        to = tuple(Recipient(Address.parse(one)) for one in recipients)
        return await self.put_envelope(Envelope(sender, to), b"Subject: hello\r\n\r\nbody\r\n")

    async def put_envelope(self, envelope: Envelope, content: bytes) -> str:
        """Put a message with all that may be said of it; return its id."""
        message = self._message(envelope, content)
        await self.spool.put(message)
        self.runner.wake()
        return message.id

    async def offer(self, recipient: str) -> str:
        """Put a message and offer it to the runner, as intake does; return its id."""
        envelope = Envelope(SENDER, (Recipient(Address.parse(recipient)),))
        message = self._message(envelope, b"Subject: hello\r\n\r\nbody\r\n")
        await self.spool.put(message, claim=True)
        self.runner.offer(Pending(message, dict.fromkeys(envelope.recipients, Waiting(self.clock.now()))))
        return message.id

    def _message(self, envelope: Envelope, content: bytes) -> Message:
        seen = headers.scan(content)
        return Message(self._ids.new(), self.clock.now(), envelope, Content(content), seen.message_id, seen.subject)

    async def story(self, *ends: str) -> list[str]:
        """Return the log's lines up to one that ends with each of *ends*, in this order; ids become 1, 2 …"""
        lines: list[str] = []
        for end in ends:
            while True:
                lines.append(await asyncio.wait_for(self._lines.get(), PATIENCE))
                if lines[-1].endswith(end):
                    break
        ids = dict.fromkeys(line.partition(" ")[0] for line in lines)
        for number, id in enumerate(ids, 1):
            lines = [line.replace(id, str(number)) for line in lines]
        return lines

    def pass_(self, seconds: float) -> None:
        """Let time go by, and the runner see it."""
        self.clock.pass_(seconds)
        self.runner.wake()

    async def looked(self) -> None:
        """Wait until the runner, if it was awake, has looked at the spool: its reads and ours take turns."""
        for _ in range(READS):
            await self.spool.next_due()

    async def quiet(self) -> None:
        """Wait until no attempt is under way: what the log told is then also written."""
        async with asyncio.timeout(PATIENCE):
            while self.runner.active:  # noqa: ASYNC110 - the runner tells nobody when it is idle
                await asyncio.sleep(0)

    async def empty_or_waiting(self) -> None:
        """Wait until nothing is due any more, reports included."""
        async with asyncio.timeout(PATIENCE):
            while self.runner.active or await self._due():
                self.runner.wake()
                await asyncio.sleep(0)

    async def _due(self) -> bool:
        """Whether a recipient is due, claimed or not."""
        waiting = [one for summary in await self.spool.summaries() for _, _, one in summary.recipients if one]
        return any(one.until <= self.clock.now() for one in waiting)

    async def frozen(self) -> list[str]:
        """Return what is frozen when nothing is under way."""
        await self.quiet()
        return await self.spool.frozen()


@asynccontextmanager
async def road(box: Path, settings: Settings) -> AsyncIterator[Road]:
    """Build one that delivers by *settings*, its runner running; *box* is the file that their transports write."""
    clock = HeldClock()
    spool = await SqliteSpool.open(box.parent / "spool", now=clock.now)
    one = Road(box, spool, clock, settings)
    running = asyncio.create_task(one.runner.run())
    try:
        yield one
    finally:
        await one.runner.drain(timedelta(seconds=PATIENCE))
        await running
        await spool.close()
