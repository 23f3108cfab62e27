"""64-bit integers: what a comparison reads, and ``${eval:…}`` with C's operators and their precedence."""

from __future__ import annotations

import re
from collections.abc import Callable

from smarthostd.errors import ExpansionError

LIMIT = 1 << 63
_COMPARED = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)([kKmMgG]?)([ \t\n\v\f\r]*\Z)?")
_LITERAL = re.compile(r"0[xX]([0-9a-fA-F]*)|(0[0-7]*)|([0-9]+)")
_DECIMAL = re.compile(r"(\0)?(\0)?([0-9]+)")
_DIGITS_LIMIT = 100
"""Digits that are read; a number of more is too large long before."""
_LEVELS: tuple[tuple[str, ...], ...] = (("|",), ("^",), ("&",), ("<<", ">>"), ("+", "-"), ("*", "/", "%"))
_SUFFIXES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SPACE = " \t\n\v\f\r"
DEPTH_LIMIT = 60
"""Parentheses and signs inside one another."""


def _wrapped(number: int) -> int:
    """Return *number* as a signed 64-bit integer would hold it."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _divide(left: int, right: int) -> int:
    """C's division: towards zero."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "|": lambda a, b: a | b, "^": lambda a, b: a ^ b, "&": lambda a, b: a & b,
    "<<": lambda a, b: a << (b & 63), ">>": lambda a, b: a >> (b & 63),
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b,
    "/": _divide, "%": lambda a, b: a - b * _divide(a, b),
}  # fmt: skip


_SUMS = {"+": "sum", "-": "difference"}


def _may_overflow(left: int, right: int) -> bool:
    """Return whether Exim gives up on a sum: it looks at the left side only when that is large, whatever is added."""
    half = (LIMIT - 1) // 2
    return left >= half or (left <= -half and right <= -half)


class _Evaluation:
    def __init__(self, text: str, decimal: bool) -> None:
        self.text = text
        self.at = 0
        self._decimal = decimal
        self._depth = 0

    def whole(self) -> int:
        number = self._level(0)
        if self.at < len(self.text):
            self.fail("expecting operator")
        return number

    def fail(self, why: str) -> None:
        done = self.text[: self.at]
        raise ExpansionError(f'error in expression evaluation: {why} (after processing "{done}")')

    def _space(self) -> str:
        while self.at < len(self.text) and self.text[self.at] in _SPACE:
            self.at += 1
        return self.text[self.at : self.at + 1]

    def _level(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._unary()
        left = self._level(level + 1)
        while operator := self._operator(_LEVELS[level]):
            right = self._level(level + 1)
            if right == 0 and operator in "/%":
                self.fail("divide by zero" if operator == "/" else "modulo by zero")
            if operator in _SUMS and _may_overflow(left, right):
                self.fail(f"overflow in {_SUMS[operator]}")
            left = _wrapped(_OPERATIONS[operator](left, right))
        return left

    def _operator(self, known: tuple[str, ...]) -> str:
        for operator in known:
            if self.text.startswith(operator, self.at):
                self.at += len(operator)
                return operator
        return ""

    def _unary(self) -> int:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            self.fail("nested too deeply")
        try:
            sign = self._space()
            if sign and sign in "+-~":
                self.at += 1
                number = self._unary()
                return {"+": number, "-": _wrapped(-number), "~": ~number}[sign]
            return self._number(sign)
        finally:
            self._depth -= 1

    def _number(self, char: str) -> int:
        if char == "(":
            self.at += 1
            number = self._level(0)
            if self.text[self.at : self.at + 1] != ")":
                self.fail("expecting closing parenthesis")
            self.at += 1
            self._space()
            return number
        if not (char.isascii() and char.isdigit()):
            self.fail("expecting number or opening parenthesis")
        number = self._literal()
        suffix = self.text[self.at : self.at + 1].lower()
        if suffix and suffix in _SUFFIXES:
            self.at += 1
            number *= _SUFFIXES[suffix]
        self._space()
        return _wrapped(number)

    def _literal(self) -> int:
        pattern = _DECIMAL if self._decimal else _LITERAL
        match = pattern.match(self.text, self.at)
        assert match is not None, "a digit begins a number"
        self.at = match.end()
        hexadecimal, octal, decimal = match.groups()
        digits, base = (hexadecimal, 16) if hexadecimal is not None else (octal, 8) if octal else (decimal, 10)
        return min(int(digits[:_DIGITS_LIMIT] or "0", base), LIMIT - 1)


def integer(text: str) -> int:
    """Return the number that a comparison reads in *text*; empty is 0. Raises ExpansionError."""
    text = text.lstrip(_SPACE)
    if not text:
        return 0
    match = _COMPARED.match(text)
    if match is None:
        raise ExpansionError(f'integer expected but "{text}" found')
    digits, suffix, end = match.groups()
    number = (LIMIT if len(digits) > 40 else int(digits)) * _SUFFIXES[suffix.lower()]
    if not -LIMIT <= number < LIMIT:
        raise ExpansionError(f'absolute value of integer "{text}" is too large (overflow)')
    if end is None:
        raise ExpansionError(f'invalid integer "{text}"')
    return number


def evaluate_expression(text: str, *, decimal: bool = False) -> int:
    """Return the value of *text*; with *decimal* a leading 0 means nothing. Raises ExpansionError."""
    return _Evaluation(text, decimal).whole()
