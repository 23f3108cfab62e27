"""Retry rules: which one, when to try again, when to give up."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from smarthostd.config import ConfigurationErrors, load
from smarthostd.facts import Facts
from smarthostd.retry import (
    DEFAULT_RULES,
    RetryError,
    RetryRule,
    RetryRuleError,
    RetryRules,
    Tried,
    error_named,
    next_try,
    parse_error,
    parse_rule,
)
from tests.golden import Record, records
from tests.language import expander

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
DEFAULT = parse_rule(DEFAULT_RULES[0])


def rules_of(path: Path) -> RetryRules:
    """Return the rules of a configuration, with its named lists."""
    settings = load(path, {}, lenient=True).settings
    facts = Facts(
        settings.primary_hostname,
        domainlists=settings.domainlists,
        hostlists=settings.hostlists,
        addresslists=settings.addresslists,
    )
    language = expander(facts)
    rules = settings.retry if "retry" in settings.model_fields_set else ()
    return RetryRules([parse_rule(rule) for rule in rules], language.matcher, language.expand)


def answer(rules: RetryRules, arguments: list[str]) -> tuple[str, int]:
    """Return what ``exim -brt`` prints, and its exit status."""
    subject, *rest = arguments
    warning = ""
    if "@" not in subject and "." not in subject:
        warning = (
            f"Warning: \"{subject}\" contains no '@' and no '.' characters. It is being \n"
            "treated as a one-component domain, not as a local part.\n\n"
        )
    domain = rest.pop(0) if rest and "." in rest[0] else None
    try:
        error = parse_error(rest[0]) if rest else RetryError()
    except RetryRuleError as mistake:
        return f"{mistake}\n", 1
    rule = rules.find(subject, error, None, domain)
    return warning + (f"Retry rule: {rule}\n" if rule else "No retry information found\n"), 0


@pytest.mark.parametrize("record", records("retry"))
def test_exim_finds_the_same_rule(record: Record, tmp_path: Path) -> None:
    """What ``-brt`` prints."""
    placed = record.placed(tmp_path)
    assert answer(rules_of(tmp_path / "conf"), placed.input["args"]) == (placed.expect["stdout"], placed.expect["exit"])


@pytest.mark.parametrize(
    "record", [row for row in records("config") if re.match("cfg-retry-[0-9]|missing", str(row.id))]
)
def test_exim_reads_the_same_rules(record: Record, tmp_path: Path) -> None:
    """Rules that Exim refuses, and rules as it prints them."""
    placed = record.placed(tmp_path)
    try:
        told = answer(rules_of(tmp_path / "conf"), placed.input["args"][1:])
    except ConfigurationErrors as mistakes:
        told = (mistakes.exim + "\n", 1)
    assert told == (placed.expect["stdout"] + placed.expect["stderr"], placed.expect["exit"])


RULES = {
    "only what is in force": ("* * F,2h,15m", "*  *  F,2h,15m; "),
    "letters of either case": ("* * f,1h,1m; h,2h,1m,2", "*  *  F,1h,1m; H,2h,1m; "),
    "a factor of three decimals": ("* * G,1h,1m,1.2345", "*  *  G,1h,1m,1.234; "),
    "a quoted pattern": ('"u ser@a.b" * F,1h,1m', "u ser@a.b  *  F,1h,1m; "),
    "no steps": ("a.b *", "a.b  *  "),
    "quota with an age": ("* quota_8d F,1h,1m", "*  quota_1w1d  F,1h,1m; "),
    "an abbreviated detail": ("* timeout_c F,1h,1m", "*  timeout_connect  F,1h,1m; "),
    "a detail of nothing is the first": ("* timeout_ F,1h,1m", "*  timeout_A  F,1h,1m; "),
    "senders are not shown": ('* * senders="a : b" F,1h,1m', "*  *  F,1h,1m; "),
}


@pytest.mark.parametrize(("line", "shown"), RULES.values(), ids=RULES)
def test_a_rule_as_exim_prints_it(line: str, shown: str) -> None:
    """Read and shown again."""
    assert str(parse_rule(line)) == shown


WRONG = {
    "no error": ("*", "missing error type in retry rule"),
    "an open quote takes all": ('"a b * F,1h,1m', "missing error type in retry rule"),
    "no comma": ("* * F", "comma expected"),
    "an argument too few": ("* * F,1h", "comma expected"),
    "a blank before a comma": ("* * F, 1h ,1m", "comma expected"),
    "an argument too many": ("* * F,1h,1m,2", "semicolon expected"),
    "no semicolon": ("* * F,1h,1m G,2h,1m,1", "semicolon expected"),
    "a stray character": ("* * F,1h,1m)", "comma or semicolon expected"),
    "an unknown letter": ("* * X,1h,1m", "unknown retry rule letter"),
    "a time without unit": ("* * F,1h,90", "bad parameters for retry rule"),
    "no time at all": ("* * F,0s,1m", "bad parameters for retry rule"),
    "a factor below one": ("* * G,2h,1m,0.5", "bad parameters for retry rule"),
    "senders without equals sign": ("* * senders a F,1h,1m", '"=" expected after "senders" in retry rule'),
    "an unknown error": ("* greylisted F,1h,1m", 'unknown or malformed retry error "greylisted"'),
    "auth alone": ("* auth F,1h,1m", 'unknown or malformed retry error "auth"'),
    "refused what": ("* refused_x F,1h,1m", 'A or MX expected after "refused"'),
    "timeout of what": ("* timeout_x F,1h,1m", '"A", "MX", or "connect" expected after "timeout"'),
    "quota of what": ("* quota_x F,1h,1m", "bad time value"),
    "half a code": (
        "* rcpt_4x F,1h,1m",
        "rcpt_4 must be followed by xx, dx, or dd, where x is literal and d is any digit",
    ),
}


@pytest.mark.parametrize(("line", "complaint"), WRONG.values(), ids=WRONG)
def test_what_is_no_rule(line: str, complaint: str) -> None:
    """Exim's words."""
    with pytest.raises(RetryRuleError) as caught:
        parse_rule(line)
    assert str(caught.value) == complaint


FITS = {
    "any error": ("*", "lookup", True),
    "any error, and a name that no rule knows": ("*", "routing", True),
    "a known error, and a name that no rule knows": ("refused", "routing", False),
    "refused by whatever host": ("refused", "refused_MX", True),
    "refused by an MX only": ("refused_MX", "refused", False),
    "any time-out": ("timeout", "timeout_connect_A", True),
    "a time-out while connecting": ("timeout_connect", "timeout", False),
    "a time-out while connecting to whatever host": ("timeout_connect", "timeout_connect_MX", True),
    "a time-out of an MX whenever": ("timeout_MX", "timeout_connect_MX", True),
    "any code": ("rcpt_4xx", "rcpt_452", True),
    "a decade": ("rcpt_45x", "rcpt_452", True),
    "another decade": ("rcpt_45x", "rcpt_421", False),
    "one code": ("rcpt_452", "rcpt_451", False),
    "a code that is not known whole counts as 421": ("data_421", "data_4xx", True),
    "another command": ("mail_4xx", "rcpt_4xx", False),
    "a full mailbox": ("quota", "quota_8d", True),
    "a full mailbox, read lately": ("quota_7d", "quota", False),
    "a full mailbox, not read for long": ("quota_7d", "quota_8d", True),
}


@pytest.mark.parametrize(("wanted", "happened", "fits"), FITS.values(), ids=FITS)
def test_which_errors_a_rule_is_for(wanted: str, happened: str, fits: bool) -> None:
    """The rule's error against the outcome's."""
    assert parse_error(wanted).fits(error_named(happened)) is fits


def found(lines: list[str], subject: str, error: str = "", sender: str | None = None) -> str | None:
    """Return the pattern of the rule that is found."""
    language = expander(Facts("h"))
    rule = RetryRules([parse_rule(line) for line in lines], language.matcher, language.expand).find(
        subject, error, sender
    )
    return rule.pattern if rule else None


def test_a_host_is_looked_for_as_any_user_at_it() -> None:
    """With its address behind a colon, too."""
    lines = ["smtp.example.com * F,1h,1m", "* * F,1h,1m"]
    assert found(lines, "smtp.example.com:192.0.2.1") == "smtp.example.com"
    assert found(lines, "other.example.com") == "*"


def test_senders_must_match_where_they_are_named() -> None:
    """An unknown sender fits no such rule; the null sender fits an empty item."""
    lines = ["a@* * senders=: F,1h,1m", "* * senders=*@s.example F,1h,1m"]
    assert found(lines, "u@d", "", "x@s.example") == "*"
    assert found(lines, "u@d", "", "x@other.example") is None
    assert found(lines, "u@d", "", None) is None


def test_a_pattern_is_one_item() -> None:
    """Colons in it separate nothing."""
    assert found([r"^.*:.*@d$ * F,1h,1m".replace("$", r"\$"), "x * F,1h,1m"], "x@d") is None


def test_a_rule_that_cannot_be_expanded_fits_nothing() -> None:
    """The next one is looked at."""
    assert found(["${nosuch} * F,1h,1m", "* * F,1h,1m"], "u@d") == "*"


def schedule(rule: RetryRule, until: float, chance: float = 0.5) -> list[float]:
    """Return when attempts are made, in seconds, each as planned, until the last cutoff has passed."""
    times, planned, now = [0.0], 0.0, 0.0
    while now < until:
        last = times[-2] if len(times) > 1 else 0.0
        planned, expired = next_try(rule, Tried(0.0, last, now), now, chance=lambda: chance)
        if expired:
            break
        now = planned
        times.append(now)
    return times


def test_the_default_rule_is_eight_times_in_two_hours_then_longer_and_longer() -> None:
    """Every 15 minutes for two hours, gaps that grow until 16 hours, then every 6 hours, for 4 days."""
    times = schedule(DEFAULT, 5 * DAY)
    assert [time / MINUTE for time in times[:10]] == [0, 15, 30, 45, 60, 75, 90, 105, 120, 135]
    gaps = [(later - earlier) / HOUR for earlier, later in pairwise(times[9:])]
    assert gaps[:7] == [1.0, 1.5, 2.25, 3.375, 5.0625, 7.59375, 6.0]
    assert gaps[-1] == 6.0
    assert 4 * DAY < times[-1] <= 4 * DAY + 6 * HOUR


def test_past_the_last_cutoff_attempts_go_on_but_the_address_does_not() -> None:
    """The last step spaces attempts at the host for ever."""
    assert next_try(DEFAULT, Tried(0.0, 4 * DAY, 4 * DAY), 4 * DAY + 1) == (4 * DAY + 1 + 6 * HOUR, True)


def test_without_a_rule_the_first_error_is_the_last() -> None:
    """As in Exim."""
    assert next_try(None, Tried(5.0, 5.0, 5.0), 5.0) == (5.0, True)
    assert next_try(parse_rule("* *"), Tried(5.0, 5.0, 5.0), 5.0) == (5.0, True)


def test_a_gap_grows_from_the_shorter_of_planned_and_real() -> None:
    """An attempt that was forced early does not let the gap grow as if it had been waited for."""
    rule = parse_rule("* * G,1d,1m,2")
    late = next_try(rule, Tried(0.0, 1000.0, 1600.0), 9000.0)[0] - 9000.0
    early = next_try(rule, Tried(0.0, 1000.0, 1600.0), 1300.0)[0] - 1300.0
    assert (late, early) == (1200.0, 600.0)


@pytest.mark.parametrize(("chance", "gap"), [(0.0, 15 * MINUTE), (1.0, 20 * MINUTE), (0.5, 17.5 * MINUTE)])
def test_h_takes_the_upper_half_by_chance(chance: float, gap: float) -> None:
    """Between the first interval and the grown gap, never below the middle."""
    rule = parse_rule("* * H,1d,10m,2")
    assert next_try(rule, Tried(0.0, 0.0, 10 * MINUTE), 10 * MINUTE, chance=lambda: chance)[0] == 10 * MINUTE + gap


def test_no_gap_is_longer_than_the_limit() -> None:
    """``retry_interval_max``."""
    assert next_try(parse_rule("* * F,1w,2d"), Tried(0.0, 0.0, 0.0), 5.0, longest=DAY)[0] == DAY + 5.0
