"""What follows from outcomes: done, waiting, told, frozen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from smarthostd.address import NULL_SENDER, Address
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.outcome import NOT_TRIED, Deferred, Delivered, Failed, Outcome, Scope
from smarthostd.plan import RECHECK, Patience, Planner, Result, Thaw
from smarthostd.routers.base import RoutedAddress
from smarthostd.spool.base import Pending, Waiting
from tests.clocks import HeldClock
from tests.rules import Rules

ANN, BEN = (Recipient(Address(name, "example.com")) for name in ("ann", "ben"))
SENDER = Address("sender", "example.net")


class House:
    """A planner whose retry rules give an hour, and run out after a day."""

    def __init__(self, **patience: Any) -> None:
        self.clock = HeldClock()
        self.planner = Planner(Rules(3600, 86400), self.clock, Patience(**patience))

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


def test_a_host_that_was_tried_at_a_time_yet_to_come_gives_nothing_up() -> None:
    """The clock was set back by more than the retry rule lasts: new mail was bounced without a try."""
    house = House()
    closed = Deferred("not now", -54, Scope.HOST, destination="t:h:25", tried=house.clock.now() + 30 * 86400)
    plan = house.planner.plan(house.pending(ANN), [result(ANN, closed)])
    assert plan.failed == []
    assert ANN in plan.waiting


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
    assert plan.failed == []
    assert [str(kept.address.address) for kept in plan.kept] == ["ann@example.com"]
    assert plan.waiting[ANN].reason == "550 no"


def test_a_frozen_bounces_deferred_address_is_tried_again_after_the_thaw() -> None:
    """One alias, three addresses: one served, one deferred, one refused. Only the first is done."""
    house = House()
    plan = house.planner.plan(
        house.pending(ANN, sender=NULL_SENDER),
        [
            result(ANN, Delivered(), "one@example.org"),
            result(ANN, Deferred("later"), "two@example.org"),
            result(ANN, Failed("550 no"), "three@example.org"),
        ],
    )
    assert plan.freeze == "delivery error message"
    assert plan.done_addresses == ["one@example.org"]


@pytest.mark.parametrize(
    ("age", "outcome", "errors_to", "kept"),
    [
        pytest.param(timedelta(0), Failed("550 no"), None, True, id="new"),
        pytest.param(timedelta(weeks=11), Failed("550 no"), None, False, id="older than ignore_bounce_errors_after"),
        pytest.param(timedelta(0), Failed("550 no"), "", False, id="an empty errors_to"),
        pytest.param(timedelta(0), Failed("550 no"), "owner@example.org", True, id="an errors_to"),
        pytest.param(timedelta(0), Failed("expired", last=Deferred("later")), None, True, id="expired (difference 11)"),
    ],
)
def test_which_failures_of_a_bounce_are_kept(
    age: timedelta, outcome: Failed, errors_to: str | None, kept: bool
) -> None:
    house = House()
    pending = house.pending(ANN, sender=NULL_SENDER)
    house.clock.pass_(age.total_seconds())
    plan = house.planner.plan(pending, [result(ANN, outcome, errors_to=errors_to)])
    assert (plan.freeze is not None) == kept
    assert bool(plan.kept) == kept
    assert bool(plan.failed) != kept
    assert (plan.done == [ANN]) != kept


def test_exims_way_a_bounce_that_expires_vanishes() -> None:
    house = House(drops_expired_bounces=True)
    expired = Failed("retry timeout exceeded", last=Deferred("later"))
    plan = house.planner.plan(house.pending(ANN, sender=NULL_SENDER), [result(ANN, expired)])
    assert plan.freeze is None
    assert plan.done == [ANN]


def test_no_bounce_is_kept_at_all_where_errors_are_ignored_at_once() -> None:
    house = House(ignore_bounce_errors_after=timedelta(0))
    plan = house.planner.plan(house.pending(ANN, sender=NULL_SENDER), [result(ANN, Failed("550 no"))])
    assert plan.freeze is None
    assert plan.done == [ANN]


def test_a_router_may_freeze_a_message() -> None:
    house = House()
    frozen = replace(result(ANN, Deferred("remote host address is the local host")), frozen=True)
    plan = house.planner.plan(house.pending(ANN), [frozen])
    assert plan.freeze == ""
    assert ANN in plan.waiting


def test_giving_up_ends_every_recipient_and_tells_the_sender() -> None:
    house = House()
    plan = house.planner.give_up(house.pending(ANN, BEN), "cancelled")
    assert plan.done == [ANN, BEN]
    assert [str(one.address.address) for one in plan.failed] == ["ann@example.com", "ben@example.com"]


def test_giving_up_a_bounce_tells_nobody() -> None:
    house = House()
    plan = house.planner.give_up(house.pending(ANN, sender=NULL_SENDER), "cancelled")
    assert plan.done == [ANN]
    assert plan.failed == []


HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("patience", "sender", "age", "frozen_for", "thaw"),
    [
        pytest.param({}, SENDER, 100 * DAY, 99 * DAY, Thaw.FORCED, id="by nothing but force"),
        pytest.param({"auto_thaw": DAY}, SENDER, 2 * DAY, 2 * DAY, Thaw.IN_TIME, id="auto_thaw"),
        pytest.param({"auto_thaw": DAY}, SENDER, 2 * DAY, HOUR, Thaw.FORCED, id="auto_thaw counts from the freezing"),
        pytest.param({"auto_thaw": DAY}, NULL_SENDER, 2 * DAY, 2 * DAY, Thaw.FORCED, id="auto_thaw leaves bounces"),
        pytest.param({}, NULL_SENDER, 71 * DAY, 70 * DAY, Thaw.TOO_OLD, id="ignore_bounce_errors_after"),
        pytest.param({"timeout_frozen_after": DAY}, SENDER, 2 * DAY, HOUR, Thaw.CANCELLED, id="timeout_frozen_after"),
        pytest.param(
            {"timeout_frozen_after": DAY}, NULL_SENDER, 71 * DAY, 70 * DAY, Thaw.CANCELLED, id="which comes first"
        ),
        pytest.param({"timeout_frozen_after": 3 * DAY}, SENDER, 2 * DAY, DAY, Thaw.FORCED, id="which has not come"),
    ],
)
def test_why_a_frozen_message_is_taken_up_again(
    patience: dict[str, timedelta], sender: Address, age: timedelta, frozen_for: timedelta, thaw: Thaw
) -> None:
    house = House(**patience)
    pending = house.pending(ANN, sender=sender)
    house.clock.pass_(age.total_seconds())
    since = house.clock.now() - frozen_for.total_seconds()
    assert house.planner.thaw(replace(pending, frozen=True, frozen_since=since)) is thaw


def test_maybe_delivered_is_not_forgotten_by_a_later_plain_deferral() -> None:
    house = House()
    plan = house.planner.plan(
        house.pending(ANN, before=Waiting(0, maybe_delivered=True)), [result(ANN, Deferred("450 later"))]
    )
    assert plan.waiting[ANN].maybe_delivered
