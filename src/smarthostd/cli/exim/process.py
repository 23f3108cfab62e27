"""What the command has around it, and lines read as Exim reads them where an argument could have stood."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import TextIO

from smarthostd.cli.exim.rights import give_up
from smarthostd.config.exim.lines import SPACE
from smarthostd.syntax import printable


@dataclass(frozen=True, slots=True)
class Process:
    """Standard input, output and error, as text in which any octets survive, the environment, and rights."""

    stdin: TextIO
    out: TextIO
    err: TextIO
    environ: MutableMapping[str, str] = field(repr=False)
    give_up_rights: Callable[[], None] = field(default=give_up, repr=False)

    def complain(self, text: str) -> None:
        """Write *text* to standard error, each line of it printable; what was said before stands in front of it."""
        self.out.flush()
        for each in text.splitlines():
            self.err.write("\t".join(map(printable, each.split("\t"))) + "\n")

    def say(self, line: str) -> None:
        """Write a line of the log to standard error."""
        self.complain(line)


def lines(process: Process, *, prompts: bool) -> Iterator[str]:
    """Yield each line of standard input; a backslash at its end joins the next, without that one's leading space.

    *prompts* asks for each with ``> ``, as Exim does, to a pipe too.
    """
    text, joined = "", False
    _prompt(process, prompts)
    for raw in process.stdin:
        line = raw.rstrip(SPACE)
        text += line.lstrip(SPACE) if joined else line
        joined = bool(line) and text.endswith("\\")
        if joined:
            text = text[:-1]
            continue
        yield text
        text = ""
        _prompt(process, prompts)
    if text or joined:
        yield text
        _prompt(process, prompts)
    if prompts:
        process.out.write("\n")


def _prompt(process: Process, prompts: bool) -> None:
    if prompts:
        process.out.write("> ")
        process.out.flush()
