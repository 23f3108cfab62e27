"""Items over lists: ``${map…}``, ``${filter…}``, ``${reduce…}``, ``${sort…}`` (exim.md 5.3).

What comes out uses the separator of what came in, doubled inside items, without announcing it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from smarthostd.errors import ExpansionError
from smarthostd.expand.arithmetic import integer
from smarthostd.expand.conditions import NUMBERS, STRINGS, read_condition, unknown_condition
from smarthostd.expand.nodes import Condition, Node, Nodes, State, constant, evaluate
from smarthostd.expand.operators import joined
from smarthostd.expand.parser import SPACE, Parser
from smarthostd.lists import separator_of, split

COMPARISON_COST = 8
"""What one comparison of ``${sort`` counts as work."""
_COMPARATOR = re.compile(r"[=<>]=?|[A-Za-z0-9_]*")


class Map(Struct, frozen=True):
    """``${map{LIST}{TEXT}}``: the expansion of TEXT for each item."""

    items: Nodes
    text: Nodes

    def put(self, out: list[str], state: State) -> None:
        """Append the new list."""
        items, separator = _items(self.items, state)
        out.append(joined([_for_item("map", self.text, state, item) for item in items], separator))


class Reduce(Struct, frozen=True):
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


class Filter(Struct, frozen=True):
    """``${filter{LIST}{COND}}``: the items that satisfy."""

    items: Nodes
    condition: Condition

    def put(self, out: list[str], state: State) -> None:
        """Append the new list."""
        items, separator = _items(self.items, state)
        out.append(joined([item for item in items if self._keeps(state, item)], separator))

    def _keeps(self, state: State, item: str) -> bool:
        """Return whether the condition holds; what it leaves in ``$value`` stays, as in Exim 4.96."""
        before, state.item = state.item, item
        state.produced(0)
        try:
            return self.condition.holds(state)
        except ExpansionError as error:
            raise type(error)(f'{error} inside "filter" condition') from error
        finally:
            state.item = before


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


class Order(Struct, frozen=True):
    """How ``${sort`` compares: what a key is made into, and whether one made key goes before another."""

    made: Callable[[str], Any]
    before: Callable[[Any, Any], bool]


class Sort(Struct, frozen=True):
    """``${sort{LIST}{COMPARATOR}{KEY}}``."""

    items: Nodes
    order: Order
    key: Nodes
    key_text: str
    """As written, for the error's text."""

    def put(self, out: list[str], state: State) -> None:
        """Append the sorted list: each item goes before the first that it comes before, as Exim inserts it."""
        items, separator = _items(self.items, state)
        before = self.order.before
        pairs: list[tuple[Any, str]] = []
        for item in items:
            text = self._key(state, item)
            key = self.order.made(text)
            at = next((at for at, (other, _) in enumerate(pairs) if before(key, other)), len(pairs))
            state.produced(at * COMPARISON_COST)
            pairs.insert(at, (self.order.made(text.strip(SPACE)), item))  # Exim keeps the keys in a list
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


def _number_or_none(text: str) -> int | None:
    try:
        return integer(text)
    except ExpansionError:
        return None


def _by_number(compare: Callable[[int, int], bool]) -> Order:
    """Order by number; what is none stays behind."""
    return Order(_number_or_none, lambda key, other: key is not None and other is not None and compare(key, other))


ORDERS: dict[str, Order] = {
    **{name: _by_number(NUMBERS[name]) for name in ("<", "<=", ">", ">=")},
    **{name: Order(str, STRINGS[name]) for name in ("lt", "lti", "le", "lei", "gt", "gti", "ge", "gei")},
}


def _sort(parser: Parser, name: str) -> Node:
    def argument(which: str, *, dollar: bool = True) -> Nodes:
        opening, closing = f"missing '{{' for {which} arg of sort", f"missing '}}' closing {which} arg of sort"
        return parser.argument(opening, closing, dollar=dollar)

    items = argument("list")
    text = constant(argument("comparator", dollar=False)) or ""
    name_match = _COMPARATOR.match(text)
    comparator = name_match[0] if name_match else ""
    if comparator not in ORDERS:
        known = comparator in STRINGS or comparator in NUMBERS
        parser.fail("comparator not handled for sort" if known else unknown_condition(comparator, text))
    parser.skip_space()
    start = parser.at + 1
    key = argument("extractor")
    key_text = parser.text[start : parser.at - 1]
    parser.expect("}", 'missing } at end of "sort"')
    return Sort(parser.sealed(items), ORDERS.get(comparator, ORDERS["lt"]), key, key_text)


LIST_ITEMS: dict[str, Callable[[Parser, str], Node]] = {
    "map": _map, "filter": _filter, "reduce": _reduce, "sort": _sort,
}  # fmt: skip
