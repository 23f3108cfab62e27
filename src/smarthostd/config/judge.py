"""Plain values to Settings, and the model's objections to sentences with a file and a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from smarthostd.config.catalog import EXPECTED, SECTIONS, catalog
from smarthostd.config.errors import Mistake, in_instance, nowhere
from smarthostd.config.settings import Settings
from smarthostd.config.source import Path, Source

_KEYWORDS = ("host_find_failed", "host_all_ignored")
"""Options whose keywords Exim judges when it has read the router."""
_PLAIN_KINDS = ("string", "users", "groups", "strict")


def judge(source: Source, *, as_exim: bool = False) -> Settings | None:
    """Return the settings; None where the model objects, with its objections among the source's mistakes.

    A value that Exim would take is left out instead with *as_exim*.
    """
    while True:
        try:
            return Settings.model_validate(source.values)
        except ValidationError as error:
            found = list(_mistakes(source, error.errors(include_url=False, include_input=False)))
        left = [path for path, mistake in found if as_exim and _taken_by_exim(source, path, mistake)]
        for path in left:
            _leave_out(source, path)
        if not left:
            # Exim looks at a router's keywords before it looks at what goes together.
            source.mistakes[:0] = [mistake for path, mistake in found if path[-1:] and path[-1] in _KEYWORDS]
            source.mistakes += [mistake for path, mistake in found if not path or path[-1] not in _KEYWORDS]
            return None


def _taken_by_exim(source: Source, path: Path, mistake: Mistake) -> bool:
    """Whether *path* is an option that was set, and Exim would not object to its value while reading."""
    if mistake.exim or len(path) not in (1, 3):
        return False
    from smarthostd.config.exim import listing

    exims = listing.knows(path[0] if len(path) > 1 else "", _driver(source, path), path[-1])
    return exims and path[-1] in _table(source, path)


def _table(source: Source, path: Path) -> dict[str, Any]:
    table: dict[str, Any] = source.values if len(path) == 1 else source.values[path[0]][path[1]]
    return table


def _leave_out(source: Source, path: Path) -> None:
    value = _table(source, path).pop(path[-1])
    source.unused.setdefault(path, value)


def _mistakes(source: Source, errors: list[ErrorDetails]) -> Iterator[tuple[Path, Mistake]]:
    told = set()
    for details in errors:
        path = _path(source.values, details["loc"])
        if path not in told and path not in source.faulty:
            told.add(path)
            yield path, _mistake(source, path, details)


def _path(values: Mapping[str, Any], loc: tuple[int | str, ...]) -> Path:
    """Return the path of an objection: an instance's name for its number."""
    section = str(loc[0]) if loc else ""
    if section not in SECTIONS or len(loc) < 2:
        return tuple(str(step) for step in loc[:2])
    names = list(values.get(section, {}))
    name = names[loc[1]] if isinstance(loc[1], int) and loc[1] < len(names) else str(loc[1])
    return (section, name, *(str(step) for step in loc[2:3]))


def _mistake(source: Source, path: Path, details: ErrorDetails) -> Mistake:
    position = source.position(path)
    if len(path) == 2 and path[0] in SECTIONS:
        return _about_instance(source, path, details)
    text = _objection(path, details, _driver(source, path))
    name = path[-1] if path else "?"
    place = f" of {SECTIONS[path[0]]} {path[1]}" if len(path) == 3 else ""
    exim = ""
    if details["type"] == "value_error" and _is_text(path, source):
        exim = nowhere(details["msg"].removeprefix("Value error, "))
    elif details["type"] == "literal_error" and name in _KEYWORDS:
        exim = in_instance(path[1], SECTIONS[path[0]], f"unrecognized setting for {name} option")
    return Mistake(f'option "{name}"{place}: {text}', position, exim=exim, rank=source.rank(path[:-1]))


def _driver(source: Source, path: Path) -> str:
    if len(path) < 3 or path[0] not in SECTIONS:
        return ""
    return str(source.values[path[0]][path[1]].get("driver", ""))


def _is_text(path: Path, source: Source) -> bool:
    """Whether *path* is an option that only the model judges, so that its words are Exim's."""
    option = catalog().options_at(path, _driver(source, path)).get(path[-1]) if path else None
    return option is not None and option.kind.name in _PLAIN_KINDS


def _objection(path: Path, details: ErrorDetails, driver: str) -> str:
    """Return what is wrong with one value, never the value of an option that could be secret."""
    option = catalog().options_at(path, driver).get(path[-1]) if path else None
    kind = option.kind.name if option else "string"
    context = details.get("ctx", {})
    match details["type"]:
        case "value_error":
            return details["msg"].removeprefix("Value error, ")
        case "literal_error":
            return f"expected one of {context.get('expected', '')}".replace(" or ", ", ").replace("'", '"')
        case "greater_than_equal":
            return f"expected {context.get('ge')} or more"
        case "less_than_equal":
            return f"expected {context.get('le')} or less"
        case "missing":
            return "must be given"
        case "string_too_long" if option:
            return f"{option.help[:1].lower()}{option.help[1:].rstrip('.')}"
        case _ if kind in EXPECTED:
            return f"expected {EXPECTED[kind]}"
        case "dict_type":
            return "expected a table"
        case _:
            return "expected text in quotes" + (" or an array of texts" if option and option.kind.lists else "")


def _about_instance(source: Source, path: Path, details: ErrorDetails) -> Mistake:
    """Return the mistake of an instance as a whole: options that do not go together, or no table at all."""
    section, name = path
    kind = SECTIONS[section]
    message = details["msg"].removeprefix("Value error, ")
    exim = ""
    match details["type"]:
        case "value_error":
            exim = in_instance(name, kind, message) if section != "authenticators" else nowhere(message)
        case _:
            message = f"expected a table [{section}.{name}] with a driver"
    return Mistake(f'{kind} "{name}": {message}', source.position(path), exim=exim, rank=source.rank(path))
