"""The command ``smarthostd``: a group whose subcommands are imported when they are used.

``smarthostd queue`` must not pay for the listener, ``smarthostd run`` not for rich.
"""

from __future__ import annotations

import gc
from importlib import import_module

import click

from smarthostd import __version__

_COMMANDS = {
    "run": ("smarthostd.cli.run", "run", "Run the daemon in the foreground."),
    "check": ("smarthostd.cli.config", "check", "Check a configuration and explain what it will do."),
    "config": ("smarthostd.cli.config", "config", "Show a configuration, or write it in the other syntax."),
    "queue": ("smarthostd.cli.queue", "queue", "List, show, steer, export or import queued messages."),
    "route": ("smarthostd.cli.language", "route", "Say where a message for an address would go."),
    "expand": ("smarthostd.cli.language", "expand", "Expand a string as an option would be."),
    "exim": ("smarthostd.cli.exim", "exim", "Exim's own command line: -be, -bt, -bv, -bP, -brt, -bp, -M…, -q…"),
    "demo": ("smarthostd.demo", "demo", "See it work, against a sandbox smarthost on this machine."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of a person's first day."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported; None where there is none of that name."""
        if cmd_name not in _COMMANDS:
            return None
        gc.disable()  # what imports make is no garbage: 35 ms of a start; the daemon turns it on again
        module, attribute, _ = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, _, help_) in _COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="smarthostd")
def main() -> None:
    """A local mail relay: apps hand mail to localhost, it reaches your smarthost."""
