"""Every line that an operator reads in the log, one function each, in the form of Exim's main log.

``eximstats`` and ``exigrep`` read these lines, so the columns matter: date, time, id, flag (exim.md 10.1). What stands
in a line beyond the usual is ``log_selector``'s matter (``selectors.py``). The same functions give JSON where
``log_format = json``: one object a line, with ``event`` and the fields that the text was made of; there every field
stands, whatever is selected. Text from outside passes through ``printable``, so nothing can forge a line.

Rejections are written to the reject log too, and defects of ours to the panic log, where there are such files.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from msgspec import Struct

from smarthostd import selectors
from smarthostd.address import Address
from smarthostd.clock import Clock
from smarthostd.envelope import Client, Message
from smarthostd.outcome import Deferred, Delivered, Failed, Hold, Host
from smarthostd.reply import Reply
from smarthostd.syntax import format_time, printable, whole

Write = Callable[[str], None]
"""Takes one finished line, without its newline."""
WriteTo = Callable[[str, str], None]
"""Takes ``reject`` or ``panic``, and a line for that log."""
LONGEST_WITH_MILLISECONDS = 5.0
"""Seconds over which a duration has none (Exim's limit)."""

NOT_TRIED_FROM = -51
"""This number and those below it are of deferrals of what was not tried, for its time has not come."""
_UNROUTED = frozenset({-52, -56})
"""Those among them behind whose address Exim says ``routing``."""

_STRERROR = {104: "Connection reset by peer", 110: "Connection timed out", 111: "Connection refused"}
_STRERROR |= {101: "Network is unreachable", 113: "No route to host"}
_EIGHT_BIT = {"8BITMIME": 8, "7BIT": 7}


def _whole(value: object) -> object:
    """Return *value* with octets that are no text written as in the other form of the log: ``\\377``.

    JSON would have them as halves of a pair, which strict readers refuse.
    """
    if isinstance(value, str):
        return whole(value)
    return [_whole(one) for one in value] if isinstance(value, list) else value


def strerror(errno: int) -> str:
    """Return the system's text for a positive *errno*, as Exim prints it; empty for Exim's own numbers."""
    return "" if errno <= 0 else _STRERROR.get(errno) or os.strerror(errno)


class LogStyle(Struct, frozen=True):
    """How lines look, and what they say."""

    as_json: bool = False
    selected: frozenset[str] = selectors.USUAL
    zone: bool = False
    """Whether the time has its zone behind it (``log_timezone``)."""


class Way(Struct, frozen=True):
    """Whom a line about a delivery names, and which way the mail took."""

    address: Address
    """A file or a command has its name as local part, and no domain."""
    original: Address
    parents: tuple[Address, ...] = ()
    """What was redirected into *address*, the nearest first, *original* at the end."""
    router: str = ""
    transport: str = ""
    return_path: Address | None = None
    """None where no transport has chosen one."""
    seconds: float = 0.0
    """How long the attempt took."""


class MainLog:
    """Writes the log: one method a line."""

    def __init__(
        self, write: Write, clock: Clock, style: LogStyle = LogStyle(), aside: WriteTo = lambda log, line: None
    ) -> None:
        self._write = write
        self._clock = clock
        self._aside = aside
        self._second = -1
        self._stamp = ""
        self.renew(style)

    def renew(self, style: LogStyle) -> None:
        """Write lines of another style from now on."""
        self._style = style
        self._on = style.selected
        self._second = -1
        self._millisec = "millisec" in self._on
        self._pid = f" [{os.getpid()}]" if "pid" in self._on else ""

    # -- lines and their parts

    def _now(self) -> str:
        now = self._clock.now()
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
            self._zone = time.strftime(" %z", time.localtime(second)) if self._style.zone else ""
        fraction = f".{int(now % 1 * 1000):03d}" if self._millisec else ""
        return f"{self._stamp}{fraction}{self._zone}{self._pid}"

    def _line(self, event: str, text: str, id: str = "", *, aside: str = "", **fields: object) -> None:
        if self._style.as_json:
            record = {"time": self._clock.now(), "event": event, "id": id, **fields, "text": text}
            told = {key: value for key, value in record.items() if value not in ("", None, (), [])}
            line = json.dumps(told)
            if "\\ud" in line:
                line = json.dumps({key: _whole(value) for key, value in told.items()})
        else:
            line = f"{self._now()} {id} {printable(text)}" if id else f"{self._now()} {printable(text)}"
        self._write(line)
        if aside:
            self._aside(aside, line)

    def _duration(self, seconds: float) -> str:
        if self._millisec and seconds < LONGEST_WITH_MILLISECONDS:
            return f"{max(seconds, 0):.3f}s"
        if seconds < 1:
            return "0s"
        return format_time(timedelta(seconds=seconds))

    def _client(self, client: Client, *, message: bool = False) -> str:
        """Return ``H=name (helo) [ip]:port I=[ip]:port U=user``, and for a *message* also ``P=… L X=… A=… K``."""
        fields = [f"H={self._who(client)}"] if client.address else []
        if client.interface and "incoming_interface" in self._on:
            fields.append(f"I={client.interface}")
        if client.login:
            fields.append(f"U={client.login}")
        if message:
            fields.append(f"P={client.protocol}")
            if client.pipelining is not None and "pipelining" in self._on:
                fields.append("L" if client.pipelining else "L-")
            if client.tls and "tls_cipher" in self._on:
                fields.append(f"X={client.tls}")
            if client.authenticator:
                id = f":{client.authenticated_id}" if client.authenticated_id else ""
                fields.append(f"A={client.authenticator}{id}")
            if client.chunking:
                fields.append("K")
        return " ".join(fields)

    def _who(self, client: Client) -> str:
        """Return ``name (helo) [ip]:port``, or a local user's login."""
        if not client.address:
            return client.login or "a local user"
        place = f"[{client.address}]"
        if client.port and "incoming_port" in self._on:
            place += f":{client.port}"
        name = client.name
        if client.helo and client.helo.lower() != name.lower():
            name = f"{name} ({client.helo})".lstrip()
        return f"{name} {place}".lstrip()

    def _host(self, host: Host) -> str:
        """Return ``H=name [ip]``, with the port where that is wanted."""
        port = f":{host.port}" if "outgoing_port" in self._on else ""
        return f"H={host.name} [{host.address}]{port}" if host.address else f"H={host.name}"

    def _sender(self, message: Message) -> str:
        return f" F=<{message.envelope.sender}>" if "sender_on_delivery" in self._on else ""

    def _return_path(self, way: Way) -> str:
        return "" if way.return_path is None or "return_path_on_delivery" not in self._on else f" P=<{way.return_path}>"

    def _took(self, way: Way) -> str:
        return f" DT={self._duration(way.seconds)}" if "deliver_time" in self._on else ""

    def _address(self, way: Way, *, local: bool = False) -> str:
        """Return the address, those between it and the original one where wanted, and that one where it differs.

        A *local* delivery shows the local part alone, and always the original address.
        """
        item = not way.address.domain
        text = way.address.local_part if local else str(way.address)
        between = way.parents[:-1] if "all_parents" in self._on else way.parents[:-1][:item]
        if between:
            text += f" ({', '.join(map(str, between))})"
        differs = way.address.local_part != way.original.local_part
        differs = differs or way.address.domain.lower() != way.original.domain.lower()
        return f"{text} <{way.original}>" if local or between or differs else text

    # -- a message's life

    def received(self, message: Message, parent: str = "", seconds: float = 0.0) -> None:
        """``<=``: the message is in the spool; *parent* is the id of the message that a bounce is about.

        *seconds* is what receiving it took.
        """
        on, envelope = self._on, message.envelope
        client, size = envelope.client, message.content.size
        sender = str(envelope.sender) or "<>"
        text = f"<= {sender} {f'R={parent} ' if parent else ''}{self._client(client, message=True)} S={size}"
        if "8bitmime" in on:
            text += f" M8S={_EIGHT_BIT.get(envelope.body, 0)}"
        if "receive_time" in on:
            text += f" RT={self._duration(seconds)}"
        text += self._message_id(message)
        if "subject" in on and message.subject:
            text += f" T={quoted(message.subject)}"
        if "received_sender" in on:
            text += f" from <{envelope.sender}>"
        if "received_recipients" in on:
            text += f" for {' '.join(map(str, envelope.recipients))}"
        if not self._style.as_json:
            return self._line("received", text, message.id)
        return self._line(
            "received", text, message.id, sender=sender, size=size, parent=parent, protocol=client.protocol,
            client=client.address, client_port=client.port or None, client_name=client.name, helo=client.helo,
            interface=client.interface, login=client.login, tls=client.tls, authenticator=client.authenticator,
            authenticated=client.authenticated_id, pipelining=client.pipelining, chunking=client.chunking or None,
            body=envelope.body, message_id=message.message_id, seconds=round(seconds, 3),
            subject=message.subject if "subject" in on else "", recipients=[str(one) for one in envelope.recipients],
        )  # fmt: skip

    def _message_id(self, message: Message) -> str:
        if not message.message_id or "msg_id" not in self._on:
            return ""
        if not message.message_id.startswith(f"E{message.id}@"):
            return f" id={message.message_id}"
        return f" id*={message.message_id}" if "msg_id_created" in self._on else ""

    def delivered(self, message: Message, way: Way, outcome: Delivered) -> None:
        """``=>`` for the first recipient of a transaction, ``->`` for the others."""
        on, host = self._on, outcome.host
        mark = "*>" if outcome.bypassed else "->" if outcome.behind else "=>"
        text = f"{mark} {self._address(way, local=host is None)}"
        text += f"{self._sender(message)}{self._return_path(way)} R={way.router} T={way.transport}"
        if "delivery_size" in on:
            text += f" S={message.content.size}"
        if host:
            text += f" {self._host(host)}{'*' if outcome.reused else ''}{self._interface(outcome)}"
        text += self._session(outcome)
        if outcome.reply and "smtp_confirmation" in on:
            text += f" C={quoted(str(outcome.reply))}"
        if outcome.bypassed and host:
            text += ' C="delivery bypassed by -N option"'
        if "queue_time" in on:
            text += f" QT={self._duration(self._clock.now() - message.received)}"
        text += self._took(way)
        if not self._style.as_json:
            return self._line("delivered", text, message.id)
        return self._line(
            "delivered", text, message.id, recipient=str(way.original),
            address=str(way.address) if way.address != way.original else "", router=way.router,
            transport=way.transport, **_place(host), reply=outcome.reply and str(outcome.reply), tls=outcome.tls,
            verified=outcome.verified if outcome.tls else None, peer=outcome.peer, authenticator=outcome.authenticator,
            pipelining=outcome.pipelining or None, chunking=outcome.chunking or None, reused=outcome.reused or None,
            interface=outcome.local[0], parents=[str(one) for one in way.parents[:-1]],
            sender=str(message.envelope.sender) or "<>", return_path=_named(way.return_path), size=message.content.size,
            seconds=round(way.seconds, 3), age=round(self._clock.now() - message.received, 3),
        )  # fmt: skip

    def _interface(self, outcome: Delivered) -> str:
        address, port = outcome.local
        if not (address and "incoming_interface" in self._on and "outgoing_interface" in self._on):
            return ""
        return f" I=[{address}]:{port}" if "outgoing_port" in self._on else f" I=[{address}]"

    def _session(self, outcome: Delivered) -> str:
        """Return what is told of the session: ``X=… CV=… DN=… A=… L K``."""
        on, text = self._on, ""
        if outcome.tls:
            text += f" X={outcome.tls}" if "tls_cipher" in on else ""
            text += f" CV={'yes' if outcome.verified else 'no'}" if "tls_certificate_verified" in on else ""
            text += f" DN={quoted(outcome.peer)}" if outcome.peer and "tls_peerdn" in on else ""
        text += f" A={outcome.authenticator}" if outcome.authenticator else ""
        text += " L" if outcome.pipelining and "pipelining" in on else ""
        return text + " K" * outcome.chunking

    def discarded(self, message: Message, way: Way) -> None:
        """``:blackhole:``: a redirection says that the address is to be dropped."""
        text = f"=> :blackhole: <{way.original}>{self._sender(message)} R={way.router}"
        self._line("discarded", text, message.id, recipient=str(way.original), router=way.router)

    def deferred(self, message: Message, way: Way, outcome: Deferred) -> None:
        """``==``: not now. ``F=`` is not told, as in Exim."""
        if outcome.errno <= NOT_TRIED_FROM and "retry_defer" not in self._on:
            return None
        text = f"== {self._address(way)}"
        text += f" R={way.router}" if way.router else ""
        text += f" T={way.transport}" if way.transport else ""
        text += f"{' routing' * (outcome.errno in _UNROUTED)} defer ({outcome.errno})"
        cause = strerror(outcome.errno)
        text += f": {cause}" if cause else ""
        # Exim names the host where a reply or a dialogue is quoted, not where connecting failed.
        text += f" {self._host(outcome.host)}" if outcome.host and outcome.text != cause else ""
        text += self._took(way)
        if outcome.text != cause:
            text += f": {outcome.text}"
        if outcome.maybe_delivered:
            text += " (maybe delivered)"
        aside = "panic" * outcome.alarm
        if not self._style.as_json:
            return self._line("deferred", text, message.id, aside=aside)
        return self._line(
            "deferred", text, message.id, aside=aside, recipient=str(way.original),
            router=way.router, transport=way.transport,
            address=str(way.address) if way.address != way.original else "", **_place(outcome.host),
            sender=str(message.envelope.sender) or "<>", errno=outcome.errno, reason=outcome.text,
            because=outcome.because, maybe_delivered=outcome.maybe_delivered or None, seconds=round(way.seconds, 3),
        )  # fmt: skip

    def failed(self, message: Message, way: Way, outcome: Failed) -> None:
        """``**``: never."""
        text = f"** {self._address(way)}{self._sender(message)}{self._return_path(way)}"
        took = ""
        if outcome.last is None:  # else the deferral's own line has said where, and how long it took
            took = self._took(way)
            text += f" R={way.router}" if way.router else ""
            text += f" T={way.transport}" if way.transport else ""
            text += f" {self._host(outcome.host)}" if outcome.host else ""
        self._line(
            "failed", f"{text}: {outcome.text}{took}", message.id, recipient=str(way.original),
            address=str(way.address) if way.address != way.original else "", router=way.router,
            transport=way.transport, **_place(outcome.host), sender=str(message.envelope.sender) or "<>",
            return_path=_named(way.return_path), reason=outcome.text, seconds=round(way.seconds, 3),
        )  # fmt: skip

    def failure_ignored(self, id: str, address: Address, parent: Address | None, reason: str = "") -> None:
        """Nobody is told of a failure: an empty ``errors_to``, RFC 3461 NOTIFY without FAILURE, a report too old."""
        text = f"{address}{f' <{parent}>' if parent else ''}: error ignored{': ' + reason if reason else ''}"
        self._line("ignored", text, id, recipient=str(address))

    def completed(self, message: Message) -> None:
        """All recipients are done; the message is gone."""
        age = self._clock.now() - message.received
        overall = f" QT={self._duration(age)}" if "queue_time_overall" in self._on else ""
        self._line("completed", f"Completed{overall}", message.id, seconds=round(age, 3))

    def frozen(self, id: str, reason: str = "") -> None:
        """The message waits for an operator."""
        self._line("frozen", f"Frozen ({reason})" if reason else "Frozen", id)

    def thawed(self, id: str, how: str) -> None:
        """A frozen message is taken up again: ``Unfrozen by auto-thaw``, or ended: ``cancelled by …``."""
        self._line("thawed", how, id)

    def still_frozen(self, id: str) -> None:
        """A queue run leaves a frozen message alone."""
        if "skip_delivery" in self._on:
            self._line("frozen", "Message is frozen", id)

    def cancelled(self, id: str, who: str) -> None:
        """Delivery ends because *who* wants it."""
        self._line("cancelled", f"cancelled by {who}", id, by=who)

    def told_later(self, id: str, reader: str) -> None:
        """A report on this message goes in the next digest for *reader* (``reports_per_minute``)."""
        self._line("report", f"report for {reader} waits for the next digest", id, reader=reader)

    def told(self, id: str, text: str) -> None:
        """A remark on a message: ``H=h [ip] Connection refused``, ``removed by root``."""
        self._line("note", text, printable(id))

    # -- clients

    def refused(self, client: Client, what: str) -> None:
        """A client's command was refused: *what* begins with ``rejected …``."""
        text = f"{self._client(client)} {what}".lstrip()
        self._line("refused", text, aside="reject", client=client.address, login=client.login)

    def refused_message(self, id: str, sender: Address, client: Client, reply: Reply, why: str = "") -> None:
        """A client's message was refused, after it was received; *why* is said in the reply's place."""
        if reply.code == 552 and "size_reject" not in self._on:
            return
        text = f"rejected from <{sender}> {self._client(client)}: {why or reply}"
        self._line(
            "refused", text, id, aside="reject", sender=str(sender), client=client.address, login=client.login,
            reply=str(reply),
        )  # fmt: skip

    def turned_down(
        self, client: Client, form: str, *, needs: str = "", aside: str = "reject", **words: object
    ) -> None:
        """A client was told no, in Exim's words: *form* holds ``{who}`` or ``{whence}``, and the names of *words*.

        It is told where the selector *needs* is on, and goes to the log *aside*, too.
        """
        if not needs or needs in self._on:
            text = form.format(who=self._who(client), whence=self._client(client), **words)
            self._line("refused", text, aside=aside, client=client.address, login=client.login)

    def alarmed(self, id: str, text: str) -> None:
        """Something that Exim tells in the panic log, too."""
        self._line("note", text, id, aside="panic")

    def login_failed(self, authenticator: str, client: Client, reply: Reply, id: str = "") -> None:
        """A client could not log in: as *id*, if ``server_set_id`` tells. What it sent is never told."""
        text = f"{authenticator} authenticator failed for {self._who(client)}: {reply}"
        text += f" (set_id={id})" if id else ""
        self._line("login failed", text, aside="reject", client=client.address, authenticator=authenticator)

    def turned_away(self, client: Client) -> None:
        """A client was not let in: there are too many."""
        if "connection_reject" in self._on:
            text = f"Connection from {self._who(client)} refused: too many connections"
            self._line("turned away", text, client=client.address)

    def connected(self, client: Client, count: int) -> None:
        """A session begins, *count* with it."""
        if "smtp_connection" in self._on:
            counted = f" (TCP/IP connection count = {count})" if client.address else ""
            text = f"SMTP connection from {self._who(client)}{counted}"
            self._line("connected", text, client=client.address, login=client.login)

    def parted(self, client: Client, how: str, seconds: float) -> None:
        """A session has ended: *how* is ``closed by QUIT``, ``lost``, ``lost while reading message data`` …"""
        orderly = how.startswith("closed")
        if ("smtp_connection" if orderly else "lost_incoming_connection") in self._on:
            lasted = "" if orderly else f" D={self._duration(seconds)}"
            text = f"SMTP connection from {self._who(client)} {how}{lasted}"
            self._line("parted", text, client=client.address, login=client.login, seconds=round(seconds, 3))

    def timed_out(self, client: Client, seconds: float) -> None:
        """A client was silent for too long."""
        if "lost_incoming_connection" in self._on:
            text = f"SMTP command timeout on connection from {self._who(client)} D={self._duration(seconds)}"
            self._line("timed out", text, client=client.address, login=client.login, seconds=round(seconds, 3))

    def no_mail(self, client: Client, commands: Sequence[str], seconds: float) -> None:
        """A session ended without a message."""
        if "smtp_no_mail" in self._on:
            said = f" C={','.join(commands)}" if commands else ""
            text = f"no MAIL in SMTP connection from {self._who(client)} D={self._duration(seconds)}{said}"
            self._line("no mail", text, client=client.address, login=client.login, commands=list(commands))

    def misspoke(self, client: Client, line: str, reply: Reply) -> None:
        """A client's command cannot be understood (500, 501, 555), or not now (503)."""
        kind = "protocol" if reply.code == 503 else "syntax"
        if f"smtp_{kind}_error" in self._on:
            text = f'SMTP {kind} error in "{line}" {self._client(client)} {reply.text}'
            self._line("misspoke", text, client=client.address, login=client.login)

    # -- the daemon

    def queue_run(self, what: str, flags: str = "") -> None:
        """``Start`` or ``End`` of a queue run that somebody asked for, with its *flags*: `` -qff``."""
        if "queue_run" in self._on:
            self._line("queue run", f"{what} queue run: pid={os.getpid()}{flags}")

    def noted(self, text: str) -> None:
        """A remark on no message."""
        self._line("note", text)

    def held(self, destination: str, hold: Hold) -> None:
        """The one alarm of a hold: an error, which the panic log (in syslog, an alert) has as well."""
        text = f"ALARM: mail for {destination} is held: {hold.text}; {hold.fix}"
        self._line("held", text, aside="panic", level="error", destination=destination, cause=hold.cause, fix=hold.fix)

    def opened(self, destination: str) -> None:
        """A destination that was held or backing off works again."""
        self._line("opened", f"mail for {destination} flows again", destination=destination)

    def reluctant(self, destination: str, text: str) -> None:
        """A destination takes sessions and has deferred message after message, the last one with this *text*."""
        line = f"mail for {destination} is deferred, message after message: it gets ten a second until it takes one"
        self._line("reluctant", f"{line}: {text}", destination=destination)

    def panicked(self, id: str, what: str, error: BaseException) -> None:
        """A defect of ours, with where it happened; mail waits because of it."""
        trace = error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else "?"
        self._line("panic", f"PANIC: {what}: {type(error).__name__} at {place}: {error}", id, aside="panic")


def _place(host: Host | None) -> dict[str, Any]:
    """Return what JSON says of a host."""
    if host is None:
        return {}
    return {"host": host.name, "host_address": host.address, "host_port": host.port if host.address else None}


def _named(sender: Address | None) -> str:
    return "" if sender is None else str(sender) or "<>"


def quoted(text: str) -> str:
    """Return *text* in quotes, those in it and backslashes escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'
