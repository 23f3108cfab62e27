"""``smarthostd queue show``: all that is known of one message, as a person asks for it.

Who, when, how large; what each recipient waits for, why, and when it will be tried next; then every attempt, with the
host and what it answered, the oldest first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from smarthostd.cli.queue import plain
from smarthostd.envelope import Recipient
from smarthostd.hints import HOST, Hint
from smarthostd.spool.base import Pending, Waiting
from smarthostd.syntax import printable


def lines(
    pending: Pending, events: Sequence[tuple[float, str]], hints: Mapping[str, Hint], *, trying: bool = False
) -> Iterator[str]:
    """Yield the lines; *hints* are what the spool knows of hosts and addresses; *trying*: an attempt is under way."""
    message = pending.message
    envelope, client = message.envelope, message.envelope.client
    yield f"{message.id}  received {at(message.received)}, {message.content.size} octets"
    yield f"from <{printable(str(envelope.sender))}>{_origin(client.login, client.address, client.authenticated_id)}"
    if message.subject:
        yield f"subject: {printable(message.subject)}"
    if pending.frozen:
        yield f"*** frozen since {at(pending.frozen_since)}: `smarthostd queue thaw` or `retry` has it tried again ***"
    for recipient in envelope.recipients:
        yield f"to   {printable(str(recipient))}"
        yield from (f"       {line}" for line in _recipient(pending, recipient, hints, trying=trying))
    for when, text in events:
        yield f"{at(when)} {printable(text)}"


def _origin(login: str, address: str, authenticated: str) -> str:
    who = f", user {login}" if login else f", client [{address}]" if address else ""
    return printable(who + (f", logged in as {authenticated}" if authenticated else ""))


def _recipient(pending: Pending, recipient: Recipient, hints: Mapping[str, Hint], *, trying: bool) -> Iterator[str]:
    waiting = pending.waiting.get(recipient) or pending.later.get(recipient)
    if waiting is None:
        yield "done"
        return
    if untried := plain.put_off(waiting):
        yield f"put off {at(waiting.last_try)}: {untried}"
    elif waiting.reason:
        yield f"last attempt {at(waiting.last_try)} (of {waiting.attempts}): {plain.reason(waiting)}"
    elif not trying:
        yield "not tried yet"
    if waiting.maybe_delivered:
        yield "maybe delivered: the connection broke after the message was sent, before the answer"
    if trying:
        yield "an attempt is under way"
    elif not pending.frozen:
        yield from _next(waiting, hints)


def _next(waiting: Waiting, hints: Mapping[str, Hint]) -> Iterator[str]:
    """Yield when there will be another attempt, and what decides it."""
    hint = hints.get(HOST + waiting.destination) if waiting.destination else None
    if hint is not None and hint.cause:
        held = f"{printable(hint.text)}; {printable(hint.fix)}"
        yield f"waits for {printable(waiting.destination)}, which is held: {held}"
    elif hint is not None:
        yield f"waits for {printable(waiting.destination)}, which is tried again {_when(hint.next_try)}"
    else:
        yield f"next attempt {_when(waiting.until)}"


def _when(seconds: float) -> str:
    return at(seconds) if seconds > time.time() else "as soon as the daemon comes to it"


def at(seconds: float) -> str:
    """Return a time of day, here."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
