"""Exim's physical lines made into logical ones: macros, conditionals, ``.include``, continuation (exim.md 1.1).

Each physical line goes through these steps, in this order: leading white space goes; macros are replaced,
comments and conditions included; a line that now begins with ``#`` is dropped; conditionals are
obeyed; ``.include`` is followed; and a backslash at the end joins the next line, without the white space that it
begins with. So a comment inside a continued line does not end it, while a blank line does.

Faithful to 4.96 in its oddities: ``.ifdef`` is true when *any* macro was replaced in its line; a tab after the word
makes Exim overlook the line, and we say so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct, field

from smarthostd.config.errors import Mistake, in_line, nowhere
from smarthostd.errors import Position

SPACE = " \t\n\v\f\r"
"""What C calls space."""
MOST_NESTED = 10
"""How deep conditionals may nest; the limit is Exim's."""
MOST_INCLUDED = 100
"""How deep files may include one another: an end to a file that includes itself."""
LONGEST = 1 << 20
"""Characters of a logical line: an end to macros that double one another."""

_DEFINITION = re.compile(r"[A-Z][A-Za-z0-9_]*[ \t\v\f\r]*(?==)")
_CANDIDATE = re.compile(r"[A-Z]|_[A-Z]")
_CONDITIONAL = re.compile(r"\.(ifdef|ifndef|elifdef|elifndef|else|endif)(?=[ t]|$)")
_OVERLOOKED = re.compile(r"\.(ifdef|ifndef|elifdef|elifndef|else|endif)(?=[\t\v\f\r])")
_MARK = "\ufeff"
_INCLUDE = re.compile(r"\.include(_if_exists)?(?:[ \t\n\v\f\r]+|$)")

Report = Callable[[Mistake], None]


class Line(Struct, frozen=True):
    """A logical line, where it begins, where Exim stands when it has read it, and its number in Exim's order."""

    text: str
    position: Position
    end: Position
    rank: int


class TooLong(Exception):
    """A line that macros have made longer than any line should be."""


class Macro(Struct):
    """A macro's text; one from the command line is not replaced by the file's."""

    text: str
    command_line: bool = False


class Macros:
    """The macros defined so far, in order; *built_in* ones are searched only where a line first has ``_X``."""

    def __init__(self, command_line: Mapping[str, str], built_in: Callable[[], Mapping[str, str]] = dict) -> None:
        self._macros = {name: Macro(text, command_line=True) for name, text in command_line.items()}
        self._built_in = built_in

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name, macro.text) for name, macro in self._macros.items())

    def define(self, text: str) -> str | None:
        """Take the definition ``NAME = text`` or ``NAME == text``; return Exim's complaint where it is none.

        A definition replaces nothing that was read before it.
        """
        match = re.match(r"(\w*)[ \t\v\f\r]*(==?)[ \t\v\f\r]*", text, re.ASCII)
        if match is None:
            return "malformed macro definition"
        name, sign = match[1], match[2]
        for other in self._macros:
            if other == name:
                break
            if other in name:
                return (
                    f'"{name}" cannot be defined as a macro because previously defined macro "{other}" is a substring'
                )
        known = self._macros.get(name)
        if known and not known.command_line and sign == "=":
            return f'macro "{name}" is already defined (use "==" if you want to redefine it)'
        if sign == "==" and not known:
            return f'can\'t redefine an undefined macro "{name}"'
        if known is None:
            self._macros[name] = Macro(text[match.end() :])
        elif not known.command_line:
            known.text = text[match.end() :]
        return None

    def replace(self, text: str, start: int) -> tuple[str, bool]:
        """Return *text* with every macro behind *start* replaced, each once over the line, and whether any was.

        Raises :class:`TooLong` where there would be no end to it.
        """
        match = _CANDIDATE.search(text, start)
        if match is None:
            return text, False
        head, tail = text[: match.start()], text[match.start() :]
        found = False
        built_in = self._built_in().items() if tail.startswith("_") else ()
        for name, value in (*built_in, *self):
            count = tail.count(name)
            if count:
                if len(tail) + count * len(value) > LONGEST:
                    raise TooLong
                found = True
                tail = tail.replace(name, value)
        return head + tail, found


def definition_end(text: str) -> int:
    """Return where the name that *text* defines as a macro ends, in which none is replaced; else 0."""
    indent = len(text) - len(text.lstrip(SPACE))
    definition = _DEFINITION.match(text, indent)
    return definition.end() if definition else 0


_ACTIVE, _SEEKING, _SKIPPING = range(3)
"""Lines count; lines do not count until a branch is true; they do not count until ``.endif``."""


class Conditionals(Struct):
    """Which branch we are in."""

    state: int = _ACTIVE
    stack: list[int] = field(default_factory=list)

    def obey(self, word: str, found: bool) -> str | None:
        """Follow ``.word``, *found* telling whether a macro was replaced in its line; return Exim's complaint."""
        if word in ("ifdef", "ifndef"):
            if len(self.stack) >= MOST_NESTED:
                return f".{word} nested too deeply"
            self.stack.append(self.state)
            true = found == (word == "ifdef")
            self.state = _SKIPPING if self.state != _ACTIVE else _ACTIVE if true else _SEEKING
            return None
        if not self.stack:
            return f".{word} without matching .ifdef"
        if word == "endif":
            self.state = self.stack.pop()
        elif self.state == _ACTIVE:
            self.state = _SKIPPING
        elif self.state == _SEEKING and (word == "else" or found == (word == "elifdef")):
            self.state = _ACTIVE
        return None


class _File(Struct):
    name: str
    lines: list[str]
    number: int = 0

    @property
    def position(self) -> Position:
        return Position(self.name, self.number)


class Lines:
    """The logical lines of a file and of what it includes; mistakes are reported and reading goes on."""

    def __init__(self, path: Path, macros: Macros, report: Report, warn: Callable[[Position, str], None]) -> None:
        """Raises OSError when the file cannot be read."""
        self._macros = macros
        self._report = report
        self._warn = warn
        self._conditionals = Conditionals()
        self._files = [_opened(str(path))]
        self._rank = 0
        self.history: list[str] = []
        """What was read: logical lines, and where another file begins or goes on."""

    @property
    def rank(self) -> int:
        """The order in which Exim meets its mistakes: four for a line, with room for what ends in front of it."""
        return self._rank

    def __iter__(self) -> Iterator[Line]:
        """Yield each logical line that is not blank."""
        text, begin = "", None
        while (piece := self._piece(joined=bool(text))) is not None:
            here = self._files[-1].position
            begin = begin or here
            text = (text + piece).rstrip(SPACE)
            if text.endswith("\\") and len(text) <= LONGEST:
                text = text[:-1]
                continue
            if text:
                self.history.append(text)
                yield Line(text, begin, here, self._rank)
            text, begin = "", None
        if text and begin:
            self.history.append(text)
            yield Line(text, begin, self._files[-1].position, self._rank)

    def _piece(self, *, joined: bool) -> str | None:
        """Return the next physical line that counts, its leading space gone; None at the end."""
        while (raw := self._next()) is not None:
            text, found = self._replaced(raw, joined)
            if text.startswith("#") or (text.startswith(".") and self._directive(text, found)):
                continue
            if self._conditionals.state == _ACTIVE:
                return text
        return None

    def _next(self) -> str | None:
        """Return the next physical line, back from an included file at its end; None at the end of all."""
        while True:
            file = self._files[-1]
            if file.number < len(file.lines):
                file.number += 1
                self._rank += 4
                if file.number == 1:
                    self.history.append(f'# 1 "{file.name}"')
                return self._without_mark(file.lines[file.number - 1])
            if len(self._files) == 1:
                break
            self._files.pop()
            self._remember_place()
        if self._conditionals.stack:
            self._conditionals.stack.clear()
            self._rank += 4
            self._mistake("Unexpected end of configuration file: .endif missing", "an .ifdef is not closed by .endif")
        return None

    def _without_mark(self, line: str) -> str:
        """Return *line* without the byte order mark that a file may begin with; Exim does not take one."""
        if self._files[-1].number == 1 and line.startswith(_MARK):
            self._mistake("found unexpected BOM (Byte Order Mark)", "the file begins with a byte order mark: remove it")
        return line.removeprefix(_MARK)

    def _replaced(self, raw: str, joined: bool) -> tuple[str, bool]:
        text = raw.lstrip(SPACE)
        try:
            text, found = self._macros.replace(text, 0 if joined else definition_end(text))
        except TooLong:
            self._mistake("", "macros make this line too long")
            return "", False
        return text.lstrip(SPACE), found

    def _directive(self, text: str, found: bool) -> bool:
        """Return whether *text* was a directive, obeyed."""
        if match := _CONDITIONAL.match(text):
            complaint = self._conditionals.obey(match[1], found)
            if complaint:
                self._mistake(complaint, complaint)
            return True
        if match := _OVERLOOKED.match(text):
            here = self._files[-1].position
            self._warn(here, f"white space other than a blank follows .{match[1]}: Exim overlooks such a line")
            return True
        if self._conditionals.state == _ACTIVE and (match := _INCLUDE.match(text)):
            self._include(text[match.end() :].strip(SPACE), bool(match[1]))
            return True
        return False

    def _include(self, name: str, if_exists: bool) -> None:
        if len(name) > 1 and name.startswith('"') and name.endswith('"'):
            name = name[1:-1]
        if not name and not if_exists:
            self._warn(self._files[-1].position, ".include names no file")
            self._remember_place()  # Exim has read the directory, and comes back
            self._remember_place()
            return
        if not name.startswith("/"):
            if if_exists:
                self._mistake(
                    f'.include specifies a non-absolute path "{name}"',
                    f'.include_if_exists needs an absolute path, "{name}" is none',
                )
                return
            name = str(Path(self._files[-1].name).parent / name)
        if if_exists and not Path(name).exists():
            return
        if len(self._files) > MOST_INCLUDED:
            self._mistake("", f"{name} is included too deeply; does it include itself?")
            return
        try:
            included = _opened(name)
            self._remember_place()
            self._files.append(included)
        except OSError as error:
            self._mistake(
                f"failed to open included configuration file {name}",
                f"the included file {name} cannot be read: {error.strerror}",
            )

    def _remember_place(self) -> None:
        position = self._files[-1].position
        self.history.append(f'# {position.line} "{position.file}"')

    def _mistake(self, exim: str, message: str) -> None:
        position = self._files[-1].position
        self._report(Mistake(message, position, exim=in_line(position, exim) if exim else "", rank=self._rank))


def _opened(name: str) -> _File:
    """Return a file's physical lines; raises OSError."""
    content = b"" if Path(name).is_dir() else Path(name).read_bytes()  # Exim reads a directory as an empty file
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    if not lines[-1]:
        del lines[-1]
    return _File(name, lines)


def macro_report(complaint: str, position: Position) -> str:
    """Return Exim's report of a bad definition: only a malformed one has a line."""
    return in_line(position, complaint) if complaint == "malformed macro definition" else nowhere(complaint)
