"""From text to a tree: Exim's expansion syntax, with Exim's texts for what is wrong (exim.md 5).

The parser walks the text once, from left to right, as Exim's evaluator does; items and conditions are
found by name in the tables of ``items.py``, ``operators.py`` and ``conditions.py``, which read their own arguments.

Reading never raises. The first mistake is kept in ``mistake`` and ends the text: what is read behind it comes
out as ``BROKEN``, so that the tree stands up to the mistake and nothing behind it is ever evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from smarthostd.expand.nodes import (
    BROKEN,
    Broken,
    ItemVariable,
    Literal,
    Misread,
    Node,
    Nodes,
    Numbered,
    ValueVariable,
    Variable,
    YesNo,
)
from smarthostd.expand.octets import text_of
from smarthostd.expand.variables import Variables

SPACE = " \t\n\v\f\r"
HEADER = re.compile(r"([rbl]?)h(?:eader)?_", re.ASCII)
BAD_HEADER = "could be header name not terminated by colon"
_PLAIN = re.compile(r"[^\\$}]+")
_PLAIN_TOP = re.compile(r"[^\\$]+")
_PLAIN_QUIET = re.compile(r"[^\\}]+")
_NAME = re.compile(r"[A-Za-z0-9_]*")
_ITEM_NAME = re.compile(r"[A-Za-z0-9_-]*")
_DIGITS = re.compile(r"[0-9]+")
_HEADER_NAME = re.compile(r"[^\x00-\x20:\x7f]*")
_ESCAPE = re.compile(r"x([0-9A-Fa-f]{0,2})|([0-7]{1,3})|(.)", re.DOTALL)
_NAMED_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v"}


class Parser:
    """Reads one string; ``at`` is how far it has come."""

    def __init__(self, text: str, variables: Variables, depth_limit: int) -> None:
        self.text = text
        self.at = 0
        self.mistake = ""
        """The first thing that is wrong, in Exim's words; empty while nothing is."""
        self.complaint = ""
        """The same, or what Exim would only find wrong if it came to it."""
        self.deepest = 0
        """How many levels the tree goes down."""
        self._variables = variables
        self._depth_limit = depth_limit
        self._depth = 0
        self._bad_header = False
        self._read_before: dict[int, tuple[Nodes, int, str]] = {}
        """Arguments by where they begin, so that reading in two ways does not read them twice."""

    def parse(self) -> Nodes:
        """Return the tree of the whole string."""
        return self._sequence(inside=False)

    # -- mistakes

    def fail(self, mistake: str) -> None:
        """Note the first mistake and give up the rest of the text."""
        self.mistake = self.mistake or mistake
        self.complain(mistake)
        self.at = len(self.text)

    def fail_if(self, mistake: str) -> None:
        """Fail with *mistake*, unless it is empty."""
        if mistake:
            self.fail(mistake)

    def complain(self, mistake: str) -> None:
        """Note what is wrong but does not end the reading."""
        self.complaint = self.complaint or mistake

    def complain_if(self, mistake: str) -> None:
        """Complain of *mistake*, unless it is empty."""
        if mistake:
            self.complain(mistake)

    def mark(self) -> tuple[int, str, str]:
        """Return where the parser is, for :meth:`go_back`."""
        return self.at, self.mistake, self.complaint

    def go_back(self, mark: tuple[int, str, str]) -> None:
        """Go back to *mark*, to read what follows in another way."""
        self.at, self.mistake, self.complaint = mark

    def fail_brace(self, mistake: str) -> None:
        """Fail for a brace that is not where it should be: a header's name may have swallowed it."""
        self.fail(f"missing or misplaced {{ or }} - {BAD_HEADER}" if self._bad_header else mistake)

    @contextmanager
    def inside(self, place: str) -> Iterator[None]:
        """Say of a mistake that is met in here where it is: ``inside "map" item``."""
        earlier = self.mistake
        yield
        if self.mistake and not earlier:
            self.mistake += f" inside {place}"
            self.complaint = self.mistake

    def sealed(self, nodes: Nodes) -> Nodes:
        """Return *nodes*, their evaluation ending in the mistake if there has been one since they were read."""
        return (*nodes, BROKEN) if self.mistake else nodes

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Go down one level; a text that goes down without end is an error, not a stack overflow."""
        self._depth += 1
        self.deepest = max(self.deepest, self._depth)
        if self._depth > self._depth_limit:
            self.fail("expansions nested too deeply")
        yield
        self._depth -= 1

    # -- sequences

    def _sequence(self, *, inside: bool, dollar: bool = True) -> Nodes:
        """Read text and items up to the end, or *inside* braces up to the closing one, which is left."""
        nodes: list[Node] = []
        literal: list[str] = []
        plain = (_PLAIN if dollar else _PLAIN_QUIET) if inside else _PLAIN_TOP
        with self.deeper():
            while (char := self.peek()) and not (inside and char == "}"):
                if char == "\\":
                    literal.append(self._escape())
                elif char == "$" and dollar:
                    _flush(literal, nodes)
                    nodes.append(self._dollar())
                else:
                    literal.append(self._read(plain) or self._one())
            if inside and not char:
                self.fail("missing } at end of string" + (f" - {BAD_HEADER}" if self._bad_header else ""))
        _flush(literal, nodes)
        return self.sealed(tuple(nodes))

    def _one(self) -> str:
        self.at += 1
        return self.text[self.at - 1]

    def _escape(self) -> str:
        text, at = self.text, self.at + 1
        if at >= len(text):
            self.fail("\\ at end of string")
            return ""
        if text[at] == "N":
            end = text.find("\\N", at + 1)
            self.at = len(text) if end < 0 else end + 2
            return text[at + 1 :] if end < 0 else text[at + 1 : end]
        match = _ESCAPE.match(text, at)
        assert match is not None, "any character can be escaped"
        self.at = match.end()
        hexadecimal, octal, char = match.groups()
        if char is not None:
            return _NAMED_ESCAPES.get(char, char)
        return text_of(bytes([int(octal, 8) & 0xFF if octal is not None else int(hexadecimal or "0", 16)]))

    # -- what a dollar begins

    def _dollar(self) -> Node:
        self.at += 1
        char = self.peek()
        if _is_letter(char):
            return self._bare_variable()
        if _is_digit(char):
            return self._number()
        if char != "{":
            self.fail("$ not followed by letter, digit, or {")
            return BROKEN
        self.at += 1
        char = self.peek()
        if _is_digit(char):
            node = self._number()
            self.expect("}", "} expected after number")
            return node
        if not _is_letter(char):
            self.fail("letter or digit expected after ${")
            return BROKEN
        return self._braced()

    def _number(self) -> Node:
        return Numbered(int(self._read(_DIGITS)[:9]))

    def _bare_variable(self) -> Node:
        name = self._read(_NAME)
        header = HEADER.match(name)
        if header:
            self.at -= len(name) - header.end()
            return self.header(header)
        return self.variable(name) or self._unknown(f'unknown variable name "{name}"', name)

    def header(self, prefix: re.Match[str]) -> Node:
        """Read a header's name behind its *prefix*, up to and with the colon."""
        from smarthostd.expand.header_text import Header

        name = self._read(_HEADER_NAME)
        if self.peek() == ":":
            self.at += 1
        self._bad_header = self._bad_header or "}" in name
        return Header(name, prefix[1] or "h")

    def variable(self, name: str) -> Node | None:
        """Return the node for the variable *name*, or None where there is no such variable."""
        if name in ("value", "item"):
            return ValueVariable() if name == "value" else ItemVariable()
        default = self._variables.find(name)
        return None if default is None else Variable(name, default)

    def _unknown(self, mistake: str, name: str) -> Node:
        self.fail(mistake + explained(name))
        return BROKEN

    def _braced(self) -> Node:
        from smarthostd.expand.items import ITEMS
        from smarthostd.expand.operators import find_operator, unknown

        name = self._read(_ITEM_NAME)
        item = ITEMS.get(name)
        if item is not None:
            return item(self, name)
        if self.peek() == ":":
            self.at += 1
            argument = self._sequence(inside=True)
            self.at += 1
            operator = find_operator(name)
            if operator is None or self.mistake:
                self.fail(unknown(name))
                return Broken(argument)
            return operator(argument)
        if self.peek() == "}":
            self.at += 1
            return self.variable(name) or self._unknown(f'unknown variable in "${{{name}}}"', name)
        self.fail(f'"${{{name}" is not a known operator (or a }} is missing in a variable reference)')
        return BROKEN

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

    def expect(self, char: str, missing: str) -> bool:
        """Go over *char*, or fail with *missing*; return whether it was there."""
        if self.peek() != char:
            self.fail(missing)
            return False
        self.at += 1
        return True

    def argument(self, missing: str, unclosed: str = "missing or misplaced { or }", *, dollar: bool = True) -> Nodes:
        """Read ``{text}`` behind white space; *missing* and *unclosed* are the mistakes for its braces."""
        if self.skip_space() != "{":
            self.fail_brace(missing)
            return (BROKEN,)
        self.at += 1
        nodes = self._contents(dollar=dollar)
        if self.peek() != "}":
            self.fail_brace(unclosed)
        self.at += 1
        return self.sealed(nodes)

    def _contents(self, *, dollar: bool) -> Nodes:
        start = self.at
        known = self._read_before.get(start)
        if known is not None:
            nodes, self.at, mistake = known
            self.fail_if(mistake)
            return nodes
        nodes = self._sequence(inside=True, dollar=dollar)
        self._read_before[start] = nodes, self.at, self.mistake
        return nodes

    def arguments(self, name: str, least: int, most: int) -> list[Nodes]:
        """Read *least* to *most* arguments and the closing brace."""
        found: list[Nodes] = []
        while len(found) < most:
            if self.skip_space() != "{" and len(found) >= least:
                break
            found.append(self.argument(f"Not enough arguments for '{name}' (min is {least})"))
        if self.skip_space() == "{":
            self.fail(f"Too many arguments for '{name}' (max is {most})")
        elif self.peek() != "}":
            self.fail_brace(f"missing '}}' after '{name}'")
        self.at += 1
        return [*found[:-1], self.sealed(found[-1])]

    def yes_no(self, type_: str, implicit: str | None = None) -> YesNo:
        """Read ``{yes}{no}``, ``{yes}fail`` or nothing, and the closing brace."""
        if self.skip_space() == "}":
            self.at += 1
            return YesNo(type_, None, None, False, implicit)
        if self.peek() != "{":
            self._fail_yes_no("'yes' part did not start with '{'")
        yes = self.argument("")
        no: Nodes | None = None
        fail = False
        if self.skip_space() == "{":
            no = self.argument("")
        elif self.peek() != "}":
            fail = self.read_name() == "fail"
            if not fail:
                self.fail(f'syntax error in "{type_}" item - "fail" expected')
        if self.skip_space() != "}":
            if fail:  # Exim says where only if it comes to the word
                no, fail = (Misread(BROKEN, self._misplaced("did not close with '}' after forcedfail")),), False
            self._fail_yes_no("did not close with '}'")
        self.at += 1
        if self.mistake and no is None:
            no = (BROKEN,)
        return YesNo(type_, yes, no, fail, implicit)

    def _fail_yes_no(self, where: str) -> None:
        self.fail_brace(self._misplaced(where))

    def _misplaced(self, where: str) -> str:
        rest = self.text[self.at :]
        return f"curly-bracket problem in conditional yes/no parsing: {where}\n remaining string is '{rest}'"


def explained(name: str) -> str:
    """Return what Exim adds for an unknown variable whose name looks like an ACL variable's."""
    if not name.startswith("acl_"):
        return ""
    if name[4:5] in ("c", "m"):
        return " (6th character of a user-defined ACL variable must be a digit or underscore)"
    return " (user-defined ACL variables must start acl_c or acl_m)"


def _flush(literal: list[str], nodes: list[Node]) -> None:
    """Make one node of the text read so far."""
    text = "".join(literal)
    literal.clear()
    if text:
        nodes.append(Literal(text))


def _is_letter(char: str) -> bool:
    return char.isascii() and char.isalpha()


def _is_digit(char: str) -> bool:
    return char.isascii() and char.isdigit()
