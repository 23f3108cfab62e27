"""What a message is: an envelope, its content, an id. Frozen values, as they lie in the spool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import force_setattr

from smarthostd.address import NULL_SENDER, Address

BLOCK = 1 << 16
"""Octets read from a content file at a time, and the size over which content goes to a file."""


class Recipient(Struct, frozen=True):
    """One recipient as accepted, with its RFC 3461 parameters as they were spelled (xtext kept)."""

    address: Address
    notify: str = ""
    orcpt: str = ""

    def __str__(self) -> str:
        return str(self.address)


class Client(Struct, frozen=True):
    """Who handed the message in. Empty fields are unknown; *port* is 0 for a unix socket."""

    protocol: str = "local"
    """Exim's P=: local, smtp, esmtp, esmtps, esmtpa, esmtpsa, local-esmtp, with ``utf8`` in front for SMTPUTF8."""
    address: str = ""
    port: int = 0
    name: str = ""
    helo: str = ""
    authenticated_id: str = ""
    authenticator: str = ""
    login: str = ""
    uid: int = -1
    tls: str = ""
    """Exim's X=, such as ``TLS1.3:TLS_AES_256_GCM_SHA384:256``."""
    full_name: str = ""
    """Of a local user; not kept in the spool, nor is what follows."""
    trusted: bool = True
    """Whether a local user may say who the sender is, in the header too (``trusted_users``)."""
    interface: str = ""
    """The address of ours that a remote client has connected to, and the port: ``[127.0.0.1]:25``."""
    pipelining: bool | None = None
    """Whether the client has made use of PIPELINING; None where it was not offered."""
    chunking: bool = False
    """Whether the message came by BDAT (Exim's K)."""


class Envelope(Struct, frozen=True):
    """Sender, recipients and the MAIL parameters."""

    sender: Address = NULL_SENDER
    recipients: tuple[Recipient, ...] = ()
    ret: str = ""
    envid: str = ""
    body: str = ""
    """``8BITMIME`` or ``7BIT`` where the client said so."""
    smtputf8: bool = False
    client: Client = field(default_factory=Client)


class Content(Struct, frozen=True):
    """A message's octets in wire form: CRLF line ends, no dot-stuffing.

    *head* comes first, then the file's content, if there is a file: small messages are all head;
    a large one keeps in *head* only the header lines that we added. *size* counts both.
    """

    head: bytes
    file: Path | None = None
    size: int = -1
    skip: int = 0
    """Octets at the beginning of the file that *head* stands for."""

    def __post_init__(self) -> None:
        if self.size < 0:
            in_file = self.file.stat().st_size - self.skip if self.file else 0
            force_setattr(self, "size", len(self.head) + in_file)

    def blocks(self) -> Iterator[bytes]:
        """Yield the content in blocks of at most 64 KiB (the head as one, whatever its size).

        Raises OSError, in the end, if the message was finished meanwhile: the file may have become another's.
        """
        if self.head:
            yield self.head
        if self.file:
            with self.file.open("rb") as stream:
                stream.seek(self.skip)
                while block := stream.read(BLOCK):
                    yield block
            self.file.stat()

    def beginning(self, limit: int) -> bytes:
        """Return the first *limit* octets: enough for the header."""
        start = self.head[:limit]
        if self.file and len(start) < limit:
            with self.file.open("rb") as stream:
                stream.seek(self.skip)
                start += stream.read(limit - len(start))
        return start

    def with_header(self, header: bytes, length: int) -> Content:
        """Return this content with its first *length* octets, the header, replaced by *header*."""
        behind = max(0, length - len(self.head))
        head = header + self.head[length:]
        return Content(head, self.file, self.size - length + len(header), self.skip + behind)


class Message(Struct, frozen=True):
    """A message as intake makes it and the spool keeps it."""

    id: str
    received: float
    """Seconds since the epoch."""
    envelope: Envelope
    content: Content
    message_id: str = ""
    """The Message-ID header's value without brackets, for the log."""
    subject: str = ""
