"""``smarthostd queue list``: a table where somebody looks, lines where a program reads, JSON where it is asked for.

The table is made here, without rich: that may not be installed, and takes longer to import than the queue to read.
"""

from __future__ import annotations

import json
import shutil
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby, islice, zip_longest

import click
import msgspec

from smarthostd.cli.queue import plain
from smarthostd.spool.base import Counts, Summary, Waiting
from smarthostd.syntax import format_time, printable, short_size

_SHOWN_RECIPIENTS = 5
"""Recipients of one message in the table; the lines show all."""
_LINES_AT_ONCE = 1000
_GAP = "  "
_FROM_WIDTH = 32
"""Columns that senders have at most."""
_LEAST_WIDTH = 24
"""Columns that recipients have at least."""

_Line = tuple[str, str]
"""Text, and the colour or other style it is shown in."""


def as_json(summaries: Sequence[Summary]) -> Iterator[str]:
    """Yield one object a message."""
    for summary in summaries:
        fields = msgspec.to_builtins(summary)
        fields["recipients"] = [
            {"address": address, "done": done, "waiting": waiting} for address, done, waiting in fields["recipients"]
        ]
        yield json.dumps(fields)


def counts_as_json(counts: Counts) -> str:
    """Return one object."""
    return json.dumps(msgspec.to_builtins(counts))


def as_lines(summaries: Sequence[Summary]) -> Iterator[str]:
    """Yield plain lines: one for the message, one for each recipient."""
    for summary in summaries:
        frozen = "  *** frozen ***" if summary.frozen else ""
        yield f"{summary.id}  {age(summary.received):>8}  {summary.size:>9}  <{printable(summary.sender)}>{frozen}"
        for address, done, waiting in summary.recipients:
            reason = f"  {plain.reason(waiting)}" if waiting and waiting.reason else ""
            maybe = "  (maybe delivered)" if waiting and waiting.maybe_delivered else ""
            yield f"    {'D' if done else ' '} {printable(address)}{maybe}{reason}"


def why(oldest: Sequence[Summary]) -> Iterator[str]:
    """Yield why the oldest message is still here, where somebody has tried it."""
    for summary in oldest:
        reasons = (plain.reason(waiting) for _, done, waiting in summary.recipients if not done and waiting)
        if reason := next(filter(None, reasons), ""):
            yield f"the oldest, {summary.id}, has waited for {age(summary.received)}: {reason}"


def totals(counts: Counts, shown: int, *, selected: bool) -> str:
    """Return the last line."""
    if not counts.messages:
        return "No such message is in the queue." if selected else "The queue is empty."
    text = f"{counts.messages} message{'s' * (counts.messages != 1)}, {counts.frozen} frozen"
    text += f", the oldest {age(counts.oldest)} old"
    return f"{text}, {shown} shown." if shown < counts.messages else f"{text}."


# -- the table


def show_table(summaries: Sequence[Summary]) -> None:
    """Print a table as wide as the terminal."""
    for line in _table(summaries, shutil.get_terminal_size().columns):
        click.echo(line)


def _table(summaries: Sequence[Summary], columns: int) -> Iterator[str]:
    """Yield the lines of a table of so many *columns*: a head, then some for each message."""
    senders = [f"<{printable(summary.sender)}>" for summary in summaries]
    wide = min(_FROM_WIDTH, max(map(len, [*senders, "frozen"])))
    widths = [16, 6, 5, wide]
    last = max(columns - sum(widths) - len(_GAP) * len(widths) - 1, _LEAST_WIDTH)
    yield click.style(_row(["message", "   age", " size", "from"], widths) + "to, and why it waits", dim=True)
    for summary, sender in zip(summaries, senders, strict=True):
        style = "cyan" if summary.frozen else ""
        left = [(line, style) for line in _folded(sender, wide)] + [("frozen", style)] * summary.frozen
        right = [
            (line, style) for text, style in _recipients(summary) for line in _folded(text, last, "  " * (style != ""))
        ]
        cells = [summary.id, f"{age(summary.received):>6}", f"{short_size(summary.size):>5}"]
        for (one, one_style), (other, other_style) in zip_longest(left, right, fillvalue=("", "")):
            yield (
                _row(cells, widths) + _styled(one.ljust(wide), one_style) + _GAP + _styled(other, other_style)
            ).rstrip()
            cells = ["", "", ""]


def _row(cells: Iterable[str], widths: Sequence[int]) -> str:
    return "".join(cell.ljust(width) + _GAP for cell, width in zip(cells, widths, strict=False))


def _styled(text: str, style: str) -> str:
    match style:
        case "":
            return text
        case "dim":
            return click.style(text, dim=True)
        case _:
            return click.style(text, fg=style)


def _folded(text: str, width: int, indent: str = "") -> list[str]:
    """Return *text* in lines of *width* columns, broken between words where that is possible."""
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False) or [""]


def _recipients(summary: Summary) -> Iterator[_Line]:
    """Yield the recipients, and behind those of whom the same is to be said what that is."""
    shown = summary.recipients[:_SHOWN_RECIPIENTS]
    for told, alike in groupby(shown, lambda recipient: tuple(_told(recipient[2], frozen=summary.frozen))):
        yield from ((f"{printable(address)}{'  done' * done}", "") for address, done, _ in alike)
        yield from told
    more = len(summary.recipients) - _SHOWN_RECIPIENTS
    if more > 0:
        yield f"… and {more} more", "dim"


def _told(waiting: Waiting | None, *, frozen: bool) -> Iterator[_Line]:
    """Yield what is to be said of a recipient that is not done."""
    if waiting is None:
        return
    if waiting.maybe_delivered:
        yield "maybe delivered", "yellow"
    if waiting.reason:
        yield plain.reason(waiting), "dim"
    if not frozen:
        yield _next(waiting), "dim"


def _next(waiting: Waiting) -> str:
    """Return how often it was tried, and what it waits for."""
    times = {0: "not tried yet", 1: "tried once"}.get(waiting.attempts, f"tried {waiting.attempts} times")
    if waiting.until <= time.time():
        return f"{times}, due now"
    if waiting.destination:
        return f"{times}, waits for {printable(waiting.destination)}"
    return f"{times}, again in {_two_units(waiting.until - time.time())}"


def age(since: float) -> str:
    """Return how long ago *since* was, in the largest unit that fits and the next one."""
    return _two_units(time.time() - since)


def _two_units(seconds: float) -> str:
    """Return a time without what does not matter beside its largest unit: ``3d4h``, ``5m20s``."""
    for unit, next_unit in ((604800, 86400), (86400, 3600), (3600, 60)):
        if seconds >= unit:
            return format_time(timedelta(seconds=seconds // next_unit * next_unit))
    return format_time(timedelta(seconds=max(0.0, seconds)))


def say(lines: Iterable[str]) -> None:
    """Print lines, many at once: each call of echo flushes."""
    left = iter(lines)
    while some := list(islice(left, _LINES_AT_ONCE)):
        click.echo("\n".join(some))
