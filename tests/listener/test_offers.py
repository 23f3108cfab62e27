"""Extensions are offered to those whom the configuration names, in our words and in Exim's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.listener.house import house

WITHHELD = ("PIPELINING", "CHUNKING", "SMTPUTF8", "8BITMIME")


@pytest.mark.parametrize("strict", [False, True])
async def test_what_is_withheld_is_not_offered(strict: bool, tmp_path: Path) -> None:
    nobody = dict.fromkeys(WITHHELD, lambda address: False)
    async with house(tmp_path, offers=nobody, strict=strict) as one:
        client = await one.connect()
        offered = await client.say("EHLO there.example")
    assert "SIZE" in offered
    assert not [word for word in WITHHELD if word in offered]


@pytest.mark.parametrize("strict", [False, True])
async def test_it_is_offered_to_those_who_are_named(strict: bool, tmp_path: Path) -> None:
    loopback = dict.fromkeys(WITHHELD, lambda address: address == "127.0.0.1")
    async with house(tmp_path, offers=loopback, strict=strict) as one:
        client = await one.connect()
        offered = await client.say("EHLO there.example")
    assert [word for word in WITHHELD if word in offered] == list(WITHHELD)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("strict", [False, True])
async def test_too_many_recipients_wait_or_refuse_the_message(strict: bool, whole: bool, tmp_path: Path) -> None:
    """``recipients_max_reject``: a message is taken for all whom a client has named, or not at all."""
    refused, ends = ("552", "554") if whole else ("452", "354")
    async with house(tmp_path, recipients_max=1, recipients_max_reject=whole, strict=strict) as one:
        client = await one.connect()
        await client.say("EHLO there.example")
        for command, code in (
            ("MAIL FROM:<a@b.example>", "250"), ("RCPT TO:<u@b.example>", "250"), ("RCPT TO:<v@b.example>", refused),
            ("DATA", ends), *([] if whole else [(".", "250")]),
            ("MAIL FROM:<a@b.example>", "250"), ("RCPT TO:<u@b.example>", "250"), ("DATA", "354"), (".", "250"),
        ):  # fmt: skip
            assert (await client.say(command)).startswith(f"{code} "), command
        assert len(await one.stored()) == 2 - whole
