"""Who is told, and who is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from smarthostd.address import NULL_SENDER
from smarthostd.envelope import Client
from smarthostd.outcome import Deferred, Delivered, Failed
from tests.bounce.house import blocks, house, octets, put_off, read, recipient, refused, relayed, result, text_of

BAD = recipient("bad@any.example")
NO = refused("550 no", "RCPT TO:<bad@any.example>")


def readers(told: object) -> list[list[str]]:
    messages = told.messages  # type: ignore[attr-defined]  # a Told, whose type says no more here
    return [[str(one) for one in message.envelope.recipients] for message in messages]


async def test_a_bounce_is_from_nobody_and_for_the_sender(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        (bounce,) = one.tell(one.message(BAD), result(BAD, NO)).messages
    assert bounce.envelope.sender == NULL_SENDER
    assert [str(to) for to in bounce.envelope.recipients] == ["sender@example.net"]


async def test_one_bounce_tells_of_all_that_failed_at_once(tmp_path: Path) -> None:
    worse = recipient("worse@any.example")
    async with house(tmp_path) as one:
        (bounce,) = one.tell(one.message(BAD, worse), result(BAD, NO), result(worse, NO)).messages
    assert [block["Final-Recipient"] for block in blocks(bounce)[1:]] == [
        "rfc822;bad@any.example",
        "rfc822;worse@any.example",
    ]


@pytest.mark.parametrize(
    ("notify", "errors_to", "line"),
    [
        pytest.param(
            "NEVER", None, "bad@any.example: error ignored: RFC 3461 DSN, failure notify not requested", id="NEVER"
        ),
        pytest.param(
            "SUCCESS,DELAY",
            None,
            "bad@any.example: error ignored: RFC 3461 DSN, failure notify not requested",
            id="NOTIFY without FAILURE",
        ),
        pytest.param("", "", "bad@any.example: error ignored", id="an empty errors_to"),
        pytest.param("", "no address", "bad@any.example: error ignored", id="an errors_to that is no address"),
    ],
)
async def test_nobody_is_told_and_the_log_says_why(
    tmp_path: Path, notify: str, errors_to: str | None, line: str
) -> None:
    bad = recipient("bad@any.example", notify)
    async with house(tmp_path) as one:
        told = one.tell(one.message(bad), result(bad, NO, errors_to=errors_to))
        assert told.messages == []
        assert one.lines == [f"1rJxYz-0001ab-2K {line}"]


async def test_an_ignored_child_is_logged_with_its_parent(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.tell(one.message(BAD), result(BAD, NO, "child@two.example", errors_to=""))
        assert one.lines == ["1rJxYz-0001ab-2K child@two.example <bad@any.example>: error ignored"]


async def test_failure_asked_for_among_others_is_told(tmp_path: Path) -> None:
    bad = recipient("bad@any.example", "SUCCESS,FAILURE")
    async with house(tmp_path) as one:
        assert len(one.tell(one.message(bad), result(bad, NO)).messages) == 1


async def test_errors_to_hears_instead_of_the_sender(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        told = one.tell(one.message(BAD), result(BAD, NO, errors_to="owner@lists.example"))
    assert readers(told) == [["owner@lists.example"]]
    assert read(told.messages[0])["Subject"] == "Mail delivery failed"
    assert "A message sent by\n\n  <sender@example.net>\n\ncould not be delivered" in text_of(told.messages[0])


@pytest.mark.parametrize("errors_to", [None, "owner@lists.example"])
async def test_a_report_on_a_report_is_never_made(tmp_path: Path, errors_to: str | None) -> None:
    async with house(tmp_path) as one:
        message = one.message(BAD, sender=NULL_SENDER)
        told = one.tell(message, result(BAD, NO, errors_to=errors_to))
    assert told.messages == []
    assert told.notices == []


async def test_a_report_too_old_to_matter_is_dropped_with_a_line(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        message = one.message(BAD, sender=NULL_SENDER)
        one.clock.pass_(71 * 86400)
        told = one.tell(message, result(BAD, NO))
        assert one.lines == ["1rJxYz-0001ab-2K bad@any.example: error ignored"]
    assert told.messages == []


# -- copies


@pytest.mark.parametrize(
    ("errors_copy", "copies"),
    [
        pytest.param("*@example.net postmaster@example.net", ["postmaster@example.net"], id="a pattern that fits"),
        pytest.param("*@example.org postmaster@example.org", [], id="one that does not"),
        pytest.param("*@example.net a@x.example,b@x.example", ["a@x.example", "b@x.example"], id="two copies"),
        pytest.param("other@example.net a@x.example : * b@x.example", ["b@x.example"], id="the second item"),
        pytest.param("* a@x.example : * b@x.example", ["a@x.example"], id="the first that fits, alone"),
        pytest.param("* sender@example.net", [], id="not to who gets it anyway"),
        pytest.param("* ${local_part}-errors@$domain", ["sender-errors@example.net"], id="expanded"),
        pytest.param('"^(.*)@example.net" $1.copy@x.example', ["sender.copy@x.example"], id="quoted, with $1"),
        pytest.param("*@example.net", [], id="no address"),
    ],
)
async def test_errors_copy(tmp_path: Path, errors_copy: str, copies: list[str]) -> None:
    async with house(tmp_path, errors_copy=errors_copy) as one:
        told = one.tell(one.message(BAD), result(BAD, NO))
        assert one.lines == []
    assert readers(told) == [["sender@example.net", *copies]]
    assert "Bcc" not in read(told.messages[0])


async def test_errors_copy_that_cannot_be_expanded_does_not_stop_the_bounce(tmp_path: Path) -> None:
    async with house(tmp_path, errors_copy="* ${nonsense}") as one:
        told = one.tell(one.message(BAD), result(BAD, NO))
        assert "errors_copy: no copy of this bounce is sent" in one.lines[0]
    assert readers(told) == [["sender@example.net"]]


# -- success


@pytest.mark.parametrize(
    ("notify", "outcome", "action"),
    [
        pytest.param("SUCCESS", relayed(), "relayed", id="the next hop has no DSN"),
        pytest.param("SUCCESS", relayed(dsn=True), None, id="the next hop has DSN, and will tell"),
        pytest.param("SUCCESS", Delivered(final=True), "delivered", id="in a mailbox"),
        pytest.param("FAILURE", relayed(), None, id="not asked for"),
        pytest.param("", relayed(), None, id="nothing asked for"),
    ],
)
async def test_success_is_told_where_asked_for(
    tmp_path: Path, notify: str, outcome: Delivered, action: str | None
) -> None:
    ok = recipient("ok@any.example", notify)
    async with house(tmp_path) as one:
        told = one.tell(one.message(ok, ret="FULL"), result(ok, outcome))
    if action is None:
        assert told.messages == []
        return
    (success,) = told.messages
    assert read(success)["Subject"] == "Delivery Status Notification"
    assert read(success)["Auto-Submitted"] == "auto-generated"
    assert blocks(success)[1]["Action"] == action
    assert blocks(success)[1]["Status"] == "2.0.0"
    assert b"hello" not in octets(success), "RET is for failures: RFC 3461 4.3"


async def test_success_of_an_alias_is_told_once_and_when_it_is_complete(tmp_path: Path) -> None:
    alias = recipient("alias@local.example", "SUCCESS,FAILURE")
    first, second = "a@one.example", "b@two.example"
    async with house(tmp_path) as one:
        message = one.message(alias)
        later = Deferred("later")
        half = one.tell(message, result(alias, relayed(), first), result(alias, later, second))
        whole = one.tell(message, result(alias, relayed(), first), result(alias, relayed(), second))
        broken = one.tell(message, result(alias, relayed(), first), result(alias, NO, second))
    assert half.messages == []
    assert len(blocks(whole.messages[0])) == 2
    assert read(broken.messages[0])["Subject"] == "Mail delivery failed: returning message to sender"
    assert len(broken.messages) == 1


# -- frozen messages


async def test_freeze_tell_hears_of_a_frozen_message(tmp_path: Path) -> None:
    async with house(tmp_path, freeze_tell="admin@ok.example, root@ok.example") as one:
        message = one.message(BAD)
        plan = one.plan(message, result(BAD, Deferred("remote host address is the local host")))
        plan.freeze = ""
        told = one.bounces.compose(one.pending(message), plan, {})
    assert readers(told) == [["admin@ok.example", "root@ok.example"]]
    assert read(told.messages[0])["Subject"] == "Message frozen"


@pytest.mark.parametrize(
    ("client", "told"),
    [
        pytest.param(Client("local", login="smarthostd"), 0, id="our own: else a notice would make the next"),
        pytest.param(Client("local", login="root"), 1, id="a program's, from nobody"),
        pytest.param(Client("esmtp", "192.0.2.1"), 1, id="another host's"),
    ],
)
async def test_freeze_tell_and_frozen_reports(tmp_path: Path, client: Client, told: int) -> None:
    async with house(tmp_path, freeze_tell="admin@ok.example") as one:
        message = one.message(BAD, sender=NULL_SENDER, client=client)
        assert len(one.tell(message, result(BAD, NO)).messages) == told


# -- words


async def test_the_text_never_tells_our_own_affairs(tmp_path: Path) -> None:
    """Why a router or a lookup could not decide (a file's name, perhaps) is for the log, also when time is up."""
    async with house(tmp_path) as one:
        one.rules.expired = True
        told = one.tell(one.message(BAD), result(BAD, Deferred("cannot open /etc/secret: Permission denied", 13)))
    assert b"/etc/secret" not in octets(told.messages[0])
    assert text_of(told.messages[0]).endswith(
        "  bad@any.example\n    The message could not be delivered in the time allowed.\n    retry timeout exceeded\n"
    )


async def test_an_expired_address_is_told_with_the_last_reply(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.rules.expired = True
        later = put_off("452 4.2.2 mailbox full", "RCPT TO:<bad@any.example>")
        told = one.tell(one.message(BAD), result(BAD, later))
    text = text_of(told.messages[0])
    assert "in the time allowed. The recipient's mailbox is full" in " ".join(text.split())
    assert "    452 4.2.2 mailbox full: retry timeout exceeded\n" in text
    assert blocks(told.messages[0])[1]["Action"] == "failed"


async def test_dsn_from_that_cannot_be_expanded_is_replaced_by_its_default(tmp_path: Path) -> None:
    async with house(tmp_path, dsn_from="${nonsense}") as one:
        (bounce,) = one.tell(one.message(BAD), result(BAD, NO)).messages
        assert "dsn_from: failed to expand" in one.lines[0]
    assert read(bounce)["From"] == "Mail Delivery System <Mailer-Daemon@example.net>"


async def test_dsn_from_cannot_bring_a_second_header_line(tmp_path: Path) -> None:
    async with house(tmp_path, dsn_from="Daemon <d@example.net>\nBcc: all@example.net") as one:
        (bounce,) = one.tell(one.message(BAD), result(BAD, NO)).messages
    assert "Bcc" not in read(bounce)


async def test_a_local_reason_is_explained(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        (bounce,) = one.tell(one.message(BAD), result(BAD, Failed("Unrouteable address"))).messages
    assert text_of(bounce).endswith(
        "  bad@any.example\n"
        "    Nothing in this relay's configuration says where mail for this address\n"
        "    goes.\n"
        "    Unrouteable address\n"
    )
