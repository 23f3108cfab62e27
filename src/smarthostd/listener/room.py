"""Whether the spool's disk has room for new mail (``check_spool_space``).

A client is told before it sends a message, and what is left is kept for what must still be written of the mail that is
here. Exim asks at each MAIL, and so do we, but the disk not more than once a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from smarthostd.syntax import short_size

LOOKED_AT_EVERY = 1.0
"""Seconds for which an answer of the disk counts."""


class Room:
    """The room in *directory*, of which *wanted* octets are to stay free; 0: nobody looks."""

    def __init__(self, directory: str, wanted: int, tell: Callable[[str], None]) -> None:
        self._directory = directory
        self._wanted = wanted
        self._tell = tell
        self._looked, self._free, self._inodes = 0.0, 0, 0
        self._short = False

    def is_short(self, octets: int = 0) -> bool:
        """Return whether a message of so many octets would not leave as much free as is wanted."""
        if not self._wanted:
            return False
        now = time.monotonic()
        if not self._looked or now - self._looked >= LOOKED_AT_EVERY:
            self._looked = now
            self._look()
        return self._free < self._wanted + octets

    def complaint(self) -> str:
        """Return what is wrong, in one sentence; empty where there is room."""
        if not self.is_short():
            return ""
        free, wanted = short_size(self._free) or "nothing", short_size(self._wanted)
        return (
            f"no new mail is taken: the disk of {self._directory} has {free} left, and {wanted} are to stay free "
            "(check_spool_space); make room there"
        )

    def exims_complaint(self) -> str:
        """Return what Exim writes to its log."""
        return f"spool directory space check failed: space={self._free // 1024} inodes={self._inodes}"

    def _look(self) -> None:
        """Ask the disk; one that does not answer is left to those who write."""
        try:
            status = os.statvfs(self._directory)
        except OSError:
            self._free = self._wanted
        else:
            self._free, self._inodes = status.f_bavail * status.f_frsize, status.f_favail
        short = self._free < self._wanted
        if short != self._short:
            self._short = short
            self._tell(self.complaint() or f"the disk of {self._directory} has room again: new mail is taken")


NO_LIMIT = Room("", 0, lambda text: None)
"""There is always room."""
