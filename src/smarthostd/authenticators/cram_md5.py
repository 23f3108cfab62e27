"""``cram_md5``: a keyed digest of the server's challenge (RFC 2195, exim.md 8.3); the secret stays here."""

from __future__ import annotations

import hmac
import os
import secrets
import time
from typing import TYPE_CHECKING

from smarthostd.authenticators.base import ClientDialogue, Login, ServerDialogue, client_text, mechanism
from smarthostd.errors import ForcedFailure, Refused
from smarthostd.expand import Expander, Values
from smarthostd.reply import Reply

if TYPE_CHECKING:
    from smarthostd.authenticators.options.cram_md5 import CramMd5Options


def response(name: str, secret: str, challenge: bytes) -> bytes:
    """Return the answer to *challenge*: the name, a space, the digest in lower-case hexadecimal."""
    key = secret.encode("utf-8", "surrogateescape")
    return name.encode("utf-8", "surrogateescape") + b" " + hmac.new(key, challenge, "md5").hexdigest().encode()


class CramMd5:
    """One ``cram_md5`` authenticator."""

    reusable_secret = False
    must_answer = True
    takes_any_challenge = False

    def __init__(self, options: CramMd5Options, expander: Expander) -> None:
        self.name = options.name
        self.public_name = mechanism(options)
        self.options = options
        self.is_client = "client_secret" in options.model_fields_set
        self.is_server = bool(options.server_secret)
        self._expander = expander

    def client(self, values: Values) -> ClientDialogue:
        """Send a bare AUTH, then the digest."""
        secret = client_text(self._expander, self.options.client_secret, values, self.name)
        name = client_text(self._expander, self.options.client_name, values, self.name)
        challenge = yield None
        yield response(name, secret, challenge)

    def server(self, values: Values, initial: bytes | None) -> ServerDialogue:
        """Ask once, and compare the digest; raises Refused where the client has begun without being asked."""
        if initial is not None:
            raise Refused(Reply(553, "5.5.4 Initial data not expected"))
        hostname = self._expander.facts.primary_hostname
        challenge = f"<{os.getpid()}.{secrets.randbits(48)}.{int(time.time())}@{hostname}>".encode()
        answer = yield challenge
        name = answer.decode("utf-8", "surrogateescape").rpartition(" ")[0]
        variables = {**values, "auth1": name, "1": name}
        id = self._expander.expand(self.options.server_set_id, variables)
        try:
            secret = self._expander.expand(self.options.server_secret, variables)
        except ForcedFailure:
            return Login(False, id)
        if not hmac.compare_digest(answer, response(name, secret, challenge)):
            return Login(False, id)
        return Login(True, id or name)
