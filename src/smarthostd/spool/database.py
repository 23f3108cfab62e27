"""The database file and its directory: the schema and how an older one becomes it, the connections, the lock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from smarthostd.errors import SpoolError, SpoolLocked
from smarthostd.spool.owner import give_away
from smarthostd.spool.writer import BUSY_TIMEOUT

SCHEMA_VERSION = 4
PAGE_CACHE = 4096
"""KiB of page cache for a connection."""

_SCHEMA = """
CREATE TABLE message (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    received REAL NOT NULL,
    sender TEXT NOT NULL,
    envelope TEXT NOT NULL,
    size INTEGER NOT NULL,
    in_file INTEGER NOT NULL,
    frozen_since REAL NOT NULL DEFAULT 0,
    damaged TEXT NOT NULL DEFAULT '',
    warned INTEGER NOT NULL DEFAULT 0,
    done_addresses TEXT NOT NULL DEFAULT '[]',
    head BLOB NOT NULL
) STRICT;
CREATE TABLE recipient (
    message INTEGER NOT NULL,
    position INTEGER NOT NULL,
    address TEXT NOT NULL,
    notify TEXT NOT NULL,
    orcpt TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    until REAL NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    destination TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    first_failed REAL NOT NULL DEFAULT 0,
    last_try REAL NOT NULL DEFAULT 0,
    maybe_delivered INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (message, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX due ON recipient (until, message) WHERE state = 0;
CREATE INDEX waiting ON recipient (destination, message) WHERE state = 0 AND destination <> '';
CREATE TABLE event (message INTEGER NOT NULL, at REAL NOT NULL, text TEXT NOT NULL) STRICT;
CREATE INDEX story ON event (message);
CREATE TABLE hint (
    key TEXT PRIMARY KEY, first_failed REAL NOT NULL, last_try REAL NOT NULL, next_try REAL NOT NULL,
    expired INTEGER NOT NULL, errno INTEGER NOT NULL, text TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""
_SINCE_2 = """
CREATE TABLE IF NOT EXISTS notice (
    number INTEGER PRIMARY KEY, reader TEXT NOT NULL, at REAL NOT NULL, text TEXT NOT NULL, status TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS frozen ON message (frozen_since) WHERE frozen_since > 0;
"""
_SINCE_3 = """
ALTER TABLE hint ADD COLUMN error TEXT NOT NULL DEFAULT '';
ALTER TABLE hint ADD COLUMN cause TEXT NOT NULL DEFAULT '';
ALTER TABLE hint ADD COLUMN fix TEXT NOT NULL DEFAULT '';
"""
_SINCE_4 = """
CREATE TABLE freezing (message INTEGER PRIMARY KEY, since REAL NOT NULL) STRICT;
CREATE INDEX longest_frozen ON freezing (since);
INSERT INTO freezing SELECT seq, frozen_since FROM message WHERE frozen_since > 0;
DROP INDEX frozen;
ALTER TABLE message DROP COLUMN frozen_since;
"""
_STEPS = (_SCHEMA, _SINCE_2, _SINCE_3, _SINCE_4)
"""What makes each version of the schema out of the one before it."""


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = FAST")  # Debian's SQLite writes each page that is freed again, as zeros
    connection.execute(f"PRAGMA cache_size = -{PAGE_CACHE}")
    return connection


class Connections(NamedTuple):
    """The connections to one database."""

    writer: sqlite3.Connection
    background: sqlite3.Connection
    reader: sqlite3.Connection


def open_database(path: Path, *, locked: bool = True) -> Connections:
    """Return the connections, with the schema in place.

    An older one is brought up to date by who has the spool *locked*, or while nobody has: a daemon that is running and
    made it would not understand the new one.
    """
    writer = _connect(path)
    give_away(path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm"))
    version = writer.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        writer.close()
        raise SpoolError(f"{path} was written by a newer smarthostd (schema {version}); install that version")
    if version < SCHEMA_VERSION:
        if version and not locked:
            _nobody_has(path.parent, version)
        path.chmod(0o600)
        steps = " ".join(_STEPS[version:])
        writer.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    return Connections(writer, _connect(path), _connect(path))


def _nobody_has(directory: Path, version: int) -> None:
    try:
        os.close(take_lock(directory))
    except SpoolLocked as error:
        text = f"the spool {directory} is of an older smarthostd (schema {version}), which is running: restart it"
        raise SpoolError(text) from error


def take_lock(directory: Path) -> int:
    """Lock the spool for this process, as long as it lives; the kernel lets go when it dies."""
    lock = os.open(directory / "spool.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(lock, 32).decode(errors="replace").strip()
        os.close(lock)
        text = f"the spool {directory} is in use by process {owner or '?'}; stop it, or set another spool_directory"
        raise SpoolLocked(text) from None
    give_away(directory / "spool.lock")
    with contextlib.suppress(OSError):  # it is only told; a full disk might not give back what is cut off first
        os.ftruncate(lock, os.pwrite(lock, f"{os.getpid()}\n".encode(), 0))
    return lock


@contextmanager
def locked_if_free(directory: Path) -> Iterator[bool]:
    """Lock the spool for a moment; give False, and do nothing, where somebody else has it."""
    try:
        lock = take_lock(directory)
    except SpoolLocked:
        yield False
        return
    try:
        yield True
    finally:
        os.close(lock)
