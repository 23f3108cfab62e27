"""Time as a fixture."""

from __future__ import annotations


class HeldClock:
    """A clock that moves only when it is told to."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.time = start

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def pass_(self, seconds: float) -> None:
        self.time += seconds
