"""What a session's answers mean for a recipient: Delivered, Deferred or Failed (exim.md 7.3, difference 6).

Only a well-formed 5xx to MAIL, RCPT, DATA or the final dot fails an address, and not those that speak of
credentials or quota: they are the administrator's to mend, and the table of them is data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from smarthostd.outcome import Deferred, Delivered, Failed, Hold, Outcome, Scope
from smarthostd.reply import Reply
from smarthostd.smtp.connection import Answer, Session, StageError, trouble_text

_ERROR_STAGES = {"MAIL": "mail", "RCPT": "rcpt", "DATA": "data", "end of data": "data"}
_ERRNO = {"MAIL": -45, "RCPT": -44, "DATA": -46, "end of data": -46}
_SCOPES = {"RCPT": Scope.RECIPIENT}
CREDENTIAL_CODES = frozenset({530, 534, 535, 538})
CREDENTIAL_ENHANCED = frozenset({"5.7.30", "5.7.8", "5.7.9", "5.7.11", "5.7.14", "5.7.139", "4.7.0.auth"})
QUOTA = re.compile(r"\b(?:daily|hourly|sending|user|rate|message|relay)\b.{0,20}\b(?:quota|limit)\b", re.IGNORECASE)
"""Texts of 5xx replies that speak of how much may be sent, which passes."""


def asks_for_login(reply: Reply) -> bool:
    """Return whether *reply* says that the login is missing, wrong or too weak."""
    return reply.code in CREDENTIAL_CODES or (reply.permanent and reply.enhanced in CREDENTIAL_ENHANCED)


@dataclass(frozen=True, slots=True)
class Judge:
    """Turns answers into outcomes, for one session and destination."""

    session: Session
    destination: str
    chunking: bool = False
    reused: bool = False
    strict: bool = False
    """Exim's way: a 5xx is a 5xx (difference 3 switched off)."""

    def outcome(self, answer: Answer, sender: str, recipient: str, size: int) -> Outcome:
        """Return the outcome for one recipient."""
        if answer.trouble is not None:
            return self._troubled(answer, sender, recipient, size)
        reply = answer.reply
        if reply is None:
            return Deferred("no answer", -1, Scope.MESSAGE, host=self.session.host)
        if answer.accepted:
            return self._delivered(reply)
        stage = self._stage_text(answer.stage, sender, recipient)
        text = f"SMTP error from remote mail server after {stage}: {reply}"
        if reply.permanent and (self.strict or not (asks_for_login(reply) or QUOTA.search(reply.text))):
            return Failed(text, self.session.host, reply)
        error = f"{_ERROR_STAGES.get(answer.stage, 'data')}_{reply.code}" if reply.temporary else ""
        scope = _SCOPES.get(answer.stage, Scope.MESSAGE)
        return Deferred(text, _ERRNO.get(answer.stage, -46), scope, error, self.session.host, reply)

    def _delivered(self, reply: Reply) -> Delivered:
        session = self.session
        return Delivered(
            session.host, reply, session.tls, session.verified, session.authenticator, self.reused, self.chunking,
            "DSN" in session.offer,
        )  # fmt: skip

    def _troubled(self, answer: Answer, sender: str, recipient: str, size: int) -> Deferred:
        """The connection broke: before the message was whole it is the host's trouble, after it perhaps delivered."""
        assert answer.trouble is not None
        stage = self._stage_text(answer.stage, sender, recipient)
        text = trouble_text(answer.trouble, stage)
        if answer.trouble.errno == 110 and answer.stage == "end of data":
            text = f"SMTP timeout after end of data ({size} bytes written)"
        maybe = answer.stage == "end of data"
        error = "timeout" if answer.trouble.errno == 110 else "lost_connection"
        in_content = answer.stage in ("DATA", "end of data", "sending data block")
        scope = Scope.MESSAGE if in_content or answer.trouble.errno == 110 else Scope.HOST
        return Deferred(text, answer.trouble.errno, scope, error, self.session.host, maybe_delivered=maybe)

    @staticmethod
    def _stage_text(stage: str, sender: str, recipient: str) -> str:
        return {"MAIL": f"MAIL FROM:<{sender}>", "RCPT": f"RCPT TO:<{recipient}>"}.get(stage, stage)


def host_error(error: StageError, destination: str) -> Deferred:
    """Return the deferral for a session that did not come up: the destination's trouble, never the mail's."""
    names = {111: "refused", 110: "timeout_connect" if error.stage == "connect" else "timeout", -18: "lost_connection"}
    name = "tls_required" if error.errno in (-37, -38) else names.get(error.errno, "")
    host = None if error.errno in (-42, -48) else error.host  # Exim names no host for what is wrong on our side
    return Deferred(error.text, error.errno, Scope.HOST, name, host, error.reply, destination)


def refused_login(reply: Reply, host: str, name: str) -> Hold:
    """Return the hold for a login that *host* has refused."""
    return Hold(
        "credential",
        f"{host} refused the login by {name}: {reply}",
        "put the right user and password into the credentials file; mail goes as soon as that is saved",
    )
