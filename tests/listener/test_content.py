"""Messages arrive octet for octet, however they are cut on the way."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smarthostd.envelope import Content as Stored
from smarthostd.listener.content import Content, Counted, Dotted
from smarthostd.smtp.dialogue import stuffed
from tests.listener.house import house

LINES = st.lists(
    st.sampled_from([b"", b".", b"..", b".a", b"a", b"a.", b"x" * 100, b"\xff\xfe", b"\xc3\xbc"]), max_size=30
)


def on_the_wire(content: bytes) -> bytes:
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


class Kept:
    """A sink in memory."""

    def __init__(self) -> None:
        self.octets = b""

    @property
    def size(self) -> int:
        return len(self.octets)

    def write(self, block: bytes | bytearray | memoryview) -> None:
        self.octets += bytes(block)

    def discard(self) -> None:
        self.octets = b""

    def content(self, head: bytes) -> Stored:
        return Stored(head + self.octets)

    def beginning(self, limit: int) -> bytes:
        return self.octets[:limit]


def pieces(octets: bytes, cuts: list[int]) -> list[bytes]:
    """Return *octets*, cut at these places."""
    places = sorted({0, len(octets), *(min(cut, len(octets)) for cut in cuts)})
    return [octets[start:end] for start, end in pairwise(places)]


@given(
    lines=LINES, cuts=st.lists(st.integers(0, 400), max_size=8), behind=st.sampled_from([b"", b"QUIT\r\n", b".\r\n"])
)
def test_data_ends_at_the_lone_dot_however_it_is_cut(lines: list[bytes], cuts: list[int], behind: bytes) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    sink = Kept()
    body = Dotted(Content(sink, 0, 0, normalize=False))
    rest = b""
    ended = False
    for piece in pieces(on_the_wire(content) + behind, cuts):
        if ended:
            rest += piece
            continue
        left = body.feed(piece)
        ended, rest = left is not None, left or b""
    assert ended
    assert sink.octets == content
    assert rest == behind


@given(size=st.integers(0, 50), more=st.integers(0, 20), cuts=st.lists(st.integers(0, 70), max_size=5))
def test_a_chunk_ends_at_its_size_however_it_is_cut(size: int, more: int, cuts: list[int]) -> None:
    sink = Kept()
    body = Counted(size, Content(sink, 0, 0, normalize=False))
    left = body.feed(b"")
    rest = b""
    for piece in pieces(b"x" * size + b"y" * more, cuts):
        if left is not None:
            rest += piece
        else:
            left = body.feed(piece)
            rest = left or b""
    assert sink.octets == b"x" * size
    assert rest == b"y" * more
    assert left is not None


@given(lines=LINES, cuts=st.lists(st.integers(0, 400), max_size=8))
def test_checking_keeps_every_octet_however_blocks_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    places = sorted({0, len(content), *(min(cut, len(content)) for cut in cuts)})
    sink = Kept()
    checked = Content(sink, 0, 0, normalize=False)
    for start, end in pairwise(places):
        checked.write(content[start:end])
    checked.finish()
    assert checked.refusal is None
    assert sink.octets == content


@given(
    lines=st.lists(st.binary(max_size=12).filter(lambda b: b"\r" not in b and b"\n" not in b), max_size=20),
    limit=st.integers(1, 12),
)
def test_the_longest_line_is_found_however_blocks_are_cut(lines: list[bytes], limit: int) -> None:
    lines = [line.replace(b"\0", b"") for line in lines]
    content = b"".join(line + b"\r\n" for line in lines)
    for size in (1, 3, 7, 1000):
        checked = Content(Kept(), 0, limit, normalize=False)
        for start in range(0, len(content), size):
            checked.write(content[start : start + size])
        checked.finish()
        assert (checked.refusal is not None) is (max(map(len, lines), default=0) > limit)


@settings(max_examples=40, deadline=None)
@given(lines=LINES, blocks=st.integers(1, 5))
def test_what_is_stuffed_is_unstuffed_by_the_rules(lines: list[bytes], blocks: int) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    sent = b"".join(stuffed(Stored(content)))
    assert sent.endswith(b"\r\n.\r\n") or sent == b".\r\n"
    assert sent == on_the_wire(content)


BODIES = {
    "an empty message": b"",
    "a lone dot": b".\r\n",
    "dots everywhere": b".\r\n..\r\n.x\r\nx.\r\n\r\n.\r\n",
    "many dots, then one in front": b"a.b.c.d" * 40 + b"\r\n.x\r\n..\r\n",
    "8-bit": bytes(set(range(1, 256)) - {10, 13}) + b"\r\n",
    "larger than memory": b"0123456789abcdef\r\n.dot\r\n" * 20_000,
    "a line end at the edge of a block": b"x" * 65_533 + b"\r\n.y\r\n" + b"z" * 65_000 + b"\r\n",
}


@pytest.mark.parametrize("body", [pytest.param(body, id=id) for id, body in BODIES.items()])
@pytest.mark.parametrize("cut", [1 << 20, 65_535, 1000])
async def test_data_keeps_every_octet(tmp_path: Path, body: bytes, cut: int) -> None:
    content = b"Subject: x\r\n\r\n" + body
    async with house(tmp_path) as relay:
        client = await relay.connect()
        await client.ready()
        assert (await client.say("DATA")).startswith("354")
        wire = on_the_wire(content)
        for start in range(0, len(wire), cut):
            await client.send(wire[start : start + cut])
        assert (await client.reply()).startswith("250 2.0.0 OK id=")
        (pending,) = await relay.stored()
        assert b"".join(pending.message.content.blocks()).endswith(content)


@pytest.mark.parametrize("body", [pytest.param(body, id=id) for id, body in BODIES.items()])
async def test_bdat_keeps_every_octet(tmp_path: Path, body: bytes) -> None:
    content = b"Subject: x\r\n\r\n" + body
    async with house(tmp_path) as relay:
        client = await relay.connect()
        await client.ready()
        middle = len(content) // 2
        await client.send(b"BDAT %d\r\n" % middle + content[:middle])
        assert (await client.reply()).startswith("250 2.0.0")
        await client.send(b"BDAT %d LAST\r\n" % (len(content) - middle) + content[middle:])
        assert (await client.reply()).startswith("250 2.0.0 OK id=")
        (pending,) = await relay.stored()
        assert b"".join(pending.message.content.blocks()).endswith(content)


async def test_a_whole_session_in_one_write_is_answered_in_order(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        client = await relay.connect()
        group = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: one\r\n\r\n.\r\n"
        await client.send(b"EHLO x.example\r\n" + group + group.replace(b"one", b"two") + b"QUIT\r\n")
        codes = [(await client.reply())[:3] for _ in range(10)]
        assert codes == ["250", "250", "250", "354", "250", "250", "250", "354", "250", "221"]
        assert len(await relay.stored()) == 2


async def test_a_client_that_hangs_up_after_the_dot_has_still_sent_its_mail(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        client = await relay.connect()
        await client.ready()
        await client.say("DATA")
        await client.send(b"Subject: x\r\n\r\nbody\r\n.\r\n")
        client.writer.write_eof()
        assert (await client.reply()).startswith("250")
        assert len(await relay.stored()) == 1


async def test_what_is_missing_is_added_in_front(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        client = await relay.connect()
        await client.say("EHLO client.example")
        await client.say("MAIL FROM:<root>")
        await client.say("RCPT TO:<joe>")
        await client.data(b"Subject: x\r\n\r\nbody\r\n.\r\n")
        (pending,) = await relay.stored()
        envelope = pending.message.envelope
        assert str(envelope.sender) == "root@qualify.example"
        assert str(envelope.recipients[0]) == "joe@recipients.example"
        lines = pending.message.content.head.decode().split("\r\n")
        id = pending.message.id
        assert lines[0] == "Received: from client.example ([127.0.0.1])"
        assert lines[1].startswith("\tby relay.example with esmtp (smarthostd ")
        assert lines[2:5] == ["\t(envelope-from <root@qualify.example>)", f"\tid {id}", "\tfor joe@recipients.example;"]
        assert f"Message-Id: <E{id}@relay.example>" in lines
        assert "From: root@qualify.example" in lines
        assert any(line.startswith("Date: ") for line in lines)
        assert lines[-4:] == ["Subject: x", "", "body", ""]


async def test_many_clients_at_once_share_commits(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:

        async def one(number: int) -> None:
            client = await relay.connect()
            for _ in range(5):
                await client.ready()
                assert (await client.data(b"Subject: %d\r\n\r\n.\r\n" % number)).startswith("250")
            client.close()

        await asyncio.gather(*map(one, range(20)))
        assert await relay.spool.count() == (100, 0)


async def test_a_client_that_reads_late_gets_every_reply(tmp_path: Path) -> None:
    """Its commands wait with us unread while it does not read; none is lost."""
    async with house(tmp_path) as relay:
        client = await relay.connect()
        count = 100_000
        client.writer.write(b"NOOP\r\n" * count)
        (session,) = relay.listener.sessions
        async with asyncio.timeout(20):
            replies = await client.reader.readexactly(len(b"250 2.0.0 OK\r\n") * count)
        assert replies == b"250 2.0.0 OK\r\n" * count
        assert (await client.say("RSET")).startswith("250")
        assert session.transport is not None
