"""``smtp``: delivery to a next hop over SMTP, or LMTP over TCP (exim.md 7).

Hosts are tried in order until one has given an answer for the message. Each host and port is a destination of
its own: with a pool of connections, and with a state in ``health.py`` that is asked before one is opened. A
connection that is there is used whatever that state says, for it works, unless the host defers all that it is given.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, TypeGuard

from msgspec import Struct
from msgspec.structs import replace

from smarthostd.address import Address
from smarthostd.authenticators.base import Authenticator
from smarthostd.envelope import Content, Message
from smarthostd.errors import ExpansionError, ForcedFailure, HostNotFound, ResolveDefer
from smarthostd.expand import Expander, Values
from smarthostd.health import RETRY_TIME_NOT_REACHED, Errand, Health
from smarthostd.mainlog import strerror
from smarthostd.outcome import MISTAKE, NOT_TRIED, Deferred, Failed, Host, Outcome, Scope
from smarthostd.reading import read_port
from smarthostd.resolver import Resolver
from smarthostd.routers.base import RoutedAddress, Target
from smarthostd.routers.hosts import named_targets, read_hosts
from smarthostd.smtp.connection import ConnectError, Connection, SessionError, Way
from smarthostd.smtp.dialogue import CLOSED, Answer, Stage, mail_text, rcpt_text
from smarthostd.smtp.pool import Lease, Pool
from smarthostd.transports.base import Batch, Tell, all_of
from smarthostd.transports.content import Outgoing, with_delivery_headers
from smarthostd.transports.login import AUTH_TROUBLE, Held
from smarthostd.transports.opening import EXPANSION_FAILED, Opener, has_values
from smarthostd.transports.outcomes import HELD_AS, Complaint, Judge, complaint, hold_for, host_error
from smarthostd.transports.policy import lower_names

if TYPE_CHECKING:
    from smarthostd.transports.options.smtp import SmtpOptions

PORTS = {"smtp": 25, "smtps": 465, "submissions": 465, "submission": 587}
TRANSPORT_ERROR, UNKNOWN_HOST, DNS_DEFER = -1, -32, -36
GIVES_UP = 12
"""The difference that is switched off where a message fails with its hosts, and not by times of its own."""
TOO_MANY = 452
"""The reply to RCPT that asks for another transaction."""
EXIM_LINE_LIMIT = 998
"""Exim's ``message_linelength_limit``, in force with difference 7 off."""
POOLS = 1000
"""Destinations whose pools are kept; beyond that, those without a connection go."""
_FOR_ANY_HOST = " for any host for "
_OWN_FIELD = re.compile(rb"Received:[^\n]*\n(?:[ \t][^\n]*\n)*")
QUIET = frozenset({-37, -42, -48})
"""Numbers of errors that Exim tells with the addresses only, not in a line of the host's."""


class Destination(Struct, frozen=True):
    """A host and a port, and what is known of them before connecting."""

    key: str
    name: str
    port: int
    addresses: tuple[str, ...]
    route: frozenset[str] = frozenset()
    """The names of all hosts of the route, in lower case."""
    found: str = "A"
    """How the host was found, as retry rules name it."""


class Job(Struct, frozen=True):
    """One message on its way to one batch of addresses."""

    message: Message
    batch: Batch
    sender: Address
    content: Content
    utf8: bool
    """An address or the header needs SMTPUTF8."""

    @property
    def errand(self) -> Errand:
        """What a destination's state is asked with."""
        domain = self.batch.addresses[0].address.domain
        return Errand(self.message.id, self.message.received, domain, str(self.message.envelope.sender))

    def to(self, addresses: Sequence[RoutedAddress]) -> Job:
        """Return the part of it that is for these addresses."""
        if len(addresses) == len(self.batch.addresses):
            return self
        return replace(self, batch=replace(self.batch, addresses=tuple(addresses)))


class Unserved(Exception):
    """A destination has not taken the message, for this reason; another may.

    *final*: no other is to be asked. *refused*: it was not even tried.
    """

    def __init__(self, outcome: Deferred | Failed, *, final: bool = False, refused: bool = False) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome
        self.final = final
        self.refused = refused


class SmtpTransport:
    """One ``smtp`` transport."""

    remote = True

    def __init__(
        self,
        options: SmtpOptions,
        expander: Expander,
        resolver: Resolver,
        authenticators: Sequence[Authenticator],
        health: Health,
        log: Tell,
    ) -> None:
        """*log* takes a message's id and a line such as ``H=host [ip] Connection refused``."""
        self.name = options.name
        self.max_rcpt = options.max_rcpt
        self._options = options
        self._expander = expander
        self._outgoing = Outgoing(options, expander, log)
        self._resolver = resolver
        self._health = health
        self._log = log
        self._opener = Opener(options, expander, resolver, authenticators, log)
        self._pools: dict[str, Pool] = {}
        self._known = lru_cache(POOLS)(self._listed)
        changes = (*options.headers_add, *options.headers_remove, options.headers_rewrite)
        self._names_host = any("host" in text for text in changes)
        self._fallback = named_targets(options.fallback_hosts)
        self._strict = expander.facts.exim_strict
        limit = options.message_linelength_limit or EXIM_LINE_LIMIT
        self._long_line = re.compile(rb"[^\r\n]{%d}" % (limit + 1)) if 7 in self._strict else None

    # -- the delivery

    async def deliver(self, message: Message, batch: Batch) -> Mapping[RoutedAddress, Outcome]:
        """Return an outcome for each address."""
        try:
            batch = self._outgoing.batch(batch)
            destinations = await self._destinations(batch)
            job = self._job(message, batch)
        except ExpansionError as error:
            return all_of(batch.addresses, Deferred(str(error), EXPANSION_FAILED))
        except Unserved as error:
            return all_of(batch.addresses, error.outcome)
        outcomes: dict[RoutedAddress, Outcome] = {}
        for addresses in self._transactions(batch):
            outcomes |= await self._serve(job.to(addresses), destinations)
        if len(outcomes) > 1:
            outcomes = {one: _of_its_domain(outcome, one) for one, outcome in outcomes.items()}
        return outcomes

    def _transactions(self, batch: Batch) -> Collection[Sequence[RoutedAddress]]:
        """Return the addresses of *batch*, by domain where one transaction may have only one."""
        if self._options.multi_domain:
            return [batch.addresses]
        domains: dict[str, list[RoutedAddress]] = {}
        for address in batch.addresses:
            domains.setdefault(address.address.domain.lower(), []).append(address)
        return domains.values()

    async def _serve(self, job: Job, destinations: Sequence[Destination]) -> dict[RoutedAddress, Outcome]:
        """Try the destinations in order, each for the addresses that the ones before it have not settled."""
        round = _Round(job.batch.addresses, self._options.hosts_max_try)
        await self._go_round(round, job, destinations)
        if GIVES_UP in self._strict and round.hopeless:
            await self._give_up(round, job)
        return round.outcomes

    async def _go_round(self, round: _Round, job: Job, destinations: Sequence[Destination]) -> None:
        for at, destination in enumerate(destinations, 1):
            try:
                found = await self._try(job.to(round.left), destination, round)
            except Unserved as error:
                round.unserved(destination, error)
                if error.final:
                    break
            else:
                round.served(found)
                if not round.left:
                    break
                if at < len(destinations):
                    self._tell_put_off(job.message.id, found)

    async def _give_up(self, round: _Round, job: Job) -> None:
        """Let a message fail as in Exim, all of whose hosts have failed for longer than their retry rules last.

        Where none was tried, those that were not since the message came are tried first, if ``delay_after_cutoff``
        does not say otherwise.
        """
        if not round.tried and not self._options.delay_after_cutoff:
            round.insists = True
            unasked = [one for one, refusal in round.refused.items() if refusal.tried <= job.message.received]
            await self._go_round(round, job, unasked)
        if round.tried:
            round.despair()
            return
        why = "(and retry time not reached)"
        if not self._options.delay_after_cutoff:
            why = "and were last tried after this message arrived"
        for one in round.left:
            text = f"all hosts for '{one.address.domain}' have been failing for a long time {why}"
            round.outcomes[one] = Failed(text)

    async def _try(self, job: Job, destination: Destination, round: _Round) -> dict[RoutedAddress, Outcome]:
        """Try one destination; raises Unserved when no session came up, or it is not to be asked now."""
        reluctance = self._health.reluctance(destination.key, job.message.id)
        if reluctance is not None and not round.insists:
            raise Unserved(_refused(reluctance, job), refused=True)
        pool = self._pools.get(destination.key) or await self._new_pool(destination, job)
        if pool.empty:
            self._ask_leave(destination, job, round)  # of a host that is down many messages hear so, and quickly
        fits = partial(_fits, job.batch.values)
        open_connection = partial(self._open, job, destination, round)
        while True:
            with await pool.lease(fits, open_connection) as lease:
                reused = lease.connection.messages > 0
                outcomes = await self._send(lease, job, destination)
            if outcomes is not None:
                return outcomes
            assert reused, "only a connection that was kept can turn out to be closed"

    async def _new_pool(self, destination: Destination, job: Job) -> Pool:
        """Return the pool for a destination that has none; somebody else may make it meanwhile."""
        options = self._options
        alone = bool(options.serialize_hosts) and await self._is_serialized(destination, job.batch.values)
        pool = self._pools.get(destination.key)
        if pool is None:
            if len(self._pools) >= POOLS:
                self._pools = {key: pool for key, pool in self._pools.items() if not pool.empty}
            limit = 1 if alone else options.hosts_max_parallel
            pool = self._pools[destination.key] = Pool(
                limit, options.connection_max_messages, options.connection_idle_time, options.connection_max_pipelined
            )
        return pool

    async def _is_serialized(self, destination: Destination, values: Values) -> bool:
        host = Host(destination.name, next(iter(destination.addresses), ""), destination.port)
        return await self._opener.is_listed("serialize_hosts", host, values)

    # -- opening

    async def _open(self, job: Job, destination: Destination, round: _Round) -> Connection:
        """Open a connection to one of the destination's addresses; raises Unserved."""
        self._ask_leave(destination, job, round)
        error: SessionError | None = None
        try:
            for address in await self._addresses(destination):
                if not round.one_more():
                    break
                host = Host(destination.name, address, destination.port)
                try:
                    connection = await self._opener.open(job.message.id, host, job.batch.values, destination.route)
                except SessionError as failed:
                    error = failed
                    self._tell(job.message.id, error)
                    if isinstance(error, Held) or error.errno == AUTH_TROUBLE:
                        break  # no other address of this host would do better
                else:
                    return connection
        except SessionError as failed:
            error = failed
        if error is None:
            text = f"hosts_max_try = {self._options.hosts_max_try} addresses were tried before"
            raise Unserved(Deferred(text, TRANSPORT_ERROR), refused=True)
        raise self._unserved(destination, error, job.errand)

    def _ask_leave(self, destination: Destination, job: Job, round: _Round) -> None:
        """Ask whether a destination may be tried now; raises Unserved if not. To ask once more changes nothing."""
        refusal = self._health.refusal(destination.key, job.errand)
        if refusal is not None:
            if not (round.insists or self._is_last_chance(destination, job)):
                raise Unserved(_refused(refusal, job), refused=True)
            self._health.probe(destination.key, job.message.id)

    def _is_last_chance(self, destination: Destination, job: Job) -> bool:
        """Whether the message is so old that Exim tries it before the host's time, and gives it up after that."""
        return GIVES_UP in self._strict and self._health.is_last_chance(destination.key, job.errand)

    async def _addresses(self, destination: Destination) -> tuple[str, ...]:
        if destination.addresses:
            return destination.addresses
        try:
            return await self._resolver.addresses(destination.name)
        except HostNotFound as error:
            text = f'lookup of host "{destination.name}" failed in {self.name} transport'
            raise SessionError("lookup", text, UNKNOWN_HOST) from error
        except ResolveDefer as error:
            raise SessionError("lookup", str(error), DNS_DEFER) from error

    def _tell(self, id: str, error: SessionError) -> None:
        """Log what stopped a session, as Exim does."""
        host = error.host
        if host is None or error.errno in QUIET:
            return
        colon = "" if isinstance(error, ConnectError) else ":"
        cause = strerror(error.errno) if error.errno > 0 and colon else ""
        self._log(id, f"H={host.name} [{host.address}]{colon} {error.text}{': ' + cause if cause else ''}")

    def _unserved(self, destination: Destination, error: SessionError, errand: Errand) -> Unserved:
        """Say what a session that did not come up means for the message, and let the destination's state know."""
        deferred = host_error(error, destination.key, destination.found)
        if isinstance(error, Held):
            held = self._health.hold(destination.key, error.hold, deferred)
            return Unserved(deferred if error.hold.cause == "tls" else held)
        deferred = self._health.failed(destination.key, deferred, errand, ends=GIVES_UP in self._strict)
        refused = error.reply is not None and error.reply.permanent and error.stage != "AUTH"
        if refused and 6 in self._strict and error.errno == 0:
            return Unserved(Failed(error.text, error.host, error.reply))
        return Unserved(deferred, final=error.errno == AUTH_TROUBLE)

    # -- sending

    async def _send(self, lease: Lease, job: Job, destination: Destination) -> dict[RoutedAddress, Outcome] | None:
        """Send the message down an open connection; None: it turned out to be closed, before anything was said."""
        connection = lease.connection
        session = connection.session
        if job.utf8 and "SMTPUTF8" not in session.offer:
            text = f"an address is not ASCII, and {session.host.name} does not offer SMTPUTF8"
            return self._unsent(destination, job, Deferred(text, host=session.host))
        if self._names_host:
            try:
                job = self._for_host(job, session.host)
            except ExpansionError as error:
                return self._unsent(destination, job, Deferred(str(error), EXPANSION_FAILED))
        try:
            mail = self._mail(session.authenticator, job, connection)
        except ExpansionError as error:
            text = f"failed to expand authenticated_sender: {error}"
            return self._unsent(destination, job, Deferred(text, EXPANSION_FAILED))
        outcomes: dict[RoutedAddress, Outcome] = {}
        left = job.batch.addresses
        lmtp = self._options.protocol == "lmtp"
        way = Way(session.chunking, session.pipelining, lmtp)
        while left:
            reused = connection.messages > 0
            rcpts = [self._rcpt(one, connection) for one in left]
            # Of several recipients some may be put off to another transaction: the connection stays ours.
            sent = lease.share if len(left) == 1 else None
            answers = await connection.transaction(mail, rcpts, job.content, way, sent)
            if reused and not outcomes and all(map(_unsaid, answers)):
                return None
            judge = Judge(session, mail, session.pipelining, reused, lmtp, job.content.size, self._strict)
            outcomes |= judge.outcomes({one: str(one.address) for one in left}, answers)
            left = self._put_off(left, outcomes, connection)
        self._learn(job, destination, outcomes)
        return outcomes

    def _unsent(self, destination: Destination, job: Job, why: Deferred) -> dict[RoutedAddress, Outcome]:
        """Say why this message cannot go by a session that is good."""
        self._health.opened(destination.key)
        return dict.fromkeys(job.batch.addresses, why)

    def _mail(self, authenticator: str, job: Job, connection: Connection) -> str:
        addition = self._options.size_addition
        size = -1 if addition < 0 else job.content.size + addition
        offer = connection.session.offer
        utf8 = "SMTPUTF8" in offer and (job.utf8 or job.message.envelope.smtputf8)
        sender = self._authenticated_sender(authenticator, job.batch.values)
        envelope = job.message.envelope
        if envelope.body and 13 in self._strict:  # Exim says nothing of it
            envelope = replace(envelope, body="")
        return mail_text(job.sender, envelope, size, offer, utf8, sender)

    def _rcpt(self, one: RoutedAddress, connection: Connection) -> str:
        offer = connection.session.offer
        address = one.address if "SMTPUTF8" in offer else _ascii(one.address)
        return rcpt_text(address, one.recipient, offer, ignore_quota=self._options.lmtp_ignore_quota)

    @staticmethod
    def _put_off(
        sent: Sequence[RoutedAddress], outcomes: Mapping[RoutedAddress, Outcome], connection: Connection
    ) -> tuple[RoutedAddress, ...]:
        """Return those that the server wants in another transaction: 452, where others got an answer (exim.md 7.3)."""
        if len(sent) == 1 or not (connection.session.pipelining and connection.usable):
            return ()
        put_off = [one for one in sent if _too_many(outcomes[one])]
        return tuple(put_off) if len(put_off) < len(sent) else ()

    def _authenticated_sender(self, authenticator: str, values: Values) -> str | None:
        text = self._options.authenticated_sender
        if not text or not (authenticator or self._options.authenticated_sender_force):
            return None
        try:
            return self._expander.expand(text, values) or None
        except ForcedFailure:
            return None

    def _learn(self, job: Job, destination: Destination, outcomes: dict[RoutedAddress, Outcome]) -> None:
        """Tell the log and the destination's state what a transaction has shown; put deferrals into their words."""
        said: set[str] = set()
        healthy = True
        for address, outcome in outcomes.items():
            if not isinstance(outcome, Deferred) or outcome.scope is Scope.RECIPIENT:
                continue
            if outcome.text not in said:
                said.add(outcome.text)
                self._tell_deferred(job.message.id, outcome)
                if outcome.scope is Scope.HOST:
                    outcome = self._host_deferred(destination, outcome, job.errand)
            elif outcome.scope is Scope.HOST:
                outcome = next(one for one in outcomes.values() if isinstance(one, Deferred) and one.destination)
            healthy = healthy and outcome.scope is not Scope.HOST
            outcomes[address] = outcome
        if healthy:
            deferred = [outcome for outcome in outcomes.values() if isinstance(outcome, Deferred)]
            if len(deferred) < len(outcomes):
                self._health.served(destination.key)
            else:
                self._health.put_off(destination.key, deferred[0], self._options.hosts_max_deferrals)

    def _tell_put_off(self, id: str, outcomes: Mapping[RoutedAddress, Outcome]) -> None:
        """Log what this host has said to single recipients: the next one may take them."""
        for outcome in outcomes.values():
            if isinstance(outcome, Deferred) and outcome.scope is Scope.RECIPIENT and outcome.reply is not None:
                self._tell_deferred(id, outcome)

    def _tell_deferred(self, id: str, deferred: Deferred) -> None:
        if deferred.host is not None:
            cause = strerror(deferred.errno)
            where = f"H={deferred.host.name} [{deferred.host.address}]"
            self._log(id, f"{where}: {deferred.text}{': ' + cause if cause else ''}")

    def _host_deferred(self, destination: Destination, outcome: Deferred, errand: Errand) -> Deferred:
        """Back off from the destination, or hold it where the reply asks for somebody to act."""
        meaning = complaint(outcome.reply) if outcome.reply is not None else None
        if meaning in (Complaint.CREDENTIAL, Complaint.TLS):
            assert outcome.reply is not None
            errno, error = HELD_AS[meaning]
            hold = hold_for(meaning, destination.name, outcome.reply)
            return self._health.hold(destination.key, hold, replace(outcome, errno=errno, error=error))
        deferred = replace(outcome, destination=destination.key)
        return self._health.failed(destination.key, deferred, errand, ends=GIVES_UP in self._strict)

    # -- what is sent

    def _job(self, message: Message, batch: Batch) -> Job:
        """Prepare the message; raises ExpansionError, and Unserved for what this transport cannot send."""
        sender = batch.sender
        content = self._content(message, batch)
        if too_big := self._outgoing.too_big(content, batch.values):
            raise Unserved(too_big)
        if self._has_long_line(message.content):
            raise Unserved(Failed("message has lines too long for transport"))
        utf8 = not (_fits_ascii(sender) and all(_fits_ascii(one.address) for one in batch.addresses))
        return Job(message, batch, sender, content, utf8)

    def _content(self, message: Message, batch: Batch) -> Content:
        return with_delivery_headers(self._outgoing.content(message, batch), batch, self._options, batch.sender)

    def _for_host(self, job: Job, host: Host) -> Job:
        """Return *job* with the header that names its host; raises ExpansionError."""
        values = {**job.batch.values, "host": host.name, "host_address": host.address}
        return replace(job, content=self._content(job.message, replace(job.batch, values=values)))

    def _has_long_line(self, content: Content) -> bool:
        """Whether a line is over Exim's limit (difference 7 off); one that lies across two blocks may escape.

        It is about what came in: not about our own Received line, nor what the transport adds.
        """
        long_line = self._long_line
        if long_line is None:
            return False
        blocks = content.blocks()
        first = next(blocks, b"")
        own = _OWN_FIELD.match(first)
        if long_line.search(first, own.end() if own else 0):
            return True
        return any(map(long_line.search, blocks))

    # -- where to

    async def _destinations(self, batch: Batch) -> Sequence[Destination]:
        """Return the destinations in the order to try them; raises Unserved where there are none."""
        options = self._options
        targets = batch.targets
        if not targets or options.hosts_override:
            targets = await self._own_targets(batch.values) or targets
        targets += batch.fallback or self._fallback
        if not targets:
            unset = f"{self.name} transport called with no hosts set"
            raise Unserved(Deferred(unset, TRANSPORT_ERROR, error=MISTAKE, alarm=True))
        port = 0 if all(target.port for target in targets) else self._port(batch.values)
        first = targets[: options.hosts_max_try_hardlimit]
        names = tuple([await self._name(target.name) for target in first]) if 2 in self._strict else ()
        return self._known(targets, names or tuple([target.name for target in first]), port)

    def _listed(self, targets: tuple[Target, ...], names: tuple[str, ...], port: int) -> tuple[Destination, ...]:
        """Return the destinations that *targets* are, by these *names*, which may be fewer; *port* if one has none."""
        route = lower_names(target.name for target in targets)
        found = []
        for name, target in zip(names, targets, strict=False):
            own = target.port or port
            source = "A" if target.mx is None else "MX"
            found.append(Destination(f"{self.name}:{name}:{own}", name, own, target.addresses, route, source))
        return tuple(found)

    async def _own_targets(self, values: Values) -> tuple[Target, ...]:
        """Return the targets of the transport's own ``hosts``."""
        options = self._options
        entries = read_hosts(self._expander.expand(options.hosts, values))
        if options.hosts_randomize:
            entries = random.sample(entries, len(entries))
        targets = []
        for entry in entries:
            names = [entry.name]
            if entry.mx:
                names = await self._mail_exchangers(entry.name)
            targets += [Target(name, entry.port) for name in names]
        if not options.allow_localhost:
            await self._refuse_local(targets)
        return tuple(targets)

    async def _mail_exchangers(self, domain: str) -> list[str]:
        try:
            return [name for _, name in sorted(await self._resolver.mail_exchangers(domain))] or [domain]
        except (HostNotFound, ResolveDefer) as error:
            raise Unserved(Deferred(str(error), DNS_DEFER, Scope.ROUTING, "lookup")) from error

    async def _refuse_local(self, targets: Sequence[Target]) -> None:
        local = self._expander.facts.local_addresses()
        for target in targets:
            try:
                addresses = await self._resolver.addresses(target.name)
            except (HostNotFound, ResolveDefer):
                continue  # told when it is tried
            if local.intersection(addresses):
                raise Unserved(Deferred(f"{self.name} transport found host {target.name} to be local", TRANSPORT_ERROR))

    async def _name(self, name: str) -> str:
        """Return what DNS makes of a host's name, by which it goes with difference 2 off."""
        try:
            return await self._resolver.canonical(name)
        except (HostNotFound, ResolveDefer):
            return name

    def _port(self, values: Values) -> int:
        options = self._options
        text = self._expander.expand(options.port, values)
        if "port" not in options.model_fields_set:
            text = options.protocol
        if text in PORTS:
            return PORTS[text]
        try:
            return read_port(text)
        except ValueError:
            unknown = f'TCP port "{text}" is not defined for {self.name} transport'
            raise Unserved(Deferred(unknown, TRANSPORT_ERROR, error=MISTAKE, alarm=True)) from None

    async def close(self) -> None:
        """Say good-bye on all kept connections."""
        for pool in self._pools.values():
            await pool.close()


class _Round:
    """What has become of a message's addresses so far, and of the hosts that did not serve it."""

    def __init__(self, addresses: Sequence[RoutedAddress], tries: int) -> None:
        """*tries* host addresses may be contacted."""
        self.outcomes: dict[RoutedAddress, Outcome] = dict.fromkeys(addresses, NOT_TRIED)
        self.left = list(addresses)
        self.refused: dict[Destination, Deferred] = {}
        """The hosts that were not tried, for their time has not come."""
        self.tried = False
        self.insists = False
        """Hosts are tried whatever their time."""
        self._tries = tries
        self._unserved: list[Deferred | Failed] = []

    def one_more(self) -> bool:
        """Return whether one more address may be contacted, and count it."""
        self._tries -= 1
        return self._tries >= 0

    def served(self, outcomes: Mapping[RoutedAddress, Outcome]) -> None:
        """A host has given its answers, or has gone in the middle of them."""
        self.tried = True
        if gone := {one for one in outcomes.values() if isinstance(one, Deferred) and one.destination}:
            self._unserved += gone
        self.outcomes |= outcomes
        self.left = [one for one in self.left if _another_host_may(self.outcomes[one])]

    def unserved(self, destination: Destination, error: Unserved) -> None:
        """A host has not: what another one has said says more, and so does any host that was tried.

        Where that was said of the message, it waits for its own time, or for this host.
        """
        self._unserved.append(error.outcome)
        if error.refused and isinstance(error.outcome, Deferred):
            self.refused[destination] = error.outcome
        self.tried = self.tried or not error.refused
        for one in self.left:
            known = self.outcomes[one]
            if _is_about(known, Scope.MESSAGE):
                self.outcomes[one] = _or_when_opened(known, error.outcome)
            elif known is NOT_TRIED or not (error.refused or _is_about(known, Scope.RECIPIENT)):
                self.outcomes[one] = error.outcome

    @property
    def hopeless(self) -> bool:
        """Whether no host has served, and each has failed for longer than its retry rule lasts."""
        alone = all(self.outcomes[one] in self._unserved for one in self.left)
        return bool(self.left) and alone and all(isinstance(o, Deferred) and o.hopeless for o in self._unserved)

    def despair(self) -> None:
        """Let what is left be given up."""
        for one in self.left:
            outcome = self.outcomes[one]
            if isinstance(outcome, Deferred):
                self.outcomes[one] = replace(outcome, given_up=True)


def _fits(values: Values, connection: Connection) -> bool:
    """Whether *connection* was made as a message with these *values* wants it."""
    return has_values(values, connection.session.depends_on)


def _another_host_may(outcome: Outcome) -> bool:
    """Whether another host may serve an address; not where this one may have taken it."""
    return isinstance(outcome, Deferred) and not outcome.maybe_delivered


def _is_about(outcome: Outcome, scope: Scope) -> TypeGuard[Deferred]:
    """Whether a host has deferred a message or a recipient, and so is there itself."""
    return isinstance(outcome, Deferred) and outcome.scope is scope and outcome is not NOT_TRIED


def _or_when_opened(said: Deferred, unserved: Outcome) -> Deferred:
    """Return what one host has said of a message, which may also go when another opens that was *unserved*."""
    destination = unserved.destination if isinstance(unserved, Deferred) else ""
    return replace(said, destination=said.destination or destination)


def _refused(refusal: Deferred, job: Job) -> Deferred:
    """Return a refusal in Exim's words."""
    if refusal.errno != RETRY_TIME_NOT_REACHED:
        return refusal
    return replace(refusal, text=f"{refusal.text}{_FOR_ANY_HOST}'{job.batch.addresses[0].address.domain.lower()}'")


def _of_its_domain(outcome: Outcome, one: RoutedAddress) -> Outcome:
    """Return *outcome* with the domain of its own address, where several waited for the same host."""
    if not isinstance(outcome, Deferred) or outcome.errno != RETRY_TIME_NOT_REACHED:
        return outcome
    why, said, _ = outcome.text.partition(_FOR_ANY_HOST)
    return replace(outcome, text=f"{why}{said}'{one.address.domain.lower()}'") if said else outcome


def _unsaid(answer: Answer) -> bool:
    """Whether the connection was closed without a word: the peer had closed it while it was idle."""
    return answer.trouble is not None and answer.trouble.errno == CLOSED and answer.stage is Stage.MAIL


def _too_many(outcome: Outcome) -> bool:
    """Whether the server has had enough recipients for one transaction."""
    return (
        isinstance(outcome, Deferred)
        and outcome.scope is Scope.RECIPIENT
        and outcome.reply is not None
        and outcome.reply.code == TOO_MANY
    )


def _fits_ascii(address: Address) -> bool:
    """Whether *address* can be written without SMTPUTF8."""
    if not address.local_part.isascii():
        return False
    return address.domain.isascii() or _ascii(address).domain.isascii()


def _ascii(address: Address) -> Address:
    """Return *address* with its domain in ASCII, where the local part is."""
    if address.domain.isascii() or not address.local_part.isascii():
        return address
    try:
        return Address(address.local_part, address.domain.encode("idna").decode())
    except UnicodeError:
        return address
