"""The client's side of SMTP without a socket: command lines, and what the server offers.

Whatever reaches a command line passes :func:`line`, which refuses control characters: nothing that an
envelope holds can become a second command.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from smarthostd.address import Address
from smarthostd.envelope import BLOCK, Content, Envelope, Recipient
from smarthostd.errors import SmarthostdError
from smarthostd.reply import Reply
from smarthostd.syntax import CONTROL


class InjectionError(SmarthostdError):
    """A control character on its way into a command: a defect of ours, stopped here."""


def line(text: str) -> bytes:
    """Return a command line, ended by CRLF; raises InjectionError."""
    if CONTROL.search(text):
        raise InjectionError("a command would have held a control character")
    return text.encode("utf-8", "surrogateescape") + b"\r\n"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the server said to EHLO, by keyword in upper case (or as spelled, which is Exim's way: difference 10)."""

    keywords: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of(reply: Reply, *, as_spelled: bool = False) -> Offer:
        """Read an EHLO reply; of several AUTH lines the first counts, and ``AUTH=`` is not read (exim.md 8.1)."""
        keywords: dict[str, str] = {}
        for text in reply.text.split("\n")[1:]:
            keyword, _, parameters = text.strip().partition(" ")
            keywords.setdefault(keyword if as_spelled else keyword.upper(), parameters)
        return Offer(keywords)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.keywords

    @property
    def mechanisms(self) -> frozenset[str]:
        """The AUTH mechanisms, as spelled."""
        return frozenset(self.keywords.get("AUTH", "").split())


def mail_line(
    sender: Address, envelope: Envelope, size: int, offer: Offer, authenticated_sender: str | None = None
) -> bytes:
    """Return the MAIL command, with the parameters that the server understands.

    ``BODY=8BITMIME`` is said where the client said it and the server offers it; Exim never says it.
    """
    words = [f"MAIL FROM:<{sender}>"]
    if size >= 0 and "SIZE" in offer:
        words.append(f"SIZE={size}")
    if envelope.body and "8BITMIME" in offer:
        words.append(f"BODY={envelope.body}")
    if envelope.smtputf8 and "SMTPUTF8" in offer:
        words.append("SMTPUTF8")
    if authenticated_sender is not None:
        words.append(f"AUTH={_xtext(authenticated_sender) or '<>'}")
    if "DSN" in offer:
        words += [f"RET={envelope.ret}"] * bool(envelope.ret) + [f"ENVID={envelope.envid}"] * bool(envelope.envid)
    return line(" ".join(words))


def rcpt_line(address: Address, recipient: Recipient, offer: Offer) -> bytes:
    """Return the RCPT command."""
    words = [f"RCPT TO:<{address}>"]
    if "DSN" in offer:
        words += [f"NOTIFY={recipient.notify}"] * bool(recipient.notify)
        words += [f"ORCPT={recipient.orcpt}"] * bool(recipient.orcpt)
    return line(" ".join(words))


def _xtext(text: str) -> str:
    """Encode as RFC 3461 4 says."""
    return "".join(char if "!" <= char <= "~" and char not in "+=" else f"+{ord(char):02X}" for char in text)


def stuffed(content: Content) -> Iterator[bytes]:
    """Yield *content* for DATA: dots at the beginnings of lines doubled, ended by CRLF, dot, CRLF.

    The content has CRLF line ends and nothing else. A line end at the end of a block is kept back until
    the next octet is known: it may be a dot.
    """
    held, first = b"", True
    for block in _bounded(content):
        piece = held + block
        if first:
            piece, first = (b"." + piece if piece.startswith(b".") else piece), False
        kept = 2 if piece.endswith(b"\r\n") else 1 if piece.endswith(b"\r") else 0
        held = piece[len(piece) - kept :]
        yield piece[: len(piece) - kept].replace(b"\r\n.", b"\r\n..")
    yield b".\r\n" if first else (held if held == b"\r\n" else held + b"\r\n") + b".\r\n"


def _bounded(content: Content) -> Iterator[bytes]:
    """Yield the content in blocks of at most ``BLOCK`` octets, none of them empty."""
    for block in content.blocks():
        for start in range(0, len(block), BLOCK):
            yield block[start : start + BLOCK]
