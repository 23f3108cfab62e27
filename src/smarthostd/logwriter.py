"""Where log lines go: a file (opened again on SIGHUP, for logrotate), or standard error for journald.

Lines of one turn of the event loop are written together. A line that cannot be written (full disk) is
counted and dropped: the log must never stop the mail; the count is written as soon as lines go again.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from smarthostd.errors import ConfigurationError

PENDING_LIMIT = 10_000
"""Lines that wait for the end of the turn before they are written at once."""


class LogWriter:
    """Appends lines to one or more descriptors."""

    def __init__(self, paths: list[Path], *, stderr: bool) -> None:
        self._paths = paths
        self._stderr = stderr
        self._descriptors: list[int] = []
        self._pending: list[str] = []
        self._scheduled = False
        self._lost = 0
        self.reopen()

    @staticmethod
    def from_option(log_file_path: str, spool_directory: str) -> LogWriter:
        """Return a writer for Exim's ``log_file_path``: items ``stderr``, ``syslog`` or a path with ``%s``.

        An empty option means Exim's default, ``log/%slog`` below the spool directory; syslog is
        reached through standard error, which journald passes on.
        """
        paths, stderr = [], False
        items = [item.strip() for item in log_file_path.split(":") if item.strip()]
        for item in items or [f"{spool_directory}/log/%slog"]:
            if item in ("stderr", "syslog"):
                stderr = True
            else:
                paths.append(Path(item.replace("%s", "main")))
        return LogWriter(paths, stderr=stderr)

    def reopen(self) -> None:
        """Open the files by their names again; raises ConfigurationError where one cannot be opened."""
        opened = [self._open(path) for path in self._paths]
        self.flush()
        self._close()
        self._descriptors = [*opened, *([2] if self._stderr else [])]

    @staticmethod
    def _open(path: Path) -> int:
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            text = (
                f"cannot write the log {path}: {error.strerror}; give log_file_path a place that smarthostd may write"
            )
            raise ConfigurationError(text) from error

    def write(self, line: str) -> None:
        """Take one line; it is written at the end of this turn of the event loop, or at once without one."""
        self._pending.append(line)
        if self._scheduled and len(self._pending) < PENDING_LIMIT:
            return
        try:
            asyncio.get_running_loop().call_soon(self.flush)
            self._scheduled = True
        except RuntimeError:
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        self._scheduled = False
        if not self._pending:
            return
        if self._lost:
            self._pending.append(f"{self._lost} log lines could not be written")
        lines, self._pending = self._pending, []
        octets = ("\n".join(lines) + "\n").encode("utf-8", "replace")
        try:
            for descriptor in self._descriptors:
                os.write(descriptor, octets)
            self._lost = 0
        except OSError:
            self._lost += len(lines)

    def close(self) -> None:
        """Write what is pending, and close."""
        self.flush()
        self._close()

    def _close(self) -> None:
        for descriptor in self._descriptors:
            if descriptor > 2:
                os.close(descriptor)
        self._descriptors = []
