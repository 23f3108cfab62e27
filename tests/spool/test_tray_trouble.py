"""The tray when things go wrong, or at the same time: each of these was a defect once, found by a review."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from smarthostd.address import NULL_SENDER
from smarthostd.errors import SpoolError, SpoolFull
from smarthostd.spool import rows, tray, trayed
from smarthostd.spool.base import Changes
from smarthostd.spool.database import locked_if_free
from smarthostd.spool.gathering import LAZY_DELAY
from smarthostd.spool.sqlite import SqliteSpool
from smarthostd.spool.tray import NAMES, PAGE, Tray
from smarthostd.spool.trayed import TraySpool
from tests.spool.house import ANN, House, found
from tests.spool.test_tray import left, message, put

PATIENCE = 10


def broken(*_: object) -> None:
    raise OSError(5, "Input/output error")


def full(*_: object) -> int:
    raise OSError(28, "No space left on device")


def slow(seconds: float, then: Callable[[int], None] = os.fdatasync) -> Callable[[int], None]:
    """Return a sync that takes so long."""

    def sync(descriptor: int) -> None:
        time.sleep(seconds)
        then(descriptor)

    return sync


def of_tray(house: House) -> set[int]:
    """Return the descriptors of the journal."""
    return {segment._descriptor for segment in house.spool._tray._segments}


async def is_due(house: House) -> bool:
    return bool(await house.spool.claim(house.clock.now() + 1, 10))


# -- delivered once


async def test_a_look_while_a_delivery_is_being_recorded_does_not_bring_it_back(house: House) -> None:
    id = await house.put()
    recording = asyncio.create_task(house.spool.record(id, Changes(done=[ANN], hints={"host": None})))
    await asyncio.sleep(0)
    await house.spool.ids()
    await recording
    assert not await is_due(house)


async def test_nor_does_a_release_after_a_record_that_was_cancelled(house: House) -> None:
    id = await house.put()
    recording = asyncio.create_task(house.spool.record(id, Changes(done=[ANN], hints={"host": None})))
    await asyncio.sleep(0)
    recording.cancel()
    await asyncio.gather(recording, return_exceptions=True)
    await house.spool.release([id])
    assert not await is_due(house)


async def test_nor_a_move_into_the_database_that_was_not_synced(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    id = await house.put()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(SpoolError):
            await house.spool.ids()
    await house.spool.record(id, Changes(done=[ANN]))
    await house.written()
    assert not await is_due(house)


async def test_nor_the_second_of_two_moves_the_first_of_which_failed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await house.put()
    insert, tries = rows.insert, 0

    def works_later(connection: sqlite3.Connection, *arguments: object) -> None:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise OSError(5, "Input/output error")
        insert(connection, *arguments)  # type: ignore[arg-type]

    recorded = asyncio.get_running_loop().create_future()

    def delivered(error: SpoolError | None) -> None:
        assert error is not None
        recording = asyncio.ensure_future(house.spool.record(id, Changes(done=[ANN])))
        recording.add_done_callback(recorded.set_result)

    monkeypatch.setattr(rows, "insert", works_later)
    monkeypatch.setattr(os, "fdatasync", slow(0.02))
    house.spool._writer._background.syncs.is_quick = False
    one = house.spool._tray.get(id)
    assert one is not None
    house.spool._move([one], delivered)
    house.spool._move([one])
    await asyncio.wait_for(recorded, PATIENCE)
    await house.written()
    assert not await is_due(house)


async def test_a_removal_that_the_database_refuses_once_is_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await house.put()
    await house.spool.ids()
    with monkeypatch.context() as patched:
        patched.setattr(rows, "record", broken)
        await house.spool.record(id, Changes(done=[ANN]))
        await house.written()
    async with asyncio.timeout(PATIENCE):
        while await house.spool.ids():  # noqa: ASYNC110 - who tries again tells nobody
            await asyncio.sleep(0.01)


# -- not beside a report about it


async def test_what_was_put_into_the_database_just_now_does_not_come_back_beside_a_report(house: House) -> None:
    id = await house.put()
    await house.spool.ids()
    report = house.message(sender=NULL_SENDER)
    await house.spool.record(id, Changes(done=[ANN], new=[report]))
    assert await found(house.crash()) == {report.id: ["ann@x"]}


async def test_nor_where_the_tray_cannot_be_written_any_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.put()
    id = await house.put()
    monkeypatch.setattr(os, "pwritev", full)
    report = house.message(sender=NULL_SENDER)
    await house.spool.record(id, Changes(done=[ANN], new=[report]))
    there = await found(house.crash())
    assert (id in there) != (report.id in there)


async def test_nor_what_was_written_in_the_tray_and_not_synced(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.put()
    tray_files, sync = of_tray(house), os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (broken if descriptor in tray_files else sync)(descriptor))
    id = await house.put()  # in the database, and a record of it in the tray
    report = house.message(sender=NULL_SENDER)
    await house.spool.record(id, Changes(done=[ANN], new=[report]))
    there = await found(house.crash())
    assert (id in there) != (report.id in there)


async def test_a_report_that_was_written_and_not_synced_can_be_recorded_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await house.put()
    await house.spool.settle()
    report = house.message(sender=NULL_SENDER)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(SpoolError):
            await house.spool.record(id, Changes(done=[ANN], new=[report]))
    await house.spool.record(id, Changes(done=[ANN], new=[report]))
    assert await house.spool.ids() == [report.id]


async def test_nor_is_such_a_report_sent_before_it_is_recorded_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands in the database; whoever delivered it now would have it written once more, and delivered twice."""
    id = await house.put()
    await house.spool.settle()
    report = house.message(sender=NULL_SENDER)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(SpoolError):
            await house.spool.record(id, Changes(done=[ANN], new=[report]))
    assert house.in_database() == [report.id]
    assert not await is_due(house)
    await house.spool.record(id, Changes(done=[ANN], new=[report]))
    assert await is_due(house)


async def test_who_lets_go_of_a_message_lets_go_of_its_report_that_was_written_and_not_synced(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await house.put()
    await house.spool.settle()
    report = house.message(sender=NULL_SENDER)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(SpoolError):
            await house.spool.record(id, Changes(done=[ANN], new=[report]))
    await house.spool.release([id])
    assert await house.spool.claim_one(report.id) is not None


async def test_a_record_that_was_cancelled_and_not_synced_leaves_no_claim_on_its_report(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await house.put()
    await house.spool.settle()
    report = house.message(sender=NULL_SENDER)
    cancelled = threading.Event()

    def hanging(descriptor: int) -> None:
        assert cancelled.wait(PATIENCE)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", hanging)
        house.spool._writer._background.syncs.is_quick = False
        recording = asyncio.create_task(house.spool.record(id, Changes(done=[ANN], new=[report])))
        async with asyncio.timeout(PATIENCE):
            while report.id not in house.in_database():  # noqa: ASYNC110 - it waits for the sync, and tells nobody
                await asyncio.sleep(0.001)
        recording.cancel()
        cancelled.set()
        await asyncio.gather(recording, return_exceptions=True)
        await house.spool.release([id])
        async with asyncio.timeout(PATIENCE):
            await house.spool._writer._idle.wait()
    assert await house.spool.claim_one(report.id) is not None


# -- the journal


async def test_what_goes_while_a_slow_sync_is_under_way_is_written_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Tray(tmp_path)
    await put(one, message("1"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", slow(2 * LAZY_DELAY))
        one._syncs.is_quick = False
        putting = asyncio.create_task(put(one, message("2")))
        await asyncio.sleep(0.02)
        one.gone(["1"])
        await putting
    async with asyncio.timeout(PATIENCE):
        while left(tmp_path) != ["2"]:  # noqa: ASYNC110 - nor does a file that changes
            await asyncio.sleep(0.01)
    await one.close()


async def test_a_torn_first_record_of_a_segment_does_not_bring_back_what_had_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power fails: all pages of a write are on the disk but the first, where the last use still stands."""
    one = Tray(tmp_path)
    monkeypatch.setattr(tray, "SEGMENT", 3 * PAGE)
    for id in ("bounced", "a", "b", "c", "d", "e"):
        await put(one, message(id))
        one.gone([id])
        await one.settle()
    write, crashes = os.pwritev, []

    def torn(descriptor: int, parts: list[bytes], at: int) -> int:
        page = os.pread(descriptor, PAGE, at)
        written = write(descriptor, parts, at)
        new = os.pread(descriptor, PAGE, at)
        os.pwrite(descriptor, page, at)
        crashes.append(left(tmp_path))
        os.pwrite(descriptor, new, at)
        return written

    monkeypatch.setattr(os, "pwritev", torn)
    for number in range(6):
        await put(one, message(f"long {number}", b"x" * 3 * PAGE))
        one.gone([f"long {number}"])
    monkeypatch.undo()
    await one.close()
    assert len(crashes) > 6
    assert not any("bounced" in crash for crash in crashes)


async def test_a_kill_while_the_journal_is_taken_away_brings_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the last message has gone stands in the other segment."""
    monkeypatch.setattr(tray, "SEGMENT", 3 * PAGE)
    unlink = Path.unlink
    for messages in range(1, 12):
        one = Tray(tmp_path)
        for number in range(messages):
            await put(one, message(f"{number}"))
            one.gone([f"{number}"])
        await one.settle()
        calls = 0

        def killed(self: Path, missing_ok: bool = False) -> None:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise OSError(5, "killed here")
            unlink(self, missing_ok=missing_ok)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", killed)
            with pytest.raises(OSError, match="killed here"):
                await one.close()
        assert left(tmp_path) == []
        tray.remove(tmp_path)


async def test_settle_returns_while_mail_comes_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Tray(tmp_path)
    monkeypatch.setattr(os, "fdatasync", slow(0.002))
    settled = asyncio.Event()

    async def client(name: int) -> None:
        number = 0
        while not settled.is_set():
            number += 1
            await put(one, message(f"{name}-{number}"))
            one.gone([f"{name}-{number}"])

    clients = [asyncio.create_task(client(name)) for name in range(10)]
    await asyncio.sleep(0)
    try:
        await asyncio.wait_for(one.settle(), PATIENCE)
    finally:
        settled.set()
        await asyncio.gather(*clients)
        await one.close()


async def test_what_is_not_synced_in_the_tray_is_not_put_into_the_database_from_there(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be there already when the database is to take it instead."""
    await house.put()
    tray_files, sync, looked = of_tray(house), os.fdatasync, threading.Event()

    def hanging(descriptor: int) -> None:
        if descriptor in tray_files:
            assert looked.wait(PATIENCE)
            raise OSError(5, "Input/output error")
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", hanging)
    house.spool._tray._syncs.is_quick = False
    told: asyncio.Future[SpoolError | None] = asyncio.get_running_loop().create_future()
    house.spool.take(house.message(), told.set_result, claim=True)
    await asyncio.sleep(0.01)
    await house.spool.ids()
    looked.set()
    assert await asyncio.wait_for(told, PATIENCE) is None


async def test_an_exception_that_nobody_thought_of_strands_nobody(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd:
        def encode(self, record: object) -> bytes:
            raise OverflowError

    with monkeypatch.context() as patched:
        patched.setattr(tray, "_ENCODER", Odd())
        id = await asyncio.wait_for(house.put(), PATIENCE)
    assert house.in_database() == [id]
    await house.put()
    assert house.in_database() == [id], "the tray is as good as before"


# -- who looks


async def test_who_only_counts_is_answered_although_the_disk_is_full(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await house.put()
    await house.spool.ids()
    await house.put()
    with monkeypatch.context() as patched:
        patched.setattr(rows, "insert", full)
        assert await house.spool.count() == (2, 0)
        assert await house.spool.claim_one(first) is None, "it is under way"


async def test_a_daemon_starts_while_a_tool_looks_into_the_tray(tmp_path: Path) -> None:
    with locked_if_free(tmp_path) as free:
        assert free
        opening = asyncio.create_task(TraySpool.open(tmp_path))
        await asyncio.sleep(0.01)
    await (await opening).close()


async def test_a_second_unreadable_segment_does_not_replace_the_first(tmp_path: Path) -> None:
    for content in (b"\xc1one", b"\xc1two"):
        mark = b"m" * 16
        header = tray._HEADER.pack(b"tray", mark, len(content), tray.zlib.crc32(content, tray.zlib.crc32(mark)))
        (tmp_path / NAMES[0]).write_bytes(header + content)
        await (await SqliteSpool.open(tmp_path)).close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if "damaged" in path.name)
    assert b"one" in kept
    assert b"two" in kept


async def test_a_daemon_that_was_killed_starts_again_on_a_full_disk(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it can deliver makes room; what was in its tray stays there until then, and is not sent from two places."""
    waiting = await house.put()
    await house.spool.release([waiting])
    moved, left = await house.put(), await house.put()
    before = house.crash()
    message = house.spool._tray.get(moved)
    assert message is not None
    await house.spool._moved([message])
    copy = house.crash()
    for name in NAMES:
        (copy / name).write_bytes((before / name).read_bytes())  # that one had gone was not written yet
    monkeypatch.setattr(trayed, "STAY", 0.01)
    with monkeypatch.context() as patched:
        patched.setattr(rows, "insert", full)
        spool = await TraySpool.open(copy, now=house.clock.now)
        assert [one.message.id for one in await spool.claim(house.clock.now(), 10)] == [waiting]
        assert await spool.finished() == []
        with pytest.raises(SpoolFull):
            await spool.put(house.message(), claim=True)
        with pytest.raises(SpoolError):
            await spool.close()
        spool = await TraySpool.open(copy, now=house.clock.now)
    async with asyncio.timeout(PATIENCE):
        while len(claimed := await spool.claim(house.clock.now(), 10)) < 3:
            await spool.release([one.message.id for one in claimed])
            await asyncio.sleep(0.01)
    assert {one.message.id for one in claimed} == {waiting, moved, left}
    for one in claimed:
        await spool.record(one.message.id, Changes(done=[ANN]))
    await spool.close()
    assert not tray.is_in(copy)
    assert await found(copy) == {}


async def test_a_disk_in_other_trouble_stops_a_start_with_a_sentence(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await house.put()
    copy = house.crash()
    with monkeypatch.context() as patched:
        patched.setattr(rows, "insert", broken)
        with pytest.raises(SpoolError, match=r"cannot open the spool .*: Input/output error"):
            await TraySpool.open(copy)
    assert await found(copy) == {id: ["ann@x"]}


async def test_who_takes_the_lock_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with locked_if_free(tmp_path) as free:
            assert free


@pytest.mark.parametrize("claim", [True, False])
async def test_what_is_to_be_removed_from_the_database_is_not_put_into_the_tray(
    house: House, monkeypatch: pytest.MonkeyPatch, *, claim: bool
) -> None:
    """The removal's end would be that of the claim."""
    message = house.message()
    with monkeypatch.context() as patched:
        patched.setattr(house.spool._tray, "_has_room", lambda: False)
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(SpoolError):
            await house.spool.put(message, claim=True)
    await house.spool.put(message, claim=claim)
    await house.written()
    assert house.in_database() == [message.id]
    assert await house.spool.load(message.id) is not None
    assert await is_due(house) is not claim
