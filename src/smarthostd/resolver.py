"""Names to addresses, through the system's resolver, cached; MX records through dnspython.

getaddrinfo honours /etc/hosts and nsswitch.conf and runs in an executor. An answer is kept for *ttl*
and given out for longer while DNS is out of order: an old address beats none.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address

from smarthostd.errors import HostNotFound, ResolveDefer

DNS_TIMEOUT = 10.0
"""Seconds for one question to a name server (MX)."""
CACHE_LIMIT = 10_000
_GONE = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5), getattr(socket, "EAI_ADDRFAMILY", -9)})


def is_address(text: str) -> bool:
    """Return whether *text* is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def look_up(name: str) -> tuple[str, ...]:
    """Ask the system for the addresses of *name*, IPv6 first; blocks. Raises HostNotFound, ResolveDefer."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except socket.gaierror as error:
        if error.errno in _GONE:
            raise HostNotFound(f"no IP address found for host {name}") from error
        raise ResolveDefer(f"host lookup for {name} did not complete ({error.strerror})") from error
    except UnicodeError as error:
        raise HostNotFound(f"{name} is no host name") from error
    ordered = sorted(found, key=lambda one: one[0] != socket.AF_INET6)
    return tuple(dict.fromkeys(str(one[4][0]) for one in ordered))


class Resolver:
    """Finds addresses; *hosts* are fixed answers that come before the system's."""

    def __init__(
        self, ttl: timedelta = timedelta(seconds=60), hosts: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._ttl = ttl.total_seconds()
        self._hosts = {name.lower(): tuple(addresses) for name, addresses in (hosts or {}).items()}
        self._cache: dict[str, tuple[float, tuple[str, ...]]] = {}

    def cached(self, name: str) -> tuple[str, ...] | None:
        """Return the addresses of *name* where they are known and fresh, without waiting."""
        if is_address(name):
            return (name,)
        name = name.lower()
        if name in self._hosts:
            return self._hosts[name]
        known = self._cache.get(name)
        return known[1] if known and time.monotonic() - known[0] < self._ttl else None

    async def addresses(self, name: str) -> tuple[str, ...]:
        """Return the addresses of *name*, IPv6 first; raises HostNotFound or ResolveDefer."""
        known = self.cached(name)
        if known is not None:
            return known
        name = name.lower()
        try:
            found = await asyncio.get_running_loop().run_in_executor(None, look_up, name)
        except ResolveDefer:
            stale = self._cache.get(name)
            if stale is None:
                raise
            return stale[1]
        if len(self._cache) >= CACHE_LIMIT:
            self._cache.clear()
        self._cache[name] = (time.monotonic(), found)
        return found

    async def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        """Return (preference, name) for the MX records of *domain*; raises HostNotFound, ResolveDefer."""
        return await asyncio.get_running_loop().run_in_executor(None, mail_exchangers, domain)


def mail_exchangers(domain: str) -> list[tuple[int, str]]:
    """Ask DNS for MX records; blocks. An existing domain without any gives an empty list."""
    import dns.exception
    import dns.resolver

    try:
        answer = dns.resolver.resolve(domain, "MX", lifetime=DNS_TIMEOUT, search=False)
    except dns.resolver.NXDOMAIN as error:
        raise HostNotFound(domain) from error
    except dns.resolver.NoAnswer:
        return []
    except dns.exception.DNSException as error:
        raise ResolveDefer(f"host lookup for {domain} did not complete (DNS timeout?)") from error
    return sorted((int(one.preference), str(one.exchange).rstrip(".")) for one in answer)


class BlockingNames:
    """Name service for lists, which cannot await: fixed answers first, then the system's."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def addresses(self, name: str) -> list[str]:
        """Return the IP addresses of *name*; raises HostNotFound or ResolveDefer."""
        return list(self._resolver.cached(name) or look_up(name))

    def name_of(self, address: str) -> str:
        """Return the reverse name of *address*, if it leads back there; raises HostNotFound or ResolveDefer."""
        try:
            name, _, _ = socket.gethostbyaddr(address)
        except socket.herror as error:
            raise HostNotFound(f"no host name found for IP address {address}") from error
        except OSError as error:
            raise ResolveDefer(f"reverse lookup of {address} did not complete ({error})") from error
        if address not in self.addresses(name):
            raise HostNotFound(f"{name} does not lead back to {address}")
        return name

    def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        """Return (preference, name) pairs; raises HostNotFound or ResolveDefer."""
        return mail_exchangers(domain)
