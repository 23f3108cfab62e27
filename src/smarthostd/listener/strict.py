"""A session with Exim's own replies, limits and log lines (difference 13 switched off).

Exim 4.96 says no enhanced status codes and counts mistakes its own way: of syntax and order
(``smtp_max_synprot_errors``), and of unknown commands besides (``smtp_max_unknown_commands``). Addresses are read as in
a header line, so that a mistake in one is told in Exim's words. A bare LF in a message becomes a space, a bare CR a
line end.

What moves octets, stores messages, logs in and starts TLS is the usual session's (``session.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from smarthostd.address import Address
from smarthostd.envelope import Recipient
from smarthostd.errors import Refused
from smarthostd.expand.addresses import NotAnAddress
from smarthostd.listener.commands import MailFrom, read_address
from smarthostd.listener.content import Content, Counted, Dotted
from smarthostd.listener.session import AUTH_LIMIT, HTTP, SHOWN_LIMIT, Session
from smarthostd.reply import Reply
from smarthostd.syntax import has_control, printable

if TYPE_CHECKING:
    from smarthostd.listener.server import Listener

SIZE_LIMIT = 2**31 - 1
"""What a SIZE counts as that is larger."""
VERBS_SHOWN = 20
"""Commands that the log shows of a client that is dropped: the last ones."""
_ENHANCED = re.compile(rb"^([245]\d\d[ -])[245]\.\d{1,3}\.\d{1,3} ", re.MULTILINE)
_HELO_NAME = re.compile(r"\[[0-9a-fA-F.:IPv]+\]|[A-Za-z0-9.:-]+", re.ASCII)
_OPTION = re.compile(r"(.*\S)\s+(?:([A-Za-z]+)=(\S*)|(\S+))\s*", re.DOTALL | re.ASCII)
_SIZE = re.compile(r"\s*[+-]?\d*", re.ASCII)
_CHUNK = re.compile(r"\s*(\d+)\s*(.*)", re.ASCII | re.DOTALL)
_ENDS = re.compile(rb"\r\n|\r|\n")
_NOTIFY = re.compile(r"NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY))*", re.IGNORECASE)
_MECHANISM = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
Take: TypeAlias = Callable[[str, str, dict[str, str]], bool]
"""Takes a parameter's name and value into what is given; returns whether it is one."""
_BAD_SYNTAX, _LOST = "smtp_syntax_error", "lost_incoming_connection"
"""Selectors that some lines need."""
_SYNTAX, _PROTOCOL = "syntax", "protocol"


class StrictSession(Session):
    """One client's session, in Exim's words."""

    COMMANDS: ClassVar[dict[str, str]] = {**Session.COMMANDS, "ETRN": "smtp_ETRN"}
    VERBS: ClassVar[dict[str, tuple[str, bool]]] = {
        "helo": ("HELO", True), "ehlo": ("EHLO", True), "auth": ("AUTH", True), "starttls": ("STARTTLS", False),
        "mail from:": ("MAIL", True), "rcpt to:": ("RCPT", True), "data": ("DATA", False), "bdat": ("BDAT", True),
        "quit": ("QUIT", False), "rset": ("RSET", False), "noop": ("NOOP", True), "etrn": ("ETRN", True),
        "vrfy": ("VRFY", True), "expn": ("EXPN", True), "help": ("HELP", True),
    }  # fmt: skip
    """What a command begins with, its name, and whether it takes an argument."""

    def __init__(self, listener: Listener, address: str, port: int) -> None:
        super().__init__(listener, address, port)
        self._text = ""
        """The command that is obeyed."""
        self._had: list[str] = []
        self._mistakes = self._unknown = 0
        self._mail_refused = self._after_refused_mail = False
        self._is_rcpt = self._after_rcpt = False
        """Whether this command, and the one before, is MAIL and was refused, or is RCPT."""
        self._refusals: list[str] = []
        """What the RCPT commands of this transaction were answered."""
        self._offered_chunks = False
        """Whether CHUNKING was ever offered, which a HELO does not take back."""
        self._offered_extensions = self._offered_pipelining = False
        """Whether the last greeting that was taken was an EHLO, and PIPELINING was offered; `_extended` tells it of one
        that was refused, too."""
        self._tried = 0
        """The RCPT commands of this transaction, whatever became of them: ``recipients_max`` is about those."""
        self._received = 0
        """Octets of a message that came in chunks."""

    def _flush(self) -> None:
        self._out = [_ENHANCED.sub(rb"\1", line) for line in self._out]
        super()._flush()

    # -- commands

    def _command(self, line: bytes) -> None:
        """Obey one command."""
        self._text = line.decode("utf-8", "surrogateescape").rstrip()
        self._after_refused_mail, self._mail_refused = self._mail_refused, False
        self._after_rcpt, self._is_rcpt = self._is_rcpt, False
        if "\0" in self._text:
            self._text = self._text.replace("\0", "?")
            self._say(501, "NUL characters are not allowed in SMTP commands")
            return self._mistake(_SYNTAX)
        if len(line) > AUTH_LIMIT or has_control(self._text.replace("\t", " ")):  # Exim would pass it on
            return self._wrong(_SYNTAX, 501, "control characters or too long a line: command refused")
        verb, argument = self._parsed(self._text)
        if self._listener.draining and self._mail is None and verb != "QUIT":
            return self.leave_when_idle()
        if self._between_chunks(verb):
            return None
        if not verb:
            return self._turn_away_http() if HTTP.match(self._text) else self._not_known()
        self._had.append(verb)
        if argument and not dict(self.VERBS.values())[verb]:
            return self._wrong(_SYNTAX, 501, "unexpected argument data")
        return self._obey(verb, argument)

    def _parsed(self, text: str) -> tuple[str, str]:
        """Return a command's name, empty if there is no such one, and its argument."""
        lower = text.lower()
        for start, (verb, _) in self.VERBS.items():
            if lower.startswith(start) and (start[-1] == ":" or lower[len(start) : len(start) + 1] in ("", " ")):
                return verb, text[len(start) :].strip()
        return "", ""

    def _not_known(self) -> None:
        self._unknown += 1
        if self._unknown <= self._policy.unknown_commands_max:
            return self._wrong(_SYNTAX, 500, "unrecognized command")
        self._listener.log.misspoke(self._client(), self._shown(), Reply(500, "unrecognized command"))
        self.exit_status = 0
        self._drop('too many unrecognized commands (last was "{command}")')
        return self._say_last("500 Too many unrecognized commands")

    def _between_chunks(self, verb: str) -> bool:
        """Answer a command in the middle of a message that comes in chunks, unless it may stand there."""
        if self._content is None or verb in ("BDAT", "RSET", "NOOP", "QUIT"):
            return False
        self._wrong(_PROTOCOL, 503, "only BDAT permissible after non-LAST BDAT")
        return True

    # -- mistakes

    def _wrong(self, kind: str, code: int, text: str, data: str = "", *, repeated: str = "") -> None:
        """Say what is wrong with a command, and count it; what is *repeated* is not logged: it may be a password."""
        self._listener.log.misspoke(self._client(), self._shown(), Reply(503 if kind == _PROTOCOL else 501, text))
        if data:
            text = f"{data}: {text}"
        if repeated:
            text = f"{repeated} {text}"
        if self._is_rcpt:
            self._refusals.append(f"{code} {text}")
        if self._mistakes < self._policy.syntax_errors_max:
            self._say(code, text)
            self._mistakes += 1
        else:
            self._out.append(f"{code}-{text}\r\n".encode("utf-8", "surrogateescape"))
            self._dropped_for_mistakes()
            self._say_last(f"{code} Too many syntax or protocol errors")

    def _mistake(self, kind: str) -> None:
        """Count a mistake that has been answered."""
        self._listener.log.misspoke(self._client(), self._shown(), Reply(503 if kind == _PROTOCOL else 501, ""))
        self._mistakes += 1
        if self._mistakes > self._policy.syntax_errors_max:
            self._dropped_for_mistakes()
            self._close()

    def _dropped_for_mistakes(self) -> None:
        had = ",".join(self._had[-VERBS_SHOWN:])
        self._drop('too many syntax or protocol errors (last command was "{command}",  C={had})', had=had)

    def _drop(self, why: str, **words: str) -> None:
        self._ending = ""
        form = f"SMTP call from {{who}} dropped: {why}"
        self._turn_down(form, **words)

    def _turn_down(self, form: str, *, needs: str = "", aside: str = "reject", **words: object) -> None:
        words = {"command": printable(self._shown()), **words}
        self._listener.log.turned_down(self._client(), form, needs=needs, aside=aside, **words)

    def _shown(self) -> str:
        """Return the command for the log, but for what may be a secret."""
        verb, argument = self._parsed(self._text)
        if verb == "AUTH":
            return f"AUTH {argument.partition(' ')[0][:SHOWN_LIMIT]}"
        return self._text if verb or not self._secrets_said else "(not shown behind AUTH)"

    def _say(self, code: int, text: str) -> None:
        self._reply(Reply(code, text))

    def _trouble(self, verb: str, argument: str, error: Exception) -> None:
        if isinstance(error, Refused):
            code, text = error.reply.code, error.reply.text.removeprefix(f"{error.reply.enhanced} ")
            if verb in ("AUTH", "STARTTLS") and code in (503, 504):
                mechanism = argument.partition(" ")[0] if code == 504 else ""
                return self._wrong(_PROTOCOL, code, text, repeated=printable(mechanism[:SHOWN_LIMIT]))
            if verb == "RCPT":
                self._refusals.append(text)
            error = Refused(Reply(code, text))
        return super()._trouble(verb, f"TO:{argument}" if verb == "RCPT" else argument, error)

    def _count_error(self, weight: int = 1) -> None:
        """What logging in counts is not counted here (Exim does not)."""

    # -- the end

    def eof_received(self) -> bool:
        """Say so: Exim waits for QUIT."""
        if not self._waiting and not self._unread and self._is_open():
            self._lost()
            return False
        return super().eof_received()

    def _listen_or_leave(self, transport: object) -> None:
        if self._ended and self._is_open():
            self._lost()
        else:
            super()._listen_or_leave(transport)  # type: ignore[arg-type]

    def _lost(self) -> None:
        """The client has gone without QUIT."""
        hostname = self._policy.hostname
        if self._content is not None:
            return self._lost_in_message()
        if self._mail is not None:
            what = "disconnection" if self._address else "EOF"
            form = "unexpected {what} while reading SMTP command from {who} D=0s"
            self._turn_down(form, needs=_LOST, aside="", what=what)
        self._ending = ""
        return self._say_last(f"421 {hostname} lost input connection")

    def _lost_in_message(self) -> None:
        where = ""
        if self._incoming is not None:
            start = self._incoming.sink.beginning(1 << 20)
            start += self._body.held if isinstance(self._body, Dotted) else b""
            whole = b"\r\n\r\n" in start or start.startswith(b"\r\n")
            where = "" if whole else " (header)" if b"\r\n" not in start else " (after header)"
        form = "SMTP connection from {who} lost while reading message data{where}"
        self._turn_down(form, needs=_LOST, aside="", where=where)
        self._ending = ""
        self._say_last("421 Lost incoming connection")

    def smtp_QUIT(self, argument: str) -> None:
        """QUIT."""
        self._ending = "closed by QUIT"
        if self._content is None:
            self.exit_status = 0
            return self._say_last(f"221 {self._policy.hostname} closing connection")
        self._say(221, f"{self._policy.hostname} closing connection")
        return self._lost_in_message()

    # -- greetings

    def _greeted(self, verb: str, argument: str) -> bool:
        """Note who it says it is; return whether that can be. Whether there are extensions counts even if it cannot."""
        self._extended = verb == "EHLO"
        if not _HELO_NAME.fullmatch(argument):
            self._say(501, f"Syntactically invalid {verb} argument(s)")
            form = "rejected {verb} from {who}: syntactically invalid argument(s): {argument}"
            self._turn_down(form, verb=verb, argument=printable(argument) or "(no argument given)")
            self._mistakes += 1
            if self._mistakes > self._policy.syntax_errors_max:
                self._dropped_for_mistakes()
                self._close()
            return False
        self._reset()
        self._helo, self._known_client = argument, None
        return True

    def smtp_HELO(self, hostname: str) -> None:
        """HELO: no extensions."""
        if self._greeted("HELO", hostname):
            self._offered_extensions = self._offered_pipelining = False
            self._say(250, f"{self._policy.hostname} Hello {self._hello_name()}")

    def smtp_EHLO(self, hostname: str) -> None:
        """EHLO: what Exim offers, in its order."""
        if not self._greeted("EHLO", hostname):
            return
        policy = self._policy
        offered = partial(policy.offers_to, address=self._address)
        self._offered_extensions, self._offered_pipelining = True, offered("PIPELINING")
        self._offered_chunks = self._offered_chunks or offered("CHUNKING")
        mechanisms = self._mechanisms()
        words = [
            f"{policy.hostname} Hello {self._hello_name()}",
            f"SIZE {policy.message_size_limit}" if policy.message_size_limit else "SIZE",
            *["8BITMIME"] * offered("8BITMIME"),
            *["DSN"] * offered("DSN"),
            *["PIPELINING"] * offered("PIPELINING"),
            *[f"AUTH {' '.join(mechanisms)}"] * bool(mechanisms),
            *["CHUNKING"] * offered("CHUNKING"),
            *["STARTTLS"] * self._offers_tls(),
            *["SMTPUTF8"] * offered("SMTPUTF8"),
            "HELP",
        ]
        self._say(250, "\n".join(words))

    def _read(self, text: str, *, may_be_null: bool = False) -> Address:
        return read_address(text, may_be_null=may_be_null, literals=self._policy.domain_literals)

    def _offers_tls(self) -> bool:
        return not self._tls and self._policy.offers_tls(self._address)

    # -- the envelope

    def smtp_MAIL(self, argument: str) -> None:
        """MAIL: a transaction begins."""
        self._mail_refused = True
        policy = self._policy
        if not self._helo:
            self._say(503, "HELO or EHLO required")
            return self._turn_down("rejected MAIL from {who}: no HELO/EHLO given")
        if self._mail is not None:
            return self._wrong(_PROTOCOL, 503, "sender already given")
        if not argument:
            return self._wrong(_PROTOCOL, 501, "MAIL must have an address operand")
        if policy.accept_max_per_connection and self._messages >= policy.accept_max_per_connection:
            self._say(421, "too many messages in this connection")
            return self._turn_down("rejected MAIL command {whence}: too many messages in one connection")
        self._reset()
        path, given = self._options(argument, self._mail_option)
        if "" in given:
            return self._wrong(_SYNTAX, 501, given[""])
        return self._mail_from(path, given)

    def _mail_from(self, path: str, given: dict[str, str]) -> None:
        policy = self._policy
        try:
            sender = self._read(path, may_be_null=True)
        except NotAnAddress as error:
            return self._wrong(_SYNTAX, 501, str(error), path)
        size, limit = min(int(given.get("SIZE") or 0), SIZE_LIMIT), policy.message_size_limit
        if limit and size > limit:
            self._say(552, "Message size exceeds maximum permitted")
            told = f"{'>' * (size == SIZE_LIMIT)}={size}"
            return self._turn_down(
                "rejected MAIL FROM:<{sender}> {whence}: message too big: size{told} max={limit}",
                needs="size_reject", sender=sender, told=told, limit=limit,
            )  # fmt: skip
        if policy.room.is_short(size):
            self._say(452, "Space shortage, please try later")
            return self._turn_down(policy.room.exims_complaint(), aside="")
        if sender and not sender.domain and self._address and not policy.senders_bare(self._address):
            self._say(501, f"{path}: sender address must contain a domain")
            return self._turn_down("unqualified sender rejected: <{sender}> {whence}", needs=_BAD_SYNTAX, sender=sender)
        self._mail_refused = False
        if self._peer is not None:
            sender = policy.sender(self._peer, sender)
        smtputf8 = "SMTPUTF8" in given
        self._mail = MailFrom(
            sender, size, given.get("BODY", "").upper(), smtputf8, given.get("RET", "").upper(), given.get("ENVID", "")
        )
        return self._say(250, "OK")

    def _mail_option(self, name: str, value: str, given: dict[str, str]) -> bool:
        """Take one of MAIL's parameters into *given*, a mistake under the empty name; return whether it is one."""
        dsn = self._policy.offers_to("DSN", self._address)
        match name:
            case "SIZE":
                if not _SIZE.fullmatch(value):
                    return True
            case "BODY":
                if value.upper() not in ("8BITMIME", "7BIT"):
                    given[""] = "invalid data for BODY"
            case "RET" if dsn:
                if "RET" in given:
                    given[""] = "RET can be specified once only"
                elif value.upper() not in ("HDRS", "FULL"):
                    given[""] = "Value for RET is invalid"
            case "ENVID" if dsn:
                if "ENVID" in given:
                    given[""] = "ENVID can be specified once only"
            case "RET" | "ENVID" | "AUTH":
                return True
            case "SMTPUTF8":
                pass
            case _:
                return False
        given[name] = value
        return True

    def _options(self, argument: str, take: Take) -> tuple[str, dict[str, str]]:
        """Return the path in *argument*, and the parameters behind it: from the last one back to what is none."""
        given: dict[str, str] = {}
        while self._extended and "" not in given and (match := _OPTION.fullmatch(argument)):
            name = match[2] or match[4]
            if '"' in name or not take(name.upper(), match[3] or "", given):
                break
            argument = match[1]
        return argument, given

    def smtp_RCPT(self, argument: str) -> None:
        """RCPT: one recipient."""
        self._is_rcpt = True
        self._tried += 1
        if self._mail is None:
            if self._offered_pipelining and self._after_refused_mail:
                self._mail_refused = True
                self._refusals.append("503 sender not yet given")
                return self._say(503, "sender not yet given")
            self._wrong(_PROTOCOL, 503, "sender not yet given")
            self._is_rcpt = False
            return None
        if not argument:
            return self._wrong(_SYNTAX, 501, "RCPT must have an address operand")
        path, given = self._options(argument, self._rcpt_option)
        if "" in given:
            return self._wrong(_SYNTAX, 501, given[""])
        try:
            address = self._read(path)
        except NotAnAddress as error:
            return self._wrong(_SYNTAX, 501, str(error), path)
        return self._rcpt_to(path, Recipient(address, given.get("NOTIFY", "").upper(), given.get("ORCPT", "")))

    def _rcpt_to(self, path: str, recipient: Recipient) -> None:
        address, policy = recipient.address, self._policy
        if not (address.domain or self._may_be_bare(address)):
            self._refusals.append(f"501 {path}: recipient address must contain a domain")
            self._say(501, f"{path}: recipient address must contain a domain")
            return self._turn_down(
                "unqualified recipient rejected: <{address}> {whence}", needs=_BAD_SYNTAX, address=address
            )
        if policy.recipients_max and self._tried > policy.recipients_max:
            return self._too_many()
        if not (self._authenticated[0] or self._may_relay()):
            raise Refused(Reply(550, "relay not permitted"))
        self._recipients.append(recipient)
        return self._say(250, "Accepted")

    def _too_many(self) -> None:
        """Turn down a recipient over the limit; the log tells of the first one."""
        whole = self._policy.recipients_max_reject
        self._say(552 if whole else 452, "too many recipients")
        if not self._over_limit:
            self._over_limit = True
            what = "message rejected" if whole else "excess temporarily rejected"
            form = "too many recipients: {what}: sender=<{sender}> {whence}"
            self._turn_down(form, what=what, sender=self._mail.sender if self._mail else "")

    def _may_be_bare(self, address: Address) -> bool:
        """Whether a recipient may be without a domain."""
        return (
            not self._address
            or self._policy.recipients_bare(self._address)
            or address.local_part.lower() == "postmaster"
        )

    def _rcpt_option(self, name: str, value: str, given: dict[str, str]) -> bool:
        """Take one of RCPT's parameters into *given*, a mistake under the empty name; return whether it is one."""
        if name not in ("NOTIFY", "ORCPT") or not self._policy.offers_to("DSN", self._address):
            return False
        if name in given:
            given[""] = f"{name} can be specified once only"
        elif name == "NOTIFY" and not _NOTIFY.fullmatch(value):
            given[""] = "Invalid value for NOTIFY parameter"
        given[name] = value
        return True

    def _reset(self) -> None:
        super()._reset()
        self._refusals = []
        self._tried, self._over_limit = 0, False

    # -- the content

    def smtp_DATA(self, argument: str) -> None:
        """DATA: the message, up to the lone dot."""
        if not self._recipients:
            return self._no_recipients("DATA")
        if self._is_refused_whole():
            self._reset()
            return self._say(554, "Too many recipients")
        self._body = Dotted(self._begin_content())
        self._chunk, self._chunking, self._received = (0, True), False, 0
        return self._say(354, 'Enter message, ending with "." on a line by itself')

    def _no_recipients(self, verb: str) -> None:
        text = ""
        if self._refusals and len(set(self._refusals)) == 1:
            text = f"All RCPT commands were rejected with this error:\n{self._refusals[0]}\n"
        self._out.append("".join(f"503-{line}\r\n" for line in text.splitlines()).encode("utf-8", "surrogateescape"))
        if self._offered_pipelining and self._after_rcpt:
            return self._say(503, f"Valid RCPT command must precede {verb}")
        return self._wrong(_PROTOCOL, 503, f"valid RCPT command must precede {verb}")

    def _begin_content(self) -> Content:
        self._incoming = self._listener.intake.begin()
        policy = self._policy
        self._content = _AsExim(
            self._incoming.sink, policy.message_size_limit, policy.line_length_limit, normalize=True
        )
        return self._content

    def smtp_BDAT(self, argument: str) -> None:
        """BDAT: a chunk of the message."""
        if not self._offered_chunks:
            return self._wrong(_PROTOCOL, 503, "BDAT command used when CHUNKING not advertised")
        match = _CHUNK.fullmatch(argument)
        if match is None:
            return self._wrong(_PROTOCOL, 501, "missing size for BDAT command")
        size, last = int(match[1]), match[2].upper() == "LAST"
        if self._recipients and self._content is None and not self._is_refused_whole():
            self._begin_content()
            self._received = 0
        self._body = Counted(size, self._content)
        self._chunk, self._chunking = (size, last), True
        self._received += size
        if not size:
            self._body_ended()
        return None

    def _body_ended(self) -> None:
        size, last = self._chunk
        if self._content is None:
            self._body = None
            return self._no_recipients("BDAT")
        if last:
            return super()._body_ended()
        self._body = None
        return self._say(250, f"{size} byte chunk received")

    def _answer(self, reply: Reply, why: str = "") -> None:
        """Say what became of the message."""
        text = reply.text.removeprefix(f"{reply.enhanced} ")
        if reply.positive and self._chunking:
            cut = self._incoming is not None and not self._incoming.sink.beginning(SIZE_LIMIT).endswith(b"\r\n")
            text = f" {self._chunk[0]} byte chunk, total {self._received + 2 * cut}\n{text}"
        if reply.code == 552 and isinstance(self._content, _AsExim):
            why = f"message too big: read={self._content.read} max={self._policy.message_size_limit}"
        return super()._answer(Reply(reply.code, text), why)

    # -- the rest

    def smtp_NOOP(self, argument: str) -> None:
        """NOOP."""
        self._say(250, "OK")

    def smtp_HELP(self, argument: str) -> None:
        """HELP."""
        tls = "STARTTLS " * self._offers_tls()
        self._say(214, f"Commands supported:\nAUTH {tls}HELO EHLO MAIL RCPT DATA BDAT NOOP QUIT RSET HELP")

    def smtp_VRFY(self, argument: str) -> None:
        """VRFY: there is no ACL that would let it."""
        try:
            address = self._read(argument)
        except NotAnAddress as error:
            return self._say(501, str(error))
        if not (address.domain or self._may_be_bare(address)):
            self._turn_down("unqualified verify rejected: <{address}> {whence}", needs=_BAD_SYNTAX, address=address)
            return self._say(501, f"{argument}: recipient address must contain a domain")
        return self._prohibited(252, "VRFY", argument)

    async def smtp_EXPN(self, argument: str) -> None:
        """EXPN: likewise."""
        self._prohibited(550, "EXPN", argument)

    def smtp_ETRN(self, argument: str) -> None:
        """ETRN: likewise."""
        if self._mail is not None:
            return self._wrong(_PROTOCOL, 503, "ETRN is not permitted inside a transaction")
        self._turn_down("ETRN {argument} received from {who}", aside="", argument=printable(argument))
        return self._prohibited(458, "ETRN", argument)

    def _prohibited(self, code: int, verb: str, argument: str) -> None:
        self._say(code, "Administrative prohibition")
        self._turn_down("{whence} rejected {verb} {argument}", verb=verb, argument=printable(argument))

    async def smtp_STARTTLS(self, argument: str) -> None:
        """STARTTLS."""
        if self._policy.tls is None and self._offers_tls():
            return self._say(454, "TLS currently unavailable")
        return await super().smtp_STARTTLS(argument)

    async def smtp_AUTH(self, argument: str) -> None:
        """AUTH: by the configured authenticators."""
        if not (self._offered_extensions and self._mechanisms()):
            raise Refused(Reply(503, "AUTH command used when not advertised"))
        if not (self._authenticated[0] or self._mail) and not _MECHANISM.fullmatch(argument.partition(" ")[0]):
            return self._wrong(_SYNTAX, 501, "invalid character in authentication mechanism name")
        return await super().smtp_AUTH(argument)


class _AsExim(Content):
    """A message's octets with Exim's line ends: a bare CR is one, a bare LF a space, in the header a folded line.

    Where the first line ends with a bare LF, that is a line end throughout.
    """

    read = 0
    """Octets that came, each line end counted as one."""
    _in_header = True
    _local_ends: bool | None = None

    def write(self, block: bytes) -> None:
        """Take *block*, which may end anywhere."""
        block, self._held = self._held + block, b""
        if block.endswith(b"\r"):  # its LF may be in the next block
            block, self._held = block[:-1], b"\r"
        self._take(block)

    def finish(self) -> None:
        """Take what was held back."""
        block, self._held = self._held, b""
        self._take(block)

    def _take(self, block: bytes) -> None:
        if self._local_ends is None and (first := block.find(b"\n")) >= 0:
            self._local_ends = block[:first][-1:] != b"\r"
        if self._in_header:
            header, end, body = block.partition(b"\r\n\r\n")
            self._in_header = not end
            block = self._with_ends(header, b"\r\n ") + end + self._with_ends(body, b" ")
        else:
            block = self._with_ends(block, b" ")
        self.read += len(block) - block.count(b"\r\n")
        if self._size_limit and self.read > self._size_limit and self.refusal is None:
            self._refuse(Reply(552, "Message size exceeds maximum permitted"))
        if block and self.refusal is None and self.failure is None:
            self._check(block)

    def _with_ends(self, block: bytes, bare: bytes) -> bytes:
        bare = b"\r\n" if self._local_ends else bare
        return _ENDS.sub(lambda end: bare if end[0] == b"\n" else b"\r\n", block)
