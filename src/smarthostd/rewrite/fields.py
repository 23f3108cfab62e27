"""Header lines with addresses: bare ones get a domain, and the rules are applied to each address.

A header line is cut at those commas that separate addresses; of each piece only the address is replaced, so that
phrases, comments, groups and folding stay as they came, and a line in which no address changes stays as it is,
octet by octet. What is no address is left alone. Where a line grows it is folded behind the address, as Exim
does it: not at the nicest places, but at the same.

Lines are texts with surrogate escapes and LF line ends while they are worked on, as expansions want them.
"""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from smarthostd.expand import Values
from smarthostd.expand.addresses import Mailboxes, NotAnAddress, address_end
from smarthostd.expand.octets import octets, text_of
from smarthostd.rewrite.rule import Where
from smarthostd.rewrite.rules import RewriteRules, Tell

FOLD_AT = 40
"""Octets since the last fold beyond which a line that grows is folded behind the address."""

OCTETS_LIMIT = 1 << 18
"""Octets of header lines in which addresses are looked for, in one message: no list of recipients is longer."""
PIECES_LIMIT = 5_000
"""Addresses in header lines of one message that are looked at."""
KNOWN_LIMIT = 256
"""Octets of a header line that is remembered."""
COMPLAINT_LIMIT = 200
"""Characters of what is said about a piece of a header line that is no address."""

_SPACE = re.compile(r"[ \t\n\v\f\r]*")
_PLACES = {
    b"sender": Where.SENDER,
    b"from": Where.FROM,
    b"to": Where.TO,
    b"cc": Where.CC,
    b"bcc": Where.BCC,
    b"reply-to": Where.REPLY_TO,
}
_FIELD = re.compile(rb"\n(?:(?:resent-)?(sender|from|to|b?cc)|(reply-to))[ \t]*:(.*(?:\n[ \t].*)*)", re.IGNORECASE)
"""A header line behind the end of the one before it: to look for one octet first is four times as fast."""
_NO_FIELD = re.compile(rb"\n(?![!-9;-~]+[ \t]*:|[ \t]|\Z)")
_SENDERS = frozenset({Where.SENDER, Where.FROM, Where.REPLY_TO})
"""Header lines whose bare addresses get ``qualify_domain``; those of the others get ``qualify_recipient``."""
_QUALIFIED = re.compile(
    rb"""(?:\s*+(?>(?>"[^"\\]*+"\s*+|[^@<>,;:()"\\]*+)<[^@<>,;:()"\\\s]++@[\w.-]++>|[^@<>,;:()"\\\s]++@[\w.-]++)\s*+(?:,|\Z))++"""
)
"""Addresses that plainly have a domain, as nearly all have."""
_BREAKS = re.compile(r"\n(?![ \t])|[\r\0]")
"""What would end a header line, or is in none: no replacement may bring it in."""


class _Change(Struct, frozen=True):
    """A part of a piece, and what stands there instead."""

    start: int
    end: int
    text: str


class Bare(Struct, frozen=True):
    """The domains that bare addresses in header lines get; an empty one leaves them alone, the rules too."""

    sender: str = ""
    recipient: str = ""

    def domain(self, where: Where) -> str:
        """Return the domain for a bare address that stands at *where*."""
        return self.sender if where in _SENDERS else self.recipient


class FieldRewriter:
    """What is done to the header of one message."""

    def __init__(self, rules: RewriteRules, bare: Bare, values: Values, tell: Tell, *, utf8: bool = False) -> None:
        """*utf8*: the message is an SMTPUTF8 one, so that domains may hold any letters."""
        self._rules = rules
        self._bare = bare
        self._values = values
        self._tell = tell
        self._utf8 = utf8
        self._octets_left = OCTETS_LIMIT
        self._pieces_left = PIECES_LIMIT

    def header(self, header: bytes) -> bytes:
        """Return a header block (CRLF line ends), the very same object where nothing changes. Never raises."""
        ruled = self._rules.places
        if not (ruled or self._bare.sender or self._bare.recipient):
            return header
        pieces: list[bytes] = []
        done, last = 0, -1
        for field in _FIELD.finditer(b"\n" + header):
            if not ruled and _is_qualified(field[3]):
                continue
            where = _PLACES[(field[1] or field[2]).lower()]
            if where not in ruled and (not self._bare.domain(where) or _is_qualified(field[3])):
                continue
            last = _last_line(header) if last < 0 else last
            if field.start() >= last:
                break
            before = text_of(header[field.start() : field.end()].replace(b"\r\n", b"\n"))
            after = self._field(before, where)
            if after != before:
                pieces += [header[done : field.start()], octets(after).replace(b"\n", b"\r\n")]
                done = field.end()
        return b"".join([*pieces, header[done:]]) if pieces else header

    def _field(self, text: str, where: Where) -> str:
        """Return one header line with each of its addresses as it shall be."""
        self._octets_left -= len(text)
        if self._octets_left < 0:
            self._tell(f"rewrite: header lines with more than {OCTETS_LIMIT} octets of addresses are left as they are")
            return text
        reader = Mailboxes(groups=True, utf8_domains=self._utf8)
        at = _past_space(text, text.index(":") + 1)
        done = [text[:at]]
        length, last_fold, fold = len(octets(text[:at])), 0, ""
        while at < len(text):
            end = address_end(text, at, may_be_route=not fold)
            following = _past_space(text, end + 1)
            piece = fold + text[at:end]  # Exim reads on at its own fold, which so may go again with the address
            change = self._change(reader, piece, where)
            fold = ""
            if change is None:
                done += [piece, text[end:following]]
                length += len(octets(done[-2] + done[-1]))
            else:
                done += [piece[: change.start], change.text, piece[change.end :], text[end:following]]
                length += sum(len(octets(each)) for each in done[-4:])
                grows = len(octets(change.text)) > len(octets(piece[change.start : change.end]))
                at_line = text[end:following].rstrip(" \t").endswith("\n")
                if grows and length - last_fold > FOLD_AT and following < len(text) and not at_line:
                    last_fold, fold = length, "\n\t"
            at = following
        return "".join(done)

    def _change(self, reader: Mailboxes, piece: str, where: Where) -> _Change | None:
        """Return what changes in *piece*, which should hold one address; None where nothing does."""
        self._pieces_left -= 1
        if self._pieces_left < 0:
            if self._pieces_left == -1:
                self._tell(f"rewrite: addresses behind the first {PIECES_LIMIT} are left as they are")
            return None
        try:
            mailbox = reader.read(piece)
        except NotAnAddress as error:
            if self._rules.rules and str(error) != "empty address":
                self._tell(f"rewrite: {str(error)[:COMPLAINT_LIMIT]}")
            return None
        address = str(mailbox)
        if not mailbox.domain:
            domain = self._bare.domain(where)
            if not domain:
                return None
            address = f"{mailbox.local_part}@{domain}"
        after = self._rules.rewrite(address, where, self._values, self._tell)
        if after is not None and _BREAKS.search(after.text):
            self._tell(f"Rewrite of {address} yielded a line break")
            after = None
        if after is None:
            return None if mailbox.domain else _Change(mailbox.start, mailbox.end, address)
        if after.around is not None:
            return _Change(0, len(piece.removesuffix("\n")), after.text)
        return _Change(mailbox.start, mailbox.end, after.address)


def _is_qualified(value: bytes) -> bool:
    """Whether all addresses of a header line plainly have a domain."""
    return _is_known_to_be(value) if len(value) <= KNOWN_LIMIT else _QUALIFIED.fullmatch(value) is not None


@lru_cache(1024)
def _is_known_to_be(value: bytes) -> bool:
    """Likewise: senders, and often recipients, are the same in message after message; it saves 2 us a line."""
    return _QUALIFIED.fullmatch(value) is not None


def _last_line(header: bytes) -> int:
    """Return where a line begins that is no header line, so that the header ends there for Exim; else the end."""
    match = _NO_FIELD.search(b"\n" + header)
    return match.start() if match else len(header)


def _past_space(text: str, at: int) -> int:
    """Return where the white space ends that begins at *at*; at most the end of *text*."""
    match = _SPACE.match(text, at)
    return match.end() if match else len(text)
