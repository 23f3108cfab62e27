"""The message that ``-bem`` reads, and the variables that it sets.

It is taken for one from this machine: what is missing of ``Message-Id:``, ``From:`` and ``Date:`` is added behind the
other header lines, bare addresses in them get a domain, and the rewriting rules are applied; none of that counts in
the sizes. Lines of the header lose a carriage return, those of the body keep theirs. Where the file does not begin with
a header line, Exim reads its first line and forgets it; and as long as a line that is a dot would end the message, it
does not count the body's empty lines. A message that was sent on (``Resent-To:`` …) gets ``Resent-`` lines, in front.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from smarthostd.clock import SystemClock
from smarthostd.expand import Value
from smarthostd.expand.addresses import extract_all
from smarthostd.expand.header_text import find_header
from smarthostd.expand.octets import octets, text_of
from smarthostd.expand.rfc2047 import decode
from smarthostd.facts import Facts
from smarthostd.headers import date
from smarthostd.message_id import MessageIds
from smarthostd.rewrite import FieldRewriter

BODY_VISIBLE = 500
"""Octets of ``$message_body``; Exim's default of ``message_body_visible``."""
_BLANK = re.compile(r"\n\r?\n")
"""The line between header and body: it counts, though it belongs to neither."""
_TRAILING = re.compile(r"[ \t\n\v\f\r]+(?=\n[^ \t]|\Z)")
"""White space at the end of a header line, which ``$message_headers`` does not show."""
_FIELD = re.compile(r"^([!-9;-~]+)[ \t]*:(.*\n?(?:[ \t].*\n?)*)", re.MULTILINE)
_HEADER = re.compile(r"(?:[!-9;-~]+[ \t]*:.*(?:\n|\Z)(?:[ \t].*(?:\n|\Z))*)+")


def read_message(
    path: Path,
    sender: str,
    login: str,
    facts: Facts,
    rewriter: FieldRewriter | None = None,
    *,
    named: bool = True,
    dot_ends: bool = True,
    to_header: bool = False,
) -> tuple[dict[str, Value], bool]:
    """Return the variables of the message in *path*, and whether it has a header; raises OSError.

    Without *rewriter* the addresses in its header stay as they are. *named*: the sender is the one with this *login*.
    *to_header*: the recipients are those that stand there, and what is for their eyes alone is taken out (``-t``).
    """
    text = path.read_bytes().decode("utf-8", "surrogateescape") if not path.is_dir() else ""
    header, body, found = _taken_apart(text)
    blank = int(found and _BLANK.search(text) is not None)
    if dot_ends:
        body = re.split(r"^\.\n", body, maxsplit=1, flags=re.MULTILINE)[0]
    lines = len(re.findall(r"[^\n](?:\n|\Z)" if dot_ends else r"\n|[^\n]\Z", body))
    id = MessageIds(SystemClock()).new()
    rewritten = _rewritten(header, rewriter)
    recipients: list[str] = []
    if to_header:
        rewritten, recipients = _with_recipients(rewritten)
    whole = completed(rewritten, sender, login if named else "", id, facts.primary_hostname)
    visible = re.sub("[\n\0]", " ", body)
    size = len(octets(header)) + len(octets(body)) + blank
    local_part, _, domain = sender.rpartition("@")
    values: dict[str, Value] = {
        "message_headers_raw": whole,
        "message_headers": decode(_TRAILING.sub("", whole), translate=False)[0],
        "message_body": visible[:BODY_VISIBLE],
        "message_body_end": visible[-BODY_VISIBLE:],
        "message_size": str(size),
        "message_body_size": str(len(octets(body))),
        "message_linecount": str(header.count("\n") + lines + blank),
        "body_linecount": str(lines),
        "body_zerocount": str(body.count("\0")),
        "max_received_linelength": str(max((len(octets(line)) for line in header.split("\n")), default=0)),
        "message_exim_id": id,
        "message_id": id,
        "received_count": str(1 + len(re.findall(r"^received[ \t]*:", header, re.MULTILINE | re.IGNORECASE))),
        "received_time": str(int(time.time())),
        "sender_address": sender,
        "sender_address_local_part": local_part,
        "sender_address_domain": domain,
        "sender_ident": login,
        "authenticated_id": login,
    }
    if recipients:
        values |= {"recipients": ", ".join(recipients), "recipients_count": str(len(recipients))}
    reply_to, author = (find_header(values, name, "r") or "" for name in ("reply-to", "from"))
    values["reply_address"] = (reply_to.strip() or author.strip()).replace("\n", " ")
    return values, found


def _rewritten(header: str, rewriter: FieldRewriter | None) -> str:
    if rewriter is None:
        return header
    return text_of(rewriter.header(octets(header.replace("\n", "\r\n")))).replace("\r\n", "\n")


def _taken_apart(text: str) -> tuple[str, str, bool]:
    """Return header and body, and whether there is a header."""
    block, body = re.split(r"\n\r?\n|\n\Z|\Z", text, maxsplit=1)
    lines = "\n".join(line.removesuffix("\r") for line in block.split("\n")) + "\n"
    if _HEADER.fullmatch(lines):
        return lines, body, True
    if text.startswith("\n"):
        return "", text[1:], False
    return "", text.partition("\n")[2], False


def fields_of(header: str) -> list[tuple[str, str]]:
    """Return the lines of *header*: each name in lower case, with what stands behind the colon."""
    return [(field[1].lower(), field[2]) for field in _FIELD.finditer(header)]


def without_blind(header: str) -> str:
    """Return *header* without Bcc lines; of a message that was sent on, without the ``Resent-`` ones."""
    blind = "resent-bcc" if is_resent(header) else "bcc"
    return _FIELD.sub(lambda field: "" if field[1].lower() == blind else field[0], header)


def _with_recipients(header: str) -> tuple[str, list[str]]:
    """Return *header* without Bcc lines, and the addresses of To, Cc and Bcc; of the ``Resent-`` ones if any."""
    prefix = "resent-" if is_resent(header) else ""
    found = []
    for name, text in fields_of(header):
        if name in (f"{prefix}to", f"{prefix}cc", f"{prefix}bcc"):
            found += extract_all(text.replace("\n", ""))
    return without_blind(header), found


def is_resent(header: str) -> bool:
    """Return whether the message was sent on: there are ``Resent-`` lines."""
    return any(name.startswith("resent-") for name, _ in fields_of(header))


def completed(header: str, sender: str, login: str, id: str, hostname: str) -> str:
    """Return *header* with the lines that are missing."""
    known = {name for name, _ in fields_of(header)}
    prefix = "Resent-" if is_resent(header) else ""
    lines = {
        "Message-Id": f"<E{id}@{hostname}>",
        "From": f"{login} <{sender}>" if sender and login else sender or "<>",
        "Date": date(time.time()),
    }
    missing = [f"{prefix}{name}: {text}\n" for name, text in lines.items() if f"{prefix}{name}".lower() not in known]
    if not prefix:
        return header + "".join(missing)
    author = [line for line in missing if line.startswith("Resent-From:")]
    first = [line for line in reversed(missing) if line not in author]
    return "".join((*first, header, *author))
