"""Bounces as the daemon builds them, and messages and outcomes for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace

from smarthostd.address import Address
from smarthostd.assembly import build_language
from smarthostd.bounce import Bounces, ReportOptions, Told
from smarthostd.config.settings import Settings
from smarthostd.delivery import message_values
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.intake import Intake
from smarthostd.mainlog import MainLog
from smarthostd.message_id import MessageIds
from smarthostd.outcome import Deferred, Delivered, Failed, Host, Outcome
from smarthostd.plan import Patience, Plan, Planner, Result
from smarthostd.reply import Reply
from smarthostd.road import intake_policy
from smarthostd.routers.base import RoutedAddress
from smarthostd.spool.base import Pending, Waiting
from smarthostd.spool.sqlite import SqliteSpool
from tests.clocks import HeldClock
from tests.rules import Rules

SENDER = Address("sender", "example.net")
HOST = Host("smarthost.isp.example", "127.0.0.10")
ORIGINAL = (
    b"From: sender@example.net\r\nSubject: golden test\r\nDate: Mon, 01 Jan 2024 00:00:00 +0000\r\n\r\n"
    b"hello\r\nworld\r\n"
)
OPTIONS = ReportOptions("client.example.net")
PATIENCE = Patience()


class House:
    """One planner and one composer on a held clock; the retry rules run out when *expired* says so."""

    def __init__(self, spool: SqliteSpool, clock: HeldClock, options: ReportOptions, patience: Patience) -> None:
        settings = Settings.model_validate(
            {"primary_hostname": options.primary_hostname, "qualify_domain": "example.net"}
        )
        language = build_language(settings)
        self.clock = clock
        self.spool = spool
        self.lines: list[str] = []
        self.rules = Rules(900)
        self.log = MainLog(lambda line: self.lines.append(line[20:]), clock)
        self.intake = Intake(spool, MessageIds(clock), clock, intake_policy(settings, language), self.log)
        self.bounces = Bounces(options, language.expander, self.intake.make, self.log, clock)
        self.planner = Planner(self.rules, clock, patience)

    def message(self, *recipients: Recipient, content: bytes = ORIGINAL, **envelope: Any) -> Message:
        """Return a message from SENDER to *recipients*, or as *envelope* says."""
        return Message(
            "1rJxYz-0001ab-2K", self.clock.now(), Envelope(**{"sender": SENDER, "recipients": recipients, **envelope}),
            Content(content), "test@example.net", "golden test",
        )  # fmt: skip

    def pending(self, message: Message, *, warned: int = 0) -> Pending:
        """Return *message* with all recipients to be served."""
        return Pending(message, dict.fromkeys(message.envelope.recipients, Waiting(0)), warned=warned)

    def plan(self, message: Message, *results: Result) -> Plan:
        """Return what the planner makes of *results*."""
        return self.planner.plan(self.pending(message), results)

    def tell(self, message: Message, *results: Result, warned: int = 0) -> Told:
        """Return who is told what of *results*."""
        pending = self.pending(message, warned=warned)
        return self.bounces.compose(pending, self.planner.plan(pending, results), message_values(pending))


@asynccontextmanager
async def house(directory: Path, patience: Patience = PATIENCE, **options: Any) -> AsyncIterator[House]:
    """Build one, with these ``ReportOptions`` changed."""
    clock = HeldClock()
    spool = await SqliteSpool.open(directory, now=clock.now)
    yield House(spool, clock, replace(OPTIONS, **options), patience)
    await spool.close()


def recipient(address: str, notify: str = "", orcpt: str = "") -> Recipient:
    """Return an envelope's recipient."""
    return Recipient(Address.parse(address), notify, orcpt)


def result(one: Recipient, outcome: Outcome, address: str = "", **routed: Any) -> Result:
    """Return what became of *one*, or of the *address* that an alias made of it."""
    if address:
        routed = {"parents": (one.address,), "makers": ("aliases",), **routed}
    target = Address.parse(address) if address else one.address
    return Result(RoutedAddress(target, one, **routed), outcome, "smarthost", "smarthost_smtp")


def refused(text: str, stage: str) -> Failed:
    """Return the failure that the reply *text* to *stage* is."""
    reply = Reply(int(text[:3]), text[4:])
    return Failed(f"SMTP error from remote mail server after {stage}: {reply}", HOST, reply)


def put_off(text: str, stage: str) -> Deferred:
    """Return the deferral that the reply *text* to *stage* is."""
    reply = Reply(int(text[:3]), text[4:])
    return Deferred(f"SMTP error from remote mail server after {stage}: {reply}", -44, host=HOST, reply=reply)


def relayed(**fields: Any) -> Delivered:
    """Return a delivery to HOST."""
    return Delivered(HOST, Reply(250, "OK"), **fields)


def octets(message: Message) -> bytes:
    """Return the content of a report."""
    return b"".join(message.content.blocks())


def read(message: Message) -> EmailMessage:
    """Return a report as a mail program reads it."""
    content = octets(message)
    assert b"\n" not in content.replace(b"\r\n", b"")
    return cast(EmailMessage, message_from_bytes(content, policy=policy.SMTP))


def parts(parsed: EmailMessage) -> list[EmailMessage]:
    """Return the parts of a report."""
    return cast("list[EmailMessage]", parsed.get_payload())


def text_of(message: Message) -> str:
    """Return what people read."""
    payload = parts(read(message))[0].get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode().replace("\r\n", "\n")


def blocks(message: Message) -> list[Mapping[str, str]]:
    """Return what programs read: the message's fields, then those of each recipient."""
    return cast("list[Mapping[str, str]]", parts(parts(read(message))[1]))
