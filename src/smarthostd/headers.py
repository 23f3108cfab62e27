"""Header blocks as octets: what intake looks at and what it adds. Linear in the block's size; bodies are not read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import lru_cache

from msgspec import Struct

from smarthostd.envelope import Client, Content

HEADER_LIMIT = 1 << 20
"""Octets of header that expansions and reports look at."""

_NAME = re.compile(rb"^([!-9;-~]+)[ \t]*:", re.MULTILINE)
_LINE = re.compile(rb"^([!-9;-~]+)[ \t]*:[ \t]*([^\r\n]*)", re.MULTILINE)
_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:(?:[^\r]|\r(?!\n))*\r\n(?:[ \t](?:[^\r]|\r(?!\n))*\r\n)*", re.MULTILINE)
DELIVERY_LINES = frozenset({b"return-path", b"envelope-to", b"delivery-date"})
"""Lines that a final delivery adds: there should be none in what comes in."""
_WANTED = DELIVERY_LINES | {b"date", b"message-id", b"from", b"resent-date", b"resent-message-id", b"resent-from"}


def end_of_header(start: bytes) -> int:
    """Return how many octets of *start* are header lines (CRLF ends), the empty line not counted."""
    if start.startswith(b"\r\n"):
        return 0
    at = start.find(b"\r\n\r\n")
    return len(start) if at < 0 else at + 2


def begins_with_field(start: bytes) -> bool:
    """Return whether *start* begins with a header line: what does not is a body, with no header above it."""
    return _NAME.match(start) is not None


class Seen(Struct, frozen=True):
    """What a header block holds, as far as intake is concerned."""

    received: int
    names: frozenset[bytes]
    message_id: str = ""
    subject: str = ""
    resent: bool = False

    def lacks(self, name: bytes) -> bool:
        """Whether there is no such line; of a message that was sent again, no ``Resent-`` line."""
        return (b"resent-" + name if self.resent else name) not in self.names


def scan(header: bytes) -> Seen:
    """Look over a header block."""
    lines = [(name.lower(), value) for name, value in _LINE.findall(header)]
    lines.reverse()
    first = dict(lines)
    received = sum([name == b"received" for name, _ in lines]) if b"received" in first else 0
    resent = b"\nresent-" in b"\n" + b"\n".join(first)
    message_id = _text(first.get(b"resent-message-id" if resent else b"message-id", b"")).strip("<> ")
    return Seen(received, _WANTED.intersection(first), message_id, _text(first.get(b"subject", b"")), resent)


def without(header: bytes, gone: Callable[[bytes], bool]) -> bytes:
    """Return *header* without the lines whose name, in lower case, is *gone*; the same object if there are none."""
    if not any(gone(name.lower()) for name in _NAME.findall(header)):
        return header
    return _FIELD.sub(lambda field: b"" if gone(field[1].lower()) else field[0], header)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace").strip()


def header_text(content: Content) -> str:
    """Return the header block of *content* with LF line ends, for ``$h_…:`` variables."""
    start = content.beginning(HEADER_LIMIT)
    return start[: end_of_header(start)].replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")


def date(seconds: float) -> str:
    """Return an RFC 5322 date in local time."""
    return _date(int(seconds))


@lru_cache(16)
def _date(second: int) -> str:
    """Likewise; under load many messages share a second, and to write it out takes 5 us."""
    return time.strftime("%a, %d %b %Y %H:%M:%S %z", time.localtime(second))


_COMMENT_UNSAFE = re.compile(r"[()\\\x00-\x1f\x7f]")


def received(
    client: Client, hostname: str, version: str, id: str, sender: str, recipients: list[str], at: float
) -> bytes:
    """Return a Received line in Exim's form (exim.md 11.2), ended by CRLF."""
    helo = _COMMENT_UNSAFE.sub("?", client.helo)
    if not client.address:
        origin = f"from {client.login or 'unknown'}"
    elif client.name:
        origin = f"from {client.name} ([{client.address}]{f' helo={helo}' if helo and helo != client.name else ''})"
    elif helo and not helo.startswith("["):
        origin = f"from {helo} ([{client.address}])"
    else:
        origin = f"from [{client.address}]{f' (helo={helo})' if helo else ''}"
    lines = [f"Received: {origin}", f"by {hostname} with {client.protocol} (smarthostd {version})"]
    if client.tls:
        lines[1] = f"by {hostname} with {client.protocol} ({client.tls.replace(':', ' ')}) (smarthostd {version})"
    if sender:
        lines.append(f"(envelope-from <{sender}>)")
    lines.append(f"id {id}")
    if len(recipients) == 1:
        lines.append(f"for {recipients[0]}")
    text = f"{lines[0]} {lines[1]}" if not client.address else "\r\n\t".join(lines[:2])
    for line in lines[2:]:
        text += f"\r\n\t{line}"
    return f"{text};\r\n\t{date(at)}\r\n".encode("utf-8", "surrogateescape")
