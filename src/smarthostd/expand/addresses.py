"""The address in a header's text: ``"A B" <u@h> (comment)`` to ``u@h``, as ``${address:…}`` needs it.

This is RFC 5322's grammar as Exim reads it, for expansions only; the envelope's addresses are ``address.py``'s.
Looser than the RFC: dots may stand anywhere in a local part or a phrase, a backslash quotes one character in
a bare word, and a source route is read and forgotten. Tighter: a domain is letters, digits and hyphens.
"""

from __future__ import annotations

import re

_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"', re.DOTALL)
_ATOM = re.compile(r'(?:[^\x00-\x20\x7f()<>@,;:\\".\[\]]|\\.?)*', re.DOTALL)
_DOTS = re.compile(r"\.*")
_LABEL = re.compile(r"(?:(?!-)[A-Za-z0-9-]+)?")
_LITERAL = re.compile(r"\[[^\[\]\\\x00-\x20\x7f]*\]")
_COMMENT_PART = re.compile(r"[()]|\\.|[^()\\]+|\\", re.DOTALL)
_SPACE = re.compile(r"[ \t\n\v\f\r]*")


class _Malformed(Exception):
    """Not an address."""


class _Reader:
    """Reads addresses one by one; groups (``name: a@b, c@d;``) are open from one to the next."""

    def __init__(self, *, groups: bool) -> None:
        self._text = ""
        self._at = 0
        self._may_open = groups
        self._in_group = False

    def read(self, text: str) -> tuple[str, str] | None:
        """Return local part and domain of the one address in *text*, or None where it is none."""
        self._text, self._at = text, 0
        try:
            found = self._mailbox()
            if self._rest() and not (self._in_group and self._rest() == ";"):
                raise _Malformed
        except _Malformed:
            found = None
        if self._in_group and self._rest() == ";":
            self._in_group, self._may_open = False, True
        return found

    def _rest(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        text = match[0] if match else ""
        self._at += len(text)
        return text

    def _expect(self, char: str) -> None:
        if self._rest() != char:
            raise _Malformed
        self._at += 1

    def _skip(self) -> None:
        """Go over white space and comments; one that is not closed reaches to the end."""
        self._take(_SPACE)
        while self._rest() == "(":
            depth = 0
            for part in _COMMENT_PART.finditer(self._text, self._at):
                self._at = part.end()
                depth += {"(": 1, ")": -1}.get(part[0], 0)
                if not depth:
                    break
            self._take(_SPACE)

    def _mailbox(self) -> tuple[str, str]:
        self._skip()
        words = self._words(may_be_empty=True)
        if self._rest() not in ("@", "<"):
            if self._rest() in ("", ";"):
                if not words:
                    raise _Malformed
                return words, ""
            if self._phrase() == ":":
                return self._mailbox()
        if self._rest() == "<":
            return self._in_brackets()
        if not words:  # a source route without brackets
            self._route()
            return self._spec(domain_needed=True)
        self._at += 1
        return words, self._domain()

    def _phrase(self) -> str:
        """Go over words up to ``<``, or up to the colon behind a group's name; return which."""
        while self._rest() != "<":
            if self._rest() == ":" and self._may_open:
                self._at += 1
                self._in_group, self._may_open = True, False
                return ":"
            self._words()
        return "<"

    def _in_brackets(self) -> tuple[str, str]:
        self._at += 1
        self._skip()
        routed = self._rest() == "@"
        if routed:
            self._route()
        found = self._spec(domain_needed=routed)
        self._expect(">")
        self._skip()
        return found

    def _spec(self, *, domain_needed: bool) -> tuple[str, str]:
        words = self._words()
        if self._rest() != "@":
            if domain_needed or self._rest() != ">":
                raise _Malformed
            return words, ""
        self._at += 1
        return words, self._domain()

    def _route(self) -> None:
        while self._rest() == "@":
            self._at += 1
            self._domain()
            if self._rest() != ",":
                break
            self._at += 1
            self._skip()
        self._expect(":")
        self._skip()

    def _words(self, *, may_be_empty: bool = False) -> str:
        """Read words and dots: a local part, or a piece of a phrase."""
        words = ""
        while True:
            self._skip()
            word = self._take(_QUOTED if self._rest() == '"' else _ATOM)
            if not word and self._rest() == '"':
                raise _Malformed
            self._skip()
            if not word and self._rest() != ".":
                if not words and not may_be_empty:
                    raise _Malformed
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
            label = self._take(_LABEL)
            if not label:
                raise _Malformed
            domain += label
            self._skip()
            if self._rest() != ".":
                return domain
            domain += "."
            self._at += 1
            self._skip()


def extract(text: str) -> tuple[str, str] | None:
    """Return the local part and the domain of the one address in *text*, or None where there is none."""
    return _Reader(groups=False).read(text)


def extract_all(text: str) -> list[str]:
    """Return the addresses in a header's *text*; pieces that are none are left out."""
    reader = _Reader(groups=True)
    found = [reader.read(piece) for piece in split_addresses(text)]
    return [f"{one[0]}@{one[1]}" if one[1] else one[0] for one in found if one]


_PIECE_PART = re.compile(r'\\.|"(?:\\.|[^"\\])*(?:"|\\?\Z)|[(,<>:]|[^\\"(,<>:]+|.', re.DOTALL)


def split_addresses(text: str) -> list[str]:
    """Return what stands between those commas of *text* that are not quoted, in brackets, or in a source route."""
    pieces: list[str] = []
    start = at = 0
    holds, routed = _holds(text, 0)
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
            pieces.append(text[start : match.start()])
            start = at
            holds, routed = _holds(text, at)
    return [piece for piece in [*pieces, text[start:]] if piece.strip()]


def _holds(text: str, at: int) -> tuple[int, bool]:
    """Return how many marks must come before a comma ends the piece that begins at *at*, and if it is a route."""
    routed = text[at : at + 1] == "@"
    return int(routed), routed


def _comment_end(text: str, at: int) -> int:
    depth = 0
    for part in _COMMENT_PART.finditer(text, at):
        depth += {"(": 1, ")": -1}.get(part[0], 0)
        if not depth:
            return part.end()
    return len(text)
