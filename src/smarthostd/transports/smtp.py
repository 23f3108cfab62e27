"""``smtp``: delivery to a next hop over SMTP, or LMTP over TCP (exim.md 7).

Hosts are tried in order until one has given an answer for the message. Each host and port is a destination
of its own: with a pool of connections, and with a state in ``health.py`` that is asked before anything is tried.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from smarthostd.authenticators.base import Authenticator
from smarthostd.envelope import Content, Message
from smarthostd.errors import ConfigurationError, ExpansionError, ForcedFailure, HostNotFound, ListDefer, ResolveDefer
from smarthostd.expand import Expander, Values
from smarthostd.health import Health
from smarthostd.lists import split
from smarthostd.outcome import NOT_TRIED, Deferred, Failed, Hold, Host, Outcome, Scope
from smarthostd.resolver import Resolver, is_address
from smarthostd.routers.base import RoutedAddress, Target
from smarthostd.smtp.connection import Connection, Limits, StageError, TlsError
from smarthostd.smtp.dialogue import mail_line, rcpt_line
from smarthostd.smtp.pool import Pool
from smarthostd.syntax import parse_size
from smarthostd.tls import ClientPolicy, client_context
from smarthostd.transports.base import Batch, all_of
from smarthostd.transports.content import Outgoing
from smarthostd.transports.login import Login, LoginHeld, LoginPolicy
from smarthostd.transports.options import SmtpOptions
from smarthostd.transports.outcomes import Judge, host_error

PORTS = {"smtp": 25, "smtps": 465, "lmtp": 24}
TLS_REQUIRED_NOT_OFFERED = "a TLS session is required, but the server did not offer TLS support"
TLS_REQUIRED_FAILED = "a TLS session is required, but an attempt to start TLS failed"
EXPANSION_FAILED, TLS_REQUIRED, TRANSPORT_ERROR = -27, -38, -1


@dataclass(frozen=True, slots=True)
class Destination:
    """A host and a port, and what is known of them before connecting."""

    key: str
    name: str
    port: int
    addresses: tuple[str, ...]


class SmtpTransport:
    """One ``smtp`` transport."""

    def __init__(
        self,
        options: SmtpOptions,
        expander: Expander,
        resolver: Resolver,
        authenticators: Sequence[Authenticator],
        health: Health,
        log: Callable[[str, str], None],
    ) -> None:
        """*log* takes a message's id and a line such as ``H=host [ip] Connection refused``."""
        self.name = options.name
        self.max_rcpt = options.max_rcpt
        self._options = options
        self._expander = expander
        self._outgoing = Outgoing(options, expander, log)
        self._resolver = resolver
        self._authenticators = authenticators
        self._health = health
        self._log = log
        self._pools: dict[str, Pool] = {}
        self._limits = Limits.of(
            options.connect_timeout, options.command_timeout, options.data_timeout, options.final_timeout
        )
        strict = expander.facts.exim_strict
        self._strict_names, self._dns_names, self._strict_login = 1 in strict, 2 in strict, 3 in strict
        self._strict_tls = options.tls_verify_hosts is not None  # whoever writes it wants Exim's way (difference 5)
        self._strict_failures, self._strict_keywords = 6 in strict, 10 in strict
        self._lmtp = options.protocol == "lmtp"

    # -- the delivery

    async def deliver(self, message: Message, batch: Batch) -> Mapping[RoutedAddress, Outcome]:
        """Return an outcome for each address."""
        try:
            batch = self._outgoing.batch(batch)
            destinations = await self._destinations(batch)
            content = self._outgoing.content(message, batch)
        except ExpansionError as error:
            return all_of(batch.addresses, Deferred(str(error), EXPANSION_FAILED))
        if not destinations:
            text = (
                f"error in {batch.router} router: no host(s) specified for domain {batch.addresses[0].address.domain}"
            )
            return all_of(batch.addresses, Deferred(text, TRANSPORT_ERROR))
        limit = self._size_limit(batch.values)
        if limit and content.size > limit:
            text = f"message is too big (transport limit = {limit})"
            return all_of(batch.addresses, Failed(text))
        outcomes: dict[RoutedAddress, Outcome] = dict.fromkeys(batch.addresses, NOT_TRIED)
        for tried, destination in enumerate(destinations):
            if tried >= self._options.hosts_max_try:
                break
            part = replace(batch, addresses=_undelivered(outcomes)) if tried else batch
            outcomes |= await self._try(message, part, destination, content)
            if not self._next_host_helps(outcomes.values()):
                break
        return outcomes

    @staticmethod
    def _next_host_helps(outcomes: Iterable[Outcome]) -> bool:
        """Whether an address is left that another host may serve: host and message errors, not RCPT's 4xx."""
        return any(isinstance(one, Deferred) and one.scope is not Scope.RECIPIENT for one in outcomes)

    async def _try(
        self, message: Message, batch: Batch, destination: Destination, content: Content
    ) -> dict[RoutedAddress, Outcome]:
        """Try one destination."""
        refusal = self._health.refusal(destination.key)
        if refusal is not None:
            return all_of(batch.addresses, refusal)
        pool = self._pools.get(destination.key)
        if pool is None:
            options = self._options
            pool = Pool(options.hosts_max_parallel, options.connection_max_messages, options.connection_idle_time)
            self._pools[destination.key] = pool
        values = {**batch.values, "host": destination.name}
        try:
            connection = await pool.take(lambda: self._open(message.id, destination, values))
            try:
                return await self._send(connection, message, batch, destination, content)
            finally:
                pool.give_back(connection)
        except LoginHeld as held:
            return all_of(batch.addresses, self._health.hold(destination.key, held.hold))
        except _Waiting as waiting:
            return all_of(batch.addresses, waiting.deferred)
        except StageError as error:
            return all_of(batch.addresses, self._failed(message.id, destination, error))

    def _failed(self, id: str, destination: Destination, error: StageError) -> Outcome:
        """Say what stopped the session, and what it means: a deferral, unless Exim's way is asked for."""
        if error.host is None:
            error.host = Host(
                destination.name, destination.addresses[0] if destination.addresses else "", destination.port
            )
        if error.stage not in ("connect", "AUTH") or error.errno == 0:
            self._log(id, f"H={error.host.name} [{error.host.address}]: {error.text}")
        deferred = host_error(error, destination.key)
        if self._strict_failures and error.reply is not None and error.reply.permanent and error.stage != "AUTH":
            return Failed(error.text, error.host, error.reply)
        self._health.failed(destination.key, deferred)
        return deferred

    async def _send(
        self, connection: Connection, message: Message, batch: Batch, destination: Destination, content: Content
    ) -> dict[RoutedAddress, Outcome]:
        """Send one message down an open connection."""
        session = connection.session
        host = session.host
        utf8 = message.envelope.smtputf8 and not _all_ascii(batch)
        if utf8 and "SMTPUTF8" not in session.offer:
            text = f"an address is not ASCII, and {host.name} does not offer SMTPUTF8"
            return all_of(batch.addresses, Failed(text, host))
        bdat = "CHUNKING" in session.offer and not self._lmtp and self._listed("hosts_try_chunking", host, batch.values)
        avoided = self._listed("hosts_avoid_pipelining", host, batch.values)
        judge = Judge(session, destination.key, bdat, connection.messages > 0, self._strict_login)
        size = -1 if self._options.size_addition < 0 else content.size + self._options.size_addition
        sender = batch.sender
        try:
            authenticated_sender = self._authenticated_sender(session.authenticator, batch)
        except ExpansionError as error:
            text = f"failed to expand authenticated_sender: {error}"
            return all_of(batch.addresses, Deferred(text, EXPANSION_FAILED))
        mail = mail_line(sender, message.envelope, size, session.offer, authenticated_sender)
        rcpts = [rcpt_line(one.address, one.recipient, session.offer) for one in batch.addresses]
        answers = await connection.transaction(
            mail, rcpts, content, bdat=bdat, pipelining="PIPELINING" in session.offer and not avoided, lmtp=self._lmtp
        )
        outcomes = {
            one: judge.outcome(answer, str(sender), str(one.address), content.size)
            for one, answer in zip(batch.addresses, answers, strict=True)
        }
        self._learn(message.id, destination, outcomes)
        return outcomes

    def _learn(self, id: str, destination: Destination, outcomes: dict[RoutedAddress, Outcome]) -> None:
        """Tell the log and the destination's state what a transaction has shown; put deferrals into their words."""
        said: set[str] = set()
        for address, outcome in list(outcomes.items()):
            if not isinstance(outcome, Deferred) or outcome.scope is Scope.RECIPIENT:
                continue
            if outcome.text not in said and outcome.host is not None:
                said.add(outcome.text)
                self._log(id, f"H={outcome.host.name} [{outcome.host.address}]: {outcome.text}")
            if outcome.reply is not None and outcome.reply.permanent:
                outcomes[address] = self._health.hold(destination.key, _reply_hold(destination.name, outcome))
            elif outcome.scope is Scope.HOST:
                deferred = replace(outcome, destination=destination.key)
                self._health.failed(destination.key, deferred)
                outcomes[address] = deferred

    # -- opening a connection

    async def _open(self, id: str, destination: Destination, values: Values) -> Connection:
        """Connect, greet, encrypt and log in; raises StageError or LoginHeld, and _Waiting after a wait."""
        refusal = self._health.refusal(destination.key) if self._health_changed(destination.key) else None
        if refusal is not None:
            raise _Waiting(refusal)
        addresses = destination.addresses or await self._resolve(destination.name)
        name = await self._canonical(destination.name) if self._dns_names else destination.name
        last: StageError | None = None
        for address in addresses:
            host = Host(name, address, destination.port)
            try:
                connection = await self._session(host, values)
            except StageError as error:
                if error.stage != "connect":
                    raise
                self._log(id, f"H={host.name} [{host.address}] {error.text}")
                last = error
            else:
                self._health.opened(destination.key)
                return connection
        assert last is not None, "a name has at least one address"
        raise last

    def _health_changed(self, key: str) -> bool:
        """Whether the destination has been closed, by somebody else's attempt, while this one waited."""
        return key in self._health.states() and not self._health.probing(key)

    async def _resolve(self, name: str) -> tuple[str, ...]:
        try:
            return await self._resolver.addresses(name)
        except (HostNotFound, ResolveDefer) as error:
            raise StageError(
                "lookup", str(error), -32 if isinstance(error, HostNotFound) else -36, host=Host(name)
            ) from error

    async def _canonical(self, name: str) -> str:
        """Return what DNS calls *name*, as Exim's ``$host`` does (difference 2 switched off)."""
        try:
            return await self._resolver.canonical(name)
        except (HostNotFound, ResolveDefer):
            return name

    async def _session(self, host: Host, values: Values) -> Connection:
        """Bring one connection up to the point where mail can be sent."""
        try:
            return await self._secured(host, values, encrypt=True)
        except TlsError as error:
            required = self._listed("hosts_require_tls", host, values)
            error.host = host
            if required and error.errno != -37:
                raise StageError("STARTTLS", TLS_REQUIRED_FAILED, TLS_REQUIRED, host=host) from error
            if self._clear_allowed(host, values, required):
                return await self._secured(host, values, encrypt=False)
            if error.errno == -37 and isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise LoginHeld(_tls_hold(host, error)) from error
            raise

    def _clear_allowed(self, host: Host, values: Values, required: bool) -> bool:
        """Whether mail may go in clear after TLS has failed: never where we log in or must verify."""
        if required or not self._options.tls_tempfail_tryclear:
            return False
        return self._strict_tls or not (self._logs_in(host, values) or self._must_verify(host, values))

    async def _secured(self, host: Host, values: Values, *, encrypt: bool) -> Connection:
        connection = await Connection.open(host, self._limits, self._interface(host, values))
        try:
            await self._greet(connection, host, values, encrypt=encrypt)
            await self._log_in(connection, host, values)
        except StageError:
            await connection.quit()
            raise
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _greet(self, connection: Connection, host: Host, values: Values, *, encrypt: bool) -> None:
        hello = self._expanded("helo_data", values)
        implicit = self._options.protocol == "smtps"
        if implicit:
            await connection.encrypt_at_once(*self._tls(host, values))
        await connection.greeting()
        if self._listed("hosts_avoid_esmtp", host, values):
            await connection.hello(hello, "HELO")
            connection.session.extended = False
        else:
            await self._hello(connection, hello)
        if implicit:
            return
        if encrypt and "STARTTLS" in connection.session.offer and not self._listed("hosts_avoid_tls", host, values):
            await self._start_tls(connection, host, values, hello)
        elif self._listed("hosts_require_tls", host, values):
            raise StageError("STARTTLS", TLS_REQUIRED_NOT_OFFERED, TLS_REQUIRED, host=host)

    async def _start_tls(self, connection: Connection, host: Host, values: Values, hello: str) -> None:
        """Start TLS and say EHLO again; a server that refuses it in words is spoken to in clear, where that may be."""
        try:
            await connection.start_tls(*self._tls(host, values))
        except TlsError as error:
            if error.refused and self._clear_allowed(host, values, self._listed("hosts_require_tls", host, values)):
                return
            raise
        await self._hello(connection, hello)

    async def _hello(self, connection: Connection, name: str) -> None:
        await connection.hello(name, "LHLO" if self._lmtp else "EHLO", as_spelled=self._strict_keywords)

    async def _log_in(self, connection: Connection, host: Host, values: Values) -> None:
        required = self._names_host("hosts_require_auth", host, values)
        wanted = required or self._names_host("hosts_try_auth", host, values)
        credential = self._credential(host)
        if not (wanted or credential) or not connection.session.extended:
            return
        cleartext = self._listed("hosts_allow_cleartext_auth", host, values)
        policy = LoginPolicy(required or bool(credential), credential, cleartext, self._strict_login)
        session = connection.session
        login = Login(self._authenticators, self._expander, lambda line: self._log("", line))
        variables = {
            **values, "host": host.name, "host_address": host.address, "host_port": str(host.port),
            "tls_out_cipher": session.tls, "tls_cipher": session.tls, "tls_out_ver": session.tls.partition(":")[0],
            "tls_out_certificate_verified": str(int(session.verified)), "transport_name": self.name,
            "sending_ip_address": connection.local_address,
        }  # fmt: skip
        await login.run(connection, variables, policy)

    # -- options as they are for one host

    def _expanded(self, name: str, values: Values) -> str:
        text: str = getattr(self._options, name)
        try:
            return self._expander.expand(text, values)
        except ExpansionError as error:
            raise StageError("connect", f"failed to expand {name}: {error}", EXPANSION_FAILED) from error

    def _listed(self, name: str, host: Host, values: Values) -> bool:
        """Return whether *host* is in the host list option *name*; a list that cannot be decided says no."""
        text: str | None = getattr(self._options, name)
        if not text:
            return False
        if text.strip() == "*":
            return True
        try:
            listed = self._expander.expand(text, {**values, "host_address": host.address})
            expand = lambda inner: self._expander.expand(inner, values)  # noqa: E731 - one line, used once
            return self._expander.matcher.host(host.address, host.name, listed, expand) is not None
        except ForcedFailure:
            return False
        except (ExpansionError, ListDefer) as error:
            self._log("", f'failed to evaluate {name} "{text}": {error}')
            return False

    def _names_host(self, name: str, host: Host, values: Values) -> bool:
        """Like ``_listed``, for the lists in which a bare word may be a credential's name (difference 1)."""
        if not self._strict_names and self._credential_in(getattr(self._options, name), host):
            return False
        return self._listed(name, host, values)

    def _credential(self, host: Host) -> str:
        """Return the name of a credential that stands where Exim expects hosts; empty where none does."""
        if self._strict_names:
            return ""
        options = self._options
        return self._credential_in(options.hosts_require_auth, host) or self._credential_in(
            options.hosts_try_auth, host
        )

    @staticmethod
    def _credential_in(text: str, host: Host) -> str:
        """Return the bare word that *text* is, unless it names the host itself.

        A bare word has no dot, no pattern and no expansion: ``isp_auth`` is one,
        ``localhost`` as the host's name is not.
        """
        word = text.strip()
        plain = word.replace("_", "").replace("-", "").isalnum() and word.isascii() and not word.isdigit()
        return word if plain and word.lower() != host.name.lower() else ""

    def _logs_in(self, host: Host, values: Values) -> bool:
        return bool(
            self._credential(host)
            or self._listed("hosts_require_auth", host, values)
            or self._listed("hosts_try_auth", host, values)
        )

    def _must_verify(self, host: Host, values: Values) -> bool:
        """Whether a bad certificate ends the session: as configured, and by default where we log in (difference 5)."""
        options = self._options
        if options.tls_verify_hosts is None:
            return self._logs_in(host, values)
        if not options.tls_verify_hosts and not options.tls_try_verify_hosts:
            return True  # as in Exim: who empties both has asked for nothing less
        return self._listed("tls_verify_hosts", host, values)

    def _tls(self, host: Host, values: Values) -> tuple[ssl.SSLContext, str]:
        """Return the context and the server name for *host*; raises StageError for what is misconfigured."""
        options = self._options
        policy = ClientPolicy(
            verify=self._must_verify(host, values),
            authorities=self._expanded("tls_verify_certificates", values),
            check_name=self._listed("tls_verify_cert_hostnames", host, values),
            certificate=self._expanded("tls_certificate", values),
            private_key=self._expanded("tls_privatekey", values),
            ciphers=self._expanded("tls_require_ciphers", values),
        )
        try:
            context = client_context(policy)
        except ConfigurationError as error:
            raise LoginHeld(Hold("tls", str(error), "mend the file; mail goes as soon as that is saved")) from error
        sni = self._expanded("tls_sni", {**values, "host": host.name}) if options.tls_sni else ""
        return context, sni or host.name

    def _interface(self, host: Host, values: Values) -> str:
        for address in split(self._expanded("interface", values)):
            if (":" in address) == (":" in host.address):
                return address
        return ""

    def _authenticated_sender(self, authenticator: str, batch: Batch) -> str | None:
        text = self._options.authenticated_sender
        if not text or not (authenticator or self._options.authenticated_sender_force):
            return None
        try:
            return self._expander.expand(text, batch.values) or None
        except ForcedFailure:
            return None

    def _size_limit(self, values: Values) -> int:
        return parse_size(self._expander.expand(self._options.message_size_limit, values) or "0") or 0

    # -- where to

    async def _destinations(self, batch: Batch) -> list[Destination]:
        """Return the destinations in the order to try them."""
        options = self._options
        targets = batch.targets
        if not targets or options.hosts_override:
            targets = own_hosts(self._expander.expand(options.hosts, batch.values)) or targets
        if options.hosts_randomize:
            targets = tuple(random.sample(targets, len(targets)))
        port = self._port(batch.values)
        return [self._destination(target, port) for target in targets[: options.hosts_max_try_hardlimit]]

    def _destination(self, target: Target, port: int) -> Destination:
        port = target.port or port
        return Destination(f"{self.name}:{target.name}:{port}", target.name, port, target.addresses)

    def _port(self, values: Values) -> int:
        text = self._expander.expand(self._options.port, values)
        if not text:
            return PORTS[self._options.protocol]
        if text.isdigit():
            return int(text)
        import socket

        try:
            return socket.getservbyname(text, "tcp")
        except OSError:
            raise ExpansionError(f'TCP port "{text}" is not defined for {self.name} transport') from None

    async def close(self) -> None:
        """Say good-bye on all kept connections."""
        for pool in self._pools.values():
            await pool.close()


class _Waiting(Exception):
    """The destination was closed while this message waited for a connection."""

    def __init__(self, deferred: Deferred) -> None:
        super().__init__(deferred.text)
        self.deferred = deferred


def _undelivered(outcomes: Mapping[RoutedAddress, Outcome]) -> tuple[RoutedAddress, ...]:
    return tuple(address for address, outcome in outcomes.items() if isinstance(outcome, Deferred))


def own_hosts(text: str) -> tuple[Target, ...]:
    """Return the hosts of a transport's ``hosts``: ``name``, ``name::port``, ``[v6]:port`` (exim.md 6.3)."""
    targets = []
    for item in split(text):
        if item == "+":
            continue
        name, colon, port = item.rpartition(":")
        if colon and port.isdigit() and not is_address(item):
            targets.append(Target(name.strip("[]"), int(port)))
        else:
            targets.append(Target(item.strip("[]")))
    return tuple(targets)


def _all_ascii(batch: Batch) -> bool:
    return str(batch.sender).isascii() and all(str(one.address).isascii() for one in batch.addresses)


def _tls_hold(host: Host, error: TlsError) -> Hold:
    return Hold(
        "tls", f"{host.name} [{host.address}]: {error.text}", "no password was sent; mail goes when that is mended"
    )


def _reply_hold(name: str, outcome: Deferred) -> Hold:
    """Return the hold for a 5xx that speaks of the login or of a sending limit."""
    return Hold(
        "credential",
        f"{name} asks for a login or has a limit: {outcome.reply}",
        "look at the credentials file and the account; mail goes when the file is saved, or by `smarthostd queue run`",
    )
