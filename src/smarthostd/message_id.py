"""Message ids in Exim's shape: ``1rJxYz-0001ab-2K``, 16 characters, 6-6-2 of base 62.

The first six count seconds since the epoch; where Exim has its process id we have a counter that
starts at random, so that two daemons, or one that came back with an old process id, do not meet;
the last two are the sub-second in units of 5 ms. eximstats and exigrep depend on the width.
"""

from __future__ import annotations

import re
import secrets

from smarthostd.clock import Clock

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_MIDDLE = 62**6
SHAPE = re.compile(r"[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}", re.ASCII)


def base62(number: int) -> str:
    """Return *number* in base 62, the last six digits of it."""
    rest, last = divmod(number, len(_PAIRS))
    first, middle = divmod(rest, len(_PAIRS))
    return f"{_PAIRS[first % len(_PAIRS)]}{_PAIRS[middle]}{_PAIRS[last]}"


class MessageIds:
    """Makes ids, never the same twice in one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = secrets.randbelow(_MIDDLE)
        self._second = -1
        self._first = ""

    def new(self) -> str:
        """Return the next id."""
        self._count = (self._count + 1) % _MIDDLE
        now = self._clock.now()
        second = int(now)
        if second != self._second:
            self._second, self._first = second, base62(second)
        return f"{self._first}-{base62(self._count)}-{_PAIRS[int(now % 1 * 200)]}"
