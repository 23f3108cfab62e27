"""``smarthostd run``: the daemon in the foreground."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from smarthostd.cli.common import config_option, lenient_option, load_or_exit
from smarthostd.config.load import Loaded, load

EX_CONFIG, EX_UNAVAILABLE = 78, 69


@click.command()
@config_option
@lenient_option
def run(config: Path | None, lenient: bool) -> None:
    """Run the daemon in the foreground.

    SIGTERM finishes what is under way and ends; SIGHUP reads the configuration again; SIGUSR1 runs the queue.
    """
    loaded = load_or_exit(config, lenient=lenient)
    sys.exit(serve(loaded, config, lenient=lenient))


def serve(loaded: Loaded, config: Path | None, *, lenient: bool) -> int:
    """Run the daemon; return the exit status, one sentence said for a failure."""
    import uvloop

    from smarthostd.daemon import Daemon
    from smarthostd.errors import ConfigurationError, SpoolError

    async def main() -> None:
        await Daemon(loaded, lambda: load(config, os.environ, lenient=lenient), os.environ).run()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except ConfigurationError as error:
        click.echo(f"smarthostd: {error}", err=True)
        return EX_CONFIG
    except SpoolError as error:
        click.echo(f"smarthostd: {error}", err=True)
        return EX_UNAVAILABLE
    return 0
