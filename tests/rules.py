"""Retry rules that say the same of everything."""

from __future__ import annotations

from math import inf

from smarthostd.retry import Subject, Tried


class Rules:
    """Again after *gap* seconds, until it has failed for longer than *lasts*; gone at once if *expired*."""

    def __init__(self, gap: float, lasts: float = inf) -> None:
        self._gap = gap
        self._lasts = lasts
        self.expired = False

    def next_try(self, subject: Subject, known: Tried, now: float) -> tuple[float, bool]:
        return now + self._gap, self.expired or now - known.first_failed > self._lasts

    def patience(self, subject: Subject) -> float:
        return self._lasts
