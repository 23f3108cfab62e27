"""The tree of a parsed expansion, and the state while it is evaluated.

A node has one method, ``put``, which appends its text. Forced failure and errors are exceptions; a branch
that is not taken is not evaluated, so its lookups and file reads do not happen.

Where the text itself is wrong the tree ends in :class:`Broken`. So a mistake is met in evaluation order, as
in Exim, where what fails before it fails first.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeAlias

from msgspec import Struct

from smarthostd.errors import ExpansionError, ForcedFailure
from smarthostd.expand.octets import normal
from smarthostd.facts import Value, Values

if TYPE_CHECKING:
    from smarthostd.expand.expander import Expander

EVALUATION_COST = 16
"""What one evaluation counts besides its characters, so that empty texts in a loop are counted too."""


class MistakeMet(Exception):
    """Evaluation has come to where the text is wrong; its template knows what the mistake is."""


class State(Struct):
    """What changes while one string is expanded."""

    expander: Expander
    values: Values
    depth: int = 0
    """Levels that the strings under way may go down, one inside another."""
    value: str | None = None
    """``$value``; None where nothing has set it."""
    item: str | None = None
    """``$item``."""
    numbered: Sequence[str] = ()
    """``$0`` … as a match or lookup set them."""
    work: int = 0
    """Characters produced so far, those of inner results included."""

    def expand(self, text: str) -> str:
        """Expand *text* with the variables as they are now; used where Exim itself expands again."""
        template = self.expander.parsed(text)
        if template.constant is not None:
            return template.constant
        depth = self.depth + template.depth
        if depth > self.expander.limits.depth:
            raise ExpansionError("expansions nested too deeply")
        before = self.depth, self.value, self.item, self.numbered
        self.depth = depth
        try:
            return template.evaluate(self)
        finally:
            self.depth, self.value, self.item, self.numbered = before

    def produced(self, size: int) -> None:
        """Count *size* characters; raises ExpansionError when one expansion makes too many."""
        self.work += size + EVALUATION_COST
        if self.work > self.expander.limits.work:
            raise ExpansionError(f"expansion makes more than {self.expander.limits.work} characters on its way")


class Node(Protocol):
    """A piece of an expansion."""

    def put(self, out: list[str], state: State) -> None:
        """Append this piece's text to *out*; raises ExpansionError."""
        ...


Nodes: TypeAlias = tuple[Node, ...]


class Condition(Protocol):
    """A condition of ``${if``."""

    def holds(self, state: State) -> bool:
        """Return whether it holds; raises ExpansionError."""
        ...


def evaluate(nodes: Nodes, state: State) -> str:
    """Return the text of *nodes*; a NUL ends it, as it does in C, so none ever comes out."""
    out: list[str] = []
    for node in nodes:
        node.put(out, state)
    text = out[0] if len(out) == 1 else "".join(out)
    state.produced(len(text))
    if not text.isascii():
        text = normal(text)
    return text[: text.index("\0")] if "\0" in text else text


def text_of_value(value: Value) -> str:
    """Return what a variable holds, asking where it is a callable."""
    return value if isinstance(value, str) else value()


class Literal(Struct, frozen=True):
    """Text that stands for itself."""

    text: str

    def put(self, out: list[str], state: State) -> None:
        """Append the text."""
        out.append(self.text)


def constant(nodes: Nodes) -> str | None:
    """Return the text of *nodes* where nothing in it is expanded, else None."""
    if not all(isinstance(node, Literal) for node in nodes):
        return None
    return normal("".join(node.text for node in nodes if isinstance(node, Literal)).partition("\0")[0])


class Broken(Struct, frozen=True):
    """Where reading stopped, behind an argument that had been read."""

    before: Nodes = ()

    def put(self, out: list[str], state: State) -> None:
        """Evaluate what stands before the mistake, then raise MistakeMet."""
        evaluate(self.before, state)
        raise MistakeMet

    def holds(self, state: State) -> bool:
        """Raise MistakeMet: a condition that could not be read."""
        raise MistakeMet


BROKEN = Broken()


class Misread(Struct, frozen=True):
    """What is wrong if it is reached, but passes where it is skipped."""

    node: Node
    """As far as it could be read."""
    mistake: str

    def put(self, out: list[str], state: State) -> None:
        """Evaluate up to the mistake, and raise it."""
        with suppress(MistakeMet):
            self.node.put(out, state)
        raise ExpansionError(self.mistake)


class Variable(Struct, frozen=True):
    """``$name``: a value given by the caller, else what is known of the configuration."""

    name: str
    default: Value

    def put(self, out: list[str], state: State) -> None:
        """Append the value."""
        value = state.values.get(self.name, self.default)
        out.append(value if isinstance(value, str) else value())


class ValueVariable(Struct, frozen=True):
    """``$value``: what an item has set, else what the caller gave."""

    def put(self, out: list[str], state: State) -> None:
        """Append the value."""
        out.append(text_of_value(state.values.get("value", "")) if state.value is None else state.value)


class ItemVariable(Struct, frozen=True):
    """``$item``: the item of the list that is being walked, else what the caller gave."""

    def put(self, out: list[str], state: State) -> None:
        """Append the value."""
        out.append(text_of_value(state.values.get("item", "")) if state.item is None else state.item)


class Numbered(Struct, frozen=True):
    """``$1``: of the latest match or lookup, else what the caller gave."""

    number: int

    def put(self, out: list[str], state: State) -> None:
        """Append the value; nothing for a number that is not set."""
        if self.number < len(state.numbered):
            out.append(state.numbered[self.number])
        elif not state.numbered:
            out.append(text_of_value(state.values.get(str(self.number), "")))


class YesNo(Struct, frozen=True):
    """The strings behind a condition: yes, no, or the word ``fail``."""

    type: str
    yes: Nodes | None
    no: Nodes | None
    fail: bool
    implicit: str | None = None
    """What a missing yes stands for; None means ``$value``."""

    def put(self, out: list[str], state: State, holds: bool) -> None:
        """Append the branch that *holds* chooses; raises ForcedFailure for ``fail``."""
        if holds:
            if self.yes is not None:
                out.append(evaluate(self.yes, state))
            elif self.implicit is not None:
                out.append(self.implicit)
            else:
                out.append(state.value or "")
        elif self.fail:
            raise ForcedFailure(f'"{self.type}" failed and "fail" requested')
        elif self.no is not None:
            out.append(evaluate(self.no, state))

    def put_found(self, out: list[str], state: State, found: str | None) -> None:
        """Append *found*, or the yes string with *found* in ``$value``, or where it is None the no string."""
        before = state.value
        if found is not None:
            state.value = found
        self.put(out, state, found is not None)
        state.value = before
