"""The client's side of SMTP without a socket: command lines, replies, what the server offers, the message's blocks.

Whatever reaches a command line passes :func:`line`, which refuses control characters: nothing that an
envelope holds can become a second command. Whatever comes back passes :func:`take_reply`, which accepts only
what is a reply by RFC 5321 4.2: no address may fail because of noise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache

from msgspec import Struct, field

from smarthostd.address import Address
from smarthostd.envelope import BLOCK, Content, Envelope, Recipient
from smarthostd.errors import SmarthostdError
from smarthostd.reply import Reply
from smarthostd.syntax import has_control, remote_text, xtext

KNOWN_LIMIT = 200
"""Octets of a line that is remembered."""
REPLY_LIMIT = 1 << 15
"""Octets of one reply; an EHLO reply has a few thousand at most."""

TIMED_OUT, CLOSED, MALFORMED = 110, -18, -19
"""Exim's numbers for what can happen to a dialogue (exim.md 7.3)."""

_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])([^\r\n]*))?\r?\n")


class InjectionError(SmarthostdError):
    """A control character on its way into a command: a defect of ours, stopped here."""


class Trouble(SmarthostdError):
    """The connection is of no more use; *errno* is Exim's number for why."""

    def __init__(self, text: str, errno: int) -> None:
        super().__init__(text)
        self.errno = errno


def trouble_text(trouble: Trouble, stage: str) -> str:
    """Return Exim's text for a dialogue that broke at *stage*."""
    match trouble.errno:
        case 110:
            return f"SMTP timeout after {stage}"
        case -19:
            return f"Malformed SMTP reply in response to {stage}: {trouble}"
        case _:
            return f"Remote host closed connection in response to {stage}"


# -- replies


def take_reply(buffer: bytearray) -> Reply | None:
    """Take the first reply off *buffer*; None while it is not whole. Raises Trouble for what is no reply.

    The lines of one reply have one code, of three digits, and a space or a hyphen behind it.
    """
    end = buffer.find(b"\n", 0, KNOWN_LIMIT) + 1
    if end and (reply := _one_line(bytes(buffer[:end]))) is not None:
        del buffer[:end]
        return reply
    texts: list[str] = []
    code, at = b"", 0
    while True:
        found = _REPLY_LINE.match(buffer, at)
        if found is None or (code and found[1] != code):
            _refuse_malformed(buffer, at)
            return None
        code, at = found[1], found.end()
        texts.append(_text(found))
        if found[2] != b"-":
            break
    del buffer[:at]
    return Reply(int(code), "\n".join(texts))


@lru_cache(256)
def _one_line(text: bytes) -> Reply | None:
    """Return the reply that a line is by itself; None where others belong to it, or it is none. Most say the same."""
    found = _REPLY_LINE.fullmatch(text)
    if found is None or found[2] == b"-":
        return None
    return Reply(int(found[1]), _text(found))


def _text(found: re.Match[bytes]) -> str:
    """Return what a line of a reply says behind its code."""
    return (found[3] or b"").decode("utf-8", "surrogateescape").strip(" \t")


def _refuse_malformed(buffer: bytearray, at: int) -> None:
    """Raise Trouble if what stands at *at* is a whole line (and so no reply's), or far too long."""
    end = buffer.find(b"\n", at)
    if end < 0 and len(buffer) <= REPLY_LIMIT:
        return
    text = bytes(buffer[at : at + 500]).partition(b"\n")[0].decode("utf-8", "replace")
    raise Trouble(remote_text(text.strip()), MALFORMED)


class Offer(Struct, frozen=True):
    """What the server said to EHLO, by keyword in upper case; and its AUTH mechanisms, in upper case."""

    keywords: dict[str, str] = field(default_factory=dict)
    mechanisms: frozenset[str] = frozenset()

    @staticmethod
    def of(reply: Reply) -> Offer:
        """Read an EHLO reply.

        As in Exim the first line that begins with ``AUTH `` in upper case counts; ``AUTH=`` is not read (exim.md 8.1).
        """
        keywords: dict[str, str] = {}
        for text in reply.text.split("\n")[1:]:
            keyword, _, parameters = text.partition(" ")
            if keyword.upper() != "AUTH" or keyword == "AUTH":
                keywords.setdefault(keyword.upper(), parameters)
        return Offer(keywords, frozenset(keywords.get("AUTH", "").upper().split()))

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.keywords


# -- commands


def line(text: str) -> bytes:
    """Return a command line, ended by CRLF; raises InjectionError."""
    if has_control(text):
        raise InjectionError("a command would have held a control character")
    return text.encode("utf-8", "surrogateescape") + b"\r\n"


def mail_text(
    sender: Address, envelope: Envelope, size: int, offer: Offer, utf8: bool, authenticated_sender: str | None = None
) -> str:
    """Return the MAIL command, with the parameters that the server understands.

    *size* below 0 is not told. ``BODY=8BITMIME`` is said where the client said it and the server offers it, which
    RFC 6152 wants and Exim never does.
    """
    words = [f"MAIL FROM:<{sender}>"]
    if size >= 0 and "SIZE" in offer:
        words.append(f"SIZE={size}")
    if envelope.body == "8BITMIME" and "8BITMIME" in offer:
        words.append("BODY=8BITMIME")
    if utf8:
        words.append("SMTPUTF8")
    if authenticated_sender is not None:
        words.append(f"AUTH={xtext(authenticated_sender) or '<>'}")
    if "DSN" in offer:
        words += [f"RET={envelope.ret}"] * bool(envelope.ret) + [f"ENVID={envelope.envid}"] * bool(envelope.envid)
    return " ".join(words)


def rcpt_text(address: Address, recipient: Recipient, offer: Offer, *, ignore_quota: bool = False) -> str:
    """Return the RCPT command."""
    words = [f"RCPT TO:<{address}>"]
    if ignore_quota and "IGNOREQUOTA" in offer:
        words.append("IGNOREQUOTA")
    if "DSN" in offer:
        words += [f"NOTIFY={recipient.notify}"] * bool(recipient.notify)
        words += [f"ORCPT={recipient.orcpt}"] * bool(recipient.orcpt)
    return " ".join(words)


# -- what became of each recipient


class Stage(Enum):
    """How far a recipient came in a transaction."""

    MAIL = "MAIL FROM"
    RCPT = "RCPT TO"
    DATA = "DATA"
    CONTENT = "sending data block"
    END = "end of data"
    """The final dot, or the last chunk, is sent."""


class Answer(Struct):
    """What became of one recipient: at which stage, and the reply to it or the trouble instead of one."""

    stage: Stage = Stage.MAIL
    reply: Reply | None = None
    trouble: Trouble | None = None
    awaited: bool = False
    """The trouble came in place of the reply to this recipient's own command."""

    @property
    def invited(self) -> bool:
        """Whether the peer will take the message for this recipient."""
        return self.stage is Stage.RCPT and self.reply is not None and self.reply.positive

    @property
    def accepted(self) -> bool:
        """Whether the peer has taken the message for this recipient."""
        return self.stage is Stage.END and self.reply is not None and self.reply.positive


# -- the message


def stuffed(content: Content) -> Iterator[bytes]:
    """Yield *content* for DATA: dots at the beginnings of lines doubled, ended by CRLF, dot, CRLF.

    The content has CRLF line ends and nothing else. A line end at the end of a block is kept back until
    the next octet is known: it may be a dot. The final dot comes with the last block.
    """
    pending, held, empty = b"", b"", True
    for block in _bounded(content):
        if pending:
            yield pending
        piece = held + block
        if empty:
            piece, empty = (b"." + piece if piece.startswith(b".") else piece), False
        kept = 2 if piece.endswith(b"\r\n") else 1 if piece.endswith(b"\r") else 0
        pending = piece[: len(piece) - kept]
        if b"." in pending:  # most blocks of an attachment have none
            pending = pending.replace(b"\r\n.", b"\r\n..")
        held = piece[len(piece) - kept :]
    line_end = b"" if empty or held == b"\r\n" else b"\r\n"
    yield pending + held + line_end + b".\r\n"


def _bounded(content: Content) -> Iterator[bytes]:
    """Yield the content in blocks of at most ``BLOCK`` octets, none of them empty."""
    for block in content.blocks():
        if len(block) <= BLOCK:
            yield block
        else:
            for start in range(0, len(block), BLOCK):
                yield block[start : start + BLOCK]


def chunk(content: Content) -> Iterator[bytes]:
    """Yield *content* as one chunk (RFC 3030), its command in one write with the first block."""
    command = b"BDAT %d LAST\r\n" % content.size
    for block in _bounded(content):
        yield command + block
        command = b""
    if command:
        yield command
