"""The part of a report that people read: Exim's sentences (exim.md 9.4), and above each reply what it means.

A server's reply was made printable where it was read (``reply.py``); the two characters ``\\n`` in it stand
for the ends of its lines. Nothing else from outside comes in here but addresses, which are printable by themselves.
"""

from __future__ import annotations

import os
import re
import textwrap
from enum import Enum

from smarthostd.bounce import custom, meanings
from smarthostd.envelope import Message
from smarthostd.outcome import Deferred, Delivered, Failed, Host, Outcome
from smarthostd.plan import Result
from smarthostd.routers.base import Mistakes, RoutedAddress
from smarthostd.syntax import printable, remote_text

WIDTH = 76
INDENT = "    "
MISTAKES_LIMIT = 100
"""Items of a redirection that one report tells of."""
_COLON_BEHIND = 45
"""Characters of a line after which Exim breaks it at the next colon."""
_CANCELLED = ("delivery cancelled by administrator", "delivery cancelled; message timed out")
"""Reasons of our own, of which Exim says nothing."""
_BEHIND_COLON = re.compile(r"(?<=:)(?=\s)")


class Kind(Enum):
    """What is reported: RFC 3464's actions."""

    FAILED = "failed"
    DELAYED = "delayed"
    RELAYED = "relayed"
    DELIVERED = "delivered"


OPENING = "This message was created automatically by mail delivery software.\n"
DELAYED_END = """\
No action is required on your part. Delivery attempts will continue for
some time, and this warning may be repeated at intervals if the message
remains undelivered. Eventually the mail delivery software will give up,
and when that happens, the message will be returned to you.
"""


def failed_opening(sender: str, reader: str, own_text: str = "") -> str:
    """Return what a bounce begins with; *own_text* is ``bounce_message_text``."""
    if reader == sender:
        return f"""{OPENING}{own_text}
A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:
"""
    return f"""{OPENING}{own_text}
A message sent by

  <{sender}>

could not be delivered to one or more of its recipients. The following
address(es) failed:
"""


def delayed_opening(message: Message, date: str, reader: str, delay: str, hostname: str, count: int) -> str:
    """Return what a warning begins with; *date* is the message's own."""
    sender = str(message.envelope.sender)
    if reader == sender:
        who = "A message that you sent has not yet been delivered to one or more of its\nrecipients after more than "
    else:
        who = f"A message sent by\n\n  <{sender}>\n\n"
        who += "has not yet been delivered to one or more of its recipients after more than \n"
    lines = [f"The message identifier is:     {message.id}"]
    lines += [f"The subject of the message is: {printable(message.subject)}"] * bool(message.subject)
    lines += [f"The date of the message is:    {printable(date)}"] * bool(date)
    story = "\n".join(lines)
    which = "The address to which the message has not yet been delivered is:"
    if count > 1:
        which = "The addresses to which the message has not yet been delivered are:"
    return f"{OPENING}{who}{delay} on the queue on {hostname}.\n\n{story}\n\n{which}\n"


def delivered_text(results: list[Result], *, strict: bool = False) -> str:
    """Return the whole text of a success report; *strict*: where Exim delivers, it says that it relays."""
    lines = [f"<{result.address.address}> ({_success(result.outcome, strict=strict)})\n" for result in results]
    heading = " ----- The following addresses had successful delivery notifications -----\n"
    return OPENING + heading + "\n".join(lines)


def _success(outcome: Outcome, *, strict: bool) -> str:
    if strict and outcome.host is None:
        return 'relayed via non "Remote SMTP" router'
    final = isinstance(outcome, Delivered) and outcome.final
    return "delivered to the mailbox" if final and not strict else "relayed to non-DSN-aware mailer"


def frozen_text(message: Message, reason: str, results: list[Result]) -> str:
    """Return the body of the notice for ``freeze_tell``."""
    lines = [
        f"Message {message.id} has been frozen{f' ({reason})' if reason else ''}.",
        f"The sender is <{message.envelope.sender}>.",
        "",
        "The following address(es) have yet to be delivered:",
    ]
    for result in results:
        parent = f" <{result.address.parents[0]}>" if result.address.parents else ""
        text = f": {printable(result.outcome.text)}" if isinstance(result.outcome, Failed | Deferred) else ""
        lines.append(f"  {printable(str(result.address.shown))}{parent}{text}")
    return "\n".join(lines) + "\n"


def mistakes_text(mistakes: Mistakes) -> str:
    """Return the body of the notice for ``syntax_errors_to``."""
    lines = [custom.clean(mistakes.opening)] * bool(mistakes.opening)
    lines.append(f"The {mistakes.router} router encountered the following error(s):\n")
    for what, item in mistakes.skipped[:MISTAKES_LIMIT]:
        lines.append(f'  {remote_text(what)} in the address\n  "{remote_text(item)}"\n')
    more = len(mistakes.skipped) - MISTAKES_LIMIT
    lines += [f"The log tells of {more} more.\n"] * (more > 0)
    end = "Other addresses were processed normally." if mistakes.others else "No valid addresses were generated."
    lines.append(end)
    return "\n".join(lines) + "\n"


# -- one address


def entry(result: Result, lead: str = "", *, explained: bool = True) -> str:
    """Return an address and what became of it; *lead* stands before the reason, *explained* adds what it means."""
    address, outcome = result.address, result.outcome
    lines = [f"  {line}" for line in _named(address)]
    lines += _origin(result)
    if address.hidden:
        return "\n".join(lines) + "\n"
    if explained:
        lines += textwrap.wrap(meaning(outcome), WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)
    if (shown := _host(outcome)) and (explained or not unreached(outcome)):
        lines.append(f"{INDENT}host {shown.name} [{shown.address}]")
    if reason := _reason(outcome, strict=not explained):
        lines += _broken(lead, reason)
    return "\n".join(lines) + "\n"


def unreached(outcome: Outcome) -> bool:
    """Whether this is about a host that could not be connected to, which Exim does not name."""
    last = outcome.last if isinstance(outcome, Failed) else outcome
    return isinstance(last, Deferred) and last.errno > 0 and last.text == os.strerror(last.errno)


def meaning(outcome: Outcome) -> str:
    """Return what *outcome* means for somebody who has never seen a reply; empty where nobody knows."""
    sentences = []
    if isinstance(outcome, Failed):
        sentences.append(meanings.LOCAL_MEANINGS.get(outcome.text, ""))
    if outcome.reply is not None:
        sentences.append(meanings.of_reply(outcome.reply))
    return " ".join(dict.fromkeys(sentence for sentence in sentences if sentence))


def _named(address: RoutedAddress) -> list[str]:
    """Return what an address is called; a file or a command has the name of the address that made it."""
    if address.hidden and address.parents:
        return ["an undisclosed address"]
    if not address.item:
        return [str(address.address)]
    kind = "pipe" if address.item.startswith("|") else "save"
    return [f"{kind} to {printable(address.item)}", f"  generated by {address.address}"]


def _origin(result: Result) -> list[str]:
    """Return the line on the alias that an address came from."""
    parents = result.address.parents
    if not parents or (str(parents[-1]).lower() == str(result.address.address).lower() and not result.address.hidden):
        return []
    return [f"{INDENT}({'ultimately ' if len(parents) > 1 else ''}generated from {parents[-1]})"]


def _host(outcome: Outcome) -> Host | None:
    """Return the host to be named; a socket on this machine is none."""
    host = outcome.host
    return host if host is not None and host.address and not host.address.startswith("/") else None


def _reason(outcome: Outcome, *, strict: bool) -> str:
    """Return the text for the sender: what a host or an alias says, not our own affairs; *strict*: replies only."""
    match outcome:
        case Failed(text=text, last=None):
            return "" if strict and text in _CANCELLED else printable(text)
        case Failed(text=text, last=Deferred() as last):
            return f"{printable(last.text)}: {text}" if _told(last, strict=strict) else text
        case Deferred(text=text):
            return printable(text) if _told(outcome, strict=strict) else ""
        case _:
            return ""


def _told(outcome: Deferred, *, strict: bool) -> bool:
    return outcome.public or outcome.reply is not None or (outcome.host is not None and not strict)


def _broken(lead: str, text: str) -> list[str]:
    """Return *text* as Exim breaks it: at the ends of a reply's lines, and behind a colon far enough to the right."""
    lines = [lead]
    count = len(lead)
    for at, line in enumerate(text.split("\\n")):
        if at:
            lines.append("")
            count = 0
        *parts, rest = _BEHIND_COLON.split(line)
        for part in parts:
            lines[-1] += part
            count += len(part)
            if count > _COLON_BEHIND:
                lines.append("")
                count = 0
        lines[-1] += rest
        count += len(rest)
    return [INDENT + line.removeprefix(" ") for line in lines]
