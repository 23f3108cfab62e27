"""Delivery status notifications as octets: RFC 3464 multipart/report, in Exim's form (exim.md 9.4).

Composing is pure: what goes in is a header, a text, what became of the recipients, and how much of the
original comes back. The original is copied as octets and never parsed; its text may be anything, so the
boundary is random. Part two names the recipient as the sender wrote it, also where an alias stood behind it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from smarthostd.bounce.text import Kind, unreached
from smarthostd.envelope import Message
from smarthostd.expand.octets import octets as octets_of
from smarthostd.headers import HEADER_LIMIT, end_of_header
from smarthostd.outcome import Delivered, Failed, Outcome
from smarthostd.plan import Result
from smarthostd.syntax import printable

_STATUS = {Kind.FAILED: "5.0.0", Kind.DELAYED: "4.0.0", Kind.RELAYED: "2.0.0", Kind.DELIVERED: "2.0.0"}
_EXPIRED = "4.4.7"
_CUT = b"X-Exim-DSN-Information: Due to administrative limits only headers are returned\r\n"
_BLOCK = 8192
"""Octets by which Exim rounds the limit on what comes back."""
_NAMES_IN_FIELD = 50
_IDS_IN_REFERENCES = 12
_LINE_LIMIT = 998
_ID = re.compile(r"<[!-;=?-~]{1,250}>")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")


class Limits(Struct, frozen=True):
    """How much of the original comes back: Exim's ``bounce_return_…`` options."""

    message: bool = True
    body: bool = True
    size: int = 100 << 10
    """0: as much as there is."""
    line: int = 998

    def allows(self, body: int) -> bool:
        """Whether a body of so many octets may come back."""
        return not self.size or body <= (self.size // _BLOCK + 1) * _BLOCK


class Part(Struct, frozen=True):
    """One part of a report."""

    type: str
    octets: bytes
    """With CRLF or LF line ends."""


def multipart(header: Sequence[str], subject: str, parts: Iterable[Part]) -> bytes:
    """Return a report (without Received, Date and Message-ID); *subject*, with others perhaps, ends the header."""
    boundary = f"{secrets.token_hex(8)}-eximdsn-{secrets.token_hex(4)}"
    lines = [
        *header,
        f"Content-Type: multipart/report; report-type=delivery-status; boundary={boundary}",
        "MIME-Version: 1.0",
        *([subject] if subject else []),
        "",
    ]
    octets = octets_of("".join(f"{line}\n" for line in lines))
    for part in parts:
        octets += f"--{boundary}\nContent-type: {part.type}\n\n".encode() + part.octets + b"\n"
    return _crlf(octets + f"--{boundary}--\n".encode())


def plain(header: Sequence[str], subject: str, text: str) -> bytes:
    """Return a notice that is no report: for an administrator."""
    lines = [*header, *_charset_fields(text), f"Subject: {subject}", "", text]
    return _crlf(octets_of("\n".join(lines)))


def _charset_fields(text: str) -> list[str]:
    if text.isascii():
        return []
    return ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"]


def _crlf(octets: bytes) -> bytes:
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


# -- the header


def failed_recipients(results: Iterable[Result]) -> list[str]:
    """Return X-Failed-Recipients fields; hidden addresses are left out, and those a plain header cannot hold."""
    names = [str(result.address.address) for result in results if not result.address.hidden]
    names = [name for name in names if name.isascii()]
    fields = []
    for at in range(0, len(names), _NAMES_IN_FIELD):
        fields.append("X-Failed-Recipients: " + ",\n  ".join(names[at : at + _NAMES_IN_FIELD]))
    return fields


def references(message: Message) -> list[str]:
    """Return a References field for what answers *message*: its own references, cut to a dozen, and its id."""
    header = header_block(message)
    ids = _ID.findall(field(header, b"References") or field(header, b"In-Reply-To"))
    own = _ID.findall(f"<{message.message_id}>")
    room = _LINE_LIMIT - len("References:") - sum(len(id) + 1 for id in own)
    while len(ids) > _IDS_IN_REFERENCES or sum(len(id) + 1 for id in ids) > room:
        del ids[min(1, len(ids) - 1)]
    return [" ".join(["References:", *ids, *own])] if ids or own else []


def header_block(message: Message) -> bytes:
    """Return the original's header, with CRLF line ends."""
    start = message.content.beginning(HEADER_LIMIT)
    return start[: end_of_header(start)]


def field(header: bytes, name: bytes) -> str:
    """Return the text of the first field *name* of a header block, on one line; empty where there is none."""
    pattern = rb"^" + name + rb"[ \t]*:[ \t]*((?:[^\r\n]|\r\n[ \t])*)"
    match = re.search(pattern, header, re.MULTILINE | re.IGNORECASE)
    return match[1].decode("utf-8", "replace").replace("\r\n", "").strip() if match else ""


# -- the part for people


def text(body: str) -> Part:
    """Return the part that people read."""
    return Part(f"text/plain; charset={'us-ascii' if body.isascii() else 'utf-8'}", octets_of(body))


# -- the part for programs: RFC 3464 2.2 and 2.3


def status(hostname: str, envid: str, blocks: Iterable[str], *, utf8: bool = False) -> Part:
    """Return the part that programs read; *blocks* hold the fields of one recipient each."""
    head = f"Reporting-MTA: dns; {hostname}\n"
    if envid:
        head += f"Original-Envelope-ID: {envid}\n"
    type_ = "message/global-delivery-status" if utf8 else "message/delivery-status"
    return Part(type_, octets_of("\n".join([head, *blocks])))


def status_fields(kind: Kind, result: Result, *, strict: bool = False) -> str:
    """Return the fields of one recipient; *strict*: Exim's codes and actions, which never vary."""
    recipient, outcome = result.address.recipient, result.outcome
    address = str(recipient.address)
    action = Kind.DELIVERED if strict and isinstance(outcome, Delivered) else kind
    orcpt = decoded(recipient.orcpt)
    if strict:  # Exim forgets it where an alias stands in between
        orcpt = "" if result.address.parents else recipient.orcpt
    fields = [f"Original-Recipient: {orcpt}"] if orcpt else []
    fields += [
        f"Action: {action.value}",
        f"Final-Recipient: {'rfc822' if address.isascii() or strict else 'utf-8'};{address}",
        f"Status: {_STATUS[kind] if strict else _status_code(kind, outcome)}",
    ]
    host = None if strict and unreached(outcome) else outcome.host
    if strict and host is None and isinstance(outcome, Delivered):
        fields.append("Diagnostic-Code: X-Exim; relayed via non SMTP router")
    if host is not None and host.address and not host.address.startswith("/"):
        fields.append(f"Remote-MTA: dns; {host.name}")
        fields += [f"Diagnostic-Code: smtp; {diagnostic}" for diagnostic in _diagnostics(kind, outcome)]
    return "".join(f"{one}\n" for one in fields)


def _diagnostics(kind: Kind, outcome: Outcome) -> Iterator[str]:
    if kind in (Kind.RELAYED, Kind.DELIVERED):
        yield "250 Ok"
    elif outcome.reply is not None:
        expired = f": {outcome.text}" if isinstance(outcome, Failed) and outcome.last is not None else ""
        yield str(outcome.reply).replace("\\n", "\n ") + expired


def _status_code(kind: Kind, outcome: Outcome) -> str:
    """Return the server's enhanced code where it fits the action, else a general one."""
    general = _STATUS[kind]
    expired = isinstance(outcome, Failed) and outcome.last is not None
    said = outcome.reply.enhanced if outcome.reply else ""
    if said[:1] == general[0] or (expired and said):
        return said
    return _EXPIRED if expired else general


def decoded(xtext: str) -> str:
    """Return what an RFC 3461 parameter stands for, printable."""
    return printable(_XTEXT.sub(lambda match: chr(int(match[1], 16)), xtext))


# -- the original


def returned(message: Message, limits: Limits, *, whole: bool, strict: bool = False) -> list[Part]:
    """Return the original, or its header where less than the *whole* is wanted or the limits say so; or nothing."""
    if not limits.message and not strict:  # Exim 4.96 has the option and does not look at it
        return []
    sender = str(message.envelope.sender)
    utf8 = message.envelope.smtputf8 or not sender.isascii()
    path = f"Return-path: <{sender}>\r\n".encode()
    wanted = whole and message.envelope.ret.upper() != "HDRS"
    if wanted and limits.body:
        content = _content(message, limits)
        if content is not None:
            return [Part("message/global" if utf8 else "message/rfc822", path + content)]
    cut = wanted and (limits.body or message.envelope.ret.upper() == "FULL")
    header = path + _fitting_header(message, limits) + _CUT * cut
    return [Part("message/global-headers" if utf8 else "text/rfc822-headers", header + b"\r\n")]


def _content(message: Message, limits: Limits) -> bytes | None:
    """Return the whole message, or None where it is larger, or has longer lines, than may come back."""
    if not limits.allows(message.content.size - len(header_block(message))):
        return None
    content = b"".join(message.content.blocks())
    if max(map(len, content.split(b"\r\n"))) > limits.line:
        return None
    return content if content.endswith(b"\n") else content + b"\r\n"


def _fitting_header(message: Message, limits: Limits) -> bytes:
    """Return the header, its longest lines cut so that the report itself can be sent."""
    start = message.content.beginning(min(limits.size or HEADER_LIMIT, HEADER_LIMIT))
    end = start.find(b"\r\n\r\n")
    header = start[: end + 2] if end >= 0 else start[: start.rfind(b"\r\n") + 2]
    return b"".join(line[: limits.line] + b"\r\n" for line in header.split(b"\r\n")[:-1])
