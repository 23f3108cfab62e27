"""What a session leaves in the log: who, how it ended, what was refused; never what a client sent to log in."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from smarthostd.authenticators import build
from smarthostd.authenticators.options.plaintext import PlaintextOptions
from smarthostd.facts import Facts
from smarthostd.listener import sockets
from smarthostd.mainlog import LogStyle
from smarthostd.selectors import selected
from tests.language import expander
from tests.listener.house import PATIENCE, House, house

PASSWORD = "correct-horse"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password is answered at once."""
    monkeypatch.setattr("smarthostd.listener.session.AUTH_FAILURE_PAUSE", 0.0)


@asynccontextmanager
async def telling(directory: Path, **policy: object) -> AsyncIterator[House]:
    """A listener whose log says everything, but for the time and the process."""
    async with house(directory, **policy) as relay:
        style = LogStyle(selected=selected("+all -pid -millisec -incoming_port -incoming_interface -receive_time"))
        relay.listener.log.renew(style)  # type: ignore[attr-defined]  # it is a MainLog
        yield relay


async def told(relay: House, count: int) -> list[str]:
    """Return the lines without their time, once there are *count*."""
    async with asyncio.timeout(PATIENCE):
        while len(relay.log) < count:  # noqa: ASYNC110 - a turn of the loop is what is waited for
            await asyncio.sleep(0)
    return [line[20:] for line in relay.log]


async def test_a_session_that_ends_well(tmp_path: Path) -> None:
    async with telling(tmp_path) as relay:
        client = await relay.connect()
        await client.ready()
        assert (await client.data(b"Subject: x\r\nMessage-ID: <1@a>\r\n\r\n.\r\n")).startswith("250")
        await client.say("QUIT")
        begun, arrived, ended = await told(relay, 3)
        assert begun == "SMTP connection from [127.0.0.1] (TCP/IP connection count = 1)"
        assert " <= a@b.example H=(client.example) [127.0.0.1] P=esmtp L- S=" in arrived
        assert arrived.endswith(' M8S=0 id=1@a T="x" from <a@b.example> for c@d.example')
        assert ended == "SMTP connection from (client.example) [127.0.0.1] closed by QUIT"


async def test_a_client_that_pipelines_and_sends_chunks(tmp_path: Path) -> None:
    async with telling(tmp_path) as relay:
        client = await relay.connect()
        await client.say("EHLO client.example")
        await client.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 12 LAST\r\nSubject: x\r\n")
        for _ in range(3):
            assert (await client.reply()).startswith("250")
        assert " P=esmtp L K S=" in (await told(relay, 2))[1]


async def test_a_session_without_mail(tmp_path: Path) -> None:
    async with telling(tmp_path) as relay:
        client = await relay.connect()
        await client.say("EHLO client.example")
        await client.say("QUIT")
        assert (await told(relay, 3))[
            2
        ] == "no MAIL in SMTP connection from (client.example) [127.0.0.1] D=0s C=EHLO,QUIT"


@pytest.mark.parametrize(
    ("octets", "how"),
    [
        pytest.param(b"", "lost D=0s", id="between commands"),
        pytest.param(b"DATA\r\nSubject: x\r\n", "lost while reading message data D=0s", id="in a message"),
    ],
)
async def test_a_client_that_vanishes(tmp_path: Path, octets: bytes, how: str) -> None:
    async with telling(tmp_path) as relay:
        client = await relay.connect()
        await client.ready()
        await client.send(octets)
        client.close()
        assert f"SMTP connection from (client.example) [127.0.0.1] {how}" in await told(relay, 3)


async def test_refusals(tmp_path: Path) -> None:
    async with telling(tmp_path, relays_for=lambda address: False, message_size_limit=100) as relay:
        client = await relay.connect()
        await client.say("EHLO client.example")
        await client.say("MAIL FROM:<a@b.example> SIZE=200")
        await client.say("MAIL FROM:<a@b.example>")
        await client.say("RCPT TO:<c@d.example>")
        await client.say("FOO bar")
        await client.say("DATA")
        lines = (await told(relay, 5))[1:]
        who = "H=(client.example) [127.0.0.1]"
        assert lines[0].startswith(f"{who} rejected MAIL FROM:<a@b.example> SIZE=200: 552 ")
        assert lines[1].startswith(f"{who} F=<a@b.example> rejected RCPT <c@d.example>: 550 5.7.1 relay not permitted")
        assert lines[2] == f'SMTP syntax error in "FOO bar" {who} 5.5.1 unrecognized command'
        assert lines[3] == f'SMTP protocol error in "DATA " {who} 5.5.1 valid RCPT command must precede DATA'


async def test_a_message_that_is_refused(tmp_path: Path) -> None:
    async with telling(tmp_path, message_size_limit=100) as relay:
        client = await relay.connect()
        await client.ready()
        assert (await client.data(b"Subject: x\r\n\r\n" + b"x" * 200 + b"\r\n.\r\n")).startswith("552")
        line = (await told(relay, 2))[1]
        assert line[17:].startswith("rejected from <a@b.example> H=(client.example) [127.0.0.1]: 552 5.3.4 ")


async def test_one_client_too_many(tmp_path: Path) -> None:
    async with telling(tmp_path, accept_max=1) as relay:
        await relay.connect()
        turned_away = await relay.connect()
        assert turned_away.greeting.startswith("421")
        assert (await told(relay, 2))[1] == "Connection from [127.0.0.1] refused: too many connections"


async def test_what_a_client_sends_to_log_in_is_never_told(tmp_path: Path) -> None:
    """In one go, step by step, cut off in the middle, or as lines that nobody has asked for."""
    options = [
        PlaintextOptions(
            name="plain_server", driver="plaintext", public_name="PLAIN", server_prompts=":", server_condition="no"
        ),
        PlaintextOptions(
            name="login_server", driver="plaintext", public_name="LOGIN", server_prompts="u : p", server_condition="no"
        ),
    ]
    secret = base64.b64encode(PASSWORD.encode()).decode()
    whole = base64.b64encode(f"\0me\0{PASSWORD}".encode()).decode()
    async with telling(
        tmp_path, authenticators=build(options, expander(Facts("relay.example"))), errors_max=50
    ) as relay:
        client = await relay.connect()
        await client.say("EHLO client.example")
        assert (await client.say(f"AUTH PLAIN {whole}")).startswith("535")
        assert (await client.say(f"AUTH PLAIN {PASSWORD}")).startswith("501")
        assert (await client.say(f"AUTH NOSUCH {secret}")).startswith("504")
        assert (await client.say("AUTH LOGIN")).startswith("334")
        assert (await client.say(secret)).startswith("334")
        assert (await client.say("*")).startswith("501")
        assert (await client.say(secret)).startswith("500")
        lines = await told(relay, 6)
        assert lines[1] == "plain_server authenticator failed for (client.example) [127.0.0.1]: " + (
            "535 5.7.8 Incorrect authentication data"
        )
        assert lines[5].startswith('SMTP syntax error in "(not shown behind AUTH)" ')
    for word in (PASSWORD, secret, whole):
        assert word not in "\n".join(relay.log)


async def test_password_after_password_ends_the_session(tmp_path: Path) -> None:
    """Each counts as two errors."""
    plain = PlaintextOptions(
        name="plain", driver="plaintext", public_name="PLAIN", server_prompts=":", server_condition="no"
    )
    authenticators = build([plain], expander(Facts("relay.example")))
    async with telling(tmp_path, authenticators=authenticators, errors_max=5) as relay:
        client = await relay.connect()
        await client.say("EHLO client.example")
        for _ in range(3):
            assert (await client.say(f"AUTH PLAIN {PLAIN}")).startswith("535 5.7.8")
        assert await client.reply() == "421 4.7.0 relay.example: too many errors"
        assert await client.ended()


PLAIN = base64.b64encode(f"\0me\0{PASSWORD}".encode()).decode()
AUTH_IN_EVERY_FORM = {
    "before EHLO": [f"AUTH PLAIN {PLAIN}"],
    "behind HELO": ["HELO c", f"AUTH PLAIN {PLAIN}", PLAIN],
    "without a blank": ["EHLO c", f"AUTHPLAIN {PLAIN}"],
    "with an equals sign": ["EHLO c", f"AUTH=PLAIN {PLAIN}"],
    "with a colon": ["EHLO c", f"AUTH: PLAIN {PLAIN}"],
    "with a tab": ["EHLO c", f"AUTH\tPLAIN\t{PLAIN}"],
    "in small letters and blanks": ["EHLO c", f"  auth   plain   {PLAIN} "],
    "with too many words": ["EHLO c", f"AUTH PLAIN {PLAIN} {PASSWORD}"],
    "with a mechanism that is not there": ["EHLO c", f"AUTH XOAUTH2 {PLAIN}", PLAIN],
    "as a challenge's answer that nobody wants": ["EHLO c", "AUTH LOGIN", "bWU=", PLAIN, PLAIN, PASSWORD],
    "as two lines at once": ["EHLO c", f"AUTH LOGIN bWU=\r\n{PLAIN}\r\n{PLAIN}"],
    "without a mechanism": ["EHLO c", f"AUTH {PLAIN}", f"AUTH {PASSWORD}"],
    "too long": ["EHLO c", f"AUTH PLAIN {PLAIN}{'A' * 20000}"],
    "with NUL": ["EHLO c", f"AUTH PLAIN {PLAIN}\0"],
    "behind a mistake in the line before": ["EHLO c", "AUTH LOGN", "bWU=", PLAIN],
    "in front of mail": ["EHLO c", f"AUTH PLAIN {PLAIN}", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>"],
}


@pytest.mark.parametrize("offered", [True, False], ids=["offered", "not offered"])
@pytest.mark.parametrize("as_json", [True, False], ids=["JSON", "text"])
@pytest.mark.parametrize("lines", AUTH_IN_EVERY_FORM.values(), ids=AUTH_IN_EVERY_FORM)
async def test_no_form_of_auth_brings_a_password_to_the_log(
    tmp_path: Path, lines: list[str], as_json: bool, offered: bool
) -> None:
    """Whatever is wrong with it, and whoever asked for it; the session's commands are told by name alone."""
    options = [
        PlaintextOptions(
            name="plain", driver="plaintext", public_name="PLAIN", server_prompts=":", server_condition="no"
        ),
        PlaintextOptions(
            name="login", driver="plaintext", public_name="LOGIN", server_prompts="u : p", server_condition="no"
        ),
    ]
    authenticators = build(options, expander(Facts("relay.example"))) if offered else []
    async with telling(tmp_path, authenticators=authenticators, errors_max=50) as relay:
        relay.listener.log.renew(LogStyle(as_json, selected("+all")))  # type: ignore[attr-defined]
        client = await relay.connect()
        for line in lines:
            await client.send(line.encode() + b"\r\n")
        client.writer.write_eof()
        await asyncio.wait_for(client.reader.read(), PATIENCE)
        log = "\n".join(relay.log)
    assert "closed" in log or "lost" in log
    secrets = PASSWORD, PLAIN, base64.b64encode(PASSWORD.encode()).decode()
    assert [word for word in secrets if word.lower() in log.lower()] == []


EVIL = (
    b"x\r2026-01-01 00:00:00 1aaaaa-000000-00 Completed", b"x\x00y", b"\x1b[2J", b"\xc2\x85next", b"\xc2\x9bcsi",
    "\u2028line".encode(), "\u2029paragraph".encode(), "\u202egnol".encode(), b"\xff\xfe", b"\xed\xb2\x80",
)  # fmt: skip
"""Words that would begin a line, move a cursor, or turn letters round."""


@pytest.mark.parametrize("as_json", [True, False], ids=["JSON", "text"])
@pytest.mark.parametrize("evil", EVIL, ids=repr)
async def test_nobody_can_forge_a_line(tmp_path: Path, evil: bytes, as_json: bool) -> None:
    """By a name, an address, a parameter, a header line, or what is no command at all."""
    async with telling(tmp_path, errors_max=50) as relay:
        relay.listener.log.renew(LogStyle(as_json, selected("+all")))  # type: ignore[attr-defined]
        client = await relay.connect()
        for line in (
            b"EHLO " + evil, b"HELO " + evil, b"EHLO client.example", evil, b"VRFY " + evil, b"AUTH " + evil,
            b"MAIL FROM:<" + evil + b"@b.example>", b"MAIL FROM:<a@b.example> X=" + evil,
            b"MAIL FROM:<a@b.example> SMTPUTF8", b"RCPT TO:<" + evil + b"@d.example>", b"RCPT TO:<c@" + evil + b">",
            b"RCPT TO:<c@d.example>",
        ):  # fmt: skip
            await client.send(line + b"\r\n")
        header = b"Subject: " + evil + b"\r\nMessage-ID: <" + evil + b"@x>\r\nFrom: " + evil
        await client.send(b"DATA\r\n" + header + b"\r\n\r\n.\r\n")
        client.writer.write_eof()
        await asyncio.wait_for(client.reader.read(), PATIENCE)
        lines = list(relay.log)
    assert len(lines) > 3
    for line in lines:
        assert line.isprintable(), line
        assert not as_json or json.loads(line)["text"].encode()


async def test_only_local_programs_may_say_that_they_are_a_command_line(tmp_path: Path) -> None:
    async with telling(tmp_path) as relay:
        client = await relay.connect()
        assert "XLOCAL" not in await client.say("EHLO client.example")
        assert (await client.say("MAIL FROM:<a@b.example> XLOCAL")).startswith("555")
        await relay.listener.listen(sockets.unix(tmp_path / "submit.sock"))
        reader, writer = await asyncio.open_unix_connection(tmp_path / "submit.sock")
        local = type(client)(reader, writer)
        await local.reply()
        assert "XLOCAL" in await local.say("EHLO client.example")
        assert (await local.say("MAIL FROM:<a@b.example> XLOCAL")).startswith("250")
        local.close()
        await writer.wait_closed()
