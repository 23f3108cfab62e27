"""PCRE as Exim's configurations write it, on Python's ``re``.

The two agree on nearly everything. Translated are: POSIX classes (``[[:alpha:]]``), inline options in
the middle of a pattern (``(?-i)``), ``\\Q…\\E``, ``\\z \\Z \\h \\R \\x{…}``, and ``(?<name>…)``. What ``re`` does
not know (recursion, ``\\K``, callouts) is an error, as a malformed pattern is.
"""

from __future__ import annotations

import re
from functools import lru_cache

from smarthostd.errors import SmarthostdError

PATTERN_LIMIT = 8192
"""Characters of one pattern."""

_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": "\\x00-\\x7f", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~",
    "space": " \\t\\n\\r\\f\\v",     "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_ESCAPES = {
    "z": "\\Z", "Z": "(?=\\n?\\Z)", "h": "[ \\t]", "R": "(?:\\r\\n|\\n|\\r|\\f|\\v)", "e": "\\x1b", "N": "[^\\n]",
}  # fmt: skip
_TOKEN = re.compile(
    r"\\Q(?P<literal>.*?)(?:\\E|\Z)|\\x\{(?P<hex>[0-9A-Fa-f]+)\}|\\(?P<escape>.)|\[:(?P<negated>\^?)(?P<posix>\w+):\]"
    r"|(?P<open>\((?:\?(?:(?P<options>[a-zA-Z]*-?[a-zA-Z]*)(?P<end>[):])|(?P<name><(?![=!]))|.?))?)|(?P<other>.)",
    re.DOTALL,
)


class RegexError(SmarthostdError):
    """A pattern that cannot be compiled; the text says why."""


class _Translation:
    """One pass over a pattern: text out, and what is open."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self._options: list[list[str]] = [[]]
        self._in_class = False
        self._class_start = 0

    def take(self, match: re.Match[str]) -> None:
        """Translate one token."""
        if match["literal"] is not None:
            self.out.append(re.escape(match["literal"]))
        elif match["hex"]:
            self.out.append(re.escape(chr(int(match["hex"], 16))))
        elif match["escape"]:
            known = match["escape"] in _ESCAPES and not self._in_class
            self.out.append(_ESCAPES[match["escape"]] if known else match[0])
        elif match["posix"] and self._in_class:
            self._posix(match["posix"], bool(match["negated"]))
        elif self._in_class:
            self._class(match[0])
        elif match["open"]:
            self._open(match)
        else:
            self._plain(match[0])

    def finish(self) -> str:
        """Return the whole."""
        self.out.extend(")" for _ in self._options[0])
        return "".join(self.out)

    def _posix(self, name: str, negated: bool) -> None:
        if name not in _CLASSES or negated:
            raise RegexError(f"unknown POSIX class name [:{'^' * negated}{name}:]")
        self.out.append(_CLASSES[name])

    def _class(self, text: str) -> None:
        """Inside brackets: only the closing one matters, and ``[`` is escaped for Python."""
        at = len(self.out)
        first = at == self._class_start or (at == self._class_start + 1 and self.out[-1] == "^")
        if text[0] == "]" and not first:
            self._in_class = False
        self.out.append("\\]" if text == "]" and first else text.replace("[", "\\["))

    def _open(self, match: re.Match[str]) -> None:
        if match["options"] is not None and match["end"] == ")":
            self._options[-1].append(match["options"])
            self.out.append(f"(?{match['options']}:" if match["options"] else "(?:")
            return
        self._options.append([])
        self.out.append("(?P<" if match["name"] else match[0])

    def _plain(self, text: str) -> None:
        if text == "[":
            self._in_class = True
            self.out.append(text)
            self._class_start = len(self.out)
            return
        if text == "|" and self._options[-1]:  # an inline option holds for the alternatives that follow, too
            options = self._options[-1]
            self.out += [")" * len(options), "|", *(f"(?{one}:" if one else "(?:" for one in options)]
            return
        if text == ")" and len(self._options) > 1:
            self.out.append(")" * len(self._options.pop()))
        self.out.append(text)


@lru_cache(512)
def compile_pcre(pattern: str, caseless: bool = False) -> re.Pattern[str]:
    """Return *pattern* compiled; raises RegexError."""
    if len(pattern) > PATTERN_LIMIT:
        raise RegexError(f"pattern is longer than {PATTERN_LIMIT} characters")
    translation = _Translation()
    for match in _TOKEN.finditer(pattern):
        translation.take(match)
    try:
        return re.compile(translation.finish(), re.ASCII | (re.IGNORECASE if caseless else 0))
    except (re.error, RecursionError, OverflowError) as error:
        raise RegexError(str(error)) from error
