"""Bringing a connection to a next hop up to the point where mail can be sent (exim.md 7.2).

Connect, greeting, EHLO, STARTTLS, EHLO again, AUTH; with implicit TLS before the greeting. Where a certificate
need not be good, a refused one costs a second connection, on which it is not looked at; where TLS is not
required, a failed handshake costs another, in clear. Neither is ever tried where the certificate must be good.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct

from smarthostd.authenticators.base import Authenticator
from smarthostd.errors import ConfigurationError, ExpansionError
from smarthostd.expand import Expander, Values
from smarthostd.facts import Value
from smarthostd.lists import split
from smarthostd.outcome import Hold, Host
from smarthostd.resolver import Resolver
from smarthostd.smtp.connection import TLS_FAILED, Connection, Limits, SessionError, TlsError
from smarthostd.tls import ClientPolicy, client_context
from smarthostd.transports.base import Tell
from smarthostd.transports.login import Held, Login
from smarthostd.transports.policy import Policies, Policy

if TYPE_CHECKING:
    from smarthostd.transports.options.smtp import SmtpOptions

EXPANSION_FAILED, TLS_REQUIRED = -27, -38
_NOT_OFFERED = "a TLS session is required, but the server did not offer TLS support"
_REFUSED = "a TLS session is required, but an attempt to start TLS failed"
_OFFERED_ELSEWHERE = (
    "is it the port for logins (587), or one where TLS begins at once (465: protocol = smtps, smtps:// in url)?"
)
_MEND_TLS = "mail goes when the host, the route or tls_verify_certificates is mended"


class Channel(Enum):
    """How a connection is protected, the best first."""

    VERIFIED = 1
    UNVERIFIED = 2
    CLEAR = 3


class TracedValues:
    """A message's variables, which note what of them was read.

    A session that was opened for one message serves another only if that has the same values for what
    was read: a credential may depend on the sender.
    """

    def __init__(self, values: Values) -> None:
        self.used: dict[str, str] = {}
        self.values: dict[str, Value] = {name: self._noting(name, value) for name, value in values.items()}

    def _noting(self, name: str, value: Value) -> Callable[[], str]:
        def noted() -> str:
            text = value if isinstance(value, str) else value()
            self.used[name] = text
            return text

        return noted


def has_values(values: Values, wanted: Mapping[str, str]) -> bool:
    """Return whether *values* agree with *wanted*."""
    for name, text in wanted.items():
        value = values.get(name, "")
        if (value if isinstance(value, str) else value()) != text:
            return False
    return True


class _Way(Struct, frozen=True):
    """One host, with what is to be done with it."""

    id: str
    host: Host
    policy: Policy
    values: Values


class Opener:
    """Opens connections for one transport."""

    def __init__(
        self,
        options: SmtpOptions,
        expander: Expander,
        resolver: Resolver,
        authenticators: Sequence[Authenticator],
        log: Tell,
    ) -> None:
        self._options = options
        self._expander = expander
        self._log = log
        self._policies = Policies(options, expander, resolver, log)
        self._login = Login(authenticators, expander, log)
        self._implicit = options.protocol == "smtps"
        self._limits = Limits.of(
            options.connect_timeout, options.command_timeout, options.data_timeout, options.final_timeout
        )

    async def open(self, id: str, host: Host, values: Values, route: frozenset[str]) -> Connection:
        """Return a connection that mail can be sent on, for the message *id* with these *values*.

        *route* are the names in the route. Raises SessionError, Held among them.
        """
        traced = TracedValues(values)
        own = {
            **traced.values, "host": host.name, "host_address": host.address, "host_port": str(host.port),
            "transport_name": self._options.name,
        }  # fmt: skip
        try:
            way = _Way(id, host, await self._policies.of(id, host, own, route), own)
            connection = await self._protected(way)
        except SessionError as error:
            error.host = host
            raise
        session = connection.session
        session.depends_on = traced.used
        session.pipelining = way.policy.pipelining and "PIPELINING" in session.offer
        session.chunking = way.policy.chunking and "CHUNKING" in session.offer and self._options.protocol != "lmtp"
        return connection

    async def is_listed(self, name: str, host: Host, values: Values) -> bool:
        """Return whether *host* is in the list option *name*."""
        return await self._policies.is_listed(name, host, values)

    # -- protection

    async def _protected(self, way: _Way) -> Connection:
        """Open with the best protection there is; raises SessionError when that is not enough."""
        channel = Channel.VERIFIED if way.policy.must_verify or way.policy.try_verify else Channel.UNVERIFIED
        if way.policy.avoid_tls and not self._implicit:
            channel = Channel.CLEAR
        while True:
            try:
                return await self._session(way, channel)
            except TlsError as error:
                channel = self._next_best(way, channel, error)

    def _next_best(self, way: _Way, channel: Channel, error: TlsError) -> Channel:
        """Return what to try after a handshake that failed; raises SessionError where nothing less will do."""
        policy, host = way.policy, way.host
        if channel is Channel.VERIFIED and error.unverified and not policy.must_verify:
            return Channel.UNVERIFIED
        if policy.must_verify and error.unverified:
            raise Held("STARTTLS", Hold("tls", error.text, _MEND_TLS), TLS_FAILED) from error
        if policy.must_verify or policy.require_tls or self._implicit or not self._options.tls_tempfail_tryclear:
            raise error
        where = f"H={host.name} [{host.address}]"
        self._log(way.id, f"{error.text}: delivering unencrypted to {where} (not in hosts_require_tls)")
        return Channel.CLEAR

    # -- one connection

    async def _session(self, way: _Way, channel: Channel) -> Connection:
        connection = await Connection.open(way.host, self._limits, self._interface(way))
        try:
            values = {**way.values, **connection.session.variables()}
            await self._greet(connection, way, channel, values)
            await self._login.run(way.id, connection, {**values, **connection.session.variables()}, way.policy)
        except SessionError:
            await connection.quit()
            raise
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _greet(self, connection: Connection, way: _Way, channel: Channel, values: Values) -> None:
        """Say who we are, and protect what follows."""
        if self._implicit:
            await connection.negotiate(*await self._context(way, channel, values))
        await connection.greeting()
        name = self._expanded("helo_data", values)
        verb = "LHLO" if self._options.protocol == "lmtp" else "EHLO" if way.policy.esmtp else "HELO"
        await connection.hello(name, verb, insist=6 in self._expander.facts.exim_strict)
        if self._implicit:
            return
        if channel is not Channel.CLEAR and "STARTTLS" in connection.session.offer:
            if await self._start_tls(connection, way, channel, values):
                await connection.hello(name, verb)
        elif way.policy.require_tls:
            raise Held("STARTTLS", Hold("tls", _NOT_OFFERED, _OFFERED_ELSEWHERE), TLS_REQUIRED)

    async def _start_tls(self, connection: Connection, way: _Way, channel: Channel, values: Values) -> bool:
        """Start TLS; return False where the server refuses to, and that may be."""
        try:
            await connection.start_tls(*await self._context(way, channel, values))
        except TlsError as error:
            if error.negotiated:
                raise
            if way.policy.require_tls:
                raise SessionError("STARTTLS", _REFUSED, TLS_REQUIRED, error.reply) from error
            if error.reply is not None and error.reply.temporary and not self._options.tls_tempfail_tryclear:
                raise SessionError(error.stage, error.text, 0, error.reply) from error
            return False
        return True

    async def _context(self, way: _Way, channel: Channel, values: Values) -> tuple[ssl.SSLContext, str]:
        """Return the context and the server name; raises Held for files that cannot be used."""
        policy = ClientPolicy(
            channel is Channel.VERIFIED,
            self._expanded("tls_verify_certificates", values) if channel is Channel.VERIFIED else "",
            way.policy.check_name,
            self._expanded("tls_certificate", values),
            self._expanded("tls_privatekey", values),
            self._expanded("tls_require_ciphers", values),
        )
        name = self._expanded("tls_sni", values) or way.host.name
        self._expander.lookups.files.watch(policy.files)  # to mend one of them ends a hold
        try:
            # Reading the system's authorities takes 20 ms: not on the event loop.
            return await asyncio.get_running_loop().run_in_executor(None, client_context, policy), name
        except ConfigurationError as error:
            if channel is Channel.VERIFIED and not way.policy.must_verify:
                return await self._context(way, Channel.UNVERIFIED, values)
            hold = Hold("configuration", str(error), "mend the file or the option; mail goes as soon as that is saved")
            raise Held("STARTTLS", hold, TLS_FAILED) from error

    # -- options

    def _expanded(self, name: str, values: Values) -> str:
        text: str = getattr(self._options, name)
        try:
            return self._expander.expand(text, values)
        except ExpansionError as error:
            raise SessionError("expansion", f"failed to expand {name}: {error}", EXPANSION_FAILED) from error

    def _interface(self, way: _Way) -> str:
        """Return the address to connect from; empty where the system is to choose."""
        for address in split(self._expanded("interface", way.values)):
            if (":" in address) == (":" in way.host.address):
                return address
        return ""
