"""Operators that write octets and numbers in other letters: base64, base62, base32, hexadecimal, digests."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable

from smarthostd.errors import ExpansionError
from smarthostd.expand.octets import octets, signed, text_of, unsigned

_DIGITS62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS32 = "abcdefghijklmnopqrstuvwxyz234567"


def digest(name: str, *, capitals: bool) -> Callable[[str], str]:
    """Return the operator that writes a digest's hexadecimal digits."""

    def operate(text: str) -> str:
        digits = hashlib.new(name, octets(text), usedforsecurity=False).hexdigest()
        return digits.upper() if capitals else digits

    return operate


def to_base64(text: str) -> str:
    """``base64``, ``str2b64``."""
    return base64.b64encode(octets(text)).decode()


def base64_octets(text: str) -> bytes | None:
    """Return what *text* stands for, white space aside, or None where it is no base64."""
    plain = "".join(text.split())
    try:
        return None if len(plain) % 4 else base64.b64decode(octets(plain), validate=True)
    except binascii.Error:
        return None


def from_base64(text: str) -> str:
    """``base64d``."""
    data = base64_octets(text)
    if data is None:
        raise ExpansionError(f'string "{text}" is not well-formed for "base64d" operator')
    return text_of(data)


def _number(text: str, name: str) -> int:
    number = unsigned(text)
    if number is None:
        raise ExpansionError(f'argument for {name} operator is "{text}", which is not a decimal number')
    return number


def to_base62(text: str) -> str:
    """``base62``: six digits, as in a message id."""
    number, digits = _number(text, "base62"), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _DIGITS62[digit] + digits
    return digits


def to_base32(text: str) -> str:
    """``base32``: as many digits as are needed."""
    number, digits = _number(text, "base32"), ""
    while number:
        number, digit = divmod(number, 32)
        digits = _DIGITS32[digit] + digits
    return digits


def _from_digits(text: str, alphabet: str) -> str:
    base, number = len(alphabet), 0
    for char in text:
        digit = alphabet.find(char)
        if digit < 0:
            raise ExpansionError(f'argument for base{base}d operator is "{text}", which is not a base {base} number')
        number = signed(number * base + digit)
    return str(number)


def from_base62(text: str) -> str:
    """``base62d``."""
    return _from_digits(text, _DIGITS62)


def from_base32(text: str) -> str:
    """``base32d``."""
    return _from_digits(text, _DIGITS32)


def hex2b64(text: str) -> str:
    """``hex2b64``: a digest's hexadecimal digits in base64."""
    if not re.fullmatch(r"[0-9A-Fa-f]*", text):
        raise ExpansionError(f'"{text}" is not a hex string')
    if len(text) % 2:
        raise ExpansionError(f'"{text}" contains an odd number of characters')
    return base64.b64encode(bytes.fromhex(text)).decode()


def hexquote(text: str) -> str:
    """``hexquote``: octets that are not printed as ``\\xHH``."""
    return "".join(chr(octet) if 33 <= octet <= 126 else f"\\x{octet:02x}" for octet in octets(text))
