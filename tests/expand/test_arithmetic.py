"""``${eval:…}``, as Exim 4.96 answered."""

from __future__ import annotations

import pytest

from smarthostd.errors import ExpansionError
from smarthostd.expand.arithmetic import evaluate_expression, integer

VALUES = {
    "1+2*3": 7, "(1+2)*3": 9, "7 & 3 | 8 ^ 2": 11, "1<<4>>2": 4, "-7/2": -3, "-7%3": -1, "~0": -1, "--2": 2, "+3": 3,
    "0x1F": 31, "010": 8, "0x": 0, "1k": 1024, "2M+1": 2097153, "1G": 1 << 30, " 5 ": 5, "1<<70": 64,
    "9223372036854775807": 9223372036854775807, "9223372036854775808": 9223372036854775807,
    "4611686018427387903*3": -4611686018427387907,
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), VALUES.items())
def test_an_expression_is(text: str, value: int) -> None:
    assert evaluate_expression(text) == value


def test_eval10_knows_decimal_numbers_only() -> None:
    assert evaluate_expression("010", decimal=True) == 10


ERRORS = {
    "": 'expecting number or opening parenthesis (after processing "")',
    "1+": 'expecting number or opening parenthesis (after processing "1+")',
    "1 2": 'expecting operator (after processing "1 ")',
    "08": 'expecting operator (after processing "0")',
    "0xz": 'expecting operator (after processing "0x")',
    "(1": 'expecting closing parenthesis (after processing "(1")',
    "1/0": 'divide by zero (after processing "1/0")',
    "1%0": 'modulo by zero (after processing "1%0")',
    "2**3": 'expecting number or opening parenthesis (after processing "2*")',
    "9223372036854775807+1": 'overflow in sum (after processing "9223372036854775807+1")',
    "\xa01": 'expecting number or opening parenthesis (after processing "")',
}


@pytest.mark.parametrize(("text", "mistake"), ERRORS.items())
def test_an_expression_fails_with(text: str, mistake: str) -> None:
    with pytest.raises(ExpansionError) as caught:
        evaluate_expression(text)
    assert str(caught.value) == f"error in expression evaluation: {mistake}"


@pytest.mark.parametrize(("text", "value"), [("", 0), (" -1 ", -1), ("+2k", 2048), ("1G", 1 << 30)])
def test_a_number_to_compare_is(text: str, value: int) -> None:
    assert integer(text) == value
