"""``-bP``: the options of a configuration, or the configuration itself as Exim read it."""

from __future__ import annotations

from smarthostd.cli.exim.arguments import CommandLine, limited
from smarthostd.cli.exim.process import Process
from smarthostd.config import Loaded
from smarthostd.config.exim.printer import print_configuration, print_options

LONGEST = 64
"""Octets of an option's or an instance's name that may be asked for."""
_NAMED = ("router", "transport", "authenticator", "macro")


def show_options(loaded: Loaded, line: CommandLine, process: Process) -> int:
    """Write what was asked for; return 1 where it is not known."""
    named = False
    for word in line.arguments:
        limited(word, LONGEST, "-bP name" if named else "-bP item")
        named = not named and word in _NAMED
    if line.arguments[:1] == ("config",):
        process.out.write(print_configuration(loaded, line.macros, terse=line.values_only))
        return 0
    text, status = print_options(loaded, line.arguments, values_only=line.values_only, environ=process.environ)
    process.out.write(text)
    return status
