"""PCRE as Exim's configurations write it, on Python's ``re``, with PCRE's texts for what is wrong.

The two agree on most; the pattern is walked once and written anew where they do not: character classes
(``[[:alpha:]]``, ``[\\h]``), inline options in the middle (``(?-i)``), names, and the escapes ``\\Q…\\E``,
``\\z \\Z \\h \\v \\R \\x{…} \\g{…}``. What ``re`` cannot do (recursion, ``\\K``, properties, verbs) is an
error that says so.

Exim matches octets, not characters: ``search`` and ``substitute`` do, too. A pattern that could go over its
subject again and again works against a clock of processor time, as PCRE counts its steps; ``re`` cannot count,
but it looks at signals while it works.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import NoReturn, TypeVar

from msgspec import Struct

from smarthostd.errors import SmarthostdError

PATTERN_LIMIT = 8192
"""Characters of one pattern."""
SUBJECT_LIMIT = 1 << 14
"""Characters of one subject."""
TIME_LIMIT = 1.0
"""Seconds of processor time for one match, or for all that are to be replaced, where nobody says otherwise."""
GROUPS_LIMIT = 20
"""Groups that become variables; Exim keeps no more."""
REPEAT_LIMIT = 65535
_TOP = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]
Groups = tuple[str, ...]
"""The match, then its groups, empty where one took no part."""


def _ranges(text: str) -> Ranges:
    """Return the ranges written as pairs: ``azAZ``."""
    return tuple((ord(first), ord(last)) for first, last in zip(text[::2], text[1::2], strict=True))


def _complement(ranges: Ranges) -> Ranges:
    found, start = [], 0
    for first, last in sorted(ranges):
        if start < first:
            found.append((start, first - 1))
        start = max(start, last + 1)
    return (*found, (start, _TOP))


_CLASSES = {
    "alnum": _ranges("09AZaz"), "alpha": _ranges("AZaz"), "ascii": _ranges("\x00\x7f"), "blank": _ranges("\t\t  "),
    "cntrl": _ranges("\x00\x1f\x7f\x7f"), "digit": _ranges("09"), "graph": _ranges("!~"), "lower": _ranges("az"),
    "print": _ranges(" ~"), "punct": _ranges("!/:@[`{~"), "space": _ranges("\t\r  "), "upper": _ranges("AZ"),
    "word": _ranges("09AZ__az"), "xdigit": _ranges("09AFaf"),
}  # fmt: skip
_SETS = {
    "d": _CLASSES["digit"], "w": _CLASSES["word"], "s": _CLASSES["space"],
    "h": _ranges("\t\t  \xa0\xa0"), "v": _ranges("\n\r\x85\x85"),
}  # fmt: skip
_SETS |= {name.upper(): _complement(ranges) for name, ranges in _SETS.items()}
_CONTROLS = {"a": 7, "e": 27, "f": 12, "n": 10, "r": 13, "t": 9}
_ASSERTIONS = {"A": "\\A", "b": "\\b", "B": "(?!\\b)", "z": "\\Z", "Z": "(?=\\n?\\Z)"}
_BREAK = "(?>\\r\\n|[\\n-\\r\\x85])"
# Compiled where a pattern has need of them: together they take 1.5 ms of a start.
_NUMBERED_ESCAPE = r"x\{([0-9A-Fa-f]+)\}|x(?!\{)([0-9A-Fa-f]{0,2})|o\{([0-7]+)\}|(0[0-7]{0,2})|c(.)"
_REFERENCE = (
    r"g(?:(?=[-0-9])|(?=\{-?[0-9]+\})\{)(-?[0-9]+)\}?|(?:g|k)\{([A-Za-z_]\w*)\}|k[<']([A-Za-z_]\w*)[>']|([1-9][0-9]*)"
)
_REFERENCE_OPEN = r"(?:g\{|k[{<'])(\w*)"
_REFERENCE_WANTED = {
    "g": "\\g is not followed by a braced, angle-bracketed, or quoted name/number or by a plain number",
    "k": "\\k is not followed by a braced, angle-bracketed, or quoted name",
}
_OPEN = r"\?(?:(=|!|<=|<!|>)|P?<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)'|\((\w+)\))"
_NAME_REFERENCE = r"\?P=([A-Za-z_]\w*)\)"
_OPTIONS = r"\?([imsx]*)(-[imsx]*)?([:)])"
_QUANTIFIER = r"[*+?]|\{([0-9]+)(?:(,)([0-9]*))?\}"
_POSIX = r"\[:(\^?)((?:\\[\]\\]|(?!\[:)[^\]])*?):\]"
_UNSUPPORTED = frozenset("KGXCpPEQulLUNF")
_FROM_PYTHON = (
    ("look-behind requires fixed-width", "lookbehind assertion is not fixed length"),
    ("redefinition of group name", "two named subpatterns have the same name (PCRE2_DUPNAMES not set)"),
    ("invalid group reference", "reference to non-existent subpattern"),
    ("unknown group name", "reference to non-existent subpattern"),
    ("cannot refer to an open group", "a reference to the group that it stands in is not in smarthostd"),
)


T = TypeVar("T")


class RegexError(SmarthostdError):
    """A pattern that cannot be compiled, or that takes too long with its subject; the text says why."""


class _TimeIsUp(Exception):
    """The clock of a match has run out."""


class _Translation:
    """One walk over a pattern."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._out: list[str] = []
        self._groups = 0
        self._options: list[list[str]] = [[]]
        """For each open group, the inline options that hold up to its end."""
        self._repeatable = False
        self._lookbehinds: list[str] = [""]
        """For each open group ``(?<=`` or ``(?<!`` where it is such an assertion."""
        self._names: set[str] = set()
        self._references: list[tuple[int | str, int]] = []
        """The groups that are referred to, and where."""
        self.choices = 0
        """Places at which a match may have to try again: with two of them it may have to do so very often."""
        self._goes_round = False
        """Whether a group may refer to one that comes behind it."""

    def text(self) -> str:
        """Return the pattern for ``re``; raises RegexError."""
        steps = {
            "\\": self._escape, "[": self._class, "(": self._open, ")": self._close, "|": self._alternative,
            "*": self._quantifier, "+": self._quantifier, "?": self._quantifier, "{": self._quantifier,
            "^": self._anchor, "$": self._anchor, "#": self._comment,
        }  # fmt: skip
        while self._at < len(self._pattern):
            steps.get(self._pattern[self._at], self._plain)()
        if len(self._options) > 1:
            self._fail("missing closing parenthesis")
        for group, at in self._references:
            if (group > self._groups) if isinstance(group, int) else (group not in self._names):
                self._fail("reference to non-existent subpattern", at)
        if self._goes_round:
            self._fail("a reference to a later group is not in smarthostd's regular expressions")
        self._out.append(_ends(self._options[0]))
        return "".join(self._out)

    def _fail(self, why: str, at: int | None = None) -> NoReturn:
        raise RegexError(f"{why} at offset {len(self._pattern) if at is None else at}")

    def _put(self, text: str, end: int, *, repeatable: bool = True) -> None:
        self._out.append(text)
        self._at = end
        self._repeatable = repeatable

    def _plain(self) -> None:
        self._put(self._pattern[self._at], self._at + 1)

    def _anchor(self) -> None:
        self._put(self._pattern[self._at], self._at + 1, repeatable=False)

    def _comment(self) -> None:
        """Go over a comment, where the option ``x`` makes it one."""
        options = [text for group in self._options for text in group if "x" in text]
        if not options or "x" in options[-1].partition("-")[2]:
            self._plain()
            return
        end = self._pattern.find("\n", self._at)
        self._at = len(self._pattern) if end < 0 else end + 1

    # -- groups

    def _open(self) -> None:
        pattern, at = self._pattern, self._at + 1
        options = re.compile(_OPTIONS).match(pattern, at)
        if options:
            self._set_options(options)
            return
        if pattern[at : at + 1] == "*" and pattern[at + 1 : at + 2].isalpha():
            self._fail("verbs are not in smarthostd's regular expressions", at)
        if pattern[at : at + 2] == "?#":
            end = pattern.find(")", at)
            if end < 0:
                self._fail("missing ) after (?# comment")
            self._at = end + 1
            return
        reference = re.compile(_NAME_REFERENCE, re.ASCII).match(pattern, at)
        if reference:
            self._put(self._named(reference[1], reference.start(1)), reference.end())
            return
        text, end = "(", at
        if pattern[at : at + 1] == "?":
            text, end = self._opened(at)
        else:
            self._groups += 1
        self._options.append([])
        lookbehind = text if text.startswith("(?<") else ""
        self._lookbehinds.append(lookbehind)
        self._put(f"(?:{text}" if lookbehind else text, end, repeatable=False)

    def _opened(self, at: int) -> tuple[str, int]:
        """Return what ``(?…`` becomes, and where its contents begin."""
        match = re.compile(_OPEN, re.ASCII).match(self._pattern, at)
        if match is None:
            self._fail_open(at)
        name = match[2] or match[3]
        if name:
            self._groups += 1
            if name in self._names:
                self._fail("two named subpatterns have the same name (PCRE2_DUPNAMES not set)", match.end())
            self._names.add(name)
            return f"(?P<{name}>", match.end()
        return f"(?({match[4]})" if match[4] else f"(?{match[1]}", match.end()

    def _fail_open(self, at: int) -> NoReturn:
        rest = self._pattern[at + 1 :]
        if rest.startswith("<*"):  # (?<*…) looks behind and can be tried again
            self._fail("recursion, callouts and such are not in smarthostd's regular expressions", at + 1)
        name = re.match(r"(?:P?<|P=|')(\w*)", rest, re.ASCII)
        if name:
            self._fail_name(name[1], at + 1 + name.start(1))
        if not rest.strip("imsx-") or rest in ("P", "("):
            self._fail("missing closing parenthesis")
        if rest[0] == "(":
            self._fail_condition(at + 2)
        if rest[0] in "R&|CJU^0123456789+-*" or rest.startswith("P>"):
            self._fail("recursion, callouts and such are not in smarthostd's regular expressions", at + 1)
        if rest[0] == "P":
            self._fail("unrecognized character after (?P", at + 2)
        known = len(rest) - len(rest.lstrip("imsxnUJ-"))
        self._fail("unrecognized character after (? or (?-", at + 1 + known)

    def _fail_condition(self, at: int) -> NoReturn:
        name = re.match(r"\w*", self._pattern[at:], re.ASCII)
        assert name is not None, "an empty name is one"
        if name[0].isdigit():
            self._fail("missing closing parenthesis for condition", at + len(name[0]))
        if self._pattern.startswith("?", at):
            self._fail("assertion expected after (?( or (?(?C)", at - 1)
        self._fail_name(name[0], at)

    def _fail_name(self, name: str, at: int) -> NoReturn:
        if not name:
            self._fail("subpattern name expected", at)
        if name[0].isdigit():
            self._fail("subpattern name must start with a non-digit", at)
        self._fail("syntax error in subpattern name (missing terminator?)", at + len(name))

    def _set_options(self, match: re.Match[str]) -> None:
        on, off = match[1], (match[2] or "").strip("-")
        text = f"(?{on}{'-' + off if off else ''}:" if on or off else "(?:"
        if match[3] == ")":  # they hold up to the end of the group that they stand in
            self._options[-1].append(text)
        else:
            self._options.append([])
            self._lookbehinds.append("")
        self._put(text, match.end(), repeatable=False)

    def _close(self) -> None:
        if len(self._options) == 1:
            self._fail("unmatched closing parenthesis", self._at)
        self._put(_ends(self._options.pop()) + (")" if not self._lookbehinds.pop() else "))"), self._at + 1)

    def _alternative(self) -> None:
        self.choices += 1
        options = self._options[-1]  # inline options hold for the alternatives that follow, too
        self._put(_ends(options) + self._between() + "".join(options), self._at + 1, repeatable=False)

    def _between(self) -> str:
        """Return what goes between two alternatives; those of a look-behind may differ in length, so it is repeated."""
        lookbehind = self._lookbehinds[-1]
        if not lookbehind:
            return "|"
        return f")|{lookbehind}" if lookbehind == "(?<=" else f"){lookbehind}"

    def _quantifier(self) -> None:
        match = re.compile(_QUANTIFIER).match(self._pattern, self._at)
        if match is None:
            self._put("\\{", self._at + 1)
            return
        last = match.end() - 1
        counts = [int(count[:9]) for count in (match[1], match[3]) if count]
        if any(count > REPEAT_LIMIT for count in counts):
            self._fail("number too big in {} quantifier", last)
        if len(counts) == 2 and counts[0] > counts[1]:
            self._fail("numbers out of order in {} quantifier", last)
        if not self._repeatable:
            self._fail("quantifier does not follow a repeatable item", last)
        end = match.end() + self._pattern.startswith(("+", "?"), match.end())  # possessive, lazy
        self.choices += 2 if self._pattern[self._at - 1] == ")" else 1
        self._put(self._pattern[self._at : end], end, repeatable=False)

    # -- escapes

    def _escape(self) -> None:
        at = self._at + 1
        char = self._pattern[at : at + 1]
        if not char:
            self._fail("\\ at end of pattern")
        if char == "Q":
            quoted, end = self._quoted(at + 1)
            self._put(re.escape(quoted), end, repeatable=self._repeatable or bool(quoted))
        elif char == "E":
            self._at += 2
        elif char in _ASSERTIONS:
            self._put(_ASSERTIONS[char], at + 1, repeatable=False)
        elif char in ("R", "N"):
            self._put(_BREAK if char == "R" else "[^\\n]", at + 1)
        elif char in _SETS:
            self._put(_written(_SETS[char]), at + 1)
        elif char in "gk123456789":
            self._reference(at)
        else:
            code, end = self._code(at)
            self._put(_one(code), end)

    def _quoted(self, at: int) -> tuple[str, int]:
        """Return what stands from *at* to ``\\E`` or the end, and what comes behind."""
        end = self._pattern.find("\\E", at)
        return (self._pattern[at:], len(self._pattern)) if end < 0 else (self._pattern[at:end], end + 2)

    def _reference(self, at: int) -> None:
        match = re.compile(_REFERENCE, re.ASCII).match(self._pattern, at)
        if match is None:
            opened = re.compile(_REFERENCE_OPEN, re.ASCII).match(self._pattern, at)
            if opened:
                self._fail_name(opened[1], opened.start(1))
            self._fail(_REFERENCE_WANTED[self._pattern[at]], at + 1)
        number, name = match[1] or match[4], match[2] or match[3]
        if name:
            self._put(self._named(name, match.start(2 if match[2] else 3)), match.end())
            return
        octal = re.compile("[0-7]{1,3}").match(self._pattern, at) if match[4] and int(number[:9]) > 9 else None
        if octal and int(number[:9]) > self._groups:
            self._put(_one(int(octal[0], 8) & 0xFF), octal.end())
            return
        group = int(number[:9])
        if group == 0:  # the whole match is no subpattern
            self._fail("reference to non-existent subpattern", match.end())
        if group < 0:
            group += self._groups + 1
            if group <= 0:
                braced = self._pattern[at + 1] == "{"
                self._fail("reference to non-existent subpattern", at + 1 if braced else match.end())
        self._references.append((group, match.end() - 1))
        self._put(f"(?:\\{group})" if group <= self._groups else self._ahead(), match.end())

    def _named(self, name: str, at: int) -> str:
        self._references.append((name, at))
        return f"(?P={name})" if name in self._names else self._ahead()

    def _ahead(self) -> str:
        """Return what a reference to a later group is: it matches nothing, unless something goes round."""
        self._goes_round = self._goes_round or len(self._options) > 1
        return "(?!)"

    def _code(self, at: int) -> tuple[int, int]:
        """Return the character that the escape at *at* stands for, and where it ends."""
        char = self._pattern[at]
        if char in _CONTROLS:
            return _CONTROLS[char], at + 1
        match = re.compile(_NUMBERED_ESCAPE).match(self._pattern, at)
        if match:
            code = int(match[1] or match[2] or "0", 16) if char == "x" else int(match[3] or match[4] or "0", 8)
            code = ord(match[5].upper()) ^ 0x40 if match[5] else code
            if code > 0xFF:
                self._fail("character code point value in \\x{} or \\o{} is too large", match.end() - 1)
            return code, match.end()
        if char in _UNSUPPORTED:
            self._fail(f"\\{char} is not in smarthostd's regular expressions", at)
        if char == "c":
            self._fail("\\c at end of pattern")
        if char in "xo":
            self._fail_code(at)
        if char.isascii() and char.isalnum():
            self._fail("unrecognized character follows \\", at)
        return ord(char), at + 1

    def _fail_code(self, at: int) -> NoReturn:
        """Fail for what stands behind ``\\x`` or ``\\o``."""
        digits = re.compile(r"x\{[0-9A-Fa-f]*|o\{[0-7]*|").match(self._pattern, at)
        assert digits is not None, "no digits are some"
        if not digits[0]:
            self._fail("missing opening brace after \\o", at + 1)
        if self._pattern[at + 2 : at + 3] in ("", "}"):
            self._fail("digits missing in \\x{} or \\o{} or \\N{U+}", at + 2)
        wanted = "hex" if self._pattern[at] == "x" else "octal"
        where = min(digits.end(), len(self._pattern) - 1)
        self._fail(f"non-{wanted} character in \\{self._pattern[at]}{{}} (closing brace missing?)", where)

    # -- classes

    def _class(self) -> None:
        pattern, at = self._pattern, self._at + 1
        named = re.compile(_POSIX, re.DOTALL).match(pattern, self._at)
        if named:
            self._fail("POSIX named classes are supported only within a class", self._at)
        negated = pattern[at : at + 1] == "^"
        at += negated
        ranges: list[tuple[int, int]] = []
        while pattern[at : at + 1] != "]" or not ranges:  # a bracket in front is a member
            at = self._class_item(at, ranges)
        self._put(_written(tuple(ranges), negated=negated), at + 1)

    def _class_item(self, at: int, ranges: list[tuple[int, int]]) -> int:
        """Add one item of a class to *ranges*; return where the next begins."""
        found, at = self._class_member(at)
        pattern = self._pattern
        if pattern[at : at + 1] != "-" or pattern[at + 1 : at + 2] in ("]", "") or found == ():
            ranges.extend(found if isinstance(found, tuple) else ((found, found),))
            return at
        if isinstance(found, tuple):
            self._fail("invalid range in character class", at)
        last, end = self._class_member(at + 1)
        if isinstance(last, tuple):
            self._fail("invalid range in character class", end if pattern[at + 1] == "\\" else at + 2)
        if last < found:
            self._fail("range out of order in character class", end - 1)
        ranges.append((found, last))
        return end

    def _class_member(self, at: int) -> tuple[int | Ranges, int]:
        """Return a character, or the ranges of a set, and where it ends."""
        pattern = self._pattern
        if at >= len(pattern):
            self._fail("missing terminating ] for character class")
        if pattern[at] == "[":
            named = re.compile(_POSIX, re.DOTALL).match(pattern, at)
            if re.compile(r"\[([.=]).*?\1\]").match(pattern, at):
                self._fail("POSIX collating elements are not supported", at)
            if named is None:
                return ord("["), at + 1
            if named[2] not in _CLASSES:
                self._fail("unknown POSIX class name", named.start(2))
            ranges = _CLASSES[named[2]]
            return _complement(ranges) if named[1] else ranges, named.end()
        if pattern[at] != "\\":
            return ord(pattern[at]), at + 1
        char = pattern[at + 1 : at + 2]
        if not char:
            self._fail("\\ at end of pattern")
        if char in _SETS:
            return _SETS[char], at + 2
        if char == "N":
            self._fail("\\N is not supported in a class", at + 2)
        if char == "b":
            return 8, at + 2
        if char == "Q":
            quoted, end = self._quoted(at + 2)
            return tuple((ord(one), ord(one)) for one in quoted), end
        if char == "E":
            return (), at + 2
        octal = re.compile("[0-7]{1,3}").match(pattern, at + 1)
        return (int(octal[0], 8) & 0xFF, octal.end()) if octal else self._code(at + 1)


def _ends(options: list[str]) -> str:
    """Return what closes the groups that inline options have become."""
    return ")" * len(options)


def _one(code: int) -> str:
    return re.escape(chr(code))


def _written(ranges: Ranges, *, negated: bool = False) -> str:
    body = "".join(f"\\U{first:08x}" if first == last else f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
    return f"[{'^' if negated else ''}{body}]"


class Compiled(Struct, frozen=True):
    """A pattern, ready to match."""

    pattern: re.Pattern[str]
    may_take_long: bool

    def run(self, work: Callable[[re.Pattern[str]], T], seconds: float) -> T:
        """Return what *work* gives; raises RegexError when it takes longer than *seconds*, 0: than it likes."""
        if not (self.may_take_long and seconds) or threading.current_thread() is not threading.main_thread():
            return work(self.pattern)
        return _in_time(lambda: work(self.pattern), seconds)


def _in_time(work: Callable[[], T], seconds: float) -> T:
    """Return what *work* gives; only the main thread has signals, and there it must be."""
    armed = True

    def stop(number: int, frame: object) -> None:
        if armed:
            raise _TimeIsUp

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        try:
            return work()
        finally:
            armed = False
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except _TimeIsUp:
        raise RegexError(f"more than {seconds:g} s of work with this text: rewrite nested repetitions") from None
    finally:
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL if before is None else before)


@lru_cache(512)
def compile_pcre(pattern: str, caseless: bool = False) -> Compiled:
    """Return *pattern* compiled; raises RegexError."""
    if len(pattern) > PATTERN_LIMIT:
        raise RegexError(f"pattern is longer than {PATTERN_LIMIT} characters")
    try:
        translation = _Translation(pattern)
        compiled = re.compile(translation.text(), re.ASCII | (re.IGNORECASE if caseless else 0))
    except re.error as error:
        raise RegexError(_in_pcre_words(pattern, error)) from error
    except (RecursionError, OverflowError) as error:
        raise RegexError("pattern is too complicated") from error
    return Compiled(compiled, translation.choices > 1)


def _in_pcre_words(pattern: str, error: re.error) -> str:
    for python, pcre in _FROM_PYTHON:
        if error.msg.startswith(python):
            behind = re.search(r"\(\?<[=!]", pattern)
            at = behind.start() if error.pos is None and behind else error.pos or 0
            return f"{pcre} at offset {min(at, len(pattern))}"
    return str(error).replace(" at position ", " at offset ")


# -- octets


def _octets(text: str) -> str:
    """Return *text* with one character for each octet."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _text(octets: str) -> str:
    return octets if octets.isascii() else octets.encode("latin-1").decode("utf-8", "surrogateescape")


def _prepared(pattern: str, subject: str, caseless: bool) -> tuple[Compiled, str]:
    if len(subject) > SUBJECT_LIMIT:
        raise RegexError(f"subject is longer than {SUBJECT_LIMIT} characters")
    return compile_pcre(_octets(pattern), caseless), _octets(subject)


def _groups(match: re.Match[str]) -> Groups:
    return (_text(match[0]), *(_text(group or "") for group in match.groups()[:GROUPS_LIMIT]))


def search(pattern: str, subject: str, *, caseless: bool = False, seconds: float = TIME_LIMIT) -> Groups | None:
    """Return the first match, or None; raises RegexError."""
    compiled, subject = _prepared(pattern, subject, caseless)
    match = compiled.run(lambda compiled: compiled.search(subject), seconds)
    return None if match is None else _groups(match)


def substitute(pattern: str, subject: str, replacement: Callable[[Groups], str], *, seconds: float = TIME_LIMIT) -> str:
    """Return *subject* with every match replaced; raises RegexError."""
    compiled, subject = _prepared(pattern, subject, False)
    pieces: list[str] = []
    at = 0
    for match in compiled.run(lambda compiled: list(compiled.finditer(subject)), seconds):
        pieces += (subject[at : match.start()], _octets(replacement(_groups(match))))
        at = match.end()
    return _text("".join(pieces) + subject[at:])
