"""From text to a tree: Exim's expansion syntax, with Exim's texts for what is wrong (exim.md 5).

The parser walks the text once, from left to right, as Exim's evaluator does; items and conditions are
found by name in the tables of ``items.py``, ``operators.py`` and ``conditions.py``, which parse their own arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn, TypeVar

from smarthostd.errors import ExpansionError
from smarthostd.expand.nodes import (
    DEPTH_LIMIT,
    Header,
    Literal,
    Node,
    Nodes,
    Numbered,
    StateVariable,
    Variable,
    YesNo,
)
from smarthostd.expand.variables import Variables

T = TypeVar("T")

SPACE = " \t\n\v\f\r"
_PLAIN = re.compile(r"[^\\$}]+")
_PLAIN_TOP = re.compile(r"[^\\$]+")
_NAME = re.compile(r"[A-Za-z0-9_]*", re.ASCII)
_ITEM_NAME = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_HEADER = re.compile(r"(?:([rbl]?)h|([rbl]?)header)_", re.ASCII)
_HEADER_NAME = re.compile(r"[^:\x00-\x20]*")
_ESCAPE = re.compile(r"x([0-9A-Fa-f]{0,2})|([0-7]{1,3})|(.)", re.DOTALL)
_NAMED_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v"}
BAD_HEADER = "missing or misplaced { or } - could be header name not terminated by colon"


def char_of(octet: int) -> str:
    """Return the character that stands for one octet in our texts: ASCII, or a surrogate escape."""
    return bytes([octet]).decode("utf-8", "surrogateescape")


class Parser:
    """Reads one string; ``at`` is how far it has come."""

    def __init__(self, text: str, variables: Variables) -> None:
        self.text = text
        self.at = 0
        self._variables = variables
        self._bad_header = False
        self._depth = 0

    def parse(self) -> Nodes:
        """Return the tree of the whole string; raises ExpansionError."""
        return self._sequence(inside=False)

    # -- sequences

    def _sequence(self, *, inside: bool, dollar: bool = True) -> Nodes:
        """Read text and items up to the end, or *inside* braces up to the closing one, which is left."""
        nodes: list[Node] = []
        literal: list[str] = []
        plain = _PLAIN if inside else _PLAIN_TOP
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "\\":
                literal.append(self._escape())
            elif char == "$" and dollar:
                node = self._dollar()
                if node is not None:
                    if literal:
                        nodes.append(Literal("".join(literal)))
                        literal = []
                    nodes.append(node)
            elif char == "}" and inside:
                break
            else:
                match = plain.match(self.text, self.at)
                piece = match[0] if match else char
                literal.append(piece)
                self.at += len(piece)
        else:
            if inside:
                hint = " - could be header name not terminated by colon" if self._bad_header else ""
                raise ExpansionError(f"missing }} at end of string{hint}")
        if literal:
            nodes.append(Literal("".join(literal)))
        return tuple(nodes)

    def _escape(self) -> str:
        text, at = self.text, self.at + 1
        if at >= len(text):
            raise ExpansionError("\\ at end of string")
        if text[at] == "N":
            end = text.find("\\N", at + 1)
            literal = text[at + 1 :] if end < 0 else text[at + 1 : end]
            self.at = len(text) if end < 0 else end + 2
            return literal
        match = _ESCAPE.match(text, at)
        assert match is not None, "any character can be escaped"
        self.at = match.end()
        hexadecimal, octal, char = match.groups()
        if char is not None:
            return _NAMED_ESCAPES.get(char, char)
        number = int(octal, 8) if octal is not None else int(hexadecimal or "0", 16)
        return char_of(number & 0xFF)

    # -- what a dollar begins

    def _dollar(self) -> Node | None:
        self.at += 1
        char = self.peek()
        if char.isascii() and char.isalpha():
            return self._bare_variable()
        if char.isascii() and char.isdigit():
            return Numbered(int(self._read(_DIGITS)))
        if char != "{":
            raise ExpansionError("$ not followed by letter, digit, or {")
        self.at += 1
        char = self.peek()
        if char.isascii() and char.isdigit():
            number = int(self._read(_DIGITS))
            if self.peek() != "}":
                raise ExpansionError("} expected after number")
            self.at += 1
            return Numbered(number)
        if not (char.isascii() and char.isalpha()):
            raise ExpansionError("letter or digit expected after ${")
        return self._braced()

    def _bare_variable(self) -> Node:
        name = self._read(_NAME)
        header = _HEADER.match(name)
        if header:
            self.at -= len(name) - header.end()
            return self.header(header)
        node = self.variable(name)
        if node is None:
            raise ExpansionError(f'unknown variable name "{name}"')
        return node

    def header(self, prefix: re.Match[str]) -> Header:
        """Read a header's name behind its *prefix*, up to and with the colon."""
        name = self._read(_HEADER_NAME)
        if self.peek() == ":":
            self.at += 1
        self._bad_header = self._bad_header or "}" in name
        return Header(name, (prefix[1] or prefix[2]) or "h")

    def variable(self, name: str) -> Node | None:
        """Return the node for the variable *name*, or None where there is no such variable."""
        if name in ("value", "item"):
            return StateVariable(name)
        default = self._variables.find(name)
        return None if default is None else Variable(name, default)

    def _braced(self) -> Node:
        from smarthostd.expand.items import ITEMS
        from smarthostd.expand.operators import find_operator

        start = self.at
        name = self._read(_ITEM_NAME)
        item = ITEMS.get(name)
        if item is not None:
            return self.nested(lambda: item(self, name))
        if self.peek() == ":":
            self.at += 1
            argument = self.nested(lambda: self._sequence(inside=True))
            self.at += 1
            return find_operator(name)(argument)
        if self.peek() == "}":
            self.at += 1
            node = self.variable(name)
            if node is None:
                raise ExpansionError(f'unknown variable in "${{{name}}}"')
            return node
        self.at = start
        raise ExpansionError(f'"${{{name}" is not a known operator (or a }} is missing in a variable reference)')

    def nested(self, parse: Callable[[], T]) -> T:
        """Go one level down; a string that is nested without end is an error, not a stack overflow."""
        if self._depth >= DEPTH_LIMIT:
            raise ExpansionError("expansions nested too deeply")
        self._depth += 1
        try:
            return parse()
        finally:
            self._depth -= 1

    # -- what items use

    def peek(self) -> str:
        """Return the next character, or nothing at the end."""
        return self.text[self.at : self.at + 1]

    def skip_space(self) -> str:
        """Go over white space; return the next character."""
        while self.at < len(self.text) and self.text[self.at] in SPACE:
            self.at += 1
        return self.peek()

    def _read(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        text = match[0] if match else ""
        self.at += len(text)
        return text

    def read_name(self) -> str:
        """Read letters, digits and underscores."""
        return self._read(_NAME)

    def argument(self, missing: str, unclosed: str = "", *, dollar: bool = True) -> Nodes:
        """Read ``{text}``; *missing* and *unclosed* are the errors for its braces."""
        if self.skip_space() != "{":
            self.curly(missing)
        self.at += 1
        nodes = self.nested(lambda: self._sequence(inside=True, dollar=dollar))
        if self.peek() != "}":
            self.curly(unclosed)
        self.at += 1
        return nodes

    def arguments(self, name: str, least: int, most: int) -> list[Nodes]:
        """Read *least* to *most* arguments and the closing brace."""
        found: list[Nodes] = []
        while len(found) < most:
            if self.skip_space() != "{":
                if len(found) < least:
                    raise ExpansionError(f"Not enough arguments for '{name}' (min is {least})")
                break
            found.append(self.argument(""))
        if self.skip_space() != "}":
            if self.peek() == "{":
                raise ExpansionError(f"Too many arguments for '{name}' (max is {most})")
            self.curly("")
        self.at += 1
        return found

    def closing(self, message: str) -> None:
        """Read the closing brace of an item."""
        if self.skip_space() != "}":
            raise ExpansionError(message)
        self.at += 1

    def curly(self, message: str) -> NoReturn:
        """Raise the error for a brace that is not where it should be."""
        raise ExpansionError(BAD_HEADER if self._bad_header else message or "missing or misplaced { or }")

    def yes_no(self, type_: str, implicit: str = "") -> YesNo:
        """Read ``{yes}{no}``, ``{yes}fail`` or nothing, and the closing brace."""
        if self.skip_space() == "}":
            self.at += 1
            return YesNo(type_, None, None, False, implicit)
        if self.peek() != "{":
            self._conditional("'yes' part did not start with '{'")
        yes = self.argument("")
        no: Nodes | None = None
        fail = False
        if self.skip_space() == "{":
            no = self.argument("")
        elif self.peek() != "}":
            fail = self.read_name() == "fail"
            if not fail:
                raise ExpansionError(f'syntax error in "{type_}" item - "fail" expected')
        if self.skip_space() != "}":
            self._conditional("did not close with '}'")
        self.at += 1
        return YesNo(type_, yes, no, fail, implicit)

    def _conditional(self, where: str) -> NoReturn:
        rest = self.text[self.at :]
        self.curly(f"curly-bracket problem in conditional yes/no parsing: {where}\n remaining string is '{rest}'")
