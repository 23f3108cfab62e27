"""The main log's lines, in Exim's form (the expected lines are those of the real Exim 4.96 where it has them)."""

from __future__ import annotations

import json

from smarthostd.address import NULL_SENDER, Address
from smarthostd.envelope import Client, Content, Envelope, Message, Recipient
from smarthostd.mainlog import MainLog
from smarthostd.outcome import Deferred, Delivered, Failed, Hold, Host
from smarthostd.reply import Reply
from tests.clocks import HeldClock

ID = "1rJxYz-0001ab-2K"
RCPT = Address("rcpt", "any.example")
HOST = Host("smarthost.isp.example", "127.0.0.10")


class Lines:
    """A log whose lines lose their time stamp."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.lines: list[str] = []
        self.log = MainLog(self.lines.append, HeldClock(), as_json=as_json)

    @property
    def last(self) -> str:
        return self.lines[-1][20:]


def message(sender: Address, client: Client, message_id: str = "test@example.net") -> Message:
    return Message(ID, 0.0, Envelope(sender, (Recipient(RCPT),), client=client), Content(b"x" * 343), message_id)


def test_arrival_by_smtp() -> None:
    lines = Lines()
    client = Client(
        "esmtpsa", address="127.0.0.1", helo="there.example", authenticated_id="bob", authenticator="plain_server",
        tls="TLS1.3:TLS_AES_256_GCM_SHA384:256",
    )  # fmt: skip
    lines.log.received(message(Address("a", "b.example"), client))
    assert lines.last == (
        f"{ID} <= a@b.example H=(there.example) [127.0.0.1] P=esmtpsa X=TLS1.3:TLS_AES_256_GCM_SHA384:256 "
        "A=plain_server:bob S=343 id=test@example.net"
    )


def test_arrival_of_a_bounce_names_its_parent() -> None:
    lines = Lines()
    lines.log.received(message(NULL_SENDER, Client(login="smarthostd"), ""), parent="1rJxYz-0001aa-00")
    assert lines.last == f"{ID} <= <> R=1rJxYz-0001aa-00 U=smarthostd P=local S=343"


def test_delivery_with_everything() -> None:
    lines = Lines()
    outcome = Delivered(
        HOST,
        Reply(250, 'OK "id"=fake1'),
        "TLS1.3:TLS_AES_256_GCM_SHA384:256",
        True,
        "plain",
        reused=True,
        chunking=True,
    )
    lines.log.delivered(ID, RCPT, RCPT, "smarthost", "smarthost_smtp", outcome, first=True)
    assert lines.last == (
        f"{ID} => rcpt@any.example R=smarthost T=smarthost_smtp H=smarthost.isp.example [127.0.0.10]* "
        'X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=yes A=plain K C="250 OK \\"id\\"=fake1"'
    )


def test_a_further_recipient_that_was_redirected() -> None:
    lines = Lines()
    original = Address("both", "local.example")
    outcome = Delivered(HOST, Reply(250, "OK id=fake1"))
    lines.log.delivered(ID, Address("b", "two.example"), original, "smarthost", "smarthost_smtp", outcome, first=False)
    assert lines.last == (
        f"{ID} -> b@two.example <both@local.example> R=smarthost T=smarthost_smtp "
        'H=smarthost.isp.example [127.0.0.10] C="250 OK id=fake1"'
    )


def test_a_local_delivery_shows_the_local_part() -> None:
    lines = Lines()
    user = Address("boxuser", "local.example")
    lines.log.delivered(ID, user, user, "local", "local_delivery", Delivered(), first=True)
    assert lines.last == f"{ID} => boxuser <boxuser@local.example> R=local T=local_delivery"


def test_a_deferral_by_a_reply_names_the_host() -> None:
    lines = Lines()
    text = "SMTP error from remote mail server after RCPT TO:<rcpt@any.example>: 450 later"
    lines.log.deferred(ID, RCPT, RCPT, "smarthost", "smarthost_smtp", Deferred(text, -44, host=HOST))
    where = "R=smarthost T=smarthost_smtp defer (-44) H=smarthost.isp.example [127.0.0.10]"
    assert lines.last == f"{ID} == rcpt@any.example {where}: {text}"


def test_a_refused_connection_is_said_once() -> None:
    lines = Lines()
    lines.log.deferred(ID, RCPT, RCPT, "smarthost", "smarthost_smtp", Deferred("Connection refused", 111, host=HOST))
    assert lines.last == f"{ID} == rcpt@any.example R=smarthost T=smarthost_smtp defer (111): Connection refused"


def test_a_failure() -> None:
    lines = Lines()
    nobody = Address("nobody", "local.example")
    lines.log.failed(ID, nobody, nobody, "", "", Failed("Unrouteable address"))
    assert lines.last == f"{ID} ** nobody@local.example: Unrouteable address"


def test_an_expired_address_says_no_more_than_that() -> None:
    lines = Lines()
    outcome = Failed("retry timeout exceeded", HOST, last=Deferred("450 later", -44, host=HOST))
    lines.log.failed(ID, RCPT, Address("both", "local.example"), "smarthost", "smarthost_smtp", outcome)
    assert lines.last == f"{ID} ** rcpt@any.example <both@local.example>: retry timeout exceeded"


def test_a_failure_that_nobody_is_told_of() -> None:
    lines = Lines()
    lines.log.failure_ignored(ID, RCPT, None)
    assert lines.last == f"{ID} rcpt@any.example: error ignored"
    lines.log.failure_ignored(ID, RCPT, Address("both", "local.example"), "why")
    assert lines.last == f"{ID} rcpt@any.example <both@local.example>: error ignored: why"


def test_nothing_from_outside_can_forge_a_line() -> None:
    lines = Lines()
    evil = Address("x\n2023-01-01 00:00:00 1rJxYz-0001ab-2K => forged", "any.example")
    lines.log.deferred(ID, evil, evil, "r", "t", Deferred("\x1b[31mred\r\n"))
    assert "\n" not in lines.lines[0]
    assert "\x1b" not in lines.lines[0]


def test_the_same_functions_give_json() -> None:
    lines = Lines(as_json=True)
    lines.log.held("t:h:587", Hold("credential", "535 no", "mend it"))
    record = json.loads(lines.lines[0])
    assert record["event"] == "held"
    assert record["cause"] == "credential"
    assert record["fix"] == "mend it"
