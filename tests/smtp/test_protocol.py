"""Replies paired with commands, as octets come in."""

from __future__ import annotations

import asyncio

import pytest

from smarthostd.reply import Reply
from smarthostd.smtp.dialogue import CLOSED, MALFORMED, Trouble
from smarthostd.smtp.protocol import ReplyProtocol


class Wire(asyncio.Transport):
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits here."""

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


def connected() -> tuple[ReplyProtocol, Wire]:
    protocol, wire = ReplyProtocol(asyncio.get_running_loop()), Wire()
    protocol.connection_made(wire)
    return protocol, wire


async def test_a_reply_in_pieces_is_waited_for_until_it_is_whole() -> None:
    protocol, _ = connected()
    waiting = asyncio.ensure_future(protocol.reply(5))
    await asyncio.sleep(0)
    for piece in (b"2", b"20-he", b"llo\r\n2", b"20 yo"):
        protocol.data_received(piece)
        await asyncio.sleep(0)
        assert not waiting.done()
    protocol.data_received(b"u\r\n")
    assert await waiting == Reply(220, "hello\nyou")


async def test_replies_answer_in_the_order_in_which_was_asked() -> None:
    protocol, wire = connected()
    protocol.send(b"MAIL\r\nRCPT\r\n", 2)
    protocol.data_received(b"220 hi\r\n250 sender\r\n550 recipient\r\n")
    assert [(await protocol.reply(5)).text for _ in range(3)] == ["hi", "sender", "recipient"]
    assert wire.written == b"MAIL\r\nRCPT\r\n"
    assert protocol.usable


async def test_one_reply_too_many_ends_the_connection_after_the_ones_that_were_due() -> None:
    protocol, wire = connected()
    protocol.data_received(b"220 hi\r\n421 and bye\r\n")
    assert (await protocol.reply(5)).code == 220
    assert wire.aborted
    with pytest.raises(Trouble) as caught:
        await protocol.reply(5)
    assert caught.value.errno == MALFORMED
    with pytest.raises(Trouble):
        protocol.send(b"MAIL\r\n", 1)


async def test_what_was_said_before_the_end_counts() -> None:
    protocol, _ = connected()
    protocol.data_received(b"220 hi\r\n")
    protocol.eof_received()
    assert (await protocol.reply(5)).code == 220
    with pytest.raises(Trouble) as caught:
        await protocol.reply(5)
    assert caught.value.errno == CLOSED


async def test_what_was_injected_before_tls_is_no_answer() -> None:
    """RFC 3207, NO STARTTLS: octets behind the 220 were not protected; the handshake is not even begun."""
    protocol, wire = connected()
    protocol.data_received(b"220 hi\r\n")
    await protocol.reply(5)
    protocol.send(b"STARTTLS\r\n", 1)
    protocol.data_received(b"220 go\r\n250-injected\r\n250 AUTH PLAIN\r\n")
    assert (await protocol.reply(5)).text == "go"
    assert wire.aborted
