"""The items: ``${extract…}``, ``${if…}``, ``${lookup…}``, ``${map…}`` and the others (exim.md 5.3).

Each is a frozen node and a function that reads it; ``ITEMS`` names the functions.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from smarthostd.errors import ExpansionError, LookupDefer
from smarthostd.expand.arithmetic import integer
from smarthostd.expand.conditions import NUMBERS, STRINGS, Comparison, read_condition, unknown_condition
from smarthostd.expand.nodes import BROKEN, Condition, Literal, MistakeMet, Node, Nodes, State, YesNo, evaluate
from smarthostd.expand.octets import hash_text, nhash_text, octets, signed, substring, text_of
from smarthostd.expand.operators import joined
from smarthostd.expand.parser import SPACE, Parser
from smarthostd.expand.patterns import substitute
from smarthostd.lists import separator_of, split
from smarthostd.lookups import LookupUnopened, UnknownLookup
from smarthostd.lookups.kinds import parse_kind
from smarthostd.lookups.lsearch import unescape

READFILE_LIMIT = 1 << 20
"""Octets of a file that ``${readfile`` takes."""
_NUMBER = re.compile(r"-?[0-9]*")
_COMPARATOR = re.compile(r"[=<>]=?|[A-Za-z0-9_]*")


# -- if


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


# -- extract, listextract


def _number(text: str) -> int:
    """Return the number that ``-?[0-9]*`` stands for; one of a bare sign, as in Exim."""
    if text == "-":
        return 0
    return int(text[:20])


@dataclass(frozen=True, slots=True)
class ExtractKeyed:
    """``${extract{NAME}{TEXT}{yes}{no}}``."""

    name: Nodes
    text: Nodes
    branches: YesNo

    def put(self, out: list[str], state: State) -> None:
        """Append the value, or the branch that its presence chooses."""
        name = _field(self.name, state)
        self.branches.put_found(out, state, _keyed_field(name, evaluate(self.text, state)))


@dataclass(frozen=True, slots=True)
class ExtractNumbered:
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


@dataclass(frozen=True, slots=True)
class ExtractEither:
    """``${extract`` whose first argument says only when it is expanded which of the two this is."""

    first: Nodes
    keyed: Node
    numbered: Node

    def put(self, out: list[str], state: State) -> None:
        """Append what the one or the other appends."""
        numbered = _NUMBER.fullmatch(_field(self.first, state))
        (self.numbered if numbered else self.keyed).put(out, state)


@dataclass(frozen=True, slots=True)
class Misread:
    """What is wrong if it is reached, but passes where it is skipped."""

    node: Node
    """As far as it could be read."""
    mistake: str

    def put(self, out: list[str], state: State) -> None:
        """Evaluate up to the mistake, and raise it."""
        with suppress(MistakeMet):
            self.node.put(out, state)
        raise ExpansionError(self.mistake)


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
    constant = _constant(first)
    if constant is None:
        return _extract_either(parser, first)
    return (_extract_numbered if _NUMBER.fullmatch(constant.strip(SPACE)) else _extract_keyed)(parser, first)


def _constant(nodes: Nodes) -> str | None:
    """Return the text of *nodes* where nothing in it is expanded."""
    if all(isinstance(node, Literal) for node in nodes):
        return "".join(node.text for node in nodes if isinstance(node, Literal))
    return None


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
        if not _NUMBER.fullmatch(number):
            raise ExpansionError('first argument of "listextract" must be numeric')
        items = split(evaluate(self.items, state))
        at = _number(number)
        index = at - 1 if at > 0 else at
        found = items[index] if at and -len(items) <= index < len(items) else None
        self.branches.put_found(out, state, found)


def _listextract(parser: Parser, name: str) -> Node:
    number, items = (parser.argument(_missing(at, name), _unclosed(at, name)) for at in (1, 2))
    return ListExtract(number, items, parser.yes_no("listextract"))


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
        before = state.numbered
        if found is not None:
            state.numbered = found.numbered or before
        self.branches.put_found(out, state, None if found is None else found.data)
        state.numbered = before


def _lookup(parser: Parser, name: str) -> Node:
    key = parser.argument("", "missing '}' after lookup key") if parser.skip_space() == "{" else None
    char = parser.skip_space()
    if not (char.isascii() and char.isalpha()):
        parser.fail_brace("missing lookup type")
    start = parser.at
    while parser.peek() and parser.peek() not in "{" + SPACE:
        parser.at += 1
    kind = parser.text[start : parser.at]
    if not parser.mistake:
        parser.fail_if(_wrong_kind(kind))
    if key is None:
        parser.fail(f'missing {{key}} for single-key "{kind}" lookup')
    opening, closing = "missing '{' for lookup file-or-query arg", "missing '}' closing lookup file-or-query arg"
    file = parser.argument(opening, closing)
    return Lookup((BROKEN,) if key is None else key, kind, file, parser.yes_no("lookup"))


def _wrong_kind(kind: str) -> str:
    """Return what is wrong with the name of a lookup, or nothing."""
    try:
        parse_kind(kind)
    except UnknownLookup as error:
        if re.match(r"partial\d*[a-z]", kind):
            return f'format error in lookup type "{kind}"'
        return str(error)
    return ""


# -- items with plain arguments

Function = Callable[[State, list[str]], str]


@dataclass(frozen=True, slots=True)
class Call:
    """An item that makes a text of its arguments."""

    function: Function
    arguments: tuple[Nodes, ...]

    def put(self, out: list[str], state: State) -> None:
        """Append the result."""
        out.append(self.function(state, [evaluate(argument, state) for argument in self.arguments]))


def _call(function: Function, least: int, most: int) -> Callable[[Parser, str], Node]:
    return lambda parser, name: Call(function, tuple(parser.arguments(name, least, most)))


def _sg(state: State, arguments: list[str]) -> str:
    """Replace all matches; the replacement is expanded with the other arguments and again for each match."""
    subject, pattern, replacement = arguments
    before = state.numbered

    def replaced(groups: tuple[str, ...]) -> str:
        state.numbered = groups
        return state.expand(replacement)

    try:
        return substitute(pattern, subject, replaced)
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


def _counting(name: str, function: Callable[[int, int, str], str]) -> Function:
    return lambda state, texts: function(*_numbers(name, texts))


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
    separator, item = arguments[0][:1], arguments[1]
    if not item:
        return " "
    return item.replace(separator, separator * 2) if separator else item


# -- env


@dataclass(frozen=True, slots=True)
class Env:
    """``${env{NAME}{yes}{no}}``."""

    name: Nodes
    branches: YesNo

    def put(self, out: list[str], state: State) -> None:
        """Append the variable's value, or a branch."""
        self.branches.put_found(out, state, os.environ.get(evaluate(self.name, state)))


def _env(parser: Parser, name: str) -> Node:
    return Env(parser.argument(f"Not enough arguments for '{name}' (min is 1)"), parser.yes_no("env"))


# -- items over lists


@dataclass(frozen=True, slots=True)
class Map:
    """``${map{LIST}{TEXT}}``: the expansion of TEXT for each item."""

    items: Nodes
    text: Nodes

    def put(self, out: list[str], state: State) -> None:
        """Append the new list."""
        items, separator = _items(self.items, state)
        out.append(joined([_for_item("map", self.text, state, item) for item in items], separator))


@dataclass(frozen=True, slots=True)
class Reduce:
    """``${reduce{LIST}{START}{TEXT}}``: TEXT expanded for each item, ``$value`` being what came of it before."""

    items: Nodes
    start: Nodes
    text: Nodes

    def put(self, out: list[str], state: State) -> None:
        """Append what remains."""
        items, _ = _items(self.items, state)
        before = state.value
        state.value = evaluate(self.start, state)
        for item in items:
            state.value = _for_item("reduce", self.text, state, item)
        out.append(state.value)
        state.value = before


@dataclass(frozen=True, slots=True)
class Filter:
    """``${filter{LIST}{COND}}``: the items that satisfy."""

    items: Nodes
    condition: Condition

    def put(self, out: list[str], state: State) -> None:
        """Append the new list."""
        items, separator = _items(self.items, state)
        out.append(joined([item for item in items if self._keeps(state, item)], separator))

    def _keeps(self, state: State, item: str) -> bool:
        before, state.item = (state.item, state.value), item
        state.produced(0)
        try:
            return self.condition.holds(state)
        except ExpansionError as error:
            raise type(error)(f'{error} inside "filter" condition') from error
        finally:
            state.item, state.value = before


def _items(nodes: Nodes, state: State) -> tuple[list[str], str]:
    """Return a list's items and the separator that it uses."""
    text = evaluate(nodes, state)
    return split(text), separator_of(text)[0]


def _for_item(name: str, text: Nodes, state: State, item: str) -> str:
    before, state.item = state.item, item
    try:
        return evaluate(text, state)
    except ExpansionError as error:
        raise type(error)(f'{error} inside "{name}" item') from error
    finally:
        state.item = before


def _list_argument(parser: Parser, which: str, name: str) -> Nodes:
    return parser.argument(f"missing '{{' for {which} arg of {name}", f"missing '}}' closing {which} arg of {name}")


def _opening(parser: Parser, name: str) -> None:
    if parser.skip_space() != "{":
        parser.fail_brace(f"missing '{{' for last arg of {name}")


def _closing(parser: Parser, name: str) -> None:
    parser.skip_space()
    parser.expect("}", f'missing }} at end of "{name}"')


def _map(parser: Parser, name: str) -> Node:
    items = _list_argument(parser, "first", name)
    text = _text_for_items(parser, name)
    return Map(parser.sealed(items), text)


def _reduce(parser: Parser, name: str) -> Node:
    items = _list_argument(parser, "first", name)
    start = _list_argument(parser, "second", name)
    text = _text_for_items(parser, name)
    return Reduce(items, parser.sealed(start), text)


def _text_for_items(parser: Parser, name: str) -> Nodes:
    _opening(parser, name)
    with parser.inside(f'"{name}" item'):
        text = parser.argument("")
    _closing(parser, name)
    return text


def _filter(parser: Parser, name: str) -> Node:
    items = _list_argument(parser, "first", name)
    _opening(parser, name)
    parser.at += 1
    with parser.inside('"filter" item'):
        condition = read_condition(parser)
    parser.skip_space()
    unquoted = 'missing } at end of condition or expression inside "filter"; could be an unquoted } in the content'
    parser.expect("}", unquoted)
    _closing(parser, name)
    return Filter(parser.sealed(items), condition)


@dataclass(frozen=True, slots=True)
class Sort:
    """``${sort{LIST}{COMPARATOR}{KEY}}``."""

    items: Nodes
    before: Comparison
    key: Nodes
    key_text: str
    """As written, for the error's text."""

    def put(self, out: list[str], state: State) -> None:
        """Append the sorted list: each item goes before the first that it comes before, as Exim inserts it."""
        items, separator = _items(self.items, state)
        pairs: list[tuple[str, str]] = []
        for item in items:
            key = self._key(state, item)
            at = next((at for at, other in enumerate(pairs) if self.before(key, other[0])), len(pairs))
            state.produced(at)
            pairs.insert(at, (key, item))
        out.append(joined([item for _, item in pairs], separator))

    def _key(self, state: State, item: str) -> str:
        before, state.item = state.item, item
        try:
            key = evaluate(self.key, state)
        except ExpansionError as error:
            raise type(error)(f'field-extract in sort: "{self.key_text}"') from error
        finally:
            state.item = before
        if not key:
            raise ExpansionError(f'field-extract in sort: "{self.key_text}"')
        return key


def _by_number(name: str) -> Comparison:
    def before(left: str, right: str) -> bool:
        try:
            return NUMBERS[name](integer(left), integer(right))
        except ExpansionError:
            return False  # what is no number stays behind

    return before


SORTS: dict[str, Comparison] = {
    **{name: _by_number(name) for name in ("<", "<=", ">", ">=")},
    **{name: STRINGS[name] for name in ("lt", "lti", "le", "lei", "gt", "gti", "ge", "gei")},
}


def _sort(parser: Parser, name: str) -> Node:
    def argument(which: str, *, dollar: bool = True) -> Nodes:
        opening, closing = f"missing '{{' for {which} arg of sort", f"missing '}}' closing {which} arg of sort"
        return parser.argument(opening, closing, dollar=dollar)

    items = argument("list")
    text = _constant(argument("comparator", dollar=False)) or ""
    name_match = _COMPARATOR.match(text)
    comparator = name_match[0] if name_match else ""
    if comparator not in SORTS:
        known = comparator in STRINGS or comparator in NUMBERS
        parser.fail("comparator not handled for sort" if known else unknown_condition(comparator, text))
    start = parser.at + 1
    key = argument("extractor")
    key_text = parser.text[parser.text.find("{", start - 1) + 1 : parser.at - 1]
    _closing(parser, name)
    return Sort(parser.sealed(items), SORTS.get(comparator, STRINGS["lt"]), key, key_text)


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
    "sg": _call(_sg, 3, 3), "tr": _call(_tr, 3, 3), "hmac": _call(_hmac, 3, 3),
    "substr": _call(_counting("substr", substring), 2, 3), "length": _call(_counting("length", substring), 2, 2),
    "hash": _call(_counting("hash", hash_text), 2, 3), "nhash": _call(_counting("nhash", nhash_text), 2, 3),
    "readfile": _call(_readfile, 1, 2), "listquote": _call(_listquote, 2, 2),
    "map": _map, "filter": _filter, "reduce": _reduce, "sort": _sort,
    **dict.fromkeys(OUT_OF_SCOPE, _out_of_scope),
}  # fmt: skip
