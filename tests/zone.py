"""Name service out of a zone as the golden records have one, for lists (``ZoneNames``) and, awaited, for routers."""

from __future__ import annotations

import socket
from typing import Any

from smarthostd.errors import HostNotFound, ResolveDefer
from smarthostd.resolver import Known, MailDomain
from smarthostd.syntax import is_address
from tests.language import ZoneNames


class ZoneResolver:
    """The resolver of a machine whose DNS and hosts file are *zone*'s."""

    def __init__(self, zone: dict[str, Any]) -> None:
        self._zone = zone
        hosts: dict[str, list[str]] = {}
        for line in zone["etc_hosts"].splitlines():
            address, *names = line.split()
            for name in names:
                hosts.setdefault(name, []).append(address)
        self._names = ZoneNames({**zone, "hosts": hosts})
        self._in_dns = ZoneNames(zone)
        self._own_domain = zone["host_name"].partition(".")[2]

    def cached(self, name: str) -> tuple[str, ...] | None:
        return (name,) if is_address(name) else None

    def known(self, name: str) -> Known | None:
        """Answer at once, out of the zone."""
        if is_address(name):
            return Known(name, (name,))
        try:
            return Known(name, tuple(self._names.addresses(name)))
        except (HostNotFound, ResolveDefer) as error:
            return Known(name, failure=error)

    async def canonical(self, name: str) -> str:
        while isinstance(entry := self._zone["zone"].get(name, {}), dict) and "CNAME" in entry:
            (name,) = entry["CNAME"]
        return name

    async def addresses(self, name: str) -> tuple[str, ...]:
        try:
            return (socket.inet_ntoa(socket.inet_aton(name)),)
        except OSError:
            return tuple(self._names.addresses(name))

    async def addresses_in_dns(self, name: str) -> tuple[str, ...]:
        return tuple(self._in_dns.addresses(name))

    async def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        return list((await self.mail_domain(domain, qualify=False)).exchangers)

    async def mail_domain(self, domain: str, *, qualify: bool) -> MailDomain:
        own = f"{domain}.{self._own_domain}"
        if qualify and "." not in domain and own in self._zone["zone"]:
            domain = own
        name, last = domain, domain
        while isinstance(entry := self._zone["zone"].get(name, {}), dict) and "CNAME" in entry:
            name, last = entry["CNAME"][0], name
        return MailDomain(last, tuple(self._in_dns.mail_exchangers(name)))
