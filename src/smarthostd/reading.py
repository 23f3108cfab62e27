"""How the text of an option is read (exim.md 1.5): its type's words, or a ValueError with what is wrong.

A value may come from TOML too, and then has its type already; what is of no type that fits is left for the model
to refuse.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise

from smarthostd import syntax


def read_bool(value: object) -> object:
    """Return a boolean from Exim's words; text that is none of them is left for the model to refuse."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word in ("", "true", "yes"):
            return True
        if word in ("false", "no"):
            return False
        raise ValueError(f'"{value}" is not a valid value: say true, false, yes or no')
    return value


def or_expanded(read: Callable[[object], object]) -> Callable[[object], object]:
    """Return what reads a value as *read* does, but leaves a text that is to be expanded to one."""

    def either(value: object) -> object:
        if isinstance(value, str) and "$" in value:
            return value
        found = read(value)
        if not isinstance(found, int | timedelta):
            raise ValueError("expected one value, or a text that is expanded to one")
        if isinstance(found, int) and found < 0:
            raise ValueError("expected 0 or more")
        return found

    return either


def read_time(value: object) -> object:
    """Return a timedelta from ``1h30m``."""
    if isinstance(value, str):
        time = syntax.parse_time(value)
        if time is None:
            raise ValueError(f'"{value}" is not a time: write a number and a unit, such as 30s, 15m, 2h, 1d or 1w')
        return time
    if isinstance(value, int | float):
        raise ValueError(f'{value} has no unit: write it as a time, such as "{int(value)}s"')
    return value


def read_port(text: str) -> int:
    """Return a port from its number, or from a name in /etc/services; raises ValueError."""
    try:
        number = int(text) if text.isdigit() and text.isascii() else socket.getservbyname(text, "tcp")
        if number <= syntax.PORT_LIMIT:
            return number
    except (OSError, ValueError):
        pass
    raise ValueError(f'"{text}" is no port; expected a number to {syntax.PORT_LIMIT}, or a name of /etc/services')


def read_size(value: object) -> object:
    """Return an integer from ``50M``."""
    if isinstance(value, str):
        number = syntax.parse_size(value)
        if number is None:
            raise ValueError(f'"{value}" is not an integer: write digits and perhaps K, M or G')
        if not -(1 << 31) <= number < 1 << 31:
            raise ValueError(f'"{value}" is too large: at most 2147483647')
        return number
    return value


def read_octal(value: object) -> object:
    """Return an integer from octal digits: a file's mode."""
    if isinstance(value, str):
        if not re.fullmatch(r"[0-7]{1,6}", value.strip(), re.ASCII):
            raise ValueError(f'"{value}" is not an octal number: write a file mode, such as 0600')
        return int(value, 8)
    return value


def read_times(value: object) -> object:
    """Return times from ``4h:8h`` or an array of times; ``0s`` alone is none at all."""
    if isinstance(value, str):
        value = [item.strip() for item in value.split(":")] if value.strip() else []
    if not isinstance(value, list | tuple):
        return value
    times = [read_time(item) for item in value]
    if times and times[0] == timedelta(0):
        return ()
    if any(isinstance(b, timedelta) and isinstance(a, timedelta) and b <= a for a, b in pairwise(times)):
        raise ValueError("each time must be longer than the one before it")
    return tuple(times)


def join_list(items: Sequence[str]) -> str:
    """Return Exim's list text for *items*, with each colon inside an item doubled."""
    texts = [str(item).replace(":", "::") for item in items]
    if texts and not texts[-1]:
        texts.append("")
    return " : ".join(text or " " for text in texts).strip() if any(texts) else ":" * bool(texts)


def read_list(value: object) -> object:
    """Return list text from a TOML array; text stays as it is."""
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return join_list(value)
    return value
