"""One attempt at one message: route, deliver, record.

The heart of the road. Every recipient starts as not tried, which is a deferral; whatever goes wrong on
the way, in a driver or in our own code, leaves it so. All that the attempt changed, the bounce included,
is written in one transaction, and written again until the spool takes it: a delivery that was not
recorded would be repeated.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from smarthostd.address import NULL_SENDER, Address, AddressError
from smarthostd.bounce import DIGEST_LIMIT, Bounces, Told
from smarthostd.clock import Clock
from smarthostd.envelope import Message, Recipient
from smarthostd.errors import SpoolError
from smarthostd.facts import Later, Value, Values, made
from smarthostd.headers import header_text
from smarthostd.health import RETRY_TIME_NOT_REACHED as NO_HOST_YET
from smarthostd.health import Memory
from smarthostd.intake import envelope_values
from smarthostd.mainlog import NOT_TRIED_FROM, MainLog, Way, strerror
from smarthostd.outcome import MISTAKE, NOT_TRIED, Deferred, Delivered, Failed, Host, Outcome
from smarthostd.plan import NOT_NOW, RETRY_TIME_NOT_REACHED, Plan, Planner, Result, Thaw
from smarthostd.routers.base import Redirected, RoutedAddress, RoutingDeferred, RoutingFailed, ToTransport
from smarthostd.routers.routing import TRANSPORT_NOT_FOUND, Routed, Routing, caseless
from smarthostd.spool.base import Changes, Notice, Pending, Spool, Thawing, Waiting
from smarthostd.syntax import printable
from smarthostd.transports.base import Batch, Transport, all_of

RECORD_AGAIN = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between tries to record an attempt while the spool is out of order; the last one repeats."""

NOWHERE, BYPASSED = "/dev/null", "**bypassed**"
"""A file that an alias names and no transport is asked to write; what the log has in its place, as Exim's has."""


Stops = Callable[[Recipient, Waiting], Deferred | None]
"""Says why a recipient is not even to be routed now; None: go ahead."""


class How(Struct, frozen=True):
    """How an attempt is made that a command line asked for."""

    remote_later: bool = False
    """Deliveries to other hosts are left for the next queue run (``-odqs``)."""
    bypassed: bool = False
    """Everything is done but the delivery itself (``-N``)."""
    later: Callable[[str], bool] | None = None
    """Whether what goes to other hosts for a domain is left for the next queue run (``queue_smtp_domains``)."""


AS_USUAL = How()


class Left(Struct, frozen=True):
    """What an attempt has left behind in the spool."""

    reports: Sequence[str] = ()
    """The ids of the reports that were born of it."""
    due: float = math.inf
    """When the first of the message's recipients is due again, in seconds since the epoch; infinity for none."""


def message_values(pending: Pending) -> dict[str, Value]:
    """Return the variables that a message gives to expansions (exim.md 5.2)."""
    message = pending.message
    return {
        **envelope_values(message.id, message.envelope),
        "message_size": lambda: str(message.content.size),
        "message_headers_raw": lambda: header_text(message.content),
        "received_time": str(int(message.received)),
    }


class Delivery:
    """Makes attempts."""

    def __init__(
        self,
        routing: Routing,
        transports: Mapping[str, Transport],
        planner: Planner,
        bounces: Bounces,
        spool: Spool,
        log: MainLog,
        clock: Clock,
        memory: Memory,
        stops: Stops = lambda recipient, waiting: None,
    ) -> None:
        self._routing = routing
        self._transports = transports
        self._planner = planner
        self._bounces = bounces
        self._spool = spool
        self._log = log
        self._clock = clock
        self._memory = memory
        self._stops = stops

    async def attempt(self, pending: Pending, *, forced: bool = False, how: How = AS_USUAL) -> Left:
        """Try every recipient that waits, as *how* says.

        A frozen message that somebody has claimed is thawed by that, or ends here; what thaws by itself goes on waiting
        for its times. *forced* is what somebody wants: ``hold_domains`` and ``queue_domains`` do not stop it.
        """
        if pending.frozen:
            thaw = self._planner.thaw(pending)
            self._log.thawed(pending.message.id, thaw.value)
            if thaw is Thaw.CANCELLED:
                return await self._end(pending, "delivery cancelled; message timed out")
            if thaw is Thaw.IN_TIME and not forced:
                now = self._clock.now()
                pending = pending.due(lambda recipient, waits: self._memory.lets_go(waits, now))
                await self.tell_later(pending)
        results: list[Result] = []
        values = Later(partial(message_values, pending))
        try:
            sent = await self._route(pending, values, results, how, forced=forced)
            self._tell(pending, results)
            await self._send(pending, sent, values, results, how)
        except Exception as error:  # a defect of ours must defer, never lose
            self._log.panicked(pending.message.id, "delivery", error)
        plan = self._planner.plan(pending, results)
        self._tell_ended(pending, plan, results)
        return await self._finish(pending, plan, values, results)

    async def tell_later(self, pending: Pending) -> None:
        """Log of each recipient that is left for later that it is: where the message waits for itself, of its route."""
        values = Later(partial(message_values, pending))
        for recipient, waiting in pending.later.items():
            found = (
                await self._routes(pending, recipient, values) if waiting.attempts and not waiting.destination else []
            )
            for routed in found:
                text = f"retry time not reached for any host for '{routed.address.address.domain}'"
                self._tell(
                    pending,
                    [Result(routed.address, Deferred(text, NO_HOST_YET), routed.router, self._transport_name(routed))],
                )
            if not found:
                way = Way(caseless(recipient.address), recipient.address)
                self._log.deferred(pending.message, way, Deferred("retry time not reached", RETRY_TIME_NOT_REACHED))

    async def _routes(self, pending: Pending, recipient: Recipient, values: Values) -> list[Routed]:
        """Return the addresses of *recipient* that wait for a host."""
        found = await self._routing.route(recipient, values)
        return [one for one in found if isinstance(one.verdict, ToTransport) and one.address.key not in pending.done]

    async def give_up(self, pending: Pending, who: str) -> Left:
        """End every recipient without another try, because *who* wants it."""
        if pending.frozen:
            self._log.thawed(pending.message.id, Thaw.FORCED.value)
        self._log.cancelled(pending.message.id, who)
        return await self._end(pending, "delivery cancelled by administrator")

    async def _end(self, pending: Pending, why: str) -> Left:
        return await self._finish(pending, self._planner.give_up(pending, why), message_values(pending))

    async def _finish(self, pending: Pending, plan: Plan, values: Values, results: Sequence[Result] = ()) -> Left:
        """Record what *plan* says, with those who are told of it."""
        try:
            told = self._bounces.compose(pending, plan, values)
        except Exception as error:  # a defect of ours: what was delivered is recorded, what failed is not yet done
            self._log.panicked(pending.message.id, "reports", error)
            told = Told()
            self._planner.put_off_failures(plan, pending)
        changes = Changes(
            done=plan.done,
            done_addresses=plan.done_addresses,
            waiting=plan.waiting,
            frozen=True if plan.freeze is not None else False if pending.frozen else None,
            warned=told.warned,
            events=_story(plan, results) if plan.waiting else (),
            new=told.messages,
            notices=told.notices,
            hints=self._memory.learn(plan.hints),
        )
        await self._record(pending, changes)
        self._tell_recorded(pending, plan, changes)
        self._memory.health.awaited({waiting.destination for waiting in plan.waiting.values()})
        waiting = [one.until for waits in (plan.waiting, pending.later) for one in waits.values()]
        return Left([report.id for report in told.messages], min(waiting, default=math.inf))

    def thawing(self) -> Thawing:
        """Return which frozen messages are to be taken up again now."""
        return self._planner.thawing()

    async def send_digests(self) -> bool:
        """Put one message for each reader of reports that wait; return whether there was any."""
        notices = await self._spool.notices(self._bounces.digests_per_minute, DIGEST_LIMIT)
        by_reader: dict[str, list[Notice]] = {}
        for notice in notices:
            by_reader.setdefault(notice.reader, []).append(notice)
        for own in by_reader.values():
            message = self._bounces.digest(own)
            await self._spool.put(message, listing=own)
            self._log.received(message)
        return bool(notices)

    # -- who, and how

    def holds_back(self, recipient: Recipient, waiting: Waiting) -> bool:
        """Return whether a recipient would not be tried, whatever its time: ``hold_domains`` and its kin."""
        return self._stops(recipient, waiting) is not None

    async def _route(
        self, pending: Pending, values: Values, results: list[Result], how: How, *, forced: bool
    ) -> list[Routed]:
        """Return the addresses that transports are to see, and add to *results* what came of the others.

        Both in Exim's order: what stays here goes first, then what redirections have made, and of what has no route the
        last is told first.
        """
        sent: list[Routed] = []
        for recipient, waiting in pending.waiting.items():
            stopped = None if forced else self._stops(recipient, waiting)
            if stopped is not None:
                results.append(Result(RoutedAddress(recipient.address, recipient), stopped))
                continue
            found = await self._routing.route(recipient, values)
            if len(found) > 1:  # an address that a router has passed on as well (unseen) stands before what it has made
                found = sorted(found, key=lambda routed: routed.address.address not in routed.address.parents)
            for routed in found:
                if routed.address.key in pending.done:
                    continue
                if routed.address.parents and not forced and (kept := self._keeps(routed, waiting)):
                    results.append(kept)
                elif not isinstance(routed.verdict, ToTransport):
                    results.append(self._undelivered(routed))
                elif routed.address.item == NOWHERE:
                    results.append(Result(routed.address, Delivered(final=True), routed.router, BYPASSED))
                elif how.later and (put_off := self._put_off(routed, how.later)):
                    results.append(put_off)
                else:
                    sent.append(routed)
        if len(results) > 1:
            results.reverse()
            results.sort(key=lambda result: len(set(result.address.parents)))
        if len(sent) > 1:
            sent.sort(key=lambda routed: (self._is_remote(routed), -len(set(routed.address.parents))))
        return sent

    def _is_remote(self, routed: Routed) -> bool:
        transport = self._transports.get(self._transport_name(routed))
        return transport is None or transport.remote

    def _keeps(self, routed: Routed, waiting: Waiting) -> Result | None:
        """Return the result for what a redirection has made of an address, where that is kept waiting."""
        address = routed.address
        stopped = self._stops(replace(address.recipient, address=address.address), waiting)
        return Result(address, stopped) if stopped is not None else None

    async def _send(
        self, pending: Pending, sent: Sequence[Routed], values: Values, results: list[Result], how: How
    ) -> None:
        """Deliver, and add to *results* what came of each address as soon as that is known.

        What several recipients end in goes out once, as in Exim, and is told once; it ends alike for all of them.
        """
        before = len(results)
        again: list[Routed] = []
        if len(sent) > 1:
            sent, again = _once(sent)
        batches: dict[tuple[object, ...], list[Routed]] = {}
        for routed in sent:
            self._sort_in(batches, routed)
        for group in batches.values():
            for part in self._parts(group):
                results += await self._deliver(pending, part, values, how)
        if again:
            ends = {result.address.key: result for result in results[before:]}
            results += [replace(ends[one.address.key], address=one.address) for one in again]

    def _put_off(self, routed: Routed, later: Callable[[str], bool]) -> Result | None:
        """Return the result for an address that only a queue run sends to another host."""
        name = self._transport_name(routed)
        transport = self._transports.get(name)
        if transport is None or not transport.remote or not later(routed.address.address.domain):
            return None
        text = "first-pass only routing due to -odqs, queue_smtp_domains or control=queue"
        return Result(routed.address, Deferred(text, error=NOT_NOW), routed.router, name)

    @staticmethod
    def _sort_in(batches: dict[tuple[object, ...], list[Routed]], routed: Routed) -> None:
        """Put *routed* with those that can go out in one transaction with it."""
        address, verdict = routed.address, routed.verdict
        assert isinstance(verdict, ToTransport)
        key = (
            verdict.transport, verdict.targets, verdict.fallback, address.errors_to, address.headers_add,
            address.headers_remove,
        )  # fmt: skip
        batches.setdefault(key, []).append(routed)

    def _parts(self, group: list[Routed]) -> list[list[Routed]]:
        """Cut *group* to what its transport takes at once."""
        transport = self._transports.get(self._transport_name(group[0]))
        limit = transport.max_rcpt if transport else 0
        if not limit or len(group) <= limit:
            return [group]
        return [group[at : at + limit] for at in range(0, len(group), limit)]

    @staticmethod
    def _transport_name(routed: Routed) -> str:
        assert isinstance(routed.verdict, ToTransport)
        return routed.verdict.transport

    @staticmethod
    def _undelivered(routed: Routed) -> Result:
        """Return the result for an address that no transport will see."""
        match routed.verdict:
            case RoutingDeferred(text, errno, frozen, public=public):
                error = MISTAKE if errno == TRANSPORT_NOT_FOUND else "routing"
                deferred = Deferred(text, errno, error=error, public=public)
                return Result(routed.address, deferred, routed.router, frozen=frozen)
            case RoutingFailed(text):
                return Result(routed.address, Failed(text), routed.router)
            case Redirected():
                return Result(routed.address, Delivered(), routed.router, discarded=True)
            case verdict:
                raise TypeError(f"no transport and no reason: {verdict}")

    async def _deliver(self, pending: Pending, group: Sequence[Routed], values: Values, how: How) -> list[Result]:
        """Deliver one batch; whatever the transport leaves out, or breaks, is not tried."""
        name = self._transport_name(group[0])
        transport = self._transports.get(name)
        if transport is None:
            text = f'transport "{name}" not found in {group[0].router} router'
            deferred = Deferred(text, TRANSPORT_NOT_FOUND, error=MISTAKE)
            return [Result(routed.address, deferred, routed.router) for routed in group]
        outcomes: Mapping[RoutedAddress, Outcome] = {}
        began = self._clock.monotonic()
        sender = None
        try:
            batch = self._batch(pending, transport, group, values)
            sender = batch.sender
            outcomes = await _carried_out(how, transport, pending.message, batch)
        except Exception as error:  # a defect of ours must defer, never lose
            self._log.panicked(pending.message.id, f"transport {name}", error)
        took = self._clock.monotonic() - began
        results = [
            Result(one.address, outcomes.get(one.address, NOT_TRIED), one.router, name, sender=sender, seconds=took)
            for one in group
        ]
        self._tell(pending, results)
        return results

    def _batch(self, pending: Pending, transport: Transport, group: Sequence[Routed], values: Values) -> Batch:
        first = group[0]
        address = first.address
        assert isinstance(first.verdict, ToTransport)
        sender = self._return_path(pending, address)
        return Batch(
            router=first.router,
            transport=transport,
            addresses=tuple(routed.address for routed in group),
            sender=sender,
            targets=first.verdict.targets,
            fallback=first.verdict.fallback,
            headers_add=address.headers_add,
            headers_remove=address.headers_remove,
            values=Later(partial(self._values, group, values, sender)),
        )

    def _values(self, group: Sequence[Routed], values: Values, sender: Address) -> Values:
        """Return the variables of a batch from *sender*, of a message that has these *values*."""
        first = group[0]
        assert isinstance(first.verdict, ToTransport)
        return {
            **made(values),
            **first.address.variables,
            **made(first.verdict.variables),
            **self._common(group),
            "return_path": str(sender),
        }

    @staticmethod
    def _return_path(pending: Pending, address: RoutedAddress) -> Address:
        """Return the sender for the next hop: what ``errors_to`` says, but a report stays one from nobody."""
        sender = pending.message.envelope.sender
        if not sender or address.errors_to is None:
            return sender
        try:
            return Address.parse(address.errors_to) if address.errors_to else NULL_SENDER
        except AddressError:
            return sender

    @staticmethod
    def _common(group: Sequence[Routed]) -> Values:
        """The domain and the local part as the routers saw them, where all addresses of a batch have the same."""
        if len(group) == 1:
            return {}
        return {name: _same(name, group) for name in ("domain", "local_part")}

    # -- what is told

    def _tell(self, pending: Pending, results: Sequence[Result]) -> None:
        """Log what became of addresses: before the first delivery, and after each."""
        for result in results:
            way = self._way(result)
            match result.outcome:
                case Delivered() if result.discarded:
                    self._log.discarded(pending.message, way)
                case Delivered() as outcome:
                    self._log.delivered(pending.message, way, outcome)
                case Deferred() as outcome:
                    self._log.deferred(pending.message, way, outcome)
                case Failed() as outcome:
                    self._log.failed(pending.message, way, outcome)

    def _tell_ended(self, pending: Pending, plan: Plan, results: Sequence[Result]) -> None:
        """Log what has failed because it has been tried for too long."""
        told = set(map(id, results))
        for result in (*plan.failed, *plan.kept):
            if id(result) not in told:
                assert isinstance(result.outcome, Failed)
                self._log.failed(pending.message, self._way(result), result.outcome)

    def _tell_recorded(self, pending: Pending, plan: Plan, changes: Changes) -> None:
        message = pending.message
        for report in changes.new:
            self._log.received(report, parent=message.id)
        for notice in changes.notices:
            self._log.told_later(message.id, notice.reader)
        if plan.freeze is not None:
            self._log.frozen(message.id, plan.freeze)
        elif not plan.waiting and not (pending.later.keys() - set(plan.done)):
            self._log.completed(message)

    def _way(self, result: Result) -> Way:
        """Return what the log says of an address and its way: the address as the router saw it.

        What retry rules have ended is named as it was written, as in Exim.
        """
        address, outcome = result.address, result.outcome
        ended = isinstance(outcome, Failed) and outcome.last is not None
        shown = address.shown if address.item or ended else self._routing.seen(result.router, address.address)
        return Way(
            shown, address.recipient.address, address.parents, result.router, result.transport, result.sender,
            result.seconds,
        )  # fmt: skip

    # -- what is kept

    async def _record(self, pending: Pending, changes: Changes) -> None:
        """Write *changes*, for as long as it takes: what was delivered must not be delivered again."""
        tries = 0
        while True:
            try:
                return await self._spool.record(pending.message.id, changes)
            except SpoolError as error:
                self._log.told(pending.message.id, f"the spool does not take what was done, trying again: {error}")
                await asyncio.sleep(RECORD_AGAIN[min(tries, len(RECORD_AGAIN) - 1)])
                tries += 1


def _once(sent: Sequence[Routed]) -> tuple[list[Routed], list[Routed]]:
    """Return what is to be sent, each address once, and what is the same address for another recipient."""
    first: dict[str, Routed] = {}
    again: list[Routed] = []
    for routed in sent:
        if first.setdefault(routed.address.key, routed) is not routed:
            again.append(routed)
    return list(first.values()), again


async def _carried_out(
    how: How, transport: Transport, message: Message, batch: Batch
) -> Mapping[RoutedAddress, Outcome]:
    """Deliver one batch, unless that is not to be done now, or at all."""
    if how.remote_later and transport.remote:
        return all_of(batch.addresses, Deferred("SMTP delivery explicitly queued", 0, error=NOT_NOW))
    if how.bypassed:
        return all_of(batch.addresses, _bypassed(batch) if transport.remote else Delivered(bypassed=True))
    return await transport.deliver(message, batch)


def _bypassed(batch: Batch) -> Delivered:
    """Return what is told of a batch that would have gone to its first host."""
    first = batch.targets[0] if batch.targets else None
    host = Host(first.name, first.addresses[0] if first.addresses else "", first.port or 25) if first else Host("")
    return Delivered(host, bypassed=True)


def _same(name: str, group: Sequence[Routed]) -> Value:
    """Return the variable *name* of a batch's addresses, empty where they differ (exim.md 5.2)."""
    values = {routed.verdict.variables[name] for routed in group if isinstance(routed.verdict, ToTransport)}
    return values.pop() if len(values) == 1 else ""


def _story(plan: Plan, results: Sequence[Result]) -> list[str]:
    """Return the lines that a message's story gets of an attempt, in Exim's words, with what the next hop has said."""
    lines: dict[str, None] = {}
    for result in results:
        if line := _host_line(result.outcome):
            lines.setdefault(line)
        if not _is_untried(result.outcome):
            lines.setdefault(_story_line(result))
    if plan.freeze is not None:
        lines.setdefault(f"*** Frozen{f' ({plan.freeze})' if plan.freeze else ''}")
    return list(map(printable, lines))


def _host_line(outcome: Outcome) -> str:
    """Return which host was not reached, for what the system says of it does not tell; empty for all else."""
    match outcome:
        case Deferred(host=Host() as host, errno=errno) if errno > 0:
            return f"H={host.name} [{host.address}] {outcome.told}"
        case _:
            return ""


def _is_untried(outcome: Outcome) -> bool:
    return isinstance(outcome, Deferred) and outcome.errno <= NOT_TRIED_FROM


def _story_line(result: Result) -> str:
    address = result.address.shown
    way = f"{f' R={result.router}' if result.router else ''}{f' T={result.transport}' if result.transport else ''}"
    match result.outcome:
        case Deferred(text, errno, host=host) as outcome:
            cause = strerror(errno)
            why = f": {cause}" if cause else ""
            if text != cause:
                why += f"{f' H={host}' if host else ''}: {text}"
            return f"{address}{way} defer ({errno}){why}{' (maybe delivered)' * outcome.maybe_delivered}"
        case Failed(text, host):
            failed = f"{address}{way}" if way else f"routing failed for {address}"
            return f"{failed}{f' H={host}' if host else ''}: {text}"
        case Delivered() if result.discarded:
            return f"{address}{way} discarded"
        case Delivered(host, reply):
            where = f" H={host}" if host else ""
            return f"{address}: {result.transport} transport succeeded{where}{f': {reply}' if reply else ''}"
