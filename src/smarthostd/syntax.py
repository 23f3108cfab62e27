"""Small texts: how untrusted bytes are shown, how times and sizes are written.

Everything that a stranger can influence (addresses, HELO names, a server's replies) passes
through :func:`printable` before it reaches a log line, a report or a terminal.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from ipaddress import ip_address

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, ends of lines and what turns the direction of writing, and octets that are no text."""
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", "\v": "\\v"}
_STRAY = re.compile("[\ud800-\udfff]")
CONTROL = re.compile("[\x00-\x1f\x7f]")
REMOTE_TEXT_LIMIT = 500
"""Characters of a remote server's text that we keep (reliability.md 3)."""


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char in _NAMED:
        return _NAMED[char]
    stray = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", stray))


def printable(text: str) -> str:
    """Return *text* on one line, control characters written as Exim's log does (``\\n``, ``\\033``)."""
    return text if text.isprintable() else _UNPRINTABLE.sub(_escaped, text)


def whole(text: str) -> str:
    """Return *text* as UTF-8 can hold it: octets that are no text are written as in the log (``\\377``)."""
    return text if text.isascii() else _STRAY.sub(_escaped, text)


def has_control(text: str) -> bool:
    """Return whether there is a control character in *text* (ASCII's)."""
    return not text.isprintable() and CONTROL.search(text) is not None


def remote_text(text: str, limit: int = REMOTE_TEXT_LIMIT) -> str:
    """Return a remote server's *text* safe to keep: cut to *limit* characters, one printable line.

    The lines of a reply are joined by the two characters ``\\n``, as in Exim's log.
    """
    return printable(text[:limit])


def xtext(text: str) -> str:
    """Encode as RFC 3461 4 says."""
    octets = text.encode("utf-8", "surrogateescape")
    return "".join(chr(one) if 33 <= one <= 126 and one not in b"+=" else f"+{one:02X}" for one in octets)


_TIME_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_TIME_PART = re.compile(r"(\d+)([wdhms])", re.ASCII)


def parse_time(text: str) -> timedelta | None:
    """Return Exim's time ``1h30m`` (units w d h m s in any order, each number with a unit), or None."""
    if not text or not re.fullmatch(r"(?:\d+[wdhms])+", text, re.ASCII):
        return None
    try:
        return timedelta(seconds=sum(int(n) * _TIME_UNITS[unit] for n, unit in _TIME_PART.findall(text)))
    except (OverflowError, ValueError):  # more digits than Python makes a number of
        return None


def format_time(time: timedelta) -> str:
    """Return *time* as Exim writes it: ``1h30m``, ``0s``; whole seconds."""
    seconds = int(time.total_seconds())
    if seconds <= 0:
        return "0s"
    text = ""
    for unit, length in _TIME_UNITS.items():
        count, seconds = divmod(seconds, length)
        if count:
            text += f"{count}{unit}"
    return text


_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@lru_cache(256)
def parse_size(text: str) -> int | None:
    """Return Exim's integer (``50M``, ``0x20``, ``017``, suffixes by 1024), or None."""
    match = re.fullmatch(r"([+-]?)(0[xX][0-9a-fA-F]+|\d+)\s*([KMGTkmgt]?)", text.strip(), re.ASCII)
    if not match:
        return None
    sign, digits, suffix = match.groups()
    try:
        if digits[:2].lower() == "0x":
            number = int(digits, 16)
        else:
            number = int(digits, 8 if digits[0] == "0" and len(digits) > 1 else 10)
    except ValueError:
        return None
    return (-number if sign == "-" else number) * _SIZES[suffix.upper()]


def format_size(size: int) -> str:
    """Return *size* in octets with the largest suffix that divides it: ``50M``."""
    for suffix in "TGMK":
        if size and size % _SIZES[suffix] == 0:
            return f"{size // _SIZES[suffix]}{suffix}"
    return str(size)


_FILE = re.compile(r"(?:lsearch[^{}]*\{|readfile\{)\s*(/[^{}$]*?)\s*\}")
_OCTAL = re.compile(r"\\([0-7]{3})")
PORT_LIMIT = 65535
_KIB = 1 << 10
_MIB = 1 << 20


def short_size(octets: int) -> str:
    """Return *octets* in at most five characters, as Exim lists them: ``343``, ``1.2K``, ``12M``; nothing for 0."""
    if octets < _KIB:
        return str(octets or "")
    if octets < 10 * _KIB:
        return f"{octets / _KIB:.1f}K"
    if octets < _MIB:
        return f"{(octets + _KIB // 2) // _KIB}K"
    if octets < 10 * _MIB:
        return f"{octets / _MIB:.1f}M"
    return f"{(octets + _MIB // 2) // _MIB}M"


@lru_cache(4096)
def is_address(text: str) -> bool:
    """Return whether *text* is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether what is sent to *host* does not leave this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def named_files(template: str) -> list[str]:
    """Return the files that a string reads when it is expanded, as far as their names stand in it."""
    found = (_OCTAL.sub(lambda octal: chr(int(octal[1], 8)), name) for name in _FILE.findall(template))
    return list(dict.fromkeys(found))
