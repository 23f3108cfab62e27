"""``dnslookup``: the domain's own mail exchangers (RFC 5321 5.1, exim.md 6.4)."""

from __future__ import annotations

from typing import Literal

from smarthostd.errors import HostNotFound, ResolveDefer
from smarthostd.expand import Values
from smarthostd.options import Bool, DomainList, StringList, option
from smarthostd.routers.base import (
    Declined,
    Passed,
    RoutedAddress,
    RoutingDeferred,
    RoutingFailed,
    Target,
    ToTransport,
    Verdict,
)
from smarthostd.routers.hosts import DNS_DEFER, HostFinder, self_verdict, without_local
from smarthostd.routers.options import RouterOptions


class DnslookupOptions(RouterOptions):
    """Options of ``driver = dnslookup``."""

    driver: Literal["dnslookup"]
    mx_domains: DomainList = option("", "Domains that must have MX records.")
    mx_fail_domains: DomainList = option("", "Accepted and ignored.")
    srv_fail_domains: DomainList = option("", "Accepted and ignored.")
    check_secondary_mx: Bool = option(False, "Only for domains of which this host is a secondary MX.")
    check_srv: StringList = option("", "Accepted only if empty: SRV is not looked up.", max_length=0)
    fail_defer_domains: DomainList = option("", "Accepted and ignored.")
    ipv4_only: DomainList = option("", "Accepted and ignored.")
    ipv4_prefer: DomainList = option("", "Accepted and ignored.")
    dnssec_request_domains: DomainList = option("*", "Accepted and ignored.")
    dnssec_require_domains: DomainList = option("", "Accepted only if empty: DNSSEC is not checked.", max_length=0)
    qualify_single: Bool = option(True, "Accepted and ignored.")
    rewrite_headers: Bool = option(True, "Accepted and ignored.")
    same_domain_copy_routing: Bool = option(False, "Accepted and ignored.")
    search_parents: Bool = option(False, "Accepted and ignored.")
    widen_domains: StringList = option("", "Accepted only if empty: domains are not widened.", max_length=0)


class Dnslookup:
    """One ``dnslookup`` router."""

    def __init__(self, options: DnslookupOptions, finder: HostFinder) -> None:
        self.name = options.name
        self.options = options
        self._finder = finder

    async def route(self, routed: RoutedAddress, values: Values) -> Verdict:
        """Return the domain's hosts, the best first."""
        domain = routed.address.domain.rstrip(".")
        try:
            targets = await self._targets(domain)
        except HostNotFound:
            return Declined()
        except ResolveDefer:
            return (
                Passed() if self.options.pass_on_timeout else RoutingDeferred("host lookup did not complete", DNS_DEFER)
            )
        if targets is None:
            return RoutingFailed("an MX or SRV record indicated no SMTP service")
        usable, first_is_local = without_local(targets, self._finder)
        if first_is_local and self.options.self_ != "send":
            verdict = self_verdict(self.options.self_, domain)
            return RoutingDeferred("reroute is not there for dnslookup") if isinstance(verdict, str) else verdict
        if not usable and not first_is_local:
            return RoutingFailed("all relevant MX records point to non-existent hosts")
        return ToTransport("", tuple(targets) if first_is_local else usable)

    async def _targets(self, domain: str) -> list[Target] | None:
        """Return the hosts; None for a null MX (RFC 7505)."""
        records = await self._finder.mail_exchangers(domain)
        if not records:
            return [Target(domain, None, await self._finder.addresses(domain))]
        if [name for _, name in records] == [""]:
            return None
        targets = []
        for preference, name in sorted(records):
            try:
                targets.append(Target(name, None, await self._finder.addresses(name), preference))
            except HostNotFound:
                continue
        return targets
