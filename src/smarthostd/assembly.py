"""From settings to working parts: the language, and what delivers.

The daemon and the tools (``route``, ``expand``, ``check``) build the same parts here, so that what a tool
says is what the daemon does.
"""

from __future__ import annotations

import grp
import os
import pwd
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from msgspec import Struct

from smarthostd import selectors
from smarthostd.address import Address
from smarthostd.authenticators import build as build_authenticators
from smarthostd.clock import Clock
from smarthostd.errors import ConfigurationError, ExpansionError, ListDefer
from smarthostd.expand import Expander
from smarthostd.facts import Facts
from smarthostd.health import Alarms, Health, Memory
from smarthostd.hints import Hints
from smarthostd.listener.peers import Peer
from smarthostd.lists import Matcher, split
from smarthostd.lookups import Files, Lookups
from smarthostd.mainlog import MainLog
from smarthostd.outcome import Deferred, Scope
from smarthostd.reading import read_port, read_size, read_time
from smarthostd.resolver import (
    BlockingNames,
    KnownNames,
    LocalAddresses,
    NamesToAsk,
    Resolver,
    Unasked,
    ask_all,
    first_unasked,
)
from smarthostd.retry import RetryRule, RetryRules, Subject, Tried, next_try, parse_rule
from smarthostd.rewrite import RewriteRules, parse_rules
from smarthostd.routers import build as build_routers
from smarthostd.routers.base import Tell, TransportFacts, untold
from smarthostd.routers.routing import Routing
from smarthostd.smtp.dialogue import TIMED_OUT
from smarthostd.transports import build as build_transports

if TYPE_CHECKING:
    from smarthostd.authenticators.base import Authenticator
    from smarthostd.config.settings import Settings
    from smarthostd.facts import Values
    from smarthostd.plan import Result
    from smarthostd.routers.options import RouterOptions
    from smarthostd.transports.base import Transport

CLIENTS_KEPT = 4096
"""Clients of whom a list of hosts remembers whether they are in it."""
CLIENT_TTL = 60.0
"""Seconds for which it does."""
SOONEST_RETRY = 1.0
"""Seconds that lie between two attempts at the least, whatever the rules say."""


class Language(Struct, frozen=True):
    """What expansions, lists and lookups need, for one configuration."""

    facts: Facts
    files: Files
    expander: Expander
    resolver: Resolver
    clients: Matcher
    """Matches lists of clients."""


def build_language(
    settings: Settings, source: str = "", log: Callable[[str], None] = lambda line: None, *, serves: bool = False
) -> Language:
    """Return the language of *settings*; *log* takes what lists want logged.

    A program that *serves* clients waits for no name that a list of clients holds (:class:`ClientNames`).
    """
    resolver = Resolver(every_kind=2 in settings.exim_strict)
    extra = [item for item in split(settings.extra_local_interfaces) if item]
    facts = Facts(
        primary_hostname=settings.primary_hostname,
        qualify_domain=settings.qualify_domain,
        qualify_recipient=settings.qualify_recipient,
        spool_directory=settings.spool_directory,
        config_file=source,
        domainlists=settings.domainlists,
        hostlists=settings.hostlists,
        addresslists=settings.addresslists,
        localpartlists=settings.localpartlists,
        local_addresses=LocalAddresses(extra),
        own_ports=None if 9 in settings.exim_strict else frozenset(own_ports(settings)),
        allow_mx_to_ip=settings.allow_mx_to_ip,
        regex_time_limit=settings.regex_time_limit.total_seconds(),
        exim_strict=frozenset(settings.exim_strict),
    )
    files = Files()
    lookups = Lookups(files)
    matcher = Matcher(facts, lookups, BlockingNames(resolver), log)
    clients = matcher.asking(KnownNames(resolver)) if serves else matcher
    return Language(facts, files, Expander(facts, lookups, matcher), resolver, clients)


def port_numbers(text: str) -> list[int]:
    """Return port numbers for a list of numbers and service names; raises ConfigurationError."""
    try:
        return [read_port(item) for item in split(text) if item]
    except ValueError as error:  # it was one when the configuration was judged
        raise ConfigurationError(str(error)) from None


def interface(item: str) -> tuple[str, int | None]:
    """Return address and port of an item of ``local_interfaces``: ``ip``, ``ip.port`` or ``[ip]:port``."""
    if item.startswith("["):
        address, _, rest = item[1:].partition("]")
        return address, int(rest[1:]) if rest.startswith(":") and rest[1:].isdigit() else None
    if item.count(".") == 4:
        address, _, port = item.rpartition(".")
        return address, int(port)
    return item, None


def own_ports(settings: Settings) -> set[int]:
    """Return all ports that we listen on."""
    own = {port for item in split(settings.local_interfaces) if (port := interface(item)[1]) is not None}
    return own | set(port_numbers(settings.daemon_smtp_ports))


class Retry:
    """The retry rules, as the road asks them (``retry.Rules``)."""

    def __init__(self, settings: Settings, language: Language) -> None:
        rules = [parse_rule(line) for line in settings.retry]
        self._rules = RetryRules(rules, language.expander.matcher, language.expander.expand)
        self._longest = settings.retry_interval_max.total_seconds()

    def next_try(self, subject: Subject, known: Tried, now: float) -> tuple[float, bool]:
        """Return when to try again, and whether the last cutoff has passed."""
        until, expired = next_try(self._rule(subject), known, now, longest=self._longest)
        return max(until, now + SOONEST_RETRY), expired

    def patience(self, subject: Subject) -> float:
        """Return the last cutoff in seconds; 0 where there is no rule."""
        rule = self._rule(subject)
        return rule.patience if rule else 0.0

    def _rule(self, subject: Subject) -> RetryRule | None:
        return self._rules.find(subject.key, subject.error, subject.sender, subject.domain)


class HintKeys:
    """What the hints of addresses are kept under, as ``retry_use_local_part`` and its kin say (``plan.Keys``)."""

    def __init__(self, settings: Settings) -> None:
        self._routers = {one.name: one for one in settings.routers}
        self._transports = settings.transports

    def of_deferral(self, result: Result, sender: Address) -> str:
        """Return the key for a deferred address; empty where the message's own times are enough."""
        outcome = result.outcome
        assert isinstance(outcome, Deferred)
        address = str(result.address.address).lower()
        if not result.transport:
            return self._routing_key(result, address)
        transport = self._transports.get(result.transport)
        if transport is None or transport.driver != "smtp":
            return self._local_key(result, address)
        if outcome.scope is not Scope.RECIPIENT or not (outcome.reply or outcome.errno == TIMED_OUT):
            return ""
        with_sender = outcome.reply is not None and transport.address_retry_include_sender
        return f"R:{address}:<{sender}>" if with_sender else f"R:{address}"

    def of_address(self, result: Result, sender: Address) -> Sequence[str]:
        """Return all keys that may hold something of an address that has come through, if only through the routers."""
        keys = [key for one in (result.address.address, *result.address.parents) for key in _routed_keys(one, sender)]
        if isinstance(result.outcome, Deferred):
            return keys
        address = str(result.address.address).lower()
        return [*keys, f"T:{address}", f"T:{result.address.address.domain.lower()}"]

    def _routing_key(self, result: Result, address: str) -> str:
        router = self._routers.get(result.router)
        if router is None or _retries_by_local_part(router):
            return f"R:{address}"
        return f"R:{result.address.address.domain.lower()}"

    def _local_key(self, result: Result, address: str) -> str:
        transport = self._transports.get(result.transport)
        if transport is None or "retry_use_local_part" not in transport.model_fields_set:
            return f"T:{address}"  # Exim's default for local deliveries
        by_address = transport.retry_use_local_part
        return f"T:{address}" if by_address else f"T:{result.address.address.domain.lower()}"


def _routed_keys(address: Address, sender: Address) -> Sequence[str]:
    """Return the keys of what may be known against an address until a router takes it."""
    text = str(address).lower()
    return f"R:{address.domain.lower()}", f"R:{text}", f"R:{text}:<{sender}>"


def _retries_by_local_part(router: RouterOptions) -> bool:
    """Whether a router's deferral is about the address and not about its domain; unset, as Exim guesses it."""
    if router.retry_use_local_part is not None:
        return router.retry_use_local_part
    guesses = (
        router.check_local_user, router.local_parts, router.condition, router.local_part_prefix,
        router.local_part_suffix, router.senders, router.require_files,
    )  # fmt: skip
    return any(guesses)


class Parts(Struct, frozen=True):
    """What delivers, for one configuration."""

    language: Language
    authenticators: list[Authenticator]
    transports: Mapping[str, Transport]
    routing: Routing
    retry: Retry


def build_parts(settings: Settings, language: Language, health: Health, log: MainLog) -> Parts:
    """Return routers, transports and authenticators."""

    def tell(id: str, line: str, *, alarm: bool = False) -> None:
        if alarm:
            log.alarmed(id, line)
        elif id:
            log.told(id, line)
        else:
            log.noted(line)

    authenticators = build_authenticators(settings.authenticators, language.expander)
    transports = build_transports(
        settings.transports, language.expander, language.resolver, authenticators, health, tell
    )

    def tell_of(values: Values, line: str) -> None:
        id = values.get("message_exim_id", "")
        tell(id if isinstance(id, str) else id(), line)

    routing = build_routing(settings, language, tell_of)
    return Parts(language, authenticators, transports, routing, Retry(settings, language))


def build_routing(settings: Settings, language: Language, tell: Tell = untold) -> Routing:
    """Return the routers, in order; *tell* takes what they have to say to the log."""
    transports = {
        name: TransportFacts(one.driver != "smtp", getattr(one, "hosts_override", False))
        for name, one in settings.transports.items()
    }
    routers = build_routers(settings.routers, language.expander, language.resolver, transports, tell)
    return Routing(routers, language.expander, transports, build_rewriting(settings, language))


def build_rewriting(settings: Settings, language: Language) -> RewriteRules:
    """Return the rewriting rules."""
    tell = "address_rewrite" in selectors.selected(settings.log_selector)
    return RewriteRules(parse_rules(settings.rewrite), language.expander, tell_changes=tell)


class ClientList:
    """Which clients are in a list such as ``relay_from_hosts``; the answers of the last minute are remembered."""

    def __init__(self, hosts: str, language: Language, *, decides: bool = False) -> None:
        """Where the list cannot be decided, that is a no, as in Exim; *decides*: raise ExpansionError or ListDefer."""
        self.hosts = hosts
        self._undecided = () if decides else (ExpansionError, ListDefer)
        self._expander = language.expander
        self._matcher = language.clients
        self._answers: dict[str, tuple[float, bool]] = {}

    def __call__(self, address: str) -> bool:
        """Return whether the client at *address* is in the list."""
        if not self.hosts:
            return False
        now = time.monotonic()
        known = self._answers.get(address)
        if known is not None and now - known[0] < CLIENT_TTL:
            return known[1]
        if len(self._answers) >= CLIENTS_KEPT:
            self._answers.clear()
        try:
            answer = self.holds(address, self._matcher)
        except self._undecided:
            return False
        self._answers[address] = (now, answer)
        return answer

    def holds(self, address: str, matcher: Matcher, tls: str = "") -> bool:
        """Return what *matcher* says now; raises ExpansionError or ListDefer."""
        text = self._expander.expand(self.hosts)
        return matcher.host(address, None, text, self._expander.expand) is not None


class HostList(Protocol):
    """A list of hosts that a client is looked for in."""

    hosts: str

    def holds(self, address: str, matcher: Matcher, tls: str = "") -> bool:
        """Return what *matcher* says of the client at *address*; raises ExpansionError or ListDefer."""
        ...


class ClientNames:
    """Has asked for, before a client is greeted, whatever name service will be asked when it is looked for in lists.

    So the event loop never waits for a name. The lists themselves say what they need: they are matched as often as
    that brings something new, and an item that decides spares the look-ups of those behind it, as in Exim.
    """

    def __init__(self, lists: Iterable[HostList], language: Language) -> None:
        self._matcher = language.clients
        self._resolver = language.resolver
        self._lists = [one for one in lists if self._matcher.may_need_names(one.hosts)]

    @property
    def needed(self) -> bool:
        """Whether there is a list in which there may be names."""
        return bool(self._lists)

    def __call__(self, address: str, tls: str) -> Coroutine[Any, Any, None] | None:
        """Return what is to be waited for until the lists can be matched for the client at *address*; None: nothing."""
        trial = partial(self._match, address, self._matcher.asking(NamesToAsk(self._resolver), lambda line: None), tls)
        unasked = first_unasked(trial)
        return None if unasked is None else ask_all(unasked, trial)

    def _match(self, address: str, matcher: Matcher, tls: str) -> None:
        """Match the lists; raises Unasked."""
        for one in self._lists:
            try:
                one.holds(address, matcher, tls)
            except Unasked:
                raise
            except Exception:  # noqa: S112 - the match that counts meets it, too, and knows what it means
                continue


class ClientLimits:
    """The limits that may be expanded for each client, by their names in the listener's policy.

    Where one cannot be expanded, or is no limit then, the option's default counts, and the log says so.
    """

    _OPTIONS: ClassVar[dict[str, tuple[str, Callable[[object], object]]]] = {
        "message_size_limit": ("message_size_limit", read_size),
        "accept_max_per_host": ("smtp_accept_max_per_host", read_size),
        "accept_max_per_connection": ("smtp_accept_max_per_connection", read_size),
        "command_timeout": ("smtp_receive_timeout", read_time),
    }

    def __init__(self, settings: Settings, language: Language, tell: Callable[[str], None]) -> None:
        self._expander = language.expander
        self._tell = tell
        self._defaults = settings.default
        given = {name: getattr(settings, option) for name, (option, _) in self._OPTIONS.items()}
        self.expanded: dict[str, str] = {name: value for name, value in given.items() if isinstance(value, str)}
        self.fixed: dict[str, Any] = {
            name: _number(value) for name, value in given.items() if name not in self.expanded
        }
        """Those that are the same for all clients."""

    def __call__(self, address: str) -> dict[str, float]:
        """Return the limits for the client at *address*."""
        return {name: self._limit(name, template, address) for name, template in self.expanded.items()}

    def _limit(self, name: str, template: str, address: str) -> float:
        option, read = self._OPTIONS[name]
        try:
            limit = _number(read(self._expander.expand(template, {"sender_host_address": address}).strip()))
            if limit < 0:
                raise ValueError(f"{limit} is less than nothing")
            return limit
        except (ExpansionError, ValueError) as error:
            self._tell(f'{option} is not what "{template}" gives: {error}; its default counts')
            return _number(read(self._defaults(option)))


def _number(value: object) -> float:
    """Return a number as it is, a time in seconds."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    assert isinstance(value, int), "a limit is a number or a time"
    return value


class Trust:
    """Which users of this machine may say who the sender is (exim.md 2: ``trusted_users`` and its kin)."""

    def __init__(self, settings: Settings, language: Language) -> None:
        """Raises ConfigurationError for a user or a group that does not exist."""
        users = [item for item in split(settings.trusted_users) if item]
        self._users = {0, os.geteuid(), *(_user(item) for item in users)}
        self._groups = {_group(item) for item in split(settings.trusted_groups) if item}
        self._senders = settings.untrusted_set_sender
        self._qualify_domain = settings.qualify_domain
        self._expander = language.expander

    def trusts(self, peer: Peer) -> bool:
        """Return whether *peer* may give any sender."""
        return peer.uid in self._users or not self._groups.isdisjoint(peer.groups)

    def may_send_as(self, peer: Peer, sender: Address) -> bool:
        """Return whether ``untrusted_set_sender`` lets *peer* give this one; what cannot be decided is a no."""
        values = {"sender_ident": peer.login}
        address = str(sender.qualified(self._qualify_domain))
        try:
            text = self._expander.expand(self._senders, values)
            found = self._expander.matcher.address(address, text, lambda item: self._expander.expand(item, values))
        except (ExpansionError, ListDefer):
            return False
        return found is not None


def _user(item: str) -> int:
    try:
        return int(item) if item.isdigit() else pwd.getpwnam(item).pw_uid
    except KeyError:
        raise ConfigurationError(f"trusted_users: there is no user {item!r}: name one of /etc/passwd") from None


def _group(item: str) -> int:
    try:
        return int(item) if item.isdigit() else grp.getgrnam(item).gr_gid
    except KeyError:
        raise ConfigurationError(f"trusted_groups: there is no group {item!r}: name one of /etc/group") from None


HOLD_PROBE = timedelta(hours=1)
"""How often a held destination is probed by itself."""


def build_memory(settings: Settings, language: Language, alarms: Alarms, clock: Clock) -> Memory:
    """Return what is known of destinations and addresses: nothing yet; a changed credentials file ends a hold."""
    health = Health(clock, Retry(settings, language), language.files, alarms, HOLD_PROBE)
    return Memory(health, Hints(settings.retry_data_expire))
