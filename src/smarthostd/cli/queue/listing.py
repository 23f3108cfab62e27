"""``smarthostd queue list``: a table where somebody looks, lines where a program reads, JSON where it is asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click
import msgspec

from smarthostd.spool.base import Counts, Summary
from smarthostd.syntax import format_size, format_time, printable

if TYPE_CHECKING:
    from rich.text import Text

_SHOWN_RECIPIENTS = 5
"""Recipients of one message in the table; the lines show all."""


def as_json(summaries: Sequence[Summary]) -> Iterator[str]:
    """Yield one object a message."""
    for summary in summaries:
        yield json.dumps(msgspec.to_builtins(summary))


def as_lines(summaries: Sequence[Summary]) -> Iterator[str]:
    """Yield plain lines: one for the message, one for each recipient."""
    for summary in summaries:
        frozen = "  *** frozen ***" if summary.frozen else ""
        yield f"{summary.id}  {age(summary.received):>8}  {summary.size:>9}  <{printable(summary.sender)}>{frozen}"
        for address, done, waiting in summary.recipients:
            reason = f"  {printable(waiting.reason)}" if waiting and waiting.reason else ""
            maybe = "  (maybe delivered)" if waiting and waiting.maybe_delivered else ""
            yield f"    {'D' if done else ' '} {printable(address)}{maybe}{reason}"


def totals(counts: Counts, shown: int, *, selected: bool) -> str:
    """Return the last line."""
    if not counts.messages:
        return "No such message is in the queue." if selected else "The queue is empty."
    text = f"{counts.messages} message{'s' * (counts.messages != 1)}, {counts.frozen} frozen"
    text += f", the oldest {age(counts.oldest)} old"
    return f"{text}, {shown} shown." if shown < counts.messages else f"{text}."


def show_table(summaries: Sequence[Summary]) -> None:
    """Print a table; rich is imported here, for it takes longer than reading the queue."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("message", no_wrap=True)
    table.add_column("age", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("from", overflow="fold")
    table.add_column("to, and why it waits", overflow="fold", ratio=1)
    for summary in summaries:
        style = "cyan" if summary.frozen else ""
        sender = Text(f"<{printable(summary.sender)}>" + ("\nfrozen" if summary.frozen else ""), style=style)
        size = format_size(summary.size) if summary.size % 1024 == 0 else str(summary.size)
        table.add_row(summary.id, age(summary.received), size, sender, Text("\n").join(_recipients(summary)))
    Console(highlight=False).print(table)


def _recipients(summary: Summary) -> Iterator[Text]:
    from rich.text import Text

    for address, done, waiting in summary.recipients[:_SHOWN_RECIPIENTS]:
        text = Text(printable(address), style="dim" if done else "")
        if done:
            text.append("  done")
        if waiting and waiting.maybe_delivered:
            text.append("  maybe delivered", style="yellow")
        if waiting and waiting.reason:
            text.append(f"\n  {printable(waiting.reason)}", style="dim")
        yield text
    more = len(summary.recipients) - _SHOWN_RECIPIENTS
    if more > 0:
        yield Text(f"… and {more} more", style="dim")


def age(since: float) -> str:
    """Return how long ago *since* was."""
    return format_time(timedelta(seconds=max(0, time.time() - since)))


def say(lines: Iterator[str]) -> None:
    """Print lines."""
    for line in lines:
        click.echo(line)
