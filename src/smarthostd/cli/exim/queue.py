"""Exim's command line for the queue: ``-bp`` and its kin, ``-M…``, ``-q…``, ``-R``, ``-S`` (exim.md 11).

With a daemon, queue runs and deliveries are its business: it is told, and goes on for itself. Without one they are done
here, and the command ends with them, as Exim's does.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TextIO, TypeAlias

from smarthostd.cli.exim import queue_changes, queue_listing, queue_views
from smarthostd.cli.exim.arguments import BadCommandLine
from smarthostd.cli.queue.steering import Queue, opened
from smarthostd.config import Loaded
from smarthostd.errors import ControlError, SpoolError
from smarthostd.message_id import SHAPE
from smarthostd.queue_run import ByHand, QueueRun
from smarthostd.spool.base import ALL, Selection, State
from smarthostd.syntax import parse_time, printable

Task: TypeAlias = Coroutine[Any, Any, int]
Action: TypeAlias = Callable[[Queue, Sequence[str], TextIO], Task]

_LISTING = re.compile(r"-bp(c?)(?:r?)([ua]?)")
_RUN = re.compile(r"-(q{0,2})(i?)(f{0,2})(l?)")
_SELECTED = re.compile(r"-(q{0,2})([RS])(r?)(f{0,2})(.*)", re.DOTALL)


def run(loaded: Loaded, arguments: Sequence[str], out: TextIO) -> int | None:
    """Do what *arguments* ask of the queue; return the exit status, None where they ask for something else."""
    task = _task(loaded, list(arguments), out)
    if task is None:
        return None
    try:
        return asyncio.run(task)
    except (SpoolError, ControlError) as error:
        raise BadCommandLine(f"exim: {error}") from error


def _task(loaded: Loaded, words: list[str], out: TextIO) -> Task | None:
    """Return what the first word that is about the queue asks for."""
    for at, word in enumerate(words):
        rest = [one for one in words[at + 1 :] if one != "--"]
        if listing := _LISTING.fullmatch(word):
            ids = [one for one in rest if not one.startswith("-")]
            return _list(loaded, ids, out, count=bool(listing[1]), which=listing[2])
        if word in _ACTIONS:
            return _act(loaded, word, _checked(word, rest), out)
        if re.match(r"-q{0,2}[RS]", word):
            return _run_queue(loaded, _selected(word, rest))
        if word.startswith("-q"):
            return _run_queue(loaded, _whole(word, rest))
    return None


async def _list(loaded: Loaded, ids: Sequence[str], out: TextIO, *, count: bool, which: str) -> int:
    async with opened(loaded) as queue:
        if count:
            out.write(f"{(await queue.spool.count())[0]}\n")
        else:
            await queue_listing.show(queue, ids, out, which)
    return 0


# -- queue runs


def _whole(word: str, rest: list[str]) -> QueueRun:
    """Return the run that ``-q…`` asks for; *rest* are the ids that it begins and ends with."""
    match = _RUN.fullmatch(word)
    if match is None:
        raise BadCommandLine(f"exim: {word} is not in smarthostd exim: `smarthostd run` runs the queue all the time")
    for id in rest[:2]:
        if not SHAPE.fullmatch(id):
            why = "" if parse_time(id) is None else ": `smarthostd run` runs the queue all the time"
            raise BadCommandLine(f"exim: bad time value {printable(id)}: abandoned{why}")
    first, last = [*rest, "", ""][:2]
    flags = "" if word == "-q" else f" {word}"
    forced, frozen = bool(match[3]), match[3] == "ff"
    return QueueRun(
        flags, forced, frozen=frozen, local_only=bool(match[4]), new_only=bool(match[2]), first=first, last=last
    )


def _selected(word: str, rest: list[str]) -> QueueRun:
    """Return the run that ``-R…`` or ``-S…`` asks for."""
    match = _SELECTED.fullmatch(word)
    assert match is not None
    text = match[5] or (rest[0] if rest else "")
    try:
        pattern = re.compile(text if match[3] else re.escape(text), re.IGNORECASE)
    except re.error as error:
        raise BadCommandLine(f"exim: {word} {printable(text)}: not a regular expression: {error}") from error
    flags = f" -q{match[4]}" if match[4] else ""
    flags += f" -{match[2]}{match[3]} {text}"
    recipient, sender = (pattern, None) if match[2] == "R" else (None, pattern)
    forced = bool(match[4])
    frozen = match[4] == "ff"
    return QueueRun(flags, forced, first_forced=True, frozen=frozen, recipient=recipient, sender=sender)


async def _run_queue(loaded: Loaded, run: QueueRun) -> int:
    async with opened(loaded) as queue:
        if queue.ask("status") is not None:
            await _have_run(queue, run)
            return 0
    async with ByHand(loaded) as hand:
        await hand.run(run)
    return 0


async def _have_run(queue: Queue, run: QueueRun) -> None:
    """Tell the daemon what is to be tried although its time has not come; the rest it tries by itself."""
    if run.local_only or not (run.forced or run.first_forced):
        return
    if run.whole:
        queue.ask("run", flags=run.flags)
    summaries = await queue.spool.summaries(selection=Selection(state=State.FROZEN) if run.whole else ALL)
    await queue.retry([one.id for one in summaries if run.takes(one) and (run.frozen or not one.frozen)])


# -- messages


async def _act(loaded: Loaded, word: str, words: Sequence[str], out: TextIO) -> int:
    async with opened(loaded) as queue:
        return await _ACTIONS[word](queue, words, out)


def _checked(word: str, words: list[str]) -> list[str]:
    """Return *words*, all of which must be ids, or only the first where the others are addresses."""
    ids = words[:1] if word in _WITH_ADDRESSES else words
    if not ids:
        raise BadCommandLine(f"exim: no message ids given after {word} option")
    for id in ids:
        if not SHAPE.fullmatch(id):
            raise BadCommandLine(f"exim: malformed message id {printable(id)} after {word} option")
    return words


async def _deliver(queue: Queue, ids: Sequence[str], out: TextIO) -> int:
    if queue.ask("retry", ids=list(ids)) is None:
        async with ByHand(queue.loaded) as hand:
            await hand.deliver(ids, forced=True)
    return 0


async def _deliver_when_due(queue: Queue, ids: Sequence[str], out: TextIO) -> int:
    """With a daemon there is nothing to do: it tries all that is due."""
    if queue.ask("status") is None:
        async with ByHand(queue.loaded) as hand:
            await hand.deliver(ids, forced=False)
    return 0


_WITH_ADDRESSES = {"-Mar", "-Mes", "-Mmd"}
_ACTIONS: Mapping[str, Action] = {
    "-M": _deliver,
    "-Mc": _deliver_when_due,
    "-Mf": queue_changes.freeze,
    "-Mt": queue_changes.thaw,
    "-Mg": queue_changes.give_up,
    "-Mrm": queue_changes.remove,
    "-Mar": queue_changes.add,
    "-Mes": queue_changes.set_sender,
    "-Mmd": queue_changes.mark,
    "-Mmad": queue_changes.mark_all,
    "-Mvh": queue_views.header,
    "-Mvb": queue_views.body,
    "-Mvl": queue_views.story,
    "-Mvc": queue_views.copy,
}
