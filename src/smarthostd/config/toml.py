"""TOML to plain values: main options at the top, then tables.

::

    primary_hostname = "relay.example.net"
    [domainlists]
    local_domains = ["@", "localhost"]
    [routers.outgoing]
    driver = "manualroute"

A list is Exim's text or an array; numbers may stand without quotes where an option is text (``port = 587``).
tomllib tells no positions, so a small scan of the text finds the line of each key.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path as File
from typing import Any

from smarthostd.config import foreign
from smarthostd.config.catalog import INSTANCE_FIELDS, NAMED_LISTS, SECTIONS, Catalog, OptionInfo
from smarthostd.config.errors import Mistake, did_you_mean
from smarthostd.config.source import SHORTHAND, Path, Source
from smarthostd.errors import ConfigurationError, Position

REWRITE = "rewrite"
RULES = ("retry", REWRITE)
RULE_KEYS = ("pattern", "replacement", "flags")
"""A rewriting rule may be a table with these."""

_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_KEY_PART = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*')"""
_KEYS = re.compile(rf"\s*({_KEY_PART}(?:\s*\.\s*{_KEY_PART})*)\s*=")
_HEADER = re.compile(rf"\s*\[\[?\s*({_KEY_PART}(?:\s*\.\s*{_KEY_PART})*)\s*\]")
_TOKEN = re.compile(r"""\"{3}|'{3}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\#[^\n]*|[\[\]{}]""")
"""A value that can only have been meant as text: ``url = smtp://…``."""
_AT = re.compile(r"\s*\(at line (\d+), column \d+\)$")


def read(file: File, catalog: Catalog, *, lenient: bool = False) -> Source:
    """Return what *file* holds; raises ConfigurationError when it cannot be read or is no TOML."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error.strerror}", Position(str(file), 0)) from None
    except UnicodeDecodeError:
        raise ConfigurationError("is not UTF-8 text", Position(str(file), 0)) from None
    return parse(text, str(file), catalog, lenient=lenient)


def parse(text: str, name: str, catalog: Catalog, *, lenient: bool = False) -> Source:
    """Return what *text* holds; *name* is the file's; raises ConfigurationError when it is no TOML."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = _AT.search(str(error))
        line = int(at[1]) if at else text.count("\n")
        raise ConfigurationError(f"not TOML: {_explained(_AT.sub('', str(error)))}", Position(name, line)) from None
    positions: dict[Path, Position] = {}
    rules = itertools.count()
    for path, line in key_lines(text):
        if path == (REWRITE,):
            path = (REWRITE, str(next(rules)))
        for length in range(1, len(path) + 1):
            positions.setdefault(path[:length], Position(name, line))
    source = Source(name, values, positions)
    _Screen(source, catalog, lenient).run()
    return source


_FIXES = (
    ("Invalid value", 'text stands in straight quotes, as in name = "text"'),
    ("Illegal character '\\n'", "close the quote on its line"),
    ("Unescaped '\\'", "write 'single quotes' around text with backslashes"),
    ("Expected '=' after a key", 'write name = "value"'),
    ("Invalid statement", 'write [table], or name = "value"'),
    ("Cannot declare", "a table stands once: put all of it together"),
    ("Cannot overwrite a value", "a name stands once in its table"),
)
"""What to do about what the parser says, by how that begins."""


def _explained(complaint: str) -> str:
    fix = next((fix for start, fix in _FIXES if complaint.startswith(start)), "")
    return f"{complaint}; {fix}" if fix else complaint


def key_lines(text: str) -> Iterator[tuple[Path, int]]:
    """Yield the path of every table and key with its line; a key inside an inline table has its table's."""
    table: Path = ()
    depth, delimiter = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        if not depth and not delimiter:
            if header := _HEADER.match(line):
                table = _key_path(header[1])
                yield table, number
                continue
            if key := _KEYS.match(line):
                yield table + _key_path(key[1]), number
                line = line[key.end() :]
        depth, delimiter = _open_at_end(line, depth, delimiter)


def _key_path(text: str) -> Path:
    return tuple(re.sub(r"^(['\"])(.*)\1$", r"\2", part) for part in re.findall(_KEY_PART, text))


def _open_at_end(line: str, depth: int, delimiter: str) -> tuple[int, str]:
    """Return how many brackets and which multi-line string are open behind *line*."""
    at = 0
    while at <= len(line):
        if delimiter:
            end = line.find(delimiter, at)
            if end < 0:
                return depth, delimiter
            at, delimiter = end + 3, ""
            continue
        token = _TOKEN.search(line, at)
        if token is None:
            break
        at = token.end()
        if token[0] in ('"""', "'''"):
            delimiter = token[0]
        elif token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth = max(0, depth - 1)
    return depth, delimiter


class _Screen:
    """Looks at the names in a source, and takes out what the model would not know."""

    def __init__(self, source: Source, catalog: Catalog, lenient: bool) -> None:
        self._source = source
        self._catalog = catalog
        self._lenient = lenient

    def run(self) -> None:
        values = self._source.values
        for name in (*SECTIONS, *NAMED_LISTS):
            if name in values and not isinstance(values[name], dict):
                what = f"[{name}.NAME] with a driver" if name in SECTIONS else f"[{name}] with NAME = ITEMS below it"
                self._mistake((name,), f'"{name}" is a table: write {what}')
                del values[name]
                self._source.faulty.add((name,))
        for name in RULES:
            if name in values and not isinstance(values[name], str | list):
                self._mistake((name,), f'"{name}" is an array of rules, each a text in quotes')
                del values[name]
        known = {*self._catalog.main, *SECTIONS, *NAMED_LISTS, *RULES, *SHORTHAND}
        for name in list(values):
            if name in self._catalog.main:
                values[name] = _plain(values[name], self._catalog.main[name])
            elif name not in known:
                self._unknown((name,), values, known)
        if isinstance(values.get(REWRITE), list):
            lines = [self._rewrite_line(number, rule) for number, rule in enumerate(values[REWRITE])]
            values[REWRITE] = [line for line in lines if line is not None]
        for section in SECTIONS:
            for name, options in _tables(values.get(section)):
                self._instance((section, name), options)

    def _mistake(self, path: Path, message: str) -> None:
        self._source.mistakes.append(Mistake(message, self._source.position(path)))

    def _rewrite_line(self, number: int, rule: object) -> object:
        """Return a rewriting rule that was written as a table as its line, None where that cannot be."""
        if not isinstance(rule, dict):
            return rule
        parts = {"flags": "", **rule}
        if parts.keys() == set(RULE_KEYS) and all(isinstance(part, str) for part in parts.values()):
            from smarthostd.rewrite import rule_line  # 4 ms of a start, and seldom needed

            return rule_line(**parts)
        near = did_you_mean(next((name for name in parts if name not in RULE_KEYS), ""), RULE_KEYS)
        message = f"a rewriting rule is a table of pattern, replacement, perhaps flags, all of them texts{near}"
        self._source.mistakes.append(Mistake(message, self._source.position((REWRITE, str(number)))))
        return None

    def _instance(self, path: Path, options: dict[str, Any]) -> None:
        section, name = path
        driver = str(options.get("driver", ""))
        complaint = self._catalog.driver_complaint(section, name, driver)
        if complaint is not None:
            if driver in foreign.DRIVERS[section]:
                self._leave_out(path, f'the {SECTIONS[section]} driver "{driver}" is', self._source.values[section])
            else:
                self._source.mistakes.append(Mistake(complaint, self._source.position(path)))
                del self._source.values[section][name]
            self._source.faulty.add(path)
            return
        if not _NAME.fullmatch(name):
            rule = "letters, digits and underscores, a letter first"
            message = f'the name "{name}" is no name for a {SECTIONS[section]}: {rule}'
            self._source.mistakes.append(Mistake(message, self._source.position(path)))
        known = self._catalog.options_at(path, driver)
        for name, both in foreign.BOTH.items():
            if name in options:
                options |= dict.fromkeys(both, options.pop(name))
        for name in list(options):
            if name in known:
                options[name] = _plain(options[name], known[name])
            elif name not in INSTANCE_FIELDS:
                self._unknown((*path, name), options, known)

    def _unknown(self, path: Path, table: dict[str, Any], known: Mapping[str, object] | set[str]) -> None:
        name = path[-1]
        where = f" of {SECTIONS[path[0]]} {path[1]}" if len(path) > 1 else ""
        if self._is_exims(path, table):
            if name not in foreign.HARMLESS:
                return self._leave_out(path, f'the option "{name}"{where} is', table)
            self._source.warn(path, foreign.without_effect(name, where))
        else:
            what = "table" if isinstance(table[name], dict) else "option"
            help = self._catalog.whereabouts(name, path[:-1], known)
            message = f'{what} "{name}" is unknown{where or " in the main part"}{help}'
            self._source.mistakes.append(Mistake(message, self._source.position(path)))
            if len(path) > 1:
                self._source.faulty.add(path[:-1])
        del table[name]
        return None

    @staticmethod
    def _is_exims(path: Path, table: Mapping[str, Any]) -> bool:
        """Return whether Exim has an option of this name in this place."""
        from smarthostd.config.exim import listing

        return listing.knows(path[0] if len(path) > 1 else "", str(table.get("driver", "")), path[-1])

    def _leave_out(self, path: Path, what: str, table: dict[str, Any]) -> None:
        if self._lenient:
            self._source.warn(path, foreign.left_out(what))
        else:
            self._source.mistakes.append(Mistake(foreign.unimplemented(what), self._source.position(path)))
        del table[path[-1]]


def _tables(value: object) -> list[tuple[str, dict[str, Any]]]:
    """Return the tables of a section; what is none is left for the model to refuse."""
    return (
        [(name, table) for name, table in value.items() if isinstance(table, dict)] if isinstance(value, dict) else []
    )


def _plain(value: Any, option: OptionInfo) -> Any:
    """Return *value* with numbers made text where the option is text; rules of a route_list become its text."""
    if option.kind.name != "string":
        return value
    if option.name == "route_list" and isinstance(value, list):
        return " ; ".join(str(rule).replace(";", ";;") for rule in value)
    if isinstance(value, list):
        return [_plain(item, option) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
