"""Text that another process writes, line by line, and waiting for what it will say without polling."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable

PATIENCE = 30.0
"""Seconds after which a line that was waited for will not come."""


class Unsaid(Exception):
    """A line that was waited for did not come; the text holds all that did."""


class Lines:
    """Collects the lines of a stream, read by a thread until its end; each but the last has its newline removed."""

    def __init__(self, stream: Iterable[str], name: str) -> None:
        self._name = name
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, args=(stream,), daemon=True, name=f"lines of {name}")
        self._reader.start()

    def _read(self, stream: Iterable[str]) -> None:
        for line in stream:
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def __call__(self) -> list[str]:
        """Return the lines so far."""
        with self._news:
            return list(self._lines)

    def matching(self, pattern: str) -> list[re.Match[str]]:
        """Return the matches of *pattern* (searched) in the lines so far."""
        return [match for line in self() if (match := re.search(pattern, line))]

    def wait_for(self, pattern: str, count: int = 1, patience: float = PATIENCE) -> list[re.Match[str]]:
        """Return the matches of *pattern* once there are *count*; raise Unsaid when they do not come."""
        found: list[re.Match[str]] = []

        def enough() -> bool:
            found[:] = self.matching(pattern)
            return len(found) >= count

        self.wait_until(enough, f"{count} lines like {pattern!r}", patience)
        return found

    def wait_until(self, true: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Wait until *true*, asked at each new line, says so; raise Unsaid, with all the lines, when it does not."""
        with self._news:
            satisfied = self._news.wait_for(lambda: self._ended or true(), patience)
        if not satisfied or not true():
            ending = "it ended" if self._ended else f"nothing more in {patience} s"
            text = "\n".join(self())
            raise Unsaid(f"{self._name}: waited for {what}, but {ending}; it said:\n{text}")

    def finish(self) -> None:
        """Wait for the end of the stream, which its writer's end brings."""
        self._reader.join(PATIENCE)
