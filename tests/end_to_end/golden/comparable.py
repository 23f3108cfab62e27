"""What of a golden delivery must be the same, and what may differ by nature.

The addresses of one attempt have no order, nor have messages among each other: Exim delivers a report before the
message that it is about is complete, we after. Reports are made by our user and not by Exim's. Sizes differ by the
program's name in the Received line. We say more than Exim where a destination works again, and where a message may
have been delivered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SAID_TWICE = re.compile(r"@ID\d+@ (?:no IP address found for host |remote host address is the local host: )")
"""Lines of Exim's that its next line, about the address, says again."""
_SAID_BY_US = re.compile(
    r"mail for \S+ flows again|ALARM: |\S+ \S+ (?:daemon started: |stopped$)|smarthostd \S+ stopped"
)
_TOKENS = (
    (re.compile(r" SIZE=(?:@N@|\d+)"), " SIZE=n"),
    (re.compile(r"\bS=(?:@N@|\d+)"), "S=n"),
    (re.compile(r"pid=(?:@PID@|\d+)"), "pid=n"),
    (re.compile(r"U=(?:Debian-exim|smarthostd)\b"), "U=us"),
    (re.compile(r"\(\d+ bytes written\)"), "(n bytes written)"),
    (re.compile(r"\b(QT|DT|RT)=(?:@T@|[\d.]+s)"), r"\1=t"),
    (re.compile(r" X=TLS([\d.]+):\S+"), r" X=TLS\1"),
    (re.compile(r"(\[[\d.:a-f]+\]:)\d+"), r"\1n"),
    (re.compile(r" \(maybe delivered\)$"), ""),
)
_ADDED = re.compile(r"^(?:Received|Message-Id|(?:Resent-)?Date|Delivery-date): .*\n(?:[ \t].*\n)*", re.MULTILINE)
_INCLUDED = re.compile(
    r"(?<=\nContent-type: message/rfc822\n\n)(?:.+\n)+|(?<=\nContent-type: text/rfc822-headers\n\n)(?:.+\n)+"
    r"|(?<=including all the headers\. ------\n\n)(?:.+\n)+"
)
"""The header of a message that another one is about."""
_BOUNDARY = re.compile(r"[0-9a-f]+-eximdsn-[0-9a-f]+|@BOUNDARY@")


def log(lines: Iterable[str]) -> dict[str, list[str]]:
    """Return the lines of the main log by message, those of no message under an empty name."""
    found: dict[str, list[str]] = {}
    for line in lines:
        line = line.removeprefix("@TIME@ ")
        if _SAID_TWICE.match(line) or _SAID_BY_US.match(line):
            continue
        for pattern, token in _TOKENS:
            line = pattern.sub(token, line)
        match = re.match(r"(@ID\d+@) (.*)", line)
        id, text = (match[1], match[2]) if match else ("", line)
        found.setdefault(id, []).append(text)
    return {id: _ordered(texts) for id, texts in sorted(found.items())}


def _ordered(lines: list[str]) -> list[str]:
    """Sort what is said of addresses between two other lines."""
    done: list[str] = []
    addresses: list[str] = []
    for line in [*lines, ""]:
        if re.match(r"(=>|->|==|\*\*) ", line):
            addresses.append(line)
        else:
            done += [*sorted(addresses), line]
            addresses = []
    return done[:-1]


def panic(lines: Iterable[str]) -> list[str]:
    """Return the lines of the panic log."""
    return [line.removeprefix("@TIME@ ") for line in lines if not _SAID_BY_US.match(line)]


def dialogue(lines: Iterable[str]) -> list[str]:
    """Return a session with a daemon, whose greeting is its own."""
    return ["S: 220" if line.startswith("S: 220 ") else line for line in lines]


def printed(text: str) -> str:
    """Return what a command has printed, without the sizes of messages and a session's greeting."""
    text = re.sub(r"^ALARM: .*\n", "", re.sub(r"^220 .*", "220", text), flags=re.MULTILINE)
    text = re.sub(r"^(Received from .* S=)\d+", r"\1n", text, flags=re.MULTILINE)
    return re.sub(r"^( *\d+[mhd]) +[\d.]+[KM]? ", r"\1 SIZE ", text, flags=re.MULTILINE)


def message(text: str) -> str:
    """Return a message: the fields that its writer gave it, sorted, for ours stand in front; and its body as it is."""
    header, _, body = _BOUNDARY.sub("BOUNDARY", text).partition("\n\n")
    body = _INCLUDED.sub(lambda match: _fields(match[0]) + "\n", _ADDED.sub("", body))
    return "\n\n".join([_fields(_ADDED.sub("", f"{header}\n")), body.rstrip("\n")])


def _fields(header: str) -> str:
    return "\n".join(sorted(re.split(r"\n(?![ \t])", header.rstrip("\n"))))


def mbox(text: str) -> list[str]:
    """Return the messages of a mailbox file."""
    return [message(one) for one in re.split(r"^From .*\n", text, flags=re.MULTILINE)[1:]]
