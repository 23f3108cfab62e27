"""``sendmail`` as programs call it, against a listener on a unix socket."""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from pathlib import Path

import pytest

from smarthostd import sendmail
from smarthostd.listener import sockets
from smarthostd.spool.base import Pending
from tests.listener.house import House, house

MESSAGE = b"From: me@app.example\nTo: One <one@d.example>, two@d.example\nBcc: three@d.example\nSubject: x\n\nbody\n"
LOGIN = pwd.getpwuid(os.getuid()).pw_name


async def run(relay: House, directory: Path, arguments: list[str], stdin: bytes = MESSAGE) -> tuple[int, str]:
    """Run the program; return its exit status and what it said."""
    path = directory / "submit.sock"
    if not path.exists():
        await relay.listener.listen(sockets.unix(path))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "smarthostd.sendmail", *arguments,
        env={**os.environ, "SMARTHOSTD_SUBMIT": str(path)}, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(stdin), 30)
    return process.returncode or 0, (out + err).decode()


async def stored(relay: House) -> Pending:
    (pending,) = await relay.stored()
    return pending


async def test_arguments_are_recipients(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        assert await run(relay, tmp_path, ["-oi", "-f", "sender@b.example", "a@d.example", "b@d.example"]) == (0, "")
        pending = await stored(relay)
        assert str(pending.message.envelope.sender) == "sender@b.example"
        assert [str(one) for one in pending.waiting] == ["a@d.example", "b@d.example"]
        assert pending.message.envelope.client.protocol == "local-esmtp"
        assert pending.message.envelope.client.login == LOGIN
        assert b"\r\nBcc: three@d.example\r\n" in pending.message.content.head
        assert pending.message.content.head.endswith(b"\r\n\r\nbody\r\n")


async def test_t_reads_the_header_and_takes_bcc_out(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        assert await run(relay, tmp_path, ["-t", "-i"]) == (0, "")
        pending = await stored(relay)
        assert [str(one) for one in pending.waiting] == ["one@d.example", "two@d.example", "three@d.example"]
        assert b"Bcc" not in pending.message.content.head
        assert str(pending.message.envelope.sender) == f"{LOGIN}@qualify.example"


async def test_a_lone_dot_ends_the_message_unless_told_otherwise(tmp_path: Path) -> None:
    text = b"Subject: x\n\none\n.\ntwo\n"
    async with house(tmp_path) as relay:
        await run(relay, tmp_path, ["a@d.example"], text)
        await run(relay, tmp_path, ["-i", "a@d.example"], text)
        first, second = await relay.stored()
        assert first.message.content.head.endswith(b"\r\n\r\none\r\n")
        assert second.message.content.head.endswith(b"\r\n\r\none\r\n.\r\ntwo\r\n")


async def test_a_full_name_and_what_others_sendmails_have(tmp_path: Path) -> None:
    """As cron calls it: -FCronDaemon -i -B8BITMIME -oem root."""
    async with house(tmp_path) as relay:
        assert await run(
            relay, tmp_path, ["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"], b"Subject: x\n\nhi\n"
        ) == (0, "")
        pending = await stored(relay)
        assert [str(one) for one in pending.waiting] == ["root@recipients.example"]
        assert f'From: "CronDaemon" <{LOGIN}>'.encode() in pending.message.content.head


async def test_bs_speaks_smtp(tmp_path: Path) -> None:
    talk = b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n"
    async with house(tmp_path) as relay:
        status, said = await run(relay, tmp_path, ["-bs"], talk)
        assert status == 0
        assert "250 2.0.0 OK id=" in said
        assert len(await relay.stored()) == 1


async def test_nothing_is_given_to_a_shell_or_into_a_command(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        status, said = await run(relay, tmp_path, ["--", "a@d.example\r\nRCPT TO:<evil@d.example>"])
        assert status == 65
        assert "control character" in said
        assert await relay.stored() == []


async def test_a_refusal_has_the_exit_status_of_its_kind(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        assert (await run(relay, tmp_path, ["a@@d"]))[0] == 65
        assert (await run(relay, tmp_path, []))[0] == 64


def test_without_a_daemon_nothing_is_pretended(tmp_path: Path) -> None:
    with pytest.raises(sendmail.Stop, match="start it and send again") as caught:
        sendmail.Daemon(str(tmp_path / "nobody.sock"))
    assert caught.value.status == 75


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        pytest.param("a@b, c@d", ["a@b", "c@d"], id="two"),
        pytest.param('"Doe, J." <j@d>, x@y', ["j@d", "x@y"], id="a comma in quotes"),
        pytest.param("a@b (a comment, with a comma)", ["a@b"], id="a comment"),
        pytest.param("friends: a@b, c@d;", ["a@b", "c@d"], id="a group's name is no recipient"),
    ],
)
def test_addresses_of_a_header(text: str, addresses: list[str]) -> None:
    assert sendmail.addresses_in(text) == addresses
