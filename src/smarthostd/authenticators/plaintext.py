"""``plaintext``: PLAIN, LOGIN, and whatever sends prepared strings (exim.md 8.2).

``client_send`` is a list that is split first; each item is then expanded by itself, so a colon inside an
expansion has to be doubled. After that ``^`` becomes NUL and ``^^`` a caret, also in what was looked up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smarthostd.authenticators.base import ClientDialogue, ClientFailure, Login, ServerDialogue, client_text, mechanism
from smarthostd.expand import Expander, Values, is_true
from smarthostd.lists import split

if TYPE_CHECKING:
    from smarthostd.authenticators.options.plaintext import PlaintextOptions


def with_nuls(text: str) -> bytes:
    """Return the octets to send: from the left, ``^^`` is a caret and ``^`` is NUL."""
    return b"^".join(part.replace("^", "\0").encode("utf-8", "surrogateescape") for part in text.split("^^"))


class Plaintext:
    """One ``plaintext`` authenticator."""

    reusable_secret = True
    must_answer = False

    def __init__(self, options: PlaintextOptions, expander: Expander) -> None:
        self.name = options.name
        self.public_name = mechanism(options)
        self.options = options
        self.is_client = "client_send" in options.model_fields_set
        self.is_server = bool(options.server_prompts or options.server_condition)
        self.takes_any_challenge = options.client_ignore_invalid_base64
        self._expander = expander
        self._items = split(options.client_send)

    def client(self, values: Values) -> ClientDialogue:
        """Send the items; an empty first one means a bare AUTH."""
        if not self._items:
            text = f"client_send is empty in {self.name} authenticator"
            raise ClientFailure(text, text)
        first = self._item(0, values)
        challenges: dict[str, str] = {}
        challenge = yield with_nuls(first) if first else None
        for number in range(1, len(self._items)):
            challenges[f"auth{number}"] = challenge.decode("utf-8", "surrogateescape")
            challenge = yield with_nuls(self._item(number, {**values, **challenges}))

    def _item(self, number: int, values: Values) -> str:
        return client_text(self._expander, self._items[number], values, self.name)

    def server(self, values: Values, initial: bytes | None) -> ServerDialogue:
        """Ask for what was not sent at once, then let ``server_condition`` decide."""
        given = [] if initial is None else initial.split(b"\0")
        prompts = split(self._expander.expand(self.options.server_prompts, values))
        while len(given) < max(len(prompts), 1):
            prompt = prompts[len(given)] if prompts else ""
            response = yield prompt.encode("utf-8", "surrogateescape")
            given += response.split(b"\0")
        variables = dict(values)
        for number, part in enumerate(given[:3], 1):
            variables[f"auth{number}"] = variables[str(number)] = part.decode("utf-8", "surrogateescape")
        id = self._expander.expand(self.options.server_set_id, variables)
        if not is_true(self._expander.expand(self.options.server_condition, variables)):
            return Login(False, id)
        user = given[-2 if len(given) > 1 else 0].decode("utf-8", "replace")
        return Login(True, id or user)
