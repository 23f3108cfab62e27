"""The tray and the database together: whatever the moment of a crash, each message is in one of them.

A crash is a copy of the spool's files, made between any two calls that change them, and opened by another keeper.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smarthostd.address import NULL_SENDER
from smarthostd.errors import SpoolError
from smarthostd.spool import rows, tray, trayed
from smarthostd.spool.base import Changes, Waiting
from smarthostd.spool.sqlite import SqliteSpool
from smarthostd.spool.tray import NAMES, is_in
from tests.spool.house import ANN, BEN, House, found

PATIENCE = 10


async def test_what_is_delivered_at_once_is_never_in_the_database(house: House) -> None:
    id = await house.put()
    assert house.in_database() == []
    await house.spool.record(id, Changes(done=[ANN]))
    await house.written()
    assert house.in_database() == []
    assert await found(house.crash()) == {}


async def test_what_was_under_way_when_the_daemon_was_killed_is_due(house: House) -> None:
    first, second = await house.put(ANN, BEN), await house.put(BEN)
    copy = house.crash()
    spool = await SqliteSpool.open(copy, now=house.clock.now)
    assert not is_in(copy)
    claimed = await spool.claim(house.clock.now(), 10)
    assert [one.message.id for one in claimed] == [first, second]
    assert list(claimed[0].waiting) == [ANN, BEN]
    await spool.close()


async def test_a_tool_finds_it_too_where_no_daemon_is(house: House) -> None:
    id = await house.put()
    copy = house.crash()
    assert await found(copy, lock=False) == {id: ["ann@x"]}
    assert not is_in(copy)
    assert await found(copy) == {id: ["ann@x"]}


async def test_a_tool_leaves_the_tray_of_a_daemon_alone(house: House) -> None:
    id = await house.put()
    assert await found(house.directory, lock=False) == {}
    assert is_in(house.directory)
    assert set(await house.spool.ids()) == {id}, "who asks the daemon is told of all there is"
    assert await found(house.directory, lock=False) == {id: ["ann@x"]}


async def test_a_message_that_stays_is_put_into_the_database(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trayed, "STAY", 0.01)
    id = await house.put()
    async with asyncio.timeout(PATIENCE):
        while len(house.spool._tray):  # noqa: ASYNC110 - it is told to nobody
            await asyncio.sleep(0.01)
    assert house.in_database() == [id]
    assert await house.spool.claim(house.clock.now() + 1, 10) == [], "it is under way as before"
    await house.spool.record(id, Changes(done=[ANN]))
    await house.written()
    assert await house.spool.ids() == []


async def test_what_waits_is_in_the_database_with_what_it_waits_for(house: House) -> None:
    id = await house.put(ANN, BEN)
    waiting = Waiting(house.clock.now() + 60, "later", attempts=1)
    await house.spool.record(id, Changes(done=[ANN], waiting={BEN: waiting}))
    assert await found(house.crash()) == {id: ["ben@x"]}
    assert await house.spool.claim(house.clock.now(), 10) == []
    (claimed,) = await house.spool.claim(house.clock.now() + 60, 10)
    assert claimed.waiting == {BEN: waiting}
    await house.spool.release([id])


async def test_what_is_let_go_untried_is_due(house: House) -> None:
    id = await house.put()
    await house.spool.release([id])
    (claimed,) = await house.spool.claim(house.clock.now(), 10)
    assert claimed.message.id == id
    await house.spool.release([id])


async def test_what_is_delivered_while_it_is_put_into_the_database_does_not_stay_there(house: House) -> None:
    id = await house.put()
    message = house.spool._tray.get(id)
    assert message is not None
    house.spool._move([message])
    await house.spool.record(id, Changes(done=[ANN]))
    await house.written()
    assert await house.spool.ids() == []
    assert await found(house.crash()) == {}


async def test_where_the_tray_takes_nothing_the_database_does(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwritev", full)
    first, second = await house.put(), await house.put()
    assert house.in_database() == [first, second]
    await house.spool.record(first, Changes(done=[ANN]))
    await house.written()
    assert await house.spool.ids() == [second]
    assert await found(house.crash()) == {second: ["ann@x"]}


async def test_where_the_database_takes_nothing_the_message_stays_in_the_tray(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    id = await house.put()
    with monkeypatch.context() as patched:
        patched.setattr(rows, "insert", broken)
        with pytest.raises(SpoolError):
            await house.spool.record(id, Changes(waiting={ANN: Waiting(house.clock.now() + 60)}))
        await house.spool.release([id])
    assert await found(house.crash()) == {id: ["ann@x"]}
    await house.spool.record(id, Changes(waiting={ANN: Waiting(house.clock.now() + 60)}))
    assert house.in_database() == [id]


async def test_a_message_whose_release_failed_is_due_when_it_can_be(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trayed, "STAY", 3600.0)

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    id = await house.put()
    with monkeypatch.context() as patched:
        patched.setattr(rows, "insert", broken)
        await house.spool.release([id])
        assert await house.spool.claim(house.clock.now(), 10) == []
    monkeypatch.setattr(trayed, "STAY", 0.0)
    house.spool._look()
    async with asyncio.timeout(PATIENCE):
        while not (claimed := await house.spool.claim(house.clock.now(), 10)):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    assert [one.message.id for one in claimed] == [id]
    await house.spool.release([id])


async def test_an_unreadable_tray_is_kept_and_told(house: House) -> None:
    await house.put()
    copy = house.crash()
    path = copy / NAMES[0]
    mark = b"m" * 16
    payload = b"\xc1nonsense"
    header = tray._HEADER.pack(b"tray", mark, len(payload), tray.zlib.crc32(payload, tray.zlib.crc32(mark)))
    path.write_bytes(header + payload)
    told: list[str] = []
    spool = await SqliteSpool.open(copy, set_aside=lambda id, why: told.append(f"{id}: {why}"))
    await spool.close()
    assert len(told) == 1
    assert told[0].startswith("tray.0: ")
    assert told[0].endswith(f"it is kept as {copy / 'tray.0.damaged'}")
    assert (copy / "tray.0.damaged").read_bytes() == header + payload


# -- at any moment


class Moments:
    """Copies the spool before each call that changes a file of it, and remembers what had been promised then."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch, promises: dict[str, list[str]]) -> None:
        self.seen: list[tuple[Path, dict[str, list[str]]]] = []
        self._house = house
        self._promises = promises
        for name in ("pwritev", "fdatasync"):
            monkeypatch.setattr(os, name, self._watched(getattr(os, name)))
        for method in ("insert", "record"):
            monkeypatch.setattr(rows, method, self._watched(getattr(rows, method)))

    def _watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            self.take()
            return call(*arguments, **named)

        return watched

    def take(self) -> None:
        """Remember this moment."""
        self.seen.append((self._house.crash(), dict(self._promises)))


async def test_at_any_moment_a_crash_loses_nothing_and_repeats_nothing_that_was_recorded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delivered, deferred in part, bounced, let go; what was delivered may come back until that was written."""
    promises: dict[str, list[str]] = {}
    moments = Moments(house, monkeypatch, promises)
    maybe: set[str] = set()

    delivered = await house.put()
    promises[delivered] = ["ann@x"]
    deferred = await house.put(ANN, BEN)
    promises[deferred] = ["ann@x", "ben@x"]
    bounced = await house.put()
    promises[bounced] = ["ann@x"]
    free = await house.put(BEN)
    promises[free] = ["ben@x"]

    del promises[delivered]
    maybe.add(delivered)
    await house.spool.record(delivered, Changes(done=[ANN]))
    del promises[deferred]
    maybe.add(deferred)
    await house.spool.record(deferred, Changes(done=[ANN], waiting={BEN: Waiting(house.clock.now() + 60)}))
    promises[deferred] = ["ben@x"]
    maybe.discard(deferred)
    report = house.message(sender=NULL_SENDER)
    del promises[bounced]
    maybe |= {bounced, report.id}
    before = len(moments.seen)
    await house.spool.record(bounced, Changes(done=[ANN], new=[report]))
    after = len(moments.seen)
    promises[report.id] = ["ann@x"]
    maybe.discard(report.id)
    await house.spool.release([free])
    await house.written()
    maybe.clear()
    moments.take()

    monkeypatch.undo()
    assert len(moments.seen) > 15
    for number, (copy, promised) in enumerate(moments.seen):
        there = await found(copy)
        assert promised.items() <= there.items(), f"moment {number}"
        extra = there.keys() - promised.keys()
        allowed = {delivered, deferred, bounced, report.id, free} if number < len(moments.seen) - 1 else set()
        assert extra <= allowed, f"moment {number}"
        if before <= number <= after:
            assert (bounced in there) != (report.id in there), f"moment {number}: a report, or what it is about"
