"""Header lines with addresses: bare ones get a domain, and the rules are applied to each address.

A header line is cut at those commas that separate addresses; of each piece only the address is replaced, so that
phrases, comments, groups and folding stay as they came, and a line in which no address changes stays as it is,
octet by octet. What is no address is left alone. Where a line grows it is folded behind the address, as Exim
does it: not at the nicest places, but at the same.

Lines are texts with surrogate escapes and LF line ends while they are worked on, as expansions want them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from smarthostd.expand import Values
from smarthostd.expand.addresses import Mailboxes, NotAnAddress, address_end
from smarthostd.expand.octets import octets, text_of
from smarthostd.rewrite.rule import Where
from smarthostd.rewrite.rules import RewriteRules, Tell

FOLD_AT = 40
"""Octets since the last fold beyond which a line that grows is folded behind the address."""

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
_FIELD = re.compile(
    rb"^(?:(?:resent-)?(sender|from|to|b?cc)|(reply-to))[ \t]*:(.*\n?(?:[ \t].*\n?)*)", re.IGNORECASE | re.MULTILINE
)
_NO_FIELD = re.compile(rb"^(?![!-9;-~]+[ \t]*:|[ \t])", re.MULTILINE)
_SENDERS = Where.SENDER | Where.FROM | Where.REPLY_TO
"""Header lines whose bare addresses get ``qualify_domain``; those of the others get ``qualify_recipient``."""
_QUALIFIED = re.compile(
    rb"""(?>\s*(?>(?:"[^"\\]*"\s*|[^@<>,;:()"\\]*)<[^@<>,;:()"\\\s]+@[\w.-]+>|[^@<>,;:()"\\\s]+@[\w.-]+)\s*(?:,|\Z))+"""
)
"""Addresses that plainly have a domain, as nearly all have."""
_BREAKS = re.compile(r"\n(?![ \t])|[\r\0]")
"""What would end a header line, or is in none: no replacement may bring it in."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A part of a piece, and what stands there instead."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Bare:
    """The domains that bare addresses in header lines get; an empty one leaves them alone, the rules too."""

    sender: str = ""
    recipient: str = ""

    def domain(self, where: Where) -> str:
        """Return the domain for a bare address that stands at *where*."""
        return self.sender if where & _SENDERS else self.recipient


class FieldRewriter:
    """What is done to the header of one message."""

    def __init__(self, rules: RewriteRules, bare: Bare, values: Values, tell: Tell, *, utf8: bool = False) -> None:
        """*utf8*: the message is an SMTPUTF8 one, so that domains may hold any letters."""
        self._rules = rules
        self._bare = bare
        self._values = values
        self._tell = tell
        self._utf8 = utf8

    def header(self, header: bytes) -> bytes:
        """Return a header block (CRLF line ends), the very same object where nothing changes. Never raises."""
        pieces: list[bytes] = []
        done = 0
        junk = _NO_FIELD.search(header)
        for field in _FIELD.finditer(header, 0, junk.start() if junk else len(header)):
            where = _PLACES[(field[1] or field[2]).lower()]
            if not self._rules.where & where and (not self._bare.domain(where) or _QUALIFIED.fullmatch(field[3])):
                continue
            before = text_of(field[0].replace(b"\r\n", b"\n"))
            after = self._field(before, where)
            if after != before:
                pieces += [header[done : field.start()], octets(after).replace(b"\n", b"\r\n")]
                done = field.end()
        return b"".join([*pieces, header[done:]]) if pieces else header

    def _field(self, text: str, where: Where) -> str:
        """Return one header line with each of its addresses as it shall be."""
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


def _past_space(text: str, at: int) -> int:
    """Return where the white space ends that begins at *at*; at most the end of *text*."""
    match = _SPACE.match(text, at)
    return match.end() if match else len(text)
