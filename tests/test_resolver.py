"""What the resolver remembers, for how long, and how it asks on behalf of strangers."""

from __future__ import annotations

import asyncio
import socket
import threading
from datetime import timedelta
from typing import Any

import pytest

from smarthostd.errors import HostNotFound, ResolveDefer
from smarthostd.resolver import BlockingNames, KnownNames, NamesToAsk, Resolver, Unasked

ADDRESS, NAME = "192.0.2.1", "client.example"
PATIENCE = 20
AGAIN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


class System:
    """Stands in for the system's resolver."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.addresses: list[str] | OSError = [ADDRESS]
        self.name: str | OSError = NAME
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)
        monkeypatch.setattr(socket, "gethostbyaddr", self._gethostbyaddr)

    def _getaddrinfo(self, name: str, *rest: object) -> list[Any]:
        self.asked.append(name)
        if isinstance(self.addresses, OSError):
            raise self.addresses
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, name, (one, 0)) for one in self.addresses]

    def _gethostbyaddr(self, address: str) -> tuple[str, list[str], list[str]]:
        self.asked.append(address)
        if isinstance(self.name, OSError):
            raise self.name
        return self.name, [], [address]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    return System(monkeypatch)


def in_time() -> float:
    return asyncio.get_running_loop().time() + PATIENCE


@pytest.mark.parametrize(("ttl", "times"), [(60, 1), (0, 2)], ids=["fresh", "old"])
async def test_the_name_of_an_address_is_asked_for_again_when_it_is_old(system: System, ttl: int, times: int) -> None:
    resolver = Resolver(timedelta(seconds=ttl))
    for _ in range(2):
        names = NamesToAsk(resolver)
        try:
            names.name_of(ADDRESS)
        except Unasked as unasked:
            await unasked.find_out(in_time())
        assert names.name_of(ADDRESS) == NAME
    assert system.asked == [ADDRESS, NAME] * times
    assert KnownNames(resolver).name_of(ADDRESS) == NAME


def test_a_tool_that_waits_asks_once_too(system: System) -> None:
    names = BlockingNames(Resolver())
    assert [names.name_of(ADDRESS), names.name_of(ADDRESS)] == [NAME, NAME]
    assert system.asked == [ADDRESS, NAME]


FAILURES = {
    "no name": (socket.herror(1, "Unknown host"), HostNotFound),
    "no server answers": (socket.herror(2, "Host name lookup failure"), ResolveDefer),
    "no server can": (socket.herror(3, "Unknown server error"), ResolveDefer),
    "no resolver": (OSError(24, "Too many open files"), ResolveDefer),
}


@pytest.mark.parametrize(("failure", "raised"), FAILURES.values(), ids=FAILURES)
def test_what_is_wrong_with_the_name_of_an_address(system: System, failure: OSError, raised: type[Exception]) -> None:
    system.name = failure
    with pytest.raises(raised):
        BlockingNames(Resolver()).name_of(ADDRESS)


@pytest.mark.parametrize(
    ("addresses", "raised"),
    [(["192.0.2.9"], HostNotFound), (AGAIN, ResolveDefer)],
    ids=["it leads elsewhere", "it is not told where it leads"],
)
def test_a_name_must_lead_back(system: System, addresses: list[str] | OSError, raised: type[Exception]) -> None:
    system.addresses = addresses
    with pytest.raises(raised):
        BlockingNames(Resolver()).name_of(ADDRESS)


async def test_an_old_answer_counts_while_dns_is_silent(system: System) -> None:
    resolver = Resolver(timedelta(0))
    await resolver.find_out(NAME, in_time())
    system.addresses = AGAIN
    names = NamesToAsk(resolver)
    with pytest.raises(Unasked) as caught:
        names.addresses(NAME)
    await caught.value.find_out(in_time())
    assert names.addresses(NAME) == [ADDRESS]


async def test_what_nobody_has_asked_for_is_undecided_and_known_the_next_time(system: System) -> None:
    resolver = Resolver()
    names = KnownNames(resolver)
    with pytest.raises(ResolveDefer):
        names.addresses(NAME)
    with pytest.raises(ResolveDefer):
        names.name_of(ADDRESS)
    await asyncio.gather(resolver.ask_for(NAME), resolver.ask_for_name(ADDRESS))
    assert names.addresses(NAME) == [ADDRESS]
    assert names.name_of(ADDRESS) == NAME


async def test_only_so_many_questions_are_asked_at_one_time(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred clients whose name server is silent do not make a hundred threads."""
    monkeypatch.setattr("smarthostd.resolver.ASKING_LIMIT", 2)
    lock, both, asking, most = threading.Lock(), threading.Barrier(2), 0, 0

    def gethostbyaddr(address: str) -> tuple[str, list[str], list[str]]:
        nonlocal asking, most
        with lock:
            asking += 1
            most = max(most, asking)
        both.wait(PATIENCE)
        with lock:
            asking -= 1
        raise socket.herror(1, "Unknown host")

    monkeypatch.setattr(socket, "gethostbyaddr", gethostbyaddr)
    resolver = Resolver()
    await asyncio.gather(*(resolver.find_out_name(f"192.0.2.{number}", in_time()) for number in range(10)))
    assert most == 2
    assert all(resolver.known_name(f"192.0.2.{number}") for number in range(10))


async def test_one_question_is_asked_once_for_all_who_wait(system: System) -> None:
    resolver = Resolver()
    await asyncio.gather(*(resolver.find_out(NAME, in_time()) for _ in range(10)))
    assert system.asked == [NAME]
