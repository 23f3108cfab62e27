"""When a sender is told that a message waits: Exim's ``delay_warning``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

HOURS_FROM = timedelta(hours=2)
"""From this age on, Exim tells it in hours."""


def warnings_due(ages: Sequence[timedelta], age: timedelta) -> tuple[int, timedelta]:
    """Return how many warnings a message of *age* should have had, and the age that the last of them tells.

    *ages* rise; behind the last one its gap to the one before is repeated.
    """
    count = sum(age >= one for one in ages)
    if count == 0:
        return 0, timedelta(0)
    told = ages[count - 1]
    if count == len(ages):
        gap = ages[-1] - ages[-2] if count > 1 else ages[-1]
        more = (age - told) // gap
        return count + more, told + more * gap
    return count, told


def in_words(told: timedelta, age: timedelta) -> str:
    """Return *told* as the warning says it, for a message of *age*."""
    if age < HOURS_FROM:
        return f"{told // timedelta(minutes=1)} minutes"
    return f"{told // timedelta(hours=1)} hours"
