"""New messages begin at once, or with the next ones: which, and when."""

from __future__ import annotations

import asyncio

import pytest

from smarthostd import company
from smarthostd.address import Address
from smarthostd.company import Company
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.spool.base import Pending

PATIENCE = 10
LONG = 60.0
"""Seconds that no test takes."""


def pending(id: str) -> Pending:
    """Return a message that has nothing but its name."""
    envelope = Envelope(Address("a", "b.example"), (Recipient(Address("c", "d.example")),))
    return Pending(Message(id, 0.0, envelope, Content(b"\r\n"), "", ""), {})


class Begun:
    """What has begun, and a way to wait for it."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.company = Company(self.begin)
        self._told = asyncio.Event()

    def begin(self, one: Pending) -> None:
        self.ids.append(one.message.id)
        self._told.set()

    def join(self, *ids: str) -> None:
        for id in ids:
            self.company.join(pending(id))

    async def more(self) -> None:
        """Wait until something begins."""
        self._told.clear()
        async with asyncio.timeout(PATIENCE):
            await self._told.wait()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages wait for so long that none begins because its time has come; the first one comes after a pause."""
    monkeypatch.setattr(company, "LONGEST", LONG)


async def test_the_first_one_begins_at_once() -> None:
    begun = Begun()
    begun.join("1")
    assert begun.ids == ["1"]
    assert not begun.company


@pytest.mark.usefixtures("patient")
async def test_who_comes_soon_after_waits_until_there_are_enough() -> None:
    begun = Begun()
    names = [str(number) for number in range(company.MOST + 1)]
    begun.join(*names[:-1])
    assert begun.ids == names[:1]
    assert len(begun.company) == company.MOST - 1
    assert names[1] in begun.company
    begun.join(names[-1])
    assert begun.ids == names, "in the order in which they came"
    assert not begun.company


async def test_who_waits_for_company_in_vain_begins_alone() -> None:
    begun = Begun()
    begun.join("1", "2")
    if begun.ids == ["1"]:  # else this machine stood still for longer than one waits
        await begun.more()
    assert begun.ids == ["1", "2"]


@pytest.mark.usefixtures("patient")
async def test_all_that_wait_can_be_made_to_begin() -> None:
    begun = Begun()
    begun.join("1", "2", "3")
    begun.company.set_out()
    assert begun.ids == ["1", "2", "3"]
    begun.company.set_out()
    assert begun.ids == ["1", "2", "3"]


@pytest.mark.usefixtures("patient")
async def test_a_message_that_is_said_to_begin_is_not_among_those_that_wait() -> None:
    """Whoever counts both would count it twice."""
    counts: list[int] = []
    group = Company(lambda one: counts.append(len(group)))
    for number in range(3):
        group.join(pending(str(number)))
    group.set_out()
    assert counts == [0, 0, 0]
