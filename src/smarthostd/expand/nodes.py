"""The tree of a parsed expansion, and the state while it is evaluated.

A node has one method, ``put``, which appends its text. Forced failure and errors are exceptions; a branch
that is not taken is not evaluated, so its lookups and file reads do not happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from smarthostd.errors import ExpansionError, ForcedFailure
from smarthostd.facts import Value, Values

if TYPE_CHECKING:
    from smarthostd.expand.expander import Expander

DEPTH_LIMIT = 60
"""Braces, and ``${expand:`` or named lists, inside one another."""


@dataclass(slots=True)
class State:
    """What changes while one string is expanded."""

    expander: Expander
    values: Values
    value: str = ""
    """``$value``."""
    item: str = ""
    """``$item``."""
    numbered: Sequence[str] = ()
    """``$0`` … as a match or lookup set them."""
    depth: int = 0

    def expand(self, text: str) -> str:
        """Expand *text* with the variables as they are now; used where Exim itself expands again."""
        if self.depth >= DEPTH_LIMIT:
            raise ExpansionError("expansions nested too deeply")
        inner = State(self.expander, self.values, self.value, self.item, self.numbered, self.depth + 1)
        return evaluate(self.expander.compile(text).nodes, inner)


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
    return text[: text.index("\0")] if "\0" in text else text


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that stands for itself."""

    text: str

    def put(self, out: list[str], state: State) -> None:
        """Append the text."""
        out.append(self.text)


@dataclass(frozen=True, slots=True)
class Variable:
    """``$name``: a value given by the caller, else what is known of the configuration."""

    name: str
    default: Value

    def put(self, out: list[str], state: State) -> None:
        """Append the value."""
        value = state.values.get(self.name, self.default)
        out.append(value if isinstance(value, str) else value())


@dataclass(frozen=True, slots=True)
class StateVariable:
    """``$value`` and ``$item``, which items set; unset, what the caller gave."""

    name: str

    def put(self, out: list[str], state: State) -> None:
        """Append the value."""
        out.append(state.value if self.name == "value" else state.item)


@dataclass(frozen=True, slots=True)
class Numbered:
    """``$1``."""

    number: int

    def put(self, out: list[str], state: State) -> None:
        """Append the value; a number that is not set, or is told by the caller, likewise."""
        if self.number < len(state.numbered):
            out.append(state.numbered[self.number])
        elif not state.numbered:
            value = state.values.get(str(self.number), "")
            out.append(value if isinstance(value, str) else value())


@dataclass(frozen=True, slots=True)
class YesNo:
    """The strings behind a condition: yes, no, or the word ``fail``; what stands for a missing yes."""

    type: str
    yes: Nodes | None
    no: Nodes | None
    fail: bool
    implicit: str = ""
    """``true`` for ``${if``; empty where a missing yes means ``$value``."""

    def put(self, out: list[str], state: State, holds: bool) -> None:
        """Append the branch that *holds* chooses; raises ForcedFailure for ``fail``."""
        if holds:
            if self.yes is None:
                out.append(self.implicit or state.value)
            else:
                out.append(evaluate(self.yes, state))
        elif self.fail:
            raise ForcedFailure(f'"{self.type}" failed and "fail" requested')
        elif self.no is not None:
            out.append(evaluate(self.no, state))


@dataclass(frozen=True, slots=True)
class Header:
    """``$h_subject:`` and its kin; the letter in front says how much is decoded."""

    name: str
    form: str = field(default="h")

    def put(self, out: list[str], state: State) -> None:
        """Append the header's text; nothing for a header that is missing."""
        from smarthostd.expand.header_text import find_header

        out.append(find_header(state.values, self.name, self.form) or "")
