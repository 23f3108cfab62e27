"""The items: ``${extract…}``, ``${if…}``, ``${lookup…}`` and the others (exim.md 5.3).

Each is a frozen node and a function that reads it; ``ITEMS`` names the functions.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable

from msgspec import Struct

from smarthostd.errors import ExpansionError, LookupDefer
from smarthostd.expand.conditions import read_condition
from smarthostd.expand.list_items import LIST_ITEMS
from smarthostd.expand.nodes import BROKEN, Condition, Misread, Node, Nodes, State, YesNo, constant, evaluate
from smarthostd.expand.octets import hash_text, nhash_text, octets, signed, substring, text_of
from smarthostd.expand.parser import SPACE, Parser
from smarthostd.expand.patterns import mistake_in, substitute
from smarthostd.expand.quoting import escape
from smarthostd.lists import split
from smarthostd.lookups import LookupUnopened, UnknownLookup
from smarthostd.lookups.kinds import parse_kind
from smarthostd.lookups.lsearch import unescape

READFILE_LIMIT = 1 << 20
"""Octets of a file that ``${readfile`` takes."""
_NUMBER = re.compile(r"-?[0-9]*")
NOT_NUMERIC = 'first argument of "listextract" must be numeric'


# -- if


class If(Struct, frozen=True):
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


# -- extract, listextract


def _number(text: str) -> int:
    """Return the number that ``-?[0-9]*`` stands for; a bare sign is zero, as in Exim."""
    if text == "-":
        return 0
    return int(text[:20])


class ExtractKeyed(Struct, frozen=True):
    """``${extract{NAME}{TEXT}{yes}{no}}``."""

    name: Nodes
    text: Nodes
    branches: YesNo

    def put(self, out: list[str], state: State) -> None:
        """Append the value, or the branch that its presence chooses."""
        name = _field(self.name, state)
        self.branches.put_found(out, state, _keyed_field(name, evaluate(self.text, state)))


class ExtractNumbered(Struct, frozen=True):
    """``${extract{N}{SEPARATORS}{TEXT}{yes}{no}}``."""

    number: Nodes
    separators: Nodes
    text: Nodes
    branches: YesNo

    def put(self, out: list[str], state: State) -> None:
        """Append the field, or the branch that its presence chooses."""
        number = _number(_field(self.number, state))
        separators = evaluate(self.separators, state)
        self.branches.put_found(out, state, _numbered_field(number, separators, evaluate(self.text, state)))


class ExtractEither(Struct, frozen=True):
    """``${extract`` whose first argument says only when it is expanded which of the two this is."""

    first: Nodes
    keyed: Node
    numbered: Node

    def put(self, out: list[str], state: State) -> None:
        """Append what the one or the other appends."""
        numbered = _NUMBER.fullmatch(_field(self.first, state))
        (self.numbered if numbered else self.keyed).put(out, state)


def _field(first: Nodes, state: State) -> str:
    field = evaluate(first, state).strip(SPACE)
    if not field:
        raise ExpansionError('first argument of "extract" must not be empty')
    return field


def _extract(parser: Parser, name: str) -> Node:
    """Read the item; what is wrong with it passes in a skipped branch, if the braces are right (as in Exim)."""
    start = parser.mark()
    node = _extract_strictly(parser)
    if not parser.mistake:
        return node
    mistake = parser.mistake
    parser.go_back(start)
    parser.complain(mistake)
    _skip_extract(parser)
    return Misread(node, mistake)


def _skip_extract(parser: Parser) -> None:
    """Go over up to five strings and the word ``fail``, as Exim does in a branch that is not taken."""
    strings = 0
    while parser.skip_space() == "{" and strings < 5:
        parser.argument("", "missing '{' for arg of extract")
        strings += 1
    if re.compile(r"fail(?=[} \t]|\Z)").match(parser.text, parser.at):
        parser.at += len("fail")
    if parser.skip_space() != "}":
        parser.fail_brace("missing '}' closing extract")
    parser.at += 1


def _extract_strictly(parser: Parser) -> Node:
    first = parser.argument(_missing(1, "extract"), _unclosed(1, "extract"))
    field = constant(first)
    if field is None:
        return _extract_either(parser, first)
    return (_extract_numbered if _NUMBER.fullmatch(field.strip(SPACE)) else _extract_keyed)(parser, first)


def _missing(number: int, name: str) -> str:
    return f"missing '{{' for arg {number} of {name}"


def _unclosed(number: int, name: str) -> str:
    return f"missing '}}' closing arg {number} of {name}"


def _extract_keyed(parser: Parser, first: Nodes) -> Node:
    text = parser.argument(_missing(2, "extract"), _unclosed(2, "extract"))
    return ExtractKeyed(first, text, parser.yes_no("extract"))


def _extract_numbered(parser: Parser, first: Nodes) -> Node:
    separators, text = (parser.argument(_missing(at, "extract"), _unclosed(at, "extract")) for at in (2, 3))
    return ExtractNumbered(first, separators, text, parser.yes_no("extract"))


def _extract_either(parser: Parser, first: Nodes) -> Node:
    """Read both ways; where only one of them is well-formed, the other is a mistake if it is wanted."""
    start = parser.mark()
    numbered, numbered_mistake, numbered_end = _extract_numbered(parser, first), parser.mistake, parser.mark()
    parser.go_back(start)
    keyed, keyed_mistake = _extract_keyed(parser, first), parser.mistake
    if numbered_mistake:
        return ExtractEither(first, keyed, Misread(numbered, numbered_mistake))
    if keyed_mistake:
        parser.go_back(numbered_end)
        return ExtractEither(first, Misread(keyed, keyed_mistake), numbered)
    return ExtractEither(first, keyed, numbered)


def _numbered_field(number: int, separators: str, text: str) -> str | None:
    if number == 0:
        return text
    fields = [text]
    if separators:
        fields = [text_of(field) for field in re.split(b"[" + re.escape(octets(separators)) + b"]", octets(text))]
    at = number - 1 if number > 0 else number
    return fields[at] if -len(fields) <= at < len(fields) else None


_PAIR = re.compile(
    r'[ \t\n\v\f\r]*([^ \t\n\v\f\r=]*)[ \t\n\v\f\r]*=?[ \t\n\v\f\r]*("(?:\\.|[^"\\])*(?:"|\\?\Z)|[^ \t\n\v\f\r]*)',
    re.DOTALL,
)


def _keyed_field(name: str, text: str) -> str | None:
    """Return the value of *name* in ``name=value name2="quoted"``; an empty value takes the next word."""
    at = 0
    wanted = octets(name).lower()
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None or match.end() == at:
            return None
        at = match.end()
        key, value = match.groups()
        if key and octets(key).lower() == wanted:
            return text_of(unescape(octets(value[1:].removesuffix('"')))) if value.startswith('"') else value
    return None


class ListExtract(Struct, frozen=True):
    """``${listextract{N}{LIST}{yes}{no}}``."""

    number: Nodes
    items: Nodes
    branches: YesNo

    def put(self, out: list[str], state: State) -> None:
        """Append the item, or a branch."""
        number = evaluate(self.number, state).strip(SPACE)
        if not number:
            raise ExpansionError('first argument of "listextract" must not be empty')
        if not _NUMBER.fullmatch(number):
            raise ExpansionError(NOT_NUMERIC)
        items = split(evaluate(self.items, state))
        at = _number(number)
        if at < 0:
            at += len(items) + 1
            at = 1 if at < 0 else at  # Exim gives the first item for whatever is farther off than one
        self.branches.put_found(out, state, items[at - 1] if 0 < at <= len(items) else None)


def _listextract(parser: Parser, name: str) -> Node:
    number = parser.argument(_missing(1, name), _unclosed(1, name))
    text = constant(number)
    if text is not None and not _NUMBER.fullmatch(text.strip(SPACE)):
        parser.fail(NOT_NUMERIC)
    items = parser.argument(_missing(2, name), _unclosed(2, name))
    return ListExtract(number, items, parser.yes_no("listextract"))


# -- lookup


class Lookup(Struct, frozen=True):
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
            raise state.expander.deferred(f'lookup of "{escape(key)}" gave DEFER: {error}') from error
        before = state.numbered
        if found is not None:
            state.numbered = found.numbered or before
        self.branches.put_found(out, state, None if found is None else found.data)
        state.numbered = before


def _lookup(parser: Parser, name: str) -> Node:
    key = parser.argument("", "missing '}' after lookup key") if parser.skip_space() == "{" else None
    char = parser.skip_space()
    if not (char.isascii() and char.isalpha()):
        parser.fail("missing lookup type")
    start = parser.at
    while parser.peek() and parser.peek() not in "{" + SPACE:
        parser.at += 1
    kind, mistake = _known_kind(parser.text[start : parser.at])
    parser.fail_if("" if parser.mistake else mistake)
    if key is None:
        parser.fail(f'missing {{key}} for single-key "{kind}" lookup')
    opening, closing = "missing '{' for lookup file-or-query arg", "missing '}' closing lookup file-or-query arg"
    file = parser.argument(opening, closing)
    return Lookup((BROKEN,) if key is None else key, kind, file, parser.yes_no("lookup"))


_PARTIAL = re.compile(r"partial[0-9]*(?:\([!-(*-/:-@\[-`{-~]*\)|-)")


def _known_kind(text: str) -> tuple[str, str]:
    """Return a lookup's name without what Exim overlooks behind its star, and what is wrong with it."""
    partial = _PARTIAL.match(text)
    if text.startswith("partial") and partial is None:
        return text, f'format error in lookup type "{text}"'
    prefix = partial[0] if partial else ""
    name, star, behind = text[len(prefix) :].partition("*")
    if star:
        star += behind[:1] if behind.startswith("@") else ""
        options = behind.removeprefix("@")
        options = options if options.startswith(",") else ""
    else:
        name, comma, options = name.partition(",")
        options = comma + options
    kind = f"{prefix}{name}{star}{options}"
    try:
        parse_kind(kind)
    except UnknownLookup as error:
        unknown = str(error).startswith("unknown lookup type")
        return kind, f'unknown lookup type "{name}"' if unknown else str(error)
    return kind, ""


# -- items with plain arguments

Function = Callable[[State, list[str]], str]


class Call(Struct, frozen=True):
    """An item that makes a text of its arguments."""

    function: Function
    arguments: tuple[Nodes, ...]

    def put(self, out: list[str], state: State) -> None:
        """Append the result."""
        out.append(self.function(state, [evaluate(argument, state) for argument in self.arguments]))


def _call(function: Function, least: int, most: int) -> Callable[[Parser, str], Node]:
    return lambda parser, name: Call(function, tuple(parser.arguments(name, least, most)))


def _read_sg(parser: Parser, name: str) -> Node:
    arguments = parser.arguments(name, 3, 3)
    pattern = constant(arguments[1])
    if pattern is not None and not parser.mistake:  # Exim compiles it even where it is skipped
        parser.fail_if(mistake_in(pattern))
    return Call(_sg, (*arguments[:2], parser.sealed(arguments[2])))


def _sg(state: State, arguments: list[str]) -> str:
    """Replace all matches; the replacement is expanded with the other arguments and again for each match."""
    subject, pattern, replacement = arguments
    before = state.numbered

    def replaced(groups: tuple[str, ...]) -> str:
        state.numbered = groups
        return state.expand(replacement)

    try:
        return substitute(pattern, subject, replaced, state.expander.facts.regex_time_limit)
    finally:
        state.numbered = before


def _tr(state: State, arguments: list[str]) -> str:
    """Replace octets: the last occurrence in the second text counts, the last of the third stands for all behind it."""
    subject, old, new = map(octets, arguments)
    if not new:
        return arguments[0]
    table = bytearray(range(256))
    for at, octet in enumerate(old):
        table[octet] = new[min(at, len(new) - 1)]
    return text_of(subject.translate(table))


def _numbers(name: str, texts: list[str]) -> tuple[int, int, str]:
    """Return the two numbers and the text of ``substr`` and its kin; -1 for a number that is not given."""
    first, second = (texts[0], None) if len(texts) == 2 else (texts[0], texts[1])
    if name == "length":
        first, second = "0", texts[0]
    numbers = []
    for text, sign in ((first, ""), (second, " positive")):
        if text is None:
            numbers.append(-1)
            continue
        number = signed(int(text[:40] or "0"), 32) if re.fullmatch(r"[ \t\n\v\f\r]*[+-]?[0-9]+|", text) else None
        if number is None or (sign and number < 0):
            raise ExpansionError(f'"{text}" is not a{sign} number (in "{name}" expansion)')
        numbers.append(number)
    return numbers[0], numbers[1], texts[-1]


def _counting(function: Callable[[int, int, str], str], least: int, most: int) -> Callable[[Parser, str], Node]:
    """Return what reads ``substr`` or its kin; numbers that stand there as such are checked at once, as in Exim."""

    def read(parser: Parser, name: str) -> Node:
        arguments = parser.arguments(name, least, most)
        texts = [constant(argument) for argument in arguments[:-1]]
        known = ["0" if text is None else text for text in texts]
        try:
            _numbers(name, [*known, ""])
        except ExpansionError as error:
            parser.fail_if("" if parser.mistake else str(error))
        call: Function = lambda state, values: function(*_numbers(name, values))  # noqa: E731 - typed so
        return Call(call, tuple(arguments))

    return read


def _hmac(state: State, arguments: list[str]) -> str:
    method, key, subject = arguments
    if method not in ("md5", "sha1"):
        raise ExpansionError(f'hmac algorithm "{method}" is not recognised')
    return hmac.new(octets(key), octets(subject), method).hexdigest()


def _readfile(state: State, arguments: list[str]) -> str:
    path = arguments[0]
    try:
        content = b"" if os.path.isdir(path) else state.expander.lookups.files.read(path)  # noqa: PTH112 - a text
    except OSError as error:
        raise state.expander.deferred(f"failed to open {path}: {error.strerror}") from error
    if len(content) > READFILE_LIMIT:
        raise ExpansionError(f"{path} is larger than {READFILE_LIMIT} octets, which readfile takes at most")
    text = text_of(content)
    if len(arguments) == 1:
        return text
    state.produced(text.count("\n") * len(arguments[1]))
    return text.replace("\n", arguments[1])


def _listquote(state: State, arguments: list[str]) -> str:
    separator, item = octets(arguments[0])[:1], octets(arguments[1])
    if not item:
        return " "
    return text_of(item.replace(separator, separator * 2)) if separator else arguments[1]


# -- env


class Env(Struct, frozen=True):
    """``${env{NAME}{yes}{no}}``."""

    name: Nodes
    branches: YesNo

    def put(self, out: list[str], state: State) -> None:
        """Append the variable's value, or a branch."""
        self.branches.put_found(out, state, os.environ.get(evaluate(self.name, state)))


def _env(parser: Parser, name: str) -> Node:
    return Env(parser.argument(f"Not enough arguments for '{name}' (min is 1)"), parser.yes_no("env"))


# -- the table


def _out_of_scope(parser: Parser, name: str) -> Node:
    parser.fail(f'"${{{name}" is not in smarthostd{_INSTEAD.get(name, "")}')
    return BROKEN


_INSTEAD = dict.fromkeys(
    ("run", "perl", "readsocket", "dlfunc"), ": it would run a program or talk to a server; use a lookup"
)
OUT_OF_SCOPE = (
    "acl", "authresults", "certextract", "dlfunc", "imapfolder", "perl", "prvs", "prvscheck", "readsocket", "run",
    "srs_encode",
)  # fmt: skip

ITEMS: dict[str, Callable[[Parser, str], Node]] = {
    "if": _if, "extract": _extract, "listextract": _listextract, "lookup": _lookup, "env": _env,
    "sg": _read_sg, "tr": _call(_tr, 3, 3), "hmac": _call(_hmac, 3, 3),
    "substr": _counting(substring, 2, 3), "length": _counting(substring, 2, 2),
    "hash": _counting(hash_text, 2, 3), "nhash": _counting(nhash_text, 2, 3),
    "readfile": _call(_readfile, 1, 2), "listquote": _call(_listquote, 2, 2),
    **LIST_ITEMS,
    **dict.fromkeys(OUT_OF_SCOPE, _out_of_scope),
}  # fmt: skip
