"""What the rules, in order, make of one address.

Each rule that applies where the address stands, and whose pattern fits, replaces it; the next rule sees the
new address. A rule that goes wrong (a replacement that cannot be expanded, or is no address) ends it there: the
address stays as the rules before it have left it, and the log says so. That is Exim's way; but where Exim dies
of a missing file in a pattern, the rule is skipped.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from smarthostd.address import NULL_SENDER, Address, AddressError
from smarthostd.errors import Deferral, ExpansionError, ForcedFailure
from smarthostd.expand import Expander, Values
from smarthostd.expand.addresses import Mailbox, Mailboxes, NotAnAddress
from smarthostd.rewrite.phrase import quoted_phrase
from smarthostd.rewrite.rule import Rule, Where

REPEATS = 10
"""Times that a rule is tried again on what it has made itself (flag R)."""
TOLD_LIMIT = 20
"""Lines in the log about the addresses of one message."""
_TITLES = {Where.ENVELOPE_FROM: "env-from", Where.ENVELOPE_TO: "env-to", Where.REPLY_TO: "reply-to:"}

Tell: TypeAlias = Callable[[str], None]
"""Takes a line for the log, about the message at hand."""


def limited(tell: Tell) -> Tell:
    """Return *tell*, which falls silent after so many lines: a header can hold thousands of bad addresses."""
    numbers = itertools.count(1)

    def tell_first(line: str) -> None:
        number = next(numbers)
        if number <= TOLD_LIMIT:
            tell(line)
        elif number == TOLD_LIMIT + 1:
            tell("rewrite: there is more of this, which is not told")

    return tell_first


def titled(where: Where) -> str:
    """Return Exim's name of a place: ``from:``, ``env-to``."""
    return _TITLES.get(where) or f"{str(where.name).lower()}:"


class Rewritten(Struct, frozen=True):
    """What an address has become."""

    address: str
    around: tuple[str, str] | None = None
    """What stands before and behind it now, where a rule has replaced the whole of a header address (flag w)."""

    @property
    def text(self) -> str:
        """All of it."""
        return self.address if self.around is None else self.address.join(self.around)


class _Ending(Enum):
    """Why a rule has changed nothing."""

    UNFIT = "the next rule is asked"
    ENOUGH = "no other rule is asked"


class RewriteRules:
    """The rules of the configuration or of one transport, in order."""

    def __init__(self, rules: Sequence[Rule], expander: Expander, *, tell_changes: bool = False) -> None:
        """*tell_changes*: the log is to tell each change (``log_selector = +address_rewrite``)."""
        self.rules = rules
        self.places = frozenset(place for rule in rules for place in rule.where)
        """All places where a rule applies: a set, since a look into one costs less than an operation on flags."""
        self.for_envelopes = not self.places.isdisjoint(Where.ENVELOPE)
        self._expander = expander
        self._tell_changes = tell_changes

    def rewrite_envelope(self, address: Address, where: Where, values: Values, tell: Tell) -> Address:
        """Return what becomes of an envelope's *address*, which is not the null sender; never raises."""
        if where not in self.places:
            return address
        after = self.rewrite(str(address), where, values, tell)
        if after is None:
            return address
        try:
            return Address.parse(after.address) if after.address else NULL_SENDER
        except AddressError as error:
            tell(f'Rewrite of {address} yielded "{after.address}", which no SMTP command can hold: {error}')
            return address

    def rewrite(self, address: str, where: Where, values: Values, tell: Tell) -> Rewritten | None:
        """Return what becomes of *address* (with a domain) at one place, *where*; None where no rule replaces it.

        Never raises. An address may be replaced by the same.
        """
        before = now = Rewritten(address)
        for number, rule in enumerate(self.rules, 1):
            if not rule.where & where:
                continue
            times = 0
            step = self._step(number, now, where, values, tell)
            while isinstance(step, Rewritten):
                now = step
                if not rule.repeats:
                    break
                if times == REPEATS:
                    tell(f"rewrite rule repeat ignored after {REPEATS} times")
                    break
                times += 1
                step = self._step(number, now, where, values, tell)
            if step is _Ending.ENOUGH or (rule.quits and (times or isinstance(step, Rewritten))):
                break
        return None if now is before else now

    def _step(
        self, number: int, now: Rewritten, where: Where, values: Values, tell: Tell
    ) -> Rewritten | Literal[_Ending.UNFIT, _Ending.ENOUGH]:
        """Return what one rule makes of an address, once."""
        rule = self.rules[number - 1]
        numbered = self._match(rule, number, now.address, values, tell)
        if numbered is None:
            return _Ending.UNFIT
        if rule.keeps:
            return _Ending.ENOUGH
        try:
            text = self._expander.expand(rule.replacement, {**values, **_variables(now.address, numbered)})
            mailbox = Mailboxes().read(text, may_be_null=where is Where.ENVELOPE_FROM)
        except ForcedFailure:
            return _Ending.ENOUGH if rule.quits else _Ending.UNFIT
        except ExpansionError as error:
            tell(f"Expansion of {rule.replacement} failed while rewriting: {error}")
            return _Ending.ENOUGH
        except NotAnAddress as error:
            tell(f"Rewrite of {now.address} yielded unparseable address: {error} in address {text}")
            return _Ending.ENOUGH
        if not mailbox.domain and mailbox.local_part:
            if not rule.qualifies:
                tell(f'Rewrite of {now.address} yielded unqualified address "{text}"')
                return _Ending.ENOUGH
            text, mailbox = self._qualified(text, mailbox)
        if self._tell_changes:
            tell(f'"{now.text}" from {titled(where)} rewritten as "{text}" by rule {number}')
        if rule.whole and where & Where.HEADERS:
            return Rewritten(str(mailbox), _around(text, mailbox))
        return replace(now, address=str(mailbox))

    def _match(self, rule: Rule, number: int, address: str, values: Values, tell: Tell) -> tuple[str, ...] | None:
        """Return $0, $1 … where the rule's pattern fits, else None."""

        def expand(text: str) -> str:
            return self._expander.expand(text, values)

        try:
            found = self._expander.matcher.rewriting_pattern(address, expand(rule.pattern), expand)
        except ForcedFailure:
            return None
        except ExpansionError as error:
            tell(f'failed to expand "{rule.pattern}" while checking a list: {error}')
            return None
        except Deferral as error:
            tell(f"rewrite rule {number} is skipped: {error}")
            return None
        return None if found is None else found.numbered

    def _qualified(self, text: str, mailbox: Mailbox) -> tuple[str, Mailbox]:
        """Return a replacement and its address with the recipients' domain."""
        facts = self._expander.facts
        domain = facts.qualify_recipient or facts.qualify_domain or facts.primary_hostname
        address = f"{mailbox.local_part}@{domain}"
        text = f"{text[: mailbox.start]}{address}{text[mailbox.end :]}"
        return text, Mailbox(mailbox.local_part, domain, mailbox.start, mailbox.start + len(address))


def _variables(address: str, numbered: tuple[str, ...]) -> dict[str, str]:
    local_part, _, domain = address.rpartition("@")
    numbers = {str(number): text for number, text in enumerate(numbered)}
    return {"local_part": local_part, "domain": domain, **numbers}


def _around(text: str, mailbox: Mailbox) -> tuple[str, str]:
    """Return what stands before and behind the address in a replacement, its phrase quoted where it must be."""
    before, behind = text[: mailbox.start], text[mailbox.end :]
    if not before.endswith("<"):
        return before, behind
    phrase = before[:-1].rstrip(" ")
    close, bracket, rest = behind.partition(">")
    comment = rest.lstrip(" ")
    return (
        f"{quoted_phrase(phrase)}{before[len(phrase) :]}",
        f"{close}{bracket}{rest[: len(rest) - len(comment)]}{quoted_phrase(comment)}",
    )
