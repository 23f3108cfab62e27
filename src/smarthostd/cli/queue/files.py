"""Messages as files: ``smarthostd queue export`` and ``import``.

An ``.eml`` file is the message with CRLF line ends. Its first two lines are those that a delivery to a mailbox has, and
hold the envelope: ``Return-path:`` the sender, ``Envelope-to:`` the recipients still to be served. Importing takes them
off again; all else stays as it is, the Message-ID too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from smarthostd import headers
from smarthostd.address import NULL_SENDER, Address, AddressError
from smarthostd.clock import SystemClock
from smarthostd.envelope import BLOCK, Client, Envelope, Message, Recipient
from smarthostd.expand.addresses import split_addresses
from smarthostd.message_id import MessageIds
from smarthostd.spool.base import Pending, Sink, Spool
from smarthostd.syntax import printable

_ENVELOPE = re.compile(
    rb"Return-path: <([^\r\n]*)>\r?\nEnvelope-to: ([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)\r?\n", re.IGNORECASE
)
_LINE_END = re.compile(rb"\r\n?|\n")
HEADER_LIMIT = 1 << 20
"""Octets in which the first lines and the header end."""


class NotAMessage(Exception):
    """A file that cannot be imported; the text says why."""


def export(pending: Pending) -> Iterator[bytes]:
    """Yield the octets of the file."""
    waiting = [str(one) for one in pending.message.envelope.recipients if one in {**pending.waiting, **pending.later}]
    yield f"Return-path: <{pending.message.envelope.sender}>\r\n".encode("utf-8", "surrogateescape")
    yield ("Envelope-to: " + ",\r\n\t".join(waiting) + "\r\n").encode("utf-8", "surrogateescape")
    yield from pending.message.content.blocks()


async def take_in(spool: Spool, stream: IO[bytes], who: str) -> Message:
    """Put the message in *stream* into the spool, for those who stand in its first lines; raises NotAMessage."""
    start = stream.read(HEADER_LIMIT)
    match = _ENVELOPE.match(start)
    if match is None:
        raise NotAMessage("it does not begin with Return-path: and Envelope-to:, as `smarthostd queue export` has it")
    sender = _address(match[1]) if match[1] else NULL_SENDER
    recipients = tuple(Recipient(_address(one)) for one in _split(match[2]))
    if not recipients:
        raise NotAMessage("its Envelope-to: names nobody")
    envelope = Envelope(sender, recipients, client=Client("local", login=who))
    id = MessageIds(SystemClock()).new()
    sink = spool.sink(id)
    try:
        _copy(start[match.end() :], stream, sink)
        beginning = sink.beginning(HEADER_LIMIT)
        seen = headers.scan(beginning[: headers.end_of_header(beginning)])
        message = Message(id, SystemClock.now(), envelope, sink.content(b""), seen.message_id, seen.subject)
        await spool.put(message)
    except BaseException:
        sink.discard()
        raise
    return message


def _copy(block: bytes, stream: IO[bytes], sink: Sink) -> None:
    """Write *block* and what follows in *stream* with every line ended by CRLF, whatever it was ended by."""
    held, ended = b"", True
    while block:
        block = held + block
        held = b"\r" if block.endswith(b"\r") else b""  # a LF may follow in the next block
        wire = _LINE_END.sub(b"\r\n", block.removesuffix(b"\r") if held else block)
        if b"\0" in wire:
            raise NotAMessage("it holds NUL, which no mail may")
        sink.write(wire)
        ended = wire.endswith(b"\n") if wire else ended
        block = stream.read(BLOCK)
    if held or not ended:
        sink.write(b"\r\n")


def _split(text: bytes) -> list[bytes]:
    return [one.strip().encode("utf-8", "surrogateescape") for one in split_addresses(_text(text))]


def _address(octets: bytes) -> Address:
    try:
        return Address.parse(_text(octets))
    except AddressError as error:
        raise NotAMessage(f'"{printable(_text(octets))}" in its first lines: {error}') from error


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")
