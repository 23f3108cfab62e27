"""A cap on reports, and the digest beyond it."""

from __future__ import annotations

from pathlib import Path

from smarthostd.bounce import Told
from smarthostd.spool.base import Changes
from tests.bounce.house import House, blocks, house, octets, read, recipient, refused, relayed, result, text_of

BAD = recipient("bad@any.example")
NO = refused("550 5.1.1 no such user", "RCPT TO:<bad@any.example>")


def fail(one: House, times: int = 1) -> Told:
    """Let *times* messages fail; return who is told of the last."""
    for _ in range(times):
        told = one.tell(one.message(BAD), result(BAD, NO))
    return told


async def test_up_to_the_cap_each_report_goes_by_itself(tmp_path: Path) -> None:
    async with house(tmp_path, reports_per_minute=3) as one:
        assert len(fail(one, 3).messages) == 1
        beyond = fail(one)
    assert beyond.messages == []
    assert [notice.reader for notice in beyond.notices] == ["sender@example.net"]


async def test_the_next_minute_has_a_cap_of_its_own(tmp_path: Path) -> None:
    async with house(tmp_path, reports_per_minute=1) as one:
        assert fail(one, 2).messages == []
        one.clock.pass_(60)
        assert len(fail(one).messages) == 1


async def test_no_cap_at_all(tmp_path: Path) -> None:
    async with house(tmp_path, reports_per_minute=0) as one:
        assert len(fail(one, 500).messages) == 1


async def test_a_digest_lists_each_message_with_its_failures(tmp_path: Path) -> None:
    ok = recipient("ok@any.example", "SUCCESS")
    async with house(tmp_path, reports_per_minute=1) as one:
        fail(one)
        notices = [*fail(one).notices, *one.tell(one.message(ok), result(ok, relayed())).notices]
        digest = one.bounces.digest(notices)
    assert [str(to) for to in digest.envelope.recipients] == ["sender@example.net"]
    assert not digest.envelope.sender
    assert read(digest)["Subject"] == "Mail delivery reports (2)"
    assert read(digest)["Auto-Submitted"] == "auto-replied"
    assert "Message 1rJxYz-0001ab-2K (golden test) could not be delivered to:\n  bad@any.example\n" in text_of(digest)
    assert "<ok@any.example> (relayed to non-DSN-aware mailer)\n" in text_of(digest)
    assert [block["Action"] for block in blocks(digest)[1:]] == ["failed", "relayed"]
    assert b"hello" not in octets(digest)


async def test_the_spool_keeps_what_waits_for_a_digest_and_puts_the_digest_in_its_place(tmp_path: Path) -> None:
    async with house(tmp_path, reports_per_minute=1) as one:
        fail(one)
        message = one.message(BAD)
        await one.spool.put(message)
        notices = fail(one).notices
        await one.spool.record(message.id, Changes(done=[BAD], notices=notices))
        kept = await one.spool.notices(10, 10)
        assert [notice.text for notice in kept] == [notice.text for notice in notices]
        digest = one.bounces.digest(kept)
        await one.spool.put(digest, listing=kept)
        assert await one.spool.notices(10, 10) == []
        assert [summary.id for summary in await one.spool.summaries()] == [digest.id]
