"""How many reports a minute may see."""

from __future__ import annotations

from smarthostd.clock import Clock

MINUTE = 60.0


class Budget:
    """Counts to a limit in each minute; 0 for no limit."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._began = clock.monotonic()
        self._taken = 0

    def take(self) -> bool:
        """Return whether there may be one more in this minute, and count it."""
        now = self._clock.monotonic()
        if now - self._began >= MINUTE:
            self._began, self._taken = now, 0
        self._taken += 1
        return not self._limit or self._taken <= self._limit
