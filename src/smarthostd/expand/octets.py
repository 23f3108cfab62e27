"""Operations that count octets, not characters: substrings, lengths and Exim's two hashes."""

from __future__ import annotations

import re

from smarthostd.errors import ExpansionError

_HASH_CODES = "abcdefghijklmnopqrtsuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
"""In Exim's order, "rts" included."""
_PRIMES = (
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113,
)  # fmt: skip
_LOWER = {upper: upper + 32 for upper in range(65, 91)}
_UPPER = {lower: lower - 32 for lower in range(97, 123)}
_SURROGATE = re.compile("[\udc80-\udcff]")
UNSIGNED_MAX = (1 << 64) - 1


def octets(text: str) -> bytes:
    """Return *text* as the octets that it stands for."""
    return text.encode("utf-8", "surrogateescape")


def text_of(octets_: bytes) -> str:
    """Return the text that stands for these octets."""
    return octets_.decode("utf-8", "surrogateescape")


def normal(text: str) -> str:
    """Return *text* with escaped octets that together make up UTF-8 written as characters."""
    return text_of(octets(text)) if _SURROGATE.search(text) else text


def lower(text: str) -> str:
    """Fold ASCII letters only, as Exim does."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def upper(text: str) -> str:
    """Raise ASCII letters only."""
    return text.upper() if text.isascii() else text.translate(_UPPER)


def unsigned(text: str) -> int | None:
    """Return the number that C's ``strtoul`` reads in the whole of *text* (empty is 0), or None."""
    if not text:
        return 0
    match = re.fullmatch(r"[ \t\n\v\f\r]*([+-]?)([0-9]+)", text)
    if match is None:
        return None
    number = int(match[2][:40])
    if number > UNSIGNED_MAX:
        return UNSIGNED_MAX
    return -number & UNSIGNED_MAX if match[1] == "-" else number


def signed(number: int, bits: int = 64) -> int:
    """Return *number* as a signed integer of so many bits would hold it."""
    half = 1 << (bits - 1)
    return (number + half) % (half << 1) - half


def substring(start: int, length: int, text: str) -> str:
    """Return ``substr``: a negative *start* counts from the right, a negative *length* means "not given"."""
    data = octets(text)
    if start < 0:
        start += len(data)
        if start < 0:
            length = max(0, length + start)
            start = 0
        elif length < 0:
            start, length = 0, start
    elif start > len(data):
        start, length = len(data), 0
    elif length < 0:
        length = len(data)
    return text_of(data[start : start + length])


def hash_text(length: int, codes: int, text: str) -> str:
    """Return ``hash``: *length* characters out of the first *codes* of Exim's alphabet (negative: 26)."""
    codes = 26 if codes < 0 else codes
    if codes > len(_HASH_CODES):
        raise ExpansionError(f'hash count "{codes}" too big')
    data = bytearray(octets(text))
    if length >= len(data):
        return text
    if length <= 0 or codes == 0:
        return ""
    at = 0
    for place in range(length, len(data)):
        char = data[place]
        shift = (char + place) & 7
        data[at] ^= ((char << shift) | (char >> (8 - shift))) & 0xFF
        at = (at + 1) % length
    return "".join(_HASH_CODES[char % codes] for char in data[:length])


def nhash_text(first: int, second: int, text: str) -> str:
    """Return ``nhash``: a number below *first*, or two, below *first* and *second* (negative: not given).

    A negative *first*, and the product of both, are what they are in C: the first a very large number, the second
    one of 32 bits. Where that is zero Exim dies.
    """
    below = signed(first if second < 0 else first * second, 32) & UNSIGNED_MAX
    if not below:
        raise ExpansionError("nhash needs numbers greater than zero")
    total = sum(_PRIMES[-1 - at % len(_PRIMES)] * char for at, char in enumerate(octets(text))) % below
    return str(total) if second < 0 else f"{total // second}/{total % second}"
