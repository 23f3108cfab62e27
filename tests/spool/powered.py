"""A keeper at work, as a process of its own whose system calls are traced: ``python -m tests.spool.powered SPOOL``.

Into the file ``promises`` in the spool go lines of JSON, each with all that must be true from then on: ``there``, who
of which message is not done, and ``gone``, what never comes back. What stands in neither may be as it likes. A line
that takes a promise back is written before the call that ends it, a new promise behind the call that makes it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from smarthostd.address import NULL_SENDER, Address
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.message_id import MessageIds
from smarthostd.spool import tray, writer
from smarthostd.spool.base import Changes, Waiting
from smarthostd.spool.trayed import TraySpool
from tests.clocks import HeldClock

ME = Address("me", "here")
ANN, BEN = Recipient(Address("ann", "x")), Recipient(Address("ben", "x"))
SMALL, LONG, LARGE = 100, 9_000, 90_000
"""Octets of a message of one page in the tray, of one of several, and of one that has a file."""
PROMISES = "promises"


def body(id: str, size: int) -> bytes:
    """Return the content of the message *id*, in which each line is another."""
    lines = [f"{id} line {number} of {size}".encode() for number in range(size // 40)]
    return b"Subject: x\r\n\r\n" + b"\r\n".join(lines) + b"\r\n"


class Work:
    """One keeper, and what has been promised."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = HeldClock()
        self.ids = MessageIds(self.clock)
        self.spool: TraySpool
        self._there: dict[str, list[str]] = {}
        self._gone: list[str] = []
        self._promises = os.open(directory / PROMISES, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    async def open(self) -> None:
        self.spool = await TraySpool.open(self.directory, now=self.clock.now)

    def message(self, *recipients: Recipient, size: int = SMALL, sender: Address = ME) -> Message:
        self.clock.pass_(1)
        id = self.ids.new()
        content = Content(body(id, size))
        if size >= LARGE:
            sink = self.spool.sink(id)
            sink.write(body(id, size))
            content = sink.content(b"")
        return Message(id, self.clock.now(), Envelope(sender, recipients or (ANN,)), content)

    def promise(self, id: str = "", *who: str) -> None:
        """The message *id* is there for *who* from now on; for nobody: it never comes back."""
        if id and who:
            self._there[id] = list(who)
        elif id:
            self._gone.append(id)
        os.write(self._promises, json.dumps({"there": self._there, "gone": self._gone}).encode() + b"\n")

    def take_back(self, id: str) -> None:
        """Promise nothing of the message *id*."""
        self._there.pop(id, None)
        self.promise()

    async def put(self, *recipients: Recipient, size: int = SMALL) -> str:
        """Put a message that is worked on at once."""
        message = self.message(*recipients, size=size)
        await self.spool.put(message, claim=True)
        self.promise(message.id, *(str(one.address) for one in message.envelope.recipients))
        return message.id

    async def deliver(self, *ids: str) -> None:
        """Record that they are delivered; each may come back until that is written."""
        for id in ids:
            self.take_back(id)
            await self.spool.record(id, Changes(done=[ANN]))

    async def defer(self, id: str) -> None:
        """Record that Ann has it and Ben waits."""
        self.take_back(id)
        await self.spool.record(id, Changes(done=[ANN], waiting={BEN: Waiting(self.clock.now() + 60)}))
        self.promise(id, "ben@x")

    async def bounce(self, id: str) -> None:
        """Record that it failed, with a report."""
        report = self.message(sender=NULL_SENDER)
        self.take_back(id)
        await self.spool.record(id, Changes(done=[ANN], new=[report]))
        self.promise(report.id, "ann@x")
        self.promise(id)

    async def remove(self, id: str) -> None:
        """Do as a tool does."""
        await self.spool.settle()
        self.take_back(id)
        await self.spool.remove([id])
        self.promise(id)


async def work(directory: Path) -> None:
    """Do everything that a keeper does, one after the other, and twice at once; end without an end."""
    tray.SEGMENT, writer.CHECKPOINT_AFTER = 6 * tray.PAGE, 12
    directory.mkdir(exist_ok=True)
    one = Work(directory)
    await one.open()
    for _ in range(2):
        kept = await one.put(ANN, BEN)
        large, other = await one.put(size=LARGE), await one.put(ANN, BEN, size=LARGE)
        await one.defer(kept)
        await one.defer(other)
        await one.deliver(large)
        await one.bounce(await one.put(size=LONG))
        free, removed = await one.put(), await one.put(BEN)
        await one.spool.release([free, removed])
        await one.remove(removed)
        for size in (SMALL, LONG, SMALL, SMALL, LONG) * 3:
            together = await asyncio.gather(*(one.put(size=size) for _ in range(2)))
            await one.deliver(*together)
        delivered = [await one.put(), await one.put(size=LARGE)]
        await one.deliver(*delivered)
        under_way = await one.put(size=LONG)
        await one.spool.release([under_way])
        await one.spool.close()
        for id in delivered:
            one.promise(id)
        await one.open()
    await one.put()
    await one.put(size=LARGE)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1])))
