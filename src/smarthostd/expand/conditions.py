"""The conditions of ``${if``, ``${filter`` and the rest (exim.md 5.4), as frozen nodes that answer yes or no."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from msgspec import Struct

from smarthostd.errors import ExpansionError, ForcedFailure, ListDefer
from smarthostd.expand.arithmetic import LIMIT, integer
from smarthostd.expand.ip_text import ip_version
from smarthostd.expand.nodes import (
    BROKEN,
    Condition,
    Node,
    Nodes,
    State,
    constant,
    evaluate,
    text_of_value,
)
from smarthostd.expand.octets import lower, octets, signed, text_of
from smarthostd.expand.parser import HEADER, SPACE, Parser, explained
from smarthostd.expand.passwords import crypteq
from smarthostd.expand.patterns import mistake_in, search
from smarthostd.lists import ListUndecided, split

OUT_OF_SCOPE = frozenset({
    "acl", "forall_json", "forall_jsons", "forany_json", "forany_jsons", "inbound_srs", "ldapauth", "pam", "pwcheck",
    "radius", "saslauthd",
})  # fmt: skip


# -- comparisons


NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "=": int.__eq__, "==": int.__eq__, "<": int.__lt__, "<=": int.__le__, ">": int.__gt__, ">=": int.__ge__,
}  # fmt: skip
_SIGNS: dict[str, Callable[[int], bool]] = {
    "eq": (0).__eq__, "lt": (0).__gt__, "le": (0).__ge__, "gt": (0).__lt__, "ge": (0).__le__,
}  # fmt: skip
"""By name: what the sign of a comparison must be."""
Comparison = Callable[[str, str], bool]


def _caseful(left: str, right: str) -> int:
    first, second = octets(left), octets(right)
    return (first > second) - (first < second)


def _caseless(left: str, right: str) -> int:
    """Compare as Exim 4.96 does: a text comes *behind* the longer ones that begin with it (a bug that we share)."""
    first, second = octets(left).lower(), octets(right).lower()
    return 1 if first != second and second.startswith(first) else (first > second) - (first < second)


def _ordering(order: Callable[[str, str], int], holds: Callable[[int], bool]) -> Comparison:
    return lambda left, right: holds(order(left, right))


STRINGS: dict[str, Comparison] = {
    **{name: _ordering(_caseful, holds) for name, holds in _SIGNS.items()},
    **{name + "i": _ordering(_caseless, holds) for name, holds in _SIGNS.items()},
}
"""By name: what two texts must be to one another."""


# -- the nodes


class Not(Struct, frozen=True):
    """``!cond``."""

    inner: Condition

    def holds(self, state: State) -> bool:
        """Return the opposite."""
        return not self.inner.holds(state)


class Defined(Struct, frozen=True):
    """``def:name``: a header that is there, or a variable that is not empty."""

    node: Node

    def holds(self, state: State) -> bool:
        """Return whether it is."""
        from smarthostd.expand.header_text import Header, find_header

        if isinstance(self.node, Header):
            return find_header(state.values, self.node.name, "r") is not None
        return evaluate((self.node,), state) != ""


class Flag(Struct, frozen=True):
    """``first_delivery``, ``queue_running``."""

    name: str

    def holds(self, state: State) -> bool:
        """Return what the caller says."""
        return text_of_value(state.values.get(self.name, "")) not in ("", "0")


class One(Struct, frozen=True):
    """A condition on one text."""

    test: Callable[[str], bool]
    argument: Nodes

    def holds(self, state: State) -> bool:
        """Return the test's answer."""
        return self.test(evaluate(self.argument, state))


class Two(Struct, frozen=True):
    """A condition on two texts."""

    test: Callable[[State, str, str], bool]
    first: Nodes
    second: Nodes

    def holds(self, state: State) -> bool:
        """Return the test's answer."""
        return self.test(state, evaluate(self.first, state), evaluate(self.second, state))


class TwoNumbers(Struct, frozen=True):
    """``={a}{b}`` and its kin; what is no number is an error before the other text is looked at."""

    compare: Callable[[int, int], bool]
    first: Nodes
    second: Nodes

    def holds(self, state: State) -> bool:
        """Return the comparison's answer."""
        first = integer(evaluate(self.first, state))
        return self.compare(first, integer(evaluate(self.second, state)))


class Several(Struct, frozen=True):
    """``and{{…}{…}}``, ``or{…}``: evaluated up to the first that decides."""

    name: str
    inner: tuple[Condition, ...]

    def holds(self, state: State) -> bool:
        """Return the combination."""
        decisive = self.name == "or"
        try:
            return decisive if any(one.holds(state) is decisive for one in self.inner) else not decisive
        except ExpansionError as error:
            raise type(error)(f'{error} inside "{self.name}{{...}}" condition') from error


class ForEach(Struct, frozen=True):
    """``forany{LIST}{COND}``, ``forall``; neither holds for an empty list."""

    name: str
    items: Nodes
    inner: Condition

    def holds(self, state: State) -> bool:
        """Return whether any, or all, items satisfy."""
        before = state.item
        decisive = self.name == "forany"
        items = split(evaluate(self.items, state))
        try:
            for state.item in items:
                state.produced(0)
                if self.inner.holds(state) is decisive:
                    return decisive
        except ExpansionError as error:
            raise type(error)(f'{error} inside "{self.name}" condition') from error
        finally:
            state.item = before
        return bool(items) and not decisive


# -- tests on one text


def _boolean(text: str) -> bool:
    word = text.strip(SPACE)
    if re.fullmatch(r"-?[0-9]*", word):
        return signed(max(-LIMIT, min(int(word[:40] if word.strip("-") else "0"), LIMIT - 1)), 32) != 0
    if word.lower() in ("true", "yes", "false", "no"):
        return word.lower() in ("true", "yes")
    raise ExpansionError(f'unrecognised boolean value "{word}"')


def is_true(text: str) -> bool:
    """Return the truth of an expanded ``condition``: false for empty, ``0``, ``no``, ``false``, not for a space."""
    return text.lower() not in ("", "0", "no", "false")


def _lax(text: str) -> bool:
    """Return the truth of ``bool_lax``, which looks past white space, and takes a bare sign for zero."""
    word = text.strip(SPACE)
    return word != "-" and is_true(word)


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - a text, perhaps empty


_TESTS: dict[str, Callable[[str], bool]] = {
    "exists": _exists,
    "isip": lambda text: ip_version(text) != 0,
    "isip4": lambda text: ip_version(text) == 4,
    "isip6": lambda text: ip_version(text) == 6,
    "bool": _boolean,
    "bool_lax": _lax,
}


# -- tests on two texts


def _match(state: State, subject: str, pattern: str) -> bool:
    match = search(pattern, subject, state.expander.facts.regex_time_limit)
    if match is None:
        return False
    state.numbered = match
    return True


def _match_list(kind: str) -> Callable[[State, str, str], bool]:
    def test(state: State, subject: str, text: str) -> bool:
        if kind == "ip" and subject and not ip_version(subject):
            raise ExpansionError(f'"{subject}" is not an IP address')
        if kind == "ip":
            expanded = _second_time(state, text)
            if expanded is None:
                return False
            text = expanded
        matcher = state.expander.matcher
        match_in = {"domain": matcher.domain, "local_part": matcher.local_part, "address": matcher.address}
        try:
            match = match_in.get(kind, matcher.ip)(subject, text, state.expand)
        except ListUndecided as error:
            shown = "NULL" if error.message is None else error.message
            raise state.expander.deferred(f'unable to complete match against "{text}": {shown}') from error
        except ListDefer as error:
            raise state.expander.deferred(str(error)) from error
        if match is None:
            return False
        state.value = match.value
        if kind != "address":  # those of an address are for rewriting only
            state.numbered = match.numbered or state.numbered
        return True

    return test


def _second_time(state: State, text: str) -> str | None:
    """Return the list of ``match_ip`` expanded, which Exim does for this condition alone; None for ``fail``."""
    try:
        return state.expand(text)
    except ForcedFailure:
        return None
    except ExpansionError as error:
        raise state.expander.deferred(f'unable to complete match against "{text}": NULL') from error


def _in_list(fold: Callable[[str], str]) -> Callable[[State, str, str], bool]:
    def test(state: State, subject: str, text: str) -> bool:
        wanted = fold(subject)
        for item in split(text):
            if fold(item) == wanted:
                state.value = item
                return True
        return False

    return test


def _compare(comparison: Comparison) -> Callable[[State, str, str], bool]:
    return lambda state, a, b: comparison(a, b)


_PAIRS: dict[str, Callable[[State, str, str], bool]] = {
    **{name: _compare(comparison) for name, comparison in STRINGS.items()},
    "match": _match, "inlist": _in_list(str), "inlisti": _in_list(lower),
    "crypteq": lambda state, password, stored: crypteq(password, stored),
    "match_domain": _match_list("domain"), "match_address": _match_list("address"),
    "match_local_part": _match_list("local_part"), "match_ip": _match_list("ip"),
}  # fmt: skip
_UNEXPANDED = frozenset({"match_domain", "match_address", "match_local_part", "match_ip"})


# -- reading


def read_condition(parser: Parser) -> Condition:
    """Read one condition."""
    negated = False
    while parser.skip_space() == "!":
        parser.at += 1
        negated = not negated
    with parser.deeper():
        inner = _read_plain(parser)
    return Not(inner) if negated else inner


def _read_plain(parser: Parser) -> Condition:
    name = _condition_name(parser)
    if name == "def":
        return _read_defined(parser)
    if name in ("first_delivery", "queue_running"):
        return Flag(name)
    if name in _TESTS:
        return _read_test(parser, name)
    if name in NUMBERS or name in _PAIRS:
        return _read_pair(parser, name)
    if name in ("and", "or"):
        return _read_several(parser, name)
    if name in ("forany", "forall"):
        return _read_for_each(parser, name)
    if name in OUT_OF_SCOPE:
        parser.fail(f'the condition "{name}" is not in smarthostd')
    parser.fail(unknown_condition(name, parser.text[parser.at :]))
    return BROKEN


def unknown_condition(name: str, rest: str) -> str:
    """Return what is wrong with a condition's name; *rest* is what stands there where there is none."""
    if name:
        return f'unknown condition "{name}"'
    return f'condition name expected, but found "{text_of(octets(rest)[:16])}"'


def _condition_name(parser: Parser) -> str:
    char = parser.peek()
    if char and char in "=<>":
        parser.at += 1
        if parser.peek() == "=":
            parser.at += 1
            return char + "="
        return char
    return parser.read_name()


def _read_argument(parser: Parser, name: str) -> Nodes:
    return parser.argument(f'missing {{ after "{name}"', f'missing }} at end of "{name}" condition')


def _read_test(parser: Parser, name: str) -> Condition:
    argument = _read_argument(parser, name)
    text = constant(argument)
    if name == "bool" and text is not None and not parser.mistake:  # Exim looks at it even where it is skipped
        try:
            _boolean(text)
        except ExpansionError as error:
            parser.fail(str(error))
    return One(_TESTS[name], argument)


def _read_defined(parser: Parser) -> Condition:
    if not parser.expect(":", '":" expected after "def"'):
        return BROKEN
    name = parser.read_name()
    prefix = HEADER.match(name)
    if prefix:
        parser.at -= len(name) - prefix.end()
        return Defined(parser.header(prefix))
    node = parser.variable(name) if name else None
    if node is None:
        unknown = f'unknown variable "{name}" after "def:"{explained(name)}'
        parser.fail(unknown if name else 'variable name omitted after "def:"')
        return BROKEN
    return Defined(node)


def _read_pair(parser: Parser, name: str) -> Condition:
    first = _read_argument(parser, name)
    if parser.skip_space() != "{":
        parser.fail(f'missing 2nd string in {{}} after "{name}"')
    second = parser.argument("", f'missing }} at end of "{name}" condition', dollar=name not in _UNEXPANDED)
    pattern = constant(second) if name == "match" else None
    if pattern is not None and not parser.mistake:
        parser.complain_if(mistake_in(pattern))
    if name in NUMBERS:
        return TwoNumbers(NUMBERS[name], first, second)
    return Two(_PAIRS[name], first, second)


def _read_several(parser: Parser, name: str) -> Condition:
    if parser.skip_space() != "{":
        parser.fail_brace(f'missing {{ after "{name}"')
    parser.at += 1
    inner: list[Condition] = []
    while parser.skip_space() != "}" and not parser.mistake:
        if not parser.expect("{", f'each subcondition inside an "{name}{{...}}" condition must be in its own {{}}'):
            break
        with parser.inside(f'"{name}{{...}}" condition'):
            inner.append(read_condition(parser))
        parser.skip_space()
        parser.expect("}", f'missing }} at end of condition inside "{name}" group')
    parser.at += 1
    return Several(name, (*inner, BROKEN) if parser.mistake else tuple(inner))


def _read_for_each(parser: Parser, name: str) -> Condition:
    items = _read_argument(parser, name)
    if parser.skip_space() != "{":
        parser.fail_brace(f'missing {{ after "{name}"')
    parser.at += 1
    with parser.inside(f'"{name}" condition'):
        inner = read_condition(parser)
    parser.skip_space()
    parser.expect("}", f'missing }} at end of condition inside "{name}"')
    return ForEach(name, parser.sealed(items), inner)
