"""Delivery by the smtp transport: hosts, connections, and what each trouble means for the next message."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from msgspec.structs import replace

from smarthostd.envelope import Content
from smarthostd.outcome import NEVER_EXPIRES, Deferred, Delivered, Failed, Host, Outcome, Scope
from smarthostd.reply import Reply
from smarthostd.routers.base import Target
from tests.smtp.scripted import CLOSE, SILENCE, Script, Server, serving
from tests.transports.house import BACK_OFF, PLAIN, House

DEAD = 1
"""A port where nobody listens."""


def local(server: Server, name: str = "127.0.0.1") -> Target:
    return Target(name, server.port, ("127.0.0.1",))


def deferred(outcome: Outcome) -> Deferred:
    assert isinstance(outcome, Deferred), outcome
    return outcome


# -- one message


async def test_what_is_delivered_says_how() -> None:
    async with serving() as server, House() as house:
        (outcome,) = await house.deliver(local(server, "hub.example"))
    assert isinstance(outcome, Delivered)
    address, _ = outcome.local
    assert address == "127.0.0.1"
    assert replace(outcome, local=("", 0)) == Delivered(
        Host("hub.example", "127.0.0.1", server.port), Reply(250, "kept"), chunking=True, pipelining=True
    )
    size = len(b"Subject: hello\r\n\r\n.a\r\n") + 1024
    assert server.heard[0].lines[:3] == [
        "EHLO me.example", f"MAIL FROM:<me@here.example> SIZE={size}", "RCPT TO:<you@there.example>",
    ]  # fmt: skip
    assert server.heard[0].words[-1] == "QUIT"


async def test_the_next_message_goes_down_the_same_connection() -> None:
    async with serving() as server, House() as house:
        outcomes = [(await house.deliver(local(server)))[0] for _ in range(3)]
    assert [isinstance(one, Delivered) and one.reused for one in outcomes] == [False, True, True]
    assert len(server.heard) == 1


async def test_each_recipient_has_an_outcome_of_its_own() -> None:
    script = Script({"RCPT": ["250 ok", "550 5.1.1 unknown", "450 4.2.0 later"]})
    async with serving(script) as server, House() as house:
        fine, unknown, later = await house.deliver(local(server), to=["a@x", "b@x", "c@x"])
    assert isinstance(fine, Delivered)
    assert isinstance(unknown, Failed)
    assert unknown.text == "SMTP error from remote mail server after RCPT TO:<b@x>: 550 5.1.1 unknown"
    assert (deferred(later).errno, deferred(later).scope, deferred(later).error) == (-44, Scope.RECIPIENT, "rcpt_450")


async def test_452_asks_for_another_transaction_on_the_same_connection() -> None:
    """RFC 5321 4.5.3.1.10: what did not fit in the first goes in the next, and is not deferred."""
    script = Script({"RCPT": ["250 ok", "250 ok", "452 too many", "452 too many", "250 ok", "250 ok"]})
    async with serving(script) as server, House() as house:
        outcomes = await house.deliver(local(server), to=["a@x", "b@x", "c@x", "d@x"])
    assert [isinstance(one, Delivered) and one.reused for one in outcomes] == [False, False, True, True]
    (heard,) = server.heard
    assert heard.words.count("MAIL") == 2
    assert len(heard.contents) == 2


async def test_452_for_everybody_is_a_deferral() -> None:
    async with serving(Script({"RCPT": "452 later"})) as server, House() as house:
        outcomes = await house.deliver(local(server), to=["a@x", "b@x"])
    assert [deferred(one).errno for one in outcomes] == [-44, -44]
    assert server.heard[0].words.count("MAIL") == 1


async def test_recipients_in_several_domains_may_be_kept_apart() -> None:
    async with serving() as server, House({"multi_domain": "no"}) as house:
        outcomes = await house.deliver(local(server), to=["a@x", "b@y", "c@X"])
    assert all(isinstance(one, Delivered) for one in outcomes)
    lines = [line for line in server.heard[0].lines if line.startswith(("MAIL", "RCPT"))]
    assert [line.partition(" SIZE")[0] for line in lines] == [
        "MAIL FROM:<me@here.example>", "RCPT TO:<a@x>", "RCPT TO:<c@X>", "MAIL FROM:<me@here.example>", "RCPT TO:<b@y>",
    ]  # fmt: skip


_MAIL, _RCPT = "MAIL FROM:<me@here.example>", "RCPT TO:<you@there.example>"
_FORCED = {"authenticated_sender": "a+b@y", "authenticated_sender_force": "yes", "size_addition": "-1"}
OPTIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "its name": ({"helo_data": "$sending_ip_address.example"}, ["EHLO 127.0.0.1.example"]),
    "no SIZE": ({"size_addition": "-1"}, ["EHLO me.example", _MAIL]),
    "HELO": ({"hosts_avoid_esmtp": "*"}, ["HELO me.example", _MAIL, _RCPT, "DATA"]),
    "another sender": ({"return_path": "x@y", "size_addition": "-1"}, ["EHLO me.example", "MAIL FROM:<x@y>"]),
    "AUTH= by force": (_FORCED, ["EHLO me.example", f"{_MAIL} AUTH=a+2Bb@y"]),
}


@pytest.mark.parametrize(("options", "lines"), [pytest.param(*row, id=id) for id, row in OPTIONS.items()])
async def test_what_is_said(options: dict[str, Any], lines: list[str]) -> None:
    async with serving() as server, House(options) as house:
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Delivered)
    assert server.heard[0].lines[: len(lines)] == lines


async def test_a_bounce_keeps_its_empty_sender() -> None:
    async with serving() as server, House({"return_path": "x@y.example"}) as house:
        await house.deliver(local(server), sender="")
    assert server.heard[0].lines[1].startswith("MAIL FROM:<> ")


async def test_an_international_domain_is_down_converted_a_local_part_waits() -> None:
    async with serving() as server, House() as house:
        (fine,) = await house.deliver(local(server), to=["a@b\xfccher.example"])
        (waits,) = await house.deliver(local(server), to=["\xe4@x.example"])
    assert isinstance(fine, Delivered)
    assert "SMTPUTF8" in deferred(waits).text
    assert "RCPT TO:<a@xn--bcher-kva.example>" in server.heard[0].lines


async def test_smtputf8_is_said_where_it_is_offered() -> None:
    async with serving(Script(offers=("SMTPUTF8",))) as server, House() as house:
        (outcome,) = await house.deliver(local(server), to=["\xe4@b\xfccher.example"], smtputf8=True)
    assert isinstance(outcome, Delivered)
    assert server.heard[0].lines[1:3] == ["MAIL FROM:<me@here.example> SMTPUTF8", "RCPT TO:<\xe4@b\xfccher.example>"]


async def test_a_message_over_the_limit_fails_without_a_connection() -> None:
    async with serving() as server, House({"message_size_limit": "1K"}) as house:
        (outcome,) = await house.deliver(local(server), content=Content(b"x" * 2000))
    assert isinstance(outcome, Failed)
    assert not server.heard


async def test_a_long_line_is_passed_on_but_with_difference_7_off() -> None:
    content = Content(b"a: b\r\n\r\n" + b"x" * 999 + b"\r\n")
    async with serving() as server, House() as house, House(strict=frozenset({7})) as strict:
        (outcome,) = await house.deliver(local(server), content=content)
        (refused,) = await strict.deliver(local(server), content=content)
    assert isinstance(outcome, Delivered)
    assert refused == Failed("message has lines too long for transport")


# -- several hosts


async def test_a_dead_host_is_told_and_the_next_one_tried() -> None:
    async with serving() as server, House() as house:
        (outcome,) = await house.deliver(Target("dead.example", DEAD, ("127.0.0.1",)), local(server))
        assert isinstance(outcome, Delivered)
        assert house.log == ["H=dead.example [127.0.0.1] Connection refused"]
        await house.deliver(Target("dead.example", DEAD, ("127.0.0.1",)), local(server))
        assert len(house.log) == 1, "while it backs off, it is not tried again"
        house.clock.pass_(BACK_OFF)
        await house.deliver(Target("dead.example", DEAD, ("127.0.0.1",)), local(server))
        assert len(house.log) == 2


async def test_the_addresses_of_a_name_are_tried_in_turn() -> None:
    async with serving() as server, House(hosts={"two.example": ["127.0.0.9", "127.0.0.1"]}) as house:
        (outcome,) = await house.deliver(Target("two.example", server.port))
    assert isinstance(outcome, Delivered)
    assert outcome.host == Host("two.example", "127.0.0.1", server.port)
    assert house.log == ["H=two.example [127.0.0.9] Connection refused"]
    assert not house.health.states()


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
async def test_ipv6() -> None:
    try:
        async with serving(address="::1") as server, House() as house:
            (outcome,) = await house.deliver(Target("::1", server.port))
    except OSError:
        pytest.skip("this machine has no ::1")
    assert isinstance(outcome, Delivered)


TROUBLES = {
    "a busy greeting": ({"220": "421 busy"}, 0, "", "initial connection: 421 busy"),
    "a greeting of refusal": ({"220": "554 go away"}, 0, "", "initial connection: 554 go away"),
    "a closed door": ({"220": CLOSE}, -18, "lost_connection", "response to initial connection"),
    "EHLO refused for now": ({"EHLO": "421 later"}, 0, "", "EHLO me.example: 421 later"),
    "EHLO and HELO refused": ({"EHLO": "550 no", "HELO": "550 no"}, 0, "", "HELO me.example: 550 no"),
    "noise": ({"EHLO": "what?"}, -19, "", "response to EHLO me.example: what?"),
}


@pytest.mark.parametrize(
    ("answers", "errno", "error", "ending"), [pytest.param(*row, id=id) for id, row in TROUBLES.items()]
)
async def test_a_session_that_does_not_come_up_is_the_hosts_trouble(
    answers: dict[str, str | None], errno: int, error: str, ending: str
) -> None:
    """The message waits, whatever the code (difference 6); the host backs off, and another one is tried."""
    async with serving(Script(answers)) as server, serving() as other, House() as house:
        outcome = deferred((await house.deliver(local(server)))[0])
        assert (outcome.errno, outcome.scope, outcome.error) == (errno, Scope.HOST, error)
        assert outcome.text.endswith(ending)
        assert outcome.destination == f"t:127.0.0.1:{server.port}"
        assert house.log == [f"H=127.0.0.1 [127.0.0.1]: {outcome.text}"]
        assert list(house.health.states()) == [outcome.destination]
        (second,) = await house.deliver(local(server), local(other))
        assert isinstance(second, Delivered)
        assert len(server.heard) == 1, "it was not asked again"


async def test_a_refusing_greeting_fails_the_mail_where_exims_way_is_asked_for() -> None:
    script = Script({"220": "554 go away"})
    async with serving(script) as server, serving() as other, House(strict=frozenset({6})) as house:
        (outcome,) = await house.deliver(local(server))
        assert isinstance(outcome, Failed)
        house.clock.pass_(BACK_OFF)
        (outcome,) = await house.deliver(local(server), local(other))
        assert isinstance(outcome, Delivered), "but not while another host is left"


async def test_a_message_error_goes_to_the_next_host_and_leaves_this_one_open() -> None:
    async with serving(Script({"MAIL": "451 busy"})) as server, serving() as other, House() as house:
        (outcome,) = await house.deliver(local(server), local(other))
        assert isinstance(outcome, Delivered)
        assert not house.health.states()
        outcome = deferred((await house.deliver(local(server)))[0])
    assert (outcome.errno, outcome.scope, outcome.error) == (-45, Scope.MESSAGE, "mail_451")


async def test_a_4xx_to_a_recipient_is_asked_of_the_next_host() -> None:
    """As Exim does, whatever its manual says of it; the log has what the first one said."""
    async with serving(Script({"RCPT": "450 later"})) as server, serving() as other, House() as house:
        (outcome,) = await house.deliver(local(server), local(other))
        assert isinstance(outcome, Delivered)
        assert outcome.host is not None
        assert outcome.host.port == other.port
        assert house.log == [
            "H=127.0.0.1 [127.0.0.1]: SMTP error from remote mail server after RCPT TO:<you@there.example>: 450 later"
        ]


@pytest.mark.parametrize("word", ["MAIL", "RCPT"])
async def test_a_host_that_goes_in_every_transaction_is_not_open(word: str) -> None:
    """It came up, but serves nobody: its times go on, and those who wait for it go on waiting."""
    async with serving(Script({word: CLOSE}, offers=("PIPELINING",))) as server, House() as house:
        opened: list[str] = []
        house.health.on_open(opened.append)
        first_failed = set()
        for _ in range(3):
            await house.deliver(local(server))
            first_failed |= {state.hint().first_failed for state in house.health.states().values()}
            house.clock.pass_(BACK_OFF)
        assert len(first_failed) == 1
        assert opened == []


async def test_a_connection_that_breaks_at_rcpt_is_told_once_for_all_recipients() -> None:
    """By the first of them, as in Exim; and after the reply to DATA nothing is pipelined."""
    for script, text in (
        (
            Script({"RCPT": CLOSE}, offers=("PIPELINING",)),
            "Remote host closed connection in response to pipelined RCPT TO:<a@x>",
        ),
        (Script({".": CLOSE}, offers=("PIPELINING",)), "Remote host closed connection in response to end of data"),
    ):
        async with serving(script) as server, House() as house:
            outcomes = await house.deliver(local(server), to=["a@x", "b@x"])
        assert {deferred(one).text for one in outcomes} == {text}
        assert house.log == [f"H=127.0.0.1 [127.0.0.1]: {text}"]


async def test_a_4xx_to_a_recipient_stands_where_the_next_host_does_not_serve() -> None:
    """Its own time counts, not that of a host that is down."""
    async with serving(Script({"RCPT": "450 later"})) as server, House() as house:
        (outcome,) = await house.deliver(local(server), Target("127.0.0.1", DEAD, ("127.0.0.1",)))
        assert deferred(outcome).errno == -44
        assert deferred(outcome).destination == ""


async def test_a_4xx_to_a_message_stands_too_and_waits_for_both() -> None:
    """For its own time at the host that has said it, and for the one that is down, tried just now or not."""
    async with serving(Script({"MAIL": "451 busy"})) as server, House() as house:
        for _ in range(2):
            (outcome,) = await house.deliver(local(server), Target("127.0.0.1", DEAD, ("127.0.0.1",)))
            assert (deferred(outcome).errno, deferred(outcome).scope) == (-45, Scope.MESSAGE)
            assert deferred(outcome).destination.endswith(f":{DEAD}")


async def test_a_message_in_doubt_is_for_no_other_host() -> None:
    """The first may have taken it."""
    async with serving(Script({".": CLOSE})) as server, serving() as other, House() as house:
        outcome = deferred((await house.deliver(local(server), local(other)))[0])
    assert outcome.maybe_delivered
    assert (outcome.scope, outcome.error) == (Scope.MESSAGE, "lost_connection")
    assert not other.heard


async def test_a_name_that_does_not_resolve_waits() -> None:
    async with House(hosts={"gone.example": []}) as house:
        outcome = deferred((await house.deliver(Target("gone.example", 25)))[0])
    assert (outcome.errno, outcome.error) == (-32, "lookup")
    assert "gone.example" in outcome.text


async def test_no_more_addresses_are_contacted_than_allowed() -> None:
    addresses = [f"127.0.0.{n}" for n in range(2, 12)]
    async with House({"hosts_max_try": "3"}, hosts={"many.example": addresses}) as house:
        await house.deliver(Target("many.example", DEAD))
    assert len(house.log) == 3


async def test_the_transports_own_hosts() -> None:
    async with serving() as server:
        options = {"hosts": f"127.0.0.1::{server.port}", "allow_localhost": "yes"}
        async with House(options) as house, House({**options, "hosts_override": "yes"}) as overriding:
            assert isinstance((await house.deliver())[0], Delivered)
            assert deferred((await house.deliver(Target("dead.example", DEAD, ("127.0.0.1",))))[0]).errno == 111
            (outcome,) = await overriding.deliver(Target("dead.example", DEAD, ("127.0.0.1",)))
            assert isinstance(outcome, Delivered)
        async with House({"hosts": f"127.0.0.1::{server.port}"}) as careful:
            assert deferred((await careful.deliver())[0]).text == "t transport found host 127.0.0.1 to be local"
        async with House({"fallback_hosts": f"127.0.0.1::{server.port}"}) as falling_back:
            (outcome,) = await falling_back.deliver(Target("dead.example", DEAD, ("127.0.0.1",)))
            assert isinstance(outcome, Delivered)


_X = [Target("x.example")]
MISTAKES: dict[str, tuple[dict[str, Any], list[Target], str]] = {
    "no hosts": ({}, [], "t transport called with no hosts set"),
    "no port at all": ({"port": "99999"}, _X, 'TCP port "99999" is not defined for t transport'),
    "no such port": ({"port": "nosuch"}, _X, 'TCP port "nosuch" is not defined for t transport'),
    "lmtp without a port": ({"protocol": "lmtp"}, _X, 'TCP port "lmtp" is not defined for t transport'),
    "no limit": ({"message_size_limit": "big"}, _X, 'message_size_limit of t transport is no number: "big"'),
    "no such variable": ({"hosts": "$nosuch"}, [], 'unknown variable name "nosuch"'),
}


@pytest.mark.parametrize(("options", "targets", "text"), [pytest.param(*row, id=id) for id, row in MISTAKES.items()])
async def test_a_mistake_in_the_options_defers_and_is_named(
    options: dict[str, Any], targets: list[Target], text: str
) -> None:
    async with House(options) as house:
        outcome = deferred((await house.deliver(*targets))[0])
    assert outcome.text == text
    assert (outcome.error in NEVER_EXPIRES) is outcome.alarm


async def test_a_helo_that_does_not_expand_defers() -> None:
    async with serving() as server, House({"helo_data": "${nosuch:x}"}) as house:
        outcome = deferred((await house.deliver(local(server)))[0])
    assert (outcome.errno, outcome.host) == (-27, None)
    assert house.log == [f"H=127.0.0.1 [127.0.0.1]: {outcome.text}"]


# -- connections


async def test_a_connection_that_was_closed_while_idle_is_no_trouble() -> None:
    script = Script({"MAIL": ["250 ok", CLOSE]})
    async with serving(script, Script()) as server, House() as house:
        await house.deliver(local(server))
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Delivered)
    assert not outcome.reused
    assert len(server.heard) == 2
    assert not house.log


async def test_a_new_connection_that_closes_at_mail_is_the_hosts_trouble() -> None:
    async with serving(Script({"MAIL": CLOSE})) as server, House() as house:
        outcome = deferred((await house.deliver(local(server)))[0])
    assert (outcome.errno, outcome.scope) == (-18, Scope.HOST)
    assert len(server.heard) == 1


async def test_there_are_never_more_connections_than_allowed() -> None:
    async with serving() as server, House({"hosts_max_parallel": "2"}) as house:
        results = await asyncio.gather(*(house.deliver(local(server)) for _ in range(30)))
    assert all(isinstance(outcome, Delivered) for (outcome,) in results)
    assert len(server.heard) <= 2


@pytest.mark.parametrize(("most", "sessions"), [("2", 3), ("0", 1), ("1", 5)])
async def test_a_connection_serves_so_many_messages(most: str, sessions: int) -> None:
    async with serving() as server, House({"connection_max_messages": most}) as house:
        for _ in range(5):
            await house.deliver(local(server))
    assert len(server.heard) == sessions
    assert all(heard.words[-1] == "QUIT" for heard in server.heard)


async def test_an_idle_connection_is_let_go() -> None:
    async with serving() as server, House({"connection_idle_time": "0s"}) as house:
        await house.deliver(local(server))
        await server.hears("QUIT")


async def test_a_dead_host_costs_one_attempt_however_many_messages_wait() -> None:
    async with House() as house:
        dead = Target("dead.example", DEAD, ("127.0.0.1",))
        results = await asyncio.gather(*(house.deliver(dead) for _ in range(20)))
    errors = sorted(deferred(outcome).errno for (outcome,) in results)
    assert errors == [-54] * 19 + [111]
    assert len(house.log) == 1


async def test_a_session_serves_only_messages_that_it_would_have_been_made_for() -> None:
    """Where the credential depends on the sender, nobody's mail goes out under another's name."""
    credential = {**PLAIN, "client_send": "^$sender_address^secret"}
    script = Script(offers=("AUTH PLAIN",))
    async with serving(script) as server, House({"hosts_require_auth": "*"}, [credential]) as house:
        for sender in ("a@x", "a@x", "b@x", "a@x"):
            (outcome,) = await house.deliver(local(server), sender=sender)
            assert isinstance(outcome, Delivered)
    senders = [[line for line in heard.lines if line.startswith("MAIL")] for heard in server.heard]
    assert senders == [["MAIL FROM:<a@x>"] * 3, ["MAIL FROM:<b@x>"]]


async def test_a_cancelled_delivery_leaves_no_half_done_connection() -> None:
    async with serving(Script({"DATA": SILENCE}, offers=()), Script()) as server, House() as house:
        task = asyncio.create_task(house.deliver(local(server)))
        await server.hears("DATA")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (outcome,) = await house.deliver(local(server))
        assert isinstance(outcome, Delivered)
        assert not outcome.reused


async def test_a_destination_opens_again_by_one_message_that_goes_through() -> None:
    async with serving(Script({"220": "421 busy"}), Script()) as server, House() as house:
        await house.deliver(local(server))
        house.clock.pass_(BACK_OFF)
        (outcome,) = await house.deliver(local(server))
        assert isinstance(outcome, Delivered)
        assert house.alarms.recoveries == [f"t:127.0.0.1:{server.port}"]
        assert not house.health.states()


async def test_a_host_that_defers_message_after_message_is_spared_until_it_takes_one() -> None:
    """Also on the connection that is there; a message that is not sent waits for the host."""
    script = Script({"RCPT": ["450 4.3.0 later"] * 4 + ["250 ok"]})
    async with serving(script) as server, House({"hosts_max_deferrals": "3"}) as house:
        said = [deferred((await house.deliver(local(server)))[0]) for _ in range(5)]
        assert [one.errno for one in said] == [-44, -44, -44, -54, -54]
        assert said[3].text == "retry time not reached for any host for 'there.example'"
        assert [one.destination for one in said] == ["", "", "", *[f"t:127.0.0.1:{server.port}"] * 2]
        house.clock.pass_(0.2)
        asked = [deferred((await house.deliver(local(server)))[0]) for _ in range(2)]
        assert [one.errno for one in asked] == [-44, -54]
        house.clock.pass_(0.2)
        outcomes = [(await house.deliver(local(server)))[0] for _ in range(3)]
    assert all(isinstance(one, Delivered) for one in outcomes)
    assert len(server.heard) == 1
    assert server.heard[0].words.count("RCPT") == 7
    ((destination, text),) = house.alarms.reluctant_ones
    assert destination in house.alarms.recoveries
    assert text.endswith("RCPT TO:<you@there.example>: 450 4.3.0 later")


async def test_a_host_that_refuses_for_good_now_and_then_is_not_reluctant() -> None:
    script = Script({"RCPT": ["450 later", "450 later", "550 never"] * 5})
    async with serving(script) as server, House({"hosts_max_deferrals": "3"}) as house:
        outcomes = [(await house.deliver(local(server)))[0] for _ in range(15)]
    assert server.heard[0].words.count("RCPT") == 15
    assert sum(isinstance(one, Failed) for one in outcomes) == 5


async def test_a_reluctant_host_leaves_the_mail_to_the_next_one() -> None:
    options, script = {"hosts_max_deferrals": "2"}, Script({"MAIL": "451 later"})
    async with serving(script) as first, serving() as second, House(options) as house:
        for _ in range(5):
            (outcome,) = await house.deliver(local(first, "a.example"), local(second, "b.example"))
            assert isinstance(outcome, Delivered)
    assert first.heard[0].words.count("MAIL") == 2
    assert second.heard[0].words.count("MAIL") == 5


# -- difference 2


async def test_the_host_goes_by_the_name_in_the_route() -> None:
    """$host, H= and the certificate's name do not depend on what DNS makes of an alias."""
    hosts = {"alias.example": ["real.example"], "real.example": ["127.0.0.1"]}
    options = {"helo_data": "$host"}
    async with (
        serving() as server,
        House(options, hosts=hosts) as house,
        House(options, hosts=hosts, strict=frozenset({2})) as strict,
    ):
        (outcome,) = await house.deliver(Target("alias.example", server.port))
        (exims,) = await strict.deliver(Target("alias.example", server.port))
    assert [heard.lines[0] for heard in server.heard] == ["EHLO alias.example", "EHLO real.example"]
    assert isinstance(outcome, Delivered)
    assert isinstance(exims, Delivered)
    assert outcome.host is not None
    assert outcome.host.name == "alias.example"
