"""The address in a header's text: ``"A B" <u@h> (comment)`` to ``u@h``, as ``${address:…}`` and rewriting need it.

This is RFC 5322's grammar as Exim reads it, for header lines; the envelope's addresses are ``address.py``'s.
Looser than the RFC: dots may stand anywhere in a local part or a phrase, a backslash quotes one character in
a bare word, and a source route is read and forgotten. Tighter: a domain is letters, digits and hyphens.
"""

from __future__ import annotations

import contextlib
import re

from msgspec import Struct

from smarthostd.errors import SmarthostdError
from smarthostd.expand.octets import octets

ADDRESS_LIMIT = 256
"""Octets of an address, quotes included."""
EMPTY = "empty address"
"""What is said of a text without any: a comment perhaps."""
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"', re.DOTALL)
_ATOM = re.compile(r'(?:[^\x00-\x20\x7f()<>@,;:\\".\[\]]|\\.?)*', re.DOTALL)
_DOTS = re.compile(r"\.*")
_LABEL = re.compile(r"(?:(?!-)[A-Za-z0-9-]+)?")
_UTF8_LABEL = re.compile(r"(?:(?!-)(?:[A-Za-z0-9-]|[^\x00-\x9f\ud800-\udfff])+)?")
_LITERAL = re.compile(r"\[[^\[\]\\\x00-\x20\x7f]*\]")
_COMMENT_PART = re.compile(r"[()]|\\.|[^()\\]+|\\", re.DOTALL)
_SPACES = " \t\n\v\f\r"
_SPACE = re.compile(f"[{_SPACES}]*")


class NotAnAddress(SmarthostdError):
    """Text that holds no address; the text of the exception is Exim's."""


class Mailbox(Struct, frozen=True):
    """The one address in a text, and where it stands there: brackets, phrase and comments are outside."""

    local_part: str
    domain: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}" if self.domain else self.local_part


class Mailboxes:
    """Reads addresses one by one; groups (``name: a@b, c@d;``) are open from one to the next."""

    def __init__(self, *, groups: bool = False, utf8_domains: bool = False) -> None:
        self._text = ""
        self._at = 0
        self._last_space = 0
        """Where the white space and comments begin that were read last."""
        self._label = _UTF8_LABEL if utf8_domains else _LABEL
        self._may_open = groups
        self._in_group = False

    def read(self, text: str, *, may_be_null: bool = False) -> Mailbox:
        """Return the one address in *text*; raises :class:`NotAnAddress`. ``<>`` is one if it *may be null*."""
        self._text, self._at = text, 0
        try:
            found = self._mailbox(may_be_null)
            if self._rest() and not (self._in_group and self._rest() == ";"):
                raise self._surplus()
            if len(octets(str(found))) > ADDRESS_LIMIT:
                raise NotAnAddress(f"address is ridiculously long: {str(found)[:64]}...")
            return found
        finally:
            if self._in_group and self._rest() == ";":
                self._in_group, self._may_open = False, True

    def _rest(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        text = match[0] if match else ""
        self._at += len(text)
        return text

    def _surplus(self) -> NotAnAddress:
        return NotAnAddress(f"malformed address: {self._text[self._at :][:32]} may not follow {self._text[: self._at]}")

    def _skip(self) -> None:
        """Go over white space and comments; one that is not closed reaches to the end."""
        self._last_space = self._at
        self._take(_SPACE)
        while self._rest() == "(":
            depth = 0
            for part in _COMMENT_PART.finditer(self._text, self._at):
                self._at = part.end()
                depth += {"(": 1, ")": -1}.get(part[0], 0)
                if not depth:
                    break
            self._take(_SPACE)

    def _mailbox(self, may_be_null: bool) -> Mailbox:
        self._skip()
        start = self._at
        words = self._words(may_be_empty=True)
        if self._rest() not in ("@", "<"):
            if self._rest() in ("", ";"):
                if not words:
                    raise NotAnAddress(EMPTY)
                return Mailbox(words, "", start, self._end())
            if self._phrase() == ":":
                return self._mailbox(may_be_null)
        if self._rest() == "<":
            return self._in_brackets(may_be_null)
        if not words:  # a source route without brackets
            self._route()
            local_part, domain = self._spec("", domain_needed=True)
        else:
            self._at += 1
            local_part, domain = words, self._domain()
        return Mailbox(local_part, domain, start, self._end())

    def _end(self) -> int:
        """Return where the address ends that white space and comments may have followed."""
        return len(self._text[: self._last_space].rstrip(_SPACES))

    def _phrase(self) -> str:
        """Go over words up to ``<``, or up to the colon behind a group's name; return which."""
        while self._rest() != "<":
            if self._rest() == ":" and self._may_open:
                self._at += 1
                self._in_group, self._may_open = True, False
                return ":"
            try:
                self._words()
            except NotAnAddress as error:
                raise NotAnAddress(f'{error} (expected word or "<")') from None
        return "<"

    def _in_brackets(self, may_be_null: bool) -> Mailbox:
        self._at += 1
        start = self._at
        self._skip()
        routed = self._rest() == "@"
        if routed:
            self._route()
        null = may_be_null and not routed and self._rest() == ">"
        local_part, domain = ("", "") if null else self._spec(">", domain_needed=routed)
        end = len(self._text[: self._at].rstrip(_SPACES))
        if self._rest() != ">":
            raise self._unclosed()
        self._at += 1
        self._skip()
        return Mailbox(local_part, domain, start, end)

    def _unclosed(self) -> NotAnAddress:
        return self._surplus() if self._rest() else NotAnAddress("'>' missing at end of address")

    def _spec(self, end: str, *, domain_needed: bool) -> tuple[str, str]:
        words = self._words()
        if self._rest() == end:
            if domain_needed:
                raise NotAnAddress("domain missing in source-routed address")
            return words, ""
        if self._rest() != "@":
            raise NotAnAddress(f'"@" or "." expected after "{words}"')
        self._at += 1
        return words, self._domain()

    def _route(self) -> None:
        several = False
        while self._rest() == "@":
            self._at += 1
            self._domain()
            if self._rest() != ",":
                break
            several = True
            self._at += 1
            self._skip()
        if self._rest() != ":":
            raise NotAnAddress("colon expected after route list" if several else "no local part")
        self._at += 1
        self._skip()

    def _words(self, *, may_be_empty: bool = False) -> str:
        """Read words and dots: a local part, or a piece of a phrase."""
        words = ""
        while True:
            self._skip()
            word = self._take(_QUOTED if self._rest() == '"' else _ATOM)
            if not word and self._rest() == '"':
                raise NotAnAddress("unmatched doublequote in local part")
            self._skip()
            if not word and self._rest() != ".":
                if not words and not may_be_empty:
                    raise NotAnAddress("missing or malformed local part")
                return words
            words += word
            dots = self._take(_DOTS)
            if not dots:
                return words
            words += dots

    def _domain(self) -> str:
        self._skip()
        domain = self._take(_LITERAL)
        if domain:
            self._skip()
            return domain
        while True:
            label = self._take(self._label)
            if not label:
                raise NotAnAddress("domain missing or malformed")
            domain += label
            self._skip()
            if self._rest() != ".":
                return domain
            domain += "."
            self._at += 1
            self._skip()


def extract(text: str) -> tuple[str, str] | None:
    """Return the local part and the domain of the one address in *text*, or None where there is none."""
    try:
        found = Mailboxes().read(text)
    except NotAnAddress:
        return None
    return found.local_part, found.domain


def extract_all(text: str) -> list[str]:
    """Return the addresses in a header's *text*; pieces that are none are left out."""
    reader = Mailboxes(groups=True)
    found = []
    for piece in split_addresses(text):
        with contextlib.suppress(NotAnAddress):
            found.append(str(reader.read(piece)))
    return found


_PIECE_PART = re.compile(r'\\.|"(?:\\.|[^"\\])*(?:"|\\?\Z)|[(,<>:]|[^\\"(,<>:]+|.', re.DOTALL)


def split_addresses(text: str) -> list[str]:
    """Return what stands between those commas of *text* that are not quoted, in brackets, or in a source route."""
    pieces: list[str] = []
    at = 0
    while at <= len(text):
        end = address_end(text, at)
        pieces.append(text[at:end])
        at = end + 1
    return [piece for piece in pieces if piece.strip()]


def address_end(text: str, at: int, *, may_be_route: bool = True) -> int:
    """Return where the address that begins at *at* ends: at such a comma, or at the end of *text*.

    *may_be_route*: an ``@`` at the beginning is that of a source route, which has commas of its own.
    """
    routed = may_be_route and text[at : at + 1] == "@"
    holds = int(routed)  # marks that must come before a comma ends the address
    while at < len(text):
        match = _PIECE_PART.match(text, at)
        assert match is not None, "any character is a part"
        part, at = match[0], match.end()
        if part == "(":
            at = _comment_end(text, match.start())
        elif part == "<":
            routed = text[at : at + 1] == "@"
            holds = 2 if routed else 1
        elif part == ">" or (part == ":" and routed):
            holds -= 1
        elif part == "," and holds <= 0:
            return match.start()
    return len(text)


def _comment_end(text: str, at: int) -> int:
    depth = 0
    for part in _COMMENT_PART.finditer(text, at):
        depth += {"(": 1, ")": -1}.get(part[0], 0)
        if not depth:
            return part.end()
    return len(text)
