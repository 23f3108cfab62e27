"""A smaller text that still makes the difference: what nobody needs to read is left out (delta debugging)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

ROUNDS = 60
"""Times that one difference may ask; each asks about every piece that could be left out."""


def smallest(text: str, first_that_differs: Callable[[Sequence[str]], str | None]) -> str:
    """Return *text* with as much left out as can be while it differs; pieces of half its length first, then less."""
    size = max(1, len(text) // 2)
    for _ in range(ROUNDS):
        shorter = first_that_differs(list(_without_one(text, size)))
        if shorter is not None:
            text = shorter
        elif size > 1:
            size //= 2
        else:
            break
    return text


def _without_one(text: str, size: int) -> Iterator[str]:
    for at in range(0, len(text), size):
        yield text[:at] + text[at + size :]
