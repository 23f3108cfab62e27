"""How far a command is that changes many messages: a bar where rich is installed, else a line that counts.

Both stand on standard error, only where that is a terminal, and are gone when the work is done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WORTH_SHOWING = 200
"""Messages for which nobody needs to be told how far it is."""

Advance = Callable[[int], object]
"""Is told of how many more are done."""


@contextmanager
def progress(total: int) -> Iterator[Advance]:
    """Show how far it is where somebody looks and it takes a while; yield what moves it."""
    if total <= WORTH_SHOWING or not sys.stderr.isatty():
        yield lambda count: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        with _counter(total) as advance:
            yield advance
        return
    columns = TextColumn("messages"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("messages", total=total)
        yield lambda count: bar.update(task, advance=count, refresh=True)


@contextmanager
def _counter(total: int) -> Iterator[Advance]:
    """Count in one line, which is written over with blanks at the end."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        _show(f"{done} of {total} messages")

    advance(0)
    try:
        yield advance
    finally:
        _show(" " * len(f"{total} of {total} messages"), "\r")


def _show(text: str, end: str = "") -> None:
    sys.stderr.write(f"\r{text}{end}")
    sys.stderr.flush()
