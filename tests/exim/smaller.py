"""A smaller text that still makes the difference: what nobody needs to read is left out (delta debugging)."""

from __future__ import annotations

from collections.abc import Callable

TRIES = 400
"""Questions that one difference may cost."""


def smallest(text: str, differs: Callable[[str], bool]) -> str:
    """Return *text* with as much left out as can be while it *differs*; pieces of half its length first, then less."""
    tries = 0
    size = max(1, len(text) // 2)
    while True:
        at = 0
        shrunk = False
        while at < len(text) and tries < TRIES:
            shorter = text[:at] + text[at + size :]
            tries += 1
            if differs(shorter):
                text, shrunk = shorter, True
            else:
                at += size
        if tries >= TRIES or (size == 1 and not shrunk):
            return text
        size = max(1, size // 2)
