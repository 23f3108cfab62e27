"""What a session's answers mean for a recipient: Delivered, Deferred or Failed (exim.md 7.3, differences 3 and 6).

Only a well-formed 5xx to MAIL, RCPT, DATA or the final dot fails an address, and only in a session that is what
the configuration asks for. Replies about credentials and sending limits are the administrator's to mend and
never fail mail; the table of them is data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import TypeVar

from msgspec import Struct

from smarthostd.outcome import Deferred, Delivered, Failed, Hold, Outcome, Scope
from smarthostd.reply import Reply
from smarthostd.smtp.connection import ConnectError, Session, SessionError
from smarthostd.smtp.dialogue import CLOSED, TIMED_OUT, Answer, Stage, trouble_text

T = TypeVar("T")


class Complaint(Enum):
    """What a reply is really about, when it is not about the mail."""

    CREDENTIAL = "credential"
    TLS = "tls"
    QUOTA = "quota"


class Row(Struct, frozen=True):
    """A reply is *meaning* if it has one of the codes, or of the enhanced codes, and the text, where one is given."""

    meaning: Complaint
    codes: frozenset[int] = frozenset()
    enhanced: frozenset[str] = frozenset()
    text: str = ""


COMPLAINTS = (
    Row(Complaint.TLS, codes=frozenset({530}), text=r"\bSTARTTLS\b"),
    Row(Complaint.CREDENTIAL, codes=frozenset({530, 534, 535, 538})),
    Row(Complaint.CREDENTIAL, enhanced=frozenset({"5.7.8", "5.7.9", "5.7.11", "5.7.14", "5.7.30", "5.7.57"})),
    Row(Complaint.QUOTA, enhanced=frozenset({"5.4.5", "5.7.705", "5.7.708"})),
    Row(Complaint.QUOTA, enhanced=frozenset({"5.2.0"}), text=r"\bSubmissionQuotaExceeded"),
    Row(
        Complaint.QUOTA,
        codes=frozenset(range(500, 600)),
        text=r"\b(?:daily|hourly|sending|submission|outbound|outgoing)\b[^\n]{0,40}\b(?:quota|limit)\b"
        r"|\bSubmissionQuotaExceeded|\btoo many (?:messages|mails|emails) (?:sent|in)\b",
    ),
)
"""Permanent replies that are not about the mail, the first row that fits decides. Providers' own codes: 5.4.5 and
5.7.14 are Gmail's, 5.2.0 (with that word), 5.7.30, 5.7.57, 5.7.705 and 5.7.708 Microsoft's."""
HELD_BY_AUTH = frozenset({432, 454})
"""Temporary replies to AUTH that speak of the credential: a password to be renewed, a login switched off."""
MAILBOX = re.compile(r"[45]\.2\.")
"""Enhanced codes of the recipient's mailbox: its quota is not ours, unless a row names the code."""

_PATTERNS = {row.text: re.compile(row.text, re.IGNORECASE) for row in COMPLAINTS if row.text}
_NUMBERS = {Stage.MAIL: -45, Stage.RCPT: -44}
_NAMES = {Stage.MAIL: "mail", Stage.RCPT: "rcpt"}


HELD_AS = {Complaint.CREDENTIAL: (-42, "auth_failed"), Complaint.TLS: (-38, "tls_required")}
"""Exim's numbers for what such replies ask for, and the names that retry rules have for that."""


def complaint(reply: Reply) -> Complaint | None:
    """Return what a permanent *reply* is really about, or None: the mail."""
    if not reply.permanent:
        return None
    for row in COMPLAINTS:
        known = reply.enhanced in row.enhanced
        if not known and reply.code in row.codes:
            known = not (row.text and MAILBOX.match(reply.enhanced))
        if known and (not row.text or _PATTERNS[row.text].search(reply.text)):
            return row.meaning
    return None


def hold_for(meaning: Complaint, host: str, reply: Reply) -> Hold:
    """Return the hold for a credential or TLS complaint."""
    if meaning is Complaint.TLS:
        return Hold(
            "tls",
            f"{host} wants TLS: {reply}",
            "set hosts_require_tls (tls in [smarthost]), and take the host out of hosts_avoid_tls",
        )
    text = f"{host} wants a login, or another one: {reply}"
    return Hold(
        "credential",
        text,
        "look at user and password_file in [smarthost], or at hosts_require_auth and the authenticators",
    )


class Judge(Struct, frozen=True):
    """Turns answers into outcomes, for one message in one session."""

    session: Session
    mail: str
    """The MAIL command, as the log shows it."""
    pipelining: bool = False
    reused: bool = False
    lmtp: bool = False
    size: int = 0
    strict: frozenset[int] = frozenset()

    def outcomes(self, recipients: Mapping[T, str], answers: Sequence[Answer]) -> dict[T, Outcome]:
        """Return the outcomes for *recipients*; where the connection broke, all that it took with it name one RCPT."""
        found: dict[T, Outcome] = {}
        broke, served = "", False
        for (one, name), answer in zip(recipients.items(), answers, strict=True):
            if answer.trouble is not None:
                broke = broke or _asked_last(recipients.values(), answers) or name
            found[one] = self.outcome(answer, broke if answer.trouble is not None else name, behind=served)
            served = served or answer.accepted
        return found

    def outcome(self, answer: Answer, recipient: str, *, behind: bool = False) -> Outcome:
        """Return the outcome for one recipient; *behind* another one that was served."""
        if answer.trouble is not None:
            return self._troubled(answer, recipient)
        assert answer.reply is not None, "a transaction leaves nobody without an answer"
        if answer.accepted:
            return self._delivered(answer.reply, behind)
        return self._refused(answer.stage, answer.reply, recipient)

    def _delivered(self, reply: Reply, behind: bool) -> Delivered:
        session = self.session
        return Delivered(
            session.host, reply, str(session.tls), session.verified, session.authenticator, self.reused,
            session.chunking, "DSN" in session.offer, self.lmtp, self.pipelining, session.tls.peer, session.local,
            False, behind,
        )  # fmt: skip

    def _refused(self, stage: Stage, reply: Reply, recipient: str) -> Outcome:
        who = "LMTP error" if self.lmtp else "SMTP error from remote mail server"
        text = f"{who} after {self._command(stage, recipient)}: {reply}"
        host = self.session.host
        if reply.permanent:
            meaning = complaint(reply)
            if self._fails(meaning):
                return Failed(text, host, reply)
            return Deferred(text, 0, Scope.HOST if meaning else Scope.MESSAGE, "", host, reply)
        scope = Scope.RECIPIENT if stage is Stage.RCPT else Scope.MESSAGE
        error = f"{_NAMES.get(stage, 'data')}_{reply.code}"
        number = _NUMBERS.get(stage, -46)
        if stage is not Stage.RCPT and not reply.temporary:
            number = 0  # neither 4xx nor 5xx: Exim has no number for it
        return Deferred(text, number, scope, error, host, reply)

    def _fails(self, meaning: Complaint | None) -> bool:
        """Whether a 5xx with this meaning ends in a bounce."""
        if meaning in (Complaint.CREDENTIAL, Complaint.TLS):
            return 3 in self.strict
        return 6 in self.strict or (meaning is None and self.session.as_configured)

    def _troubled(self, answer: Answer, recipient: str) -> Deferred:
        """The connection broke: after the last octet the message may have been taken."""
        assert answer.trouble is not None
        stage, errno = answer.stage, answer.trouble.errno
        command = self._command(stage, recipient)
        if stage is Stage.RCPT and self.pipelining and errno != TIMED_OUT:
            command = f"pipelined {command}"
        text = trouble_text(answer.trouble, command)
        if errno == TIMED_OUT and stage is Stage.END:
            text += f" ({self.size} bytes written)"
        error = {TIMED_OUT: "timeout", CLOSED: "lost_connection"}.get(errno, "")
        maybe = stage is Stage.END
        return Deferred(text, errno, self._scope(stage, errno), error, self.session.host, maybe_delivered=maybe)

    @staticmethod
    def _scope(stage: Stage, errno: int) -> Scope:
        if stage is Stage.RCPT and errno == TIMED_OUT:
            return Scope.RECIPIENT
        if stage is Stage.DATA or (stage in (Stage.MAIL, Stage.RCPT) and errno != TIMED_OUT):
            return Scope.HOST
        return Scope.MESSAGE

    def _command(self, stage: Stage, recipient: str) -> str:
        """Return the command in Exim's words; what is sent behind the reply to DATA is not pipelined."""
        if stage is Stage.RCPT:
            return f"RCPT TO:<{recipient}>"
        text = self.mail if stage is Stage.MAIL else "DATA" if self.lmtp and stage is Stage.END else stage.value
        alone = stage is Stage.END and not self.session.chunking
        return f"pipelined {text}" if self.pipelining and not alone else text


def _asked_last(names: Iterable[str], answers: Sequence[Answer]) -> str:
    """Return the recipient in place of whose reply the connection broke; empty where it broke elsewhere."""
    return next((name for name, answer in zip(names, answers, strict=True) if answer.awaited), "")


def host_error(error: SessionError, destination: str, found: str = "") -> Deferred:
    """Return the deferral for a session that did not come up: the destination's trouble, not the mail's.

    *found* is how its host was found, as retry rules name it: ``A`` or ``MX``.
    """
    name = {
        111: "refused",
        CLOSED: "lost_connection",
        -37: "tls_required",
        -38: "tls_required",
        -42: "auth_failed",
    }.get(error.errno, "")
    if error.errno == -48:
        name = "auth_failed"
    if error.errno == TIMED_OUT:
        name = "timeout_connect" if isinstance(error, ConnectError) else "timeout"
    if error.errno in (-32, -36):
        name = "lookup"
    if found and name in ("refused", "timeout_connect"):
        name = f"{name}_{found}"
    # Exim names no host for what is wrong on our side.
    host = None if error.errno in (-27, -35, -42, -48) else error.host
    return Deferred(error.text, error.errno, Scope.HOST, name, host, error.reply, destination)
