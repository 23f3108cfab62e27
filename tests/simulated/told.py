"""A story told by the real Exim and by us: what each has logged at each step, and what it remembers at the end.

Exim lives in a time of its own by libfaketime (Debian's ``faketime``), which is told at each step how far it is from
ours; our clock is held there. The hosts are served in a thread, for both programs wait for them.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from smarthostd.address import NULL_SENDER, Address
from smarthostd.clock import SystemClock
from smarthostd.envelope import Client, Content, Envelope, Message, Recipient
from smarthostd.message_id import MessageIds
from smarthostd.spool.sqlite import SqliteSpool
from tests.cli.calls import call
from tests.clocks import HeldClock
from tests.peers import presence
from tests.peers.exim import Exim
from tests.simulated.stories import REFUSED, STATES, Story
from tests.smtp.scripted import Script, Server

T = TypeVar("T")

PATIENCE = 60
MAIN = """\
primary_hostname = client.example.net
spool_directory = @DIR@/spool
log_file_path = @DIR@/log/%slog
timezone = UTC
@MAIN@
"""
ONLY_EXIM = "keep_environment = LD_PRELOAD : FAKETIME\ndeliver_drop_privilege\nqueue_run_in_order\n"
ONLY_OURS = "runtime_directory = @DIR@/run\n"
REST = """
begin routers
box:
  driver = accept
  domains = box.example
  transport = box
later:
  driver = redirect
  domains = later.example
  data = ${if exists{@STATE@/routes}{d@any.example}{:defer: no route yet}}
  allow_defer
  @ROUTER@
smarthost:
  driver = manualroute
  route_list = * "@HOSTS@" byname
  self = send
  transport = smarthost
begin transports
box:
  driver = appendfile
  file = @DIR@/mail/box
smarthost:
  driver = smtp
  connection_max_messages = 1
  hosts_try_chunking =
  @TRANSPORT@
begin retry
@RULES@
"""
CONTENT = b"From: me@box.example\nTo: you@box.example\nSubject: hi\nMessage-Id: <a@b>\n\none\n"
STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", re.MULTILINE)
ID = re.compile(r"\b[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}\b")
_ONE_SIDED = re.compile(r"mail for \S+ flows again|.*exim user lost privilege|.* <= ")
_ALIKE = (
    (re.compile(r"\b(S|pid)=\d+"), r"\1"),
    (
        re.compile(r"== (?:\S+ <)?([^ >]+)>? .*retry time not reached.*"),
        r"== \1 not due",
    ),  # Exim says which hint it was
    (re.compile(r"(defer \(111\): Connection refused) H=.*"), r"\1"),  # the host before this one
    (re.compile(r" \(maybe delivered\)$", re.MULTILINE), ""),
)

Hint = tuple[int, int, int, bool]
"""First failure, last try, next try, in seconds since the start; whether the last cutoff has passed."""


@dataclass(frozen=True)
class Told:
    """The log's lines of each step, those of a step sorted; and the hints of addresses, domains and hosts."""

    lines: list[list[str]]
    hints: dict[str, Hint]


def tell(story: Story, directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Told, Told]:
    """Let Exim and us do it, step by step; return what each has to tell."""
    clock = HeldClock(time.time())
    monkeypatch.setattr(SystemClock, "now", staticmethod(clock.now))
    start, offset = clock.now(), 0.0
    theirs: list[list[str]] = []
    ours: list[list[str]] = []
    with hosts(story.hosts) as servers:
        exim = ByExim(story, directory, servers.ports)
        us = ByUs(story, directory, servers.ports, clock)
        for step in story.steps:
            offset += step.minutes * 60
            if step.what == "host":
                servers.become(*step.words)
                continue
            if step.what == "routes":
                (directory / "routes").touch()
                continue
            clock.time, exim.offset = time.time() + offset, offset
            for one, lines in ((exim, theirs), (us, ours)):
                if step.what == "put":
                    one.put(step.words[0], step.words[1:])
                else:
                    one.run(*step.words)
                lines.append(one.new_lines())
        return Told(theirs, exim.hints(start)), Told(ours, us.hints(start))


# -- the hosts


class Hosts:
    """The next hops, at an address of their own each."""

    def __init__(self, names: Sequence[str]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._answers: dict[str, dict[str, str | None]] = {name: {} for name in names}
        self._servers: dict[str, Server] = {}
        self.ports: dict[str, int] = {}
        for name in names:
            self._listen(name)

    def become(self, name: str, state: str) -> None:
        """Let a host be in this state."""
        self._answers[name].clear()
        self._answers[name].update(STATES[state])
        if state == REFUSED:
            self._close(name)
        elif name not in self._servers:
            self._listen(name)

    def close(self) -> None:
        """Serve nobody any more."""
        for name in list(self._servers):
            self._close(name)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def _listen(self, name: str) -> None:
        server = Server(Script(self._answers[name], ("PIPELINING",)))
        self._await(server.start(name, self.ports.get(name, 0)))
        self._servers[name] = server
        self.ports[name] = server.port

    def _close(self, name: str) -> None:
        server = self._servers.pop(name, None)
        if server is not None:
            self._await(server.stop())

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)


@contextmanager
def hosts(names: Sequence[str]) -> Iterator[Hosts]:
    """Lend them."""
    own = Hosts(names)
    try:
        yield own
    finally:
        own.close()


# -- the two programs


class Teller:
    """What both have: a configuration, and a log that is read as it grows."""

    def __init__(self, story: Story, directory: Path, state: Path, ports: dict[str, int], main: str) -> None:
        self.directory = directory
        self.ids: list[str] = []
        self._log = directory / "log" / "mainlog"
        self._read = 0
        words = {
            "MAIN": "\n".join(story.main),
            "RULES": "\n".join(story.rules),
            "TRANSPORT": "\n  ".join(story.transport),
            "ROUTER": "\n  ".join(story.router),
            "HOSTS": " : ".join(f"{name}::{ports[name]}" for name in story.hosts),
            "STATE": str(state),
            "DIR": str(directory),
        }
        self.configuration = MAIN + main + REST
        for word, text in words.items():
            self.configuration = self.configuration.replace(f"@{word}@", text)

    def new_lines(self) -> list[str]:
        """Return what the log has got since the last time, without what cannot be the same."""
        text = self._log.read_text() if self._log.exists() else ""
        new, self._read = text[self._read :], len(text)
        new = STAMP.sub("", new)
        for number, id in enumerate(self.ids, 1):
            new = new.replace(id, f"<{number}>")
        new = ID.sub("<R>", new)
        for pattern, replacement in _ALIKE:
            new = pattern.sub(replacement, new)
        return sorted(line for line in new.splitlines() if not _ONE_SIDED.match(line))


class ByExim(Teller):
    """The real Exim, *offset* seconds ahead of us."""

    def __init__(self, story: Story, directory: Path, ports: dict[str, int]) -> None:
        super().__init__(story, directory / "exim", directory, ports, ONLY_EXIM)
        self.offset = 0.0
        self._exim = Exim(directory / "exim", self.configuration)

    def put(self, sender: str, recipients: Sequence[str]) -> None:
        """Queue a message."""
        done = self.run("-odq", "-oi", "-f", sender or "<>", *recipients, stdin=CONTENT)
        assert done == "", done
        queued = ID.findall(self._called("/usr/sbin/exim4", "-C", str(self.directory / "exim.conf"), "-bpr"))
        self.ids += [id for id in queued if id not in self.ids and self._came(id)]

    def run(self, *words: str, stdin: bytes = b"") -> str:
        """Call Exim; return what it says."""
        return self._called("/usr/sbin/exim4", "-C", str(self.directory / "exim.conf"), *words, stdin=stdin)

    def hints(self, start: float) -> dict[str, Hint]:
        """Return its hints, but for those of a message on a host: ours lie with the message."""
        stamp = r"(\d\d-\w{3}-\d{4} \d\d:\d\d:\d\d)"
        text = self._called("/usr/sbin/exim_dumpdb", str(self.directory / "spool"), "retry")
        found = {}
        for match in re.finditer(rf"^  (\S+) .*\n{stamp}  {stamp}  {stamp}( \*)?", text, re.MULTILINE):
            first, last, following = (round(_seconds(one) - start) for one in match.group(2, 3, 4))
            if not ID.search(match[1]):
                found[match[1]] = (first, last, following, bool(match[5]))
        return found

    def _came(self, id: str) -> bool:
        """Whether a message was put, and is no report."""
        return f" {id} <= <> R=" not in self._log.read_text()

    def _called(self, *words: str, stdin: bytes = b"") -> str:
        command = self._exim.command()
        command = command[: command.index("-i") + 1]
        environment = [f"LD_PRELOAD={library()}", f"FAKETIME=+{self.offset:.0f}", "TZ=UTC"]
        done = subprocess.run(
            [*command, *environment, *words], input=stdin, capture_output=True, timeout=PATIENCE, check=False
        )
        nothing_kept = "exim_dumpdb" in words[0]  # it fails where there are no hints
        assert done.returncode == 0 or nothing_kept, f"Exim ended with {done.returncode}: {done.stderr.decode()}"
        return re.sub(r".*exim user lost privilege.*\n\n?", "", (done.stdout + done.stderr).decode())


class ByUs(Teller):
    """``smarthostd exim``, in this process."""

    def __init__(self, story: Story, directory: Path, ports: dict[str, int], clock: HeldClock) -> None:
        super().__init__(story, directory / "ours", directory, ports, ONLY_OURS)
        for name in ("log", "mail"):
            (self.directory / name).mkdir(parents=True)
        self._configuration = self.directory / "smarthostd.conf"
        self._configuration.write_text(self.configuration)
        self._clock = clock
        self._made = MessageIds(clock)

    def put(self, sender: str, recipients: Sequence[str]) -> None:
        """Put a message into the spool."""
        to = tuple(Recipient(Address.parse(one)) for one in recipients)
        envelope = Envelope(Address.parse(sender) if sender else NULL_SENDER, to, client=Client("local", login="root"))
        content = Content(CONTENT.replace(b"\n", b"\r\n"))
        message = Message(self._made.new(), int(self._clock.now()), envelope, content, "a@b", "hi")
        self._with_spool(lambda spool: spool.put(message))
        self.ids.append(message.id)

    def run(self, *words: str) -> None:
        """Call it."""
        answer = call(["--strict", "-C", str(self._configuration), *words])
        assert answer.err == "", answer

    def hints(self, start: float) -> dict[str, Hint]:
        """Return what the spool holds, under Exim's keys."""
        return {
            re.sub(r"^T:smarthost:(.*):", r"T:\1:\1:", key): (
                round(hint.first_failed - start),
                round(hint.last_try - start),
                round(hint.next_try - start),
                hint.expired,
            )
            for key, hint in self._with_spool(lambda spool: spool.hints()).items()
        }

    def _with_spool(self, work: Callable[[SqliteSpool], Coroutine[Any, Any, T]]) -> T:
        async def within() -> T:
            spool = await SqliteSpool.open(self.directory / "spool", now=self._clock.now)
            try:
                return await work(spool)
            finally:
                await spool.close()

        return asyncio.run(within())


def library() -> str:
    """Return where libfaketime lies."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return str(found[0]) if found else presence.absent("libfaketime is not installed (Debian package faketime)")


def _seconds(stamp: str) -> float:
    return datetime.strptime(stamp, "%d-%b-%Y %H:%M:%S").replace(tzinfo=UTC).timestamp()
