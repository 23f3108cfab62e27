"""Logging in to a next hop: which authenticators, in which order, and what a refusal means (exim.md 8.1).

Differences from Exim (docs/exim.md): where an authenticator finds nothing for ``$host`` it is asked again with
the credential's name (1); one refused login is one try, and holds the destination (3); a secret that could be
used again by who reads it goes only over verified TLS, or to this machine (4). With 3 switched off, the next
authenticator is tried, and in the end the mail goes without a login unless that is required.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from smarthostd.authenticators.base import Authenticator, ClientDialogue, ClientFailure
from smarthostd.errors import ExpansionError, ForcedFailure
from smarthostd.expand import Expander, Values, is_true
from smarthostd.outcome import Hold
from smarthostd.reply import Reply
from smarthostd.smtp.connection import Connection, SessionError
from smarthostd.spool.owner import login
from smarthostd.syntax import named_files, printable
from smarthostd.transports.outcomes import HELD_BY_AUTH
from smarthostd.transports.policy import Policy

AUTH_REQUIRED, AUTH_TROUBLE = -42, -48
"""Exim's numbers for a login that was required, and for a credential that could not be made."""
SHORTEST_SECRET = 4
"""Characters of a secret that are looked for in a reply."""
SHOWN_REASONS = 6
_CLIENT_OPTIONS = ("client_name", "client_secret", "client_send", "client_condition")
_SECURE = (
    "use port 465 with protocol = smtps, or a host that offers STARTTLS with a good certificate, "
    "or name it in hosts_allow_cleartext_auth"
)


class Held(SessionError):
    """The session cannot come up until somebody acts, as *hold* says."""

    def __init__(self, stage: str, hold: Hold, errno: int = AUTH_REQUIRED, reply: Reply | None = None) -> None:
        super().__init__(stage, hold.text, errno, reply)
        self.hold = hold


class _Reason(Struct, frozen=True):
    """Why one authenticator did not log in."""

    text: str
    offered: bool = True
    hidden: bool = False
    """It would have shown a password to others."""


class _Exchange(Struct, frozen=True):
    """A dialogue that has something to say: what comes with AUTH, and the variables it was made with."""

    dialogue: ClientDialogue
    initial: bytes | None
    values: Values


class Login:
    """Logs in by the configured authenticators, in their order."""

    def __init__(
        self, authenticators: Sequence[Authenticator], expander: Expander, log: Callable[[str, str], None]
    ) -> None:
        self._authenticators = [one for one in authenticators if one.is_client]
        self._expander = expander
        self._log = log
        self._strict = 3 in expander.facts.exim_strict

    async def run(self, id: str, connection: Connection, values: Values, policy: Policy) -> None:
        """Log in as *policy* wants. Raises Held, or SessionError for what is only the host's trouble."""
        session = connection.session
        if not policy.login or (self._strict and not session.extended):
            return
        reasons: list[_Reason] = []
        for one in self._authenticators:
            reason = await self._try(id, one, connection, values, policy)
            if reason is None:
                return
            reasons.append(reason)
        self._without(connection, policy, reasons)

    # -- one authenticator

    async def _try(
        self, id: str, one: Authenticator, connection: Connection, values: Values, policy: Policy
    ) -> _Reason | None:
        """Try *one*; return None when it has logged in."""
        host = connection.session.host
        if not self._condition(id, one, values):
            return _Reason(f"{one.name} is switched off by client_condition")
        if one.public_name.upper() not in connection.session.offer.mechanisms:
            return _Reason(f"{one.public_name} is not offered", offered=False)
        try:
            exchange = self._begun(one, values, policy.credentials)
            if exchange is None:
                names = " or ".join((host.name, *policy.credentials))
                return _Reason(f"{one.name} finds no credential for {names}")
            if one.reusable_secret and not _private(connection, policy):
                return _Reason(f"{one.name} would show the password to others", hidden=True)
            reply = await self._exchange(id, one, connection, exchange)
        except ClientFailure as error:
            raise self._unreadable(error, host.name, one) from error
        if reply is None:
            return _Reason(f"{one.name} gave up")
        if reply.positive:
            connection.session.authenticator = self._logged_name(one, exchange.values)
            return None
        self._log(id, f"{one.name} authenticator failed H={host.name} [{host.address}] {reply}")
        if not self._strict:
            hold = Hold("credential", f"{host.name} refused the login by {one.name}: {reply}", _mend([one]))
            raise Held("AUTH", hold, reply=reply)
        return _Reason(f"{one.name} was refused")

    def _condition(self, id: str, one: Authenticator, values: Values) -> bool:
        """Whether ``client_condition`` lets *one* be used; one that is written and empty does not."""
        condition = one.options.client_condition
        if "client_condition" not in one.options.model_fields_set:
            return True
        try:
            return is_true(self._expander.expand(condition, values))
        except ForcedFailure:
            return False
        except ExpansionError as error:
            self._log(id, f'failed to expand condition "{condition}" for {one.name} client authenticator: {error}')
            return False

    @staticmethod
    def _begun(one: Authenticator, values: Values, credentials: Sequence[str]) -> _Exchange | None:
        """Begin the exchange; None where there is nothing for this host, nor for the credentials' names."""
        for name in ("", *credentials):
            own = {**values, "host": name} if name else values
            if credentials and not reaches(one, own):
                continue
            dialogue = one.client(own)
            try:
                return _Exchange(dialogue, next(dialogue), own)
            except ForcedFailure:
                continue
        return None

    def _unreadable(self, error: ClientFailure, host: str, one: Authenticator) -> SessionError:
        """Return what to raise for a credential that could not be made."""
        if self._strict:
            return SessionError("AUTH", str(error), AUTH_TROUBLE)
        return Held("AUTH", Hold("credential", f"no login to {host}: {error.told}", _mend([one], error.told)))

    def _logged_name(self, one: Authenticator, values: Values) -> str:
        """Return what the log shows in A=."""
        try:
            identity = self._expander.expand(one.options.client_set_id, values)
        except ExpansionError:
            identity = ""
        return printable(f"{one.name}:{identity}") if identity else one.name

    # -- the exchange

    async def _exchange(self, id: str, one: Authenticator, connection: Connection, exchange: _Exchange) -> Reply | None:
        """Send and answer until the server has decided: 2xx or a refusal. None: the exchange was cancelled.

        Raises SessionError for what is neither, and ClientFailure for an answer that cannot be made.
        """
        shown = command = f"AUTH {one.public_name}"
        said = [exchange.initial or b""]
        if exchange.initial is not None:
            data = base64.b64encode(exchange.initial).decode()
            command, shown = f"{command} {data}", f"{shown} {'*' * len(data)}"
        reply = _discreet(await connection.command(command, shown), said)
        if reply.positive and one.must_answer:
            raise _unexpected(shown, reply)
        while reply.code == 334:
            challenge = self._challenge(one, reply)
            if challenge is None:
                where = f"H={connection.session.host.name} [{connection.session.host.address}]"
                bad = f'Invalid base64 string in server response "{f"334 {printable(reply.text)}".rstrip()}"'
                self._log(id, f"{one.name} authenticator cancelled authentication {where} {bad}")
                await _cancel(connection)
                return None
            try:
                response = exchange.dialogue.send(challenge)
            except StopIteration:
                raise _unexpected(shown, reply) from None
            except ForcedFailure:
                await _cancel(connection)
                return None
            except ClientFailure:
                await _cancel(connection)
                raise
            said.append(response or b"")
            data = base64.b64encode(said[-1]).decode()
            shown = "*" * len(data)
            reply = _discreet(await connection.command(data, shown), said)
        if not (reply.positive or reply.permanent or (not self._strict and reply.code in HELD_BY_AUTH)):
            raise _unexpected(shown, reply)
        return reply

    def _challenge(self, one: Authenticator, reply: Reply) -> bytes | None:
        """Return the challenge; None where it cannot be read. Exim cannot read an empty one, and so cancels."""
        try:
            challenge = base64.b64decode(reply.text.strip(), validate=True)
        except (binascii.Error, ValueError):
            return b"" if one.takes_any_challenge else None
        return None if not challenge and self._strict and not one.takes_any_challenge else challenge

    # -- nobody logged in

    def _look(self, host: str, policy: Policy, reasons: Sequence[_Reason]) -> str:
        """Return where to look for a credential that was not found."""
        files = files_of(self._authenticators)
        if not self._authenticators:
            return "name user and password_file in [smarthost], or an authenticator"
        if not files or not any(reason.offered for reason in reasons):
            return "`smarthostd check` tells which logins there are"
        names = " or ".join((host, *policy.credentials))
        return f"is there an item for {names} in {files}? Mail goes as soon as it is saved"

    def _without(self, connection: Connection, policy: Policy, reasons: list[_Reason]) -> None:
        """Go on without a login, or say why that must not be."""
        session = connection.session
        hidden = any(reason.hidden for reason in reasons)
        if self._strict and not hidden:
            if policy.require_login:
                text = f"authentication required but {_required_text(session.offer.mechanisms, reasons)}"
                raise SessionError("AUTH", text, AUTH_REQUIRED)
            session.as_configured = False
            return
        why = "; ".join(reason.text for reason in reasons[:SHOWN_REASONS]) or "no client authenticator is configured"
        fix = _SECURE if hidden else self._look(session.host.name, policy, reasons)
        if not session.offer.mechanisms:
            where = "" if session.tls.cipher else "; perhaps it does only over TLS"
            what = "it does not offer AUTH" if session.extended else "it does not speak ESMTP"
            why, fix = what + where, f"is {session.host} the host and port for logins (587, or 465 with smtps)?"
        raise Held("AUTH", Hold("credential", f"no login to {session.host.name} is possible: {why}", fix))


def files_of(authenticators: Sequence[Authenticator]) -> str:
    """Return the files that the client options of *authenticators* read, as a list in a sentence."""
    texts = [
        getattr(one.options, name) for one in authenticators for name in _CLIENT_OPTIONS if hasattr(one.options, name)
    ]
    return " or ".join(dict.fromkeys(file for text in texts for file in named_files(text)))


def _mend(authenticators: Sequence[Authenticator], why: str = "") -> str:
    """Return what to do about a login that was refused, or could not be made."""
    files = files_of(authenticators)
    if files and "Permission denied" in why:
        return f"let the user {login()} read {files} (chgrp, chmod 0640); mail goes as soon as that may be"
    if files:
        return f"mend {files}; mail goes as soon as it is saved"
    return "mend the login in the configuration and have it read again (SIGHUP, or a restart)"


def _private(connection: Connection, policy: Policy) -> bool:
    """Whether nobody else can read what goes over the connection (difference 4)."""
    session = connection.session
    if policy.open_secrets:
        return True
    return bool(session.tls.cipher) and (session.verified or policy.unverified_secrets)


def reaches(one: Authenticator, values: Values) -> bool:
    """Whether nothing in the whole exchange is forced to fail: LOGIN expands its second and third item only later."""
    dialogue = one.client(values)
    try:
        next(dialogue)
        while True:
            dialogue.send(b"")
    except ForcedFailure:
        return False
    except (ExpansionError, StopIteration):
        return True


def _discreet(reply: Reply, said: Sequence[bytes]) -> Reply:
    """Return *reply* without what was *said* to log in: a server may repeat it, and the log would show it.

    The last part of the last word is the password, or what was made of it; shorter ones would make stars of all texts.
    """
    if reply.code == 334:
        return reply
    secrets = [base64.b64encode(one).decode() for one in said]
    secrets.append(said[-1].rpartition(b"\0")[2].decode("utf-8", "surrogateescape"))
    text = reply.text
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "*" * len(secret))
    return reply if text == reply.text else replace(reply, text=text)


async def _cancel(connection: Connection) -> None:
    """Cancel the exchange; whatever the server says to that, it is over."""
    await connection.command("*")


def _unexpected(shown: str, reply: Reply) -> SessionError:
    """Return the error for a reply that is neither yes nor no: the host's trouble."""
    return SessionError("AUTH", f"SMTP error from remote mail server after {shown}: {reply}", 0, reply)


def _required_text(offered: frozenset[str], reasons: Sequence[_Reason]) -> str:
    """Return Exim's words for a login that was required and did not come about."""
    if not offered:
        return "server did not advertise AUTH support"
    if any(reason.offered for reason in reasons):
        return "authentication attempt(s) failed"
    return "no common mechanisms were found"
