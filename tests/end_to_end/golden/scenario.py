"""One golden delivery, step by step through the public command: ``smarthostd exim --strict -C conf …``.

Each call runs in this process, one after the other, as Exim's processes did; one that is ``run_as`` somebody has that
user's id as its real one, as Exim's set-id program has. A daemon is our daemon, and a client speaks with it over TCP.
Names are those of the records' zone, and time stands still but for the steps that sleep.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from smarthostd.clock import SystemClock
from smarthostd.config.load import Loaded, load
from smarthostd.config.settings import DIFFERENCES, NEVER_WHOLESALE
from smarthostd.daemon import Daemon
from smarthostd.hints import Hint
from smarthostd.spool.base import Waiting
from smarthostd.spool.sqlite import SqliteSpool
from tests.cli.calls import call, like_the_golden_machine
from tests.clocks import HeldClock
from tests.golden import Record, dns_zone

PATIENCE = 20.0
"""Seconds after which what does not come fails the test."""
ID = re.compile(r"\b[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}\b")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", re.MULTILINE)


@dataclass
class Story:
    """What came of a record; ids are numbered as in the records."""

    log: list[str] = field(default_factory=list)
    panic: list[str] = field(default_factory=list)
    answers: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    """What each step's command has printed, and its exit status."""
    dialogues: list[list[str]] = field(default_factory=list)
    """What was said in each session with the daemon."""
    mbox: str = ""
    sessions: dict[str, list[list[str]]] = field(default_factory=dict)
    messages: dict[str, list[str]] = field(default_factory=dict)
    hints: dict[str, Hint] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    """What the spool holds of recipients that are not done."""


class Scenario:
    """A record under way in *directory*."""

    def __init__(self, record: Record, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.record = record.placed(directory)
        self._directory = directory
        self._clock = HeldClock(time.time())
        self._ids: list[str] = []
        like_the_golden_machine(monkeypatch, dns_zone())
        monkeypatch.setattr(SystemClock, "now", staticmethod(self._clock.now))
        self._configure()

    def _configure(self) -> None:
        """Add what the record's configuration cannot say: where our own things are, and no connection is kept.

        Exim's processes end with their message, and so do their connections.
        """
        path = self._directory / "conf"
        ports = [step["daemon"] for step in self.record.input["steps"] if "daemon" in step]
        own = {"runtime_directory": self._directory / "run", "drop_directory": self._directory / "drop"}
        own |= {"local_interfaces": "127.0.0.1", "daemon_smtp_ports": ports[0]} if ports else {}
        text = "".join(f"{name} = {value}\n" for name, value in own.items()).encode() + path.read_bytes()
        if b"connection_max_messages" not in text:
            text = text.replace(b"driver = smtp\n", b"driver = smtp\n  connection_max_messages = 1\n")
        path.write_bytes(text)

    def play(self, fake_smtp: ModuleType) -> Story:
        """Go through all steps; return what came of them."""
        story = Story()
        with servers_of(self.record, fake_smtp) as servers:
            if any("daemon" in step for step in self.record.input["steps"]):
                asyncio.run(self._with_daemon(story))
            else:
                for number, step in enumerate(self.record.input["steps"]):
                    self._step(number, step, story)
        for place, server in servers.items():
            story.sessions[place] = server.log
            story.messages[place] = [self._named(text_of(one)) for one in server.messages]
        mbox = self._directory / "spool" / "mbox"
        story.mbox = self._named(text_of(mbox.read_bytes())) if mbox.exists() else ""
        story.log = [self._named(line) for line in self._log_lines("mainlog")]
        story.panic = [self._named(line) for line in self._log_lines("paniclog")]
        asyncio.run(self._look_into_the_spool(story))
        return story

    # -- steps

    def _step(self, number: int, step: dict[str, Any], story: Story) -> None:
        match step:
            case {"sleep": seconds}:
                self._clock.pass_(seconds)
            case {"args": words}:
                if "stdin" in step:
                    self._clock.pass_(1)
                with _as(step.get("run_as", "root")):
                    asked = ["--strict", "-C", str(self._directory / "conf"), *map(self._with_ids, words)]
                    answer = call(asked, step.get("stdin", ""))
                self._note_ids()
                out, err = (_STAMP.sub("", self._named(text)) for text in (answer.out, answer.err))
                story.answers[number] = (out.replace("\r\n", "\n"), err, answer.status)

    def _with_ids(self, word: str) -> str:
        return re.sub(r"@ID(\d+)@", self._id, word)

    def _id(self, match: re.Match[str]) -> str:
        number = int(match[1]) - 1
        return self._ids[number] if number < len(self._ids) else "1aaaaa-000000-00"

    # -- a daemon, and a client of its

    async def _with_daemon(self, story: Story) -> None:
        daemon = Daemon(self._loaded(), self._loaded, {})
        serving = asyncio.create_task(daemon.run())
        for step in self.record.input["steps"]:
            match step:
                case {"smtp": port, "lines": lines}:
                    story.dialogues.append(await dialogue_with(port, lines))
        await self._until_quiet(daemon)
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(serving, PATIENCE)
        self._note_ids()
        story.dialogues = [[self._named(line) for line in lines] for lines in story.dialogues]

    async def _until_quiet(self, daemon: Daemon) -> None:
        """Wait until nothing is under way and nothing is due, reports included: the daemon's spool has its own time."""
        spool, runner = daemon._spool, daemon._runner
        async with asyncio.timeout(PATIENCE):
            while runner.active or await _due(spool):
                self._clock.time = max(self._clock.time, time.time())
                await asyncio.sleep(0)
            self._clock.time = max(self._clock.time, time.time())

    def _loaded(self) -> Loaded:
        loaded = load(self._directory / "conf", {}, lenient=True)
        strict = DIFFERENCES - set(NEVER_WHOLESALE)
        return replace(loaded, settings=loaded.settings.model_copy(update={"exim_strict": strict}))

    # -- what is seen

    def _log_lines(self, name: str) -> list[str]:
        log = self._directory / "log" / name
        text = log.read_text(errors="surrogateescape") if log.exists() else ""
        return [_STAMP.sub("", line) for line in text.splitlines()]

    def _note_ids(self) -> None:
        for line in self._log_lines("mainlog"):
            self._ids += [id for id in dict.fromkeys(ID.findall(line)) if id not in self._ids]

    def _named(self, text: str) -> str:
        for number, id in enumerate(self._ids, 1):
            text = text.replace(id, f"@ID{number}@")
        return text

    async def _look_into_the_spool(self, story: Story) -> None:
        spool = await SqliteSpool.open(self._directory / "spool", now=self._clock.now)
        try:
            story.hints = await spool.hints()
            rows = [row for one in await spool.summaries() for row in one.recipients]
            story.waiting = [waiting for _, done, waiting in rows if waiting and not done]
        finally:
            await spool.close()


@contextmanager
def _as(login: str) -> Iterator[None]:
    """Be *login* to those who ask for the real user, and root to the kernel: a set-id program's state."""
    uid = pwd.getpwnam(login).pw_uid
    os.setresuid(uid, -1, -1)
    try:
        yield
    finally:
        os.setresuid(0, -1, -1)


async def dialogue_with(port: int, lines: list[str]) -> list[str]:
    """Say *lines* to the daemon, each when the last one is answered; return all that was said.

    A message that nobody waits for is left out.
    """
    reader, writer = await _connected(port)
    said = await _reply(reader)
    for line in lines:
        if "\n" in line and not said[-1].startswith("S: 354"):
            continue
        said.append("C: (message)" if "\n" in line else f"C: {line}")
        writer.write(line.replace("\n", "\r\n").encode("utf-8", "surrogateescape") + b"\r\n")
        try:
            heard = await _reply(reader)
        except (ConnectionResetError, BrokenPipeError):  # closed before it had read what we said
            break
        if not heard:  # closed
            break
        said += heard
    writer.close()
    return said


async def _connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection to the daemon, once it listens."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0)


async def _reply(reader: asyncio.StreamReader) -> list[str]:
    """Return the lines of one reply."""
    said: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while line := (await reader.readline()).decode("utf-8", "surrogateescape").rstrip("\r\n"):
            said.append(f"S: {line}")
            if line[3:4] != "-":
                break
    return said


async def _due(spool: SqliteSpool) -> bool:
    waiting = [
        one for summary in await spool.summaries() if not summary.frozen for _, _, one in summary.recipients if one
    ]
    return any(one.until <= SystemClock.now() for one in waiting)


def text_of(octets: bytes) -> str:
    """Return octets as the records have them: CRLF as LF."""
    return octets.decode("utf-8", "surrogateescape").replace("\r\n", "\n")


@contextmanager
def servers_of(record: Record, fake_smtp: ModuleType) -> Iterator[dict[str, Any]]:
    """Run the record's servers."""
    servers = {}
    try:
        for place, script in record.input["servers"].items():
            address, _, port = place.partition(":")
            servers[place] = fake_smtp.Server(address, int(port or 25), script)
        yield servers
    finally:
        for server in servers.values():
            server.close()
