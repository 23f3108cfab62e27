"""Reports octet by octet as the real Exim 4.96 has sent them, with differences 11 and 12 switched off.

A record tells which reports came out of a delivery; here the same outcomes go in. Compared is all but what Exim
puts elsewhere (Received, Message-Id and Date stand in front of our header, docs/exim.md) or makes up (the boundary).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from smarthostd.bounce import Told
from smarthostd.bounce.report import Limits
from smarthostd.delivery import message_values
from smarthostd.envelope import Message
from smarthostd.outcome import Deferred, Failed
from tests import golden
from tests.bounce.house import House, house, octets, put_off, recipient, refused, result

RCPT, BAD, BOTH, TWO = map(
    recipient, ("rcpt@any.example", "bad@any.example", "both@local.example", "two@other.example")
)


def bad_recipient(house: House, original: bytes) -> Told:
    failed = refused("550 5.1.1 no such user", "RCPT TO:<bad@any.example>")
    return house.tell(house.message(BAD, content=original), result(BAD, failed))


def bad_recipient_without_code(house: House, original: bytes) -> Told:
    failed = refused("550 no", "RCPT TO:<bad@any.example>")
    return house.tell(house.message(BAD, content=original), result(BAD, failed))


def bad_child_of_an_alias(house: House, original: bytes) -> Told:
    failed = refused("550 5.1.1 no such user", "RCPT TO:<b@two.example>")
    return house.tell(house.message(BOTH, content=original), result(BOTH, failed, "b@two.example"))


def dead_host_for_too_long(house: House, original: bytes) -> Told:
    house.rules.expired = True
    return house.tell(house.message(RCPT, content=original), result(RCPT, Deferred("Connection refused", 111)))


def delayed(house: House, original: bytes) -> Told:
    message = house.message(RCPT, content=original)
    house.clock.pass_(3)
    later = put_off("450 4.2.0 try later", "RCPT TO:<rcpt@any.example>")
    return house.tell(message, result(RCPT, later))


def frozen(house: House, original: bytes) -> Told:
    message = house.message(RCPT, content=original)
    pending = house.pending(message)
    plan = house.plan(message, result(RCPT, Deferred("remote host address is the local host")))
    plan.freeze = ""
    return house.bounces.compose(pending, plan, message_values(pending))


def given_up(house: House, original: bytes) -> Told:
    message = house.message(RCPT, TWO, content=original)
    pending = house.pending(message)
    plan = house.planner.give_up(pending, "delivery cancelled by administrator")
    return house.bounces.compose(pending, plan, message_values(pending))


def lines_too_long(house: House, original: bytes) -> Told:
    failed = Failed("message has lines too long for transport")
    return house.tell(house.message(RCPT, content=original.rstrip() + b"\r\n\r\n" + b"z" * 1500), result(RCPT, failed))


STORIES: dict[str, Callable[[House, bytes], Told]] = {
    "dlv-bounce-rcpt": bad_recipient,
    "dlv-bounce-nomsg": bad_recipient_without_code,
    "dlv-bounce-alias-child": bad_child_of_an_alias,
    "dlv-timeout-bounce-host": dead_host_for_too_long,
    "dlv-delay-warning": delayed,
    "dlv-frozen-tell": frozen,
    "dlv-tool-Mg": given_up,
    "dlv-more-longline": lines_too_long,
}
RECORDS = [one for one in golden.records("deliver", "delivery") if one.id in (*STORIES, "missing")]


@pytest.mark.parametrize("record", RECORDS)
async def test_the_report_is_that_of_exim(record: golden.Record, tmp_path: Path) -> None:
    expected = record.expect["messages"]["127.0.0.10"][-1]
    options = {
        "strict": True,
        "limits": Limits(message=record.id != "dlv-bounce-nomsg"),
        "delay_warning": (timedelta(seconds=1),),
        "freeze_tell": "admin@ok.example",
    }
    async with house(tmp_path, **options) as one:
        told = STORIES[record.id](one, _original(expected))
    (report,) = told.messages
    assert _comparable(_ours(report)) == _comparable(expected)


def _original(report: str) -> bytes:
    """Return the message that *report* brings back, as Exim had it; any where it brings none back."""
    _, _, returned = report.partition("\nReturn-path: <sender@example.net>\n")
    text = re.sub(r"(X-Exim-DSN-Information: .*\n)?\n+--@BOUNDARY@--\s*$", "\n", returned or "Subject: golden test\n")
    text += "\n" * ("\n\n" not in text)
    return text.replace("\n", "\r\n").encode()


def _ours(report: Message) -> str:
    return octets(report).decode().replace("\r\n", "\n")


def _comparable(report: str) -> str:
    header, _, body = report.partition("\n\n")
    header = re.sub(r"^(?:Received|Message-Id|Date): .*\n?(?:[ \t].*\n?)*", "", header, flags=re.MULTILINE)
    text = re.sub(r"[0-9a-f]+-eximdsn-[0-9a-f]+|@BOUNDARY@", "BOUNDARY", f"{header.strip()}\n\n{body.strip()}")
    return text.replace("1rJxYz-0001ab-2K", "@ID1@")
