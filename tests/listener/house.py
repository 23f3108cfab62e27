"""A listener on a loopback port, over a real spool, with nothing behind it: mail stays in the queue."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from smarthostd.clock import SystemClock
from smarthostd.intake import Intake, IntakePolicy
from smarthostd.listener import sockets
from smarthostd.listener.policy import Policy
from smarthostd.listener.server import Listener
from smarthostd.mainlog import MainLog
from smarthostd.message_id import MessageIds
from smarthostd.spool.base import Pending
from smarthostd.spool.sqlite import SqliteSpool

PATIENCE = 20.0


class House:
    """What a test needs of a running listener."""

    def __init__(self, listener: Listener, spool: SqliteSpool, port: int, log: list[str]) -> None:
        self.listener = listener
        self.spool = spool
        self.port = port
        self.log = log
        self.clients: list[Client] = []

    async def stored(self) -> list[Pending]:
        """Return all messages in the spool, the oldest first."""
        found = [await self.spool.load(summary.id) for summary in await self.spool.summaries()]
        return [pending for pending in found if pending]

    async def connect(self) -> Client:
        """Return a client that has read the greeting."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        client = Client(reader, writer)
        self.clients.append(client)
        client.greeting = await client.reply()
        return client


class Client:
    """A client that says just what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.greeting = ""

    async def reply(self) -> str:
        """Return the next reply, its lines joined by newlines; nothing when the connection has ended."""
        lines = []
        async with asyncio.timeout(PATIENCE):
            while True:
                line = (await self.reader.readline()).decode()
                if not line:
                    return "\n".join(lines)
                lines.append(line.rstrip("\r\n"))
                if line[3:4] != "-":
                    return "\n".join(lines)

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def say(self, line: str | bytes) -> str:
        """Send a line and return the reply."""
        await self.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return await self.reply()

    async def ready(self, *recipients: str) -> None:
        """Go as far as DATA would need."""
        assert (await self.say("EHLO client.example")).startswith("250")
        assert (await self.say("MAIL FROM:<a@b.example>")).startswith("250")
        for recipient in recipients or ("c@d.example",):
            assert (await self.say(f"RCPT TO:<{recipient}>")).startswith("250")

    async def data(self, octets: bytes) -> str:
        """Send a message, stuffed and ended as it is; return the verdict."""
        assert (await self.say("DATA")).startswith("354")
        await self.send(octets)
        return await self.reply()

    async def ended(self) -> bool:
        """Return whether the server has closed."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read() == b""

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def house(directory: Path, **changes: object) -> AsyncIterator[House]:
    """Run a listener whose policy has *changes*."""
    log: list[str] = []
    clock = SystemClock()
    spool = await SqliteSpool.open(directory / "spool")
    mainlog = MainLog(log.append, clock)
    intake_policy = IntakePolicy("relay.example", "qualify.example", "recipients.example", received_headers_max=30)
    intake = Intake(spool, MessageIds(clock), clock, intake_policy, mainlog)
    policy = replace(Policy("relay.example", relays_for=lambda address: True), **changes)  # type: ignore[arg-type]
    listener = Listener(policy, intake, mainlog)
    sock = sockets.tcp("127.0.0.1", 0)
    await listener.listen(sock)
    relay = House(listener, spool, sock.getsockname()[1], log)
    try:
        yield relay
    finally:
        for client in relay.clients:
            client.close()
            with contextlib.suppress(ConnectionError):
                await client.writer.wait_closed()
        await listener.drain(timedelta(seconds=1))
        await spool.close()
