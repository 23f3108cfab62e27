"""What follows from the outcomes of one attempt: who is done, who waits until when, who is told.

Pure decisions: nothing here awaits, reads or writes. A recipient may stand for several addresses (an
alias with three targets); it is done when all of them are, and the ones that are done are remembered
so that they are not served twice.

A message from the null sender is a report on another message, and nobody is ever told of its failure: it is
frozen until an operator looks at it or it is too old to matter (exim.md 9.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from enum import Enum
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from smarthostd.address import Address
from smarthostd.clock import Clock
from smarthostd.envelope import Recipient
from smarthostd.hints import Hint, Hints
from smarthostd.outcome import NEVER_EXPIRES, NOT_TRIED, Deferred, Delivered, Failed, Outcome, Scope
from smarthostd.retry import Rules, Subject, Tried
from smarthostd.routers.base import Mistakes, RoutedAddress
from smarthostd.spool.base import Pending, Thawing, Waiting

RECHECK = 3600.0
"""Seconds after which mail that waits for a destination looks again by itself; its opening comes first."""
NOT_NOW = "not now"
"""The error of an address that is left for the next queue run: it has not been tried, and may be tried at any time."""
RETRY_TIME_NOT_REACHED = -52
UNREPORTED = "failed, but the report could not be made: an error of smarthostd's own, see the log"
LAST_CHANCE = 1.0
"""Seconds behind the last cutoff: what is so old is tried then, before its time, and given up if that fails."""
NEVER = float("-inf")
"""A time that no message is older than."""


class Keys(Protocol):
    """What the hints of an address are kept under (``assembly.Retry``)."""

    def of_deferral(self, result: Result, sender: Address) -> str:
        """Return the key for a deferred address; empty where the message's own times are enough."""
        ...

    def of_address(self, result: Result, sender: Address) -> Sequence[str]:
        """Return all keys that may hold something of an address that has come through."""
        ...


class Thaw(Enum):
    """Why a frozen message is taken up again, in the log's words (exim.md 9.3)."""

    CANCELLED = "cancelled by timeout_frozen_after"
    """It is not tried: its recipients fail."""
    TOO_OLD = "Unfrozen by errmsg timer"
    """A bounce: tried once more, and gone if that fails."""
    IN_TIME = "Unfrozen by auto-thaw"
    FORCED = "Unfrozen by forced delivery"


class Patience(Struct, frozen=True):
    """How long what cannot be delivered is kept: the main options of these names."""

    ignore_bounce_errors_after: timedelta = timedelta(weeks=10)
    timeout_frozen_after: timedelta = timedelta(0)
    auto_thaw: timedelta = timedelta(0)
    drops_expired_bounces: bool = False
    """Exim's way: a bounce for which the retry rules have run out vanishes (difference 10 switched off)."""
    ends_with_others: bool = False
    """Exim's way: how long its hosts, its domain or its address have been failing ends a message, for whatever message
    that was (difference 12 switched off)."""

    def thawing(self, now: float) -> Thawing:
        """Return which frozen messages are to be taken up again at *now*."""
        ignored_after = self.ignore_bounce_errors_after.total_seconds()
        return Thawing(
            received=now - self.timeout_frozen_after.total_seconds() if self.timeout_frozen_after else NEVER,
            null_sender_received=now - ignored_after,
            null_sender_frozen=now - min(ignored_after, RECHECK),
            frozen=now - self.auto_thaw.total_seconds() if self.auto_thaw else NEVER,
        )


class Result(Struct, frozen=True):
    """One address's outcome, with the router and the transport that it went through."""

    address: RoutedAddress
    outcome: Outcome
    router: str = ""
    transport: str = ""
    discarded: bool = False
    """``:blackhole:``: done, without a delivery."""
    frozen: bool = False
    """The router says that the message is to be frozen."""
    sender: Address | None = None
    """The return path that it went with; None where it went nowhere."""
    seconds: float = 0.0
    """How long the transport took."""

    @property
    def deferred(self) -> bool:
        """Whether this address must be tried again."""
        return isinstance(self.outcome, Deferred)


class Plan(Struct):
    """What is to be written and told."""

    done: list[Recipient] = field(default_factory=list)
    done_addresses: list[str] = field(default_factory=list)
    waiting: dict[Recipient, Waiting] = field(default_factory=dict)
    deferred: list[Result] = field(default_factory=list)
    """The addresses that those recipients wait for, and what was left for later."""
    failed: list[Result] = field(default_factory=list)
    """Done, and somebody may have to be told."""
    kept: list[Result] = field(default_factory=list)
    """Failures of a report: they stay with it, frozen."""
    delivered: list[Result] = field(default_factory=list)
    hints: dict[str, Hint | None] = field(default_factory=dict)
    """What has been learned of addresses and domains; None where they work again."""
    mistakes: list[Mistakes] = field(default_factory=list)
    """What was skipped in redirections of recipients that had not been tried before."""
    freeze: str | None = None
    """Why the message is to be frozen; an empty text where there is no more to say than that."""


class Planner:
    """Turns outcomes into a plan."""

    def __init__(
        self,
        rules: Rules,
        clock: Clock,
        patience: Patience = Patience(),
        keys: Keys | None = None,
        hints: Hints | None = None,
    ) -> None:
        """Without *keys* nothing is learned from one message for another."""
        self._rules = rules
        self._clock = clock
        self._patience = patience
        self._keys = keys
        self._hints = Hints() if hints is None else hints  # an empty one counts, too: it is shared

    def plan(self, pending: Pending, results: Sequence[Result]) -> Plan:
        """Return the plan for one attempt; recipients without any result were not tried and wait."""
        plan = Plan()
        by_recipient: dict[Recipient, list[Result]] = {recipient: [] for recipient in pending.waiting}
        for result in results:
            by_recipient[result.address.recipient].append(result)
            if result.address.mistakes and not pending.waiting[result.address.recipient].attempts:
                plan.mistakes += result.address.mistakes
        for recipient, own in by_recipient.items():
            own = own or [Result(RoutedAddress(recipient.address, recipient), NOT_TRIED)]
            self._plan_recipient(plan, pending, recipient, own)
        if len(plan.failed) > 1:  # a report tells of them in the order in which they failed, the last one first
            place = {id(result.address): number for number, result in enumerate(results)}
            plan.failed.sort(key=lambda result: place.get(id(result.address), 0))
        if plan.kept:
            trusted = pending.message.envelope.client.trusted
            plan.freeze = "delivery error message" if trusted else "message created with -f <>"
        elif plan.waiting and any(result.frozen for result in results):
            plan.freeze = ""
        for recipient, waiting in pending.later.items():
            untried = Deferred(waiting.reason, RETRY_TIME_NOT_REACHED)
            plan.deferred.append(Result(RoutedAddress(recipient.address, recipient), untried))
        self._clear(plan, pending, results)
        return plan

    def _clear(self, plan: Plan, pending: Pending, results: Sequence[Result]) -> None:
        """Forget what was known against addresses that came through, and against domains that could be routed."""
        if not self._hints or self._keys is None:
            return
        for result in results:
            if not result.deferred or result.transport:
                keys = self._keys.of_address(result, pending.message.envelope.sender)
                found = [key for key in keys if key in self._hints and not (result.deferred and key in plan.hints)]
                plan.hints.update(dict.fromkeys(found))

    def give_up(self, pending: Pending, text: str) -> Plan:
        """Return the plan that ends every recipient without another try; *text* tells the sender why."""
        given_up = [*pending.waiting, *pending.later]
        plan = Plan(done=given_up)
        if pending.message.envelope.sender:
            plan.failed = [Result(RoutedAddress(one.address, one), Failed(text)) for one in given_up]
        return plan

    def put_off_failures(self, plan: Plan, pending: Pending) -> None:
        """Change *plan* so that what has failed waits, because nobody could be told of it."""
        until = self._clock.now() + RECHECK
        for recipient in dict.fromkeys(result.address.recipient for result in plan.failed):
            if recipient in plan.done:
                plan.done.remove(recipient)
                waiting = pending.waiting.get(recipient) or pending.later[recipient]
                plan.waiting[recipient] = replace(waiting, until=until, reason=UNREPORTED)
        told = [result for result in plan.delivered if result.address.recipient in plan.waiting]
        plan.done_addresses += [result.address.key for result in told]
        plan.failed.clear()

    # -- one recipient

    def _plan_recipient(self, plan: Plan, pending: Pending, recipient: Recipient, results: list[Result]) -> None:
        if len(results) == 1 and isinstance(results[0].outcome, Delivered) and not results[0].discarded:
            plan.delivered += results  # as nearly always
            plan.done.append(recipient)
            return
        deferred = [result for result in results if result.deferred]
        waiting = pending.waiting[recipient]
        if deferred:
            waiting, expired = self._waiting(plan, pending, waiting, deferred)
            if not expired and len(deferred) == len(results):
                plan.deferred += deferred
                plan.waiting[recipient] = waiting
                return
            if expired:
                results = [self._expired(result) if result.deferred else result for result in results]
                deferred = []
        failed = [result for result in results if isinstance(result.outcome, Failed)]
        kept = [result for result in failed if self._is_kept(pending, result)]
        plan.delivered += [r for r in results if isinstance(r.outcome, Delivered) and not r.discarded]
        plan.failed += [result for result in failed if result not in kept]
        plan.kept += kept
        plan.deferred += deferred
        if not deferred and not kept:
            plan.done.append(recipient)
            return
        if kept:
            waiting = replace(waiting, until=self._clock.now(), reason="; ".join(_text(result) for result in kept))
        plan.waiting[recipient] = waiting
        plan.done_addresses += [r.address.key for r in results if r not in deferred and r not in kept]

    def _is_kept(self, pending: Pending, result: Result) -> bool:
        """Whether this failure is a report's, which is kept for the administrator and not dropped in silence."""
        assert isinstance(result.outcome, Failed)
        if pending.message.envelope.sender or result.address.errors_to == "":
            return False
        if result.outcome.last is not None and self._patience.drops_expired_bounces:
            return False
        return self._clock.now() - pending.message.received < self._patience.ignore_bounce_errors_after.total_seconds()

    def _waiting(
        self, plan: Plan, pending: Pending, before: Waiting, deferred: Iterable[Result]
    ) -> tuple[Waiting, bool]:
        """Return the earliest of what the deferred addresses wait for, and whether all have run out of time."""
        plans = [self._one(plan, pending, before, result) for result in deferred]
        if len(plans) == 1 and not before.maybe_delivered:
            return plans[0]
        waiting = min((waiting for waiting, _ in plans), key=lambda waiting: waiting.until)
        maybe = before.maybe_delivered or any(waiting.maybe_delivered for waiting, _ in plans)
        return replace(waiting, maybe_delivered=maybe), all(expired for _, expired in plans)

    def _one(self, plan: Plan, pending: Pending, before: Waiting, result: Result) -> tuple[Waiting, bool]:
        assert isinstance(result.outcome, Deferred)
        outcome = result.outcome
        now = self._clock.now()
        if outcome.error == NOT_NOW:
            return replace(before, until=now, reason=outcome.text, destination=""), False
        sender = pending.message.envelope.sender
        key = self._keys.of_deferral(result, sender) if self._keys is not None else ""
        known = self._known(key, pending, before, outcome, now)
        # What was not tried because its destination is closed has had its last try when that had (exim.md 9.2),
        # but not at a time that is yet to come: the clock may have been set back.
        as_of = min(outcome.tried or now, now)
        subject = _subject(result, key, str(sender))
        until, expired = self._rules.next_try(subject, known, as_of)
        of_host = bool(outcome.destination) and outcome.scope is Scope.HOST
        patience = 0.0 if of_host else self._rules.patience(subject)
        if of_host and self._patience.ends_with_others:
            expired = outcome.given_up
        elif not of_host:
            expired = expired or now - pending.message.received > patience
        expired = expired and outcome.error not in NEVER_EXPIRES and outcome is not NOT_TRIED
        if key:
            # The message's age counts for itself alone.
            hint = self._hints.find(key, now)
            first = hint.first_failed if hint is not None else now
            plan.hints[key] = Hint(first, now, until, expired, outcome.errno, outcome.told, outcome.error)
        if of_host:
            until = now + RECHECK
        elif "@" in key or not key:
            over = pending.message.received + patience
            until = min(until, over + LAST_CHANCE) if over > now else until
            until = min(until, now + RECHECK) if outcome.destination else until  # its opening, too, may be missed
        reason = f"{outcome.text}: {outcome.because}" if outcome.because else outcome.text
        since = known.first_failed if outcome.scope is Scope.MESSAGE else before.first_failed or now
        waiting = Waiting(
            until, reason, outcome.destination or key, before.attempts + 1, since, now, outcome.maybe_delivered
        )
        return waiting, expired

    def _known(self, key: str, pending: Pending, before: Waiting, outcome: Deferred, now: float) -> Tried:
        """Return since when an address fails and when it was tried last, by this message or by another."""
        hint = self._hints.find(key, now) if key else None
        since, received = before.first_failed or now, pending.message.received
        if hint is not None:
            first = hint.first_failed if self._patience.ends_with_others else since
            return Tried(min(first, received), hint.last_try, hint.next_try)
        # What failed otherwise the last time begins with the shortest gap again.
        goes_on = before.attempts > 0 and before.destination == (outcome.destination or key)
        if outcome.scope is Scope.MESSAGE:
            since = since if goes_on else now
        elif outcome.scope is not Scope.HOST:
            since = min(since, received)  # an address's failing time is at least the message's age (exim.md 9.1)
        return Tried(since, before.last_try, before.until) if goes_on else Tried(since, now, now)

    @staticmethod
    def _expired(result: Result) -> Result:
        assert isinstance(result.outcome, Deferred)
        last = result.outcome
        return replace(result, outcome=Failed("retry timeout exceeded", last.host, last.reply, last))

    # -- frozen messages

    def thaw(self, pending: Pending) -> Thaw:
        """Return why this frozen message, which somebody has claimed, is taken up again."""
        due = self._patience.thawing(self._clock.now())
        message = pending.message
        if message.received <= due.received:
            return Thaw.CANCELLED
        if not message.envelope.sender:
            return Thaw.TOO_OLD if message.received <= due.null_sender_received else Thaw.FORCED
        return Thaw.IN_TIME if pending.frozen_since <= due.frozen else Thaw.FORCED

    def thawing(self) -> Thawing:
        """Return which frozen messages are to be taken up again now."""
        return self._patience.thawing(self._clock.now())


def _subject(result: Result, key: str, sender: str) -> Subject:
    """Return what an address's retry rule is looked for by: the host whose error it is, or the domain of its hint."""
    outcome, address = result.outcome, result.address.address
    assert isinstance(outcome, Deferred)
    if outcome.scope is Scope.HOST and outcome.destination:
        return Subject(outcome.destination.split(":")[1], outcome.error, sender, address.domain)
    if outcome.scope is Scope.MESSAGE and outcome.host is not None:
        return Subject(outcome.host.name, outcome.error, sender, address.domain)
    return Subject(str(address) if "@" in key or not key else address.domain, outcome.error, sender)


def _text(result: Result) -> str:
    assert isinstance(result.outcome, Failed)
    return result.outcome.text
