"""``smarthostd queue``: see and steer what waits.

The tools open the spool themselves and have the daemon keep away from what they change (``steering.py``), so they work
with the daemon up or down. What strangers have written is shown escaped on a terminal, and as it is in a file.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import update_wrapper
from pathlib import Path
from typing import Any, TypeVar

import click

from smarthostd import headers
from smarthostd.cli.common import config_option, load_or_exit
from smarthostd.cli.queue import listing
from smarthostd.cli.queue.choosing import Chosen, choosing, filters, selection
from smarthostd.cli.queue.progress import progress
from smarthostd.cli.queue.steering import Fate, Fates, Queue, opened
from smarthostd.config import Loaded
from smarthostd.errors import ConfigurationError, ControlError, SpoolError
from smarthostd.hints import HOST
from smarthostd.message_id import SHAPE
from smarthostd.spool.base import ALL, Counts, Pending, Summary
from smarthostd.syntax import printable

T = TypeVar("T")
Work = Callable[[Queue], Awaitable[T]]
Change = Callable[[Queue, Sequence[str]], Awaitable[Fates]]

_IMPORTED_AT_ONCE = 50
"""Files that are imported in one transaction: each may be open, and of each 64 KiB in memory."""
_INTERRUPTED = 130
"""The exit status of a command that SIGINT has ended."""
_REASONS_SHOWN = 10
"""Messages of which it is told why they were left as they are."""


def _pass_loaded(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* the configuration, which is read only when it runs: help needs none.

    ``-C`` may stand in front of the command's name or behind it.
    """

    @click.pass_context
    def with_loaded(context: click.Context, /, config: Path | None = None, **options: Any) -> None:
        command(load_or_exit(config or context.obj), **options)

    return config_option(update_wrapper(with_loaded, command))


@click.group(invoke_without_command=True)
@config_option
@click.pass_context
def queue(context: click.Context, config: Path | None) -> None:
    """List, show, steer, export or import queued messages (alone: list them)."""
    context.obj = config
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        context.color = False
    if context.invoked_subcommand is None:
        context.invoke(list_)


def _with_queue(loaded: Loaded, work: Work[T], advance: Callable[[int], object] = lambda count: None) -> T:
    """Return what *work* makes of the queue; say in one sentence what is wrong with the spool or the daemon."""

    async def run() -> T:
        async with opened(loaded, advance) as queue:
            return await work(queue)

    try:
        return asyncio.run(run())
    except (SpoolError, ControlError, ConfigurationError) as error:
        raise click.ClickException(printable(str(error))) from error


# -- looking


@queue.command("list", short_help="List messages, the oldest first.")
@filters
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message.")
@click.option("--limit", default=100, show_default=True, help="How many to show; 0 for all.")
@click.option("--after", default="", metavar="ID", help="Go on behind this message.")
@click.option("--count", is_flag=True, help="Only say how many there are.")
@_pass_loaded
def list_(
    loaded: Loaded,
    as_json: bool = False,
    limit: int = 100,
    after: str = "",
    count: bool = False,
    sender: str = "",
    recipient: str = "",
    older: timedelta | None = None,
    newer: timedelta | None = None,
    state: str = "",
) -> None:
    """List the queue, the oldest first: a table on a terminal, else lines."""
    chosen = selection(sender, recipient, older, newer, state)

    async def work(queue: Queue) -> tuple[list[Summary], Counts, list[str]]:
        summaries = [] if count else await queue.spool.summaries(limit, after, chosen)
        return summaries, await queue.spool.counts(chosen), await _alarms(queue)

    summaries, counts, alarms = _with_queue(loaded, work)
    if as_json:
        listing.say([listing.counts_as_json(counts)] if count else listing.as_json(summaries))
        return
    for line in alarms:
        click.secho(printable(line), fg="red", bold=True, err=True)
    looked_at = sys.stdout.isatty()
    if summaries and looked_at:
        listing.show_table(summaries)
    else:
        listing.say(listing.as_lines(summaries))
    shown = counts.messages if count else len(summaries)
    click.echo(listing.totals(counts, shown, selected=chosen != ALL))
    if looked_at and summaries and shown < counts.messages:
        click.secho(f"--after {summaries[-1].id} goes on behind these, --limit 0 shows all.", dim=True)


async def _alarms(queue: Queue) -> list[str]:
    """Return what is held, in the daemon's words, or as it was left. The queue is shown whatever the daemon says."""
    try:
        answer = queue.ask("status")
    except ControlError as error:
        return [str(error)]
    if answer:
        return _told_by(answer)
    hints = {key.removeprefix(HOST): hint for key, hint in (await queue.spool.hints()).items() if hint.cause}
    held = [f"mail for {key} is held: {hint.text}; {hint.fix}" for key, hint in hints.items()]
    return [*held, "The daemon is not running: nothing is sent."] if sys.stdout.isatty() else held


def _told_by(answer: Mapping[str, Any]) -> list[str]:
    """Return what the daemon says is wrong."""
    return [str(alarm) for alarm in (answer.get("not_in_force"), answer.get("no_room"), *answer["held"]) if alarm]


@queue.command(short_help="Tell all that is known of a message.")
@click.argument("id")
@_pass_loaded
def show(loaded: Loaded, id: str) -> None:
    """Tell the story of a message: who, when, every attempt, and what is next."""
    from smarthostd.cli.queue import story

    async def work(queue: Queue) -> list[str]:
        pending = await _there(queue, id)
        trying = bool((_asked(queue, "status", id=id) or {}).get("trying"))
        return list(story.lines(pending, await queue.spool.events(id), await queue.spool.hints(), trying=trying))

    for line in _with_queue(loaded, work):
        click.echo(line)


def _asked(queue: Queue, what: str, **facts: object) -> Mapping[str, Any] | None:
    """Ask the daemon; None where there is none, or none that answers: what the spool says stands all the same."""
    try:
        return queue.ask(what, **facts)
    except ControlError:
        return None


@queue.command("headers")
@click.argument("id")
@_pass_loaded
def headers_(loaded: Loaded, id: str) -> None:
    """Print a message's header lines."""

    async def work(queue: Queue) -> bytes:
        start = (await _there(queue, id)).message.content.beginning(headers.HEADER_LIMIT)
        return start[: headers.end_of_header(start)]

    _print(iter([_with_queue(loaded, work)]))


@queue.command()
@click.argument("id")
@_pass_loaded
def body(loaded: Loaded, id: str) -> None:
    """Print a message's body as it was sent."""
    content = _with_queue(loaded, lambda queue: _there(queue, id)).message.content
    start = content.beginning(headers.HEADER_LIMIT)
    blank = 2 if start[headers.end_of_header(start) :].startswith(b"\r\n") else 0
    _print(_behind(content.blocks(), headers.end_of_header(start) + blank))


def _behind(blocks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Yield *blocks* without their first *count* octets."""
    for block in blocks:
        yield block[count:]
        count = max(0, count - len(block))


def _print(blocks: Iterator[bytes]) -> None:
    """Print octets: on a terminal as text, line by line and escaped; else as they are."""
    if not sys.stdout.isatty():
        for block in blocks:
            sys.stdout.buffer.write(block)
        return
    for line in b"".join(blocks).decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n"):
        click.echo(printable(line))


async def _there(queue: Queue, id: str) -> Pending:
    """Return the message *id*; raises ClickException where there is none."""
    pending = await queue.spool.load(id) if SHAPE.fullmatch(id) else None
    if pending is None:
        raise click.ClickException(f"there is no message {printable(id)} in the queue; `smarthostd queue` lists them")
    return pending


@queue.command(short_help="Say how the daemon is.")
@_pass_loaded
def health(loaded: Loaded) -> None:
    """Say how the daemon is, and why the oldest message waits.

    Exit 1 where it does not answer, mail is held, the disk is full, or its configuration is not the new one.
    """

    async def work(queue: Queue) -> tuple[Mapping[str, Any] | None, list[Summary]]:
        return queue.ask("status"), await queue.spool.summaries(1)

    answer, oldest = _with_queue(loaded, work)
    if answer is None:
        raise click.ClickException("the daemon does not answer on its control socket: is it running?")
    click.echo(f"{answer['queue']} queued, {answer['frozen']} frozen, {answer['active']} under way")
    alarms = _told_by(answer)
    for alarm in alarms:
        click.echo(printable(alarm))
    if not alarms:
        listing.say(listing.why(oldest))
    raise SystemExit(1 if alarms else 0)


# -- steering


@queue.command(short_help="Try everything now that is not frozen.")
@_pass_loaded
def run(loaded: Loaded) -> None:
    """Try everything now that is not frozen, held mail included."""

    async def work(queue: Queue) -> tuple[int, bool]:
        if queue.ask("run") is None:
            return await queue.spool.hurry(None), False
        counts = await queue.spool.counts()
        return counts.messages - counts.frozen, True

    count, running = _with_queue(loaded, work)
    due = "1 message is due" if count == 1 else f"{count} messages are due"
    click.echo(due + ("." if running else "; the daemon is not running: not before it starts."))


@queue.command(short_help="Try messages now, frozen ones too.")
@choosing
@_pass_loaded
def retry(loaded: Loaded, /, **options: Any) -> None:
    """Try messages now, frozen ones too; without a daemon, when it starts."""
    _change(loaded, Chosen.of(**options), Queue.retry, "due")


@queue.command()
@choosing
@_pass_loaded
def freeze(loaded: Loaded, /, **options: Any) -> None:
    """Keep messages from being tried."""
    _change(loaded, Chosen.of(**options), Queue.freeze, "frozen")


@queue.command()
@choosing
@_pass_loaded
def thaw(loaded: Loaded, /, **options: Any) -> None:
    """Let frozen messages be tried again."""
    _change(loaded, Chosen.of(**options), Queue.thaw, "no longer frozen")


@queue.command()
@choosing
@_pass_loaded
def remove(loaded: Loaded, /, **options: Any) -> None:
    """Remove messages; nobody is told."""
    _change(loaded, Chosen.of(**options), Queue.remove, "removed")


@queue.command()
@choosing
@_pass_loaded
def bounce(loaded: Loaded, /, **options: Any) -> None:
    """Give messages up, and tell their senders."""
    _change(loaded, Chosen.of(**options), Queue.bounce, "given up")


def _change(loaded: Loaded, chosen: Chosen, change: Change, what: str) -> None:
    """Change the chosen messages, show how far it is, and say what was done; exit 1 where something was not.

    Of messages that are described, and not named, those that are so already are none of these. An interrupt ends it
    behind a batch: what was come to is done, the rest is as it was, and it is said how many are which.
    """
    ids = _chosen_ids(loaded, chosen)
    with progress(len(ids)) as advance:
        fates = _with_queue(loaded, lambda queue: _until_interrupted(queue, change(queue, ids)), advance)
    not_come_to = len(ids) - len(fates)
    if not chosen.ids:
        fates = {id: fate for id, fate in fates.items() if fate is not Fate.SAME}
    left = {id: fate for id, fate in fates.items() if fate is not Fate.CHANGED}
    for id, fate in list(left.items())[:_REASONS_SHOWN]:
        click.echo(f"{printable(id)} {fate.value}")
    if len(left) > _REASONS_SHOWN:
        click.echo(f"… and {len(left) - _REASONS_SHOWN} more")
    click.echo(f"{len(fates) - len(left)} of {len(fates) + not_come_to} {what}.")
    if not_come_to:
        click.echo(f"Interrupted: the other {not_come_to} are as they were.")
        raise SystemExit(_INTERRUPTED)
    if left:
        raise SystemExit(1)


def _chosen_ids(loaded: Loaded, chosen: Chosen) -> list[str]:
    """Return the messages that were chosen, each once."""
    if chosen.ids:
        return list(dict.fromkeys(chosen.ids))
    return _with_queue(loaded, lambda queue: queue.spool.ids(chosen.selection))


async def _until_interrupted(queue: Queue, work: Awaitable[T]) -> T:
    """Return what *work* has come to when it is done, or interrupted; a second interrupt ends it at once."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        queue.interrupted.set()

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        return await work
    finally:
        loop.remove_signal_handler(signal.SIGINT)


# -- files


@queue.command("export", short_help="Write messages as .eml files.")
@choosing
@click.option(
    "--directory", type=click.Path(file_okay=False, exists=True, path_type=Path), help="Write each to ID.eml here."
)
@_pass_loaded
def export(loaded: Loaded, /, directory: Path | None, **options: Any) -> None:
    """Write messages as .eml files, with their envelopes; one goes to standard output. They stay in the queue."""
    from smarthostd.cli.queue import files

    chosen = Chosen.of(**options)
    ids = _chosen_ids(loaded, chosen)
    if directory is None:
        if len(ids) != 1:
            raise click.UsageError(f"{len(ids)} messages need a --directory")
        _print(files.export(_with_queue(loaded, lambda queue: _there(queue, ids[0]))))
        return

    async def work(queue: Queue) -> int:
        left = 0
        for id in ids:
            try:
                _write(directory / f"{printable(id)}.eml", files.export(await _there(queue, id)))
            except click.ClickException as error:
                error.show()
                left += 1
            queue.advance(1)
        return left

    with progress(len(ids)) as advance:
        left = _with_queue(loaded, work, advance)
    _say_done(len(ids) - left, len(ids), f"written to {printable(str(directory))}")


def _write(path: Path, blocks: Iterator[bytes]) -> None:
    """Make a new file that its owner alone may read, for it is mail.

    Raises ClickException, and then there is none of half a message.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            try:
                stream.writelines(blocks)
                stream.flush()
            except OSError:
                path.unlink()
                raise
    except OSError as error:
        raise click.ClickException(f"{printable(str(path))} cannot be written: {error.strerror}") from error


@queue.command("import", short_help="Put exported files into the queue.")
@click.argument("names", nargs=-1, required=True, type=click.Path(allow_dash=True), metavar="FILE...")
@_pass_loaded
def import_(loaded: Loaded, names: Sequence[str]) -> None:
    """Put files that `export` has written into the queue, as new messages; what cannot be taken is told at the end."""
    from smarthostd.cli.queue import files

    refused: list[str] = []

    async def take(queue: Queue, name: str) -> None:
        try:
            with click.open_file(name, "rb") as stream:
                message = await files.take_in(queue.spool, stream, queue.who)
        except (files.NotAMessage, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            refused.append(f"{printable(name)} is not taken: {reason}")
            return
        sender = str(message.envelope.sender) or "<>"
        line = f"<= {sender} U={queue.who} P=local S={message.content.size} id={message.message_id}"
        told.append((message.id, line))
        click.echo(f"{message.id} {printable(name)}")

    async def work(queue: Queue) -> None:
        for at in range(0, len(names), _IMPORTED_AT_ONCE):
            some = names[at : at + _IMPORTED_AT_ONCE]
            try:
                await asyncio.gather(*(take(queue, name) for name in some))
            finally:
                await queue.tell(told, let_go=[id for id, _ in told])
                told.clear()
            queue.advance(len(some))

    told: list[tuple[str, str]] = []
    with progress(len(names)) as advance:
        _with_queue(loaded, work, advance)
    for text in refused:
        click.echo(f"Error: {text}", err=True)
    _say_done(len(names) - len(refused), len(names), "taken")


def _say_done(count: int, total: int, what: str) -> None:
    """Say how many are done, but for the only one; exit 1 where some are not."""
    if (count, total) != (1, 1):
        click.echo(f"{count} of {total} {what}.", err=True)
    if count < total:
        raise SystemExit(1)


__all__ = ["queue"]
