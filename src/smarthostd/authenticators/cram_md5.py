"""``cram_md5``: a keyed digest of the server's challenge (RFC 2195, exim.md 8.3); the secret stays here."""

from __future__ import annotations

import hmac
import os
import secrets
import time
from typing import Literal

from smarthostd.authenticators.base import ClientDialogue, ServerDialogue
from smarthostd.authenticators.options import AuthenticatorOptions
from smarthostd.authenticators.plaintext import ExpansionFailure
from smarthostd.errors import ExpansionError, ForcedFailure
from smarthostd.expand import Expander, Values
from smarthostd.options import Expanded, option


class CramMd5Options(AuthenticatorOptions):
    """Options of ``driver = cram_md5``."""

    driver: Literal["cram_md5"]
    client_name: Expanded = option("$primary_hostname", "The user's name.")
    client_secret: Expanded = option("", "The user's password.")
    server_secret: Expanded = option("", "The password of the user in $auth1; a forced failure means no such user.")


def response(name: str, secret: str, challenge: bytes) -> bytes:
    """Return the answer to *challenge*: the name, a space, the digest in lower-case hexadecimal."""
    key = secret.encode("utf-8", "surrogateescape")
    return name.encode("utf-8", "surrogateescape") + b" " + hmac.new(key, challenge, "md5").hexdigest().encode()


class CramMd5:
    """One ``cram_md5`` authenticator."""

    reusable_secret = False

    def __init__(self, options: CramMd5Options, expander: Expander) -> None:
        self.name = options.name
        self.public_name = options.mechanism
        self.options = options
        self.is_client = bool(options.client_secret)
        self.is_server = bool(options.server_secret)
        self._expander = expander

    def client(self, values: Values) -> ClientDialogue:
        """Send a bare AUTH, then the digest."""
        secret = self._expand(self.options.client_secret, values)
        name = self._expand(self.options.client_name, values)
        challenge = yield None
        yield response(name, secret, challenge)

    def _expand(self, text: str, values: Values) -> str:
        try:
            return self._expander.expand(text, values)
        except ForcedFailure:
            raise
        except ExpansionError as error:
            raise ExpansionFailure(f'expansion of "{text}" failed in {self.name} authenticator: {error}') from error

    def server(self, values: Values, initial: bytes | None) -> ServerDialogue:
        """Ask once, and compare the digest."""
        hostname = self._expander.facts.primary_hostname
        challenge = f"<{os.getpid()}.{secrets.randbits(48)}.{int(time.time())}@{hostname}>".encode()
        name, _, _ = (answer := (yield challenge)).decode("utf-8", "surrogateescape").rpartition(" ")
        variables = {**values, "auth1": name, "1": name}
        try:
            secret = self._expander.expand(self.options.server_secret, variables)
        except ForcedFailure:
            return None
        if not hmac.compare_digest(answer, response(name, secret, challenge)):
            return None
        return self._expander.expand(self.options.server_set_id, variables) or name
