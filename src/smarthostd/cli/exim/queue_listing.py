"""``exim -bp``: the queue in the layout that forty years of scripts take apart (exim.md 11.1)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import TextIO

from smarthostd.cli.queue.steering import Queue
from smarthostd.spool.base import Selection, Summary
from smarthostd.syntax import printable, short_size

PAGE = 1000


async def show(queue: Queue, ids: Sequence[str], out: TextIO, *, undelivered_only: bool) -> None:
    """Write the queue, or the messages that have one of *ids*, in their order."""
    now = time.time()
    if not ids:
        async for summary in _summaries(queue):
            out.write(entry(summary, now, undelivered_only=undelivered_only))
        return
    found = {one.id: one for one in await queue.spool.summaries(selection=Selection(ids))}
    for id in ids:
        if id in found:
            out.write(entry(found[id], now, undelivered_only=undelivered_only))
        else:
            out.write(f"      {printable(id)}\n    *** spool read error: No such file or directory ***\n\n")


async def _summaries(queue: Queue) -> AsyncIterator[Summary]:
    after = ""
    while page := await queue.spool.summaries(PAGE, after):
        after = page[-1].id
        for summary in page:
            yield summary


def entry(summary: Summary, now: float, *, undelivered_only: bool = False) -> str:
    """Return the lines for one message, an empty one behind them."""
    frozen = " *** frozen ***" if summary.frozen else ""
    start = f"{_age(now - summary.received)} {short_size(summary.size):>5} {summary.id}"
    lines = [f"{start} <{printable(summary.sender)}>{frozen}"]
    lines += [
        f"        {'D' if done else ' '} {printable(address)}"
        for address, done, _ in summary.recipients
        if not (done and undelivered_only)
    ]
    return "\n".join(lines) + "\n\n"


def _age(seconds: float) -> str:
    """Return minutes up to 90, hours up to 72, else days; Exim rounds each to the nearest."""
    count, unit = (int(max(seconds, 0)) + 30) // 60, "m"
    if count > 90:
        count, unit = (count + 30) // 60, "h"
        if count > 72:
            count, unit = (count + 12) // 24, "d"
    return f"{count:2d}{unit}"
