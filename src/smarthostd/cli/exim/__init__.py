"""``smarthostd exim``: Exim's command line, for the habits and scripts of those who had Exim.

``smarthostd exim [--strict] -C FILE -be|-bem|-bt|-bv|-bvs|-bP|-brt|-brw|-bV|-bp…|-M…|-q…|-R|-S …`` prints what Exim
prints and exits as Exim exits. ``arguments.py`` reads the words, ``dispatch.py`` has what they ask for done, by one
module for each task.

The configuration is read leniently: what Exim has and smarthostd has not is left out, and where that could change the
answer a warning on standard error says so. ``--strict`` is for comparison with Exim: no differences but 4 and 5
(docs/exim.md), no warnings, and prompts also where nobody sits at a terminal, as Exim has them.
"""

from __future__ import annotations

import io
import os
import sys

import click


class _AllWords(click.Command):
    """A command that gets its words as they are: click would take ``-be`` apart and swallow ``--``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words."""
        ctx.params["words"] = tuple(args)
        return []


@click.command("exim", cls=_AllWords, add_help_option=False)
def exim(words: tuple[str, ...]) -> None:
    """Exim's own command line: -be, -bem, -bt, -bv, -bP, -brt, -brw, -bV, -bp, -M, -q, -R, -S."""
    from smarthostd.cli.exim.dispatch import run
    from smarthostd.cli.exim.process import Process

    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    raise SystemExit(run(words, Process(sys.stdin, sys.stdout, sys.stderr, os.environ)))


__all__ = ["exim"]
