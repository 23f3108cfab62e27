"""The types of configuration options, as Exim reads them (exim.md 1.5), and how a driver declares one.

An option is written once, in a model: its name, type, default and help. The two front ends, ``-bP``,
``docs/options.md`` and the example files all read it from there. Values arrive as text (Exim's syntax)
or as TOML values; a list may be a TOML array, which becomes Exim's list text with separators doubled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Any

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from smarthostd import syntax


class Kind(Struct, frozen=True):
    """What an option's text is, for the front ends and for printing it back."""

    name: str
    expanded: bool = False
    """Expanded each time it is used."""
    lists: str = ""
    """``domain``, ``host``, ``address``, ``local_part`` or ``string`` for a list; else empty."""


class Read(Struct, frozen=True):
    """Reads the text of an option before pydantic looks at its type; raises ValueError with what is wrong.

    pydantic's own BeforeValidator asks for the function's signature at each of 400 options: 10 ms of every start.
    """

    read: Callable[[Any], object]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of *source* with the reading in front of it."""
        return core_schema.no_info_before_validator_function(self.read, handler(source))


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


Bool = Annotated[bool, Read(read_bool), Kind("bool")]
ExpandedBool = Annotated[bool | str, Read(or_expanded(read_bool)), Kind("bool", expanded=True)]
"""A boolean, or text that is expanded to one each time it is asked for (exim.md 1.6)."""
ExpandedSize = Annotated[int | str, Read(or_expanded(read_size)), Kind("size", expanded=True)]
ExpandedInteger = Annotated[int | str, Read(or_expanded(read_size)), Kind("integer", expanded=True)]
ExpandedTime = Annotated[timedelta | str, Read(or_expanded(read_time)), Kind("time", expanded=True)]
"""A number or a time, or text that is expanded to one for each client."""
Integer = Annotated[int, Read(read_size), Kind("integer")]
Size = Annotated[int, Read(read_size), Kind("size")]
Octal = Annotated[int, Read(read_octal), Kind("octal")]
Time = Annotated[timedelta, Read(read_time), Kind("time")]
Times = Annotated[tuple[timedelta, ...], Read(read_times), Kind("times")]
String = Annotated[str, Kind("string")]
Expanded = Annotated[str, Kind("string", expanded=True)]
StringList = Annotated[str, Read(read_list), Kind("string", lists="string")]
ExpandedList = Annotated[str, Read(read_list), Kind("string", expanded=True, lists="string")]
DomainList = Annotated[str, Read(read_list), Kind("string", expanded=True, lists="domain")]
HostList = Annotated[str, Read(read_list), Kind("string", expanded=True, lists="host")]
AddressList = Annotated[str, Read(read_list), Kind("string", expanded=True, lists="address")]
LocalPartList = Annotated[str, Read(read_list), Kind("string", expanded=True, lists="local_part")]
# Options that are given several times: each condition must hold, each header line is added.
Repeated = Annotated[
    tuple[str, ...],
    Read(lambda v: (v,) if isinstance(v, str) else v),
    Kind("repeated", expanded=True),
]


def option(default: Any, help: str, **constraints: Any) -> Any:
    """Declare an option: its default, one sentence of help, and pydantic's constraints (``ge=0``)."""
    return Field(default, description=help, **constraints)


class Options(BaseModel):
    """Base of every model of options: unknown names are errors, values do not change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=False, defer_build=True
    )
