"""The message that ``-bem`` reads, and the variables that it sets.

It is taken for one from this machine: what is missing of ``Message-Id:``, ``From:`` and ``Date:`` is added behind the
other header lines, and does not count in the sizes. Lines of the header lose a carriage return, those of the body keep
theirs. Where the file does not begin with a header line, Exim reads its first line and forgets it; and as long as a
line that is a dot would end the message, it does not count the body's empty lines.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from smarthostd.clock import SystemClock
from smarthostd.expand import Value
from smarthostd.expand.header_text import find_header
from smarthostd.expand.rfc2047 import decode
from smarthostd.facts import Facts
from smarthostd.headers import date
from smarthostd.message_id import MessageIds

BODY_VISIBLE = 500
"""Octets of ``$message_body``; Exim's default of ``message_body_visible``."""
_HEADER = re.compile(r"(?:[!-9;-~]+[ \t]*:.*(?:\n|\Z)(?:[ \t].*(?:\n|\Z))*)+")


def read_message(
    path: Path, sender: str, login: str, facts: Facts, *, dot_ends: bool = True
) -> tuple[dict[str, Value], bool]:
    """Return the variables of the message in *path*, and whether it has a header; raises OSError."""
    text = path.read_bytes().decode("utf-8", "surrogateescape") if not path.is_dir() else ""
    header, body, found = _taken_apart(text)
    if dot_ends:
        body = re.split(r"^\.\n", body, maxsplit=1, flags=re.MULTILINE)[0]
    lines = len(re.findall(r"[^\n]\n", body)) if dot_ends else body.count("\n")
    id = MessageIds(SystemClock()).new()
    whole = header + _added(header, sender, login, id, facts)
    visible = re.sub("[\n\0]", " ", body)
    size = _octets(header) + _octets(body) + (1 if found and body else 0)
    local_part, _, domain = sender.rpartition("@")
    values: dict[str, Value] = {
        "message_headers_raw": whole,
        "message_headers": decode(whole.rstrip("\n"))[0],
        "message_body": visible[:BODY_VISIBLE],
        "message_body_end": visible[-BODY_VISIBLE:],
        "message_size": str(size),
        "message_body_size": str(_octets(body)),
        "message_linecount": str(header.count("\n") + lines + (1 if found and body else 0)),
        "body_linecount": str(lines),
        "body_zerocount": str(body.count("\0")),
        "max_received_linelength": str(max((_octets(line) for line in text.split("\n")), default=0)),
        "message_exim_id": id,
        "message_id": id,
        "received_count": "1",
        "received_time": str(int(time.time())),
        "sender_address": sender,
        "sender_address_local_part": local_part,
        "sender_address_domain": domain,
        "sender_ident": login,
        "authenticated_id": login,
    }
    values["reply_address"] = find_header(values, "reply-to", "h") or find_header(values, "from", "h") or ""
    return values, found


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
        lines.append(f"From: {login} <{sender}>\n" if sender else "From: <>\n")
    if "date" not in known:
        lines.append(f"Date: {date(time.time())}\n")
    return "".join(lines)


def _octets(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))
