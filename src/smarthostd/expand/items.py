"""The items: ``${extract…}``, ``${if…}``, ``${lookup…}``, ``${map…}`` and the others (exim.md 5.3).

Each is a frozen node and a function that reads it; ``ITEMS`` names the functions.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cmp_to_key
from typing import NoReturn

from smarthostd.errors import ExpansionError, ForcedFailure, LookupDefer
from smarthostd.expand.conditions import COMPARISONS, read_condition
from smarthostd.expand.nodes import Condition, Node, Nodes, State, YesNo, evaluate
from smarthostd.expand.octets import hash_text, nhash_text, octets, substring, text_of
from smarthostd.expand.parser import SPACE, Parser
from smarthostd.lists import separator_of, split
from smarthostd.lookups import LookupUnopened, UnknownLookup
from smarthostd.lookups.kinds import parse_kind
from smarthostd.lookups.lsearch import unescape
from smarthostd.regex import RegexError, compile_pcre

READFILE_LIMIT = 1 << 20
"""Octets of a file that ``${readfile`` takes."""


def regex(pattern: str, caseless: bool = False) -> re.Pattern[str]:
    """Return *pattern* compiled; raises ExpansionError."""
    try:
        return compile_pcre(pattern, caseless)
    except RegexError as error:
        reason, _, place = str(error).partition(" at position ")
        reason = "missing closing parenthesis" if reason.startswith("missing ), unterminated") else reason
        offset = len(pattern) if reason == "missing closing parenthesis" else place or 0
        raise ExpansionError(f'regular expression error in "{pattern}": {reason} at offset {offset}') from error


@dataclass(frozen=True, slots=True)
class If:
    """``${if COND{yes}{no}}``."""

    condition: Condition
    branches: YesNo

    def put(self, out: list[str], state: State) -> None:
        """Append the branch; what the condition set (``$1``, ``$value``) holds in it only."""
        numbered, value = state.numbered, state.value
        holds = self.condition.holds(state)
        self.branches.put(out, state, holds)
        state.numbered, state.value = numbered, value


def _if(parser: Parser, name: str) -> Node:
    return If(read_condition(parser), parser.yes_no("if", implicit="true"))


# -- extract


@dataclass(frozen=True, slots=True)
class Extract:
    """``${extract{NAME}{TEXT}…}`` or ``${extract{N}{SEPS}{TEXT}…}``: which of them, the first argument's value says."""

    arguments: tuple[Nodes, ...]
    fail: bool
    rest: str
    """What follows the arguments, for the error's text."""

    def put(self, out: list[str], state: State) -> None:
        """Append the field, or the branch that its presence chooses."""
        field = evaluate(self.arguments[0], state).strip(SPACE)
        if not field:
            raise ExpansionError('first argument of "extract" must not be empty')
        numbered = re.fullmatch(r"-?[0-9]+", field) is not None
        count = 3 if numbered else 2
        if len(self.arguments) < count:
            raise ExpansionError(f"missing '{{' for arg {len(self.arguments) + 1} of extract")
        if numbered:
            separators = evaluate(self.arguments[1], state)
            found = _numbered_field(int(field), separators, evaluate(self.arguments[2], state))
        else:
            found = _keyed_field(field, evaluate(self.arguments[1], state))
        _put_branches(self._branches(self.arguments[count:]), out, state, found)

    def _branches(self, strings: tuple[Nodes, ...]) -> YesNo:
        if len(strings) > 2 or (self.fail and len(strings) == 2):
            raise ExpansionError(
                "curly-bracket problem in conditional yes/no parsing: did not close with '}'\n"
                f" remaining string is '{self.rest}'"
            )
        yes = strings[0] if strings else None
        return YesNo("extract", yes, strings[1] if len(strings) > 1 else None, self.fail)


def _put_branches(branches: YesNo, out: list[str], state: State, found: str | None) -> None:
    """Append *found*, or the yes string with it in ``$value``, or the no string."""
    before = state.value
    if found is not None:
        state.value = found
    branches.put(out, state, found is not None)
    state.value = before


def _extract(parser: Parser, name: str) -> Node:
    arguments: list[Nodes] = []
    last = parser.at
    if parser.skip_space() != "{":
        parser.curly("missing '{' for arg 1 of extract")
    while parser.skip_space() == "{" and len(arguments) < 5:
        last = parser.at
        arguments.append(parser.argument(""))
    rest = parser.text[last:]
    fail = False
    if parser.peek() not in ("}", ""):
        fail = parser.read_name() == "fail"
        if not fail:
            raise ExpansionError('syntax error in "extract" item - "fail" expected')
    if parser.skip_space() != "}":
        _extract_unclosed(parser, arguments, fail)
    parser.at += 1
    return Extract(tuple(arguments), fail, rest)


def _extract_unclosed(parser: Parser, arguments: list[Nodes], fail: bool) -> NoReturn:
    """Raise what Exim says of an ``${extract`` without its closing brace."""
    from smarthostd.expand.nodes import Literal

    first = arguments[0]
    number = len(first) == 1 and isinstance(first[0], Literal) and first[0].text.strip().lstrip("-").isdigit()
    wanted = 3 if number else 2
    where = "did not close with '}'"
    if len(arguments) == wanted:
        where = "'yes' part did not start with '{'"
    elif len(arguments) == wanted + 1 and not fail:
        raise ExpansionError('syntax error in "extract" item - "fail" expected')
    rest = parser.text[parser.at :]
    parser.curly(f"curly-bracket problem in conditional yes/no parsing: {where}\n remaining string is '{rest}'")


def _numbered_field(number: int, separators: str, text: str) -> str | None:
    if number == 0:
        return text
    fields = re.split(f"[{re.escape(separators)}]", text) if separators else [text]
    at = number - 1 if number > 0 else number
    return fields[at] if -len(fields) <= at < len(fields) else None


_PAIR = re.compile(r'\s*([^\s=]*)\s*=?\s*("(?:\\.|[^"\\])*(?:"|\\?\Z)|[^\s]*)', re.DOTALL | re.ASCII)


def _keyed_field(name: str, text: str) -> str | None:
    """Return the value of *name* in ``name=value name2="quoted"``; an empty value takes the next word."""
    at = 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None or match.end() == at:
            return None
        at = match.end()
        key, value = match.groups()
        if key.lower() == name.lower() and key:
            return text_of(unescape(octets(value[1:].removesuffix('"')))) if value.startswith('"') else value
    return None


# -- lookup


@dataclass(frozen=True, slots=True)
class Lookup:
    """``${lookup{KEY}TYPE{FILE}{yes}{no}}``."""

    key: Nodes
    kind: str
    file: Nodes
    branches: YesNo

    def put(self, out: list[str], state: State) -> None:
        """Append the data, or the branch that its presence chooses."""
        key = evaluate(self.key, state)
        file = evaluate(self.file, state)
        try:
            found = state.expander.lookups.find(self.kind, key, file, expand=state.expand)
        except LookupUnopened as error:
            raise state.expander.deferred(str(error)) from error
        except LookupDefer as error:
            raise state.expander.deferred(f'lookup of "{key}" gave DEFER: {error}') from error
        before, numbered = state.value, state.numbered
        if found is not None:
            state.value = found.data
            state.numbered = found.numbered or numbered
        self.branches.put(out, state, found is not None)
        state.value, state.numbered = before, numbered


def _lookup(parser: Parser, name: str) -> Node:
    key = parser.argument("", "missing '}' after lookup key") if parser.skip_space() == "{" else None
    char = parser.skip_space()
    if not (char.isascii() and char.isalpha()):
        parser.curly("missing lookup type")
    start = parser.at
    while parser.peek() and parser.peek() not in "{" + SPACE:
        parser.at += 1
    kind = parser.text[start : parser.at]
    _check_kind(kind)
    if key is None:
        raise ExpansionError(f'missing {{key}} for single-key "{kind}" lookup')
    opening, closing = "missing '{' for lookup file-or-query arg", "missing '}' closing lookup file-or-query arg"
    return Lookup(key, kind, parser.argument(opening, closing), parser.yes_no("lookup"))


def _check_kind(kind: str) -> None:
    try:
        parse_kind(kind)
    except UnknownLookup as error:
        if kind.startswith("partial") and re.match(r"partial\d*[a-z]", kind):
            raise ExpansionError(f'format error in lookup type "{kind}"') from error
        raise ExpansionError(str(error)) from error


# -- items with plain arguments

Function = Callable[[State, list[Nodes]], str]


@dataclass(frozen=True, slots=True)
class Call:
    """An item that makes a text of its arguments."""

    function: Function
    arguments: list[Nodes]

    def put(self, out: list[str], state: State) -> None:
        """Append the result."""
        out.append(self.function(state, self.arguments))


def _call(function: Function, least: int, most: int) -> Callable[[Parser, str], Node]:
    return lambda parser, name: Call(function, parser.arguments(name, least, most))


def _sg(state: State, arguments: list[Nodes]) -> str:
    """Replace all matches; the replacement is expanded with the other arguments and again for each match."""
    subject, pattern, replacement = (evaluate(argument, state) for argument in arguments)
    template = state.expander.compile(replacement)

    def replaced(match: re.Match[str]) -> str:
        inner = replace(state, numbered=(match[0], *(group or "" for group in match.groups())), depth=state.depth + 1)
        return evaluate(template.nodes, inner)

    return regex(pattern).sub(replaced, subject)


def _tr(state: State, arguments: list[Nodes]) -> str:
    subject, old, new = (evaluate(argument, state) for argument in arguments)
    if not new:
        return subject
    table = {ord(char): new[min(at, len(new) - 1)] for at, char in reversed(list(enumerate(old)))}
    return subject.translate(table)


def _numbers(state: State, arguments: list[Nodes], name: str) -> tuple[int, int, str]:
    """Return the two numbers and the string of ``substr`` and its kin; -1 for a number that is not given."""
    texts = [evaluate(argument, state) for argument in arguments]
    first, second = (texts[0], None) if len(texts) == 2 else (texts[0], texts[1])
    if name == "length":
        first, second = "0", texts[0]
    numbers = []
    for text, sign in ((first, ""), (second, " positive")):
        if text is None:
            numbers.append(-1)
        elif not re.fullmatch(r"\s*[+-]?[0-9]+", text, re.ASCII) or (sign and int(text) < 0):
            raise ExpansionError(f'"{text}" is not a{sign} number (in "{name}" expansion)')
        else:
            numbers.append(int(text))
    return numbers[0], numbers[1], texts[-1]


def _substr(state: State, arguments: list[Nodes]) -> str:
    return substring(*_numbers(state, arguments, "substr"))


def _length(state: State, arguments: list[Nodes]) -> str:
    return substring(*_numbers(state, arguments, "length"))


def _hash(state: State, arguments: list[Nodes]) -> str:
    return hash_text(*_numbers(state, arguments, "hash"))


def _nhash(state: State, arguments: list[Nodes]) -> str:
    return nhash_text(*_numbers(state, arguments, "nhash"))


def _hmac(state: State, arguments: list[Nodes]) -> str:
    method, key, subject = (evaluate(argument, state) for argument in arguments)
    if method not in ("md5", "sha1"):
        raise ExpansionError(f'hmac algorithm "{method}" is not recognised (use md5 or sha1)')
    return hmac.new(octets(key), octets(subject), getattr(hashlib, method)).hexdigest()


def _readfile(state: State, arguments: list[Nodes]) -> str:
    path = evaluate(arguments[0], state)
    try:
        content = b"" if os.path.isdir(path) else state.expander.lookups.files.read(path)  # noqa: PTH112 - a text
    except OSError as error:
        raise state.expander.deferred(f"failed to open {path}: {error.strerror}") from error
    if len(content) > READFILE_LIMIT:
        raise ExpansionError(f"{path} is larger than {READFILE_LIMIT} octets, which readfile takes at most")
    text = text_of(content)
    return text.replace("\n", evaluate(arguments[1], state)) if len(arguments) == 2 else text


def _listquote(state: State, arguments: list[Nodes]) -> str:
    separator, item = (evaluate(argument, state) for argument in arguments)
    return item.replace(separator, separator * 2) if item else " "


# -- items with branches


@dataclass(frozen=True, slots=True)
class Env:
    """``${env{NAME}{yes}{no}}``."""

    name: Nodes
    branches: YesNo

    def put(self, out: list[str], state: State) -> None:
        """Append the variable's value, or a branch."""
        _put_branches(self.branches, out, state, os.environ.get(evaluate(self.name, state)))


def _env(parser: Parser, name: str) -> Node:
    return Env(parser.argument(f"Not enough arguments for '{name}' (min is 1)"), parser.yes_no("env"))


@dataclass(frozen=True, slots=True)
class ListExtract:
    """``${listextract{N}{LIST}{yes}{no}}``."""

    number: Nodes
    items: Nodes
    branches: YesNo

    def put(self, out: list[str], state: State) -> None:
        """Append the item, or a branch."""
        number = evaluate(self.number, state).strip(SPACE)
        if not number:
            raise ExpansionError('first argument of "listextract" must not be empty')
        if not re.fullmatch(r"-?[0-9]+", number):
            raise ExpansionError('first argument of "listextract" must be numeric')
        items = split(evaluate(self.items, state))
        at = int(number)
        index = at - 1 if at > 0 else at
        found = items[index] if at and -len(items) <= index < len(items) else None
        _put_branches(self.branches, out, state, found)


def _listextract(parser: Parser, name: str) -> Node:
    number, text = (parser.argument(f"missing '{{' for arg {at} of {name}") for at in (1, 2))
    return ListExtract(number, text, parser.yes_no("listextract"))


# -- items over lists


def joined(items: list[str], separator: str) -> str:
    """Return *items* as list text; a space keeps an empty item, or one that begins with the separator, apart."""
    text = ""
    for at, item in enumerate(items):
        space = " " if at and (not item or item.startswith(separator)) else ""
        text += (separator if at else "") + space + item.replace(separator, separator * 2)
    return text


@dataclass(frozen=True, slots=True)
class Each:
    """``${map``, ``${filter`` and ``${reduce``: one expansion or condition for each item of a list."""

    name: str
    items: Nodes
    start: Nodes
    inner: Nodes
    condition: Condition | None

    def put(self, out: list[str], state: State) -> None:
        """Append the new list, or what it was reduced to."""
        text = evaluate(self.items, state)
        separator, _ = separator_of(text)
        before = state.item, state.value
        if self.name == "reduce":
            state.value = evaluate(self.start, state)
        kept = []
        for state.item in split(text):
            result = self._one(state)
            if self.name == "reduce":
                state.value = result or ""
            elif result is not None:
                kept.append(result)
        out.append(state.value if self.name == "reduce" else joined(kept, separator))
        state.item, state.value = before

    def _one(self, state: State) -> str | None:
        try:
            if self.condition is not None:
                return state.item if self.condition.holds(state) else None
            return evaluate(self.inner, state)
        except ExpansionError as error:
            what = "condition" if self.condition is not None else "item"
            raise type(error)(f'{error} inside "{self.name}" {what}') from error


def _each(parser: Parser, name: str) -> Node:
    text = parser.argument(f"missing '{{' for first arg of {name}", f"missing '}}' closing first arg of {name}")
    start: Nodes = ()
    if name == "reduce":
        start = parser.argument("missing '{' for second arg of reduce", "missing '}' closing second arg of reduce")
    if parser.skip_space() != "{":
        parser.curly(f"missing '{{' for last arg of {name}")
    condition: Condition | None = None
    inner: Nodes = ()
    try:
        if name == "filter":
            parser.at += 1
            condition = read_condition(parser)
            parser.closing(f'missing }} at end of condition or expression inside "{name}"; could be an unquoted }}')
        else:
            inner = parser.argument("")
    except ExpansionError as error:
        raise ExpansionError(f'{error} inside "{name}" item') from error
    parser.closing(f'missing }} at end of "{name}"')
    return Each(name, text, start, inner, condition)


@dataclass(frozen=True, slots=True)
class Sort:
    """``${sort{LIST}{COMPARATOR}{EXTRACTOR}}``."""

    items: Nodes
    comparator: Nodes
    key: Nodes

    def put(self, out: list[str], state: State) -> None:
        """Append the sorted list."""
        text = evaluate(self.items, state)
        separator, _ = separator_of(text)
        name = evaluate(self.comparator, state)
        compare = COMPARISONS.get(name)
        if compare is None or name in ("eq", "eqi", "=", "=="):
            raise ExpansionError("comparator not handled for sort")
        before = state.item
        pairs = []
        for state.item in split(text):
            pairs.append((evaluate(self.key, state), state.item))
        state.item = before

        def order(left: tuple[str, str], right: tuple[str, str]) -> int:
            if compare(left[0], right[0]) and not compare(right[0], left[0]):
                return -1
            return 1 if compare(right[0], left[0]) and not compare(left[0], right[0]) else 0

        out.append(joined([item for _, item in sorted(pairs, key=cmp_to_key(order))], separator))


def _sort(parser: Parser, name: str) -> Node:
    text = parser.argument("missing '{' for list arg of sort", "missing '}' closing list arg of sort")
    comparator = parser.argument("missing '{' for comparator arg of sort", "missing '}' closing comparator arg of sort")
    key = parser.argument("missing '{' for extractor arg of sort", "missing '}' closing extractor arg of sort")
    parser.closing('missing } at end of "sort"')
    return Sort(text, comparator, key)


def _out_of_scope(parser: Parser, name: str) -> NoReturn:
    raise ExpansionError(f'"${{{name}" is not in smarthostd: it would run a program or talk to a server; use a lookup')


ITEMS: dict[str, Callable[[Parser, str], Node]] = {
    "if": _if, "extract": _extract, "lookup": _lookup, "env": _env, "listextract": _listextract,
    "sg": _call(_sg, 3, 3), "tr": _call(_tr, 3, 3), "substr": _call(_substr, 2, 3), "length": _call(_length, 2, 2),
    "hash": _call(_hash, 2, 3), "nhash": _call(_nhash, 2, 3), "hmac": _call(_hmac, 3, 3),
    "readfile": _call(_readfile, 1, 2), "listquote": _call(_listquote, 2, 2),
    "map": _each, "filter": _each, "reduce": _each, "sort": _sort,
    **dict.fromkeys(
        ("run", "perl", "readsocket", "dlfunc", "acl", "certextract", "prvs", "prvscheck", "authresults", "imapfolder"),
        _out_of_scope,
    ),
}  # fmt: skip
__all__ = ["ITEMS", "ForcedFailure"]
