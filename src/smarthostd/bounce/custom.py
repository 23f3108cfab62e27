"""Texts of the administrator's own: Exim's ``bounce_message_file`` and ``warn_message_file``.

Such a file holds sections between lines of ``****``: header fields, the opening, and for a warning the end.
(Between a bounce's opening and its end Exim has sections for texts that pipes wrote, and for what came before
the copy; neither is used.) A section that is missing or empty has its usual text. Sections are expanded
with the message's variables, so what a stranger wrote can come into them: the fields are put in order again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from smarthostd.errors import ExpansionError
from smarthostd.expand import Expander, Values
from smarthostd.syntax import CONTROL

FILE_LIMIT = 1 << 16
"""Octets of such a file."""
_END = "****"
_FIELD = re.compile(r"[!-9;-~]+[ \t]*:")

Complain = Callable[[str], None]


class Custom(Struct, frozen=True):
    """The sections of one file, expanded; empty where the usual text is to stand."""

    fields: str = ""
    """Header fields, the subject among them, without the last newline."""
    opening: str = ""
    third: str = ""
    """A warning's end."""
    given: bool = False
    """Whether there is such a file: a warning then has no usual end."""


NONE = Custom()


def read(option: str, text: str, expander: Expander, values: Values, complain: Complain) -> Custom:
    """Return the sections of the file that *text* names, the value of *option*; what is wrong, *complain* is told."""
    if not text:
        return NONE
    try:
        path = expander.expand(text, values)
        if not path.startswith("/"):
            raise ValueError(f"{option} is not absolute after expansion: {path!r}; write the whole path")
        with Path(path).open("rb") as stream:
            content = stream.read(FILE_LIMIT + 1)
    except (ExpansionError, ValueError) as error:
        complain(f"{option}: {error}; the usual texts are used")
        return NONE
    except OSError as error:
        complain(f"{option}: failed to open {path} for message texts: {error.strerror}; the usual texts are used")
        return NONE
    if len(content) > FILE_LIMIT:
        complain(f"{option}: {path} is larger than {FILE_LIMIT} octets; the usual texts are used")
        return NONE
    sections = [
        _expanded(option, section, expander, values, complain)
        for section in _sections(content.decode("utf-8", "replace"))
    ]
    first, second, third = (*sections, "", "", "")[:3]
    return Custom(_fields(first), clean(second), clean(third), given=True)


def _sections(content: str) -> list[str]:
    """Return what stands between the lines of asterisks."""
    sections = [""]
    for line in content.replace("\r\n", "\n").splitlines(keepends=True):
        if line.rstrip("\n") == _END:
            sections.append("")
        else:
            sections[-1] += line
    return sections


def _expanded(option: str, section: str, expander: Expander, values: Values, complain: Complain) -> str:
    try:
        return expander.expand(section, values)
    except ExpansionError as error:
        complain(f"{option}: failed to expand a section, which has its usual text: {error}")
        return ""


def _fields(text: str) -> str:
    """Return *text* as header fields: no empty line, and what is no field belongs to the one before it."""
    lines: list[str] = []
    for line in text.splitlines():
        clean = CONTROL.sub(" ", line).rstrip()
        if not clean:
            continue
        if not _FIELD.match(clean) and not clean[0].isspace():
            clean = f" {clean}"
        if lines or not clean[0].isspace():
            lines.append(clean)
    return "\n".join(lines)


def clean(text: str) -> str:
    """Return *text* ended by a newline, without what a terminal would obey."""
    if not text:
        return ""
    return "\n".join(CONTROL.sub(" ", line.replace("\t", "    ")) for line in text.splitlines()) + "\n"
