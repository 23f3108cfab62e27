"""Host lists as routers write them, and hosts as they are found (exim.md 6.3).

``name::port`` in a colon list, ``[v6]:port``, ``name/MX``, ``+`` between groups that are randomised by themselves.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from smarthostd.errors import HostNotFound, ResolveDefer
from smarthostd.facts import Facts
from smarthostd.lists import split
from smarthostd.routers.base import (
    Declined,
    Passed,
    RoutingDeferred,
    RoutingFailed,
    Target,
    Verdict,
)

DNS_DEFER, UNKNOWN_HOST, LOCAL_HOST = -36, -32, -1
_BRACKETED = re.compile(r"\[([^\[\]]+)\]:(\d+)")


class Resolver(Protocol):
    """Name service, awaited."""

    def cached(self, name: str) -> tuple[str, ...] | None:
        """Return what is known of *name* without waiting."""
        ...

    async def addresses(self, name: str) -> tuple[str, ...]:
        """Return the addresses of *name*; raises HostNotFound, ResolveDefer."""
        ...

    async def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        """Return (preference, name) pairs; raises HostNotFound, ResolveDefer."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of a host list."""

    name: str
    port: int | None = None
    mx: bool = False


def read_hosts(text: str, *, randomize: bool = False) -> list[Entry]:
    """Return the entries of a host list, in the order to try them."""
    groups: list[list[Entry]] = [[]]
    for item in split(text):
        if item == "+":
            groups.append([])
        elif item:
            groups[-1].append(_entry(item))
    if randomize:
        for group in groups:
            random.shuffle(group)
    return [entry for group in groups for entry in group]


def _entry(item: str) -> Entry:
    bracketed = _BRACKETED.fullmatch(item)
    if bracketed:
        return Entry(bracketed[1], int(bracketed[2]))
    name, colon, port = item.rpartition(":")
    if not (colon and port.isdigit() and ":" not in name):
        name, port = item, ""
    mx = name.upper().endswith("/MX")
    return Entry(name[:-3] if mx else name, int(port) if port else None, mx)


class HostFinder:
    """Finds the addresses of entries; what fails says so as a verdict."""

    def __init__(self, resolver: Resolver, facts: Facts) -> None:
        self._resolver = resolver
        self._local = facts.local_addresses
        self._own_ports = facts.own_ports

    async def addresses(self, name: str) -> tuple[str, ...]:
        """Return the addresses of *name*, awaiting only where they are not known."""
        known = self._resolver.cached(name)
        return known if known is not None else await self._resolver.addresses(name)

    async def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        """Return (preference, name) pairs."""
        return await self._resolver.mail_exchangers(domain)

    async def targets(self, entry: Entry) -> list[Target]:
        """Return the targets of one entry; raises HostNotFound or ResolveDefer."""
        if not entry.mx:
            return [Target(entry.name, entry.port, await self.addresses(entry.name))]
        found = await self._resolver.mail_exchangers(entry.name)
        if not found:
            return [Target(entry.name, entry.port, await self.addresses(entry.name))]
        return [Target(name, entry.port, await self.addresses(name), preference) for preference, name in sorted(found)]

    def is_local(self, target: Target) -> bool:
        """Whether *target* is this host: a local address, at a port that we listen on (difference 9)."""
        if self._own_ports is not None and (target.port or 25) not in self._own_ports:
            return False
        local = self._local()
        return any(address in local for address in target.addresses)


def without_local(targets: Sequence[Target], finder: HostFinder) -> tuple[tuple[Target, ...], bool]:
    """Return the targets before the first that is this host, and whether the very first one is."""
    for at, target in enumerate(targets):
        if finder.is_local(target):
            return tuple(targets[:at]), at == 0
    return tuple(targets), False


def self_verdict(option: str, domain: str) -> Verdict | str:
    """Return what ``self`` says for a first host that is this host; a text means: route to that domain."""
    word = option.strip()
    if word.startswith("reroute:"):
        return word.removeprefix("reroute:").strip().removeprefix("rewrite:").strip()
    text = "remote host address is the local host"
    match word:
        case "defer":
            return RoutingDeferred(text, LOCAL_HOST)
        case "fail":
            return RoutingFailed(text)
        case "pass":
            return Passed()
        case _:
            return RoutingDeferred(text, LOCAL_HOST, frozen=True)


def failure_verdict(option: str, text: str, errno: int = UNKNOWN_HOST) -> Verdict:
    """Return what ``host_find_failed`` or ``host_all_ignored`` says."""
    match option:
        case "defer":
            return RoutingDeferred(text, errno)
        case "fail":
            return RoutingFailed(text)
        case "decline":
            return Declined()
        case "pass":
            return Passed()
        case _:
            return RoutingDeferred(text, errno, frozen=True)


def kept(targets: Sequence[Target], ignored: set[str]) -> Iterator[Target]:
    """Yield the targets that have an address left without the *ignored* ones."""
    for target in targets:
        addresses = tuple(address for address in target.addresses if address not in ignored)
        if addresses:
            yield replace(target, addresses=addresses)


__all__ = ["Entry", "HostFinder", "HostNotFound", "ResolveDefer", "Resolver", "read_hosts"]
