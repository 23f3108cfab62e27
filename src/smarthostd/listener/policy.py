"""Everything about a listener that does not change between connections."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from smarthostd.authenticators.base import Authenticator


@dataclass(frozen=True, slots=True)
class Policy:
    """What we offer, whom we serve, and every limit."""

    hostname: str
    banner: Callable[[], str] = lambda: "localhost ESMTP smarthostd"
    """The greeting."""
    relays_for: Callable[[str], bool] = lambda address: False
    """Whether a client's IP address may send mail anywhere; unix sockets always may."""
    tls: ssl.SSLContext | None = None
    offers_tls: Callable[[str], bool] = lambda address: True
    authenticators: Sequence[Authenticator] = ()
    """Those that have a server's side."""
    lmtp: bool = False
    message_size_limit: int = 50 << 20
    recipients_max: int = 50_000
    line_length_limit: int = 1 << 20
    """Octets of a line in a message, without its CRLF; 0 for no limit."""
    normalize_newlines: bool = False
    """Make CRLF of a bare CR or LF, instead of refusing the message."""
    accept_max: int = 100
    accept_max_per_host: int = 0
    accept_max_per_connection: int = 1000
    errors_max: int = 10
    """Syntax errors and unknown commands before the client is sent away."""
    command_timeout: float = 300.0
    session_timeout: float = 86_400.0
    tls_timeout: float = 30.0
    extensions: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        base = ("8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "PIPELINING", "CHUNKING")
        size = f"SIZE {self.message_size_limit}" if self.message_size_limit else "SIZE"
        object.__setattr__(self, "extensions", (size, *base))
