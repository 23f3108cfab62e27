"""What an authenticator is: a mechanism as a generator, so that its tests need no network (exim.md 8).

A client's dialogue yields responses (None or bytes, not yet base64) and receives challenges (decoded
bytes). The first yield is the initial response, None for a bare ``AUTH NAME``. It raises
``ForcedFailure`` before its first yield when it has nothing to say for this host: the next authenticator
is tried, silently. Raised later, the exchange is cancelled with ``*``.

A server's dialogue yields challenges and receives responses; it returns a :class:`Login`: who it is, and whether
they may.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Protocol, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from smarthostd.authenticators.options import AuthenticatorOptions
    from smarthostd.facts import Values

ClientDialogue: TypeAlias = Generator[bytes | None, bytes, None]
ServerDialogue: TypeAlias = Generator[bytes, bytes, "Login"]


class Login(Struct, frozen=True):
    """How a client's login ended."""

    accepted: bool
    id: str
    """Who it is; of a login that was refused, what ``server_set_id`` says, for the log."""


class Challenge(Struct, frozen=True):
    """A server's 334, both decoded and as it came."""

    decoded: bytes
    raw: str


class Authenticator(Protocol):
    """One instance of the ``begin authenticators`` section."""

    name: str
    public_name: str
    reusable_secret: bool
    """Whether what goes over the wire could be used again by who reads it (PLAIN, LOGIN): difference 4."""
    is_client: bool
    is_server: bool
    takes_any_challenge: bool
    """As a client: whether a challenge that is no base64 counts as an empty one; otherwise it cancels."""
    must_answer: bool
    """As a client: whether success before the last response is a mistake of the server's (CRAM-MD5)."""

    @property
    def options(self) -> AuthenticatorOptions:
        """Its options, of which the generic ones are of interest to others."""
        ...

    def client(self, values: Values) -> ClientDialogue:
        """Return the client's side of one exchange; *values* hold ``host`` and the TLS variables."""
        ...

    def server(self, values: Values, initial: bytes | None) -> ServerDialogue:
        """Return the server's side of one exchange, *initial* being the client's initial response."""
        ...
