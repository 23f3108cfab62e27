"""``dnslookup``: the domain's own mail exchangers (RFC 5321 5.1, exim.md 6.4).

A domain that is not found declines, also one whose mail exchangers do not exist or that takes no mail: what is
wrong with it is said if no other router takes the address. A domain that DNS has under another name (a bare word,
``widen_domains``) begins again under that name.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from smarthostd.address import Address
from smarthostd.errors import ExpansionError, HostNotFound, ListDefer, ResolveDefer
from smarthostd.expand import Expander, Values, is_true
from smarthostd.expand.octets import lower
from smarthostd.lists import split
from smarthostd.resolver import MailDomain
from smarthostd.routers.base import (
    Declined,
    Passed,
    Purpose,
    Redirected,
    RoutedAddress,
    RoutingDeferred,
    Target,
    ToTransport,
    Verdict,
)
from smarthostd.routers.hosts import (
    DNS_DEFER,
    Entry,
    Family,
    HostFinder,
    better_than_this_host,
    may_be_in_dns,
    self_verdict,
    usable,
    without_ignored,
)
from smarthostd.syntax import is_address

if TYPE_CHECKING:
    from smarthostd.routers.options.dnslookup import DnslookupOptions

NO_SUCH_DOMAIN = "missing MX, or all MXs point to missing A records, and defer requested"


class Dnslookup:
    """One ``dnslookup`` router."""

    names_hosts = True
    by_domain_alone = False

    def __init__(self, options: DnslookupOptions, expander: Expander, finder: HostFinder) -> None:
        self.name = options.name
        self.options = options
        self._expander = expander
        self._finder = finder
        self._wider = tuple(split(options.widen_domains))

    async def route(self, routed: RoutedAddress, values: Values, purpose: Purpose) -> Verdict:
        """Return the domain's hosts, the best first; or the address in the domain that DNS knows."""
        own = lower(routed.address.domain).rstrip(".")
        as_it_stands = purpose.sender and self.options.rewrite_headers and not routed.parents
        qualify = self.options.qualify_single and not as_it_stands
        try:
            for domain in [own] if as_it_stands else self._names(own):
                found = await self._look_up(domain, own, values, qualify=qualify)
                if isinstance(found, str):
                    return Redirected((Address(routed.address.local_part, found),), renamed=True)
                if found is not None:
                    return found
        except ResolveDefer:
            text = "host lookup did not complete"
            return Passed() if self.options.pass_on_timeout else RoutingDeferred(text)
        except _Undecided as error:
            return RoutingDeferred(str(error), DNS_DEFER)
        return Declined()

    def _names(self, domain: str) -> Iterator[str]:
        yield domain
        yield from (f"{domain}.{wider}" for wider in self._wider)

    async def _look_up(self, domain: str, own: str, values: Values, *, qualify: bool) -> Verdict | str | None:
        """Return the verdict on *domain*, the name that takes the place of *own*, or None where it is not found."""
        declined: Declined | None = None
        if not may_be_in_dns(domain):
            declined = Declined(f'mail domain "{domain}" is syntactically invalid')
        else:
            try:
                return await self._found(domain, own, values, qualify=qualify)
            except HostNotFound as error:
                declined = Declined(str(error)) if str(error) else None
        if self._listed("fail_defer_domains", domain, values):
            return RoutingDeferred(NO_SUCH_DOMAIN, DNS_DEFER)
        return declined

    async def _found(self, domain: str, own: str, values: Values, *, qualify: bool) -> Verdict | str | None:
        """Return the hosts of *domain* or its other name; raises HostNotFound with what is to be said, if anything."""
        known = await self._mail_domain(domain, values, qualify=qualify)
        if [name for _, name in known.exchangers] == [""]:
            raise HostNotFound("an MX or SRV record indicated no SMTP service")
        family = self._family(values)
        if known.exchangers:
            targets = await self._exchangers(known.exchangers, family, values)
        else:
            targets = await self._itself(known.name, family, values)
            if self._listed("mx_domains", known.name, values):
                return None
        if known.name.lower() != own.lower():
            return known.name
        return self._checked(targets)

    async def _mail_domain(self, domain: str, values: Values, *, qualify: bool) -> MailDomain:
        """Return what DNS has on *domain*; raises HostNotFound without words, ResolveDefer."""
        try:
            return await self._finder.mail_domain(domain, qualify=qualify)
        except HostNotFound:
            raise HostNotFound from None
        except ResolveDefer:
            if not self._listed("mx_fail_domains", domain, values):
                raise
            return MailDomain(domain, ())

    def _family(self, values: Values) -> Family:
        if self._holds("ipv4_only", values):
            return Family.IPV4_ONLY
        return Family.IPV4_FIRST if self._holds("ipv4_prefer", values) else Family.ANY

    def _holds(self, name: str, values: Values) -> bool:
        """Whether the condition of the option *name* holds; one that cannot be expanded does not."""
        condition: str = getattr(self.options, name)
        try:
            return is_true(self._expander.expand(condition, values))
        except ExpansionError:
            return False

    def _listed(self, name: str, domain: str, values: Values) -> bool:
        """Whether *domain* is in the domain list of the option *name*; raises _Undecided."""
        listed: str = getattr(self.options, name)
        if not listed:
            return False

        def expand(text: str) -> str:
            return self._expander.expand(text, values)

        try:
            return self._expander.matcher.domain(domain, expand(listed), expand) is not None
        except (ExpansionError, ListDefer) as error:
            raise _Undecided(f"lookup defer in {name}") from error

    async def _itself(self, domain: str, family: Family, values: Values) -> list[Target]:
        """Return the domain as its own host; raises HostNotFound without words."""
        try:
            found = (await self._finder.targets(Entry(domain), dns_only=True, family=family)).targets
        except HostNotFound:
            raise HostNotFound from None
        wanted = without_ignored(found, self.options.ignore_target_hosts, self._expander, values)
        if not wanted:
            raise HostNotFound
        return wanted

    async def _exchangers(self, records: Sequence[tuple[int, str]], family: Family, values: Values) -> list[Target]:
        """Return the mail exchangers, with those that have no address; raises HostNotFound, ResolveDefer."""
        found: list[Target] = []
        later: ResolveDefer | None = None
        takes_addresses = self._expander.facts.allow_mx_to_ip
        # Those with the same preference come in any order (RFC 5321 5.1).
        for preference, name in sorted(random.sample(records, len(records)), key=itemgetter(0)):
            if is_address(name) and not takes_addresses:
                found.append(Target(name, mx=preference))
                continue
            try:
                new = (await self._finder.targets(Entry(name), dns_only=True, family=family)).targets
                wanted = without_ignored(new, self.options.ignore_target_hosts, self._expander, values)
                found += [replace(target, mx=preference) for target in wanted]
            except HostNotFound:
                found.append(Target(name, mx=preference))
            except ResolveDefer as error:
                later = error
                found.append(Target(name, mx=preference))
        if usable(found):
            return _each_once(found)
        if later is not None:
            raise later
        has_address = any(is_address(name) for _, name in records)
        reason = " or (invalidly) to IP addresses" if has_address and not takes_addresses else ""
        raise HostNotFound(f"all relevant MX records point to non-existent hosts{reason}")

    def _checked(self, targets: Sequence[Target]) -> Verdict | str:
        """Leave out this host and what is not better than it; where nothing is better, do what ``self`` says."""
        better = better_than_this_host(targets, self._finder)
        if self.options.check_secondary_mx and len(better) == len(targets):
            return Declined()
        if not better and self.options.self_ == "send":
            better = tuple(targets)
        if better:
            return ToTransport("", usable(better), listed=better)
        return self_verdict(self.options.self_, by_mx=targets[0].mx is not None)


class _Undecided(Exception):
    """A list that cannot be decided, in Exim's words."""


def _each_once(targets: Sequence[Target]) -> list[Target]:
    """Return the targets with each address where it stands first."""
    known: set[str] = set()
    found = []
    for target in targets:
        new = tuple(address for address in target.addresses if address not in known)
        known.update(new)
        if new or not target.addresses:
            found.append(replace(target, addresses=new))
    return found
