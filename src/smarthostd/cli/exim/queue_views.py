"""``exim -Mvh``, ``-Mvb``, ``-Mvl``, ``-Mvc``: one message as Exim's spool files would show it.

The header file is made for the eye: sender, times, client, recipients, and the header's lines with their lengths. It is
not Exim's to read, for our spool is another one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TextIO

from msgspec.structs import replace

from smarthostd import headers
from smarthostd.cli.queue.steering import Queue
from smarthostd.clock import SystemClock
from smarthostd.envelope import Client, Message
from smarthostd.mainlog import MainLog
from smarthostd.road import log_style
from smarthostd.spool.base import NOT_FOUND, Pending

_SUCCEEDED = " transport succeeded"
"""Behind it a story has what the host has said, and Exim's nothing."""
NOT_THERE = "Spool data file for {} does not exist"
_KINDS = {
    "received": "P", "from": "F", "to": "T", "cc": "C", "bcc": "B", "message-id": "I", "reply-to": "R", "sender": "S",
}  # fmt: skip
"""Exim's letters for header lines."""


async def header(queue: Queue, ids: Sequence[str], out: TextIO) -> int:
    """``-Mvh``: envelope and header."""
    pending = await _only(queue, ids, out, "Failed to open input file for {}-H: No such file or directory")
    if pending is None:
        return 1
    message = pending.message
    lines = [f"{message.id}-H", f"{message.envelope.client.login or 'root'} 0 0", f"<{message.envelope.sender}>"]
    lines += [f"{int(message.received)} {pending.warned}", *_facts(message.envelope.client, pending)]
    recipients = message.envelope.recipients
    waiting = {*pending.waiting, *pending.later}
    lines += _tree(sorted(str(one) for one in recipients if one not in waiting)) or ["XX"]
    lines += [str(len(recipients)), *map(str, recipients), ""]
    out.write("\n".join(lines) + "\n")
    for line in re.findall(r"[^\n]*\n(?:[ \t][^\n]*\n)*", _parts(message)[0]):
        kind = _KINDS.get(line.partition(":")[0].strip().lower(), " ")
        out.write(f"{len(line):03d}{kind} {line}")
    return 0


def _tree(addresses: Sequence[str]) -> list[str]:
    """Return those that are done as Exim keeps them: a tree, in front of each whether something is left and right."""
    if not addresses:
        return []
    middle = len(addresses) // 2
    left, right = addresses[:middle], addresses[middle + 1 :]
    node = f"{'Y' if left else 'N'}{'Y' if right else 'N'} {addresses[middle]}"
    return [node, *_tree(left), *_tree(right)]


def _facts(client: Client, pending: Pending) -> list[str]:
    facts = []
    if client.helo:
        facts.append(f"-helo_name {client.helo}")
    if client.address:
        facts.append(f"-host_address [{client.address}]:{client.port}")
    if client.authenticated_id:
        facts.append(f"-auth_id {client.authenticated_id}")
    if client.login:
        facts.append(f"-ident {client.login}")
    facts.append(f"-received_protocol {client.protocol}")
    if pending.frozen:
        facts.append(f"-frozen {int(pending.frozen_since)}")
    return facts


async def body(queue: Queue, ids: Sequence[str], out: TextIO) -> int:
    """``-Mvb``: the body."""
    pending = await _only(queue, ids, out, "Failed to open input file for {}-D: No such file or directory")
    if pending is None:
        return 1
    out.write(f"{pending.message.id}-D\n{_parts(pending.message)[1]}")
    return 0


async def story(queue: Queue, ids: Sequence[str], out: TextIO) -> int:
    """``-Mvl``: what has happened to it."""
    pending = await _only(queue, ids, out, "Failed to open msglog file for {}: No such file or directory")
    if pending is None:
        return 1
    message = pending.message
    out.write(f"{_at(message.received)} Received from {_arrival(queue, message)}\n")
    for at, text in await queue.spool.events(message.id):
        whose, succeeded, _ = text.partition(_SUCCEEDED)
        out.write(f"{text}\n" if text.startswith("***") else f"{_at(at)} {whose}{succeeded}\n")
    return 0


def _arrival(queue: Queue, message: Message) -> str:
    """Return what the log has said of a message's arrival, behind its flag."""
    lines: list[str] = []
    style = replace(log_style(queue.loaded.settings), as_json=False)
    MainLog(lines.append, SystemClock(), style).received(message)
    return lines[0].partition(" <= ")[2]


async def copy(queue: Queue, ids: Sequence[str], out: TextIO) -> int:
    """``-Mvc``: the message."""
    pending = await _only(queue, ids, out, NOT_THERE)
    if pending is None:
        return 1
    out.write("\n".join(_parts(pending.message)))
    return 0


async def _only(queue: Queue, ids: Sequence[str], out: TextIO, missing: str) -> Pending | None:
    """Return the message with the only one of *ids*; else None, and what is wrong is told."""
    if len(ids) > 1:
        out.write("*** Only one message can be listed at once\n")
        return None
    pending = await queue.spool.load(ids[0])
    if pending is None:
        if missing is NOT_THERE:
            await queue.tell([(ids[0], NOT_FOUND.format(ids[0]))])
        out.write(missing.format(ids[0]) + "\n")
    return pending


def _parts(message: Message) -> tuple[str, str]:
    """Return header and body with line ends as they are here, without the empty line between them."""
    octets = b"".join(message.content.blocks())
    end = headers.end_of_header(octets)
    texts = (octets[:end], octets[end:].removeprefix(b"\r\n"))
    header, body = (text.replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape") for text in texts)
    return header, body


def _at(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
