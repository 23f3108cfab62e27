"""A message on standard input, for the addresses on the command line or, with ``-t``, in its header.

As in Exim: an argument may hold several addresses with commas between them, phrases and comments; with ``-t`` those on
the command line are left out of those in the header. The exit status is 0 once the message is on disk; what became of
the attempt that follows is told by mail. What is wrong is told as ``-oe…`` says (``complaints.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO

from msgspec import Struct

from smarthostd.address import Address
from smarthostd.cli.exim import complaints
from smarthostd.cli.exim.arguments import CommandLine, limited
from smarthostd.cli.exim.complaints import Bad, Complaint, Sufferer, complain
from smarthostd.cli.exim.entrance import Entrance, entrance
from smarthostd.cli.exim.message import completed, fields_of, is_resent, without_blind
from smarthostd.cli.exim.process import Process
from smarthostd.cli.exim.sender import sender_of
from smarthostd.config import Loaded
from smarthostd.envelope import BLOCK, Envelope, Recipient
from smarthostd.errors import Refused, SpoolError
from smarthostd.expand.addresses import EMPTY, Mailboxes, NotAnAddress, address_end
from smarthostd.intake import Incoming
from smarthostd.listener.commands import as_address
from smarthostd.listener.content import Content
from smarthostd.reply import Reply
from smarthostd.sendmail.message import wire_form, with_sender_name
from smarthostd.syntax import printable

LONGEST_ARGUMENT = 16_384
"""Octets of an argument that holds addresses; the limit is Exim's."""
NO_DOMAIN = "unqualified recipient address not allowed"


def take_mail(loaded: Loaded, line: CommandLine, process: Process) -> int:
    """Take one message; return the exit status."""
    sender_of(line, loaded.settings)  # what is no address is told before anything is read
    return asyncio.run(_take(loaded, line, process))


async def _take(loaded: Loaded, line: CommandLine, process: Process) -> int:
    async with entrance(loaded, line, process.say) as way:
        way.refuse_strangers()
        return await _Reception(way, process).run()


class _Bad(Exception):
    """The message cannot be taken, for the reason that a complaint tells."""

    def __init__(self, complaint: Complaint, about: Sufferer, status: int = 1) -> None:
        super().__init__(complaint.on_stderr)
        self.complaint = complaint
        self.about = about
        self.untold = status
        """The exit status where nobody could be told."""


class _Letter(Struct, frozen=True):
    """A message as it was read, its lines ended by LF."""

    header: str
    body: str

    @property
    def size(self) -> int:
        """Octets, with the empty line between header and body."""
        return len(self.whole)

    @property
    def whole(self) -> bytes:
        """All of it."""
        return f"{self.header}\n{self.body}".encode("utf-8", "surrogateescape")


class _Reception:
    """One message on its way in."""

    def __init__(self, way: Entrance, process: Process) -> None:
        self._way, self._process = way, process
        self._line = way.line
        self._settings = way.loaded.settings
        self._sender = way.policy.sender(way.peer, self._claimed())

    def _claimed(self) -> Address:
        """Return who the message is said to be from, without a domain where none was given."""
        if self._line.sender is None:
            return self._way.peer.address
        found = Mailboxes(utf8_domains=True).read(self._line.sender, may_be_null=True) if self._line.sender else None
        return Address(found.local_part, found.domain) if found else Address("", "")

    async def run(self) -> int:
        """Take it in, and deliver it; return the exit status."""
        try:
            named = self._arguments()
            letter = self._read()
            incoming = self._way.door.begin()
            recipients = await self._recipients(letter, incoming, named)
            id = await self._accept(letter, incoming, recipients)
        except _Bad as bad:
            return await self._tell(bad)
        await self._way.deliver(id)
        return 0

    async def _tell(self, bad: _Bad) -> int:
        if self._line.errors in "pq":
            self._process.complain(bad.complaint.on_stderr)
            return 1
        if await complain(self._way, bad.complaint, bad.about):
            return complaints.status(self._line, told=True)
        return bad.untold

    # -- addresses

    def _arguments(self) -> list[Recipient]:
        """Return the addresses on the command line."""
        found: list[Recipient] = []
        for argument in self._line.arguments:
            try:
                limited(argument, LONGEST_ARGUMENT, "address argument")
                found += [self._recipient(piece) for piece in _pieces(argument)]
            except NotAnAddress as error:
                bad = Bad(printable(argument), printable(str(error)))
                raise _Bad(complaints.bad_argument(bad), self._unread()) from None
        if not self._line.to_header:
            self._count(len(found), self._unread)
            if not found:
                raise _Bad(complaints.NO_RECIPIENTS, self._unread(), complaints.NOBODY_TO_TELL)
        return found

    def _recipient(self, text: str) -> Recipient:
        """Return the address in *text*; raises NotAnAddress."""
        return Recipient(_address(text, bare=self._line.qualifies))

    def _count(self, number: int, about: Callable[[], Sufferer]) -> None:
        """Raise _Bad, *about* a message, where it is for too many."""
        limit = self._way.policy.recipients_max
        if limit and number > limit:
            raise _Bad(complaints.too_many_recipients(limit), about())

    def _unread(self) -> Sufferer:
        """Return the message before it was read, for a complaint: what there is of it stands on standard input."""
        copied = self._line.errors not in "pq" and self._sender
        dot = b".\n" if self._line.dot_ends else b""  # a copy of what was not read has it, as Exim's
        octets = _octets(self._process.stdin.buffer, self._line.dot_ends, self._limit, dot) if copied else b""
        return Sufferer(self._sender, "", "", octets.decode("utf-8", "surrogateescape"))

    async def _recipients(self, letter: _Letter, incoming: Incoming, named: Sequence[Recipient]) -> list[Recipient]:
        """Return who the message is for; those in its header, with ``-t``, but for those that were *named*."""
        if not self._line.to_header:
            return list(named)
        bad: list[Bad] = []
        found: list[Recipient] = []
        for text in _addressed(letter.header):
            found += self._in_field(text, bad)
        self._count(len(found), lambda: self._sufferer(letter, incoming))
        left_out = {one.address.key for one in named}
        wanted = [one for one in found if one.address.key not in left_out]
        if bad or not wanted:
            await self._none_or_bad(bad, wanted, self._sufferer(letter, incoming), overridden=len(found) > 0)
        return wanted

    def _in_field(self, text: str, bad: list[Bad]) -> list[Recipient]:
        """Return the addresses in a header line's *text*; what is none goes to *bad*, with what follows it."""
        reader = Mailboxes(groups=True, utf8_domains=True)
        found = []
        for at, piece in _placed(text):
            try:
                found.append(Recipient(_address(piece, reader)))
            except NotAnAddress as error:
                if str(error) != EMPTY:
                    bad.append(Bad(printable(text[at:].strip()), printable(str(error))))
        return found

    async def _none_or_bad(
        self, bad: Sequence[Bad], wanted: Sequence[Recipient], about: Sufferer, *, overridden: bool
    ) -> None:
        """Tell that recipients of the header are none, or that there are none; raises _Bad unless some are left."""
        kind = "bad addresses" if bad else "no recipients"
        self._way.log.alarmed(about.id, f"{about.id} {kind} found in headers")
        if bad:
            complaint = complaints.bad_in_header(bad, others=bool(wanted))
        else:
            complaint = complaints.ALL_OVERRIDDEN if overridden else complaints.NO_RECIPIENTS
        if not wanted or self._line.errors in "pq":
            raise _Bad(complaint, about, 1 if bad else complaints.NOBODY_TO_TELL)
        await complain(self._way, complaint, about)

    # -- the message

    @property
    def _limit(self) -> int:
        return int(self._way.policy.message_size_limit)

    def _read(self) -> _Letter:
        octets = _octets(self._process.stdin.buffer, self._line.dot_ends, self._limit)
        whole = wire_form(octets, dot_ends=self._line.dot_ends)
        text = whole.replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")
        if text.startswith("\n"):
            return _Letter("", text[1:])
        header, _, body = text.partition("\n\n")
        if len(header) > self._settings.header_maxsize:
            raise self._header_too_big(header)
        return _Letter(f"{header}\n", body)

    def _header_too_big(self, header: str) -> _Bad:
        limit = self._settings.header_maxsize
        form = "ridiculously long message header received from {who} (more than {limit} characters): message abandoned"
        self._way.log.turned_down(self._way.client(), form, limit=limit)
        return _Bad(complaints.header_too_big(limit), Sufferer(self._sender, "", header[:limit], ""))

    def _sufferer(self, letter: _Letter, incoming: Incoming) -> Sufferer:
        settings = self._settings
        sender = str(self._sender.qualified(settings.qualify_domain))
        header = completed(letter.header, sender, self._author(), incoming.id, settings.primary_hostname)
        return Sufferer(self._sender, incoming.id, header, letter.body)

    async def _accept(self, letter: _Letter, incoming: Incoming, recipients: Sequence[Recipient]) -> str:
        """Have the message kept; return its id."""
        if self._limit and letter.size > self._limit:
            self._refuse(incoming, f"message too big: read={self._limit + 1} max={self._limit}")
            raise _Bad(complaints.too_big(self._limit), self._sufferer(letter, incoming))
        header = without_blind(letter.header) if self._line.to_header else letter.header
        octets = _Letter(header, letter.body).whole.replace(b"\n", b"\r\n")
        policy = self._way.policy
        content = Content(incoming.sink, 0, policy.line_length_limit, normalize=True)
        content.write(
            with_sender_name(octets, self._author(), str(self._sender.qualified(self._settings.qualify_domain)))
        )
        content.finish()
        utf8 = not all(str(one).isascii() for one in (self._sender, *recipients))
        client = self._way.client()
        envelope = Envelope(self._sender, tuple(recipients), smtputf8=utf8, client=client)
        try:
            content.must_be_good()
            return await self._way.door.accept(incoming, envelope, parent=self._line.parent if client.trusted else "")
        except (Refused, SpoolError) as error:
            incoming.sink.discard()
            self._refuse(incoming, str(error))
            raise _Bad(complaints.refused(printable(str(error))), self._sufferer(letter, incoming)) from error

    def _author(self) -> str:
        """Return the name for a From line that is missing, as Exim does: what ``-F`` says, or the login's owner's."""
        if self._line.full_name is not None:
            return self._line.full_name
        client = self._way.client()
        if client.address or (client.trusted and self._line.sender is not None):
            return ""
        return self._way.peer.full_name

    def _refuse(self, incoming: Incoming, why: str) -> None:
        sender = self._sender.qualified(self._settings.qualify_domain)
        self._way.log.refused_message(incoming.id, sender, self._way.client(), Reply(552, why), why)


def _octets(stream: BinaryIO, dot_ends: bool, limit: int, dot: bytes = b"") -> bytes:
    """Return what stands on *stream*, up to a line that is a dot if that ends it, or to more than may be.

    *dot* takes that line's place.
    """
    most = 2 * limit + BLOCK if limit else 0
    octets = bytearray()
    for line in stream:
        if dot_ends and line.rstrip(b"\r\n") == b".":
            octets += dot
            break
        octets += line
        if most and len(octets) > most:
            break
    return bytes(octets)


def _pieces(text: str) -> Iterable[str]:
    return (piece for _, piece in _placed(text))


def _placed(text: str) -> Iterable[tuple[int, str]]:
    """Yield what stands between the commas of *text*, and where it begins."""
    at = len(text) - len(text.lstrip())
    while at < len(text):
        end = address_end(text, at, may_be_route=False)
        yield at, text[at:end]
        at = end + 1
        while at < len(text) and (text[at] == "," or text[at].isspace()):
            at += 1


def _address(text: str, reader: Mailboxes | None = None, *, bare: bool = True) -> Address:
    """Return the one address in *text*; raises NotAnAddress. *bare*: it may be without a domain."""
    found = (reader or Mailboxes(utf8_domains=True)).read(text)
    if not found.domain and not bare:
        raise NotAnAddress(NO_DOMAIN)
    return as_address(found)


def _addressed(header: str) -> Iterable[str]:
    """Yield the texts of the header lines that hold recipients: To, Cc, Bcc; if the message was sent on, Resent-…"""
    prefix = "resent-" if is_resent(header) else ""
    for name, text in fields_of(header):
        if name in (f"{prefix}to", f"{prefix}cc", f"{prefix}bcc"):
            yield text.replace("\n", "")
