"""What follows from outcomes: done, waiting, told, frozen."""

from __future__ import annotations

from smarthostd.address import NULL_SENDER, Address
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.outcome import NOT_TRIED, Deferred, Delivered, Failed, Outcome, Scope
from smarthostd.plan import RECHECK, Planner, Result
from smarthostd.routers.base import RoutedAddress
from smarthostd.spool.base import Pending, Waiting
from tests.clocks import HeldClock

ANN, BEN = (Recipient(Address(name, "example.com")) for name in ("ann", "ben"))
SENDER = Address("sender", "example.net")


class House:
    """A planner whose retry rules give an hour, and run out after a day."""

    def __init__(self) -> None:
        self.clock = HeldClock()
        self.planner = Planner(self._next_try, self.clock)

    @staticmethod
    def _next_try(address: str, error: str, sender: str, known: Waiting, now: float) -> tuple[float, bool]:
        return now + 3600, now - known.first_failed > 86400

    def pending(self, *recipients: Recipient, sender: Address = SENDER, before: Waiting | None = None) -> Pending:
        message = Message("id", self.clock.now(), Envelope(sender, recipients), Content(b"\r\n"))
        return Pending(message, dict.fromkeys(recipients, before or Waiting(0)))


def result(recipient: Recipient, outcome: Outcome, address: str = "", errors_to: str | None = None) -> Result:
    target = Address.parse(address) if address else recipient.address
    return Result(RoutedAddress(target, recipient, errors_to=errors_to), outcome, "r", "t")


def test_a_delivered_recipient_is_done_and_a_deferred_one_waits() -> None:
    house = House()
    pending = house.pending(ANN, BEN)
    later = Deferred("450 later", -44, error="rcpt_450")
    plan = house.planner.plan(pending, [result(ANN, Delivered()), result(BEN, later)])
    assert plan.done == [ANN]
    assert plan.waiting[BEN].until == house.clock.now() + 3600
    assert plan.waiting[BEN].reason == "450 later"
    assert plan.waiting[BEN].attempts == 1
    assert plan.failed == []


def test_a_recipient_that_nothing_was_said_about_waits() -> None:
    house = House()
    plan = house.planner.plan(house.pending(ANN), [])
    assert plan.waiting[ANN].reason == NOT_TRIED.text
    assert plan.done == []


def test_our_own_defect_never_bounces_however_old_the_message_is() -> None:
    house = House()
    pending = house.pending(ANN, before=Waiting(0, first_failed=1.0))
    plan = house.planner.plan(pending, [])
    assert plan.failed == []
    assert ANN in plan.waiting


def test_one_of_three_children_that_waits_keeps_the_recipient_and_remembers_the_others() -> None:
    house = House()
    plan = house.planner.plan(
        house.pending(ANN),
        [
            result(ANN, Delivered(), "one@example.org"),
            result(ANN, Deferred("later"), "two@example.org"),
            result(ANN, Failed("no such user"), "three@Example.org"),
        ],
    )
    assert plan.done == []
    assert ANN in plan.waiting
    assert plan.done_addresses == ["one@example.org", "three@example.org"]
    assert [str(failed.address.address) for failed in plan.failed] == ["three@Example.org"]


def test_when_the_retry_rules_run_out_the_address_fails() -> None:
    house = House()
    pending = house.pending(ANN, before=Waiting(0, first_failed=house.clock.now() - 100_000))
    plan = house.planner.plan(pending, [result(ANN, Deferred("450 later", -44))])
    assert plan.done == [ANN]
    outcome = plan.failed[0].outcome
    assert isinstance(outcome, Failed)
    assert outcome.text == "retry timeout exceeded"
    assert outcome.last == Deferred("450 later", -44)


def test_a_refused_password_never_bounces_mail() -> None:
    house = House()
    pending = house.pending(ANN, before=Waiting(0, first_failed=house.clock.now() - 1_000_000))
    held = Deferred("held", -42, Scope.HOST, "auth_failed", destination="t:h:587")
    plan = house.planner.plan(pending, [result(ANN, held)])
    assert plan.failed == []
    assert plan.waiting[ANN].destination == "t:h:587"
    assert plan.waiting[ANN].until == house.clock.now() + RECHECK


def test_a_bounce_that_cannot_be_delivered_is_frozen_not_bounced() -> None:
    house = House()
    plan = house.planner.plan(house.pending(ANN, sender=NULL_SENDER), [result(ANN, Failed("550 no"))])
    assert plan.freeze == "delivery error message"
    assert plan.done == []
    assert plan.waiting[ANN].reason == "550 no"


def test_maybe_delivered_is_not_forgotten_by_a_later_plain_deferral() -> None:
    house = House()
    plan = house.planner.plan(
        house.pending(ANN, before=Waiting(0, maybe_delivered=True)), [result(ANN, Deferred("450 later"))]
    )
    assert plan.waiting[ANN].maybe_delivered
