"""What the subcommands share: how a configuration is named, loaded, and complained about."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from smarthostd.config import ConfigurationErrors, Loaded, load
from smarthostd.syntax import printable

EX_CONFIG = 78
"""sysexits(3): the configuration is wrong; systemd does not restart on it."""

F = TypeVar("F", bound=Callable[..., Any])


def config_option(command: F) -> F:
    """Give *command* the option ``-C``, as its argument *config*."""
    return click.option(
        "-C",
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The configuration, *.toml or Exim's; else $SMARTHOSTD_CONFIG, /etc/smarthostd, the environment.",
    )(command)


def lenient_option(command: F) -> F:
    """Give *command* the option ``--lenient``."""
    return click.option(
        "--lenient", is_flag=True, help="Go on, with a warning, without what Exim has and smarthostd has not."
    )(command)


def caller() -> str:
    """Return the login of the person who calls; empty where the system knows none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""


def load_or_exit(config: Path | None, *, lenient: bool = False) -> Loaded:
    """Return the configuration; or say what is wrong with it, a sentence for each mistake, and exit with 78."""
    try:
        return load(config, os.environ, lenient=lenient)
    except ConfigurationErrors as mistakes:
        for mistake in mistakes.errors:
            click.echo(printable(str(mistake)), err=True)
        raise SystemExit(EX_CONFIG) from None


__all__ = ["EX_CONFIG", "config_option", "lenient_option", "load_or_exit"]
