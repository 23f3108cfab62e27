"""Logging in: credentials by name, one try, what a refusal means, and who gets to see a password."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from smarthostd.outcome import Deferred, Delivered, Failed, Outcome, Scope
from smarthostd.routers.base import Target
from smarthostd.smtp.connection import Connection, Session
from smarthostd.smtp.dialogue import Offer
from smarthostd.tls import TlsFacts
from smarthostd.transports.login import Held, Login
from smarthostd.transports.policy import is_this_machine
from tests.smtp.scripted import CLOSE, Script, Server, serving
from tests.transports.house import CRAM, LOGIN, PLAIN, House

ALL = Script(offers=("AUTH PLAIN LOGIN CRAM-MD5",))


def local(server: Server, name: str = "127.0.0.1") -> Target:
    return Target(name, server.port, ("127.0.0.1",))


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


PLAIN_SECRET = "AUTH PLAIN " + encoded("\0me\0secret")


def from_file(file: Path, *, login: bool = False) -> dict[str, Any]:
    """Return the seed's PLAIN authenticator, or LOGIN in its manner, that reads *file*."""
    item = "${extract{%s}{${lookup{$host}lsearch{" + str(file) + "}{$value}fail} }}"
    if login:
        return {**LOGIN, "client_send": f": {item % 'auth_name'} : {item % 'auth_pass'}"}
    return {**PLAIN, "client_send": item % "auth_plain"}


def credential(key: str, password: str = "secret") -> str:
    return f"{key}: auth_name=me auth_pass={password} auth_plain=^me^{password}\n"


def held(outcome: Outcome, cause: str = "credential") -> Deferred:
    assert isinstance(outcome, Deferred), outcome
    name = (-38, "tls_required") if cause == "tls" else (-42, "auth_failed")
    assert (outcome.errno, outcome.error, outcome.scope) == (*name, Scope.HOST)
    assert outcome.text.startswith("held: ")
    return outcome


# -- difference 1: the name of a credential


@pytest.mark.parametrize("option", ["hosts_try_auth", "hosts_require_auth"])
@pytest.mark.parametrize("login", [False, True], ids=["PLAIN", "LOGIN"])
async def test_a_bare_word_is_the_name_of_a_credential(option: str, login: bool, tmp_path: Path) -> None:
    """The seed as it is printed: the file's key is the word, the lookup asks for $host."""
    file = tmp_path / "smtp_users"
    file.write_text(credential("isp_auth"))
    script = Script({"AUTH": ["334 VQ==", "334 UA==", "235 in"] if login else "235 in"}, ALL.offers)
    async with serving(script) as server, House({option: "isp_auth"}, [from_file(file, login=login)]) as house:
        (outcome,) = await house.deliver(local(server, "smarthost.example"))
    assert isinstance(outcome, Delivered)
    assert outcome.authenticator == ("login" if login else "plain")
    wanted = ["AUTH LOGIN", encoded("me"), encoded("secret")] if login else [PLAIN_SECRET]
    assert server.heard[0].lines[1 : 1 + len(wanted)] == wanted


async def test_the_hosts_own_credential_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "smtp_users"
    file.write_text(credential("isp_auth", "wrong") + credential("smarthost.example", "right"))
    async with serving(ALL) as server, House({"hosts_try_auth": "isp_auth"}, [from_file(file)]) as house:
        await house.deliver(local(server, "smarthost.example"))
    assert server.heard[0].lines[1] == PLAIN_SECRET.replace(encoded("\0me\0secret"), encoded("\0me\0right"))


HOSTS = {
    "the route's host": ("smarthost", True),
    "the route's host in capitals": ("SMARTHOST", True),
    "another host's address": ("192.0.2.1", False),
    "a negated word": ("! isp_auth", False),
    "everybody": ("*", True),
    "a named list": ("+ours", True),
    "a name with dots": ("isp.example", False),
}


@pytest.mark.parametrize(("text", "logs_in"), [pytest.param(*row, id=id) for id, row in HOSTS.items()])
async def test_other_words_are_hosts(text: str, logs_in: bool) -> None:
    hosts = {"smarthost": ["127.0.0.1"], "isp.example": ["192.0.2.9"], "isp_auth": ["127.0.0.1"]}
    named = {"ours": "127.0.0.0/8"}
    async with serving(ALL) as server, House({"hosts_try_auth": text}, [PLAIN], hosts, hostlists=named) as house:
        (outcome,) = await house.deliver(local(server, "smarthost"))
    assert isinstance(outcome, Delivered)
    assert bool(outcome.authenticator) is logs_in


async def test_with_difference_1_off_the_word_is_a_host_that_is_not_there() -> None:
    strict = frozenset({1})
    async with (
        serving(ALL) as server,
        House({"hosts_try_auth": "isp_auth"}, [PLAIN], {"isp_auth": []}, strict) as house,
    ):
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Delivered)
    assert outcome.authenticator == ""


# -- difference 3: a refused or missing credential


REFUSALS = ["535 5.7.8 bad password", "534 5.7.9 too weak", "530 no", "454 4.7.0 not now", "432 expired", "504 what?"]


@pytest.mark.parametrize("reply", REFUSALS)
@pytest.mark.parametrize("option", ["hosts_try_auth", "hosts_require_auth"])
async def test_a_refused_login_is_one_try_and_holds_the_queue(reply: str, option: str) -> None:
    script = Script({"AUTH": reply}, ALL.offers)
    async with serving(script) as server, House({option: "*"}, [PLAIN, LOGIN]) as house:
        results = await asyncio.gather(*(house.deliver(local(server)) for _ in range(10)))
    for (outcome,) in results:
        assert "127.0.0.1 refused the login by plain" in held(outcome).text
        assert reply.partition(" ")[0] in outcome.text
    assert sum(heard.words.count("AUTH") for heard in server.heard) == 1
    assert len(house.alarms.holds) == 1


async def test_what_is_to_be_mended_is_named(tmp_path: Path) -> None:
    """The file of a refused or a missing credential; the configuration, which nobody reads again by itself, if none."""
    file = tmp_path / "smtp_users"
    file.write_text(credential("127.0.0.1"))
    refusing = Script({"AUTH": "535 no"}, ALL.offers)
    async with serving(refusing) as server, House({"hosts_try_auth": "*"}, [from_file(file)]) as house:
        (outcome,) = await house.deliver(local(server))
        assert held(outcome).text.endswith(f"535 no; mend {file}; mail goes as soon as it is saved")
    async with serving(refusing) as server, House({"hosts_try_auth": "*"}, [PLAIN]) as house:
        (outcome,) = await house.deliver(local(server))
        assert "mend the login in the configuration and have it read again" in held(outcome).text
    file.write_text(credential("another"))
    async with serving(ALL) as server, House({"hosts_require_auth": "isp"}, [from_file(file)]) as house:
        (outcome,) = await house.deliver(local(server))
        assert f"is there an item for 127.0.0.1 or isp in {file}? Mail goes as soon as" in held(outcome).text


async def test_another_temporary_reply_to_auth_is_only_the_hosts_trouble() -> None:
    script = Script({"AUTH": "451 4.3.0 database is down"}, ALL.offers)
    async with serving(script) as server, House({"hosts_try_auth": "*"}, [PLAIN, LOGIN]) as house:
        (outcome,) = await house.deliver(local(server))
    stars = "*" * len(encoded("\0me\0secret"))
    text = f"SMTP error from remote mail server after AUTH PLAIN {stars}: 451 4.3.0 database is down"
    assert isinstance(outcome, Deferred)
    assert (outcome.text, outcome.errno) == (text, 0)
    assert not house.alarms.holds


async def test_a_challenge_dialogue_is_cancelled_or_answered() -> None:
    challenge = encoded("<1@x>")
    script = Script({"AUTH": [f"334 {challenge}", "235 in"]}, ALL.offers)
    async with serving(script) as server, House({"hosts_try_auth": "*"}, [CRAM]) as house:
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Delivered)
    assert outcome.authenticator == "cram"
    assert server.heard[0].lines[1] == "AUTH CRAM-MD5"
    assert "secret" not in "".join(server.heard[0].lines)


MISSING = {
    "no AUTH offered": (Script(offers=()), PLAIN, "it does not offer AUTH"),
    "no ESMTP": (Script({"EHLO": "502 what?"}), PLAIN, "it does not speak ESMTP"),
    "nothing in common": (Script(offers=("AUTH GSSAPI",)), PLAIN, "PLAIN is not offered"),
    "switched off": (ALL, {**PLAIN, "client_condition": "no"}, "plain is switched off by client_condition"),
    "nothing for this host": (
        ALL, {**PLAIN, "client_send": "${if eq{a}{b}{x}fail}"}, "plain finds no credential for 127.0.0.1",
    ),
    "only as a server": (
        ALL, {"driver": "plaintext", "name": "s", "public_name": "PLAIN", "server_condition": "yes"},
        "no client authenticator is configured",
    ),
    "an unreadable challenge": (Script({"AUTH": "334 !"}, ALL.offers), LOGIN, "login gave up"),
}  # fmt: skip


@pytest.mark.parametrize(("script", "authenticator", "why"), [pytest.param(*row, id=id) for id, row in MISSING.items()])
@pytest.mark.parametrize("option", ["hosts_try_auth", "hosts_require_auth"])
async def test_a_missing_login_holds_and_says_why(
    script: Script, authenticator: dict[str, Any], why: str, option: str
) -> None:
    async with serving(script) as server, House({option: "*"}, [authenticator]) as house:
        (outcome,) = await house.deliver(local(server))
    assert why in held(outcome).text
    assert "MAIL" not in server.heard[0].words
    assert len(house.alarms.holds) == 1


async def test_a_mended_file_releases_what_is_held(tmp_path: Path) -> None:
    file = tmp_path / "smtp_users"
    async with serving(ALL) as server, House({"hosts_require_auth": "isp_auth"}, [from_file(file)]) as house:
        outcome = held((await house.deliver(local(server)))[0])
        assert str(file) in outcome.text
        assert not house.health.release_mended()
        file.write_text(credential("isp_auth"))
        assert house.health.release_mended()
        (outcome_then,) = await house.deliver(local(server))
    assert isinstance(outcome_then, Delivered)
    assert house.alarms.recoveries == [f"t:127.0.0.1:{server.port}"]


COMPLAINTS = {
    "no login": ("MAIL", "530 5.7.0 Authentication required", "credential"),
    "no TLS": ("MAIL", "530 5.7.0 Must issue a STARTTLS command first", "tls"),
    "basic authentication is off": ("MAIL", "550 5.7.30 Basic authentication is not supported", "credential"),
    "at RCPT": ("RCPT", "535 5.7.3 Authentication unsuccessful", "credential"),
    "after the dot": (".", "538 5.7.11 Encryption required", "credential"),
}


@pytest.mark.parametrize(("word", "reply", "cause"), [pytest.param(*row, id=id) for id, row in COMPLAINTS.items()])
async def test_a_later_word_about_credentials_never_bounces(word: str, reply: str, cause: str) -> None:
    async with serving(Script({word: reply})) as server, House() as house:
        outcomes = await house.deliver(local(server), to=["a@x", "b@x"])
    for outcome in outcomes:
        assert reply in held(outcome, cause).text
    ((_, hold),) = house.alarms.holds
    assert hold.cause == cause


async def test_a_sending_limit_backs_off_and_never_bounces() -> None:
    script = Script({".": "550 5.4.5 Daily user sending limit exceeded"})
    async with serving(script) as server, House() as house:
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Deferred)
    assert outcome.scope is Scope.HOST
    assert list(house.health.states()) == [outcome.destination]
    assert not house.alarms.holds


async def test_with_difference_3_off_the_next_authenticator_is_tried_and_then_none() -> None:
    strict = frozenset({3})
    script = Script({"AUTH": ["535 no", "334 VQ==", "334 UA==", "535 no"]}, ALL.offers)
    async with serving(script) as server, House({"hosts_try_auth": "*"}, [PLAIN, LOGIN], strict=strict) as house:
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Delivered)
    assert outcome.authenticator == ""
    assert [line.partition(" H=")[0] for line in house.log] == [
        "plain authenticator failed",
        "login authenticator failed",
    ]


async def test_without_the_login_that_was_wanted_no_5xx_is_believed() -> None:
    """Difference 6: only a session that is what the configuration asks for may fail mail."""
    script = Script({"AUTH": "535 no", "RCPT": "550 relaying denied"}, ALL.offers)
    for strict, kind in ((frozenset({3}), Deferred), (frozenset({3, 6}), Failed)):
        async with serving(script) as server, House({"hosts_try_auth": "*"}, [PLAIN], strict=strict) as house:
            (outcome,) = await house.deliver(local(server))
        assert isinstance(outcome, kind)


# -- difference 4: who gets to see a password


def connection_to(address: str, *, tls: bool = False, verified: bool = False) -> Any:
    """Return what Login looks at of a connection, without one: no other machine is here to connect to."""
    from smarthostd.outcome import Host

    connection = object.__new__(Connection)
    connection.session = Session(Host("smarthost.example", address, 587))
    connection.session.extended = True
    connection.session.offer = Offer(mechanisms=frozenset({"PLAIN", "CRAM-MD5"}))
    connection.session.verified = verified
    connection.session.tls = TlsFacts("TLS1.3", "TLS_AES_256_GCM_SHA384", 256) if tls else TlsFacts()
    return connection


CHANNELS = {
    "in clear": ({}, False, False, False),
    "unverified TLS": ({}, True, False, False),
    "verified TLS": ({}, True, True, True),
    "unverified by choice": ({"tls_verify_hosts": ""}, True, False, True),
    "in clear is no choice of that": ({"tls_verify_hosts": ""}, False, False, False),
    "in clear, allowed": ({"hosts_allow_cleartext_auth": "192.0.2.0/24"}, False, False, True),
    "unverified, allowed": ({"hosts_allow_cleartext_auth": "192.0.2.0/24"}, True, False, True),
    "in clear, allowed elsewhere": ({"hosts_allow_cleartext_auth": "198.51.100.1"}, False, False, False),
}


@pytest.mark.parametrize(
    ("options", "tls", "verified", "shown"), [pytest.param(*row, id=id) for id, row in CHANNELS.items()]
)
@pytest.mark.parametrize("strict", [frozenset[int](), frozenset({3})], ids=["ours", "Exim's way after a refusal"])
async def test_a_password_goes_only_where_nobody_else_can_read_it(
    options: dict[str, Any], tls: bool, verified: bool, shown: bool, strict: frozenset[int]
) -> None:
    house = House({"hosts_try_auth": "*", **options}, [PLAIN], strict=strict)
    opener = house.transport._opener
    connection = connection_to("192.0.2.7", tls=tls, verified=verified)
    said: list[str] = []

    async def command(text: str, shown: str = "") -> Any:
        from smarthostd.reply import Reply

        said.append(text)
        return Reply(235, "in")

    connection.command = command
    policy = await opener._policies.of("ID", connection.session.host, {}, frozenset())
    login: Login = opener._login
    if shown:
        await login.run("ID", connection, {}, policy)
        assert said == [PLAIN_SECRET]
    else:
        with pytest.raises(Held, match="would show the password"):
            await login.run("ID", connection, {}, policy)
        assert said == []


@pytest.mark.parametrize(
    ("address", "here"), [("127.0.0.10", True), ("::1", True), ("/run/lmtp.sock", True), ("192.0.2.1", False)]
)
def test_what_is_this_machine(address: str, here: bool) -> None:
    assert is_this_machine(address) is here


# -- no secret is told


async def test_what_is_told_of_a_wrong_option_does_not_show_it() -> None:
    """A dollar in a password is the usual mistake; Exim logs the whole string."""
    authenticator = {**PLAIN, "client_send": "^me^pa$sword"}
    async with serving(ALL) as server, House({"hosts_try_auth": "*"}, [authenticator]) as house:
        outcome = held((await house.deliver(local(server)))[0])
    assert "sword" not in outcome.text + "".join(house.log) + repr(house.alarms.holds)
    assert "plain" in outcome.text


@pytest.mark.parametrize("authenticator", [PLAIN, LOGIN], ids=["PLAIN", "LOGIN"])
@pytest.mark.parametrize("code", ["535", "451"])
async def test_a_server_that_repeats_the_password_brings_it_nowhere(authenticator: dict[str, str], code: str) -> None:
    """As it was, or as it was sent: neither to the log nor into what the tools show, nor to an alarm."""
    whole, word = encoded("\0me\0secret"), encoded("secret")
    last = f"{code} 5.7.8 no: you sent {whole} {word} and that is secret"
    replies = [last] if authenticator is PLAIN else ["334 VXNlcg==", "334 UGFzcw==", last]
    script = Script({"AUTH": replies}, ALL.offers)
    async with serving(script) as server, House({"hosts_try_auth": "*"}, [authenticator]) as house:
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Deferred)
    told = outcome.text + "".join(house.log) + repr(house.alarms.holds)
    assert "5.7.8 no: you sent" in told
    assert "secret" not in told
    assert (whole if authenticator is PLAIN else word) not in told


async def test_a_connection_lost_in_the_login_is_told_with_stars() -> None:
    async with serving(Script({"AUTH": CLOSE}, ALL.offers)) as server, House({"hosts_try_auth": "*"}, [PLAIN]) as house:
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Deferred)
    assert outcome.text == f"Remote host closed connection in response to AUTH PLAIN {'*' * 16}"


async def test_a_list_that_cannot_be_decided_requires_what_it_may_require() -> None:
    """Exim takes the answer for a no; then mail would go without the login that was asked for."""
    options = {"hosts_require_auth": "nosuch;x"}
    async with (
        serving(ALL) as server,
        House(options, [PLAIN]) as house,
        House(options, [PLAIN], strict=frozenset({6})) as strict,
    ):
        (outcome,) = await house.deliver(local(server))
        assert isinstance(outcome, Deferred)
        assert outcome.errno == -35
        assert isinstance((await strict.deliver(local(server)))[0], Delivered)
