"""Logging in to a next hop: which authenticators, in which order, and what a refusal means.

Differences from Exim (docs/exim.md): a bare word in ``hosts_try_auth`` that is no host is the name of a
credential (1); one refused login is one try, and holds the destination (3); a secret that could be used
again by who reads it goes only over verified TLS, or to this machine (4).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from smarthostd.authenticators.base import Authenticator, ClientDialogue
from smarthostd.errors import ExpansionError, ForcedFailure
from smarthostd.expand import Expander, Values, is_true
from smarthostd.outcome import Hold
from smarthostd.reply import Reply
from smarthostd.smtp.connection import Connection, StageError
from smarthostd.transports.outcomes import refused_login

AUTH_REQUIRED, AUTH_TROUBLE = -42, -48


@dataclass(frozen=True, slots=True)
class LoginPolicy:
    """What one transport wants of logins to one host."""

    required: bool
    credential: str = ""
    """The name of a credential (difference 1): tried as ``$host`` where the host's own name finds nothing."""
    cleartext_allowed: bool = False
    strict: bool = False
    """Exim's way after a refusal: the next authenticator, then no login (difference 3 switched off)."""


class LoginHeld(Exception):
    """The login cannot succeed until somebody acts."""

    def __init__(self, hold: Hold) -> None:
        super().__init__(hold.text)
        self.hold = hold


class Login:
    """Logs in by the configured authenticators, in their order."""

    def __init__(self, authenticators: Sequence[Authenticator], expander: Expander, log: Callable[[str], None]) -> None:
        self._authenticators = [one for one in authenticators if one.is_client]
        self._expander = expander
        self._log = log
        self._shown = ""

    async def run(self, connection: Connection, values: Values, policy: LoginPolicy) -> None:
        """Log in; return without where that is allowed. Raises LoginHeld or StageError."""
        session = connection.session
        offered = {name.upper() for name in session.offer.mechanisms}
        reasons: list[str] = []
        refused: tuple[str, Reply] | None = None
        for one in self._authenticators:
            if one.public_name.upper() not in offered:
                reasons.append(f"{one.public_name} is not offered")
            elif not self._condition(one, values):
                reasons.append(f"{one.public_name} is switched off by client_condition")
            elif one.reusable_secret and not self._private(connection, policy):
                if self._dialogue(one, values, policy) is not None:
                    reasons.append(f"{one.public_name} would show the password: the connection has no verified TLS")
            else:
                reply = await self._one(connection, one, values, policy)
                if reply is None:
                    reasons.append(f"{one.public_name} found no credential")
                    continue
                if reply.positive:
                    session.authenticator = self._logged_name(one, values, policy)
                    return
                self._refusal(connection, one, reply, policy)
                refused = (one.name, reply)
        self._unauthenticated(connection, policy, reasons, refused)

    # -- one authenticator

    def _condition(self, one: Authenticator, values: Values) -> bool:
        condition = one.options.client_condition
        if "client_condition" not in one.options.model_fields_set:
            return True
        try:
            return is_true(self._expander.expand(condition, values))
        except ExpansionError as error:
            if not isinstance(error, ForcedFailure):
                self._log(f'failed to expand condition "{condition}" for {one.name} client authenticator: {error}')
            return False

    @staticmethod
    def _private(connection: Connection, policy: LoginPolicy) -> bool:
        """Whether nobody else can read what goes over the connection."""
        session = connection.session
        address = session.host.address
        local = address.startswith(("127.", "/")) or address == "::1"
        return policy.cleartext_allowed or local or bool(session.tls and session.verified)

    def _dialogue(
        self, one: Authenticator, values: Values, policy: LoginPolicy
    ) -> tuple[ClientDialogue, bytes | None] | None:
        """Start the exchange; None where the authenticator has nothing for this host, nor for the credential."""
        if policy.credential and not _finds_all(one, values):
            values = {**values, "host": policy.credential}
        dialogue = one.client(values)
        try:
            return dialogue, next(dialogue)
        except (ForcedFailure, StopIteration):
            return None

    async def _one(
        self, connection: Connection, one: Authenticator, values: Values, policy: LoginPolicy
    ) -> Reply | None:
        """Run one exchange; return the server's last word, or None where nothing was said."""
        try:
            started = self._dialogue(one, values, policy)
        except ExpansionError as error:
            raise self._unexpandable(connection, error, policy) from error
        if started is None:
            return None
        dialogue, initial = started
        command = f"AUTH {one.public_name}"
        if initial is not None:
            command += f" {base64.b64encode(initial).decode() or '='}"
        reply = await self._say(connection, command, policy)
        if reply.positive and one.needs_challenge:
            text = f"SMTP error from remote mail server after {self._shown}: {reply}"
            raise StageError("AUTH", text, 0, reply, connection.session.host)
        while reply.code == 334:
            reply = await self._answer(connection, one, dialogue, reply, policy)
        return reply

    async def _answer(
        self, connection: Connection, one: Authenticator, dialogue: ClientDialogue, reply: Reply, policy: LoginPolicy
    ) -> Reply:
        """Answer one challenge; ``*`` cancels where there is nothing to answer."""
        host = connection.session.host
        try:
            challenge = base64.b64decode(reply.text.strip(), validate=True)
        except (binascii.Error, ValueError):
            challenge = None
        # An empty challenge is what many servers send for PLAIN; Exim takes it for a broken one.
        if challenge is None or (not challenge and policy.strict):
            if not one.takes_any_challenge:
                where = f"H={host.name} [{host.address}]"
                bad = f'Invalid base64 string in server response "334 {reply.text}"'.replace(' "334 "', ' "334"')
                self._log(f"{one.name} authenticator cancelled authentication {where} {bad}")
                return await self._say(connection, "*", policy)
            challenge = b""
        try:
            response = dialogue.send(challenge)
        except (StopIteration, ExpansionError) as error:
            cancelled = await self._say(connection, "*", policy)
            if isinstance(error, ExpansionError) and not isinstance(error, ForcedFailure):
                raise StageError("AUTH", str(error), AUTH_TROUBLE, host=host) from error
            self._log(f"{one.name} authenticator cancelled authentication H={host.name} [{host.address}]")
            return cancelled
        return await self._say(connection, base64.b64encode(response or b"").decode(), policy)

    async def _say(self, connection: Connection, command: str, policy: LoginPolicy) -> Reply:
        """Send one line of the exchange, and remember it as it may be shown."""
        self._shown = shown(command, policy)
        return await connection.command(command, self._shown)

    @staticmethod
    def _unexpandable(connection: Connection, error: ExpansionError, policy: LoginPolicy) -> Exception:
        """Return what to raise for a credential that cannot be read: it is held until the file is mended."""
        if policy.strict:
            return StageError("AUTH", str(error), AUTH_TROUBLE, host=connection.session.host)
        text = f"the credential for {connection.session.host.name} cannot be read: {error}"
        return LoginHeld(
            Hold("credential", text, "mend the file or the option; mail goes as soon as the file is saved")
        )

    def _logged_name(self, one: Authenticator, values: Values, policy: LoginPolicy) -> str:
        """Return what the log shows in A=."""
        set_id = one.options.client_set_id
        if not set_id:
            return one.name
        try:
            return f"{one.name}:{self._expander.expand(set_id, values)}"
        except ExpansionError:
            return one.name

    # -- what a refusal means

    def _refusal(self, connection: Connection, one: Authenticator, reply: Reply, policy: LoginPolicy) -> None:
        """Hold, or in Exim's way go on to the next authenticator; a 4xx is the host's trouble."""
        host = connection.session.host
        if reply.temporary and (policy.strict or reply.code != 454):
            text = f"SMTP error from remote mail server after {self._shown}: {reply}"
            raise StageError("AUTH", text, 0, reply, host)
        self._log(f"{one.name} authenticator failed H={host.name} [{host.address}] {reply}")
        if not policy.strict:
            raise LoginHeld(refused_login(reply, host.name, one.name))

    def _unauthenticated(
        self, connection: Connection, policy: LoginPolicy, reasons: list[str], refused: tuple[str, Reply] | None
    ) -> None:
        """Nobody logged in: go on without, or say why that must not be."""
        session = connection.session
        why = "; ".join(reasons) or "no client authenticator is configured"
        hidden = any("would show the password" in reason for reason in reasons)
        if policy.strict:
            if policy.required:
                raise StageError(
                    "AUTH", _required_text(session.offer.mechanisms, refused is not None, reasons), AUTH_REQUIRED
                )
            return
        if not (policy.required or policy.credential or hidden):
            return
        fix = "see `smarthostd check`, which shows for each smarthost which credential is looked up where"
        if hidden:
            fix = "use port 465, or STARTTLS with a good certificate, or name the host in hosts_allow_cleartext_auth"
        if not session.offer.mechanisms:
            why = "it does not offer AUTH" + ("" if session.tls else ", perhaps because the connection has no TLS")
        raise LoginHeld(Hold("credential", f"no login to {session.host.name} is possible: {why}", fix))


def shown(command: str, policy: LoginPolicy) -> str:
    """Return a line of the exchange as it may be shown; Exim's asterisks tell how long the secret is, ours do not."""
    words = command.split(" ")
    head, secret = (words[:2], words[2:]) if words[0] == "AUTH" else ([], words)
    return " ".join([*head, *("*" * (len(word) if policy.strict else 8) for word in secret)])


def _finds_all(one: Authenticator, values: Values) -> bool:
    """Return whether no string of the exchange is forced to fail: LOGIN expands its second and third only later."""
    dialogue = one.client(values)
    try:
        next(dialogue)
        while True:
            dialogue.send(b"")
    except ForcedFailure:
        return False
    except (ExpansionError, StopIteration):
        return True


def _required_text(offered: frozenset[str], attempted: bool, reasons: list[str]) -> str:
    """Return Exim's text for ``hosts_require_auth`` without a login."""
    if not offered:
        return "authentication required but server did not advertise AUTH support"
    nothing_common = all("not offered" in reason for reason in reasons)
    what = "no common mechanisms were found" if nothing_common and not attempted else "authentication attempt(s) failed"
    return f"authentication required but {what}"
