"""``manualroute``: the administrator says where mail goes (exim.md 6.3).

``route_list`` is a list of rules ``pattern hosts options`` between semicolons; ``route_data`` is one expanded
text ``hosts options``. The rules are read once; their hosts are expanded each time they are used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from smarthostd.address import Address
from smarthostd.errors import ExpansionError, ForcedFailure, ListDefer
from smarthostd.expand import Expander, Values
from smarthostd.lists import ListBroken, Match, split
from smarthostd.routers.base import (
    Chosen,
    Declined,
    Passed,
    Purpose,
    Redirected,
    RoutedAddress,
    RoutingDeferred,
    Target,
    ToTransport,
    TransportFacts,
    Verdict,
    without_numbers,
)
from smarthostd.routers.hosts import (
    DNS_DEFER,
    NO_NUMBER,
    Entry,
    Family,
    Found,
    HostFinder,
    HostMissing,
    HostUncertain,
    better_than_this_host,
    failure_verdict,
    read_hosts,
    self_verdict,
    usable,
    without_ignored,
)

if TYPE_CHECKING:
    from smarthostd.routers.options.manualroute import ManualrouteOptions

_FLAGS = ("randomize", "no_randomize", "byname", "bydns", "ipv4_only", "ipv4_prefer")
_STRENGTH = (Family.ANY, Family.IPV4_FIRST, Family.IPV4_ONLY)
_OPTION_WORD = re.compile(r"\s*(\S+)")


class Rule(Struct, frozen=True):
    """One rule of ``route_list``: hosts not yet expanded."""

    pattern: str
    hosts: str
    options: str


def read_rules(text: str | tuple[str, ...]) -> tuple[Rule, ...]:
    """Return the rules of a ``route_list``."""
    items = text if isinstance(text, tuple) else split(text, ";")
    return tuple(_rule(item) for item in items if item)


def _rule(item: str) -> Rule:
    pattern, rest = _word(item)
    hosts, options = _word(rest)
    return Rule(pattern, hosts, options.strip())


def _word(text: str) -> tuple[str, str]:
    """Return the first word of *text*, which may stand in double quotes, and what follows it."""
    text = text.lstrip()
    if text.startswith('"'):
        match = re.match(r'"((?:\\.|[^"\\])*)"?', text, re.DOTALL)
        assert match is not None, "it begins with a quote"
        return re.sub(r"\\(.)", r"\1", match[1]), text[match.end() :]
    word = re.match(r"\S*", text)
    assert word is not None, "an empty word is one, too"
    return word[0], text[word.end() :]


class _Words(Struct, frozen=True):
    """What the words behind the hosts say."""

    randomize: bool
    transport: str = ""
    by: str = ""
    """``byname``, ``bydns``; empty: by both."""
    family: Family = Family.ANY


class Manualroute:
    """One ``manualroute`` router."""

    names_hosts = True

    def __init__(
        self,
        options: ManualrouteOptions,
        expander: Expander,
        finder: HostFinder,
        transports: Mapping[str, TransportFacts],
    ) -> None:
        self.name = options.name
        self.options = options
        self._expander = expander
        self._finder = finder
        self._transports = transports
        self._rules = read_rules(options.route_list)
        self._known_words = {rule.options: self._read_words(rule.options) for rule in self._rules}
        strict = 6 in expander.facts.exim_strict
        given = "host_find_failed" in options.model_fields_set
        self._find_failed = options.host_find_failed if given or strict else "defer"
        varied = options.route_data or options.hosts_randomize or options.ignore_target_hosts
        self.by_domain_alone = not varied and all(map(self._is_plain, self._rules))

    def _is_plain(self, rule: Rule) -> bool:
        """Whether a rule gives all mail for a domain the same hosts in the same order."""
        words = self._known_words[rule.options]
        steady = isinstance(words, _Words) and not words.randomize
        return steady and "$" not in rule.hosts and self._expander.matcher.is_plain(rule.pattern)

    async def route(self, routed: RoutedAddress, values: Values, purpose: Purpose) -> Verdict | Chosen:
        """Return the hosts that the first fitting rule names."""
        found = self._route_text(routed, values)
        if not isinstance(found, tuple):
            return found
        hosts, text = found
        words = self._known_words.get(text) or self._read_words(text)
        if isinstance(words, RoutingDeferred):
            return words
        return Chosen(words.transport, partial(self._found, routed, hosts, words, values))

    # -- which rule

    def _route_text(self, routed: RoutedAddress, values: Values) -> tuple[str, str] | Verdict:
        """Return hosts and option words, or a verdict."""
        options = self.options
        try:
            if options.route_data:
                text = self._expanded(options.route_data, values)
                if not text.strip():
                    return Declined()
                hosts, words = _word(text)
                return hosts, words.strip()
            return self._rule_text(routed, values)
        except ForcedFailure:
            return Declined()
        except ListBroken:
            raise
        except ListDefer:
            return RoutingDeferred("lookup defer in route_list")
        except ExpansionError as error:
            return RoutingDeferred(str(error))

    def _expanded(self, template: str, values: Values) -> str:
        """Return what *template* stands for; raises ForcedFailure, or ExpansionError with it."""
        try:
            return self._expander.expand(template, values)
        except ForcedFailure:
            raise
        except ExpansionError as error:
            raise ExpansionError(f'failed to expand "{template}": {error}') from error

    def _rule_text(self, routed: RoutedAddress, values: Values) -> tuple[str, str] | Verdict:
        for rule in self._rules:
            match = self._match(rule.pattern, routed.address.domain, values)
            if match is not None:
                return self._hosts(rule, match, values)
        return Declined()

    def _hosts(self, rule: Rule, match: Match, values: Values) -> tuple[str, str] | RoutingDeferred:
        """Return a rule's hosts and words; what is wrong is told with this router's name, and not so in route_data."""
        if "$" in rule.hosts:  # else nothing that the match has left can count
            values = {**without_numbers(values), "value": match.value}
            values.update({str(number): text for number, text in enumerate(match.numbered)})
        try:
            return self._expanded(rule.hosts, values), rule.options
        except ForcedFailure:
            raise
        except ExpansionError as error:
            return RoutingDeferred(f"{self.name} router: {error}")

    def _match(self, pattern: str, domain: str, values: Values) -> Match | None:
        def expand(text: str) -> str:
            return self._expander.expand(text, values)

        text = expand(pattern)
        # A separator that nobody types: the pattern is one item, colons and all.
        return self._expander.matcher.domain(domain, f"<\x01{text}", expand)

    def _read_words(self, words: str) -> _Words | RoutingDeferred:
        """Read the words behind the hosts; a word may be cut short, as in Exim."""
        read = _Words(self.options.hosts_randomize)
        at = 0
        while match := _OPTION_WORD.match(words, at):
            word = match[1]
            flag = next((flag for flag in _FLAGS if flag.startswith(word)), "")
            if flag.endswith("randomize"):
                read = replace(read, randomize=flag == "randomize")
            elif flag == "byname":
                read = replace(read, by=flag)
            elif flag == "bydns":  # in Exim it forgets ipv4_only and ipv4_prefer before it
                read = replace(read, by=flag, family=Family.ANY)
            elif flag:
                read = replace(read, family=max(read.family, Family(flag), key=_STRENGTH.index))
            elif name := next((name for name in self._transports if name.startswith(word)), ""):
                read = replace(read, transport=name)
            else:
                unknown = words[match.start(1) :]
                return RoutingDeferred(f'error in router: unknown routing option or transport name "{unknown}"', -1)
            at = match.end()
        return read

    # -- which hosts

    async def _found(self, routed: RoutedAddress, hosts: str, words: _Words, values: Values, transport: str) -> Verdict:
        """Return the hosts for *transport*: looked up, but for a local one, for which they are a text."""
        if not hosts:
            return ToTransport(transport)
        if self._transports.get(transport, TransportFacts()).local:
            return ToTransport(transport, (Target(hosts),))
        if known := self._known(hosts, words):
            return ToTransport(transport, known, listed=known)
        targets: list[Target] = []
        sends = False
        for entry in read_hosts(hosts, randomize=words.randomize, nameless=True):
            found = await self._looked_up(entry, words, values)
            if not isinstance(found, list):
                return found
            better = better_than_this_host(found, self._finder)
            if found and not (better or sends):
                if targets:
                    break  # this host, and what stands behind it, is not for mail that has somewhere to go
                if self.options.self_ != "send":
                    return self._of_this_host(routed, found)
                sends = True
            targets += better or found
        if targets:
            return ToTransport(transport, usable(targets), listed=tuple(targets))
        reason = f"host_find_failed=ignore host_all_ignored={self.options.host_all_ignored}"
        text = f"lookup failed for all hosts in {self.name} router: {reason}"
        return failure_verdict(self.options.host_all_ignored, text, NO_NUMBER)

    def _known(self, hosts: str, words: _Words) -> tuple[Target, ...]:
        """Return the targets where nothing is to be waited for, left out or put in order; else none.

        This is what most messages meet, and the long way would find the same; it takes 15 us more.
        """
        by_name = words.by == "byname" or (not words.by and words.family is Family.ANY)
        plain = by_name and not (words.randomize or self.options.ignore_target_hosts)
        return self._finder.known(hosts) if plain else ()

    async def _looked_up(self, entry: Entry, words: _Words, values: Values) -> list[Target] | Verdict:
        """Return what *entry* stands for, nothing where it does not exist and that is ignored; or a verdict."""
        family = Family.ANY if words.by == "byname" else words.family
        try:
            found = await self._finder.targets(entry, dns_only=words.by == "bydns", family=family)
            return self._not_ignored(entry, found, values)
        except HostUncertain as error:
            text = f"host lookup for {error.name} did not complete (DNS timeout?)"
            return Passed() if self.options.pass_on_timeout else RoutingDeferred(text, DNS_DEFER)
        except HostMissing as error:
            if self._find_failed == "ignore":
                return []
            reason = ": syntax error in name" if error.misspelled else ""
            return failure_verdict(
                self._find_failed, f'lookup of host "{error.name}" failed in {self.name} router{reason}'
            )

    def _not_ignored(self, entry: Entry, found: Found, values: Values) -> list[Target]:
        """Return the targets that are not to be ignored; raises HostMissing and HostUncertain if that is none."""
        kept = without_ignored(found.targets, self.options.ignore_target_hosts, self._expander, values)
        if usable(kept):
            return kept
        name = (kept or found.targets[-1:])[0].name if entry.mx else entry.name
        raise HostUncertain(name) if found.uncertain else HostMissing(name)

    def _of_this_host(self, routed: RoutedAddress, targets: list[Target]) -> Verdict:
        """Return what ``self`` says where this host is the first."""
        verdict = self_verdict(self.options.self_, by_mx=usable(targets)[0].mx is not None)
        if isinstance(verdict, str):
            return Redirected((Address(routed.address.local_part, verdict),), renamed=True)
        return verdict
