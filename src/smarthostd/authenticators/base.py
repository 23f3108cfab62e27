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

from smarthostd.errors import ExpansionDefer, ExpansionError, ForcedFailure

if TYPE_CHECKING:
    from smarthostd.authenticators.options import AuthenticatorOptions
    from smarthostd.expand import Expander
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


def mechanism(options: AuthenticatorOptions) -> str:
    """Return the mechanism's name as it is said in AUTH."""
    return options.public_name or options.name


class ClientFailure(ExpansionError):
    """A client's option that cannot be expanded, or does not reach; the text is Exim's, and may show a secret.

    *told* is a sentence without what stands in the option: a ``$`` in a password is the usual mistake.
    """

    def __init__(self, text: str, told: str) -> None:
        super().__init__(text)
        self.told = told


def client_text(expander: Expander, text: str, values: Values, authenticator: str) -> str:
    """Return a client's option expanded; raises ForcedFailure, or ClientFailure for what goes wrong."""
    try:
        return expander.expand(text, values)
    except ForcedFailure:
        raise
    except ExpansionError as error:
        why = str(error) if isinstance(error, ExpansionDefer) else 'a "${…}" in it is wrong, or a "$" without a "\\"'
        told = f"the client options of authenticator {authenticator} cannot be expanded: {why}"
        text = f'expansion of "{text}" failed in {authenticator} authenticator: {error}'
        raise ClientFailure(text, told) from error
