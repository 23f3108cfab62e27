"""Names in lists of next hops: the delivery waits for them, and the event loop does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from smarthostd.outcome import Delivered
from smarthostd.resolver import Resolver
from smarthostd.routers.base import Target
from tests.names import NameServer
from tests.smtp.scripted import Script, Server, serving
from tests.transports.house import House

NAME = "mail.example"


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NameServer]:
    """A name server that keeps everybody waiting until ``answers`` is set."""
    server = NameServer(monkeypatch)
    server.names[NAME] = "127.0.0.1"
    yield server
    server.answers.set()


def written(way: str, directory: Path) -> str:
    """Return a list in which the name stands."""
    if way == "a file":
        (directory / "hosts").write_text(f"{NAME}\n")
        return str(directory / "hosts")
    return {"the list": NAME, "a named list": "+listed", "an expansion": f"${{lc:{NAME.upper()}}}"}[way]


async def delivered(house: House, server: Server, names: NameServer) -> None:
    """Deliver a message; name service is asked meanwhile, and answers when we say so."""
    names.answers.clear()
    names.asked.clear()
    delivering = asyncio.create_task(house.deliver(Target("there", server.port, ("127.0.0.1",))))
    await names.is_asked()
    assert not delivering.done()
    names.answers.set()
    (outcome,) = await delivering
    assert isinstance(outcome, Delivered)
    assert names.asked == [NAME]


def house_with(**options: Any) -> House:
    return House({"connection_max_messages": 1, **options}, hostlists={"listed": NAME})


@pytest.mark.parametrize("way", ["the list", "a named list", "an expansion", "a file"])
async def test_a_name_is_asked_for_before_its_list_is_looked_at(way: str, tmp_path: Path, names: NameServer) -> None:
    async with serving(Script()) as server, house_with(hosts_avoid_esmtp=written(way, tmp_path)) as house:
        await delivered(house, server, names)
    (heard,) = server.heard
    assert "EHLO" not in heard.words, "the host is in the list"


async def test_an_answer_that_is_too_old_is_asked_for_again(names: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Resolver, "_lifetime", lambda self, known: 0.0)
    async with serving(Script(), Script()) as server, house_with(hosts_avoid_esmtp=NAME) as house:
        await delivered(house, server, names)
        await delivered(house, server, names)
    assert ["EHLO" in heard.words for heard in server.heard] == [False, False]


async def test_names_of_serialize_hosts_are_asked_for(names: NameServer) -> None:
    async with serving(Script()) as server, house_with(serialize_hosts=NAME) as house:
        await delivered(house, server, names)


async def test_an_item_that_decides_spares_the_question_behind_it(names: NameServer) -> None:
    async with serving(Script()) as server, house_with(hosts_avoid_esmtp=f"127.0.0.1 : {NAME}") as house:
        (outcome,) = await house.deliver(Target("there", server.port, ("127.0.0.1",)))
    assert isinstance(outcome, Delivered)
    assert names.asked == []
