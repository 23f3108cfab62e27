"""Everything about a listener that does not change between connections, and what it says of one client."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import force_setattr, replace

from smarthostd.address import Address
from smarthostd.authenticators.base import Authenticator
from smarthostd.listener.peers import Peer
from smarthostd.listener.room import NO_LIMIT, Room


class Policy(Struct, frozen=True):
    """What we offer, whom we serve, and every limit."""

    hostname: str
    """What we are called in sessions."""
    banner: Callable[[], str] = lambda: "localhost ESMTP smarthostd"
    """The greeting."""
    relays_for: Callable[[str], bool] = lambda address: False
    """Whether a client's IP address may send mail anywhere; unix sockets always may. Raises ExpansionError or ListDefer
    where that cannot be decided now."""
    names: Callable[[str, str], Coroutine[Any, Any, None] | None] | None = None
    """Returns what is to be waited for, a while at most, before the lists of clients can be asked about a client's IP
    address, and a session's TLS; None: nothing. None itself: there are no names in them."""
    trusts: Callable[[Peer], bool] = lambda peer: True
    """Whether a local user may give any sender (``trusted_users``, ``trusted_groups``)."""
    may_send_as: Callable[[Peer, Address], bool] = lambda peer, sender: False
    """Whether a local user who is not trusted may give this one (``untrusted_set_sender``)."""
    tls: ssl.SSLContext | None = None
    offers_tls: Callable[[str], bool] = lambda address: True
    authenticators: Sequence[Authenticator] = ()
    """Those that have a server's side."""
    offers_login: Callable[[Authenticator, str, str], bool] = lambda authenticator, address, tls: True
    """Whether an authenticator is offered to a client, over a session's TLS."""
    offers: Mapping[str, Callable[[str], bool]] = {}
    """Extensions that not every client is offered (``dsn_advertise_hosts``), by their words in EHLO."""
    strict: bool = False
    """Exim's own replies and limits (difference 13 switched off), for which what follows counts."""
    senders_bare: Callable[[str], bool] = lambda address: False
    """Whether a client's IP address may leave out the sender's domain; and below, a recipient's."""
    recipients_bare: Callable[[str], bool] = lambda address: False
    domain_literals: bool = False
    syntax_errors_max: int = 3
    unknown_commands_max: int = 3
    lmtp: bool = False
    message_size_limit: int = 50 << 20
    recipients_max: int = 50_000
    recipients_max_reject: bool = False
    """Whether a message with too many recipients is refused whole."""
    line_length_limit: int = 1 << 20
    """Octets of a line in a message, without its CRLF; 0 for no limit."""
    normalize_newlines: bool = False
    """Make CRLF of a bare CR or LF, instead of refusing the message."""
    room: Room = NO_LIMIT
    """Whether the spool's disk has room for a message."""
    accept_max: int = 100
    accept_max_per_host: int = 0
    accept_max_per_connection: int = 1000
    errors_max: int = 10
    """Syntax errors and unknown commands before the client is sent away; a wrong password counts twice."""
    command_timeout: float = 300.0
    session_timeout: float = 86_400.0
    tls_timeout: float = 30.0
    limits_of: Callable[[str], Mapping[str, Any]] | None = None
    """Returns those of the limits that depend on the client's IP address; None: none do."""
    extensions: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        base = ("8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "PIPELINING", "CHUNKING")
        size = f"SIZE {self.message_size_limit}" if self.message_size_limit else "SIZE"
        force_setattr(self, "extensions", (size, *base))

    def offers_to(self, word: str, address: str) -> bool:
        """Return whether the client at *address* is offered the extension *word*."""
        return word not in self.offers or self.offers[word](address)

    def for_client(self, address: str) -> Policy:
        """Return the policy for the client at *address*."""
        return replace(self, **self.limits_of(address)) if self.limits_of is not None else self

    def sender(self, peer: Peer, claimed: Address) -> Address:
        """Return the sender of a local user's message: what they *claimed*, if they may, else their own address."""
        if not claimed or self.trusts(peer) or self.may_send_as(peer, claimed):
            return claimed
        return peer.address
