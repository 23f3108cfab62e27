"""The types of configuration options, as Exim reads them (exim.md 1.5), and how a driver declares one.

An option is written once, in a model: its name, type, default and help. The two front ends, ``-bP``,
``docs/options.md`` and the example files all read it from there. Values arrive as text (Exim's syntax)
or as TOML values; a list may be a TOML array, which becomes Exim's list text with separators doubled.

A module of options does without ``from __future__ import annotations``: pydantic would evaluate each text again for
each model that inherits it, 7 ms of a start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib import import_module
from typing import Annotated, Any

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from smarthostd.reading import or_expanded, read_bool, read_list, read_octal, read_size, read_time, read_times


class Kind(Struct, frozen=True):
    """What an option's text is, for the front ends and for printing it back."""

    name: str
    expanded: bool = False
    """Expanded each time it is used."""
    lists: str = ""
    """``domain``, ``host``, ``address``, ``local_part`` or ``string`` for a list; else empty."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of *source*: pydantic would look for what this means, at each of 300 options."""
        return handler(source)


class Read(Struct, frozen=True):
    """Reads the text of an option before pydantic looks at its type; raises ValueError with what is wrong.

    pydantic's own BeforeValidator asks for the function's signature at each of 400 options: 10 ms of every start.
    """

    read: Callable[[Any], object]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of *source* with the reading in front of it."""
        return core_schema.no_info_before_validator_function(self.read, handler(source))


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
Users = Annotated[str, Read(read_list), Kind("users", lists="string")]
Groups = Annotated[str, Read(read_list), Kind("groups", lists="string")]
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


class ByDriver(Struct, frozen=True):
    """Has an instance judged by its driver's model, which is imported then.

    pydantic's own way, a discriminated union, makes the schemas of all drivers: 7 ms of every start. The classes of
    drivers that a configuration does not have take as much again.
    """

    package: str
    """Has a module for each driver, by its name."""
    models: Mapping[str, str]
    """What the model is called there, by driver."""

    def model(self, driver: str) -> type[Options]:
        """Return the model of one of the drivers."""
        model: type[Options] = getattr(import_module(f"{self.package}.{driver}"), self.models[driver])
        return model

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return a schema that looks at the driver first; the models' own are made when they are needed."""

        def judged(value: object) -> object:
            driver = value.get("driver", "") if isinstance(value, Mapping) else ""
            if driver not in self.models:
                raise PydanticCustomError("driver", "expected a table with a driver")
            return self.model(driver).model_validate(value)

        return core_schema.no_info_plain_validator_function(judged)


def option(default: Any, help: str, **constraints: Any) -> Any:
    """Declare an option: its default, one sentence of help, and pydantic's constraints (``ge=0``)."""
    return Field(default, description=help, **constraints)


class Options(BaseModel):
    """Base of every model of options: unknown names are errors, values do not change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=False, defer_build=True
    )

    def default(self, name: str) -> Any:
        """Return the default of the option *name*: it counts where the text that was given expands to nothing."""
        return type(self).model_fields[name].default
