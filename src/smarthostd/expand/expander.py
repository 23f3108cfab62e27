"""The expander: strings compiled once, expanded often."""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from smarthostd.errors import ExpansionDefer, ExpansionError
from smarthostd.expand.nodes import Literal, MistakeMet, Nodes, State, constant, evaluate
from smarthostd.expand.parser import Parser
from smarthostd.expand.variables import Variables
from smarthostd.facts import NO_VALUES, Facts, Values
from smarthostd.lists import Matcher
from smarthostd.lookups import Lookups


class Limits(Struct, frozen=True):
    """What one expansion may cost."""

    text: int = 1 << 18
    """Characters of a string to be expanded."""
    depth: int = 64
    """Braces, conditions and ``${expand:`` inside one another."""
    work: int = 1 << 24
    """Characters that one expansion may produce on its way, intermediate results included."""
    cache: int = 2048
    """Strings that are kept compiled."""
    cached_text: int = 1 << 13
    """Characters of a string that is kept; a longer one is parsed each time."""


class Template(Struct, frozen=True):
    """A string, compiled. *constant* is its text where nothing in it is expanded, else None."""

    text: str
    constant: str | None
    nodes: Nodes
    expander: Expander
    mistake: str = ""
    """What is wrong with the text; it is met in evaluation order, as in Exim."""
    complaint: str = ""
    """The same, or what is wrong only if evaluation comes to it."""
    depth: int = 0
    """Levels that the tree goes down."""

    def expand(self, values: Values = NO_VALUES) -> str:
        """Return the text with these variables; raises ForcedFailure, ExpansionDefer, ExpansionError."""
        if self.constant is not None:
            return self.constant
        return self.evaluate(State(self.expander, values, self.depth))

    def evaluate(self, state: State) -> str:
        """Return the text with the variables of *state*; raises as :meth:`expand` does."""
        try:
            return evaluate(self.nodes, state)
        except MistakeMet:
            raise ExpansionError(self.mistake) from None


def _is_plain(text: str) -> bool:
    return "$" not in text and "\\" not in text and "\0" not in text


class Expander:
    """Expands strings for one configuration."""

    def __init__(self, facts: Facts, lookups: Lookups, matcher: Matcher, limits: Limits = Limits()) -> None:
        self.facts = facts
        self.lookups = lookups
        self.matcher = matcher
        self.limits = limits
        self._cached = lru_cache(limits.cache)(self._parse)
        self._variables = Variables(facts)

    def parsed(self, text: str) -> Template:
        """Return the template of *text*, mistaken or not; raises ExpansionError only where *text* is too long."""
        return self._cached(text) if len(text) <= self.limits.cached_text else self._parse(text)

    def _parse(self, text: str) -> Template:
        if _is_plain(text):
            return Template(text, text, (Literal(text),), self)
        if len(text) > self.limits.text:
            raise ExpansionError(f"string is longer than {self.limits.text} characters")
        parser = Parser(text, self._variables, self.limits.depth)
        nodes = parser.parse()
        return Template(text, constant(nodes), nodes, self, parser.mistake, parser.complaint, parser.deepest)

    def compile(self, text: str) -> Template:
        """Return *text* compiled; raises ExpansionError with Exim's text for the first thing that is wrong."""
        template = self.parsed(text)
        if template.complaint:
            raise ExpansionError(template.complaint)
        return template

    def expand(self, text: str, values: Values = NO_VALUES) -> str:
        """Compile, or find compiled, and expand; what fails in front of a mistake in *text* fails first."""
        if _is_plain(text):
            return text
        return self.parsed(text).expand(values)

    @staticmethod
    def deferred(text: str) -> ExpansionDefer:
        """Return the error for what cannot be decided now."""
        return ExpansionDefer(text)
