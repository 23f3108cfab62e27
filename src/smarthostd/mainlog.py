"""Every line that an operator reads in the log, one function each, in the form of Exim's main log.

``eximstats`` and ``exigrep`` read these lines, so the columns matter: date, time, id, flag (exim.md 10.1).
The same functions give JSON where ``log_format = json``: one object a line, with ``event`` and the fields
that the text was made of. Text from outside passes through ``printable``, so nothing can forge a line.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from smarthostd.address import Address
from smarthostd.clock import Clock
from smarthostd.envelope import Client, Message
from smarthostd.outcome import Deferred, Delivered, Failed, Hold, Host
from smarthostd.reply import Reply
from smarthostd.syntax import printable

if TYPE_CHECKING:
    from smarthostd.address import Address

Write = Callable[[str], None]
"""Takes one finished line, without its newline."""

_STRERROR = {104: "Connection reset by peer", 110: "Connection timed out", 111: "Connection refused"}
_STRERROR |= {101: "Network is unreachable", 113: "No route to host"}


def strerror(errno: int) -> str:
    """Return the system's text for a positive *errno*, as Exim prints it; empty for Exim's own numbers."""
    if errno <= 0:
        return ""
    import os

    return _STRERROR.get(errno) or os.strerror(errno)


def client_text(client: Client) -> str:
    """Return ``H=name (helo) [ip] U=user P=protocol X=… A=…`` for who handed a message in."""
    fields = []
    if client.address:
        name = client.name
        if client.helo and client.helo.lower() != name.lower():
            name = f"{name} ({client.helo})" if name else f"({client.helo})"
        fields.append(f"H={name} [{client.address}]" if name else f"H=[{client.address}]")
    if client.login:
        fields.append(f"U={client.login}")
    fields.append(f"P={client.protocol}")
    if client.tls:
        fields.append(f"X={client.tls}")
    if client.authenticator:
        fields.append(f"A={client.authenticator}:{client.authenticated_id}")
    return " ".join(fields)


def host_text(host: Host) -> str:
    """Return ``H=name [ip]``."""
    return f"H={host.name} [{host.address}]" if host.address else f"H={host.name}"


def original_text(address: Address, original: Address) -> str:
    """Return `` <original>`` where the envelope's recipient was spelled otherwise, else nothing."""
    return "" if address == original else f" <{original}>"


def confirmation_text(reply: Reply) -> str:
    """Return ``C="250 OK"``, quotes and backslashes escaped."""
    text = f"{reply.code} {reply.text}".replace("\n", f"\n{reply.code}-") if "\n" in reply.text else str(reply)
    return 'C="' + printable(text).replace('"', '\\"') + '"'


class MainLog:
    """Writes the log: one method a line."""

    def __init__(self, write: Write, clock: Clock, *, as_json: bool = False) -> None:
        self._write = write
        self._clock = clock
        self._as_json = as_json
        self._second = -1
        self._stamp = ""

    def _now(self) -> str:
        second = int(self._clock.now())
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return self._stamp

    def _line(self, event: str, text: str, id: str = "", **fields: object) -> None:
        if self._as_json:
            record = {"time": self._clock.now(), "event": event, "id": id}
            self._write(
                json.dumps({k: v for k, v in (record | fields | {"text": text}).items() if v not in ("", None)})
            )
        else:
            self._write(f"{self._now()} {id} {printable(text)}" if id else f"{self._now()} {printable(text)}")

    # -- a message's life

    def received(self, message: Message, parent: str = "") -> None:
        """``<=``: the message is in the spool; *parent* is the id of the message that a bounce is about."""
        envelope = message.envelope
        sender = str(envelope.sender) or "<>"
        origin = f"R={parent} {client_text(envelope.client)}" if parent else client_text(envelope.client)
        text = f"<= {sender} {origin} S={message.content.size}"
        if message.message_id:
            text += f" id={message.message_id}"
        self._line("received", text, message.id, sender=sender, size=message.content.size, parent=parent)

    def delivered(
        self,
        id: str,
        address: Address,
        original: Address,
        router: str,
        transport: str,
        outcome: Delivered,
        *,
        first: bool,
    ) -> None:
        """``=>`` for the first recipient of a transaction, ``->`` for the others."""
        shown = str(address) if outcome.host else address.local_part
        named = f" <{original}>" if outcome.host is None else original_text(address, original)
        text = f"{'=>' if first else '->'} {shown}{named} R={router} T={transport}"
        if outcome.host:
            text += f" {host_text(outcome.host)}{'*' if outcome.reused else ''}"
        if outcome.tls:
            text += f" X={outcome.tls} CV={'yes' if outcome.verified else 'no'}"
        if outcome.authenticator:
            text += f" A={outcome.authenticator}"
        if outcome.chunking:
            text += " K"
        if outcome.reply:
            text += f" {confirmation_text(outcome.reply)}"
        self._line(
            "delivered", text, id, recipient=str(original), router=router, transport=transport,
            host=outcome.host and outcome.host.name,
        )  # fmt: skip

    def discarded(self, id: str, original: Address, router: str) -> None:
        """``:blackhole:``: a redirection says that the address is to be dropped."""
        self._line("discarded", f"=> :blackhole: <{original}> R={router}", id, recipient=str(original), router=router)

    def deferred(
        self, id: str, address: Address, original: Address, router: str, transport: str, outcome: Deferred
    ) -> None:
        """``==``: not now."""
        text = f"== {address}{original_text(address, original)}"
        text += f" R={router}" if router else ""
        text += f" T={transport}" if transport else ""
        text += f" defer ({outcome.errno})"
        cause = strerror(outcome.errno)
        text += f": {cause}" if cause else ""
        # Exim names the host where a reply or a dialogue is quoted, not where connecting failed.
        text += f" {host_text(outcome.host)}" if outcome.host and outcome.text != cause else ""
        if outcome.text != cause:
            text += f": {outcome.text}"
        if outcome.maybe_delivered:
            text += " (maybe delivered)"
        self._line(
            "deferred", text, id, recipient=str(original), router=router, transport=transport, errno=outcome.errno,
            maybe_delivered=outcome.maybe_delivered or None,
        )  # fmt: skip

    def failed(
        self, id: str, address: Address, original: Address, router: str, transport: str, outcome: Failed
    ) -> None:
        """``**``: never."""
        text = f"** {address}{original_text(address, original)}"
        if outcome.last is None:  # else the deferral's own line has said where
            text += f" R={router}" if router else ""
            text += f" T={transport}" if transport else ""
            text += f" {host_text(outcome.host)}" if outcome.host else ""
        self._line("failed", f"{text}: {outcome.text}", id, recipient=str(original), router=router, transport=transport)

    def failure_ignored(self, id: str, address: Address, parent: Address | None, reason: str = "") -> None:
        """Nobody is told of a failure: an empty ``errors_to``, RFC 3461 NOTIFY without FAILURE, a report too old."""
        text = f"{address}{f' <{parent}>' if parent else ''}: error ignored{': ' + reason if reason else ''}"
        self._line("ignored", text, id, recipient=str(address))

    def completed(self, id: str) -> None:
        """All recipients are done; the message is gone."""
        self._line("completed", "Completed", id)

    def frozen(self, id: str, reason: str = "") -> None:
        """The message waits for an operator."""
        self._line("frozen", f"Frozen ({reason})" if reason else "Frozen", id)

    def thawed(self, id: str, how: str) -> None:
        """A frozen message is taken up again: ``Unfrozen by auto-thaw``, or ended: ``cancelled by …``."""
        self._line("thawed", how, id)

    def still_frozen(self, id: str) -> None:
        """A queue run leaves a frozen message alone."""
        self._line("frozen", "Message is frozen", id)

    def cancelled(self, id: str, who: str) -> None:
        """Delivery ends because *who* wants it."""
        self._line("cancelled", f"cancelled by {who}", id, by=who)

    def told_later(self, id: str, reader: str) -> None:
        """A report on this message goes in the next digest for *reader* (``reports_per_minute``)."""
        self._line("report", f"report for {reader} waits for the next digest", id, reader=reader)

    def told(self, id: str, text: str) -> None:
        """A remark on a message: ``H=h [ip] Connection refused``, ``removed by root``."""
        self._line("note", text, id)

    # -- the daemon

    def noted(self, text: str) -> None:
        """A remark on no message."""
        self._line("note", text)

    def refused(self, client: Client, what: str) -> None:
        """A client's command or message was refused: *what* begins with ``rejected …``."""
        origin = client_text(client).rpartition(" P=")[0]
        self._line("refused", f"{origin} {what}".lstrip(), client=client.address)

    def held(self, destination: str, hold: Hold) -> None:
        """The one alarm of a hold."""
        text = f"ALARM: mail for {destination} is held: {hold.text}; {hold.fix}"
        self._line("held", text, destination=destination, cause=hold.cause, fix=hold.fix)

    def opened(self, destination: str) -> None:
        """A destination that was held or backing off works again."""
        self._line("opened", f"mail for {destination} flows again", destination=destination)

    def panicked(self, id: str, what: str, error: BaseException) -> None:
        """A defect of ours, with where it happened; mail waits because of it."""
        trace = error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else "?"
        self._line("panic", f"PANIC: {what}: {type(error).__name__} at {place}: {error}", id)
