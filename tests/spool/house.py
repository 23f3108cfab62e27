"""A keeper with a tray, messages for it, and what a crash would leave: a copy of its files."""

from __future__ import annotations

import shutil
from pathlib import Path

from smarthostd.address import Address
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.message_id import MessageIds
from smarthostd.spool.sqlite import SqliteSpool
from smarthostd.spool.trayed import TraySpool
from tests.clocks import HeldClock

ME = Address("me", "here")
ANN, BEN = Recipient(Address("ann", "x")), Recipient(Address("ben", "x"))


class House:
    """A keeper, messages for it, and what a crash would leave."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = HeldClock()
        self.ids = MessageIds(self.clock)
        self.spool: TraySpool
        self.crashes = 0

    async def open(self) -> None:
        self.spool = await TraySpool.open(self.directory, now=self.clock.now)

    def message(self, *recipients: Recipient, sender: Address = ME) -> Message:
        self.clock.pass_(1)
        envelope = Envelope(sender, recipients or (ANN,))
        return Message(self.ids.new(), self.clock.now(), envelope, Content(b"Subject: x\r\n\r\nhello\r\n"))

    async def put(self, *recipients: Recipient) -> str:
        """Put a message that is worked on at once; return its id."""
        message = self.message(*recipients)
        await self.spool.put(message, claim=True)
        return message.id

    def crash(self) -> Path:
        """Return what is on disk now, in a directory of its own."""
        self.crashes += 1
        copy = self.directory.with_name(f"crash {self.crashes}")
        shutil.copytree(self.directory, copy)
        return copy

    async def written(self) -> None:
        """Return when what may wait for company is written, too."""
        await self.spool._tray.settle()
        await self.spool._writer.do(lambda connection: None)

    def in_database(self) -> list[str]:
        """Return the ids of the messages that are in the database."""
        with_rows = self.spool._connections.background.execute("SELECT id FROM message ORDER BY seq")
        return [id for (id,) in with_rows]


async def found(directory: Path, *, lock: bool = True) -> dict[str, list[str]]:
    """Return what a keeper that opens *directory* finds: who of each message is not done."""
    spool = await SqliteSpool.open(directory, lock=lock)
    try:
        return {one.id: [who for who, done, _ in one.recipients if not done] for one in await spool.summaries()}
    finally:
        await spool.close()
