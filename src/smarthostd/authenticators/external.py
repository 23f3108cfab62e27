"""``external``: the TLS client certificate says who we are (RFC 4422 appendix A, exim.md 8.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smarthostd.authenticators.base import ClientDialogue, ClientFailure, Login, ServerDialogue, client_text, mechanism
from smarthostd.expand import Expander, Values, is_true

if TYPE_CHECKING:
    from smarthostd.authenticators.options.external import ExternalOptions


class External:
    """One ``external`` authenticator."""

    reusable_secret = False
    must_answer = False
    takes_any_challenge = True

    def __init__(self, options: ExternalOptions, expander: Expander) -> None:
        self.name = options.name
        self.public_name = mechanism(options)
        self.options = options
        self.is_client = "client_send" in options.model_fields_set
        self.is_server = bool(options.server_condition)
        self._expander = expander

    def client(self, values: Values) -> ClientDialogue:
        """Send the identity with AUTH; with an empty one AUTH is bare, as Exim's is."""
        identity = client_text(self._expander, self.options.client_send, values, self.name)
        yield identity.encode("utf-8", "surrogateescape") or None
        text = f"Too few items in client_send in {self.name} authenticator"
        raise ClientFailure(text, text)

    def server(self, values: Values, initial: bytes | None) -> ServerDialogue:
        """Take the identity, and let ``server_condition`` decide."""
        given = initial if initial is not None else (yield b"")
        name = given.decode("utf-8", "surrogateescape")
        variables = {**values, "auth1": name, "1": name}
        id = self._expander.expand(self.options.server_set_id, variables)
        if not is_true(self._expander.expand(self.options.server_condition, variables)):
            return Login(False, id)
        return Login(True, id or name)
