"""The message that ``-bem`` reads, and the variables that it sets.

It is taken for one from this machine: what is missing of ``Message-Id:``, ``From:`` and ``Date:`` is added behind the
other header lines, bare addresses in them get a domain, and the rewriting rules are applied; none of that counts in
the sizes. Lines of the header lose a carriage return, those of the body keep theirs. Where the file does not begin with
a header line, Exim reads its first line and forgets it; and as long as a line that is a dot would end the message, it
does not count the body's empty lines.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from smarthostd.clock import SystemClock
from smarthostd.expand import Value
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
) -> tuple[dict[str, Value], bool]:
    """Return the variables of the message in *path*, and whether it has a header; raises OSError.

    Without *rewriter* the addresses in its header stay as they are. *named*: the sender is the one with this *login*.
    """
    text = path.read_bytes().decode("utf-8", "surrogateescape") if not path.is_dir() else ""
    header, body, found = _taken_apart(text)
    blank = int(found and _BLANK.search(text) is not None)
    if dot_ends:
        body = re.split(r"^\.\n", body, maxsplit=1, flags=re.MULTILINE)[0]
    lines = len(re.findall(r"[^\n](?:\n|\Z)" if dot_ends else r"\n|[^\n]\Z", body))
    id = MessageIds(SystemClock()).new()
    whole = _rewritten(header, rewriter) + _added(header, sender, login if named else "", id, facts)
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


def _added(header: str, sender: str, login: str, id: str, facts: Facts) -> str:
    """Return the header lines that are missing."""
    known = {name.lower() for name in re.findall(r"^([!-9;-~]+)[ \t]*:", header, re.MULTILINE)}
    lines = []
    if "message-id" not in known:
        lines.append(f"Message-Id: <E{id}@{facts.primary_hostname}>\n")
    if "from" not in known:
        lines.append(f"From: {f'{login} <{sender}>' if sender and login else sender or '<>'}\n")
    if "date" not in known:
        lines.append(f"Date: {date(time.time())}\n")
    return "".join(lines)
