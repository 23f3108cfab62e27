"""UTF-8 as Exim's operators see it: octets that are made right, or turned into Latin-1."""

from __future__ import annotations

from smarthostd.expand.octets import octets, text_of

_LEAD_BITS = ((0xE0, 0xC0, 1), (0xF0, 0xE0, 2), (0xF8, 0xF0, 3), (0xFC, 0xF8, 4), (0xFE, 0xFC, 5))
"""Mask and value of a leading octet, and how many follow; Exim knows the longer forms of old."""


def from_utf8(text: str) -> str:
    """Return *text* as Latin-1 octets, ``_`` standing for characters that Latin-1 has not."""
    data, out, at = octets(text), bytearray(), 0
    while at < len(data):
        code, at = _next_code(data, at)
        out.append(code if code < 256 else ord("_"))
    return text_of(bytes(out))


def _next_code(data: bytes, at: int) -> tuple[int, int]:
    """Return the character at *at*, malformed or not, and where the next begins; missing octets are zero."""
    lead = data[at]
    if lead & 0xC0 != 0xC0:
        return lead, at + 1
    count = next((count for mask, value, count in _LEAD_BITS if lead & mask == value), 5)
    code = lead & (0x3F >> count)
    for octet in data[at + 1 : at + 1 + count].ljust(count, b"\0"):
        code = code << 6 | octet & 0x3F
    return code, at + 1 + count


def utf8clean(text: str) -> str:
    """Return *text* with ``?`` for every malformed sequence."""
    data, out, at = octets(text), [], 0
    while at < len(data):
        size = _sequence_size(data, at)
        try:
            out.append(data[at : at + size].decode("utf-8"))
        except UnicodeDecodeError:
            out.append("?")
        at += size
    return "".join(out)


def _sequence_size(data: bytes, at: int) -> int:
    """Return how many octets belong to the sequence at *at*: its leading octet says, fewer where it is cut short."""
    lead = data[at]
    wanted = 2 if 0xC2 <= lead <= 0xDF else 3 if lead & 0xF0 == 0xE0 else 4 if 0xF0 <= lead <= 0xF4 else 1
    size = 1
    while size < wanted and at + size < len(data) and data[at + size] & 0xC0 == 0x80:
        size += 1
    return size
