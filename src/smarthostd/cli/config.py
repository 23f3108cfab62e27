"""``smarthostd check`` and ``smarthostd config``: is it right, what does it say, how is it written the other way."""

from __future__ import annotations

from pathlib import Path

import click

from smarthostd.authenticators.base import mechanism
from smarthostd.cli.common import config_option, lenient_option, load_or_exit
from smarthostd.config import Loaded
from smarthostd.config.render import Form, render
from smarthostd.errors import ConfigurationError
from smarthostd.syntax import printable

_as_option = click.option("--as", "form", type=click.Choice(["exim", "toml"]), help="The syntax to write.")


@click.command()
@config_option
@lenient_option
def check(config: Path | None, lenient: bool) -> None:
    """Check a configuration and explain what it will do; exit 78 where something is wrong."""
    from smarthostd.cli import prospect

    loaded = load_or_exit(config, lenient=lenient)
    settings = loaded.settings
    for warning in loaded.warnings:
        click.echo(printable(warning))
    click.echo(f"{loaded.source}: ok")
    click.echo(f"  listens on   {settings.local_interfaces}, ports {settings.daemon_smtp_ports}")
    click.echo(f"  relays for   {settings.relay_from_hosts}")
    for title, names in (
        ("routers", [router.name for router in settings.routers]),
        ("transports", list(settings.transports)),
        ("logins", [f"{one.name} ({mechanism(one)})" for one in settings.authenticators]),
    ):
        click.echo(f"  {title:<12} {printable(', '.join(names)) or 'none'}")
    for line in prospect.lines(settings):
        click.echo(printable(line))


@click.group()
def config() -> None:
    """Show a configuration, or write it in the other syntax."""


@config.command()
@config_option
@lenient_option
@_as_option
@click.option("--secrets", is_flag=True, help="Show passwords too, which are stars otherwise.")
def show(config: Path | None, lenient: bool, form: Form | None, secrets: bool) -> None:
    """Show what is set, the shorthand written out."""
    loaded = load_or_exit(config, lenient=lenient)
    _say_warnings(loaded)
    click.echo(f"# {printable(loaded.source)}")
    _write(loaded, form or _own_form(loaded), secrets=secrets)


@config.command("render")
@config_option
@lenient_option
@_as_option
def render_(config: Path | None, lenient: bool, form: Form | None) -> None:
    """Write a configuration in the other syntax (or as --as says), passwords included."""
    loaded = load_or_exit(config, lenient=lenient)
    _say_warnings(loaded)
    _write(loaded, form or ("toml" if _own_form(loaded) == "exim" else "exim"), secrets=True)


def _own_form(loaded: Loaded) -> Form:
    return "exim" if loaded.source.endswith(".conf") else "toml"


def _write(loaded: Loaded, form: Form, *, secrets: bool) -> None:
    """Write the settings to standard output as they are: octets that are no UTF-8 go through."""
    try:
        text = render(loaded.settings, form, secrets=secrets, hidden=loaded.hidden)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
    click.echo(text.encode("utf-8", "surrogateescape"), nl=False)


def _say_warnings(loaded: Loaded) -> None:
    for warning in loaded.warnings:
        click.echo(printable(warning), err=True)
