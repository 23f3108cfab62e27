"""Text files that are read often and change seldom: one copy each, checked by stat."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct

T = TypeVar("T")

KEPT = 1000
"""Files that are remembered, and as many that are missing: their names may be made of what strangers write to."""
Stamp: TypeAlias = tuple[int, int, int] | None
"""Inode, size and modification time in ns; None for a file that is not there, or may not be read."""


class _Entry(Struct):
    stamp: Stamp
    content: bytes
    parsed: dict[Any, Any]


class Files:
    """Every file that lookups and expansions read, by path; one instance serves the daemon."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._missing: dict[str, Stamp] = {}
        """What could not be read, and what it looked like then."""
        self._watched: set[str] = set()

    def read(self, path: str) -> bytes:
        """Return the content of a regular file; raises OSError."""
        return self._entry(path).content

    def parsed(self, path: str, parse: Callable[[bytes], T]) -> T:
        """Return what *parse* makes of the file, made once for each version of it; raises OSError."""
        entry = self._entry(path)
        found = entry.parsed.get(parse)
        if found is None:
            found = entry.parsed[parse] = parse(entry.content)
        result: T = found
        return result

    def watch(self, paths: Iterable[str]) -> None:
        """Let these count with what is read here: others read them (certificates)."""
        self._watched.update(paths)

    def stamps(self) -> Mapping[str, Stamp]:
        """Return what each file looked like when it was last read."""
        watched = {path: self._look(path) for path in self._watched}
        return watched | {path: entry.stamp for path, entry in self._entries.items()} | self._missing

    def changed(self, stamps: object) -> bool:
        """Return whether a file of *stamps* looks different now."""
        assert isinstance(stamps, dict)
        return any(self._look(path) != stamp for path, stamp in stamps.items())

    def _entry(self, path: str) -> _Entry:
        try:
            status = os.stat(path)  # noqa: PTH116 - the hot path: a Path costs more than the call
        except OSError:
            self._entries.pop(path, None)
            _remember(self._missing, path, None)
            raise
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        entry = self._entries.get(path)
        if entry is None or entry.stamp != stamp:
            entry = _Entry(stamp, self._loaded(path, status, stamp), {})
            _remember(self._entries, path, entry)
            self._missing.pop(path, None)
        return entry

    def _loaded(self, path: str, status: os.stat_result, stamp: Stamp) -> bytes:
        try:
            return self._load(path, status)
        except OSError as error:
            self._entries.pop(path, None)
            _remember(self._missing, path, None if isinstance(error, PermissionError) else stamp)
            raise

    @staticmethod
    def _load(path: str, status: os.stat_result) -> bytes:
        if not stat.S_ISREG(status.st_mode):
            raise NotRegularError(path)
        with open(path, "rb") as stream:  # noqa: PTH123 - paths are texts here
            return stream.read()

    @staticmethod
    def _look(path: str) -> Stamp:
        try:
            status = os.stat(path)  # noqa: PTH116 - see above
        except OSError:
            return None
        if not os.access(path, os.R_OK, effective_ids=True):  # to be allowed to is a change, too
            return None
        return (status.st_ino, status.st_size, status.st_mtime_ns)


def _remember(known: dict[str, T], path: str, what: T) -> None:
    """Keep *what* under *path*, and let the oldest go if that is one too many: it is read again when it is wanted."""
    known.pop(path, None)
    known[path] = what
    if len(known) > KEPT:
        del known[next(iter(known))]


class NotRegularError(OSError):
    """A path that is a directory, a device or a pipe."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.EINVAL, "not a regular file", path)
