"""The conditions of ``${if``, ``${filter`` and the rest (exim.md 5.4), as frozen nodes that answer yes or no."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from smarthostd.errors import ExpansionError, ListDefer
from smarthostd.expand.nodes import Condition, Header, Node, Nodes, State, evaluate
from smarthostd.expand.octets import octets
from smarthostd.expand.parser import SPACE, Parser
from smarthostd.lists import ListUndecided, split

_HEADER = re.compile(r"(?:([rbl]?)h|([rbl]?)header)_", re.ASCII)
_INTEGER = re.compile(r"\s*([+-]?[0-9]+)([kKmMgG]?)\s*", re.ASCII)
_LIMIT = 1 << 63


def integer(text: str) -> int:
    """Return the number that a comparison reads in *text*; empty is 0. Raises ExpansionError."""
    if not text.strip(SPACE):
        return 0
    start = re.match(r"\s*[+-]?[0-9]+", text, re.ASCII)
    if start is None:
        raise ExpansionError(f'integer expected but "{text}" found')
    match = _INTEGER.fullmatch(text)
    number = int(start[0])
    if match:
        number *= {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[match[2].lower()]
    if not -_LIMIT <= number < _LIMIT:
        raise ExpansionError(f'absolute value of integer "{text}" is too large (overflow)')
    if match is None:
        raise ExpansionError(f'invalid integer "{text}"')
    return number


def _fold(text: str) -> bytes:
    return octets(text).lower()


Comparison = Callable[[str, str], bool]
_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "=": int.__eq__, "==": int.__eq__, "<": int.__lt__, "<=": int.__le__, ">": int.__gt__, ">=": int.__ge__,
}  # fmt: skip
_STRINGS: dict[str, Callable[[bytes, bytes], bool]] = {
    "eq": bytes.__eq__, "lt": bytes.__lt__, "le": bytes.__le__, "gt": bytes.__gt__, "ge": bytes.__ge__,
}  # fmt: skip


def _number_comparison(compare: Callable[[int, int], bool]) -> Comparison:
    return lambda a, b: compare(integer(a), integer(b))


def _string_comparison(compare: Callable[[bytes, bytes], bool], fold: bool) -> Comparison:
    if fold:
        return lambda a, b: compare(_fold(a), _fold(b))
    return lambda a, b: compare(octets(a), octets(b))


COMPARISONS: dict[str, Comparison] = {
    **{name: _number_comparison(compare) for name, compare in _NUMBERS.items()},
    **{name: _string_comparison(compare, False) for name, compare in _STRINGS.items()},
    **{name + "i": _string_comparison(compare, True) for name, compare in _STRINGS.items()},
}
"""By name: what two texts must be to one another."""


# -- the nodes


@dataclass(frozen=True, slots=True)
class Not:
    """``!cond``."""

    inner: Condition

    def holds(self, state: State) -> bool:
        """Return the opposite."""
        return not self.inner.holds(state)


@dataclass(frozen=True, slots=True)
class Defined:
    """``def:name``: a header that is there, or a variable that is not empty."""

    node: Node

    def holds(self, state: State) -> bool:
        """Return whether it is."""
        if isinstance(self.node, Header):
            from smarthostd.expand.header_text import find_header

            return find_header(state.values, self.node.name, "r") is not None
        return evaluate((self.node,), state) != ""


@dataclass(frozen=True, slots=True)
class Flag:
    """``first_delivery``, ``queue_running``."""

    name: str

    def holds(self, state: State) -> bool:
        """Return what the caller says."""
        value = state.values.get(self.name, "")
        return (value if isinstance(value, str) else value()) not in ("", "0")


@dataclass(frozen=True, slots=True)
class One:
    """A condition on one text."""

    test: Callable[[str], bool]
    argument: Nodes

    def holds(self, state: State) -> bool:
        """Return the test's answer."""
        return self.test(evaluate(self.argument, state))


@dataclass(frozen=True, slots=True)
class Two:
    """A condition on two texts."""

    test: Callable[[State, str, str], bool]
    first: Nodes
    second: Nodes

    def holds(self, state: State) -> bool:
        """Return the test's answer."""
        return self.test(state, evaluate(self.first, state), evaluate(self.second, state))


@dataclass(frozen=True, slots=True)
class Several:
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


@dataclass(frozen=True, slots=True)
class ForEach:
    """``forany{LIST}{COND}``, ``forall``."""

    name: str
    items: Nodes
    inner: Condition

    def holds(self, state: State) -> bool:
        """Return whether any, or all, items satisfy."""
        before = state.item
        decisive = self.name == "forany"
        answer = not decisive
        try:
            items = split(evaluate(self.items, state))
            for state.item in items:
                if self.inner.holds(state) is decisive:
                    answer = decisive
                    break
        except ExpansionError as error:
            raise type(error)(f'{error} inside "{self.name}" condition') from error
        finally:
            state.item = before
        return answer


# -- tests on one text


def _boolean(text: str) -> bool:
    word = text.strip(SPACE)
    if not word:
        return False
    if re.fullmatch(r"-?[0-9]+", word):
        return int(word) != 0
    if word.lower() in ("true", "yes", "false", "no"):
        return word.lower() in ("true", "yes")
    raise ExpansionError(f'unrecognised boolean value "{word}"')


def is_true(text: str) -> bool:
    """Return Exim's lax truth: false only for empty, ``0``, ``no`` and ``false``."""
    return text.strip(SPACE).lower() not in ("", "0", "no", "false")


def ip_version(text: str) -> int:
    """Return 4, 6, or 0 for what is no IP address."""
    try:
        return 4 if isinstance(ip_address(text), IPv4Address) else 6
    except ValueError:
        return 0


_TESTS: dict[str, Callable[[str], bool]] = {
    "exists": lambda text: bool(text) and "\0" not in text and os.path.exists(text),  # noqa: PTH110 - a text
    "isip": lambda text: ip_version(text) != 0,
    "isip4": lambda text: ip_version(text) == 4,
    "isip6": lambda text: ip_version(text) == 6,
}
_BOOLEANS: dict[str, Callable[[str], bool]] = {"bool": _boolean, "bool_lax": is_true}


# -- tests on two texts


def _match(state: State, subject: str, pattern: str) -> bool:
    from smarthostd.expand.items import regex

    match = regex(pattern).search(subject)
    if match is None:
        return False
    state.numbered = (match[0], *(group or "" for group in match.groups()))
    return True


def _match_list(kind: str) -> Callable[[State, str, str], bool]:
    def test(state: State, subject: str, text: str) -> bool:
        if kind == "ip" and subject and not ip_version(subject):
            raise ExpansionError(f'"{subject}" is not an IP address')
        try:
            match = getattr(state.expander.matcher, kind)(subject, text, state.expand)
        except ListUndecided as error:
            shown = "NULL" if error.message is None else error.message
            raise state.expander.deferred(f'unable to complete match against "{text}": {shown}') from error
        except ListDefer as error:
            raise state.expander.deferred(str(error)) from error
        if match is None:
            return False
        state.value = match.value
        state.numbered = match.numbered or state.numbered
        return True

    return test


def _in_list(fold: bool) -> Callable[[State, str, str], bool]:
    def test(state: State, subject: str, text: str) -> bool:
        for item in split(text):
            if (_fold(item) == _fold(subject)) if fold else item == subject:
                state.value = item
                return True
        return False

    return test


_DIGESTS = {"md5": (hashlib.md5, 16), "sha1": (hashlib.sha1, 20)}


def _crypteq(state: State, password: str, stored: str) -> bool:
    """Compare with a hash: ``{md5}`` or ``{sha1}`` and base64 or hexadecimal. crypt(3) is not here."""
    match = re.fullmatch(r"\{(md5|sha1)\}(.*)", stored, re.IGNORECASE | re.DOTALL)
    if match is None:
        if stored.startswith("{"):
            raise ExpansionError(f'unknown encryption mechanism in "{stored}"')
        if not stored or len(stored) < 13:
            return False
        raise ExpansionError("crypteq with crypt(3) is not in smarthostd: store {sha1} or {md5} and the hash")
    make, length = _DIGESTS[match[1].lower()]
    digest = make(octets(password)).digest()
    if len(match[2]) == length * 2:
        return hmac.compare_digest(digest.hex().encode(), octets(match[2].lower()))
    try:
        return hmac.compare_digest(digest, base64.b64decode(match[2], validate=True))
    except (binascii.Error, ValueError):
        return False


def _compare(comparison: Comparison) -> Callable[[State, str, str], bool]:
    return lambda state, a, b: comparison(a, b)


_PAIRS: dict[str, Callable[[State, str, str], bool]] = {
    **{name: _compare(comparison) for name, comparison in COMPARISONS.items()},
    "match": _match, "inlist": _in_list(False), "inlisti": _in_list(True), "crypteq": _crypteq,
    "match_domain": _match_list("domain"), "match_address": _match_list("address"),
    "match_local_part": _match_list("local_part"), "match_ip": _match_list("ip"),
}  # fmt: skip
_UNEXPANDED = frozenset({"match_domain", "match_address", "match_local_part", "match_ip"})


# -- reading


def read_condition(parser: Parser) -> Condition:
    """Read one condition; raises ExpansionError with Exim's text."""
    negated = False
    while parser.skip_space() == "!":
        parser.at += 1
        negated = not negated
    inner = _read_plain(parser)
    return Not(inner) if negated else inner


def _read_plain(parser: Parser) -> Condition:
    name = _condition_name(parser)
    if not name:
        found = parser.text[parser.at : parser.at + 16]
        raise ExpansionError(f'condition name expected, but found "{found}"')
    if name == "def":
        return _read_defined(parser)
    if name in ("first_delivery", "queue_running"):
        return Flag(name)
    if name in _TESTS or name in _BOOLEANS:
        test = _TESTS.get(name) or _BOOLEANS[name]
        return One(test, _read_argument(parser, name))
    if name in _PAIRS:
        return _read_pair(parser, name)
    if name in ("and", "or"):
        return _read_several(parser, name)
    if name in ("forany", "forall"):
        return _read_for_each(parser, name)
    raise ExpansionError(f'unknown condition "{name}"')


def _condition_name(parser: Parser) -> str:
    char = parser.peek()
    if char and char in "=<>":
        parser.at += 1
        if parser.peek() == "=":
            parser.at += 1
            return char + "="
        return char
    return parser.read_name() if char.isascii() and char.isalpha() else ""


def _read_argument(parser: Parser, name: str) -> Nodes:
    return parser.argument(f'missing {{ after "{name}"', f'missing }} at end of "{name}" condition')


def _read_defined(parser: Parser) -> Condition:
    if parser.peek() != ":":
        raise ExpansionError('":" expected after "def"')
    parser.at += 1
    name = parser.read_name()
    prefix = _HEADER.match(name)
    if prefix:
        parser.at -= len(name) - prefix.end()
        return Defined(parser.header(prefix))
    node: Node | None = parser.variable(name) if name else None
    if node is None:
        raise ExpansionError(
            f'unknown variable "{name}" after "def:"' if name else 'variable name omitted after "def:"'
        )
    return Defined(node)


def _read_pair(parser: Parser, name: str) -> Condition:
    first = _read_argument(parser, name)
    if parser.skip_space() != "{":
        raise ExpansionError(f'missing 2nd string in {{}} after "{name}"')
    second = parser.argument("", f'missing }} at end of "{name}" condition', dollar=name not in _UNEXPANDED)
    return Two(_PAIRS[name], first, second)


def _read_several(parser: Parser, name: str) -> Condition:
    if parser.skip_space() != "{":
        parser.curly(f'missing {{ after "{name}"')
    parser.at += 1
    inner: list[Condition] = []
    while parser.skip_space() != "}":
        if parser.peek() != "{":
            raise ExpansionError(f'each subcondition inside an "{name}{{...}}" condition must be in its own {{}}')
        parser.at += 1
        try:
            inner.append(parser.nested(lambda: read_condition(parser)))
        except ExpansionError as error:
            raise ExpansionError(f'{error} inside "{name}{{...}}" condition') from error
        parser.closing(f'missing }} at end of condition inside "{name}" group')
    parser.at += 1
    return Several(name, tuple(inner))


def _read_for_each(parser: Parser, name: str) -> Condition:
    text = _read_argument(parser, name)
    if parser.skip_space() != "{":
        parser.curly(f'missing {{ after "{name}"')
    parser.at += 1
    try:
        inner = parser.nested(lambda: read_condition(parser))
    except ExpansionError as error:
        raise ExpansionError(f'{error} inside "{name}" condition') from error
    parser.closing(f'missing }} at end of condition inside "{name}"')
    return ForEach(name, text, inner)
