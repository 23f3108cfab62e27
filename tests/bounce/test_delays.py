"""Delay warnings: when, to whom, and what they say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from smarthostd.address import NULL_SENDER
from smarthostd.bounce import Told, delays
from smarthostd.config.settings import DELAY_WARNING_CONDITION
from tests.bounce.house import ORIGINAL, blocks, house, octets, put_off, read, recipient, result, text_of

RCPT = recipient("rcpt@any.example")
LATER = put_off("450 4.2.0 try later", "RCPT TO:<rcpt@any.example>")
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("ages", "age", "count", "told"),
    [
        pytest.param([24], 23, 0, 0, id="not yet"),
        pytest.param([24], 24, 1, 24, id="the first"),
        pytest.param([24], 47, 1, 24, id="one, still"),
        pytest.param([24], 50, 2, 48, id="a single age repeats"),
        pytest.param([4, 8, 24], 3, 0, 0, id="before all"),
        pytest.param([4, 8, 24], 7, 1, 4, id="the first of three"),
        pytest.param([4, 8, 24], 9, 2, 8, id="the second of three"),
        pytest.param([4, 8, 24], 39, 3, 24, id="the last of three"),
        pytest.param([4, 8, 24], 40, 4, 40, id="the last gap repeats"),
        pytest.param([4, 8, 24], 100, 7, 88, id="and again"),
        pytest.param([], 1000, 0, 0, id="never"),
    ],
)
def test_how_many_there_should_have_been(ages: list[int], age: int, count: int, told: int) -> None:
    assert delays.warnings_due([one * HOUR for one in ages], age * HOUR) == (count, told * HOUR)


@pytest.mark.parametrize(
    ("told", "age", "words"),
    [
        pytest.param(30, 40, "30 minutes", id="minutes"),
        pytest.param(60, 119, "60 minutes", id="up to two hours"),
        pytest.param(60, 120, "1 hours", id="then hours, as Exim counts them"),
        pytest.param(1440, 1500, "24 hours", id="a day"),
    ],
)
def test_the_delay_in_words(told: int, age: int, words: str) -> None:
    assert delays.in_words(timedelta(minutes=told), timedelta(minutes=age)) == words


async def test_a_warning_says_what_waits_and_why(tmp_path: Path) -> None:
    async with house(tmp_path, delay_warning=(24 * HOUR,)) as one:
        message = one.message(RCPT)
        one.clock.pass_(25 * 3600)
        told = one.tell(message, result(RCPT, LATER))
    (warning,) = told.messages
    assert told.warned == 1
    assert read(warning)["Subject"] == "Warning: message 1rJxYz-0001ab-2K delayed 24 hours"
    assert blocks(warning)[1]["Action"] == "delayed"
    assert blocks(warning)[1]["Status"] == "4.2.0"
    assert "The date of the message is:    Mon, 01 Jan 2024 00:00:00 +0000\n" in text_of(warning)
    assert "Delay reason: SMTP error from remote mail server" in text_of(warning)
    assert b"hello" not in octets(warning)


@pytest.mark.parametrize(
    ("hours", "warned", "count"),
    [
        pytest.param(23, 0, None, id="too early"),
        pytest.param(25, 0, 1, id="due"),
        pytest.param(25, 1, None, id="already given"),
        pytest.param(49, 1, 2, id="due again"),
        pytest.param(100, 1, 4, id="what was missed is not made up for"),
    ],
)
async def test_each_age_warns_once(tmp_path: Path, hours: int, warned: int, count: int | None) -> None:
    async with house(tmp_path, delay_warning=(24 * HOUR,)) as one:
        message = one.message(RCPT)
        one.clock.pass_(hours * 3600)
        told = one.tell(message, result(RCPT, LATER), warned=warned)
    assert told.warned == count
    assert len(told.messages) == (count is not None)


@pytest.mark.parametrize(
    ("notify", "warns"),
    [
        pytest.param("", True, id="nothing said"),
        pytest.param("DELAY,FAILURE", True, id="DELAY"),
        pytest.param("FAILURE", False, id="NOTIFY without DELAY"),
        pytest.param("NEVER", False, id="NEVER"),
    ],
)
async def test_notify_says_whether_delays_are_told(tmp_path: Path, notify: str, warns: bool) -> None:
    rcpt = recipient("rcpt@any.example", notify)
    async with house(tmp_path, delay_warning=(HOUR,)) as one:
        message = one.message(rcpt)
        one.clock.pass_(3700)
        assert bool(one.tell(message, result(rcpt, LATER)).messages) == warns


async def test_a_recipient_who_wants_none_is_left_out_of_anothers_warning(tmp_path: Path) -> None:
    silent = recipient("silent@any.example", "NEVER")
    async with house(tmp_path, delay_warning=(HOUR,)) as one:
        message = one.message(RCPT, silent)
        one.clock.pass_(3700)
        (warning,) = one.tell(message, result(RCPT, LATER), result(silent, LATER)).messages
    assert b"silent@any.example" not in octets(warning)


async def test_nobody_is_warned_of_a_report(tmp_path: Path) -> None:
    async with house(tmp_path, delay_warning=(HOUR,)) as one:
        message = one.message(RCPT, sender=NULL_SENDER)
        one.clock.pass_(3700)
        assert one.tell(message, result(RCPT, LATER)).messages == []


async def test_errors_to_is_warned_instead_of_the_sender(tmp_path: Path) -> None:
    async with house(tmp_path, delay_warning=(HOUR,)) as one:
        message = one.message(RCPT)
        one.clock.pass_(3700)
        (warning,) = one.tell(message, result(RCPT, LATER, errors_to="owner@lists.example")).messages
    assert [str(to) for to in warning.envelope.recipients] == ["owner@lists.example"]
    assert "A message sent by\n\n  <sender@example.net>\n\nhas not yet been delivered" in text_of(warning)


async def told_late(directory: Path, condition: str, content: bytes = ORIGINAL) -> Told:
    """Return what is told of a message that waits for more than an hour."""
    async with house(directory, delay_warning=(HOUR,), delay_warning_condition=condition) as one:
        message = one.message(RCPT, content=content)
        one.clock.pass_(3700)
        return one.tell(message, result(RCPT, LATER))


@pytest.mark.parametrize(
    ("header", "warns"),
    [
        pytest.param("", True, id="a letter"),
        pytest.param("List-Id: <x.example>\r\n", False, id="a list's"),
        pytest.param("Precedence: bulk\r\n", False, id="bulk"),
        pytest.param("Auto-Submitted: auto-replied\r\n", False, id="an answer by a machine"),
        pytest.param("Auto-Submitted: no\r\n", True, id="a person's, and says so"),
    ],
)
async def test_the_default_condition_spares_lists_and_machines(tmp_path: Path, header: str, warns: bool) -> None:
    assert bool((await told_late(tmp_path, DELAY_WARNING_CONDITION, header.encode() + ORIGINAL)).messages) == warns


@pytest.mark.parametrize(
    ("condition", "warns"),
    [
        pytest.param("${if eq{$domain}{any.example}{yes}}", True, id="the domain, where all have the same"),
        pytest.param("${if eq{$sender_address}{sender@example.net}{no}{yes}}", False, id="no"),
        pytest.param("0", False, id="0"),
        pytest.param("${nonsense}", False, id="cannot be expanded: the next attempt asks again"),
    ],
)
async def test_a_condition_of_ones_own(tmp_path: Path, condition: str, warns: bool) -> None:
    told = await told_late(tmp_path, condition)
    assert bool(told.messages) == warns
    assert (told.warned is None) != warns
