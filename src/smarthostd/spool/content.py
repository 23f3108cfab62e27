"""Content on its way into the spool: in memory while it is small, in ``content/ID`` when it is not."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from smarthostd.envelope import BLOCK, Content
from smarthostd.errors import SpoolError, SpoolFull
from smarthostd.spool.owner import give_away
from smarthostd.spool.spares import Spares

FULL = frozenset({28, 122})
"""ENOSPC, EDQUOT."""
MEMORY_LIMIT = BLOCK
"""Octets of one message that are kept in memory while it is received."""


def spool_error(error: OSError, what: str) -> SpoolError:
    """Return the SpoolError for *error*: full, or out of order."""
    kind = SpoolFull if error.errno in FULL else SpoolError
    return kind(f"{what}: {error.strerror or error}")


class FileSink:
    """Takes a message's octets; over :data:`MEMORY_LIMIT` they go to a file."""

    def __init__(self, directory: Path, name: str, unsynced: dict[Path, int], spares: Spares) -> None:
        """The file is to be *name* in *directory*, where it must not exist yet; if there is one, one of the *spares*.

        *unsynced* is given its descriptor when it is whole, for :func:`sync_file`; who takes it has the file.
        """
        self.size = 0
        self._directory, self._name = directory, name
        self._path = directory  # most messages never have one: to make it takes 5 us
        self._blocks: list[bytes] = []
        self._start = b""
        self._file: int | None = None
        self._spilled = False
        self._unsynced = unsynced
        self._spares = spares

    def write(self, block: bytes | bytearray | memoryview) -> None:
        """Take *block*; raises SpoolError when there is no room."""
        self.size += len(block)
        if self._spilled:
            self._append(block)
            return
        self._blocks.append(bytes(block))
        if self.size > MEMORY_LIMIT:
            self._spill()

    def beginning(self, limit: int) -> bytes:
        """Return the first octets written: at most *limit*, and the whole header if that many hold it."""
        if self._spilled and limit > len(self._start) and b"\r\n\r\n" not in self._start:
            with self._path.open("rb") as stream:
                return stream.read(min(limit, self.size))
        return (self._start if self._spilled else b"".join(self._blocks))[:limit]

    def content(self, head: bytes) -> Content:
        """Return what was written, with *head* in front; raises SpoolError."""
        if self._spilled:
            if self._file is not None:
                self._cut()
                self._unsynced[self._path], self._file = self._file, None
            return Content(head, self._path, len(head) + self.size)
        octets = head + b"".join(self._blocks)
        return Content(octets, None, len(octets))

    def discard(self) -> None:
        """Forget everything, but a file that the spool has taken. What cannot be removed is swept at the next start."""
        self._blocks = []
        if self._spilled and (self._file is not None or self._path in self._unsynced):
            self._close()
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
        self._spilled = False

    def _spill(self) -> None:
        octets = b"".join(self._blocks)
        self._path = self._directory / self._name
        try:
            new = 0 if self._spares.become(self._path) else os.O_CREAT | os.O_EXCL
            self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | new, 0o600)
        except OSError as error:
            raise spool_error(error, "cannot make a content file") from error
        self._spilled, self._start, self._blocks = True, octets[:BLOCK], []
        give_away(self._path)
        self._append(octets)

    def _cut(self) -> None:
        """Cut off what is left of a spare's own content; to cut off nothing takes 5 us."""
        assert self._file is not None
        try:
            os.ftruncate(self._file, self.size)
        except OSError as error:
            raise spool_error(error, "cannot write a content file") from error

    def _append(self, block: bytes | bytearray | memoryview) -> None:
        assert self._file is not None, "written after content()"
        view = memoryview(block)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            raise spool_error(error, "cannot write a content file") from error

    def _close(self) -> None:
        descriptor = self._unsynced.pop(self._path, None) if self._file is None else self._file
        self._file = None
        if descriptor is not None:
            os.close(descriptor)


def sync_file(descriptor: int, directory: int) -> None:
    """Sync an open content file, then its directory, and close the file; raises OSError.

    It is not to be tried again on that file. Both are open, for in a thread each system call is a turn that the event
    loop has to give away: with 10 clients that send 1 MiB each, 1.06 times the rate.
    """
    try:
        os.fsync(descriptor)
        os.fsync(directory)
    finally:
        os.close(descriptor)
