"""Small texts, at their limits."""

from __future__ import annotations

import pytest

from smarthostd.syntax import parse_size, parse_time, whole


@pytest.mark.parametrize("read", [parse_time, parse_size])
@pytest.mark.parametrize("digits", [100, 5000])
def test_a_number_without_end_is_none(read: object, digits: int) -> None:
    """A command line or a configuration may hold one; it is a mistake in a sentence, not a trace."""
    assert callable(read)
    assert read("9" * digits + ("s" if read is parse_time else "x")) is None


def test_octets_that_are_no_text_are_written_out_and_all_else_stays() -> None:
    assert whole("caf\udce9 caf\u00e9\n") == "caf\\351 caf\u00e9\n"
