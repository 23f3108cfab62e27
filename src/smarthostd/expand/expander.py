"""The expander: strings compiled once, expanded often."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from smarthostd.errors import ExpansionDefer, ExpansionError
from smarthostd.expand.nodes import Literal, Nodes, State, evaluate
from smarthostd.expand.parser import Parser
from smarthostd.expand.variables import Variables
from smarthostd.facts import NO_VALUES, Facts, Values
from smarthostd.lists import Matcher
from smarthostd.lookups import Lookups

TEXT_LIMIT = 1 << 18
"""Characters of one string to be expanded."""
CACHE_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Template:
    """A string, compiled. *constant* is its text where nothing in it is expanded, else None."""

    text: str
    nodes: Nodes
    constant: str | None
    expander: Expander

    def expand(self, values: Values = NO_VALUES) -> str:
        """Return the text with these variables; raises ForcedFailure, ExpansionDefer, ExpansionError."""
        if self.constant is not None:
            return self.constant
        return evaluate(self.nodes, State(self.expander, values))


class Expander:
    """Expands strings for one configuration."""

    def __init__(self, facts: Facts, lookups: Lookups, matcher: Matcher) -> None:
        self.facts = facts
        self.lookups = lookups
        self.matcher = matcher
        self._variables = Variables(facts)
        self.compile = lru_cache(CACHE_SIZE)(self._compile)

    def _compile(self, text: str) -> Template:
        """Return *text* compiled; raises ExpansionError with Exim's text for what is wrong."""
        if "$" not in text and "\\" not in text:
            return Template(text, (Literal(text),), text, self)
        if len(text) > TEXT_LIMIT:
            raise ExpansionError(f"string is longer than {TEXT_LIMIT} characters")
        return Template(text, Parser(text, self._variables).parse(), None, self)

    def expand(self, text: str, values: Values = NO_VALUES) -> str:
        """Compile, or find compiled, and expand."""
        if "$" not in text and "\\" not in text:
            return text
        return self.compile(text).expand(values)

    @staticmethod
    def deferred(text: str) -> ExpansionDefer:
        """Return the error for what cannot be decided now."""
        return ExpansionDefer(text)
