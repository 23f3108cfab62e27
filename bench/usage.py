"""What a relay costs: processor time and memory of all its processes.

Exim and Postfix work by short-lived processes, some of which nobody waits for, so what they used appears in no
parent's account. A control group counts them all. Making one takes root; without it the tree below one
process is summed up, which is exact for a relay that is a single process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Protocol

_GROUPS = Path("/sys/fs/cgroup")
_ENTER = 'echo $$ > "$1"; shift; exec "$@"'
_TICKS = os.sysconf("SC_CLK_TCK")
GLANCE = 0.25
"""Seconds between two looks at the memory."""


class Usage(Protocol):
    """The account of one relay."""

    def wrap(self, command: Sequence[str]) -> list[str]:
        """Return *command* such that its process, and all that come of it, are counted."""

    def started(self, pid: int) -> None:
        """Hear which process the command became."""

    def cpu(self) -> float:
        """Return the seconds of processor time used since the start."""

    def pids(self) -> list[int]:
        """Return the processes that run."""

    def close(self) -> None:
        """Give up the account; no process is left."""


class ControlGroup:
    """An account kept by the kernel, in a group of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def wrap(self, command: Sequence[str]) -> list[str]:
        """See ``Usage``."""
        return ["sh", "-c", _ENTER, "sh", str(self._folder / "cgroup.procs"), *command]

    def started(self, pid: int) -> None:
        """See ``Usage``."""

    def cpu(self) -> float:
        """See ``Usage``."""
        first_version = self._folder / "cpuacct.usage"
        if first_version.exists():
            return int(first_version.read_text()) / 1e9
        fields = dict(line.split() for line in (self._folder / "cpu.stat").read_text().splitlines())
        return int(fields["usage_usec"]) / 1e6

    def pids(self) -> list[int]:
        """See ``Usage``."""
        return [int(line) for line in (self._folder / "cgroup.procs").read_text().split()]

    def close(self) -> None:
        """See ``Usage``."""
        deadline = time.monotonic() + 10
        while self.pids() and time.monotonic() < deadline:  # the last ones are on their way out
            time.sleep(0.01)
        self._folder.rmdir()


class ProcessTree:
    """An account summed up from ``/proc``."""

    def __init__(self) -> None:
        self._root = 0

    def wrap(self, command: Sequence[str]) -> list[str]:
        """See ``Usage``."""
        return list(command)

    def started(self, pid: int) -> None:
        """See ``Usage``."""
        self._root = pid

    def cpu(self) -> float:
        """See ``Usage``."""
        return sum(sum(map(int, fields[11:15])) for fields in map(_stat, self.pids()) if fields) / _TICKS

    def pids(self) -> list[int]:
        """See ``Usage``."""
        parents = {
            int(entry.name): _parent(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()
        }
        found = [self._root]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def close(self) -> None:
        """See ``Usage``."""


def open_usage(name: str) -> Usage:
    """Return an account, by a control group where we may make one."""
    for folder in (_GROUPS / "cpuacct", _GROUPS):
        if (folder / "cgroup.procs").exists() and os.access(folder, os.W_OK):
            try:
                return ControlGroup(folder / f"smarthostd-bench-{os.getpid()}-{name}")
            except OSError:
                continue
    return ProcessTree()


def proportional_memory(pids: Sequence[int]) -> int:
    """Return the octets of memory of *pids*; what several of them share is counted once (PSS)."""
    return sum(map(_pss, pids))


@contextmanager
def watched_memory(usage: Usage) -> Iterator[list[int]]:
    """Look at the memory again and again; the list that is given holds what was seen."""
    seen: list[int] = []
    stop = Event()

    def watch() -> None:
        while not stop.wait(GLANCE):
            seen.append(proportional_memory(usage.pids()))

    thread = Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
        seen.append(proportional_memory(usage.pids()))


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # it has ended, or its memory is gone already
    return 0


def _stat(pid: int) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` from the state on; none when the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0
