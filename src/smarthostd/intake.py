"""The one door for new messages: clients, ``sendmail`` and bounces.

What comes in is checked (loops, the header's size), completed (Received in front; Date, Message-ID and From
where they are missing, since we are this machine's submission service), qualified, and put into the spool.
When :meth:`Intake.accept` returns, the message is on disk and synced. Nothing here knows how it came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from smarthostd import __version__, headers
from smarthostd.address import Address
from smarthostd.clock import Clock
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.errors import Refused
from smarthostd.message_id import MessageIds
from smarthostd.reply import Reply
from smarthostd.spool.base import Pending, Sink, Spool, Waiting
from smarthostd.syntax import printable


class Log(Protocol):
    """What the log is told (``mainlog.MainLog``)."""

    def received(self, message: Message, parent: str = "") -> None:
        """The message is in the spool."""
        ...


@dataclass(frozen=True, slots=True)
class IntakePolicy:
    """The main options that matter here."""

    primary_hostname: str
    qualify_domain: str
    qualify_recipient: str
    received_headers_max: int = 30
    header_maxsize: int = 1 << 20


@dataclass(slots=True)
class Incoming:
    """A message that is being received."""

    id: str
    sink: Sink


class Intake:
    """Makes messages of what comes in."""

    def __init__(self, spool: Spool, ids: MessageIds, clock: Clock, policy: IntakePolicy, log: Log) -> None:
        self._spool = spool
        self._ids = ids
        self._clock = clock
        self._policy = policy
        self._log = log
        self._room: Callable[[], bool] = lambda: False
        self._offer: Callable[[Pending], None] = lambda pending: None
        self._wake: Callable[[], None] = lambda: None

    def connect(self, room: Callable[[], bool], offer: Callable[[Pending], None], wake: Callable[[], None]) -> None:
        """Hand new messages to the runner: *offer* where there is *room*, else *wake* it."""
        self._room, self._offer, self._wake = room, offer, wake

    def begin(self) -> Incoming:
        """Return an id, and a sink for the octets that follow."""
        id = self._ids.new()
        return Incoming(id, self._spool.sink(id))

    async def accept(self, incoming: Incoming, envelope: Envelope) -> str:
        """Check, complete and keep a message; return its id. Raises Refused, or SpoolError when it is not kept."""
        start = incoming.sink.beginning(self._policy.header_maxsize + 1)
        header = start[: headers.end_of_header(start)]
        if len(header) > self._policy.header_maxsize:
            raise Refused(
                Reply(554, f"5.3.4 the header is larger than {self._policy.header_maxsize} octets (header_maxsize)")
            )
        seen = headers.scan(header)
        if seen.received > self._policy.received_headers_max:
            raise Refused(Reply(554, '5.4.6 Too many "Received" headers - suspected mail loop'))
        envelope = self._qualified(envelope)
        message = self._message(incoming.id, envelope, seen, incoming.sink.content)
        claim = self._room()
        await self._spool.put(message, claim=claim)
        self._log.received(message)
        if claim:
            waiting = Waiting(self._clock.now())
            self._offer(Pending(message, dict.fromkeys(envelope.recipients, waiting)))
        else:
            self._wake()
        return incoming.id

    def make(self, envelope: Envelope, content: bytes) -> Message:
        """Return a message of our own making (a bounce), for the caller to put."""
        seen = headers.scan(content[: headers.end_of_header(content)])
        return self._message(self._ids.new(), self._qualified(envelope), seen, lambda head: Content(head + content))

    # -- completing

    def _qualified(self, envelope: Envelope) -> Envelope:
        """Give bare addresses a domain, and each recipient one place."""
        policy = self._policy
        recipients: dict[str, Recipient] = {}
        for one in envelope.recipients:
            if not one.address.domain:
                one = replace(one, address=one.address.qualified(policy.qualify_recipient))
            recipients.setdefault(one.address.key, one)
        sender = envelope.sender.qualified(policy.qualify_domain)
        if sender is envelope.sender and tuple(recipients.values()) == envelope.recipients:
            return envelope
        return replace(envelope, sender=sender, recipients=tuple(recipients.values()))

    def _message(self, id: str, envelope: Envelope, seen: headers.Seen, content: Callable[[bytes], Content]) -> Message:
        now = self._clock.now()
        hostname = self._policy.primary_hostname
        recipients = [str(one.address) for one in envelope.recipients]
        lines = [headers.received(envelope.client, hostname, __version__, id, str(envelope.sender), recipients, now)]
        message_id = seen.message_id
        resent = any(name.startswith(b"resent-") for name in seen.names)
        prefix = b"resent-" if resent else b""
        shown = "Resent-" if resent else ""
        if prefix + b"message-id" not in seen.names:
            message_id = message_id or f"E{id}@{hostname}"
            lines.append(f"{shown}Message-Id: <E{id}@{hostname}>\r\n".encode())
        if prefix + b"from" not in seen.names:
            lines.append(f"{shown}From: {self._from(envelope.sender)}\r\n".encode())
        if prefix + b"date" not in seen.names:
            lines.append(f"{shown}Date: {headers.date(now)}\r\n".encode())
        return Message(id, now, envelope, content(b"".join(lines)), printable(message_id), printable(seen.subject))

    def _from(self, sender: Address) -> str:
        return str(sender) or f"Mail Delivery System <Mailer-Daemon@{self._policy.qualify_domain}>"
