"""Host lists as routers write them, and hosts as they are found (exim.md 6.3).

``name::port`` in a colon list, ``[v6]:port``, ``name/MX``, ``+`` between groups that are randomised by themselves.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from smarthostd.errors import ExpansionError, HostNotFound, ListDefer, ResolveDefer
from smarthostd.expand import Expander, Values
from smarthostd.facts import Facts
from smarthostd.lists import split
from smarthostd.resolver import MailDomain
from smarthostd.routers.base import (
    Declined,
    Passed,
    RoutingDeferred,
    RoutingFailed,
    Target,
    Verdict,
)
from smarthostd.syntax import is_address

DNS_DEFER, UNKNOWN_HOST, LOCAL_HOST = -36, -32, -1
NO_NUMBER = -1
"""What Exim says of a trouble that it has no number for."""
_BRACKETED = re.compile(r"\[(.+)\]:(\d+)")
_LABEL = r"\w(?:[\w/-]*\w)?"
_IN_DNS = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")


class HostMissing(HostNotFound):
    """There is no host of this name, which may be the first one's of several mail exchangers."""

    def __init__(self, name: str, *, misspelled: bool = False) -> None:
        super().__init__(name)
        self.name = name
        self.misspelled = misspelled
        """It has not even the form of a name."""


class HostUncertain(ResolveDefer):
    """DNS does not say whether there is a host of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Resolver(Protocol):
    """Name service, awaited."""

    def cached(self, name: str) -> tuple[str, ...] | None:
        """Return what is known of *name* without waiting."""
        ...

    async def addresses(self, name: str) -> tuple[str, ...]:
        """Return the addresses of *name*; raises HostNotFound, ResolveDefer."""
        ...

    async def canonical(self, name: str) -> str:
        """Return the name that *name* is an alias of; raises HostNotFound, ResolveDefer."""
        ...

    async def addresses_in_dns(self, name: str) -> tuple[str, ...]:
        """Return the addresses of *name* in DNS, whatever other sources say; raises HostNotFound, ResolveDefer."""
        ...

    async def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        """Return (preference, name) pairs; raises HostNotFound, ResolveDefer."""
        ...

    async def mail_domain(self, domain: str, *, qualify: bool) -> MailDomain:
        """Return what DNS has on *domain*, with *qualify* a bare word in the own domain; raises as the others do."""
        ...


class Family(Enum):
    """Which of a host's addresses are wanted: the words of ``route_list``."""

    ANY = ""
    IPV4_ONLY = "ipv4_only"
    IPV4_FIRST = "ipv4_prefer"


def _of_family(addresses: tuple[str, ...], family: Family, *, strictly: bool) -> tuple[str, ...]:
    """Return *addresses* as *family* wants them.

    Exim obeys ``ipv4_only`` in DNS only: where that has nothing, the host's name is looked up without it.
    """
    if family is Family.ANY:
        return addresses
    version_4 = tuple(address for address in addresses if ":" not in address)
    if family is Family.IPV4_ONLY:
        return version_4 if version_4 or strictly else addresses
    return (*version_4, *(address for address in addresses if ":" in address))


class Entry(Struct, frozen=True):
    """One item of a host list."""

    name: str
    port: int | None = None
    mx: bool = False


def read_hosts(text: str, *, randomize: bool = False, nameless: bool = False) -> list[Entry]:
    """Return the entries of a host list, in the order to try them; with *nameless* the empty ones, too."""
    groups = _groups(text)
    if randomize:
        groups = tuple(tuple(random.sample(group, len(group))) for group in groups)
    return [entry for group in groups for entry in group if entry.name or nameless]


def named_targets(text: str) -> tuple[Target, ...]:
    """Return the hosts of a list by name, not looked up: ``fallback_hosts`` of a router or a transport."""
    return tuple(Target(entry.name, entry.port) for entry in read_hosts(text))


@lru_cache(1024)
def _groups(text: str) -> tuple[tuple[Entry, ...], ...]:
    groups: list[list[Entry]] = [[]]
    for item in split(text):
        if item == "+":
            groups.append([])
        else:
            groups[-1].append(_entry(item))
    return tuple(map(tuple, groups))


def _entry(item: str) -> Entry:
    bracketed = _BRACKETED.fullmatch(item)
    if bracketed:
        return Entry(bracketed[1], int(bracketed[2]))
    name, colon, port = item.rpartition(":")
    if not (colon and port.isdigit() and ":" not in name):
        name, port = item, ""
    mx = name.upper().endswith("/MX")
    return Entry(name[:-3] if mx else name, int(port) if port else None, mx)


def may_be_in_dns(name: str) -> bool:
    """Whether *name* has the form of a domain name; what has not is not asked for."""
    return not name.isascii() or _IN_DNS.fullmatch(name) is not None


class Found(NamedTuple):
    """What an entry of a host list stands for."""

    targets: list[Target]
    """In order, with mail exchangers that have no address."""
    uncertain: bool = False
    """DNS has not said everything of the exchangers."""


class HostFinder:
    """Finds the addresses of entries; what fails says so as a verdict."""

    def __init__(self, resolver: Resolver, facts: Facts) -> None:
        self._resolver = resolver
        self._local = facts.local_addresses
        self._own_ports = facts.own_ports
        self._dns_names = 2 in facts.exim_strict
        self._takes_addresses = facts.allow_mx_to_ip

    async def addresses(self, name: str) -> tuple[str, ...]:
        """Return the addresses of *name*, awaiting only where they are not known."""
        known = self._resolver.cached(name)
        return known if known is not None else await self._resolver.addresses(name)

    def known(self, hosts: str) -> tuple[Target, ...]:
        """Return the targets of a host list, if each is a name whose addresses are known and not this host's."""
        targets = []
        for entry in read_hosts(hosts, nameless=True):
            addresses = None if entry.mx or self._dns_names else self._resolver.cached(entry.name)
            target = Target(entry.name, entry.port, addresses or ())
            if not addresses or self.is_local(target):
                return ()
            targets.append(target)
        return tuple(targets)

    async def mail_domain(self, domain: str, *, qualify: bool) -> MailDomain:
        """Return what DNS has on *domain*; raises HostNotFound, ResolveDefer."""
        return await self._resolver.mail_domain(domain, qualify=qualify)

    async def targets(self, entry: Entry, *, dns_only: bool = False, family: Family = Family.ANY) -> Found:
        """Return the targets of one entry; raises HostMissing, HostUncertain."""
        if not entry.mx:
            return Found([await self._target(entry.name, entry, None, dns_only, family)])
        targets: list[Target] = []
        troubles: list[HostMissing | HostUncertain] = []
        for preference, name in await self._exchangers(entry.name):
            try:
                if is_address(name) and not self._takes_addresses:
                    raise HostMissing(name)
                targets.append(await self._target(name, entry, preference, True, family))
            except (HostMissing, HostUncertain) as error:
                targets.append(Target(name, entry.port, mx=preference))
                troubles.append(error)
        uncertain = any(isinstance(trouble, HostUncertain) for trouble in troubles)
        if any(target.addresses for target in targets):
            return Found(targets, uncertain)
        if uncertain:
            raise HostUncertain(targets[0].name)
        raise HostMissing(targets[0].name, misspelled=any(getattr(one, "misspelled", False) for one in troubles))

    async def _exchangers(self, domain: str) -> list[tuple[int, str]]:
        """Return (preference, name) of what ``domain/MX`` means, the best first: without any there is no such host."""
        if not may_be_in_dns(domain):
            raise HostMissing(domain, misspelled=True)
        try:
            found = await self._resolver.mail_exchangers(domain)
        except HostNotFound:
            found = []
        except ResolveDefer:
            raise HostUncertain(domain) from None
        if not found:
            raise HostMissing(domain)
        return sorted(found)

    async def _target(self, name: str, entry: Entry, preference: int | None, dns_only: bool, family: Family) -> Target:
        dns_only = dns_only and not is_address(name)
        if dns_only and not may_be_in_dns(name):
            raise HostMissing(name, misspelled=True)
        if not name:  # Exim asks the C library, which does not know
            raise HostUncertain(name)
        try:
            addresses = await (self._resolver.addresses_in_dns(name) if dns_only else self.addresses(name))
            shown = await self._resolver.canonical(name) if self._dns_names else name
        except HostNotFound:
            raise HostMissing(name) from None
        except ResolveDefer:
            raise HostUncertain(name) from None
        wanted = _of_family(addresses, family, strictly=dns_only)
        if not wanted:
            raise HostMissing(name)
        return Target(shown, entry.port, wanted, preference)

    def is_local(self, target: Target) -> bool:
        """Whether *target* is this host: a local address, at a port that we listen on (difference 9)."""
        if self._own_ports is not None and (target.port or 25) not in self._own_ports:
            return False
        local = self._local()
        return any(address in local for address in target.addresses)


def usable(targets: Sequence[Target]) -> tuple[Target, ...]:
    """Return those that have an address."""
    return tuple([target for target in targets if target.addresses])


def better_than_this_host(targets: Sequence[Target], finder: HostFinder) -> tuple[Target, ...]:
    """Return the targets without this host and what is not preferred to it: empty where nothing usable is."""
    own = [-1 if target.mx is None else target.mx for target in targets if finder.is_local(target)]
    if not own:
        return tuple(targets)
    better = tuple(target for target in targets if target.mx is not None and target.mx < min(own))
    return better if usable(better) else ()


def self_verdict(option: str, *, by_mx: bool) -> Verdict | str:
    """Return what ``self`` says for a first host that is this host; a text means: route to that domain."""
    text = "lowest numbered MX record points to local host" if by_mx else "remote host address is the local host"
    word = option.strip()
    if word.startswith("reroute:"):
        return word.removeprefix("reroute:").strip().removeprefix("rewrite:").strip()
    match word:
        case "defer":
            return RoutingDeferred(text, LOCAL_HOST)
        case "fail":
            return RoutingFailed(text)
        case "pass":
            return Passed(text)
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


def without_ignored(targets: Sequence[Target], listed: str, expander: Expander, values: Values) -> list[Target]:
    """Return the targets without addresses in the host list *listed*, those left out of which nothing is left."""
    if not listed:
        return list(targets)

    def expand(text: str) -> str:
        return expander.expand(text, values)

    def is_ignored(address: str, name: str) -> bool:
        try:
            return expander.matcher.host(address, name, expand(listed), expand) is not None
        except (ExpansionError, ListDefer):
            return False

    found = []
    for target in targets:
        addresses = tuple(address for address in target.addresses if not is_ignored(address, target.name))
        if addresses or not target.addresses:
            found.append(replace(target, addresses=addresses))
    return found


__all__ = [
    "Entry", "Family", "HostFinder", "HostMissing", "HostNotFound", "HostUncertain", "ResolveDefer", "Resolver",
    "may_be_in_dns", "read_hosts",
]  # fmt: skip
