"""``dnslookup``: the domain's own mail exchangers (RFC 5321 5.1, exim.md 6.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from smarthostd.errors import HostNotFound, ResolveDefer
from smarthostd.expand import Expander, Values
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
from smarthostd.routers.hosts import DNS_DEFER, HostFinder, self_verdict, without_ignored, without_local
from smarthostd.routers.options import RouterOptions
from smarthostd.syntax import is_address


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

    names_hosts = True

    def __init__(self, options: DnslookupOptions, expander: Expander, finder: HostFinder) -> None:
        self.name = options.name
        self.options = options
        self._expander = expander
        self._finder = finder

    async def route(self, routed: RoutedAddress, values: Values) -> Verdict:
        """Return the domain's hosts, the best first."""
        domain = routed.address.domain.rstrip(".")
        if domain.startswith("["):
            return RoutingFailed(f'mail domain "{domain}" is syntactically invalid')
        try:
            return await self._look_up(domain, values)
        except HostNotFound:
            return Declined()
        except ResolveDefer:
            text = "host lookup did not complete"
            return Passed() if self.options.pass_on_timeout else RoutingDeferred(text, DNS_DEFER)

    async def _look_up(self, domain: str, values: Values) -> Verdict:
        records = sorted(await self._finder.mail_exchangers(domain))
        if [name for _, name in records] == [""]:
            return RoutingFailed("an MX or SRV record indicated no SMTP service")
        if records:
            targets = await self._exchangers(records)
            listed = "all relevant MX records point to non-existent hosts"
        else:
            targets = [Target(domain, None, await self._finder.addresses(domain))]
            listed = "all relevant host addresses were ignored"
        targets = without_ignored(targets, self.options.ignore_target_hosts, self._expander, values)
        if not targets:
            has_address = any(is_address(name) for _, name in records)
            return RoutingFailed(listed + " or (invalidly) to IP addresses" * has_address)
        return self._checked(domain, targets, by_mx=bool(records))

    async def _exchangers(self, records: Sequence[tuple[int, str]]) -> list[Target]:
        """Return the mail exchangers that have an address; one that is written as an address is none."""
        targets = []
        for preference, name in records:
            if is_address(name):
                continue
            try:
                targets.append(Target(name, None, await self._finder.addresses(name), preference))
            except HostNotFound:
                continue
        return targets

    def _checked(self, domain: str, targets: Sequence[Target], *, by_mx: bool) -> Verdict:
        """Look whether the hosts are this host, as ``self`` says."""
        usable, first_is_local = without_local(targets, self._finder)
        if not first_is_local:
            return ToTransport("", usable)
        if self.options.self_ == "send":
            return ToTransport("", tuple(targets))
        text = "lowest numbered MX record points to local host" if by_mx else "remote host address is the local host"
        verdict = self_verdict(self.options.self_, domain, text)
        return RoutingDeferred("reroute is not there for dnslookup") if isinstance(verdict, str) else verdict
