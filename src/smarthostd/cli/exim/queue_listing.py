"""``exim -bp``: the queue in the layout that forty years of scripts take apart (exim.md 11.1)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import TextIO

from smarthostd.cli.queue.steering import Queue
from smarthostd.spool.base import Selection, Summary
from smarthostd.syntax import printable, short_size

PAGE = 1000


async def show(queue: Queue, ids: Sequence[str], out: TextIO, which: str) -> None:
    """Write the queue, or the messages that have one of *ids*, in their order; *which* as for :func:`entry`."""
    now = time.time()
    if not ids:
        async for summary in _summaries(queue):
            out.write(entry(summary, now, which))
        return
    found = {one.id: one for one in await queue.spool.summaries(selection=Selection(ids))}
    for id in ids:
        if id in found:
            out.write(entry(found[id], now, which))
        else:
            out.write(f"      {printable(id)}\n    *** spool read error: No such file or directory ***\n\n")


async def _summaries(queue: Queue) -> AsyncIterator[Summary]:
    after = ""
    while page := await queue.spool.summaries(PAGE, after):
        after = page[-1].id
        for summary in page:
            yield summary


def entry(summary: Summary, now: float, which: str = "") -> str:
    """Return the lines for one message, an empty one behind them.

    *which* is empty, ``u`` for the recipients that are not done, or ``a`` for addresses that aliases have made as well.
    """
    start = f"{_age(now - summary.received)} {short_size(summary.size):>5} {summary.id} <{printable(summary.sender)}>"
    claimed = f" ({printable(summary.login)})" if summary.claimed else ""
    lines = [f"{start}{claimed}{' *** frozen ***' if summary.frozen else ''}"]
    lines += [
        f"        {'D' if done else ' '} {printable(address)}"
        for address, done, _ in summary.recipients
        if not (done and which == "u")
    ]
    if which == "a":
        lines += [f"       +D {printable(_named(address))}" for address in summary.also_done]
    return "\n".join(lines) + "\n\n"


def _named(address: str) -> str:
    """Return an address as Exim names it; a file is written in front of whose it is."""
    item, blank, owner = address.rpartition(" ")
    return f"{item}:{owner}" if blank and item.startswith("/") else address


def _age(seconds: float) -> str:
    """Return minutes up to 90, hours up to 72, else days; Exim rounds hours and days to the nearest."""
    count, unit = int(max(seconds, 0)) // 60, "m"
    if count > 90:
        count, unit = (count + 30) // 60, "h"
        if count > 72:
            count, unit = (count + 12) // 24, "d"
    return f"{count:2d}{unit}"
