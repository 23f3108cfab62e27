"""``smarthostd route`` and ``smarthostd expand``: the daemon's own decisions, without mail.

What Exim shows of the same things is shown by ``smarthostd exim -bt`` and ``-be``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from smarthostd.address import Address, AddressError
from smarthostd.assembly import Language, build_language, build_routing
from smarthostd.cli.common import config_option, lenient_option, load_or_exit
from smarthostd.config import Loaded
from smarthostd.envelope import Recipient
from smarthostd.errors import ExpansionError, ForcedFailure
from smarthostd.expand import Values
from smarthostd.routers.base import RoutingDeferred, RoutingFailed, ToTransport
from smarthostd.routers.routing import Routed
from smarthostd.syntax import printable

_COLOURS = {
    "accepted": "green",
    "redirected": "green",
    "discarded": "yellow",
    "passed": "yellow",
    "deferred": "red",
    "failed": "red",
}
"""How what a router did is shown on a terminal; the rest is dim."""


class _Answer(Struct, frozen=True):
    """Where one address goes, and what each router said on the way."""

    address: Address
    routed: list[Routed]
    trace: list[str]


@click.command()
@config_option
@lenient_option
@click.option("--sender", default="", help="The sender, for routers that look at it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object an address.")
@click.option("--explain/--no-explain", default=None, help="Say what each router said; so it is on a terminal.")
@click.argument("addresses", nargs=-1, required=True)
def route(
    config: Path | None, lenient: bool, sender: str, as_json: bool, explain: bool | None, addresses: tuple[str, ...]
) -> None:
    """Say where a message for each address would go; exit 1 where one is deferred, 2 where one fails."""
    loaded = load_or_exit(config, lenient=lenient)
    recipients = [_address(text, loaded.settings.qualify_recipient) for text in addresses]
    explain = sys.stdout.isatty() if explain is None else explain
    worst = 0
    for answer in asyncio.run(_answers(loaded, recipients, sender)):
        worst = max(worst, *(_status(one) for one in answer.routed), 0)
        if as_json:
            results = [_fields(one) for one in answer.routed]
            click.echo(json.dumps({"address": str(answer.address), "trace": answer.trace, "results": results}))
        else:
            _show(answer, explain=explain)
    raise SystemExit(worst)


def _address(text: str, domain: str) -> Address:
    try:
        return Address.parse(text).qualified(domain)
    except AddressError as error:
        raise click.ClickException(f"{printable(text)}: {error}; write it as user@example.com") from error


async def _answers(loaded: Loaded, addresses: Sequence[Address], sender: str) -> list[_Answer]:
    routing = build_routing(loaded.settings, build_language(loaded.settings, loaded.source))
    values = _sender_values(sender) | {"return_path": sender}
    found = []
    for address in addresses:
        trace: list[str] = []
        found.append(_Answer(address, await routing.route(Recipient(address), values, trace), trace))
    return found


def _sender_values(sender: str) -> dict[str, str]:
    local_part, _, domain = sender.rpartition("@")
    return {
        "sender_address": sender,
        "sender_address_local_part": local_part or sender,
        "sender_address_domain": domain if local_part else "",
    }


def _status(routed: Routed) -> int:
    """Exim's exit status: 0 routed, 1 deferred, 2 failed."""
    return 2 if isinstance(routed.verdict, RoutingFailed) else int(isinstance(routed.verdict, RoutingDeferred))


def _fields(routed: Routed) -> dict[str, Any]:
    fields: dict[str, Any] = {"address": str(routed.address.shown), "router": routed.router}
    match routed.verdict:
        case ToTransport(transport, targets):
            hosts = [{"name": one.name, "port": one.port, "addresses": one.addresses} for one in targets]
            fields |= {"transport": transport, "hosts": hosts}
        case RoutingDeferred(text):
            fields["deferred"] = text.rstrip()
        case RoutingFailed(text):
            fields["failed"] = text.rstrip()
        case _:
            fields["discarded"] = True
    return fields


def _show(answer: _Answer, *, explain: bool) -> None:
    if explain:
        click.secho(printable(str(answer.address)), bold=True)
        for line in answer.trace:
            _explain(line)
    for one in answer.routed:
        match one.verdict:
            case ToTransport(transport, targets):
                hosts = ", ".join(f"{target} [{' '.join(target.addresses)}]" for target in targets)
                way = f"router {one.router}, transport {transport}" + (f", to {hosts}" if hosts else "")
            case RoutingDeferred(text):
                way = f"cannot be routed now: {text.rstrip()}"
            case RoutingFailed(text):
                way = f"undeliverable: {text.rstrip()}"
            case _:
                way = f"discarded by router {one.router}"
        colour = ("green", "yellow", "red")[_status(one)]
        click.echo(f"{printable(str(one.address.shown))}: {click.style(printable(way), fg=colour)}")


def _explain(line: str) -> None:
    """Show what one router said: ``NAME: verdict: why``."""
    name, _, told = line.partition(": ")
    colour = _COLOURS.get(told.partition(":")[0].split(" ")[0])
    click.echo(f"  {printable(name)}: {click.style(printable(told), fg=colour, dim=colour is None)}")


@click.command()
@config_option
@lenient_option
@click.option("--sender", default="", help="The sender's address, for the variables that hold it.")
@click.option(
    "--message",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file with a message, for the variables that hold what is in it.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a string.")
@click.argument("strings", nargs=-1)
def expand(
    config: Path | None, lenient: bool, sender: str, message: Path | None, as_json: bool, strings: tuple[str, ...]
) -> None:
    """Expand each string as an option would be, or each line of standard input.

    What it shows may be a secret. Exit 1 where one could not be expanded.
    """
    loaded = load_or_exit(config, lenient=lenient)
    language = build_language(loaded.settings, loaded.source)
    expander = language.expander
    values = _message_values(message, sender, loaded, language) if message else _sender_values(sender)
    failed = False
    for text in strings or _lines():
        shown: dict[str, Any] = {"string": text}
        try:
            shown["value"] = expander.expand(text, values)
        except ExpansionError as error:
            failed = True
            shown |= {"error": str(error), "forced": isinstance(error, ForcedFailure)}
        _show_expanded(shown, as_json=as_json)
    raise SystemExit(int(failed))


def _message_values(message: Path, sender: str, loaded: Loaded, language: Language) -> Values:
    """Return what variables hold for *message*, whose header is rewritten as where mail comes in."""
    from smarthostd.cli.exim.expansion import header_rewriter
    from smarthostd.cli.exim.message import read_message

    rewriter = header_rewriter(loaded, language, _sender_values(sender))
    try:
        return read_message(message, sender, "", language.facts, rewriter, dot_ends=False)[0]
    except OSError as error:
        raise click.ClickException(f"{printable(str(message))}: cannot be read: {error.strerror}") from error


def _lines() -> Iterator[str]:
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", "surrogateescape").rstrip("\r\n")


def _show_expanded(shown: dict[str, Any], *, as_json: bool) -> None:
    """Write an answer: octets as they are into a pipe, nothing that could harm onto a terminal."""
    if as_json:
        click.echo(json.dumps(shown))
        return
    text = shown["value"] if "value" in shown else f"Failed: {shown['error']}"
    if sys.stdout.isatty():
        text = "\n".join(map(printable, text.split("\n")))
    click.echo(text.encode("utf-8", "surrogateescape"))
