"""A smarthost that does not serve: when it is tried, what that costs, and what becomes of the mail.

The expected times are reckoned here, from the rules as Exim's manual gives them, and not by our own retry module.
"""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

from tests.simulated.world import CONNECTIONS, DAY, HOUR, MINUTE, world
from tests.smtp.scripted import CLOSE

BUSY = "421 4.3.2 closed for repairs"
USUAL = "* * F,2h,15m; G,16h,1h,1.5; F,4d,6h"


def exims_times(*steps: tuple[str, float, float, float]) -> list[float]:
    """Return when Exim tries a host that never serves, the last attempt being the one that gives up.

    A step is a letter, its cutoff, its interval and its factor. The interval of ``G`` grows from the last one.
    """
    times, gap = [0.0], 0.0
    while times[-1] <= steps[-1][1]:
        letter, _, interval, factor = next(step for step in steps if times[-1] <= step[1])
        gap = interval if letter == "F" else max(interval, gap * factor)
        times.append(times[-1] + min(gap, DAY))
    return times


@pytest.mark.parametrize(
    ("rule", "steps"),
    [
        pytest.param(
            USUAL,
            [("F", 2 * HOUR, 15 * MINUTE, 1), ("G", 16 * HOUR, HOUR, 1.5), ("F", 4 * DAY, 6 * HOUR, 1)],
            id="Debian's rule",
        ),
        pytest.param("* * F,1d,10m", [("F", DAY, 10 * MINUTE, 1)], id="F: always the same interval"),
        pytest.param("* * G,8d,1h,2", [("G", 8 * DAY, HOUR, 2)], id="G: growing, but to no more than a day"),
        pytest.param(
            "* * G,1d,5m,1.1; F,5d,12h", [("G", DAY, 5 * MINUTE, 1.1), ("F", 5 * DAY, 12 * HOUR, 1)], id="G, then F"
        ),
    ],
)
async def test_attempts_come_at_the_times_of_exims_rules(
    rule: str, steps: list[tuple[str, float, float, float]], tmp_path: Path
) -> None:
    """One connection at each time; the first one behind the last cutoff gives up, with one bounce."""
    expected = exims_times(*steps)
    async with world(tmp_path, retry=[rule]) as (relay, smarthost):
        smarthost.answers["220"] = BUSY
        await relay.put("late")
        await relay.pass_(expected[-1] + DAY)
        assert smarthost.connected == pytest.approx(expected, abs=1)
        assert relay.times(r"\*\* you@there.example: retry timeout exceeded") == pytest.approx(expected[-1:], abs=1)
        assert relay.failures() == ["you@there.example"]
        assert await relay.waiting() == 0


async def test_h_spaces_attempts_at_random_in_the_upper_half(tmp_path: Path) -> None:
    """Each gap lies between the middle of what ``G`` would have made of the last one, and that."""
    first, factor = 10 * MINUTE, 1.5
    async with world(tmp_path, retry=["* * H,1d,10m,1.5"]) as (relay, smarthost):
        smarthost.answers["220"] = BUSY
        await relay.put("late")
        await relay.pass_(2 * DAY)
        times = smarthost.connected
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert times[-2] <= DAY < times[-1]
    assert gaps[0] == pytest.approx(first, abs=1)
    for before, gap in pairwise(gaps):
        most = max(first, before * factor)
        assert first + (most - first) / 2 - 2 <= gap <= most + 2
    assert len({round(gap - first) for gap in gaps}) > 2, "no chance in it"


async def test_a_thousand_messages_through_eight_hours_of_outage(tmp_path: Path) -> None:
    """They cost the first connections and then one for each time the rules name; all arrive, each once."""
    subjects = [f"number {number}" for number in range(1000)]
    async with world(tmp_path, retry=[USUAL]) as (relay, smarthost):
        smarthost.answers["220"] = BUSY
        await relay.put(*subjects)
        await relay.pass_(8 * HOUR)
        named = exims_times(("F", 2 * HOUR, 15 * MINUTE, 1), ("G", 16 * HOUR, HOUR, 1.5))
        assert len(smarthost.connected) <= CONNECTIONS + sum(0 < time <= 8 * HOUR for time in named)
        assert await relay.waiting() == len(subjects)
        assert not relay.failures()
        smarthost.answers.clear()
        await relay.pass_(8 * HOUR)
        assert smarthost.taken() == dict.fromkeys(subjects, 1)
        assert await relay.waiting() == 0
        assert len(relay.lines(" Completed")) == len(subjects)


async def test_a_month_of_outages_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """A message every two hours; the smarthost comes and goes in every manner, for minutes or for days."""
    chance = random.Random(4)
    async with world(tmp_path, retry=[USUAL]) as (relay, smarthost):
        subjects: list[str] = []
        for hours in range(0, int(30 * DAY / HOUR), 2):
            if hours % 12 == 0:
                out = chance.random() < 0.6
                smarthost.answers["220"] = chance.choice((BUSY, CLOSE, "554 5.3.2 not now")) if out else "220 welcome"
            subjects.append(f"hour {hours}")
            await relay.put(subjects[-1])
            await relay.pass_(2 * HOUR)
        smarthost.answers.clear()
        await relay.pass_(DAY)
        assert smarthost.taken() == dict.fromkeys(subjects, 1)
        assert not relay.failures()
        assert await relay.waiting() == 0
        probes = len(smarthost.connected) - len(subjects)
        assert probes <= 30 * DAY / HOUR, "more than a connection an hour for nothing"


async def test_new_mail_for_a_host_in_back_off_makes_no_connection(tmp_path: Path) -> None:
    async with world(tmp_path, retry=["* * F,4d,1h"]) as (relay, smarthost):
        smarthost.answers["220"] = BUSY
        await relay.put("first")
        await relay.pass_(MINUTE)
        await relay.put(*(f"later {number}" for number in range(50)))
        await relay.pass_(30 * MINUTE)
        assert len(smarthost.connected) == 1
        assert len(relay.lines(r"== you@there.example .*retry time not reached")) >= 50
        smarthost.answers.clear()
        await relay.pass_(30 * MINUTE)
        assert sum(smarthost.taken().values()) == 51


async def test_a_restart_in_the_middle_forgets_no_back_off(tmp_path: Path) -> None:
    """The new process asks once, soon, as a new start deserves; then it goes on where the old one was."""
    async with world(tmp_path, retry=["* * G,30d,1h,2"]) as (relay, smarthost):
        smarthost.answers["220"] = BUSY
        await relay.put("one", "two")
        await relay.pass_(8 * HOUR)
        before = len(smarthost.connected)
        await relay.restart()
        await relay.pass_(MINUTE)
        assert len(smarthost.connected) <= before + 1
        await relay.pass_(2 * HOUR)
        assert len(smarthost.connected) <= before + 2, "the growth of the intervals has begun anew"
        smarthost.answers.clear()
        await relay.pass_(2 * DAY)
        assert smarthost.taken() == {"one": 1, "two": 1}


async def test_the_ultimate_timeout_counts_from_before_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path, retry=["* * F,2d,6h"]) as (relay, smarthost):
        smarthost.answers["220"] = BUSY
        await relay.put("late")
        await relay.pass_(DAY)
        await relay.restart()
        await relay.pass_(2 * DAY)
        assert relay.failures() == ["you@there.example"]
        (end,) = relay.times(r"\*\* you@there.example: retry timeout exceeded")
        assert 2 * DAY < end <= 2 * DAY + 6 * HOUR + MINUTE
        assert await relay.waiting() == 0


async def test_a_recipient_that_is_put_off_waits_alone(tmp_path: Path) -> None:
    """A 4xx to RCPT is about the address: its times are its own, and other mail goes."""
    async with world(tmp_path, retry=["* * F,4d,1h"]) as (relay, smarthost):
        smarthost.answers["RCPT"] = "450 4.2.1 try later"
        await relay.put("greylisted")
        await relay.pass_(2 * HOUR + MINUTE)
        assert len(relay.lines(r"== you@there.example .*450 4\.2\.1 try later")) == 3
        smarthost.answers.clear()
        await relay.pass_(HOUR)
        assert smarthost.taken() == {"greylisted": 1}


async def test_delay_warnings_come_at_their_times_and_stop_when_the_mail_has_gone(tmp_path: Path) -> None:
    async with world(tmp_path, retry=["* * F,30d,1h"], delay_warning="4h:12h") as (relay, smarthost):
        smarthost.answers["220"] = BUSY
        await relay.put("late")
        await relay.pass_(3 * HOUR)
        assert relay.warnings() == []
        await relay.pass_(20 * HOUR)
        assert [one.partition(" delayed ")[2] for one in relay.warnings()] == ["4 hours", "12 hours", "20 hours"]
        smarthost.answers.clear()
        await relay.pass_(2 * DAY)
        assert len(relay.warnings()) == 3
        assert smarthost.taken() == {"late": 1}


async def test_mail_that_comes_behind_the_last_cutoff_has_the_rules_whole_time(tmp_path: Path) -> None:
    """Difference 12: it does not fail with what has failed before it, and makes no connections of its own."""
    async with world(tmp_path, retry=["* * F,2d,6h"]) as (relay, smarthost):
        smarthost.answers["220"] = BUSY
        await relay.put("early")
        await relay.pass_(3 * DAY)
        assert relay.failures() == ["you@there.example"]
        await relay.put("late", "later")
        before = len(smarthost.connected)
        await relay.pass_(DAY)
        assert await relay.waiting() == 2
        assert len(smarthost.connected) - before <= 5
        smarthost.answers.clear()
        await relay.pass_(7 * HOUR)
        assert smarthost.taken() == {"late": 1, "later": 1}


async def test_a_recipient_that_was_put_off_for_days_is_not_given_up_with_the_next_message(tmp_path: Path) -> None:
    """Difference 12 for addresses: a mailbox that is full until it is emptied takes the mail of today."""
    async with world(tmp_path, retry=["* * F,2d,6h"]) as (relay, smarthost):
        smarthost.answers["RCPT"] = "452 4.2.2 mailbox full"
        await relay.put("early")
        await relay.pass_(3 * DAY)
        assert relay.failures() == ["you@there.example"]
        await relay.put("late")
        await relay.pass_(HOUR)
        assert await relay.waiting() == 1
        smarthost.answers.clear()
        await relay.pass_(6 * HOUR)
        assert smarthost.taken() == {"late": 1}


async def test_what_has_come_through_is_remembered_no_more(tmp_path: Path) -> None:
    """What was learned of an address goes with its first delivery, and who waits for it goes then, too."""
    async with world(tmp_path, retry=["* * F,9d,1d"]) as (relay, smarthost):
        smarthost.answers["RCPT"] = "450 4.2.1 try later"
        await relay.put("first")
        await relay.pass_(HOUR)
        assert list(await relay.spool.hints()) == ["R:you@there.example:<me@home.example>"]
        smarthost.answers.clear()
        await relay.put("second")
        await relay.pass_(MINUTE)
        assert smarthost.taken() == {"first": 1, "second": 1}
        await relay.waiting()
        assert await relay.spool.hints() == {}


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param("127.0.0.1 * F,9d,1h", id="a rule for the host"),
        pytest.param("there.example * F,9d,1h", id="a rule for the domain"),
        pytest.param("127.0.0.1 refused F,9d,1h; * * F,1d,1h", id="another error's"),
    ],
)
async def test_a_rule_for_a_host_is_that_of_the_messages_that_wait_for_it(rule: str, tmp_path: Path) -> None:
    """It says when the host is tried, and how long they wait; one that does not fit says neither."""
    fits = " * " in rule.partition(";")[0]
    async with world(tmp_path, retry=[*rule.split("; "), "* * F,1d,3h"]) as (relay, smarthost):
        smarthost.answers["220"] = BUSY
        await relay.put("late")
        await relay.pass_(2 * DAY)
        assert relay.failures() == ([] if fits else ["you@there.example"])
        assert len(smarthost.connected) == pytest.approx(49 if fits else 26, abs=1)


async def test_what_is_older_than_its_rule_is_tried_once_more_then_and_not_later(tmp_path: Path) -> None:
    """The interval is long, the rule is over before it ends: Exim's ultimate timeout."""
    async with world(tmp_path, retry=["* * F,5h,4h"]) as (relay, smarthost):
        smarthost.answers["RCPT"] = "450 4.2.1 try later"
        await relay.put("greylisted")
        await relay.pass_(DAY)
        assert relay.times(r"\*\* you@there.example: retry timeout exceeded") == pytest.approx([5 * HOUR], abs=3)


async def test_what_is_held_back_for_longer_than_its_rule_lasts_is_looked_at_no_more_often(tmp_path: Path) -> None:
    """It does not end, and does not spin."""
    async with world(tmp_path, retry=["* * F,2d,6h"], hold_domains="there.example") as (relay, smarthost):
        await relay.put("held")
        await relay.pass_(5 * DAY)
        assert 20 <= len(relay.lines("== you@there.example .*domain is held")) <= 22
        assert relay.failures() == []
        assert smarthost.connected == []
