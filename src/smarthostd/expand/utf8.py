"""UTF-8 as Exim's operators see it: octets that are made right, or turned into Latin-1."""

from __future__ import annotations

import re

from smarthostd.expand.octets import octets, text_of

_LEAD_BITS = ((0xE0, 0xC0, 1), (0xF0, 0xE0, 2), (0xF8, 0xF0, 3), (0xFC, 0xF8, 4), (0xFE, 0xFC, 5))
"""Mask and value of a leading octet, and how many follow; Exim knows the longer forms of old."""
LAST_CODE = 0x10FFFF
_SEQUENCE = re.compile(
    rb"([\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf7][\x80-\xbf]{3})"
    rb"|(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf7][\x80-\xbf]{0,2})[\xc0-\xff]?|[\x80-\xff]"
)
"""A character of several octets, or what is taken for one that is malformed."""


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
    """Return *text* with ``?`` for every malformed sequence, as Exim sees it.

    It does not mind needlessly long forms of three and four octets; and a sequence that is cut short by the beginning
    of another takes that octet along.
    """
    return text_of(_SEQUENCE.sub(lambda match: match[1] if _is_character(match[1]) else b"?", octets(text)))


def _is_character(sequence: bytes | None) -> bool:
    if sequence is None:
        return False
    code, _ = _next_code(sequence, 0)
    return code <= LAST_CODE and not 0xD800 <= code <= 0xDFFF
