"""The main log's lines, in Exim's form (the expected lines are those of the real Exim 4.96 where it has them)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from smarthostd.address import NULL_SENDER, Address
from smarthostd.envelope import Client, Content, Envelope, Message, Recipient
from smarthostd.mainlog import LogStyle, MainLog, Way
from smarthostd.outcome import Deferred, Delivered, Failed, Hold, Host
from smarthostd.reply import Reply
from smarthostd.selectors import selected
from tests.clocks import HeldClock

ID = "1rJxYz-0001ab-2K"
RCPT = Address("rcpt", "any.example")
SENDER = Address("sender", "example.net")
HOST = Host("smarthost.isp.example", "127.0.0.10", 587)
TLS = "TLS1.3:TLS_AES_256_GCM_SHA384:256"
REMOTE = Client("esmtp", "192.0.2.7", 4711, helo="there.example", interface="[127.0.0.1]:25", pipelining=False)
LOCAL = Client("local", login="root", uid=0)
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")


class Lines:
    """A log, its lines, and those of the other logs."""

    def __init__(self, selector: str = "", style: LogStyle | None = None) -> None:
        self.lines: list[str] = []
        self.aside: list[tuple[str, str]] = []
        self.clock = HeldClock()
        style = style or LogStyle(selected=selected(selector))
        self.log = MainLog(self.lines.append, self.clock, style, lambda log, line: self.aside.append((log, line)))

    @property
    def last(self) -> str:
        """The last line without its time stamp."""
        return STAMP.sub("", self.lines[-1])


def message(
    sender: Address = SENDER, client: Client = LOCAL, message_id: str = "test@example.net", age: float = 0
) -> Message:
    envelope = Envelope(sender, (Recipient(RCPT), Recipient(Address("two", "any.example"))), client=client)
    received = HeldClock().now() - age
    return Message(ID, received, envelope, Content(b"x" * 343), message_id, 'say "x"')


def way(address: Address = RCPT, original: Address = RCPT, *parents: Address, seconds: float = 0.25) -> Way:
    return Way(address, original, parents, "smarthost", "smarthost_smtp", SENDER, seconds)


@pytest.mark.parametrize(
    ("selector", "arrived", "line"),
    [
        pytest.param("", message(), "sender@example.net U=root P=local S=343 id=test@example.net", id="a local user"),
        pytest.param("", message(NULL_SENDER), "<> U=root P=local S=343 id=test@example.net", id="the null sender"),
        pytest.param(
            "",
            message(
                client=replace(REMOTE, tls=TLS, authenticator="plain_server", authenticated_id="bob", chunking=True)
            ),
            f"sender@example.net H=(there.example) [192.0.2.7] P=esmtp X={TLS} A=plain_server:bob K S=343 "
            "id=test@example.net",
            id="a remote client with everything",
        ),
        pytest.param(
            "-tls_cipher -msg_id",
            message(client=replace(REMOTE, tls=TLS)),
            "sender@example.net H=(there.example) [192.0.2.7] P=esmtp S=343",
            id="less than usual",
        ),
        pytest.param(
            "", message(message_id=f"E{ID}@relay"), "sender@example.net U=root P=local S=343", id="a Message-ID of ours"
        ),
        pytest.param(
            "+msg_id_created",
            message(message_id=f"E{ID}@relay"),
            f"sender@example.net U=root P=local S=343 id*=E{ID}@relay",
            id="a Message-ID of ours, wanted",
        ),
        pytest.param(
            "+incoming_interface +incoming_port +pipelining",
            message(client=REMOTE),
            "sender@example.net H=(there.example) [192.0.2.7]:4711 I=[127.0.0.1]:25 P=esmtp L- S=343 "
            "id=test@example.net",
            id="where it came in",
        ),
        pytest.param(
            "+subject +received_sender +received_recipients +8bitmime +receive_time",
            message(),
            "sender@example.net U=root P=local S=343 M8S=0 RT=0s id=test@example.net "
            'T="say \\"x\\"" from <sender@example.net> for rcpt@any.example two@any.example',
            id="what it is",
        ),
    ],
)
def test_an_arrival(selector: str, arrived: Message, line: str) -> None:
    lines = Lines(selector)
    lines.log.received(arrived)
    assert lines.last == f"{ID} <= {line}"


def test_arrival_of_a_bounce_names_its_parent() -> None:
    lines = Lines()
    lines.log.received(message(NULL_SENDER, Client(login="smarthostd"), ""), parent="1rJxYz-0001aa-00")
    assert lines.last == f"{ID} <= <> R=1rJxYz-0001aa-00 U=smarthostd P=local S=343"


DONE = Delivered(
    HOST, Reply(250, 'OK "id"=fake1'), TLS, True, "plain", reused=True, chunking=True, pipelining=True,
    peer="CN=smarthost", local=("192.0.2.1", 40_000),
)  # fmt: skip
ROAD = "R=smarthost T=smarthost_smtp"
BETWEEN, TOP = Address("y", "local.example"), Address("x", "local.example")


@pytest.mark.parametrize(
    ("selector", "taken", "outcome", "line"),
    [
        pytest.param(
            "", way(), Delivered(HOST, Reply(250, "OK id=fake1")),
            f'rcpt@any.example {ROAD} H=smarthost.isp.example [127.0.0.10] C="250 OK id=fake1"', id="as usual",
        ),
        pytest.param(
            "", way(), DONE,
            f"rcpt@any.example {ROAD} H=smarthost.isp.example [127.0.0.10]* "
            f'X={TLS} CV=yes A=plain K C="250 OK \\"id\\"=fake1"', id="with everything that is usual",
        ),
        pytest.param(
            "-tls_cipher -tls_certificate_verified -smtp_confirmation", way(), DONE,
            f"rcpt@any.example {ROAD} H=smarthost.isp.example [127.0.0.10]* A=plain K", id="with less",
        ),
        pytest.param(
            "+all +millisec", way(RCPT, TOP, BETWEEN, TOP), DONE,
            "rcpt@any.example (y@local.example) <x@local.example> F=<sender@example.net> P=<sender@example.net> "
            f"{ROAD} S=343 H=smarthost.isp.example [127.0.0.10]:587* I=[192.0.2.1]:40000 X={TLS} CV=yes "
            'DN="CN=smarthost" A=plain L K C="250 OK \\"id\\"=fake1" QT=3.000s DT=0.250s', id="with all there is",
        ),
        pytest.param(
            "+queue_time +deliver_time", way(seconds=80), Delivered(HOST),
            f"rcpt@any.example {ROAD} H=smarthost.isp.example [127.0.0.10] QT=3s DT=1m20s", id="in whole seconds",
        ),
        pytest.param(
            "", way(Address("b", "two.example"), TOP, BETWEEN, TOP), Delivered(HOST),
            f"b@two.example <x@local.example> {ROAD} H=smarthost.isp.example [127.0.0.10]", id="redirected",
        ),
        pytest.param(
            "", way(TOP, TOP), Delivered(), f"x <x@local.example> {ROAD}", id="a local one shows the local part",
        ),
        pytest.param(
            "", way(Address("/var/mail/x", ""), TOP, BETWEEN, TOP), Delivered(),
            f"/var/mail/x (y@local.example) <x@local.example> {ROAD}", id="a file shows who named it",
        ),
        pytest.param(
            "", way(), Delivered(HOST, Reply(250, "one\ntwo")),
            f'rcpt@any.example {ROAD} H=smarthost.isp.example [127.0.0.10] C="250-one\\\\n250 two"', id="two lines",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("behind", "flag"), [(False, "=>"), (True, "->")])
def test_a_delivery(selector: str, taken: Way, outcome: Delivered, line: str, behind: bool, flag: str) -> None:
    lines = Lines(selector)
    lines.log.delivered(message(age=3), taken, replace(outcome, behind=behind))
    shown = re.sub(r"^\S+ \S+ (?:\S+ )?(?=1rJxYz)", "", lines.lines[-1]).replace(f"[{os.getpid()}] ", "")
    assert shown == f"{ID} {flag} {line}"


LATER = "SMTP error from remote mail server after RCPT TO:<rcpt@any.example>: 450 later"


@pytest.mark.parametrize(
    ("selector", "outcome", "line"),
    [
        pytest.param(
            "", Deferred(LATER, -44, host=HOST),
            f"{ROAD} defer (-44) H=smarthost.isp.example [127.0.0.10]: {LATER}", id="a reply names the host",
        ),
        pytest.param(
            "", Deferred("Connection refused", 111, host=HOST),
            f"{ROAD} defer (111): Connection refused", id="a refused connection is said once",
        ),
        pytest.param(
            "", Deferred("SMTP timeout after RCPT", 110, host=HOST),
            f"{ROAD} defer (110): Connection timed out H=smarthost.isp.example [127.0.0.10]: SMTP timeout after RCPT",
            id="the system's text and ours",
        ),
        pytest.param(
            "+sender_on_delivery +deliver_time", Deferred("x", -1),
            f"{ROAD} defer (-1) DT=0s: x", id="with the time, and never with the sender",
        ),
        pytest.param(
            "", Deferred("lost", -18, maybe_delivered=True), f"{ROAD} defer (-18): lost (maybe delivered)", id="doubt"
        ),
    ],
)  # fmt: skip
def test_a_deferral(selector: str, outcome: Deferred, line: str) -> None:
    lines = Lines(selector)
    lines.log.deferred(message(), way(), outcome)
    assert lines.last == f"{ID} == rcpt@any.example {line}"


@pytest.mark.parametrize(("errno", "routing"), [(-52, " routing"), (-53, ""), (-54, ""), (-56, " routing")])
def test_what_waits_for_its_time_is_told_unless_nobody_wants_it(errno: int, routing: str) -> None:
    usual, without = Lines(), Lines("-retry_defer")
    for lines in (usual, without):
        lines.log.deferred(message(), Way(RCPT, RCPT), Deferred("not now", errno))
        lines.log.deferred(message(), Way(RCPT, RCPT), Deferred("tried", -1))
    assert STAMP.sub("", usual.lines[0]) == f"{ID} == rcpt@any.example{routing} defer ({errno}): not now"
    assert [STAMP.sub("", line) for line in without.lines] == [f"{ID} == rcpt@any.example defer (-1): tried"]


def test_a_failure() -> None:
    lines = Lines()
    lines.log.failed(message(), Way(RCPT, RCPT), Failed("Unrouteable address"))
    assert lines.last == f"{ID} ** rcpt@any.example: Unrouteable address"


def test_an_expired_address_says_no_more_than_that() -> None:
    lines = Lines()
    outcome = Failed("retry timeout exceeded", HOST, last=Deferred("450 later", -44, host=HOST))
    lines.log.failed(message(), way(RCPT, Address("both", "local.example")), outcome)
    assert lines.last == f"{ID} ** rcpt@any.example <both@local.example>: retry timeout exceeded"


def test_a_failure_that_nobody_is_told_of() -> None:
    lines = Lines()
    lines.log.failure_ignored(ID, RCPT, None)
    assert lines.last == f"{ID} rcpt@any.example: error ignored"
    lines.log.failure_ignored(ID, RCPT, Address("both", "local.example"), "why")
    assert lines.last == f"{ID} rcpt@any.example <both@local.example>: error ignored: why"


def test_a_failure_with_sender_and_time() -> None:
    """As Exim writes it with +all."""
    lines = Lines("+sender_on_delivery +all_parents +deliver_time")
    lines.log.failed(message(), Way(RCPT, TOP, (BETWEEN, TOP)), Failed("Unrouteable address"))
    expected = (
        "** rcpt@any.example (y@local.example) <x@local.example> F=<sender@example.net>: Unrouteable address DT=0s"
    )
    assert lines.last == f"{ID} {expected}"


@pytest.mark.parametrize(("selector", "line"), [("", "Completed"), ("+queue_time_overall", "Completed QT=1m30s")])
def test_the_end(selector: str, line: str) -> None:
    lines = Lines(selector)
    lines.log.completed(message(age=90))
    assert lines.last == f"{ID} {line}"


Told = Callable[[MainLog], None]


@pytest.mark.parametrize(
    ("selector", "tell", "line"),
    [
        pytest.param(
            "+smtp_connection", lambda log: log.connected(REMOTE, 3),
            "SMTP connection from (there.example) [192.0.2.7] (TCP/IP connection count = 3)", id="a session begins",
        ),
        pytest.param("+smtp_connection", lambda log: log.connected(LOCAL, 3), "SMTP connection from root", id="local"),
        pytest.param("", lambda log: log.connected(REMOTE, 3), "", id="not said as usual"),
        pytest.param(
            "+smtp_connection", lambda log: log.parted(LOCAL, "closed by QUIT", 0.5),
            "SMTP connection from root closed by QUIT", id="a session ends well",
        ),
        pytest.param("", lambda log: log.parted(LOCAL, "closed by QUIT", 0.5), "", id="not said either"),
        pytest.param(
            "+millisec", lambda log: log.parted(LOCAL, "lost", 0.5),
            "SMTP connection from root lost D=0.500s", id="a session is lost",
        ),
        pytest.param("-lost_incoming_connection", lambda log: log.parted(LOCAL, "lost", 0.5), "", id="not wanted"),
        pytest.param(
            "", lambda log: log.timed_out(REMOTE, 301),
            "SMTP command timeout on connection from (there.example) [192.0.2.7] D=5m1s", id="silence",
        ),
        pytest.param(
            "+smtp_no_mail", lambda log: log.no_mail(LOCAL, ["EHLO", "QUIT"], 1),
            "no MAIL in SMTP connection from root D=1s C=EHLO,QUIT", id="no mail",
        ),
        pytest.param(
            "+smtp_syntax_error", lambda log: log.misspoke(LOCAL, "FOO", Reply(500, "unrecognized command")),
            'SMTP syntax error in "FOO" U=root unrecognized command', id="a syntax error",
        ),
        pytest.param(
            "+smtp_protocol_error", lambda log: log.misspoke(LOCAL, "DATA", Reply(503, "no RCPT")),
            'SMTP protocol error in "DATA" U=root no RCPT', id="a protocol error",
        ),
        pytest.param("", lambda log: log.misspoke(LOCAL, "FOO", Reply(500, "x")), "", id="no errors as usual"),
        pytest.param(
            "", lambda log: log.turned_away(Client(address="192.0.2.7")),
            "Connection from [192.0.2.7] refused: too many connections", id="too many",
        ),
    ],
)  # fmt: skip
def test_sessions(selector: str, tell: Told, line: str) -> None:
    lines = Lines(selector)
    tell(lines.log)
    shown = [re.sub(r"^\S+ \S+ ", "", each) for each in lines.lines]
    assert shown == ([line] if line else [])


@pytest.mark.parametrize(
    ("tell", "line"),
    [
        pytest.param(
            lambda log: log.refused(REMOTE, "F=<a@b> rejected RCPT <c@d>: 550 no"),
            "H=(there.example) [192.0.2.7] F=<a@b> rejected RCPT <c@d>: 550 no", id="a command",
        ),
        pytest.param(
            lambda log: log.refused_message(ID, SENDER, LOCAL, Reply(554, "no")),
            f"{ID} rejected from <sender@example.net> U=root: 554 no", id="a message",
        ),
        pytest.param(
            lambda log: log.login_failed("plain_server", REMOTE, Reply(535, "Incorrect authentication data")),
            "plain_server authenticator failed for (there.example) [192.0.2.7]: 535 Incorrect authentication data",
            id="a login",
        ),
    ],
)  # fmt: skip
def test_rejections_stand_in_the_reject_log_too(tell: Told, line: str) -> None:
    lines = Lines()
    tell(lines.log)
    assert lines.last == line
    assert lines.aside == [("reject", lines.lines[-1])]


def test_defects_stand_in_the_panic_log_too() -> None:
    lines = Lines()
    lines.log.panicked(ID, "delivery", ValueError("x"))
    assert lines.last == f"{ID} PANIC: delivery: ValueError at ?: x"
    assert lines.aside == [("panic", lines.lines[-1])]


def test_what_stands_in_front_of_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    style = LogStyle(selected=selected("+millisec +pid"), zone=True)
    lines = Lines(style=style)
    lines.log.noted("x")
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{3}} [+-]\d{{4}} \[{os.getpid()}\] x", lines.lines[0])


def test_a_style_can_be_changed_while_it_is_written() -> None:
    lines = Lines()
    lines.log.renew(LogStyle(as_json=True))
    lines.log.noted("x")
    assert json.loads(lines.lines[0])["text"] == "x"


def test_the_same_functions_give_json() -> None:
    lines = Lines(style=LogStyle(as_json=True))
    lines.log.held("t:h:587", Hold("credential", "535 no", "mend it"))
    lines.log.received(message(client=REMOTE))
    lines.log.delivered(message(), way(), DONE)
    held, received, delivered = map(json.loads, lines.lines)
    assert (held["event"], held["level"], held["cause"], held["fix"]) == ("held", "error", "credential", "mend it")
    assert lines.aside == [("panic", lines.lines[0])]
    assert (received["event"], received["id"], received["sender"]) == ("received", ID, "sender@example.net")
    assert (received["client"], received["size"], received["recipients"]) == (
        "192.0.2.7", 343, ["rcpt@any.example", "two@any.example"],
    )  # fmt: skip
    assert (delivered["recipient"], delivered["host"], delivered["tls"]) == ("rcpt@any.example", HOST.name, TLS)
    assert delivered["reply"] == '250 OK "id"=fake1'


def test_json_tells_all_that_a_line_with_every_selector_tells() -> None:
    """But the subject, which stands there only where it is wanted."""
    arrival = replace(
        REMOTE, authenticator="plain", authenticated_id="bob", tls=TLS, chunking=True, name="there.example"
    )
    done = replace(
        DONE, peer="CN=x", local=("127.0.0.1", 5), reused=True, chunking=True, pipelining=True, authenticator="c"
    )
    for selector, subject in (("+all", "hello"), ("+all -subject", None)):
        lines = Lines(style=LogStyle(as_json=True, selected=selected(selector)))
        lines.log.received(replace(message(client=arrival), subject="hello"), seconds=1.5)
        lines.log.delivered(message(), replace(way(), return_path=SENDER, seconds=2.0), done)
        lines.log.deferred(message(), way(), Deferred("450 no", 0, host=HOST))
        lines.log.failed(message(), way(), Failed("550 no", HOST))
        received, delivered, deferred, failed = map(json.loads, lines.lines)
        assert received.items() >= {
            "client": "192.0.2.7", "client_port": 4711, "client_name": "there.example", "helo": "there.example",
            "interface": "[127.0.0.1]:25", "protocol": "esmtp", "tls": TLS, "authenticator": "plain",
            "authenticated": "bob", "pipelining": False, "chunking": True, "size": 343, "seconds": 1.5,
        }.items()  # fmt: skip
        assert received.get("subject") == subject
        assert delivered.items() >= {
            "host": HOST.name, "host_address": HOST.address, "host_port": 587, "interface": "127.0.0.1",
            "sender": "sender@example.net", "return_path": "sender@example.net", "size": 343, "tls": TLS,
            "verified": done.verified, "peer": "CN=x", "authenticator": "c", "pipelining": True, "chunking": True,
            "reused": True, "seconds": 2.0,
        }.items()  # fmt: skip
        for one in (deferred, failed):
            assert (one["host_address"], one["host_port"], one["sender"]) == (HOST.address, 587, "sender@example.net")


HOSTILE = st.text(st.characters(codec=None), max_size=60).map(
    lambda text: f"x\r\n2024-01-01 00:00:00 {ID} => forged\x1b[31m\u2028{text}"
)


@example(one="\ud800", two="\udfff\udc00\udbff", as_json=False)
@given(one=HOSTILE, two=HOSTILE, as_json=st.booleans())
def test_nothing_from_outside_can_forge_a_line(one: str, two: str, as_json: bool) -> None:
    """Whatever stands in addresses, names and replies: one call is one line of printing characters."""
    style = LogStyle(as_json=as_json, selected=selected("+all -pid -millisec"))
    lines = Lines(style=style)
    client = Client("esmtp", "192.0.2.7", 1, two, one, two, one, two, 0, one)
    evil = replace(message(Address(one, two), client, two), subject=one)
    taken = Way(Address(one, two), Address(two, one), (Address(two, two), RCPT), one, two, Address(one, ""), 1)
    reply = Reply(550, f"{one}\n{two}")
    told: list[Told] = [
        lambda log: log.received(evil),
        lambda log: log.delivered(evil, taken, Delivered(Host(one, two), reply, one, True, two, peer=one)),
        lambda log: log.delivered(evil, taken, Delivered(behind=True)),
        lambda log: log.deferred(evil, taken, Deferred(one, -1, host=Host(two, one))),
        lambda log: log.failed(evil, taken, Failed(two, Host(one, two))),
        lambda log: log.discarded(evil, taken),
        lambda log: log.failure_ignored(ID, Address(one, two), one),
        lambda log: log.told(ID, one),
        lambda log: log.noted(two),
        lambda log: log.refused(client, one),
        lambda log: log.refused_message(ID, Address(one, two), client, reply),
        lambda log: log.login_failed(one, client, reply),
        lambda log: log.misspoke(client, one, reply),
        lambda log: log.no_mail(client, [one], 0),
        lambda log: log.parted(client, "lost", 0),
        lambda log: log.held(one, Hold(one, two, one)),
        lambda log: log.panicked(ID, one, ValueError(two)),
    ]
    for tell in told:
        tell(lines.log)
    assert len(lines.lines) == len(told)
    for line in lines.lines:
        assert "\x1b" not in line
        assert line.splitlines() == [line]
        if as_json:
            assert json.loads(line)["event"]
        else:
            assert STAMP.match(line)
            assert line.encode() == line.encode("utf-8", "surrogateescape")


def test_json_holds_no_half_of_a_pair() -> None:
    """Strict readers refuse such a line; whole characters stay as they are."""
    lines: list[str] = []
    MainLog(lines.append, HeldClock(), LogStyle(as_json=True)).noted("\udcff\U0001f600\\udc80")
    (line,) = lines
    assert "\\udcff" not in line
    assert json.loads(line)["text"] == "\\377\U0001f600\\udc80"
