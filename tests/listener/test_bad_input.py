"""What is wrong is refused with an enhanced code, and the daemon serves the next client."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

import pytest

from smarthostd.assembly import ClientList, build_language
from smarthostd.config.settings import Settings
from smarthostd.errors import ExpansionError, ListDefer
from tests.listener.house import house

REFUSAL = re.compile(r"[45]\d\d [45]\.\d+\.\d+ ")

COMMANDS = {
    "a sender that is no address": ["EHLO x.example", "MAIL FROM:<a b@c>"],
    "a domain that is none": ["EHLO x.example", "MAIL FROM:<a@b..c>"],
    "no brackets closed": ["EHLO x.example", "MAIL FROM:<a@b.c"],
    "MAIL without HELO": ["MAIL FROM:<a@b.example>"],
    "RCPT before MAIL": ["EHLO x.example", "RCPT TO:<a@b.example>"],
    "MAIL twice": ["EHLO x.example", "MAIL FROM:<a@b.example>", "MAIL FROM:<a@b.example>"],
    "DATA without RCPT": ["EHLO x.example", "MAIL FROM:<a@b.example>", "DATA"],
    "DATA with an argument": ["EHLO x.example", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA now"],
    "BDAT without RCPT": ["EHLO x.example", "MAIL FROM:<a@b.example>", "BDAT 0 LAST"],
    "an empty recipient": ["EHLO x.example", "MAIL FROM:<a@b.example>", "RCPT TO:<>"],
    "a message that says it is too large": ["EHLO x.example", "MAIL FROM:<a@b.example> SIZE=99999999999"],
    "a size that is no number": ["EHLO x.example", "MAIL FROM:<a@b.example> SIZE=1e9"],
    "an unknown parameter": ["EHLO x.example", "MAIL FROM:<a@b.example> FOO=1"],
    "a parameter twice": ["EHLO x.example", "MAIL FROM:<a@b.example> SIZE=1 SIZE=2"],
    "a bad NOTIFY": ["EHLO x.example", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example> NOTIFY=NEVER,SUCCESS"],
    "a bad ENVID": ["EHLO x.example", "MAIL FROM:<a@b.example> ENVID=a+0"],
    "not ASCII without SMTPUTF8": ["EHLO x.example", "MAIL FROM:<ü@b.example>"],
    "a HELO name that is none": ["EHLO x!y"],
    "an unknown command": ["FOO"],
    "an empty line": [""],
    "a NUL in a command": ["EHLO x.example", "MAIL FROM:<a\0@b.example>"],
    "a control character in a command": ["EHLO x.example", "MAIL FROM:<a\x1b@b.example>"],
    "a bare CR in a command": ["EHLO x.example", "MAIL FROM:<a@b.example>\rRCPT TO:<c@d.example>"],
    "a command that is too long": ["EHLO x.example", "MAIL FROM:<" + "a" * 3000 + "@b.example>"],
    "AUTH that is not offered": ["EHLO x.example", "AUTH PLAIN AGEAYg=="],
    "STARTTLS that is not offered": ["EHLO x.example", "STARTTLS"],
    "EXPN": ["EHLO x.example", "EXPN list"],
}


@pytest.mark.parametrize("lines", [pytest.param(lines, id=id) for id, lines in COMMANDS.items()])
async def test_a_bad_command_is_refused(tmp_path: Path, lines: list[str]) -> None:
    async with house(tmp_path) as relay:
        client = await relay.connect()
        for line in lines[:-1]:
            assert (await client.say(line)).startswith("2")
        assert REFUSAL.match(await client.say(lines[-1]))
        assert (await client.say("RSET")).startswith("250 2.0.0")
        client.close()
        following = await relay.connect()
        assert following.greeting.startswith("220 ")
        assert await relay.stored() == []


CONTENT = {
    "a bare LF": b"Subject: x\r\n\r\none\ntwo\r\n.\r\n",
    "a bare CR": b"Subject: x\r\n\r\none\rtwo\r\n.\r\n",
    "a NUL": b"Subject: x\r\n\r\none\0two\r\n.\r\n",
    "a smuggled end: LF . LF": b"Subject: x\r\n\r\none\n.\nMAIL FROM:<evil@b.example>\r\n.\r\n",
    "a smuggled end: LF . CRLF": b"Subject: x\r\n\r\none\n.\r\nMAIL FROM:<evil@b.example>\r\n.\r\n",
    "a smuggled end: CR . CR": b"Subject: x\r\n\r\none\r.\rMAIL FROM:<evil@b.example>\r\n.\r\n",
    "a line that is too long": b"Subject: x\r\n\r\n" + b"y" * 5000 + b"\r\n.\r\n",
    "a message that is too large": b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 8000 + b".\r\n",
    "a loop": b"Received: from x\r\n" * 40 + b"\r\nbody\r\n.\r\n",
    "a header that is too large": b"X: " + b"y" * 900 + b"\r\n" + b"Z: zz\r\n" * 200_000 + b"\r\n.\r\n",
}


@pytest.mark.parametrize("content", [pytest.param(content, id=id) for id, content in CONTENT.items()])
async def test_bad_content_is_refused_and_nothing_is_kept(tmp_path: Path, content: bytes) -> None:
    limit = 1 << 21 if len(content) > 1_000_000 else 100_000
    async with house(tmp_path, line_length_limit=4000, message_size_limit=limit) as relay:
        client = await relay.connect()
        await client.ready()
        assert REFUSAL.match(await client.data(content))
        await client.ready()
        assert (await client.data(b"Subject: good\r\n\r\nbody\r\n.\r\n")).startswith("250 2.0.0 OK id=")
        (pending,) = await relay.stored()
        assert b"Subject: good" in pending.message.content.head
        assert list((tmp_path / "spool" / "content").iterdir()) == []


async def test_a_client_that_knows_no_crlf_is_told_at_once(tmp_path: Path) -> None:
    """It has ended its message, and would wait for five minutes; nothing behind its dot is a command."""
    async with house(tmp_path) as relay:
        client = await relay.connect()
        await client.ready()
        verdict = await client.data(b"Subject: x\n\nhello\n.\n")
        assert verdict.startswith("550 5.6.11 a bare CR or LF")
        assert await client.ended()
        assert await relay.stored() == []
        slow = await relay.connect()
        await slow.ready()
        assert (await slow.say("DATA")).startswith("354")
        for line in (b"Subject: x\n", b"\n", b"hello\n"):
            await slow.send(line)
            await asyncio.sleep(0)
        await slow.send(b".\n")
        assert (await slow.reply()).startswith("550 5.6.11")


async def test_bare_newlines_can_be_made_whole_instead(tmp_path: Path) -> None:
    async with house(tmp_path, normalize_newlines=True) as relay:
        client = await relay.connect()
        await client.ready()
        assert (await client.data(b"Subject: x\r\n\r\none\n.\ntwo\rthree\r\n.\r\n")).startswith("250")
        (pending,) = await relay.stored()
        assert pending.message.content.head.endswith(b"\r\n\r\none\r\n.\r\ntwo\r\nthree\r\n")


async def test_too_many_recipients_get_452_and_the_others_stay(tmp_path: Path) -> None:
    async with house(tmp_path, recipients_max=2) as relay:
        client = await relay.connect()
        await client.ready("one@d.example", "two@d.example")
        assert (await client.say("RCPT TO:<three@d.example>")).startswith("452 4.5.3")
        assert (await client.data(b"Subject: x\r\n\r\n.\r\n")).startswith("250")
        (pending,) = await relay.stored()
        assert len(pending.waiting) == 2


async def test_a_stranger_may_not_relay(tmp_path: Path) -> None:
    async with house(tmp_path, relays_for=lambda address: False) as relay:
        client = await relay.connect()
        await client.say("EHLO x.example")
        await client.say("MAIL FROM:<a@b.example>")
        assert (await client.say("RCPT TO:<c@d.example>")).startswith("550 5.7.1 relay not permitted for [127.0.0.1]")


async def test_whether_a_client_may_relay_can_be_undecided(tmp_path: Path) -> None:
    """A name in relay_from_hosts that DNS does not tell now: the client comes again, and one that logs in need not."""

    def undecided(address: str) -> bool:
        raise ListDefer("DNS lookup of app.example deferred")

    async with house(tmp_path, relays_for=undecided) as relay:
        client = await relay.connect()
        await client.say("EHLO client.example")
        await client.say("MAIL FROM:<a@b.example>")
        assert (await client.say("RCPT TO:<c@d.example>")).startswith("451 4.3.0")
    assert any("relay_from_hosts cannot be decided for [127.0.0.1]: DNS lookup" in line for line in relay.log)


def test_a_list_of_hosts_that_cannot_be_decided_is_a_no_unless_it_must_be() -> None:
    language = build_language(Settings.model_validate({"primary_hostname": "relay.example"}))
    hosts = "192.0.2.1 : /nowhere/hosts"
    assert ClientList(hosts, language)("192.0.2.1")
    assert not ClientList(hosts, language)("192.0.2.2")
    with pytest.raises(ListDefer):
        ClientList(hosts, language, decides=True)("192.0.2.2")


@pytest.mark.parametrize("strict", [False, True])
async def test_a_session_that_cannot_begin_says_so(tmp_path: Path, strict: bool) -> None:
    def broken() -> str:
        raise ExpansionError("failed to open /etc/banner")

    async with house(tmp_path, banner=broken, strict=strict) as relay:
        client = await relay.connect()
        assert client.greeting.startswith("421 4.3.0")
        assert await client.ended()
        assert not relay.listener.sessions
    assert any("failed to open /etc/banner" in line for line in relay.log)


@pytest.mark.parametrize("where", ["write", "content"])
async def test_a_defect_of_ours_leaves_the_message_with_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """It is told so, and the panic log, too; the next client is served."""

    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("a defect")

    async with house(tmp_path) as relay:
        client = await relay.connect()
        await client.ready()
        with monkeypatch.context() as patched:
            if where == "write":
                patched.setattr("smarthostd.spool.content.FileSink.write", broken)
            else:
                patched.setattr("smarthostd.listener.session.Session._envelope", broken)
            assert (await client.data(b"Subject: x\r\n\r\nb\r\n.\r\n")).startswith("421 4.3.0 internal error")
            assert await client.ended()
        assert any("PANIC: session: message: ZeroDivisionError" in line for line in relay.log)
        client = await relay.connect()
        await client.ready()
        assert (await client.data(b"Subject: x\r\n\r\nb\r\n.\r\n")).startswith("250 ")


async def test_a_disk_that_lets_nothing_be_removed_refuses_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that has become read-only in the middle of a message."""

    def read_only(*arguments: object, **named: object) -> None:
        raise OSError(30, "Read-only file system")

    async with house(tmp_path) as relay:
        client = await relay.connect()
        await client.ready()
        monkeypatch.setattr(Path, "unlink", read_only)
        monkeypatch.setattr("smarthostd.spool.content.os.write", read_only)
        large = b"Subject: x\r\n\r\n" + b"0123456789abcde\r\n" * 10_000
        assert (await client.data(large + b".\r\n")).startswith("451 4.3.0")
        monkeypatch.undo()


async def test_a_chunk_of_unknown_size_ends_the_session(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        client = await relay.connect()
        await client.ready()
        assert (await client.say("BDAT many LAST")).startswith("501 5.5.4")
        assert await client.ended()
        assert (await relay.connect()).greeting.startswith("220")


async def test_http_is_hung_up_on(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        client = await relay.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nMAIL FROM:<a@b.example>\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert await client.ended()
        assert await relay.stored() == []


async def test_too_many_errors_end_the_session(tmp_path: Path) -> None:
    async with house(tmp_path, errors_max=3) as relay:
        client = await relay.connect()
        for _ in range(3):
            assert (await client.say("FOO")).startswith("500")
        assert (await client.say("FOO")).startswith("500")
        assert (await client.reply()).startswith("421 4.7.0")


async def test_one_client_too_many_gets_421(tmp_path: Path) -> None:
    async with house(tmp_path, accept_max=1) as relay:
        first = await relay.connect()
        assert (await relay.connect()).greeting.startswith("421 4.3.2")
        assert (await first.say("NOOP")).startswith("250")


async def test_no_limit_is_no_limit(tmp_path: Path) -> None:
    async with house(tmp_path, accept_max=0) as relay:
        assert (await relay.connect()).greeting.startswith("220 ")


async def test_a_silent_client_gets_421_and_is_let_go(tmp_path: Path) -> None:
    async with house(tmp_path, command_timeout=0.2) as relay:
        client = await relay.connect()
        assert (await client.reply()).startswith("421 4.4.2")
        assert await client.ended()


async def test_limits_may_depend_on_the_client(tmp_path: Path) -> None:
    """They are looked at when a client comes."""
    sizes = {"127.0.0.1": 1000}
    async with house(tmp_path, limits_of=lambda address: {"message_size_limit": sizes[address]}) as relay:
        client = await relay.connect()
        await client.ready()
        assert REFUSAL.match(await client.data(b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 80 + b".\r\n"))
        sizes["127.0.0.1"] = 10_000
        other = await relay.connect()
        await other.ready()
        assert (await other.data(b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 80 + b".\r\n")).startswith("250")


async def test_how_many_connections_a_client_may_have_may_depend_on_it(tmp_path: Path) -> None:
    async with house(tmp_path, limits_of=lambda address: {"accept_max_per_host": 1}) as relay:
        await (await relay.connect()).ready()
        assert not relay.listener.admits("127.0.0.1")
        assert relay.listener.admits("192.0.2.1")
