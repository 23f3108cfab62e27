"""What a session in Exim's words keeps of ours: no secret in the log, nothing smuggled, no web page's mail.

What it says is compared with the real Exim in ``tests/cli/test_mail_against_exim.py``.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.listener.house import house

SECRET = "AGJvYgBzZWNyZXQ="


async def test_a_password_is_not_logged(tmp_path: Path) -> None:
    """Not even where AUTH is the last command of a client that is dropped."""
    async with house(tmp_path, strict=True) as relay:
        client = await relay.connect()
        await client.say("EHLO client.example")
        for _ in range(3):
            assert (await client.say(f"AUTH PLAIN {SECRET}")).startswith("503 AUTH command used when not advertised")
        assert (await client.say(f"AUTH PLAIN {SECRET}")).endswith("503 Too many syntax or protocol errors")
        assert await client.ended()
        assert 'last command was "AUTH PLAIN",' in relay.log[-1]
        client = await relay.connect()
        await client.say("EHLO client.example")
        await client.say("AUTH LOGIN")
        for _ in range(3):
            last = await client.say(SECRET)
        assert last.startswith(("500", "501"))
    assert not any(SECRET in line for line in relay.log)


@pytest.mark.parametrize(
    "line", ["RCPT TO:<a@b.c> ORCPT=rfc822;a\x01b", "MAIL FROM:<a\x1bb@c.d>", "RCPT TO:<a\rDATA@b.c>"]
)
async def test_control_characters_are_refused(tmp_path: Path, line: str) -> None:
    async with house(tmp_path, strict=True) as relay:
        client = await relay.connect()
        await client.say("EHLO client.example")
        if line.startswith("RCPT"):
            await client.say("MAIL FROM:<a@b.example>")
        assert (await client.say(line)).startswith("501 control characters")


async def test_an_address_that_is_no_text_is_refused_at_once(tmp_path: Path) -> None:
    """Nothing could keep it: the message would be put off each time."""
    async with house(tmp_path, strict=True) as relay:
        client = await relay.connect()
        await client.say("EHLO client.example")
        await client.say("MAIL FROM:<a@b.example>")
        await client.send(b"RCPT TO:<caf\xe9@b.example>\r\n")
        assert (await client.reply()).startswith("501 ")


async def test_http_is_turned_away(tmp_path: Path) -> None:
    async with house(tmp_path, strict=True) as relay:
        client = await relay.connect()
        await client.send(b"POST / HTTP/1.1\r\n")
        assert await client.ended()
        assert "it speaks HTTP" in relay.log[-1]


async def test_nobody_begins_while_the_house_empties(tmp_path: Path) -> None:
    async with house(tmp_path, strict=True) as relay:
        client = await relay.connect()
        await client.ready()
        relay.listener.draining = True
        assert (await client.data(b"Subject: x\r\n\r\nb\r\n.\r\n")).startswith("250 OK id=")
        assert (await client.reply()).startswith("421 ")
        await relay.listener.drain(timedelta(seconds=1))


async def test_who_may_not_relay_does_not(tmp_path: Path) -> None:
    async with house(tmp_path, strict=True, relays_for=lambda address: False) as relay:
        client = await relay.connect()
        await client.say("EHLO client.example")
        await client.say("MAIL FROM:<a@b.example>")
        assert await client.say("RCPT TO:<c@d.example>") == "550 relay not permitted"
        assert (await client.say("DATA")).endswith("503 Valid RCPT command must precede DATA")
        assert "rejected RCPT <c@d.example>: 550 relay not permitted" in relay.log[-1]
