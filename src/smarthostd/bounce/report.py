"""Delivery status notifications as octets: RFC 3464 multipart/report in Exim's words (exim.md 9.4).

Composing is pure: what goes in are the message, what became of its recipients, and the facts of this
host. A remote server's text was made printable where it was read (``reply.py``); here it is cut into lines.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from smarthostd.envelope import Content, Message
from smarthostd.outcome import Deferred, Failed, Host, Outcome
from smarthostd.plan import Result
from smarthostd.reply import Reply
from smarthostd.syntax import printable


class Kind(Enum):
    """What is reported: RFC 3464's actions."""

    FAILED = "failed"
    DELAYED = "delayed"
    RELAYED = "relayed"


_SUBJECT = {
    Kind.FAILED: "Mail delivery failed: returning message to sender",
    Kind.DELAYED: "Warning: message {id} delayed {age}",
    Kind.RELAYED: "Delivery Status Notification",
}
_STATUS = {Kind.FAILED: "5.0.0", Kind.DELAYED: "4.0.0", Kind.RELAYED: "2.0.0"}
_INTRODUCTION = {
    Kind.FAILED: """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:
""",
    Kind.DELAYED: """This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its
recipients after more than {age} on the queue on {host}.

No action is required on your part. Delivery attempts will continue for
some time, and this warning may be repeated at intervals if the message
remains undelivered. Eventually the mail delivery software will give up,
and when that happens, the message will be returned to you.

The address(es) to which the message has not yet been delivered:
""",
    Kind.RELAYED: """This message was created automatically by mail delivery software.

A message that you sent was relayed to a mail system that does not report
on deliveries. You will hear nothing more unless there is an error:
""",
}


@dataclass(frozen=True, slots=True)
class Style:
    """The main options that shape a report."""

    hostname: str
    from_: str
    """``dsn_from``, expanded."""
    reply_to: str = ""
    return_message: bool = True
    return_body: bool = True
    return_size_limit: int = 100 * 1024


def compose(
    kind: Kind, style: Style, message: Message, results: Sequence[Result], to: str, boundary: str, age: str = ""
) -> bytes:
    """Return the report's header (without Received, Date and Message-ID) and body, with CRLF line ends."""
    parts = [
        ("text/plain; charset=" + _charset(results), _text(kind, style, message, results, age).encode()),
        (_status_type(results), _status(kind, style, message, results).encode()),
    ]
    if style.return_message:
        parts.append(_returned(kind, style, message))
    body = b"".join(
        f"--{boundary}\r\nContent-type: {type_}\r\n\r\n".encode() + _crlf(octets) + b"\r\n" for type_, octets in parts
    )
    header = _header(kind, style, message, results, to, boundary, age)
    return header.encode() + b"\r\n" + body + f"--{boundary}--\r\n".encode()


def _header(
    kind: Kind, style: Style, message: Message, results: Sequence[Result], to: str, boundary: str, age: str
) -> str:
    subject = _SUBJECT[kind].format(id=message.id, age=age)
    lines = []
    if kind is Kind.FAILED:
        lines.append("X-Failed-Recipients: " + ",\r\n  ".join(_original(result) for result in reversed(results)))
    if style.reply_to:
        lines.append(f"Reply-To: {style.reply_to}")
    lines += [
        f"Auto-Submitted: {'auto-generated' if kind is Kind.RELAYED else 'auto-replied'}",
        f"From: {style.from_}",
        f"To: {to}",
    ]
    if message.message_id:
        lines.append(f"References: <{message.message_id}>")
    lines += [
        f"Content-Type: multipart/report; report-type=delivery-status; boundary={boundary}",
        "MIME-Version: 1.0",
        f"Subject: {subject}",
    ]
    return "".join(line + "\r\n" for line in lines)


def _text(kind: Kind, style: Style, message: Message, results: Iterable[Result], age: str) -> str:
    """The part for people: the introduction, then each address with what happened."""
    text = _INTRODUCTION[kind].format(age=age, host=style.hostname)
    if kind is Kind.DELAYED:
        text = text.replace("\n\nNo action", f"\n\nThe message identifier is:     {message.id}\n\nNo action", 1)
    return text + "".join(f"\n{_paragraph(kind, result)}" for result in results)


def _paragraph(kind: Kind, result: Result) -> str:
    lines = [f"  {printable(str(result.address.address))}"]
    if result.address.parents:
        lines.append(f"    (generated from {_original(result)})")
    if kind is Kind.RELAYED:
        lines.append("    (relayed to non-DSN-aware mailer)")
    else:
        lines += _explained(result.outcome)
    return "\n".join(lines) + "\n"


def _explained(outcome: Outcome) -> list[str]:
    lines = [f"    host {_host(outcome.host)}"] if outcome.host else []
    if isinstance(outcome, Failed | Deferred):
        reply = str(outcome.reply) if outcome.reply else ""
        text = printable(outcome.text)
        text = text.removesuffix(reply).rstrip() if reply else text
        for piece in (text, *reply.split("\\n")):
            lines += textwrap.wrap(piece, 90, initial_indent="    ", subsequent_indent="    ", break_long_words=False)
    return lines


def _status(kind: Kind, style: Style, message: Message, results: Iterable[Result]) -> str:
    """The part for programs: RFC 3464 2.2 and 2.3."""
    lines = [f"Reporting-MTA: dns; {style.hostname}"]
    if message.envelope.envid:
        lines.append(f"Original-Envelope-ID: {message.envelope.envid}")
    for result in results:
        lines += ["", *_status_fields(kind, result)]
    return "\n".join(lines) + "\n"


def _status_fields(kind: Kind, result: Result) -> list[str]:
    recipient = result.address.recipient
    outcome = result.outcome
    reply = outcome.reply
    fields = [f"Original-Recipient: {recipient.orcpt}"] if recipient.orcpt else []
    address = str(recipient.address)
    fields += [
        f"Action: {kind.value}",
        f"Final-Recipient: {'rfc822' if address.isascii() else 'utf-8'};{address}",
        f"Status: {_status_code(kind, reply)}",
    ]
    if outcome.host:
        fields.append(f"Remote-MTA: dns; {outcome.host.name}")
    if reply and kind is not Kind.RELAYED:
        fields.append("Diagnostic-Code: smtp; " + str(reply).replace("\\n", "\n  "))
    return fields


def _status_code(kind: Kind, reply: Reply | None) -> str:
    """The server's enhanced code where it fits the action, else Exim's general one."""
    general = _STATUS[kind]
    return reply.enhanced if reply and reply.enhanced[:1] == general[0] else general


def _returned(kind: Kind, style: Style, message: Message) -> tuple[str, bytes]:
    """The original message whole, or its header only (asked for, or it is too large)."""
    sender = f"Return-path: <{message.envelope.sender}>\r\n".encode()
    whole = style.return_body and message.envelope.ret.upper() != "HDRS" and kind is Kind.FAILED
    if whole and message.content.size <= style.return_size_limit:
        kind_ = "message/rfc822" if message.envelope.sender.local_part.isascii() else "message/global"
        return kind_, sender + b"".join(message.content.blocks())
    return "text/rfc822-headers", sender + _header_block(message.content, style.return_size_limit)


def _header_block(content: Content, limit: int) -> bytes:
    start = content.beginning(limit)
    end = start.find(b"\r\n\r\n")
    return start[: end + 2] if end >= 0 else start[: start.rfind(b"\r\n") + 2]


def _charset(results: Iterable[Result]) -> str:
    return "us-ascii" if all(str(result.address.address).isascii() for result in results) else "utf-8"


def _status_type(results: Iterable[Result]) -> str:
    plain = all(_original(result).isascii() for result in results)
    return "message/delivery-status" if plain else "message/global-delivery-status"


def _original(result: Result) -> str:
    return str(result.address.recipient.address)


def _host(host: Host) -> str:
    return f"{host.name} [{host.address}]" if host.address else host.name


def _crlf(octets: bytes) -> bytes:
    return octets if b"\r\n" in octets else octets.replace(b"\n", b"\r\n")
