"""Files and standard error, and what ``log_file_path`` says of them.

In a path ``%s`` stands for ``main``, ``reject`` or ``panic``, ``%D`` for the day (20240131) and ``%M`` for the month
(202401): with these a new file is begun at midnight. The reject and panic logs are made when something goes there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from smarthostd.errors import ConfigurationError
from smarthostd.logwriter.syslog import Syslog, SyslogOptions
from smarthostd.logwriter.writer import Destination
from smarthostd.spool.owner import give_away, open_to_append

Now = Callable[[], float]
MODE, FOLDER_MODE = 0o640, 0o750


def places(
    log_file_path: str, spool_directory: str, syslog: SyslogOptions, *, reject_log: bool = True
) -> list[Destination]:
    """Return what Exim's ``log_file_path`` names: items ``stderr``, ``syslog`` or a path with ``%s``.

    An empty option, or an empty item in it, means Exim's default, ``log/%slog`` below the spool directory.
    """
    found: list[Destination] = []
    for item in map(str.strip, log_file_path.split(":")):
        if item == "stderr":
            found.append(Stderr())
        elif item == "syslog":
            found.append(Syslog(syslog))
        else:
            pattern = item or f"{spool_directory}/log/%slog"
            found.append(File(pattern, reject_log=reject_log, like=Path(spool_directory)))
    return found


class Lost:
    """Counts lines that could not be written, and says so when they can be again."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, count: int) -> None:
        """So many could not be written."""
        self._count += count

    def told(self, lines: Sequence[str]) -> Sequence[str]:
        """Return *lines*, with a line about those that were lost in front of them."""
        if not self._count:
            return lines
        count, self._count = self._count, 0
        return [f"{count} log line{'s' * (count != 1)} could not be written", *lines]


class Stderr:
    """Standard error: under systemd, the journal. It is one stream, so the main log has it all."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._lost = Lost()

    def open(self) -> None:
        """It is open."""

    def write(self, log: str, lines: Sequence[str]) -> bool:
        """Write lines of the main log."""
        if log == "main":
            lines = self._lost.told(lines)
            try:
                _write(self._descriptor, lines)
            except OSError:
                self._lost.add(len(lines))
        return True

    def close(self) -> None:
        """It is not ours to close."""


class File:
    """Log files by one pattern."""

    def __init__(
        self, pattern: str, *, reject_log: bool = True, now: Now = time.time, like: Path | None = None
    ) -> None:
        """A directory that root makes for them belongs to the owner of *like*, a file to that of its directory."""
        self._pattern = pattern
        self._like = like
        self._logs = {"main", "panic", "reject"} if reject_log else {"main", "panic"}
        self._now = now
        self._dated = "%D" in pattern or "%M" in pattern
        self._open: dict[str, tuple[str, int]] = {}
        """Path and descriptor by log."""
        self._lost = Lost()

    def open(self) -> None:
        """Open the main log by its name; the others when something is written there. Raises ConfigurationError."""
        path = self._path("main")
        try:
            descriptor = self._append(path)
        except OSError as error:
            fix = "give log_file_path a place that smarthostd may write"
            raise ConfigurationError(f"cannot write the log {path}: {error.strerror}; {fix}") from error
        self.close()
        self._open["main"] = (path, descriptor)

    def write(self, log: str, lines: Sequence[str]) -> bool:
        """Append *lines*."""
        if log not in self._logs:
            return True
        if log == "main":
            lines = self._lost.told(lines)
        try:
            _write(self._descriptor(log), lines)
        except OSError:
            if log == "main":
                self._lost.add(len(lines))
        return True

    def close(self) -> None:
        """Close the files."""
        for _, descriptor in self._open.values():
            os.close(descriptor)
        self._open = {}

    def _append(self, path: str) -> int:
        folder = Path(path).parent
        if not folder.exists():
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            give_away(folder, like=self._like)
        return open_to_append(Path(path), MODE)

    def _path(self, log: str) -> str:
        path = self._pattern.replace("%s", log)
        if self._dated:
            today = time.strftime("%Y%m%d", time.localtime(self._now()))
            path = path.replace("%D", today).replace("%M", today[:6])
        return path

    def _descriptor(self, log: str) -> int:
        """Return the file, opened for today if need be; raises OSError."""
        path, descriptor = self._open.get(log, ("", -1))
        wanted = self._path(log) if self._dated or not path else path
        if path != wanted:
            opened = self._append(wanted)
            if path:
                os.close(descriptor)
            self._open[log] = (wanted, opened)
            return opened
        return descriptor


def _write(descriptor: int, lines: Sequence[str]) -> None:
    if not lines:
        return
    octets = memoryview(("\n".join(lines) + "\n").encode("utf-8", "replace"))
    while octets:
        octets = octets[os.write(descriptor, octets) :]
