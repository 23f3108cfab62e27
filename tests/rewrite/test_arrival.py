"""A message on its way in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from smarthostd.address import NULL_SENDER
from smarthostd.spool.sqlite import SqliteSpool
from tests.rewrite.door import BODY, REMOTE, Door, parts

LARGE = BODY + b"To: u@a.example\r\n" * 10_000


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    spool = await SqliteSpool.open(tmp_path, set_aside=lambda id, why: None)
    yield Door(spool)
    await spool.close()


HEADER = (
    "Message-Id: <1@x>\nFrom: U <u@a.example>\nDate: Thu, 1 Jan 2026 00:00:00 +0000\nTo: v@a.example,\n  w@b.example\n"
)


@pytest.mark.parametrize("body", [pytest.param(BODY, id="small"), pytest.param(LARGE, id="in a file")])
async def test_header_and_envelope_change_and_the_body_stays(door: Door, body: bytes) -> None:
    """The copy on disk says so too, read again by the spool."""
    door.rule("*@a.example $1@new.example")
    envelope, header, kept = await door.take(HEADER, body)
    assert str(envelope.sender) == "u@new.example"
    assert [str(one) for one in envelope.recipients] == ["v@new.example"]
    assert header == HEADER.replace("@a.example", "@new.example")
    assert kept == body


@pytest.mark.parametrize("body", [pytest.param(BODY, id="small"), pytest.param(LARGE, id="in a file")])
async def test_lines_of_a_final_delivery_go(door: Door, body: bytes) -> None:
    """As in Exim by default (``return_path_remove`` and its kin)."""
    before, after = HEADER.split("From: ")
    own = "Return-Path: <x@y>\nenvelope-to: a@b,\n\tc@d\nDelivery-Date : now\n"
    alike = "Return-Pathological: yes\n"
    _, header, kept = await door.take(f"{own}{before}{own}{alike}From: {after}{own}", body)
    assert header == f"{before}{alike}From: {after}"
    assert kept == body


@pytest.mark.parametrize("flag", ["F", "T", "f", "t"])
async def test_each_place_has_its_flag(door: Door, flag: str) -> None:
    door.rule(f"*@a.example $1@new.example {flag}")
    envelope, header, _ = await door.take(HEADER)
    changed = {
        "F": str(envelope.sender), "T": str(envelope.recipients[0]),
        "f": header.split("\n")[1].partition("<")[2], "t": header.split("\n")[3],
    }  # fmt: skip
    assert [name for name, text in changed.items() if "@new.example" in text] == [flag]


async def test_recipients_that_become_one_get_one_copy(door: Door) -> None:
    door.rule("*@a.example all@b.example T")
    envelope, _, _ = await door.take(HEADER, to="v@a.example w@a.example all@b.example x@c.example")
    assert [str(one) for one in envelope.recipients] == ["all@b.example", "x@c.example"]


async def test_the_null_sender_is_not_asked_about(door: Door) -> None:
    door.rule("*@* x@new.example F\n^ x@new.example F")
    envelope, _, _ = await door.take(HEADER, sender="")
    assert envelope.sender == NULL_SENDER


async def test_a_sender_without_from_gets_one_that_is_rewritten_by_its_own_flag(door: Door) -> None:
    """The line that is added holds the sender as it came, as in Exim."""
    door.rule("*@a.example $1@new.example f")
    envelope, header, _ = await door.take("Subject: x\n")
    assert str(envelope.sender) == "u@a.example"
    assert "From: u@new.example\n" in header


async def test_our_own_programs_may_leave_domains_out_and_strangers_are_taken_at_their_word(door: Door) -> None:
    door.rule("")
    header = "Message-Id: <1@x>\nFrom: root (Cron)\nDate: x\nTo: joe, v@a.example\n"
    _, ours, _ = await door.take(header)
    assert ours == header.replace("root", "root@q.example").replace("joe", "joe@qr.example")
    _, theirs, _ = await door.take(header, client=REMOTE)
    assert theirs == header


async def test_a_bounce_leaves_by_the_same_rules(door: Door) -> None:
    """The smarthost does not care that it is ours."""
    door.rule("* me@provider.example Tfh")
    message = door.bounce("u@a.example", b"From: Mailer-Daemon@h.example\r\nTo: u@a.example\r\nDate: x\r\n\r\n")
    assert str(message.envelope.recipients[0]) == "me@provider.example"
    header, _ = parts(message)
    assert "From: me@provider.example\nTo: me@provider.example\n" in header


async def test_header_and_client_are_there_for_replacements(door: Door) -> None:
    door.rule('*@a.example "${lc:$h_x-team:}-$received_protocol@b.example" F')
    envelope, _, _ = await door.take(f"X-Team: Ops\n{HEADER}", client=REMOTE)
    assert str(envelope.sender) == "ops-esmtp@b.example"


async def test_no_replacement_reaches_an_smtp_command_that_is_no_address(door: Door) -> None:
    door.rule(r'*@a.example "\"a\nb\"@b.example" E')
    envelope, _, _ = await door.take(HEADER)
    assert str(envelope.sender) == "u@a.example"
    assert all("\n" not in line for line in door.lines)
    assert any(r'yielded ""a\nb"@b.example", which no SMTP command can hold' in line for line in door.lines)


async def test_the_log_tells_of_the_message_and_not_without_end(door: Door) -> None:
    door.rule("*@a.example $1@new.example E", tell_changes=True)
    await door.take(f"{HEADER}Cc: {', '.join(['x y'] * 100)}\n")
    told = [line[37:] for line in door.lines]
    assert told[:2] == [
        '"v@a.example" from env-to rewritten as "v@new.example" by rule 1',
        '"u@a.example" from env-from rewritten as "u@new.example" by rule 1',
    ]
    assert len(told) == 22
    assert told[-1].startswith("<= u@new.example ")
