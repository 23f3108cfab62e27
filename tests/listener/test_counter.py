"""Handing in a message and being told later: on disk before anybody hears of it, and delivered whoever breaks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from smarthostd.address import Address
from smarthostd.envelope import Envelope, Recipient
from smarthostd.errors import Refused, SpoolError
from smarthostd.intake import Incoming
from smarthostd.spool.base import Pending
from smarthostd.spool.content import MEMORY_LIMIT
from tests.listener.house import House, house

ENVELOPE = Envelope(Address("a", "b.example"), (Recipient(Address("c", "d.example")),))
SMALL = b"Subject: hello\r\n\r\nbody\r\n"
LARGE = SMALL + b"x" * 70 + b"\r\n" + b"y" * MEMORY_LIMIT + b"\r\n"
SIZES = pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])


class Told:
    """What a session would be told, and what the runner is offered, in order."""

    def __init__(self, relay: House) -> None:
        self.events: list[tuple[str, object]] = []
        self.news = asyncio.Event()
        relay.listener.intake.connect(lambda: True, self.offer, lambda: None)  # type: ignore[attr-defined]

    def stored(self, id: str, error: BaseException | None) -> None:
        self.events.append((f"stored {id}", error))
        self.news.set()

    def offer(self, pending: Pending) -> None:
        self.events.append((f"offered {pending.message.id}", None))
        self.news.set()

    async def wait_for(self, count: int) -> list[tuple[str, object]]:
        async with asyncio.timeout(30):
            while len(self.events) < count:
                self.news.clear()
                await self.news.wait()
        return self.events


def incoming(relay: House, content: bytes) -> Incoming:
    begun = relay.listener.intake.begin()
    begun.sink.write(content)
    return begun


@SIZES
async def test_who_hands_in_is_told_first_and_then_it_is_offered(tmp_path: Path, content: bytes) -> None:
    async with house(tmp_path) as relay:
        told = Told(relay)
        one = incoming(relay, content)
        relay.listener.intake.take(one, ENVELOPE, told.stored)
        assert told.events == [], "never before it returns"
        assert await told.wait_for(2) == [(f"stored {one.id}", None), (f"offered {one.id}", None)]
        assert await relay.spool.load(one.id)


async def test_a_defect_of_who_is_told_does_not_strand_the_message(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        told = Told(relay)
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.stored("-", context["exception"]))
        one, two = incoming(relay, SMALL), incoming(relay, SMALL)

        def broken(id: str, error: BaseException | None) -> None:
            raise ZeroDivisionError

        relay.listener.intake.take(one, ENVELOPE, broken)
        relay.listener.intake.take(two, ENVELOPE, told.stored)
        events = [event for event, _ in await told.wait_for(4)]
    assert {f"offered {one.id}", f"offered {two.id}", f"stored {two.id}", "stored -"} == set(events)


async def test_a_refusal_is_told_later_too(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        told = Told(relay)
        relay.listener.intake.take(incoming(relay, b"Received: x\r\n" * 31 + SMALL), ENVELOPE, told.stored)
        assert told.events == []
        ((_, error),) = await told.wait_for(1)
        assert isinstance(error, Refused)
        assert await relay.stored() == []


def fail(*_: object) -> None:
    raise OSError(28, "No space left on device")


@SIZES
async def test_a_sync_that_fails_is_told_and_nothing_is_offered(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as relay:
        told = Told(relay)
        one = incoming(relay, content)
        monkeypatch.setattr("os.fsync", fail)
        monkeypatch.setattr("os.fdatasync", fail)
        relay.listener.intake.take(one, ENVELOPE, told.stored)
        ((event, error),) = await told.wait_for(1)
        monkeypatch.undo()
    assert event == f"stored {one.id}"
    assert isinstance(error, SpoolError)
