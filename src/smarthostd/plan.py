"""What follows from the outcomes of one attempt: who is done, who waits until when, who is told.

Pure decisions: nothing here awaits, reads or writes. A recipient may stand for several addresses (an
alias with three targets); it is done when all of them are, and the ones that are done are remembered
so that they are not served twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from smarthostd.clock import Clock
from smarthostd.envelope import Recipient
from smarthostd.outcome import NOT_TRIED, Deferred, Delivered, Failed, Outcome, Scope
from smarthostd.routers.base import RoutedAddress
from smarthostd.spool.base import Pending, Waiting

RECHECK = 3600.0
"""Seconds after which mail that waits for a destination looks again by itself; its opening comes first."""
NEVER_EXPIRES = frozenset({"auth_failed", "tls_required"})
"""Errors that are an administrator's to mend: they hold mail and never bounce it (promise 4)."""

NextTry = Callable[[str, str, str, Waiting, float], tuple[float, bool]]
"""(address, error, sender, what it waited for, now) to (the next try, whether the retry rules have run out)."""


@dataclass(frozen=True, slots=True)
class Result:
    """One address's outcome, with the router and the transport that it went through."""

    address: RoutedAddress
    outcome: Outcome
    router: str = ""
    transport: str = ""
    discarded: bool = False
    """``:blackhole:``: done, without a delivery."""
    frozen: bool = False
    """The router says that the message is to be frozen."""

    @property
    def deferred(self) -> bool:
        """Whether this address must be tried again."""
        return isinstance(self.outcome, Deferred)


@dataclass(slots=True)
class Plan:
    """What is to be written and told."""

    done: list[Recipient] = field(default_factory=list)
    done_addresses: list[str] = field(default_factory=list)
    waiting: dict[Recipient, Waiting] = field(default_factory=dict)
    failed: list[Result] = field(default_factory=list)
    delivered: list[Result] = field(default_factory=list)
    freeze: str | None = None
    """Why the message is to be frozen; an empty text where there is no more to say than that."""


class Planner:
    """Turns outcomes into a plan."""

    def __init__(self, next_try: NextTry, clock: Clock) -> None:
        self._next_try = next_try
        self._clock = clock

    def plan(self, pending: Pending, results: Sequence[Result]) -> Plan:
        """Return the plan for one attempt; recipients without any result were not tried and wait."""
        plan = Plan()
        by_recipient: dict[Recipient, list[Result]] = {recipient: [] for recipient in pending.waiting}
        for result in results:
            by_recipient[result.address.recipient].append(result)
        for recipient, own in by_recipient.items():
            own = own or [Result(RoutedAddress(recipient.address, recipient), NOT_TRIED)]
            self._plan_recipient(plan, pending, recipient, own)
        if any(result.frozen for result in results):
            plan.freeze = ""
        return plan

    def _plan_recipient(self, plan: Plan, pending: Pending, recipient: Recipient, results: list[Result]) -> None:
        deferred = [result for result in results if result.deferred]
        if deferred:
            waiting, expired = self._waiting(pending, pending.waiting[recipient], deferred)
            if expired:
                results = [self._expired(result) if result.deferred else result for result in results]
                deferred = []
        plan.delivered += [r for r in results if isinstance(r.outcome, Delivered) and not r.discarded]
        failed = [result for result in results if isinstance(result.outcome, Failed)]
        plan.failed += failed
        if not pending.message.envelope.sender and any(not self._ignored(r) for r in failed):
            # A bounce that cannot be delivered is kept for the administrator, never dropped in silence.
            plan.freeze = "delivery error message"
            deferred = failed
            reason = "; ".join(result.outcome.text for result in failed if isinstance(result.outcome, Failed))
            waiting = replace(pending.waiting[recipient], until=self._clock.now(), reason=reason)
        if deferred:
            plan.waiting[recipient] = waiting
            plan.done_addresses += [r.address.key for r in results if r not in deferred]
        else:
            plan.done.append(recipient)

    def _waiting(self, pending: Pending, before: Waiting, deferred: Iterable[Result]) -> tuple[Waiting, bool]:
        """Return the earliest of what the deferred addresses wait for, and whether all have run out of time."""
        plans = [self._one(pending, before, result) for result in deferred]
        waiting = min((waiting for waiting, _ in plans), key=lambda waiting: waiting.until)
        maybe = before.maybe_delivered or any(waiting.maybe_delivered for waiting, _ in plans)
        return replace(waiting, maybe_delivered=maybe), all(expired for _, expired in plans)

    def _one(self, pending: Pending, before: Waiting, result: Result) -> tuple[Waiting, bool]:
        assert isinstance(result.outcome, Deferred)
        outcome = result.outcome
        now = self._clock.now()
        since = before.first_failed or now
        if outcome.scope is not Scope.HOST:
            # An address's or message's failing time is at least the message's age (exim.md 9.1).
            since = min(since, pending.message.received)
        known = replace(before, first_failed=since)
        address = str(result.address.address)
        until, expired = self._next_try(address, outcome.error, str(pending.message.envelope.sender), known, now)
        if outcome.destination:
            until = now + RECHECK
        waiting = Waiting(
            until, outcome.text, outcome.destination, before.attempts + 1, before.first_failed or now, now,
            outcome.maybe_delivered,
        )  # fmt: skip
        return waiting, expired and outcome.error not in NEVER_EXPIRES and outcome is not NOT_TRIED

    @staticmethod
    def _expired(result: Result) -> Result:
        assert isinstance(result.outcome, Deferred)
        outcome = result.outcome
        return replace(result, outcome=Failed(f"retry timeout exceeded: {outcome.text}", outcome.host, outcome.reply))

    @staticmethod
    def _ignored(result: Result) -> bool:
        return result.address.errors_to == ""
