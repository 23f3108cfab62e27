"""Exim's retry rules: which one is for an error, when it says to try again, and when to give up (exim.md 9.1).

::

    # pattern    error      [senders=list]   F,cutoff,interval; G,cutoff,first,factor; H,cutoff,first,factor
    *            *                           F,2h,15m; G,16h,1h,1.5; F,4d,6h

The pattern is one item of an address list; a host is looked for as ``*@host``. The first line whose
pattern, error and senders all fit is the rule. Within it, the first step whose cutoff has not passed is in
force; past the last cutoff the address is given up, while that step goes on to space attempts at the host.

An error's detail is matched as Exim matches it: ``timeout`` fits every time-out, ``rcpt_45x`` the codes 450
to 459, ``quota_7d`` a mailbox that nobody has read for a week or longer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec import Struct

from smarthostd.errors import Deferral, ExpansionError, SmarthostdError
from smarthostd.lookups.lsearch import dequote
from smarthostd.syntax import format_time, parse_time

if TYPE_CHECKING:
    from smarthostd.lists import Matcher

T = TypeVar("T")

EVERYTHING = "*"
"""A pattern that fits whatever it is asked about: nearly all rules have it, and each deferral asks for some."""
DEFAULT_RULES = ("* * F,2h,15m; G,16h,1h,1.5; F,4d,6h",)
"""What is done where no rules are configured; Exim would give up at the first error."""
LONGEST_GAP = 86400.0
"""Seconds: ``retry_interval_max``."""

_SPACE = " \t\n\v\f\r"
_CODE = re.compile(r"(mail|rcpt|data)_4(.*)", re.IGNORECASE | re.DOTALL)
_LAST_NAMES = ("lost_connection", "tls_required", "lookup")
"""Errors that may be abbreviated, in the order in which an abbreviation is looked up."""
_SOURCES = {"MX": "MX", "A": "A"}
_TIMEOUTS = {
    "A": ("", "A"),
    "MX": ("", "MX"),
    "connect": ("connect", ""),
    "connect_A": ("connect", "A"),
    "connect_MX": ("connect", "MX"),
    "DNS": ("", ""),
}
"""Details of two errors, in the order in which an abbreviation is looked up."""


class RetryRuleError(SmarthostdError):
    """A retry rule or an error's name that cannot be read; the text is Exim's."""


class RetryError(Struct, frozen=True):
    """What went wrong, as retry rules name it: ``timeout`` with the details ``connect`` and ``MX``."""

    name: str = ""
    """Empty: any error in a rule, none of the known ones as a fact."""
    during: str = ""
    """``connect`` for a time-out while connecting."""
    source: str = ""
    """``A`` or ``MX``: how the host was found."""
    code: str = ""
    """``4xx``, ``45x`` or ``452``, after MAIL, RCPT or DATA."""
    age: timedelta | None = None
    """How long the mailbox that is full has not been read."""

    def __str__(self) -> str:
        """As ``-brt`` prints it: Exim forgets the names of those that it does not decode."""
        match self.name:
            case "quota":
                return f"quota_{format_time(self.age)}" if self.age else "quota"
            case "refused" | "timeout":
                return "_".join(filter(None, (self.name, self.during, self.source)))
            case "auth_failed":
                return self.name
            case _:
                return "*"

    def fits(self, happened: RetryError) -> bool:
        """Return whether a rule for this error is for what *happened*."""
        if not self.name:
            return True
        if self.name != happened.name:
            return False
        match self.name:
            case "quota":
                return not self.age or self.age <= (happened.age or timedelta(0))
            case "timeout":
                return self._fits_timeout(happened)
            case "mail" | "rcpt" | "data":
                return self._fits_code(happened.code)
            case _:
                return not self.source or self.source == happened.source

    def _fits_timeout(self, happened: RetryError) -> bool:
        if self.during and not happened.during:
            return False
        return not self.source or self.source == happened.source

    def _fits_code(self, code: str) -> bool:
        """Return whether *code* is meant; one that is not known whole counts as Exim's ``-brt`` counts it."""
        known = {"4xx": "421"}.get(code, code.replace("x", "4"))
        return all(wanted in ("x", digit) for wanted, digit in zip(self.code, known, strict=True))


def parse_error(text: str) -> RetryError:
    """Return the error that *text* names; raises :class:`RetryRuleError`.

    Case does not matter, and the details of ``refused``, ``timeout`` and what has none may be abbreviated.
    """
    first, underscore, detail = text.lower().partition("_")
    if first == "quota":
        age = parse_time(text.partition("_")[2]) if underscore else timedelta(0)
        if age is None:
            raise RetryRuleError("bad time value")
        return RetryError("quota", age=age)
    if first == "refused":
        source = _abbreviated(detail, _SOURCES) if underscore else ""
        if source is None:
            raise RetryRuleError('A or MX expected after "refused"')
        return RetryError("refused", source=source)
    if first == "timeout":
        extra = _abbreviated(detail, _TIMEOUTS) if underscore else ("", "")
        if extra is None:
            raise RetryRuleError('"A", "MX", or "connect" expected after "timeout"')
        return RetryError("timeout", *extra)
    if match := _CODE.fullmatch(text):
        return RetryError(match[1].lower(), code=_code(match))
    if first == "auth" and underscore and "failed".startswith(detail):
        return RetryError("auth_failed")
    for name in _LAST_NAMES:
        if name.startswith(text.lower()):
            return RetryError(name)
    if text == "*":
        return RetryError()
    raise RetryRuleError(f'unknown or malformed retry error "{text}"')


def _abbreviated(text: str, names: Mapping[str, T]) -> T | None:
    """Return what the first name that begins with *text* stands for."""
    return next((value for name, value in names.items() if name.lower().startswith(text)), None)


def _code(match: re.Match[str]) -> str:
    if not re.fullmatch(r"xx|\dx|\d\d", match[2], re.ASCII):
        start = f"{match[0][:4]}_4"
        raise RetryRuleError(f"{start} must be followed by xx, dx, or dd, where x is literal and d is any digit")
    return f"4{match[2]}"


@lru_cache(256)
def error_named(name: str) -> RetryError:
    """Return the error that an outcome calls *name*; a name that no rule knows is just an error."""
    try:
        return parse_error(name) if name else RetryError()
    except RetryRuleError:
        return RetryError()


class Step(Struct, frozen=True):
    """One of a rule's steps: until *cutoff* has passed, try again after *interval* (F), or after growing gaps."""

    letter: str
    cutoff: timedelta
    interval: timedelta
    factor: float = 1.0

    def __str__(self) -> str:
        """As ``-brt`` prints it: only G's factor, at least one decimal."""
        text = f"{self.letter},{format_time(self.cutoff)},{format_time(self.interval)}"
        if self.letter == "G":
            whole, decimals = f"{self.factor:.3f}".split(".")
            text += f",{whole}.{decimals.rstrip('0') or '0'}"
        return text

    def gap(self, last_gap: float, chance: Callable[[], float]) -> float:
        """Return the seconds until the next try, *last_gap* being the last one; *chance* is 0 to 1."""
        first = self.interval.total_seconds()
        if self.letter == "F":
            return first
        grown = last_gap * self.factor
        if self.letter == "G":
            return first if last_gap < first else grown
        upper_half = (grown - first) / 2
        return first + upper_half + chance() * upper_half if grown > first else first


class RetryRule(Struct, frozen=True):
    """One line of the ``retry`` section."""

    pattern: str
    error: RetryError
    senders: str | None
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        """As ``-brt`` prints it."""
        return f"{self.pattern}  {self.error}  " + "".join(f"{step}; " for step in self.steps)

    @property
    def patience(self) -> float:
        """The last cutoff, in seconds; 0 where there are no steps."""
        return self.steps[-1].cutoff.total_seconds() if self.steps else 0.0

    def step_at(self, failing: float) -> tuple[Step | None, bool]:
        """Return the step in force after *failing* seconds, and whether the last cutoff has passed."""
        for step in self.steps:
            if failing <= step.cutoff.total_seconds():
                return step, False
        return (self.steps[-1] if self.steps else None), True


def parse_rule(line: str) -> RetryRule:
    """Return the rule written in *line*; raises :class:`RetryRuleError`."""
    pattern, rest = dequote(line.strip(_SPACE))
    match = re.match(r"\S+", rest := rest.lstrip(_SPACE))
    if match is None:
        raise RetryRuleError("missing error type in retry rule")
    error = parse_error(match[0])
    rest = rest[match.end() :].lstrip(_SPACE)
    senders = None
    if rest.startswith("senders"):
        rest = rest.removeprefix("senders").lstrip(_SPACE)
        if not rest.startswith("="):
            raise RetryRuleError('"=" expected after "senders" in retry rule')
        senders, rest = dequote(rest[1:].lstrip(_SPACE))
    return RetryRule(pattern, error, senders, tuple(_steps(rest.lstrip(_SPACE))))


def _steps(text: str) -> Iterable[Step]:
    while text:
        letter = text[0].upper()
        arguments, text = _arguments(text[1:], 2 if letter == "F" else 3, known=letter in "FGH")
        cutoff, interval = parse_time(arguments[0]), parse_time(arguments[1])
        factor = _fixed_point(arguments[2]) if letter != "F" else 1.0
        if not cutoff or not interval or factor < 1:
            raise RetryRuleError("bad parameters for retry rule")
        yield Step(letter, cutoff, interval, factor)
        text = text.lstrip(_SPACE)
        if text and not text.startswith(";"):
            raise RetryRuleError("semicolon expected")
        text = text[1:].lstrip(_SPACE)


def _arguments(text: str, count: int, *, known: bool) -> tuple[list[str], str]:
    """Return *count* arguments, each behind a comma, and what follows them."""
    arguments: list[str] = []
    while len(arguments) < count:
        match = re.match(r",[ \t\n\v\f\r]*([0-9A-Za-z.]*)", text)
        if match is None:
            raise RetryRuleError("comma expected")
        arguments.append(match[1])
        text = text[match.end() :]
        if text and text[0] not in _SPACE + ",;":
            raise RetryRuleError("comma or semicolon expected")
        if not known:
            raise RetryRuleError("unknown retry rule letter")
    return arguments, text


def _fixed_point(text: str) -> float:
    """Return a number of at most three decimals; 0 where it is none."""
    match = re.fullmatch(r"(\d+)(?:\.(\d*))?", text, re.ASCII)
    return float(f"{match[1]}.{(match[2] or '0')[:3]}") if match else 0.0


class Tried(Struct, frozen=True):
    """What is known of an address or a host that fails; seconds since the epoch."""

    first_failed: float
    last_try: float
    planned: float
    """When this attempt was planned for, so that the last gap is the shorter of planned and real."""


def next_try(
    rule: RetryRule | None,
    tried: Tried,
    now: float,
    *,
    longest: float = LONGEST_GAP,
    chance: Callable[[], float] = random.random,
) -> tuple[float, bool]:
    """Return when to try again, and whether the last cutoff has passed; without a rule that is so at once."""
    if rule is None:
        return now, True
    step, expired = rule.step_at(now - tried.first_failed)
    if step is None:
        return now, True
    last_gap = max(0.0, min(tried.planned, now) - tried.last_try)
    return now + min(step.gap(last_gap, chance), longest), expired


class Subject(Struct, frozen=True):
    """What a rule is looked for by."""

    key: str
    """An address, a domain or a host."""
    error: str
    sender: str = ""
    domain: str = ""
    """Of a host: the domain of the first address that was to go there."""


class Rules(Protocol):
    """The retry rules, as the road asks them (``assembly.Retry``)."""

    def next_try(self, subject: Subject, known: Tried, now: float) -> tuple[float, bool]:
        """Return when to try again, and whether the last cutoff has passed."""
        ...

    def patience(self, subject: Subject) -> float:
        """Return the last cutoff in seconds; 0 where there is no rule."""
        ...


class RetryRules:
    """All rules, in order, with what is needed to match their patterns."""

    def __init__(
        self, rules: Sequence[RetryRule], matcher: Matcher, expand: Callable[[str], str] | None = None
    ) -> None:
        """*expand* expands patterns and sender lists; without it they are taken as written."""
        self._rules = tuple(rules)
        self._matcher = matcher
        self._expand = expand

    def find(
        self, address_or_host: str, error: RetryError | str = "", sender: str | None = None, domain: str | None = None
    ) -> RetryRule | None:
        """Return the first rule that fits, or None.

        A host's key may carry its address (``host:192.0.2.1``), a pipe's or file's key the address behind its last
        colon; *domain* is tried as well as a host. *sender* None fits no rule that names senders.
        """
        if isinstance(error, str):
            error = error_named(error)
        subjects = [_subject(address_or_host)] + ([f"*@{domain}"] if domain else [])
        for rule in self._rules:
            if not rule.error.fits(error):
                continue
            if rule.senders is not None and not (sender is not None and self._matches(sender, rule.senders)):
                continue
            # A separator that nobody types: the pattern is one item, colons and all.
            if rule.pattern == EVERYTHING or any(self._matches(subject, rule.pattern, "<\x01") for subject in subjects):
                return rule
        return None

    def _matches(self, subject: str, text: str, separator: str = "") -> bool:
        """Return whether *subject* is in the list *text*; a list that cannot be evaluated fits nothing."""
        try:
            if self._expand:
                text = self._expand(text)
            return self._matcher.address(subject, separator + text, self._expand) is not None
        except (ExpansionError, Deferral):
            return False


def _subject(key: str) -> str:
    if ":" in key:
        key = key.partition(":")[0] if key[:1].isalnum() else key.rpartition(":")[2]
    return key if "@" in key else f"*@{key}"
