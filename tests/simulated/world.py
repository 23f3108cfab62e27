"""A relay in one process on a held clock, and the smarthost that it forwards to.

Everything is real but the time: the road is the daemon's (``road.build_road``), with its runner, its spool on disk and
its sockets on loopback. Time goes by in jumps to the moment at which something is due, so that nothing is skipped that
a real clock would have shown.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from smarthostd.address import Address
from smarthostd.config.settings import Settings
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.mainlog import MainLog
from smarthostd.message_id import MessageIds
from smarthostd.road import Surroundings, build_road
from smarthostd.runner import Runner
from smarthostd.spool.base import Changes
from smarthostd.spool.sqlite import SqliteSpool
from tests.clocks import HeldClock
from tests.smtp.scripted import Answer, Script, Server

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
START = 1_700_000_000.0
PATIENCE = 30
"""Real seconds that the relay may take until nothing is due."""
READS = 8
"""More reads than the runner makes between two sleeps, if it finds nothing."""
WINDOW = 500
"""Messages under way at a time, as in the daemon."""
CONNECTIONS = 20
"""``hosts_max_parallel``: how many connections are made at a time before the first has told anything."""
SENDER = Address("me", "home.example")


class Smarthost(Server):
    """A smarthost that says what *answers* holds just now, by command word, and notes when somebody connects."""

    def __init__(self, clock: HeldClock, offers: Sequence[str] = ("PIPELINING", "8BITMIME")) -> None:
        self.answers: dict[str, Answer] = {}
        super().__init__(Script(self.answers, offers))
        self._clock = clock
        self.connected: list[float] = []

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected.append(self._clock.now() - START)
        super()._accept(reader, writer)

    def taken(self) -> Counter[str]:
        """Return how often each message, by its subject, has been taken."""
        contents = [content for heard in self.heard for content in heard.contents]
        return Counter(match[1].decode() for one in contents if (match := re.search(rb"^Subject: (.*)\r$", one, re.M)))


class Relay:
    """The relay; ``restart`` gives it a new process's memory over the same spool."""

    def __init__(self, directory: Path, settings: Settings, clock: HeldClock) -> None:
        self.clock = clock
        self._directory = directory
        self._settings = settings
        self._ids = MessageIds(clock)
        self._log: list[tuple[float, str]] = []

    # -- its life

    async def start(self) -> None:
        """Open the spool and run the queue."""
        self.spool = await SqliteSpool.open(self._directory / "spool", now=self.clock.now)
        log = MainLog(self._write, self.clock)
        self._road = build_road(self._settings, "", Surroundings(self.spool, log, self.clock, log))
        self._road.memory.restore(await self.spool.hints())
        self._runner = Runner(self.spool, self._road.delivery, self._road.memory, log, self.clock, WINDOW)
        self._running = asyncio.create_task(self._runner.run())

    async def stop(self) -> None:
        """Finish, as at SIGTERM."""
        await self._runner.drain(timedelta(seconds=PATIENCE))
        await self._running
        await self._road.close()
        await self.spool.close()

    async def restart(self) -> None:
        """Stop and start."""
        await self.stop()
        await self.start()

    def _write(self, line: str) -> None:
        self._log.append((self.clock.now() - START, line[20:]))

    # -- mail and time

    async def put(self, *subjects: str, sender: Address = SENDER) -> None:
        """Put messages into the spool, due now."""
        for subject in subjects:
            envelope = Envelope(sender, (Recipient(Address("you", "there.example")),))
            content = Content(f"Message-ID: <{subject}@home.example>\r\nSubject: {subject}\r\n\r\nhello\r\n".encode())
            now = self.clock.now()
            await self.spool.put(Message(self._ids.new(), now, envelope, content, f"{subject}@home.example", subject))

    async def pass_(self, seconds: float) -> None:
        """Let so much time go by, with all that becomes due on the way."""
        end = self.clock.now() + seconds
        await self.settle()
        while (due := await self._next()) is not None and due <= end:
            self.clock.pass_(max(due - self.clock.now(), 1.0))
            await self.settle()
        self.clock.pass_(end - self.clock.now())
        await self.settle()

    async def mended(self) -> None:
        """Wait until the runner has seen that a file has changed, which it looks for by the real clock; then settle."""
        async with asyncio.timeout(PATIENCE):
            while self._road.memory.health.any_held:  # noqa: ASYNC110 - nobody tells that the hold is over
                await asyncio.sleep(0.01)
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing is under way or due."""
        self._runner.wake()
        async with asyncio.timeout(PATIENCE):
            quiet = 0
            while quiet < READS:  # the runner's reads of the spool and ours take turns
                due = await self._next()
                quiet = quiet + 1 if not self._runner.active and (due is None or due > self.clock.now()) else 0

    async def _next(self) -> float | None:
        """Return when something is due next."""
        times = (await self.spool.next_due(), self._road.memory.health.next_probe())
        return min((time for time in times if time is not None), default=None)

    # -- what is seen

    def lines(self, pattern: str) -> list[tuple[float, str]]:
        """Return the log's lines that match, each with the seconds since the start."""
        return [(time, line) for time, line in self._log if re.search(pattern, line)]

    def times(self, pattern: str) -> list[float]:
        """Return when lines that match were written."""
        return [time for time, _ in self.lines(pattern)]

    async def waiting(self) -> int:
        """Return how many messages are in the queue."""
        # What is done goes with the next write; a record of no message is one.
        await self.spool.record("", Changes(frozen=False))
        count, _ = await self.spool.count()
        return count

    def failures(self) -> list[str]:
        """Return the addresses whose failure SENDER was told of."""
        return self._reported(r"^X-Failed-Recipients: (.*)$")

    def warnings(self) -> list[str]:
        """Return the subjects of the delay warnings that SENDER was sent."""
        return self._reported(r"^Subject: (Warning: message .* delayed .*)$")

    def _reported(self, pattern: str) -> list[str]:
        box = self._directory / "box"
        return re.findall(pattern, box.read_text(), re.MULTILINE) if box.exists() else []


def settings(directory: Path, port: int, **options: Any) -> Settings:
    """Return settings that forward to *port* of this machine, but put what is for SENDER into a file."""
    transport = options.pop("transport", {})
    return Settings.model_validate({
        "primary_hostname": "home.example",
        "routers": {
            "local": {"driver": "accept", "domains": "home.example", "transport": "box"},
            "out": {
                "driver": "manualroute", "route_list": f"* 127.0.0.1::{port}", "transport": "smarthost", "self": "send",
            },
        },
        "transports": {
            "box": {"driver": "appendfile", "file": str(directory / "box")},
            "smarthost": {"driver": "smtp", "hosts_max_parallel": CONNECTIONS, **transport},
        },
        **options,
    })  # fmt: skip


@asynccontextmanager
async def world(
    directory: Path, offers: Sequence[str] = ("PIPELINING", "8BITMIME"), **options: Any
) -> AsyncIterator[tuple[Relay, Smarthost]]:
    """Lend a relay with these main options (``transport`` is the smtp transport's), and its smarthost."""
    clock = HeldClock(START)
    smarthost = Smarthost(clock, offers)
    await smarthost.start()
    relay = Relay(directory, settings(directory, smarthost.port, **options), clock)
    await relay.start()
    try:
        yield relay, smarthost
    finally:
        await relay.stop()
        await smarthost.stop()
