"""How the demo shows itself: with colours and moving bars on a terminal, in plain lines anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from rich.console import Console

Advance = Callable[[], None]


class Screen(Protocol):
    """What the demo says."""

    def step(self, text: str) -> None:
        """Begin a step."""
        ...

    def tell(self, name: str, text: str) -> None:
        """One fact of the step."""
        ...

    def show(self, text: str) -> None:
        """A piece of configuration."""
        ...

    def end(self, text: str, *, good: bool) -> None:
        """The last line."""
        ...

    def counting(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """Show how many of *total* are done; the function that is lent counts one."""
        ...

    def waiting(self, what: str) -> AbstractContextManager[None]:
        """Show that something is waited for."""
        ...


def open_screen() -> Screen:
    """Return the screen that suits standard output."""
    return RichScreen() if sys.stdout.isatty() else PlainScreen()


class PlainScreen:
    """Lines, as they come."""

    def step(self, text: str) -> None:
        """Begin a step."""
        click.echo(f"\n== {text}")

    def tell(self, name: str, text: str) -> None:
        """One fact of the step."""
        click.echo(f"   {name:<14} {text}")

    def show(self, text: str) -> None:
        """A piece of configuration."""
        click.echo("\n".join(f"   | {line}" for line in text.splitlines()))

    def end(self, text: str, *, good: bool) -> None:
        """The last line."""
        click.echo(f"\n{text}")

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator[Advance]:
        """Say the count once it is complete."""
        count = 0

        def advance() -> None:
            nonlocal count
            count += 1

        yield advance
        self.tell(what, f"{count} of {total}")

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Nothing moves in plain text."""
        yield


class RichScreen:
    """A terminal."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console

        self._console = console or Console(highlight=False)

    def step(self, text: str) -> None:
        """Begin a step."""
        self._console.print(f"\n[bold cyan]●[/] [bold]{_escaped(text)}[/]")

    def tell(self, name: str, text: str) -> None:
        """One fact of the step."""
        from rich.table import Table

        row = Table.grid(padding=(0, 1))
        row.add_column(width=17, no_wrap=True)
        row.add_column()
        row.add_row(f"  [green]✓[/] [dim]{_escaped(name)}[/]", _escaped(text))
        self._console.print(row)

    def show(self, text: str) -> None:
        """A piece of configuration."""
        from rich.padding import Padding
        from rich.syntax import Syntax

        source = Syntax(text.rstrip("\n"), "ini", theme="ansi_dark", background_color="default", word_wrap=True)
        self._console.print(Padding(source, (0, 0, 0, 4)))

    def end(self, text: str, *, good: bool) -> None:
        """The last line."""
        self._console.print(f"\n[bold {'green' if good else 'red'}]{_escaped(text)}[/]")

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator[Advance]:
        """Show a bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (TextColumn("  [green]✓[/] [dim]{task.description:<13}[/]"), BarColumn(40), MofNCompleteColumn())
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(what, total=total)
            yield lambda: progress.advance(task)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show a spinner."""
        with self._console.status(f"[dim]{_escaped(what)}[/]"):
            yield


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
