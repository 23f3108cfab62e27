"""The text of a value to what it means, by the kind of its option (exim.md 1.5).

Only the form is judged here, as Exim judges it while reading, with Exim's words. Whether a value makes sense is the
model's business.
"""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Callable
from typing import Any

from smarthostd.config.exim.lines import SPACE
from smarthostd.lists import split
from smarthostd.lookups.lsearch import unescape
from smarthostd.options import Kind
from smarthostd.syntax import parse_time

LARGEST = (1 << 31) - 1
MOST_TIMES = 10
QUOTED = re.compile(r'"((?:\\.|[^"\\])*)(\\?)("?)', re.DOTALL)
_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?)(?:(0[xX][0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))", re.ASCII)
_SUFFIXES = {"K": 1, "M": 2, "G": 3, "T": 4}
_FIXED = re.compile(r"[ \t\n\v\f\r]*([+-]?\d+)(\.\d*)?[ \t\n\v\f\r]*", re.ASCII)
_WORD = re.compile(r"([A-Za-z]\w*)?[ \t\n\v\f\r]*", re.ASCII)

STRINGS = frozenset({"string", "repeated", "users", "groups", "strict", "rules", "user", "group"})
"""Kinds whose values may be quoted."""
NUMBERS = frozenset({"integer", "size", "count"})
"""Kinds of which Exim keeps the text where they are expanded, whatever it is."""


class Malformed(Exception):
    """A value of the wrong form; the text is Exim's."""


def surplus(rest: str, what: str) -> Malformed:
    """Return Exim's complaint about text behind a value."""
    hint = " (# is comment only at line start)" if rest.startswith("#") else ""
    return Malformed(f"extra characters follow {what}{hint}")


def read(kind: Kind, name: str, text: str) -> Any:
    """Return the value written in *text*, white space at both ends gone; raises :class:`Malformed`.

    What may be expanded stays text where something in it is to be expanded.
    """
    if kind.expanded and "$" in text and kind.name in _READERS:
        return text
    return _READERS.get(kind.name, _string)(name, text)


def _bool(name: str, text: str) -> bool:
    match = _WORD.match(text)
    assert match is not None, "an empty word matches"
    word, rest = match[1] or "", text[match.end() :]
    value = {"true": True, "yes": True, "false": False, "no": False}.get(word.lower())
    if not text:
        return True
    if value is None:
        raise Malformed(f'"{word}" is not a valid value for the "{name}" option')
    if rest:
        raise surplus(rest, f'"{word}" for boolean option {name}')
    return value


def _integer(name: str, text: str, *, plain_factor: int = 1) -> int:
    """Return an integer; *plain_factor* is what a number without suffix counts, in octets."""
    match = _INTEGER.match(text)
    if match is None:
        raise Malformed(f"integer expected for {name}")
    sign, hexadecimal, octal, decimal = match.groups()
    number = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal)
    rest = text[match.end() :]
    power = _SUFFIXES.get(rest[:1].upper())
    number = number * 1024**power if power else number * plain_factor
    number = -number if sign == "-" else number
    limit = LARGEST * plain_factor
    if not -limit - 1 <= number <= limit:
        raise Malformed(f'absolute value of integer "{text}" is too large (overflow)')
    rest = rest[1:] if power else rest
    if rest.strip(SPACE):
        raise surplus(rest.lstrip(SPACE), f"integer value for {name}")
    return number


def _kilobytes(name: str, text: str) -> int:
    """Return kilobytes: what a number without suffix counts."""
    return _integer(name, text, plain_factor=1024) // 1024


def _octal(name: str, text: str) -> int:
    match = re.match(r"0*([0-7]{1,10})", text)
    if match is None:
        raise Malformed(f"octal integer expected for {name}")
    rest = text[match.end() :].lstrip(SPACE)
    if rest:
        raise surplus(rest, f"octal integer value for {name}")
    return int(match[1], 8)


def _load(name: str, text: str) -> str:
    match = _FIXED.match(text)
    if match is None:
        raise Malformed(f"fixed-point number expected for {name}")
    if match[1].startswith("-") or int(match[1]) * 1000 > LARGEST:
        raise Malformed(f'integer "{text}" is too large (overflow)')
    if match.end() < len(text):
        raise surplus(text[match.end() :], f"fixed-point value for {name}")
    return match[0].strip(SPACE).removeprefix("+")


def _time(name: str, text: str) -> str:
    time = parse_time(text)
    if time is None or time.total_seconds() > LARGEST:
        raise Malformed(f"invalid time value for {name}")
    return text


def _times(name: str, text: str) -> list[str]:
    items = [item.strip(SPACE) for item in text.split(":")] if text else []
    last = None
    for count, item in enumerate(items):
        if count == MOST_TIMES:
            raise Malformed(f"too many time values for {name}")
        time = parse_time(_time(name, item))
        if last is not None and time is not None and time <= last:
            raise Malformed(f"time value out of order for {name}")
        last = time
    return items


def _string(name: str, text: str) -> str:
    if not text.startswith('"'):
        return text
    match = QUOTED.match(text)
    assert match is not None, "a quote matches"
    inside, backslash, closing = match.groups()
    if not closing and (text == '"' or not text.endswith('"')):
        raise Malformed(f"missing quote at end of string value for {name}")
    if match.end() < len(text):
        raise surplus(text[match.end() :], f"string value for {name}")
    return unescape((inside + backslash).encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _users(name: str, text: str) -> str:
    return _known(name, text, "user", pwd.getpwnam)


def _groups(name: str, text: str) -> str:
    return _known(name, text, "group", grp.getgrnam)


def _known(name: str, text: str, what: str, find: Callable[[str], object]) -> str:
    """Return a list of logins or groups, all of which exist.

    Exim counts colons, whatever the separator is: behind another one only the first item is taken.
    """
    value = _string(name, text)
    count = len(re.findall(":(?!$)", value)) + 1 if value else 0
    return " : ".join(_known_one(item, what, find) for item in split(value)[:count])


def _known_one(item: str, what: str, find: Callable[[str], object]) -> str:
    """Return a login or a group that exists, or a number; a negative one is what C makes of it."""
    if re.fullmatch(r"-?\d+", item, re.ASCII):
        return str(int(item) % (1 << 32))
    try:
        find(item)
    except (KeyError, ValueError):
        raise Malformed(f"{what} {item} was not found") from None
    return item


def _user(name: str, text: str) -> str:
    return _known_one(_string(name, text), "user", pwd.getpwnam)


def _group(name: str, text: str) -> str:
    return _known_one(_string(name, text), "group", grp.getgrnam)


_READERS: dict[str, Callable[[str, str], Any]] = {
    "bool": _bool,
    "integer": _integer,
    "size": _integer,
    "kilobytes": _kilobytes,
    "octal": _octal,
    "load": _load,
    "time": _time,
    "times": _times,
    "users": _users,
    "groups": _groups,
    "user": _user,
    "group": _group,
}
