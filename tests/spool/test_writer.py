"""Group commit: what is told is synced, and what cannot be written now is written later or said."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from smarthostd.errors import SpoolError, SpoolFull
from smarthostd.spool import gathering
from smarthostd.spool import writer as writing
from smarthostd.spool.writer import NotSynced, Writer


class Table:
    """A table of numbers in a database, and its writer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connections = [self._connect() for _ in range(3)]
        self._connections[0].execute("CREATE TABLE IF NOT EXISTS n (n INTEGER PRIMARY KEY) STRICT")
        self.writer = Writer(self._connections[0], self._connections[1], self.log)

    @property
    def log(self) -> Path:
        return self.path.with_name(f"{self.path.name}-wal")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        return connection

    def put(self, number: int) -> asyncio.Future[object]:
        return asyncio.ensure_future(
            self.writer.do(lambda connection: connection.execute("INSERT INTO n VALUES (?)", (number,)) and None)
        )

    def numbers(self) -> list[int]:
        return [number for (number,) in self._connections[2].execute("SELECT n FROM n ORDER BY n")]

    async def close(self) -> None:
        await self.writer.close()
        for connection in self._connections:
            connection.close()


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    table = Table(tmp_path / "d.sqlite3")
    yield table
    await table.close()


class Disk:
    """Counts the syncs, and can let them wait or fail; the rest is the system's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.syncs = 0
        self.threads: list[int] = []
        """Where each was asked for."""
        self.broken = False
        self.go = threading.Event()
        self.go.set()
        self._sync = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self.fdatasync)

    def fdatasync(self, file: int) -> None:
        self.go.wait(10)
        self.syncs += 1
        self.threads.append(threading.get_ident())
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._sync(file)


async def turns() -> None:
    """Let the loop do all that it can do now."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


async def test_what_comes_together_is_synced_together(table: Table, disk: Disk) -> None:
    await asyncio.gather(*map(table.put, range(100)))
    assert disk.syncs == 1
    assert table.numbers() == list(range(100))


async def test_nobody_is_told_before_the_sync(table: Table, disk: Disk) -> None:
    """What comes while another sync is under way waits for one of its own, all together."""
    disk.go.clear()
    first = table.put(1)
    await turns()
    assert table.numbers() == [1]
    others = [table.put(number) for number in range(2, 10)]
    await turns()
    assert not any(one.done() for one in (first, *others))
    disk.go.set()
    await asyncio.gather(first, *others)
    assert disk.syncs == 2


async def test_a_quick_disk_is_waited_for_on_the_loop_and_a_slow_one_never(
    table: Table, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first sync shows what the disk is like; many jobs are worth the thread in any case."""
    here = threading.get_ident()
    monkeypatch.setattr(gathering, "QUICK", 60)
    await table.put(1)
    await table.put(2)
    await asyncio.gather(*map(table.put, range(3, 10)))
    assert [thread == here for thread in disk.threads] == [False, True, False]
    monkeypatch.setattr(gathering, "QUICK", 0)
    await table.put(10)  # nobody knew yet
    await table.put(11)
    assert [thread == here for thread in disk.threads[3:]] == [True, False]


async def test_a_sync_on_the_loop_that_fails_is_said_too(
    table: Table, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "QUICK", 60)
    await table.put(1)
    disk.broken = True
    with pytest.raises(NotSynced, match="Input/output error"):
        await table.put(2)
    disk.broken = False
    syncs = disk.syncs
    await table.put(3)
    assert disk.syncs == syncs, "the log was synced as if nothing had been"
    assert table.numbers() == [1, 2, 3]


async def test_a_job_that_fails_fails_alone(table: Table) -> None:
    await table.put(1)
    results = await asyncio.gather(table.put(2), table.put(1), table.put(3), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), SpoolError, type(None)]
    assert table.numbers() == [1, 2, 3]


@pytest.mark.parametrize("steered", [False, True], ids=["on the loop", "in the thread"])
async def test_a_job_with_a_defect_is_not_waited_for_for_ever(table: Table, steered: bool) -> None:
    def defect(connection: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    with pytest.raises(SpoolError, match="ZeroDivisionError"):
        await (table.writer.steer(defect) if steered else table.writer.do(defect))
    await table.put(1)
    assert table.numbers() == [1]


async def test_a_sync_that_fails_is_said_and_the_log_is_not_trusted_again(table: Table, disk: Disk) -> None:
    """The system may have dropped what was to be synced: all of the log goes into the database, which is synced."""
    disk.broken = True
    with pytest.raises(NotSynced, match="Input/output error"):
        await table.put(1)
    disk.broken = False
    syncs = disk.syncs
    await table.put(2)
    assert disk.syncs == syncs, "the log was synced as if nothing had been"
    assert table.log.stat().st_size == 0
    await table.put(3)
    assert disk.syncs == syncs + 1
    assert table.numbers() == [1, 2, 3]


async def test_another_process_is_waited_for_without_standing_still(table: Table) -> None:
    other = sqlite3.connect(table.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = table.put(1)
    for _ in range(3):
        await asyncio.sleep(writing.BUSY_PAUSE)  # the loop runs on
    assert not waiting.done()
    other.execute("COMMIT")
    other.close()
    await waiting
    assert table.numbers() == [1]


async def test_another_process_is_not_waited_for_for_ever(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BUSY_TIMEOUT", 0.02)
    other = sqlite3.connect(table.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(SpoolError, match="locked"):
        await table.put(1)
    other.close()
    await table.put(2)
    assert table.numbers() == [2]


async def test_the_log_does_not_grow_without_end(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CHECKPOINT_AFTER", 5)
    for number in range(20):
        await table.put(number)
    size = table.log.stat().st_size
    for number in range(20, 120):
        await table.put(number)
    assert table.log.stat().st_size == size


async def test_a_removal_waits_for_company_but_not_for_the_end(table: Table, disk: Disk) -> None:
    done = asyncio.Event()
    table.writer.soon(lambda connection: connection.execute("INSERT INTO n VALUES (1)") and None, lambda _: done.set())
    await table.put(2)
    assert done.is_set()
    assert disk.syncs == 1
    gone = asyncio.Event()
    table.writer.soon(lambda connection: connection.execute("DELETE FROM n") and None, lambda _: gone.set())
    await gone.wait()
    assert table.numbers() == []


@pytest.mark.parametrize("together", [0, 1, 3])
async def test_on_a_full_disk_the_log_is_begun_anew_before_anybody_is_told(
    table: Table, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    """What was delivered is to be recorded, although the log cannot become longer."""
    background = table.writer._background
    checkpoint, has_room = background.checkpoint, asyncio.Event()

    def makes_room() -> None:
        checkpoint()
        has_room.set()

    def record(connection: sqlite3.Connection) -> None:
        if not has_room.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        connection.execute("INSERT INTO n SELECT max(n) + 1 FROM n")

    await table.put(1)
    monkeypatch.setattr(background, "checkpoint", makes_room)
    asked = [table.writer.do(record) for _ in range(together)] or [table.writer.steer(record)]
    await asyncio.gather(*asked)
    assert table.numbers() == list(range(1, len(asked) + 2))


async def test_where_that_makes_no_room_it_is_said(table: Table) -> None:
    def full(connection: sqlite3.Connection) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    await table.put(1)
    for _ in range(2):
        results = await asyncio.gather(table.put(2), table.writer.do(full), return_exceptions=True)
        assert type(results[1]) is SpoolFull
        assert table.numbers() == [1, 2]
        await table.writer.do(lambda connection: connection.execute("DELETE FROM n WHERE n = 2") and None)
