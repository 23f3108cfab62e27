"""One rewriting rule: a line with a pattern, a replacement, and perhaps flags.

::

    # pattern           replacement                                                      flags
    *@+local_domains    "${lookup{$local_part}lsearch{/etc/email-addresses}{$value}fail}"  Ffrs
    root@*              me@provider.example                                              EhwQ

The pattern is one item of an address list. A word that holds white space stands in double quotes, where a
backslash escapes. Flags say where the rule applies (``E`` the envelope, ``F`` its sender, ``T`` its recipients; ``h``
all header lines, ``f`` From, ``s`` Sender, ``r`` Reply-To, ``t`` To, ``c`` Cc, ``b`` Bcc; none of them: everywhere) and
how (``w`` the whole header address with its phrase, ``q`` no further rules, ``R`` again while it matches, ``Q`` a
replacement without a domain gets one). ``S``, which rewrites what no address is yet, is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from enum import Flag

from msgspec import Struct

from smarthostd.errors import SmarthostdError
from smarthostd.lookups.lsearch import dequote

_SPACE = " \t\n\v\f\r"
_PLAIN_WORD = re.compile(r'[^\s"]\S*')
_QUOTE_NEEDED = re.compile(r'[\\"\x00-\x1f\x7f]')


class Where(Flag):
    """Where an address stands; the order is that of ``exim -brw``."""

    SENDER = 1
    FROM = 2
    TO = 4
    CC = 8
    BCC = 16
    REPLY_TO = 32
    ENVELOPE_FROM = 64
    ENVELOPE_TO = 128
    HEADERS = SENDER | FROM | TO | CC | BCC | REPLY_TO
    ENVELOPE = ENVELOPE_FROM | ENVELOPE_TO
    EVERYWHERE = HEADERS | ENVELOPE


_PLACES = {
    "E": Where.ENVELOPE,
    "F": Where.ENVELOPE_FROM,
    "T": Where.ENVELOPE_TO,
    "h": Where.HEADERS,
    "s": Where.SENDER,
    "f": Where.FROM,
    "t": Where.TO,
    "c": Where.CC,
    "b": Where.BCC,
    "r": Where.REPLY_TO,
}
_MANNERS = "wqRQ"
"""As the fields of a rule come."""


class RewriteRuleError(SmarthostdError):
    """A rewriting rule that cannot be read; the text is Exim's, *fix* says what to write."""

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(text)
        self.fix = fix


class NotThere(RewriteRuleError):
    """A rewriting rule that Exim would read, and that asks for what is not there."""


class Rule(Struct, frozen=True):
    """One rule."""

    pattern: str
    replacement: str
    where: Where = Where.EVERYWHERE
    whole: bool = False
    """Replace a header address together with its phrase and comments."""
    quits: bool = False
    """No rule is asked behind this one, also where its replacement fails by force."""
    repeats: bool = False
    qualifies: bool = False

    @property
    def keeps(self) -> bool:
        """Whether an address that matches is left as it is, and no rule behind this one is asked."""
        return self.replacement == "*"


def parse_rule(line: str, everywhere: Where = Where.EVERYWHERE) -> Rule:
    """Return the rule in *line*; one that names no place applies *everywhere*. Raises RewriteRuleError."""
    pattern, rest = dequote(line.strip(_SPACE))
    rest = rest.lstrip(_SPACE)
    if not rest:
        raise RewriteRuleError("missing rewrite replacement string", "write PATTERN REPLACEMENT FLAGS")
    replacement, flags = dequote(rest)
    where = Where(0)
    for flag in flags.translate({ord(" "): None, ord("\t"): None}):
        where |= _place(flag, pattern)
    return Rule(pattern, replacement, where or everywhere, *(manner in flags for manner in _MANNERS))


def parse_rules(lines: Iterable[str], everywhere: Where = Where.EVERYWHERE) -> tuple[Rule, ...]:
    """Return the rules in *lines*, without those that ask for what is not there; raises RewriteRuleError."""
    rules = []
    for line in lines:
        with suppress(NotThere):  # said when the configuration was read
            rules.append(parse_rule(line, everywhere))
    return tuple(rules)


def rule_line(pattern: str, replacement: str, flags: str = "") -> str:
    """Return the line that a rule's parts make, its words in quotes where they need them."""
    return " ".join(filter(None, (_word(pattern), _word(replacement), flags)))


def _word(text: str) -> str:
    return text if _PLAIN_WORD.fullmatch(text) else '"' + _QUOTE_NEEDED.sub(_escaped, text) + '"'


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[0]}" if match[0] in '\\"' else f"\\{ord(match[0]):03o}"


def _place(flag: str, pattern: str) -> Where:
    """Return where *flag* applies a rule, nothing where it says how; raises RewriteRuleError for one that is none."""
    if flag == "S":
        if not re.match(r"\^|\\N\^", pattern):
            raise RewriteRuleError("rewrite rule has the S flag but is not a regular expression", "use F or T")
        raise NotThere("the rewrite flag S (for what is no address yet) is", "use F or T")
    if flag not in _PLACES and flag not in _MANNERS:
        text = f"unknown rewrite flag character '{flag}' (could be missing quotes round replacement item)"
        raise RewriteRuleError(text, f"known are {' '.join([*_PLACES, *_MANNERS])}")
    return _PLACES.get(flag, Where(0))
