"""Exim's words for why a recipient waits, in plain ones, for people who see them first in ``smarthostd queue``."""

from __future__ import annotations

import re

from smarthostd.spool.base import Waiting
from smarthostd.syntax import printable

_NOT_REACHED = re.compile(r"retry time not reached(?: for any host for '[^']*')?(?:: (.*))?", re.DOTALL)


_NO_NAME = re.compile(r'lookup of host "[^"]*" failed in \S+ router|host lookup for \S+ did not complete .*')
_BLOCKED = "is the port right, and let out by this network?"
_CONNECTING = {
    "Connection refused": "is the port right, and the server up?",
    "Connection timed out": _BLOCKED,
    "No route to host": _BLOCKED,
    "Network is unreachable": "is the network up?",
}
"""What the system says of a connection that did not come about, which names no host, and what to look at."""


def put_off(waiting: Waiting) -> str:
    """Return why nothing was tried at the last attempt; empty where it was."""
    match = _NOT_REACHED.fullmatch(waiting.reason)
    if match is None:
        return ""
    what = waiting.destination or "its host"
    cause = (match[1] or "").removeprefix(f"{what}: ")
    return printable(
        f"not tried, for {what} did not work: {cause}" if cause else "not tried, for its time had not come"
    )


def reason(waiting: Waiting) -> str:
    """Return why it waits, and what to look at, in one line; empty where it was never tried."""
    return put_off(waiting) or printable(_with_advice(waiting))


def _with_advice(waiting: Waiting) -> str:
    """Return the log's words, with the host where they name none, and what to look at."""
    text = waiting.reason
    if _NO_NAME.fullmatch(text):
        return f"{text}: is the name right, and does DNS work?"
    if text in _CONNECTING:
        where = waiting.destination.partition(":")[2]
        return f"{text} at {where or 'its host'}: {_CONNECTING[text]}"
    return text
