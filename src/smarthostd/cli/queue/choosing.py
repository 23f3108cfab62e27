"""Which messages a command is about: ids, or options that are the same for listing and for changing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import click
from msgspec import Struct

from smarthostd.spool.base import ALL, Selection, State
from smarthostd.syntax import parse_time

F = TypeVar("F", bound=Callable[..., Any])


def _age(context: click.Context, option: click.Parameter, text: str | None) -> timedelta | None:
    """Return a time as Exim writes it, or say how that is."""
    if text is None:
        return None
    age = parse_time(text)
    if age is None:
        raise click.BadParameter(f'"{text}" is no time: write 30m, 2h or 1d12h')
    return age


def filters(command: F) -> F:
    """Give *command* the options that :func:`selection` reads, as keyword arguments."""
    options = [
        click.option("--sender", default="", help="Only from senders with this text in them; <> is nobody."),
        click.option("--recipient", default="", help="Only to those with this text in them, and not yet served."),
        click.option("--older", metavar="TIME", callback=_age, help="Only messages older than this: 30m, 2h, 1d12h."),
        click.option("--newer", metavar="TIME", callback=_age, help="Only messages younger than this."),
        click.option(
            "--state", type=click.Choice([state.value for state in State]), help="Only messages in this state."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def selection(sender: str, recipient: str, older: timedelta | None, newer: timedelta | None, state: str) -> Selection:
    """Return what these options mean, as of now."""
    now = time.time()
    return Selection(
        sender=sender,
        recipient=recipient,
        received_before=now - older.total_seconds() if older else 0.0,
        received_after=now - newer.total_seconds() if newer else 0.0,
        state=State(state) if state else None,
    )


class Chosen(Struct, frozen=True):
    """What a command that changes messages was given."""

    ids: Sequence[str]
    selection: Selection
    every: bool

    @classmethod
    def of(cls, ids: Sequence[str], every: bool, **options: Any) -> Chosen:
        """Return the choice; raises UsageError where it is none, or two at a time."""
        chosen = selection(**options)
        if ids and (every or chosen != ALL):
            raise click.UsageError("name messages, or describe them by options, not both")
        if not (ids or every or chosen != ALL):
            raise click.UsageError("which messages? Name them, describe them (--sender, --older …), or say --all")
        return cls(ids, chosen, every)


def choosing(command: F) -> F:
    """Give *command* ids, ``--all``, and :func:`filters`: what :meth:`Chosen.of` takes."""
    every = click.option("--all", "every", is_flag=True, help="All messages.")
    return click.argument("ids", nargs=-1)(every(filters(command)))
