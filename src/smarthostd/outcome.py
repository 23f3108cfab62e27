"""What became of one recipient in one attempt: Delivered, Deferred or Failed.

Every attempt starts with all recipients ``NOT_TRIED``, which is a Deferred, and replaces that by what
happened: a defect of ours delays mail, it never loses it. ``errno`` is the number that Exim logs in
``defer (N)``; ``error`` is the name that retry rules match (exim.md 9.1).
"""

from __future__ import annotations

import os
from enum import Enum
from typing import TypeAlias

from msgspec import Struct

from smarthostd.reply import Reply


class Scope(Enum):
    """What a deferral is about, and so what waits because of it (exim.md 7.3)."""

    HOST = "host"
    """The destination: other messages for it wait too."""
    MESSAGE = "message"
    """This message on this host: other messages still go."""
    RECIPIENT = "recipient"
    """This address only."""
    ROUTING = "routing"
    """No host was chosen."""


class Host(Struct, frozen=True):
    """The next hop that answered or did not: the configured name, the address, the port."""

    name: str
    address: str = ""
    port: int = 25

    def __str__(self) -> str:
        """As in Exim's H=: ``smtp.example.com [192.0.2.1]:587``, the port only where it is not 25."""
        text = f"{self.name} [{self.address}]" if self.address else self.name
        return text if self.port == 25 else f"{text}:{self.port}"


class Hold(Struct, frozen=True):
    """Why a destination is held: an administrator must act, and the queue waits without trying.

    *cause* is ``credential``, ``tls`` or ``configuration``; *fix* says what to do, in one sentence.
    """

    cause: str
    text: str
    fix: str


class Delivered(Struct, frozen=True):
    """The next hop has taken responsibility."""

    host: Host | None = None
    reply: Reply | None = None
    tls: str = ""
    """Exim's X=: ``TLS1.3:TLS_AES_256_GCM_SHA384:256``; empty without TLS."""
    verified: bool = False
    """Exim's CV=."""
    authenticator: str = ""
    """Exim's A=: the name of the authenticator that logged in."""
    reused: bool = False
    """An earlier message went down the same connection (Exim's ``*``)."""
    chunking: bool = False
    """Sent with BDAT (Exim's K)."""
    dsn: bool = False
    """The next hop speaks DSN and has been given the recipient's NOTIFY."""
    final: bool = False
    """It lies in a mailbox (appendfile, LMTP): nothing more will happen to it."""
    pipelining: bool = False
    """Sent with PIPELINING (Exim's L). This and what follows are for the log alone."""
    peer: str = ""
    """The distinguished name of the host's certificate (Exim's DN=)."""
    local: tuple[str, int] = ("", 0)
    """Our own address and port."""
    bypassed: bool = False
    """Nothing was delivered: ``-N`` (Exim's ``*>``)."""
    behind: bool = False
    """The same transaction served another recipient before (Exim's ``->``)."""


class Deferred(Struct, frozen=True):
    """Not now; will be tried again."""

    text: str
    errno: int = -1
    scope: Scope = Scope.RECIPIENT
    error: str = ""
    host: Host | None = None
    reply: Reply | None = None
    destination: str = ""
    """The key of the smarthost in ``health.py`` that must open again first; where this is about the message itself, of
    one whose opening is enough; empty for none."""
    maybe_delivered: bool = False
    """The connection was lost after the final dot, before its reply."""
    public: bool = False
    """The text is meant for the sender (``:defer:``)."""
    because: str = ""
    """What it is due to, where the text, which is Exim's, does not tell; for the tools."""
    tried: float = 0.0
    """When the destination was last tried, where it was not tried for this message; else 0."""
    hopeless: bool = False
    """The destination has failed for longer than its retry rule lasts, or the message is as old."""
    given_up: bool = False
    """All its destinations are hopeless, and that is the end of it (difference 12 switched off)."""
    alarm: bool = False
    """The transport itself is set up wrongly: the panic log has it, too."""

    @property
    def told(self) -> str:
        """As Exim keeps it in its hints: with the host that has said it, but an error of the system's in its words."""
        if self.errno > 0:
            return os.strerror(self.errno)
        if self.host is None:
            return self.text
        return f"H={self.host.name} [{self.host.address}]: {self.text}"


class Failed(Struct, frozen=True):
    """Never; the sender is told."""

    text: str
    host: Host | None = None
    reply: Reply | None = None
    last: Deferred | None = None
    """The deferral that was one too many, where the retry rules have run out."""


Outcome: TypeAlias = Delivered | Deferred | Failed

HELD_BACK = "held back"
"""The error of a recipient that ``hold_domains`` or ``queue_domains`` keeps waiting."""
MISTAKE = "mistake"
"""The error of what a transport cannot do as it is configured."""
NEVER_EXPIRES = frozenset({"auth_failed", "tls_required", HELD_BACK, MISTAKE})
"""Errors that are an administrator's to mend: they hold mail and never bounce it (promise 4)."""
NOT_TRIED = Deferred("not tried: an error of smarthostd's own, see the log")
