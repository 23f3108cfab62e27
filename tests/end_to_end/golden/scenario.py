"""One golden delivery, step by step, on our own road: submitted, delivered, listed and steered as the record says.

A message goes in as ``sendmail`` leaves it in the drop directory, with the owner that the record names, and Exim's
``-odi`` is an attempt right behind it; the tools are ``smarthostd exim --strict``. Everything runs in this process, one
step after the other, as Exim's processes did. Time stands still but for the steps that sleep.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from smarthostd.assembly import Trust
from smarthostd.clock import SystemClock
from smarthostd.config.load import Loaded, load
from smarthostd.config.settings import DIFFERENCES, NEVER_WHOLESALE
from smarthostd.hints import Hint
from smarthostd.listener.drop import Drop
from smarthostd.listener.policy import Policy
from smarthostd.queue_run import ByHand, tool_log
from smarthostd.sendmail import arguments, drop
from smarthostd.sendmail.arguments import Options
from smarthostd.sendmail.message import recipients_of, wire_form
from smarthostd.sendmail.submission import Letter
from smarthostd.spool.base import Waiting
from smarthostd.spool.sqlite import SqliteSpool
from tests.cli.calls import call, like_the_golden_machine
from tests.clocks import HeldClock
from tests.golden import Record, dns_zone

ID = re.compile(r"\b[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}\b")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
_QUEUED = {"-odq", "-odqs"}
_NOT_OURS = re.compile(r"-od\w+|-o(?:ep|em|ee|ew)|-em")
"""Options of Exim's that have no effect on what ``sendmail`` hands over; the delivery mode is the driver's matter."""


@dataclass
class Story:
    """What came of a record; ids are numbered as in the records."""

    log: list[str] = field(default_factory=list)
    answers: list[tuple[str, int]] = field(default_factory=list)
    """What the tools have printed, each with its exit status."""
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
        self._drop = directory / "drop"
        like_the_golden_machine(monkeypatch, dns_zone())
        monkeypatch.setattr(SystemClock, "now", staticmethod(self._clock.now))
        self._configure()

    def _configure(self) -> None:
        """Add what the record's configuration cannot say: where mail is dropped, and no connection is kept.

        Exim's processes end with their message, and so do their connections.
        """
        path = self._directory / "conf"
        text = f"drop_directory = {self._drop}\n".encode() + path.read_bytes()
        if b"connection_max_messages" not in text:
            text = text.replace(b"driver = smtp\n", b"driver = smtp\n  connection_max_messages = 1\n")
        path.write_bytes(text)

    def play(self, fake_smtp: ModuleType) -> Story:
        """Go through all steps; return what came of them."""
        story = Story()
        with _servers(self.record, fake_smtp) as servers:
            for step in self.record.input["steps"]:
                self._step(step, story)
        for place, server in servers.items():
            story.sessions[place] = server.log
            story.messages[place] = [self._named(_text(one)) for one in server.messages]
        mbox = self._directory / "spool" / "mbox"
        story.mbox = self._named(_text(mbox.read_bytes())) if mbox.exists() else ""
        story.log = [self._named(line) for line in self._log_lines()]
        asyncio.run(self._look_into_the_spool(story))
        return story

    # -- steps

    def _step(self, step: dict[str, Any], story: Story) -> None:
        match step:
            case {"sleep": seconds}:
                self._clock.pass_(seconds)
            case {"args": words, "stdin": text}:
                self._clock.pass_(1)
                asyncio.run(self._submit(words, text, step.get("run_as", "root")))
            case {"args": words}:
                answer = call(["--strict", "-C", str(self._directory / "conf"), *map(self._with_ids, words)])
                self._note_ids()
                if step.get("show"):
                    story.answers.append((self._named(answer.out + answer.err), answer.status))

    def _with_ids(self, word: str) -> str:
        return re.sub(r"@ID(\d+)@", lambda match: self._ids[int(match[1]) - 1], word)

    async def _submit(self, words: Sequence[str], text: str, login: str) -> None:
        """Have a message dropped and taken in; deliver it if it is to be delivered at once."""
        loaded = self._loaded()
        options = arguments.read(["sendmail", *(word for word in words if not _NOT_OURS.fullmatch(word))])
        letter = _letter(options, text, login)
        async with ByHand(loaded) as hand, tool_log(loaded) as log:
            policy = _policy(loaded, hand)
            box = Drop(self._drop, lambda: policy, hand.road.intake, hand.spool, log)
            await box.start()
            drop.keep(str(self._drop), letter)
            for file in self._drop.glob("[0-9a-f]*"):
                os.chown(file, pwd.getpwnam(login).pw_uid, -1)
            before = {one.id for one in await hand.spool.summaries()}
            await box.start()
            new = [one.id for one in await hand.spool.summaries() if one.id not in before]
            self._note_ids()
            queue_only = loaded.settings.queue_only and not {"-odi", "-odf"} & set(words)
            if not (queue_only or _QUEUED & set(words)):
                await hand.deliver(new, forced=False)
        self._note_ids()

    def _loaded(self) -> Loaded:
        loaded = load(self._directory / "conf", {}, lenient=True)
        strict = DIFFERENCES - set(NEVER_WHOLESALE)
        return replace(loaded, settings=loaded.settings.model_copy(update={"exim_strict": strict}))

    # -- what is seen

    def _log_lines(self) -> list[str]:
        log = self._directory / "log" / "mainlog"
        return [_STAMP.sub("", line) for line in log.read_text().splitlines()] if log.exists() else []

    def _note_ids(self) -> None:
        for line in self._log_lines():
            self._ids += [id for id in ID.findall(line) if id not in self._ids]

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


def _policy(loaded: Loaded, hand: ByHand) -> Policy:
    """Return what a submission of the machine's own users is judged by."""
    trust = Trust(loaded.settings, hand.road.parts.language)
    return Policy(
        loaded.settings.primary_hostname, trusts=trust.trusts, may_send_as=trust.may_send_as,
        message_size_limit=loaded.settings.message_size_limit,
    )  # fmt: skip


def _letter(options: Options, text: str, login: str) -> Letter:
    """Return what ``sendmail`` hands over, called by *login*."""
    recipients = list(options.recipients)
    content = wire_form(text.encode("utf-8", "surrogateescape"), dot_ends=options.dot_ends)
    if options.from_header:
        content, found = recipients_of(content)
        recipients += found
    return Letter(login if options.sender is None else options.sender, recipients, content)


def _text(octets: bytes) -> str:
    """Return what a server has received as the records have it: CRLF as LF."""
    return octets.decode("utf-8", "surrogateescape").replace("\r\n", "\n")


@contextmanager
def _servers(record: Record, fake_smtp: ModuleType) -> Iterator[dict[str, Any]]:
    servers = {}
    try:
        for place, script in record.input["servers"].items():
            address, _, port = place.partition(":")
            servers[place] = fake_smtp.Server(address, int(port or 25), script)
        yield servers
    finally:
        for server in servers.values():
            server.close()
