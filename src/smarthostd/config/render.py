"""Settings written out again, as Exim's syntax or as TOML: what was set, and nothing that is a default.

Either text, read again, gives the same settings; ``tests/config/pairs/`` holds that. Options that may hold a
password are starred unless they are asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any, Literal

from msgspec import Struct

from smarthostd.config.catalog import INSTANCE_FIELDS, NAMED_LISTS, SECRETS, fields_of, kind_of
from smarthostd.config.exim.lines import SPACE
from smarthostd.config.exim.values import STRINGS
from smarthostd.config.settings import Settings
from smarthostd.config.source import Path
from smarthostd.errors import ConfigurationError
from smarthostd.lists import split
from smarthostd.options import Kind, Options
from smarthostd.reading import join_list
from smarthostd.syntax import format_size, format_time

STARS = "***"
Form = Literal["exim", "toml"]
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_UNQUOTABLE = re.compile(r"[\x00-\x1f\x7f]")
_EXIM_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class Setting(Struct, frozen=True):
    """One option that was set."""

    name: str
    kind: Kind
    value: Any
    secret: bool = False


class Document(Struct, frozen=True):
    """Everything that was set, in order."""

    main: list[Setting]
    lists: list[tuple[str, str, str]]
    """Table, name, text."""
    instances: list[tuple[str, str, list[Setting]]]
    """Section, name, options."""
    rules: list[tuple[str, tuple[str, ...]]]
    """Section, lines."""


def render(settings: Settings, form: Form, *, secrets: bool = False, hidden: Collection[Path] = ()) -> str:
    """Return *settings* as a file of that form; secrets, and what *hidden* names, are stars unless *secrets*."""
    document = Document(
        _set_in(settings, (), secrets, hidden),
        [(table, name, text) for table in NAMED_LISTS for name, text in getattr(settings, table).items()],
        [
            (section, name, _set_in(instance, (section, name), secrets, hidden))
            for section, name, instance in _instances(settings)
        ],
        [(rules, getattr(settings, rules)) for rules in ("retry", "rewrite") if rules in settings.model_fields_set],
    )
    lines = _exim(document) if form == "exim" else _toml(document)
    return "\n".join(lines).strip("\n") + "\n"


def _instances(settings: Settings) -> Iterator[tuple[str, str, Options]]:
    for router in settings.routers:
        yield "routers", router.name, router
    for name, transport in settings.transports.items():
        yield "transports", name, transport
    for authenticator in settings.authenticators:
        yield "authenticators", authenticator.name, authenticator


def _set_in(options: Options, path: Path, secrets: bool, hidden: Collection[Path]) -> list[Setting]:
    """Return what was set in a model, the driver first; a secret's value is replaced by stars."""
    found = []
    for attribute, field in fields_of(type(options)).items():
        value = getattr(options, attribute)
        name = field.alias or attribute
        if attribute not in options.model_fields_set or value is None or attribute == INSTANCE_FIELDS[0]:
            continue
        secret = name in SECRETS or (*path, name) in hidden
        stars = secret and not secrets
        found.append(Setting(name, kind_of(field), STARS if stars else value, secret))
    return sorted(found, key=lambda setting: setting.name != INSTANCE_FIELDS[1])


def _load(value: int) -> str:
    return f"{value / 1000:.3f}".rstrip("0").rstrip(".")


def _text(kind: Kind, value: Any) -> str:
    """Return a value as text that both front ends read."""
    match value:
        case str():
            return value
        case timedelta():
            return format_time(value)
        case int() if kind.name == "octal":
            return f"0{value:o}"
        case int() if kind.name in ("size", "kilobytes"):
            return format_size(value)
        case int() if kind.name == "load":
            return _load(value)
        case tuple() if kind.name == "times":
            return ":".join(map(format_time, value)) or "0s"
        case frozenset():
            return " : ".join(map(str, sorted(value)))
        case _:
            return str(value)


def _exim(document: Document) -> Iterator[str]:
    for setting in document.main:
        yield from _exim_setting(setting)
    for table, name, text in document.lists:
        yield f"{table.removesuffix('s')} {name} = {exim_text(text)}".rstrip(SPACE)
    begun = ""
    for section, name, settings in document.instances:
        if section != begun:
            begun = section
            yield from ("", f"begin {section}")
        yield from ("", f"{name}:")
        for setting in settings:
            yield from (f"  {line}" for line in _exim_setting(setting))
    for section, rules in document.rules:
        yield from ("", f"begin {section}", "", *rules)


def _exim_setting(setting: Setting) -> Iterator[str]:
    start = f"{'hide ' if setting.secret else ''}{setting.name}"
    if isinstance(setting.value, bool):
        yield start if setting.value else start.replace(setting.name, f"no_{setting.name}")
    elif isinstance(setting.value, tuple) and setting.kind.name == "repeated":
        yield from (f"{start} = {exim_text(text)}" for text in setting.value)
    else:
        text = _text(setting.kind, setting.value)
        yield f"{start} = {exim_text(text) if setting.kind.name in STRINGS else text}".rstrip(SPACE)


def exim_text(text: str) -> str:
    """Return *text* as the value of a string option, in quotes where it needs them."""
    plain = text == text.strip(SPACE) and not text.startswith('"') and not text.endswith("\\")
    if plain and not _UNQUOTABLE.search(text):
        return text
    return '"' + re.sub(r'[\\"\x00-\x1f\x7f]', lambda found: _exim_escape(found[0]), text) + '"'


def _exim_escape(char: str) -> str:
    return _EXIM_ESCAPES.get(char, f"\\{ord(char):03o}")


def _toml(document: Document) -> Iterator[str]:
    for setting in document.main:
        yield f"{setting.name} = {_toml_value(setting.kind, setting.value)}"
    for name, rules in document.rules:  # before all tables: an array belongs to the table above it
        yield from (f"{name} = [", *(f"    {toml_text(rule)}," for rule in rules), "]")
    begun = ""
    for table, name, text in document.lists:
        if table != begun:
            begun = table
            yield from ("", f"[{table}]")
        yield f"{toml_key(name)} = {_list_or_text(text)}"
    for section, name, settings in document.instances:
        yield from ("", f"[{section}.{toml_key(name)}]")
        for setting in settings:
            yield f"{setting.name} = {_toml_value(setting.kind, setting.value)}"


def _toml_value(kind: Kind, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and kind.name in ("integer", "count", "string"):
        return str(value)
    if isinstance(value, tuple) and kind.name == "repeated":
        return toml_text(value[0]) if len(value) == 1 else _array(value)
    if isinstance(value, tuple) and kind.name == "times":
        return _array([format_time(time) for time in value])
    text = _text(kind, value)
    return _list_or_text(text) if kind.lists and isinstance(value, str) else toml_text(text)


def _list_or_text(text: str) -> str:
    """Return an array where that reads back as the same list text and is more than one item; else text."""
    items = split(text) if "<" not in text and "$" not in text else []
    return _array(items) if len(items) > 1 and join_list(items) == text else toml_text(text)


def _array(items: Collection[str]) -> str:
    return f"[{', '.join(map(toml_text, items))}]"


def toml_key(name: str) -> str:
    """Return *name* as a TOML key."""
    return name if _BARE.fullmatch(name) else toml_text(name)


def toml_text(text: str) -> str:
    """Return *text* as a TOML string: single quotes where that spares escapes."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ConfigurationError("a value holds octets that are no UTF-8, which TOML cannot hold")
    if ("\\" in text or '"' in text) and "'" not in text and not _UNQUOTABLE.search(text):
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
