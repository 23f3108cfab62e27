"""The one door for new messages: clients, ``sendmail`` and bounces.

What comes in is checked (loops, the header's size), completed (Received in front; Date, Message-ID and From
where they are missing, since we are this machine's submission service), qualified, rewritten, and put into the spool.
When :meth:`Intake.accept` returns, the message is on disk and synced. Nothing here knows how it came.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from smarthostd import __version__, headers
from smarthostd.address import Address, login_address
from smarthostd.clock import Clock
from smarthostd.envelope import Client, Content, Envelope, Message, Recipient
from smarthostd.errors import Refused, SpoolError
from smarthostd.facts import Value, Values
from smarthostd.local_from import LocalFrom
from smarthostd.message_id import MessageIds
from smarthostd.reply import Reply
from smarthostd.rewrite import Bare, FieldRewriter, RewriteRules, Where, limited
from smarthostd.spool.base import Pending, Sink, Spool, Waiting
from smarthostd.syntax import printable

Kept: TypeAlias = Callable[[], Awaitable[None]]
Stored: TypeAlias = Callable[[str, BaseException | None], None]
"""Is told the id of a message that is on disk, or why it is not kept: Refused, SpoolError, or a defect of ours."""
_NOT_IN_A_NAME = re.compile(r'[\x00-\x1f\x7f"<>()\[\]\\,;:@]')


class Log(Protocol):
    """What the log is told (``mainlog.MainLog``)."""

    def received(self, message: Message, parent: str = "", seconds: float = 0.0) -> None:
        """The message is in the spool."""
        ...

    def told(self, id: str, text: str) -> None:
        """A remark on a message."""
        ...


class IntakePolicy(Struct, frozen=True):
    """The main options that matter here."""

    primary_hostname: str
    qualify_domain: str
    qualify_recipient: str
    received_headers_max: int = 30
    header_maxsize: int = 1 << 20
    rewriting: RewriteRules | None = None
    bare: Callable[[Client], Bare] = lambda client: Bare()
    """Which bare addresses a client's header lines may hold, and the domains that they get."""
    local_from: LocalFrom = field(default_factory=LocalFrom)
    removed: frozenset[bytes] = headers.DELIVERY_LINES
    """Header lines that go: ``return_path_remove`` and its kin."""


class Incoming(Struct):
    """A message that is being received."""

    id: str
    sink: Sink
    began: float
    """The monotonic clock's time."""


class Door(Protocol):
    """What takes messages in: :class:`Intake`, or what hands them on to another's."""

    def begin(self, id: str = "") -> Incoming:
        """Return an id, and a sink for the octets that follow."""
        ...

    async def accept(
        self, incoming: Incoming, envelope: Envelope, kept: Kept | None = None, *, parent: str = ""
    ) -> str:
        """Keep a message; return its id. Raises Refused, or SpoolError when it is not kept."""
        ...


class Counter(Protocol):
    """Where sessions hand messages in, and are told later."""

    def begin(self, id: str = "") -> Incoming:
        """See :class:`Door`."""
        ...

    def take(self, incoming: Incoming, envelope: Envelope, stored: Stored, *, parent: str = "") -> None:
        """Keep a message; *stored* is called later, never before this returns."""
        ...


def envelope_values(id: str, envelope: Envelope) -> dict[str, Value]:
    """Return the variables that a message's id and envelope give to expansions (exim.md 5.2)."""
    client = envelope.client
    return {
        "message_exim_id": id,
        "message_id": id,
        "sender_address": str(envelope.sender),
        "sender_address_local_part": envelope.sender.local_part,
        "sender_address_domain": envelope.sender.domain,
        "return_path": str(envelope.sender),
        "sender_host_address": client.address,
        "sender_host_port": str(client.port or ""),
        "sender_host_name": client.name,
        "sender_helo_name": client.helo,
        "sender_ident": client.login,
        "received_protocol": client.protocol,
        "authenticated_id": client.authenticated_id,
        "recipients_count": str(len(envelope.recipients)),
    }


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

    def renew(self, policy: IntakePolicy) -> None:
        """Follow *policy* from the next message on."""
        self._policy = policy

    def new_id(self) -> str:
        """Return an id for :meth:`begin`."""
        return self._ids.new()

    def begin(self, id: str = "") -> Incoming:
        """Return an id, and a sink for the octets that follow."""
        id = id or self._ids.new()
        return Incoming(id, self._spool.sink(id), self._clock.monotonic())

    async def accept(
        self, incoming: Incoming, envelope: Envelope, kept: Kept | None = None, *, parent: str = ""
    ) -> str:
        """Check, complete and keep a message; return its id. Raises Refused, or SpoolError when it is not kept.

        The log tells that it is about the message *parent*.

        *kept* is awaited when the message is on disk, before anybody may deliver it; what it raises is passed on, and
        then nobody delivers the message before :meth:`let_go`.
        """
        message = self._completed(incoming, envelope)
        room = self._room()
        await self._spool.put(message, claim=room or kept is not None)
        self._log.received(message, parent, seconds=self._clock.monotonic() - incoming.began)
        if kept is not None:
            await kept()
            if not room:
                await self._spool.release([incoming.id])
        self._hand_on(message, room)
        return incoming.id

    def take(self, incoming: Incoming, envelope: Envelope, stored: Stored, *, parent: str = "") -> None:
        """Do as :meth:`accept`, and call *stored* later. (A task of its own for that costs 15 us a message.)"""

        def kept(error: SpoolError | None) -> None:
            try:
                stored(incoming.id, error)  # the client goes on while we do
            finally:
                if error is None:
                    self._log.received(message, parent, seconds=self._clock.monotonic() - incoming.began)
                    self._hand_on(message, room)

        try:
            message = self._completed(incoming, envelope)
            room = self._room()
            self._spool.take(message, kept, claim=room)
        except Exception as error:  # a defect of ours, too, is to be told
            asyncio.get_running_loop().call_soon(stored, incoming.id, error)

    def _hand_on(self, message: Message, room: bool) -> None:
        """Let a message be delivered that is on disk."""
        if room:
            waiting = Waiting(self._clock.now())
            self._offer(Pending(message, dict.fromkeys(message.envelope.recipients, waiting)))
        else:
            self._wake()

    def _completed(self, incoming: Incoming, envelope: Envelope) -> Message:
        """Check what came in, and return the message that it makes; raises Refused."""
        start = incoming.sink.beginning(self._policy.header_maxsize + 1)
        header = start[: headers.end_of_header(start)]
        bare = bool(header) and not headers.begins_with_field(header)
        if bare:
            header = b""
        if len(header) > self._policy.header_maxsize:
            raise Refused(
                Reply(554, f"5.3.4 the header is larger than {self._policy.header_maxsize} octets (header_maxsize)")
            )
        seen = headers.scan(header)
        if seen.received > self._policy.received_headers_max:
            raise Refused(Reply(554, '5.4.6 Too many "Received" headers - suspected mail loop'))
        content = incoming.sink.content
        return self._message(
            incoming.id, envelope, header, seen, (lambda head: content(head + b"\r\n")) if bare else content
        )

    async def let_go(self, id: str) -> None:
        """Let a message be delivered whose *kept* had failed."""
        await self._spool.release([id])
        self._wake()

    def make(self, envelope: Envelope, content: bytes) -> Message:
        """Return a message of our own making (a bounce), for the caller to put."""
        header = content[: headers.end_of_header(content)]
        seen = headers.scan(header)
        return self._message(self._ids.new(), envelope, header, seen, lambda head: Content(head + content))

    # -- completing

    def _qualified(self, envelope: Envelope) -> Envelope:
        """Give bare addresses a domain, and each recipient one place."""
        policy, sender = self._policy, envelope.sender
        if len(envelope.recipients) == 1 and envelope.recipients[0].address.domain and (sender.domain or not sender):
            return envelope  # as nearly all are
        recipients = [
            one if one.address.domain else replace(one, address=one.address.qualified(policy.qualify_recipient))
            for one in envelope.recipients
        ]
        return _with_addresses(envelope, sender.qualified(policy.qualify_domain), recipients)

    def _message(
        self, id: str, envelope: Envelope, header: bytes, seen: headers.Seen, content: Callable[[bytes], Content]
    ) -> Message:
        """Return the message: *content*, which begins with *header*, behind the lines that are added."""
        now = self._clock.now()
        written = self._qualified(envelope)
        rewriting = self._policy.rewriting
        added = self._missing(id, written.sender, seen, now)
        removed = seen.names & self._policy.removed
        after = headers.without(header, removed.__contains__) if removed else header
        if not envelope.client.trusted:
            added += self._true_sender(header, envelope.client, resent=seen.resent)
            after = self._policy.local_from.without_sender(after, resent=seen.resent)
        if rewriting is None:
            envelope = written
        else:
            change = _Arrival(rewriting, self._policy.bare(envelope.client), id, written, after, self._log)
            envelope, added, after = change.envelope(), change.header(added), change.header(after)
        recipients = [str(one.address) for one in envelope.recipients]
        hostname, sender = self._policy.primary_hostname, str(envelope.sender)
        head = headers.received(envelope.client, hostname, __version__, id, sender, recipients, now) + added
        made = content(head)
        if after is not header:
            made = made.with_header(head + after, len(head) + len(header))
        message_id = seen.message_id or (f"E{id}@{hostname}" if seen.lacks(b"message-id") else "")
        return Message(id, now, envelope, made, printable(message_id), printable(seen.subject))

    def _missing(self, id: str, sender: Address, seen: headers.Seen, now: float) -> bytes:
        """Return the header lines that a message must have and this one has not."""
        shown = "Resent-" if seen.resent else ""
        lines = []
        if seen.lacks(b"message-id"):
            lines.append(f"{shown}Message-Id: <E{id}@{self._policy.primary_hostname}>\r\n")
        if seen.lacks(b"from"):
            lines.append(f"{shown}From: {self._from(sender)}\r\n")
        if seen.lacks(b"date"):
            lines.append(f"{shown}Date: {headers.date(now)}\r\n")
        return "".join(lines).encode()

    def _true_sender(self, header: bytes, client: Client, *, resent: bool) -> bytes:
        """Return a Sender line for a local user whose From line is not their own address, else nothing."""
        own = login_address(client.login, client.uid).qualified(self._policy.qualify_domain)
        if not self._policy.local_from.is_foreign(header, own, resent=resent):
            return b""
        name = _NOT_IN_A_NAME.sub("", client.full_name).strip()
        return f"{'Resent-' * resent}Sender: {name} <{own}>\r\n".replace(":  <", ": <").encode(
            "utf-8", "surrogateescape"
        )

    def _from(self, sender: Address) -> str:
        return str(sender) or f"Mail Delivery System <Mailer-Daemon@{self._policy.qualify_domain}>"


class _Arrival:
    """What the rewriting rules make of one message that comes in, and of bare addresses in its header."""

    def __init__(self, rules: RewriteRules, bare: Bare, id: str, envelope: Envelope, header: bytes, log: Log) -> None:
        self._rules = rules
        self._envelope = envelope
        self._tell = limited(lambda line: log.told(id, line))
        self._values: Values = {}
        if rules.rules:
            raw = header.replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")
            self._values = {**envelope_values(id, envelope), "message_headers_raw": raw}
        self._fields = FieldRewriter(rules, bare, self._values, self._tell, utf8=envelope.smtputf8)

    def envelope(self) -> Envelope:
        """Return the envelope: each recipient, then the sender unless it is the null sender."""
        if not self._rules.for_envelopes:
            return self._envelope
        recipients = [
            replace(one, address=self._address(one.address, Where.ENVELOPE_TO)) for one in self._envelope.recipients
        ]
        sender = self._envelope.sender
        return _with_addresses(
            self._envelope, self._address(sender, Where.ENVELOPE_FROM) if sender else sender, recipients
        )

    def _address(self, address: Address, where: Where) -> Address:
        return self._rules.rewrite_envelope(address, where, self._values, self._tell)

    def header(self, header: bytes) -> bytes:
        """Return header lines, the very same object where nothing changes."""
        return self._fields.header(header)


def _with_addresses(envelope: Envelope, sender: Address, recipients: Sequence[Recipient]) -> Envelope:
    """Return *envelope* with these addresses, each recipient once."""
    once: dict[str, Recipient] = {}
    for one in recipients:
        once.setdefault(one.address.key, one)
    if sender is envelope.sender and tuple(once.values()) == envelope.recipients:
        return envelope
    return replace(envelope, sender=sender, recipients=tuple(once.values()))
