"""``smarthostd queue``: see and steer what waits.

The tools open the spool themselves and then nudge the daemon, so they work with the daemon up or down.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from smarthostd.cli.common import config_option, load_or_exit
from smarthostd.config.settings import Settings
from smarthostd.control import ask
from smarthostd.spool.base import Spool, Summary
from smarthostd.syntax import format_time, printable

T = TypeVar("T")


def _with_spool(settings: Settings, work: Callable[[Spool], Awaitable[T]]) -> T:
    """Run *work* on the spool, opened without the daemon's lock."""
    from smarthostd.spool.sqlite import SqliteSpool

    async def run() -> T:
        spool = await SqliteSpool.open(Path(settings.spool_directory), lock=False)
        try:
            return await work(spool)
        finally:
            await spool.close()

    return asyncio.run(run())


def _nudge(settings: Settings, command: str, **arguments: Any) -> bool:
    """Tell the daemon, if there is one; return whether there is."""
    answer = ask(Path(settings.runtime_directory) / "control.sock", command, **arguments)
    return answer is not None and bool(answer.get("ok"))


@click.group(invoke_without_command=True)
@config_option
@click.pass_context
def queue(context: click.Context, config: Path | None) -> None:
    """List, show, retry, freeze, thaw or remove queued messages (alone: list them)."""
    context.obj = load_or_exit(config).settings
    if context.invoked_subcommand is None:
        context.invoke(list_)


@queue.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message.")
@click.option("--limit", default=100, show_default=True, help="How many to show; 0 for all.")
@click.pass_obj
def list_(settings: Settings, as_json: bool = False, limit: int = 100) -> None:
    """List the queue, the oldest first."""

    async def work(spool: Spool) -> tuple[list[Summary], tuple[int, int]]:
        return await spool.summaries(limit), await spool.count()

    summaries, (count, frozen) = _with_spool(settings, work)
    if as_json:
        for summary in summaries:
            click.echo(json.dumps(asdict(summary)))
        return
    for line in _alarms(settings):
        click.secho(line, fg="red", err=True)
    if not count:
        click.echo("The queue is empty.")
        return
    for summary in summaries:
        click.echo(_line(summary))
    more = f", {len(summaries)} shown" if len(summaries) < count else ""
    click.echo(f"{count} message{'s' * (count != 1)}, {frozen} frozen{more}.")


def _alarms(settings: Settings) -> list[str]:
    """Return what is held, in the daemon's words; nothing when it is down."""
    answer = ask(Path(settings.runtime_directory) / "control.sock", "status")
    return [str(alarm) for alarm in answer.get("held", [])] if answer else []


def _line(summary: Summary) -> str:
    age = format_time(timedelta(seconds=max(0, time.time() - summary.received)))
    frozen = "  *** frozen ***" if summary.frozen else ""
    lines = [f"{summary.id}  {age:>8}  {summary.size:>9}  <{printable(summary.sender)}>{frozen}"]
    for address, done, waiting in summary.recipients:
        reason = f"  {printable(waiting.reason)}" if waiting and waiting.reason else ""
        maybe = "  (maybe delivered)" if waiting and waiting.maybe_delivered else ""
        lines.append(f"    {'D' if done else ' '} {printable(address)}{maybe}{reason}")
    return "\n".join(lines)


@queue.command("show")
@click.argument("id")
@click.pass_obj
def show(settings: Settings, id: str) -> None:
    """Tell the story of a message: who, when, what happened, what is next."""

    async def work(spool: Spool) -> tuple[Any, list[tuple[float, str]]]:
        return await spool.load(id), await spool.events(id)

    pending, events = _with_spool(settings, work)
    if pending is None:
        raise click.ClickException(f"there is no message {printable(id)} in the queue; `smarthostd queue` lists them")
    message = pending.message
    click.echo(f"{message.id}  received {_at(message.received)}, {message.content.size} octets")
    click.echo(f"from <{printable(str(message.envelope.sender))}>{'  *** frozen ***' if pending.frozen else ''}")
    for recipient, waiting in pending.waiting.items():
        click.echo(f"to   {printable(str(recipient))}")
        if waiting.reason:
            click.echo(
                f"       last attempt {_at(waiting.last_try)} (of {waiting.attempts}): {printable(waiting.reason)}"
            )
        if waiting.destination:
            click.echo(f"       waits for {printable(waiting.destination)} to take mail again")
        if waiting.until > time.time():
            click.echo(f"       next attempt {_at(waiting.until)} at the latest")
        if waiting.maybe_delivered:
            click.echo("       maybe delivered: the connection broke after the message was sent, before the answer")
    for at, text in events:
        click.echo(f"{_at(at)} {printable(text)}")


def _at(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


@queue.command("health")
@click.pass_obj
def health(settings: Settings) -> None:
    """Say how the daemon is; exit 1 where it does not answer, or mail is held."""
    answer = ask(Path(settings.runtime_directory) / "control.sock", "status")
    if answer is None or not answer.get("ok"):
        raise click.ClickException("the daemon does not answer on its control socket: is it running?")
    click.echo(f"{answer['queue']} queued, {answer['frozen']} frozen, {answer['active']} under way")
    for alarm in answer["held"]:
        click.echo(printable(str(alarm)))
    raise SystemExit(1 if answer["held"] else 0)


@queue.command("run")
@click.pass_obj
def run(settings: Settings) -> None:
    """Try everything now that is not frozen, held mail included."""
    count = _with_spool(settings, lambda spool: spool.hurry(None))
    running = _nudge(settings, "run")
    click.echo(f"{count} messages are due{'' if running else '; the daemon is not running, they go when it starts'}.")


@queue.command("retry")
@click.argument("ids", nargs=-1, required=True)
@click.pass_obj
def retry(settings: Settings, ids: Sequence[str]) -> None:
    """Try these messages now, frozen ones too."""

    async def work(spool: Spool) -> int:
        await spool.freeze(ids, False)
        return await spool.hurry(ids)

    count = _with_spool(settings, work)
    running = _nudge(settings, "retry", ids=list(ids))
    _say(count, ids, "due" if running else "due when the daemon starts")


@queue.command("freeze")
@click.argument("ids", nargs=-1, required=True)
@click.pass_obj
def freeze(settings: Settings, ids: Sequence[str]) -> None:
    """Keep these messages from being tried."""
    _say(_with_spool(settings, lambda spool: spool.freeze(ids, True)), ids, "frozen")


@queue.command("thaw")
@click.argument("ids", nargs=-1, required=True)
@click.pass_obj
def thaw(settings: Settings, ids: Sequence[str]) -> None:
    """Let frozen messages be tried again."""
    count = _with_spool(settings, lambda spool: spool.freeze(ids, False))
    _nudge(settings, "run")
    _say(count, ids, "no longer frozen")


@queue.command("remove")
@click.argument("ids", nargs=-1, required=True)
@click.pass_obj
def remove(settings: Settings, ids: Sequence[str]) -> None:
    """Remove these messages; nobody is told."""
    _say(_with_spool(settings, lambda spool: spool.remove(ids)), ids, "removed")


def _say(count: int, ids: Sequence[str], what: str) -> None:
    """Say what was done; exit 1 where an id was not found."""
    click.echo(f"{count} of {len(ids)} {what}.")
    if count < len(ids):
        raise SystemExit(1)
