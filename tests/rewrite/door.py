"""The way in and the way out: the real intake over a real spool, and what a transport changes."""

from __future__ import annotations

import re

from smarthostd.address import NULL_SENDER, Address
from smarthostd.envelope import Client, Envelope, Message, Recipient
from smarthostd.intake import Intake, IntakePolicy, envelope_values
from smarthostd.mainlog import MainLog
from smarthostd.message_id import MessageIds
from smarthostd.rewrite import Bare
from smarthostd.routers.base import RoutedAddress
from smarthostd.spool.sqlite import SqliteSpool
from smarthostd.transports.appendfile import AppendfileTransport
from smarthostd.transports.base import Batch
from smarthostd.transports.content import Outgoing
from smarthostd.transports.options.appendfile import AppendfileOptions
from tests.clocks import HeldClock
from tests.language import expander
from tests.rewrite.conftest import BARE, FACTS, Rewriting

BODY = b"\r\nFrom: u@a.example\r\n\r\n.\r\n"
LOCAL = Client()
REMOTE = Client("esmtp", "192.0.2.9", 1234)


class Door:
    """An intake, the spool behind it, and its log."""

    def __init__(self, spool: SqliteSpool) -> None:
        self.spool = spool
        self.lines: list[str] = []
        clock = HeldClock()
        policy = IntakePolicy("h.example", "q.example", "qr.example")
        self._intake = Intake(spool, MessageIds(clock), clock, policy, MainLog(self.lines.append, clock))

    def rule(self, text: str, *, tell_changes: bool = False) -> None:
        """Follow these rules; bare addresses are completed for our own programs."""
        rules = Rewriting(text, tell_changes=tell_changes).rules
        policy = IntakePolicy(
            "h.example", "q.example", "qr.example", rewriting=rules,
            bare=lambda client: Bare() if client.address else BARE,
        )  # fmt: skip
        self._intake.renew(policy)

    async def take(
        self,
        header: str,
        body: bytes = BODY,
        sender: str = "u@a.example",
        to: str = "v@a.example",
        client: Client = LOCAL,
    ) -> tuple[Envelope, str, bytes]:
        """Take a message in; return its envelope, its header with LF line ends under our Received, and its body."""
        incoming = self._intake.begin()
        incoming.sink.write(header.encode().replace(b"\n", b"\r\n") + body)
        recipients = tuple(Recipient(Address.parse(one)) for one in to.split())
        envelope = Envelope(Address.parse(sender) if sender else NULL_SENDER, recipients, client=client)
        await self._intake.accept(incoming, envelope)
        (pending,) = await self.spool.claim(2e9, 10)
        self._last = pending.message
        return self._last.envelope, *parts(self._last)

    def leave(self, **options: str) -> tuple[Address, bytes]:
        """Return the sender and the octets with which the message taken last leaves by a transport with *options*."""
        language = expander(FACTS)
        made = AppendfileOptions.model_validate({"name": "t", "driver": "appendfile", "file": "/dev/null", **options})
        outgoing = Outgoing(made, language)
        envelope = self._last.envelope
        address = RoutedAddress(envelope.recipients[0].address, envelope.recipients[0])
        values = {
            **envelope_values(self._last.id, envelope),
            "local_part": address.address.local_part, "domain": address.address.domain,
        }  # fmt: skip
        batch = Batch("r", AppendfileTransport(made, language), (address,), envelope.sender, values=values)
        return outgoing.batch(batch).sender, b"".join(outgoing.content(self._last, batch).blocks())

    def bounce(self, to: str, text: bytes) -> Message:
        """Return a message of our own making."""
        return self._intake.make(Envelope(NULL_SENDER, (Recipient(Address.parse(to)),)), text)


def parts(message: Message) -> tuple[str, bytes]:
    """Return a message's header, LF line ends, without our Received, and its body."""
    content = b"".join(message.content.blocks())
    assert len(content) == message.content.size
    match = re.match(rb"Received:.*\r\n(?:\t.*\r\n)*", content)
    assert match
    header, _, body = content[match.end() :].partition(b"\r\n\r\n")
    return (header + b"\r\n").replace(b"\r\n", b"\n").decode(), b"\r\n" + body
