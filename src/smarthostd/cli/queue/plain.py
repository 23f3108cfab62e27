"""Exim's words for why a recipient waits, in plain ones, for people who see them first in ``smarthostd queue``."""

from __future__ import annotations

import re

from smarthostd.spool.base import Waiting
from smarthostd.syntax import printable

_NOT_REACHED = re.compile(r"retry time not reached(?: for any host for '[^']*')?(?:: (.*))?", re.DOTALL)


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
    """Return why it waits, in one line; empty where it was never tried."""
    return put_off(waiting) or printable(waiting.reason)
