"""``smarthostd route`` and ``smarthostd expand``: the daemon's own decisions, without mail."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from smarthostd.address import Address, AddressError
from smarthostd.assembly import build_language, build_routing
from smarthostd.cli.common import config_option, load_or_exit
from smarthostd.envelope import Recipient
from smarthostd.errors import ExpansionError
from smarthostd.routers.base import RoutingDeferred, RoutingFailed, ToTransport
from smarthostd.routers.routing import Routed
from smarthostd.syntax import printable


@click.command()
@config_option
@click.option("--sender", default="", help="The sender, for routers that look at it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object an address.")
@click.argument("addresses", nargs=-1, required=True)
def route(config: Path | None, sender: str, as_json: bool, addresses: tuple[str, ...]) -> None:
    """Say where a message for each address would go, and what each router said."""
    loaded = load_or_exit(config)
    language = build_language(loaded.settings, loaded.source)
    routing = build_routing(loaded.settings, language)
    worst = 0
    for text in addresses:
        try:
            address = Address.parse(text).qualified(loaded.settings.qualify_recipient)
        except AddressError as error:
            raise click.ClickException(f"{printable(text)}: {error}") from error
        trace: list[str] = []
        values = {"sender_address": sender, "return_path": sender}
        routed = asyncio.run(routing.route(Recipient(address), values, trace))
        worst = max(worst, *(_status(one) for one in routed), 0)
        if as_json:
            click.echo(
                json.dumps({"address": str(address), "trace": trace, "results": [_fields(one) for one in routed]})
            )
        else:
            _show(address, routed, trace)
    raise SystemExit(worst)


def _status(routed: Routed) -> int:
    """Exim's exit status: 0 routed, 1 deferred, 2 failed."""
    return 2 if isinstance(routed.verdict, RoutingFailed) else int(isinstance(routed.verdict, RoutingDeferred))


def _fields(routed: Routed) -> dict[str, Any]:
    fields: dict[str, Any] = {"address": str(routed.address.address), "router": routed.router}
    match routed.verdict:
        case ToTransport(transport, targets):
            hosts = [{"name": one.name, "port": one.port, "addresses": one.addresses} for one in targets]
            fields |= {"transport": transport, "hosts": hosts}
        case RoutingDeferred(text):
            fields["deferred"] = text
        case RoutingFailed(text):
            fields["failed"] = text
        case _:
            fields["discarded"] = True
    return fields


def _show(address: Address, routed: list[Routed], trace: list[str]) -> None:
    click.echo(printable(str(address)))
    for line in trace:
        click.secho(f"    {printable(line)}", dim=True)
    for one in routed:
        match one.verdict:
            case ToTransport(transport, targets):
                hosts = ", ".join(f"{target} [{' '.join(target.addresses)}]" for target in targets)
                way = f"router {one.router}, transport {transport}" + (f", to {hosts}" if hosts else "")
            case RoutingDeferred(text):
                way = f"cannot be routed now: {text}"
            case RoutingFailed(text):
                way = f"undeliverable: {text}"
            case _:
                way = f"discarded by router {one.router}"
        click.echo(f"  {printable(str(one.address.address))}: {printable(way)}")


@click.command()
@config_option
@click.argument("strings", nargs=-1, required=True)
def expand(config: Path | None, strings: tuple[str, ...]) -> None:
    """Expand each string as an option would be; what it shows may be a secret."""
    loaded = load_or_exit(config)
    expander = build_language(loaded.settings, loaded.source).expander
    failed = False
    for text in strings:
        try:
            click.echo(expander.expand(text))
        except ExpansionError as error:
            failed = True
            click.echo(f"Failed: {error}")
    raise SystemExit(int(failed))
