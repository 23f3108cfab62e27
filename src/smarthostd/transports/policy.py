"""What the options of an ``smtp`` transport say about one host: the host lists, evaluated (exim.md 3.5, 7.1, 8.1).

Lists are evaluated when a connection is opened, not for each message. They cannot wait for DNS, so they are evaluated
on trial first, and the names that this needs are asked for. In Exim a list that cannot be decided says no, also where
that means "no TLS required"; here a requirement that cannot be decided stops the session (difference 6 restores Exim's
way).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from copy import copy
from ipaddress import ip_address
from typing import TYPE_CHECKING

from msgspec import Struct

from smarthostd.errors import ExpansionError, ForcedFailure, ListDefer
from smarthostd.expand import Expander, Values
from smarthostd.lists import join, split
from smarthostd.outcome import Host
from smarthostd.resolver import KnownNames, NamesToAsk, Resolver, ask_all, first_unasked
from smarthostd.smtp.connection import SessionError
from smarthostd.transports.base import Tell

if TYPE_CHECKING:
    from smarthostd.transports.options.smtp import SmtpOptions

LIST_UNDECIDED = -35
"""Exim's number for a list that defers."""
_BARE_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_CONSULTED = (
    "hosts_require_tls", "hosts_avoid_tls", "tls_verify_hosts", "tls_try_verify_hosts", "tls_verify_cert_hostnames",
    "hosts_require_auth", "hosts_try_auth", "hosts_allow_cleartext_auth", "hosts_avoid_esmtp",
    "hosts_avoid_pipelining", "hosts_try_chunking",
)  # fmt: skip
_REQUIREMENTS = frozenset({"hosts_require_tls", "hosts_require_auth", "tls_verify_hosts"})


class Policy(Struct, frozen=True):
    """What is to be done with one host."""

    require_tls: bool
    avoid_tls: bool
    must_verify: bool
    """A certificate that is not good ends the session."""
    try_verify: bool
    check_name: bool
    login: bool
    """Log in, if there is a way."""
    require_login: bool
    credentials: tuple[str, ...]
    """Names of credentials, asked for where the host's own name finds nothing (difference 1)."""
    open_secrets: bool
    """A password may go over a connection that is not encrypted."""
    unverified_secrets: bool
    """A password may go over TLS with a peer that is not verified."""
    esmtp: bool
    pipelining: bool
    chunking: bool


def is_this_machine(address: str) -> bool:
    """Return whether *address* is a loopback address or a unix socket: nobody else can listen on the way."""
    return address.startswith("/") or ip_address(address).is_loopback


class Policies:
    """Evaluates one transport's lists."""

    def __init__(self, options: SmtpOptions, expander: Expander, resolver: Resolver, log: Tell) -> None:
        self._options = options
        self._expander = expander
        self._resolver = resolver
        self._log = log
        self._matcher = expander.matcher.asking(KnownNames(resolver))
        self._may_need_names = any(self._matcher.may_need_names(getattr(options, name)) for name in _CONSULTED)
        strict = expander.facts.exim_strict
        self._names_are_hosts = 1 in strict
        self._undecided_is_no = 6 in strict
        self._verify_by_default = "tls_verify_hosts" not in options.model_fields_set

    async def of(self, id: str, host: Host, values: Values, route: frozenset[str]) -> Policy:
        """Return the policy for *host*; *route* are the names in the route, in lower case.

        Raises SessionError for a requirement that cannot be decided.
        """
        if self._may_need_names:
            await self._find_out(lambda trial: _Question(trial, id, host, values, route).policy())
        return _Question(self, id, host, values, route).policy()

    async def _find_out(self, answer: Callable[[Policies], object]) -> None:
        """Have asked for what name service is asked in an *answer*, which is made on trial as often as that needs."""
        trial = copy(self)
        trial._matcher = self._matcher.asking(NamesToAsk(self._resolver), lambda line: None)
        trial._log = _silent

        def made() -> None:
            with contextlib.suppress(SessionError):  # the answer that counts meets it, too
                answer(trial)

        await ask_all(first_unasked(made), made)

    # -- one list

    async def is_listed(self, name: str, host: Host, values: Values) -> bool:
        """Return whether *host* is in the list option *name*, where no policy is needed."""
        await self._find_out(lambda trial: trial.listed(name, "", host, values))
        return self.listed(name, "", host, values)

    def listed(self, name: str, id: str, host: Host, values: Values) -> bool:
        """Return whether *host* is in the list option *name*, by the names that are known."""
        text: str = getattr(self._options, name)
        return self._in_list(name, text, id, host, values)

    def _in_list(self, name: str, text: str, id: str, host: Host, values: Values) -> bool:
        if text in ("", "*"):
            return text == "*"
        try:
            expanded = self._expander.expand(text, values)
            return self._matcher.host(host.address, host.name, expanded, self._inner(values)) is not None
        except ForcedFailure:
            return False
        except (ExpansionError, ListDefer) as error:
            complaint = f"{name} cannot be decided for {host.name} [{host.address}]: {error}"
            if name in _REQUIREMENTS and not self._undecided_is_no:
                raise SessionError("policy", complaint, LIST_UNDECIDED) from error
            as_exim = self._undecided_is_no and isinstance(error, ExpansionError)
            if as_exim:
                complaint = f'failed to expand "{text}" while checking a list: {error}'
            self._log(id, complaint, alarm=as_exim)
            return False

    def _inner(self, values: Values) -> Callable[[str], str]:
        return lambda text: self._expander.expand(text, values)

    def logs_in(
        self, name: str, id: str, host: Host, values: Values, route: frozenset[str]
    ) -> tuple[bool, tuple[str, ...]]:
        """Return whether *host* is in ``hosts_require_auth`` or ``hosts_try_auth``, and the credentials named there.

        A bare word that is no host of the route is the name of a credential, and its list is for every host.
        """
        text: str = getattr(self._options, name)
        words: tuple[str, ...] = ()
        if text and not self._names_are_hosts:
            try:
                items = split(self._expander.expand(text, values))
            except ExpansionError:
                items = []  # the list itself will complain
            words = tuple(item for item in items if _BARE_WORD.fullmatch(item) and item.lower() not in route)
            if words:
                text = join([item for item in items if item not in words])
        return bool(words) or self._in_list(name, text, id, host, values), words

    def must_verify(self, listed: bool, login: bool) -> bool:
        """Return whether a certificate must be good.

        As configured; by default where we log in (difference 5), and, as in Exim, where the list of those that are
        only tried is empty, unless ``tls_verify_hosts`` is there and empty, too.
        """
        return listed or (self._verify_by_default and (login or not self._options.tls_try_verify_hosts))

    @property
    def unverified_by_choice(self) -> bool:
        """Whether somebody wrote which certificates must be good, so that the others need not be."""
        return not self._verify_by_default


class _Question(Struct, frozen=True):
    """One host, asked about."""

    policies: Policies
    id: str
    host: Host
    values: Values
    route: frozenset[str]

    def policy(self) -> Policy:
        """Return the answers to everything."""
        required, words = self._logs_in("hosts_require_auth")
        tried, more_words = self._logs_in("hosts_try_auth")
        login = required or tried
        must_verify = self.policies.must_verify(self._listed("tls_verify_hosts"), login)
        cleartext = self._listed("hosts_allow_cleartext_auth") or is_this_machine(self.host.address)
        return Policy(
            require_tls=self._listed("hosts_require_tls"),
            avoid_tls=self._listed("hosts_avoid_tls"),
            must_verify=must_verify,
            try_verify=self._listed("tls_try_verify_hosts"),
            check_name=self._listed("tls_verify_cert_hostnames"),
            login=login,
            require_login=required,
            credentials=tuple(dict.fromkeys((*words, *more_words))),
            open_secrets=cleartext,
            unverified_secrets=cleartext or self.policies.unverified_by_choice,
            esmtp=not self._listed("hosts_avoid_esmtp"),
            pipelining=not self._listed("hosts_avoid_pipelining"),
            chunking=self._listed("hosts_try_chunking"),
        )

    def _listed(self, name: str) -> bool:
        return self.policies.listed(name, self.id, self.host, self.values)

    def _logs_in(self, name: str) -> tuple[bool, tuple[str, ...]]:
        return self.policies.logs_in(name, self.id, self.host, self.values, self.route)


def _silent(id: str, line: str, *, alarm: bool = False) -> None:
    """Tell nobody."""


def lower_names(names: Iterable[str]) -> frozenset[str]:
    """Return *names* without case."""
    return frozenset(name.lower() for name in names)
