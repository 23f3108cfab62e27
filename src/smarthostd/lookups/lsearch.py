"""Exim's ``lsearch`` lookup: a text file of ``key: data`` items.

An item starts in column one. Its key ends at a colon or at white space, or it stands
in double quotes and may contain both. A line that starts with white space continues
the data above it. The first item with a key wins, and case does not matter.

A blank line or a ``#`` comment ends an item. Exim's manual says that such a line is
skipped, but Exim's code stops there; we follow the code, so that one file means the
same in both programs.
"""

from __future__ import annotations

import re

from msgspec import Struct

EXIM_BUFFER = 4095
"""Octets that Exim reads at a time; it strips white space only in the piece of a line where it looks for it."""
_ITEM = re.compile(rb'(?:"((?:\\.|[^"\\])*)"?|([^:\s]*))\s*:?\s*(.*)', re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{1,2})|([0-7]{1,3})|(.))", re.DOTALL)
_NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


class Item(Struct):
    """One item: its key as written (unquoted), its data, and its line with the data's continuations."""

    key: bytes
    data: bytes
    line: bytes


def _unescaped(match: re.Match[bytes]) -> bytes:
    hexadecimal, octal, char = match.groups()
    if hexadecimal:
        return bytes([int(hexadecimal, 16)])
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    return _NAMED.get(char, char)


def unescape(text: bytes) -> bytes:
    """Return the inside of a quoted string with its escapes undone (exim.md 1.5)."""
    return _ESCAPE.sub(_unescaped, text) if b"\\" in text else text


def dequote(text: str) -> tuple[str, str]:
    """Return the word at the start of *text*, perhaps in double quotes with escapes, and what follows it."""
    if not text.startswith('"'):
        match = re.match(r"\S*", text)
        assert match is not None, "an empty word matches"
        return match[0], text[match.end() :]
    word = re.match(r'"((?:\\.|[^"\\])*\\?)"?', text, re.DOTALL)
    assert word is not None, "a quote alone matches"
    octets = unescape(word[1].encode("utf-8", "surrogateescape"))
    return octets.decode("utf-8", "surrogateescape"), text[word.end() :]


def parse_items(content: bytes) -> list[Item]:
    """Return all items in file order; bytes, for Exim folds and strips ASCII only."""
    items: list[Item] = []
    current: Item | None = None
    *lines, last = content.split(b"\n")
    for line in [*map(_stripped, lines), last]:  # without a newline its white space stays
        if not line or line.startswith(b"#"):
            current = None
        elif line[:1].isspace():
            if current is not None:
                more = b" " + line[:EXIM_BUFFER].lstrip() + line[EXIM_BUFFER:]
                current.data += more
                current.line += more
        elif match := _ITEM.match(line):
            quoted, bare, data = match.groups()
            key = bare if quoted is None else unescape(quoted)
            if quoted is not None:  # Exim undoes the quoting where the line lies
                line = key + line[match.end(1) + 1 :]
            current = Item(key, data, line)
            items.append(current)
    return items


def _stripped(line: bytes) -> bytes:
    """Return *line*, which a newline ended, without the white space at the end of its last piece."""
    if len(line) < EXIM_BUFFER:
        return line.rstrip()
    last = len(line) // EXIM_BUFFER * EXIM_BUFFER
    return line[:last] + line[last:].rstrip()


def parse(content: bytes) -> dict[bytes, Item]:
    """Return the items by lower-case key; the first with a key wins, and an empty key is never found."""
    items: dict[bytes, Item] = {}
    for item in parse_items(content):
        if item.key:
            items.setdefault(item.key.lower(), item)
    return items
