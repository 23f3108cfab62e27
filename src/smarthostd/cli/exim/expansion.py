"""``-be`` and ``-bem``: what strings expand to, one a line (exim.md 11).

Strings are arguments or lines of standard input. Macros are replaced in them as in a line of the configuration, and a
string that begins with an upper-case letter *is* a definition of a macro; one that is none gets a report on standard
error and no answer, and Exim goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from smarthostd.assembly import Language, build_language, build_rewriting
from smarthostd.cli.common import caller
from smarthostd.cli.exim.arguments import LONGEST_ARGUMENT, BadCommandLine, CommandLine, limited
from smarthostd.cli.exim.message import read_message
from smarthostd.cli.exim.process import Process, lines
from smarthostd.cli.exim.sender import sender_of
from smarthostd.config import Loaded
from smarthostd.config.catalog import catalog
from smarthostd.config.exim.lines import SPACE, Macros, TooLong, definition_end
from smarthostd.config.exim.reader import built_in_macros
from smarthostd.errors import ExpansionError
from smarthostd.expand import Expander, Values
from smarthostd.rewrite import Bare, FieldRewriter

LONGEST_LINE = 1 << 14
"""Octets of a line that Exim looks at."""


def expand(loaded: Loaded, line: CommandLine, process: Process) -> int:
    """Answer each string."""
    language = build_language(loaded.settings, loaded.source)
    values = _values(loaded, line, process, language)
    test = _Test(language.expander, _macros(loaded, line), values, _end_of(loaded.source))
    for text in _strings(line, process):
        test.answer(text, process)
    return 0


def _strings(line: CommandLine, process: Process) -> Iterable[str]:
    if not line.arguments:
        return lines(process, prompts=line.strict or process.stdin.isatty())
    return (limited(text, LONGEST_ARGUMENT, "recipient") for text in line.arguments)


def _macros(loaded: Loaded, line: CommandLine) -> Macros:
    """Return the macros as they stood at the end of the configuration."""
    macros = Macros(line.macros, lambda: built_in_macros(catalog()))
    for name, text in loaded.macros.items():
        if name not in line.macros:
            macros.define(f"{name} = {text}")
    return macros


def _values(loaded: Loaded, line: CommandLine, process: Process, language: Language) -> Values:
    """Return what variables hold: who calls, the message of ``-bem``, and what ``-oM`` says."""
    login = caller()
    sender = sender_of(line, loaded.settings, login)
    local_part, _, domain = sender.rpartition("@")
    about_caller = {
        "authenticated_id": login,
        "sender_ident": login,
        "sender_address": sender,
        "sender_address_local_part": local_part,
        "sender_address_domain": domain,
    }
    if not line.message_file:
        return about_caller | line.variables
    try:
        rewriter = header_rewriter(loaded, language, about_caller)
        values, found = read_message(
            Path(line.message_file), sender, login, language.facts, rewriter, named=line.sender is None,
            dot_ends=line.dot_ends, to_header=line.to_header,
        )  # fmt: skip
    except OSError as error:
        raise BadCommandLine(f"exim: failed to open {line.message_file}: {error.strerror}") from error
    if not found:
        process.out.write("Warning: no message headers read\n")
    return {**values, **line.variables}


def header_rewriter(loaded: Loaded, language: Language, values: Values) -> FieldRewriter:
    """Return what rewrites the header of a message that comes from this machine."""
    bare = Bare(language.facts.qualify_domain, language.facts.qualify_recipient)
    return FieldRewriter(build_rewriting(loaded.settings, language), bare, values, lambda line: None)


def _end_of(source: str) -> str:
    """Return where Exim stands when it has read its configuration: a bad definition is reported from there."""
    try:
        content = Path(source).read_bytes()
    except OSError:
        return source
    return f"line {len(content.splitlines())} of {source}"


class _Test:
    """Strings answered one after the other; a definition counts for those behind it."""

    def __init__(self, expander: Expander, macros: Macros, values: Values, place: str) -> None:
        self._expander = expander
        self._macros = macros
        self._values = values
        self._place = place

    def answer(self, text: str, process: Process) -> None:
        """Write what *text* expands to, or why it does not."""
        try:
            text, _ = self._macros.replace(text[:LONGEST_LINE], definition_end(text))
        except TooLong:
            process.err.write("exim: macros make this line too long\n")
            return
        if text[:1].isascii() and text[:1].isupper():
            self._define(text, process)
        else:
            process.out.write(f"{self._expanded(text)}\n")

    def _expanded(self, text: str) -> str:
        try:
            return self._expander.expand(text, self._values).partition("\0")[0]
        except ExpansionError as error:
            return f"Failed: {error}"

    def _define(self, text: str, process: Process) -> None:
        complaint = self._macros.define(text)
        if complaint is None:
            name = text.partition("=")[0].rstrip(SPACE)
            process.out.write(f"Defined macro '{name}'\n")
        else:
            where = f" in {self._place}" if complaint == "malformed macro definition" else ""
            process.err.write(f"Exim configuration error{where}:\n  {complaint}\n")
