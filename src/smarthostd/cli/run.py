"""``smarthostd run``: the daemon in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from smarthostd.cli.common import config_option, lenient_option
from smarthostd.service import run as run_daemon


@click.command()
@config_option
@lenient_option
def run(config: Path | None, lenient: bool) -> None:
    """Run the daemon in the foreground.

    SIGTERM finishes what is under way and ends; SIGHUP reads the configuration again; SIGUSR1 runs the queue.
    """
    sys.exit(run_daemon(config, lenient=lenient))
