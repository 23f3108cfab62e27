"""What is remembered of addresses and domains that were put off, whichever message it was (exim.md 9.2).

Keys are Exim's: ``R:domain`` and ``R:address`` where no router could decide, ``R:address:<sender>`` after a 4xx to
RCPT, ``T:address`` for a mailbox. Hosts are not here (``health.py`` knows them), nor what failed for one message on
one host: its recipients' rows in the spool say that.

The spool keeps every hint; these are a copy for planning, and a bounded one. What falls out of it is forgotten, and
costs no more than that the next deferral counts as the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from msgspec import Struct

LIMIT = 10_000
"""Hints of addresses that are kept."""
HOST = "T:"
"""What stands in the spool in front of a destination's key (``health.py``)."""


class Hint(Struct, frozen=True):
    """What is known of a destination's, a domain's or an address's failures; times since the epoch."""

    first_failed: float
    last_try: float
    next_try: float
    expired: bool
    """The last cutoff of its retry rule has passed."""
    errno: int
    text: str
    error: str = ""
    """What retry rules call the error."""
    cause: str = ""
    """Of a hold (``outcome.Hold``); empty for what waits for a time."""
    fix: str = ""


class Hints:
    """The hints of addresses and domains."""

    def __init__(self, expire: timedelta = timedelta(days=7), limit: int = LIMIT) -> None:
        self._expire = expire.total_seconds()
        self._limit = limit
        self._hints: dict[str, Hint] = {}
        self._listeners: list[Callable[[str], None]] = []

    def restore(self, hints: Mapping[str, Hint]) -> None:
        """Take over what the spool has kept, the latest if it is too much."""
        latest = sorted(hints.items(), key=lambda item: item[1].last_try)[-self._limit :]
        self._hints = dict(latest)

    def __len__(self) -> int:
        return len(self._hints)

    def __contains__(self, key: str) -> bool:
        return key in self._hints

    def find(self, key: str, now: float) -> Hint | None:
        """Return what is known under *key*, unless that is too old to count (``retry_data_expire``)."""
        hint = self._hints.get(key)
        return hint if hint is not None and now - hint.last_try < self._expire else None

    def on_cleared(self, listener: Callable[[str], None]) -> None:
        """Call *listener* with each key that is cleared: what waits for it may go."""
        self._listeners.append(listener)

    def learn(self, changes: Mapping[str, Hint | None]) -> dict[str, Hint | None]:
        """Take *changes* over (None: it works again); return them, with what had to be forgotten for them."""
        forgotten: dict[str, Hint | None] = {}
        for key, hint in changes.items():
            known = self._hints.pop(key, None)
            if hint is not None:
                self._hints[key] = hint
            elif known is not None:
                for listener in self._listeners:
                    listener(key)
        while len(self._hints) > self._limit:
            oldest = next(iter(self._hints))
            del self._hints[oldest]
            forgotten[oldest] = None
        return {**forgotten, **changes}
