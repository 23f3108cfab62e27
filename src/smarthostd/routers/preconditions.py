"""The checks that every router makes before its driver is asked, in Exim's order (exim.md 6.1).

A check that fails skips the router, which is not the same as declining; a list or lookup that cannot be
decided defers the address.
"""

from __future__ import annotations

import pwd
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct, field

from smarthostd.address import Address
from smarthostd.errors import Deferral, ExpansionDefer, ExpansionError, ForcedFailure, SmarthostdError
from smarthostd.expand import Expander, Value, Values, is_true
from smarthostd.expand.octets import lower
from smarthostd.facts import made
from smarthostd.lists import ListBroken, ListUndecided, Match, split
from smarthostd.lookups import LookupUnopened
from smarthostd.routers import required
from smarthostd.routers.base import RoutedAddress, RoutingDeferred, without_numbers

if TYPE_CHECKING:
    from smarthostd.routers.options import RouterOptions


class Passed(Struct, frozen=True):
    """All checks hold: the address as the driver sees it, and the variables, which are the caller's own."""

    local_part: str
    values: dict[str, Value]


class Skipped(Struct, frozen=True):
    """One check does not hold; *why* is for people."""

    why: str


class _Undecided(SmarthostdError):
    """A condition that is neither true nor false, in Exim's words."""


class _Checking(Struct):
    """What is known while the checks are made."""

    options: RouterOptions
    expander: Expander
    address: Address
    values: dict[str, Value]
    local_part: str
    written: str
    """The local part in the case that it came in."""
    why: str = field(default="")

    def expand(self, text: str) -> str:
        return self.expander.expand(text, self.values)


def spelled(options: RouterOptions, address: Address) -> str:
    """Return the local part as a router with *options* sees it."""
    return address.unquoted if options.caseful_local_part else lower(address.unquoted)


def address_values(options: RouterOptions, routed: RoutedAddress, values: Values) -> dict[str, Value]:
    """Return the variables of message and address together, as a router with *options* has them (exim.md 5.2)."""
    local_part = spelled(options, routed.address)
    return {
        **made(values),
        "local_part": local_part,
        "domain": lower(routed.address.domain),
        "original_local_part": routed.spellings[-1] if routed.spellings else local_part,
        "original_domain": lower(routed.recipient.address.domain),
        "parent_local_part": routed.spellings[0] if routed.spellings else "",
        "parent_domain": lower(routed.parents[0].domain) if routed.parents else "",
        **routed.variables,
    }


Test: TypeAlias = Callable[[_Checking], bool]


def tests_of(options: RouterOptions) -> tuple[Test, ...]:
    """Return the checks that a router with these *options* makes, in Exim's order."""
    wanted: tuple[tuple[tuple[str, ...], Test], ...] = (
        (("local_part_prefix", "local_part_suffix"), _affixes), (("domains",), _domains),
        (("local_parts",), _local_parts), (("check_local_user",), _local_user), (("router_home_directory",), _home),
        (("senders",), _senders), (("require_files",), _files), (("condition",), _condition),
    )  # fmt: skip
    return tuple(test for names, test in wanted if any(_is_set(options, name) for name in names))


def _is_set(options: RouterOptions, name: str) -> bool:
    """Whether an option stands in the configuration: an empty list there matches nothing."""
    return name in options.model_fields_set and getattr(options, name) not in (False, ())


def by_domain_alone(options: RouterOptions, tests: Sequence[Test], expander: Expander) -> bool:
    """Return whether *tests* look at nothing but an address's domain, and always say the same of it."""
    return not tests or (tests == (_domains,) and expander.matcher.is_plain(options.domains))


def turns_away(options: RouterOptions, tests: Sequence[Test], expander: Expander, domain: str) -> bool:
    """Return whether *tests*, whatever they look at behind that, always skip the router for this domain."""
    if tests[:1] != (_domains,) or not expander.matcher.is_plain(options.domains):
        return False
    return expander.matcher.domain(domain, options.domains) is None


def check(
    options: RouterOptions, tests: Sequence[Test], expander: Expander, routed: RoutedAddress, values: Values
) -> Passed | Skipped | RoutingDeferred:
    """Return whether the router *options*, which makes these *tests*, is for this address."""
    address = routed.address
    variables = address_values(options, routed, values)
    if not tests:
        return Passed(str(variables["local_part"]), variables)
    checking = _Checking(options, expander, address, variables, str(variables["local_part"]), address.unquoted)
    for test in tests:
        try:
            if not test(checking):
                return Skipped(checking.why)
        except (_Undecided, required.CannotCheck) as error:
            return RoutingDeferred(str(error))
        except ListBroken as error:
            return RoutingDeferred(str(error), broken=True)
        except Deferral as error:
            said = error.message if isinstance(error, ListUndecided) else str(error)
            text = f"{test.__name__.lstrip('_')} check lookup or other defer"
            return RoutingDeferred(f"{text}: {said}" if said else text)
        except ExpansionError as error:
            unexpanded = test in (_files, _home)
            text = str(error) if unexpanded else f"{test.__name__.lstrip('_')} check lookup or other defer"
            return RoutingDeferred(text)
    return Passed(checking.local_part, checking.values)


def _affixes(checking: _Checking) -> bool:
    options = checking.options
    for kind in ("prefix", "suffix"):
        patterns = getattr(options, f"local_part_{kind}")
        if not _is_set(options, f"local_part_{kind}"):
            continue
        found = affix(checking.local_part, split(patterns), begins=kind == "prefix")
        if not found:  # a star may stand for nothing, but nothing alone is no affix
            if not getattr(options, f"local_part_{kind}_optional"):
                checking.why = f"{checking.local_part} has no {kind} of {patterns}"
                return False
            continue
        length = len(found)
        without = slice(length, None) if kind == "prefix" else slice(None, -length)
        checking.local_part, checking.written = checking.local_part[without], checking.written[without]
        checking.values[f"local_part_{kind}"] = found
        checking.values["local_part"] = checking.local_part
    return True


def affix(local_part: str, patterns: list[str], *, begins: bool) -> str | None:
    """Return what of *local_part* is the prefix (suffix); a star at the outer end stands for anything."""
    text = local_part.lower()
    for pattern in map(str.lower, patterns):
        if begins and pattern.startswith("*"):
            # The longest run that ends with the pattern's fixed part, as Exim looks from the right.
            at = text.rfind(pattern[1:])
            if at >= 0:
                return local_part[: at + len(pattern) - 1]
        elif begins and text.startswith(pattern):
            return local_part[: len(pattern)]
        elif not begins and pattern.endswith("*"):
            at = text.find(pattern[:-1])
            if at >= 0:
                return local_part[at:]
        elif not begins and text.endswith(pattern) and len(text) > len(pattern):
            return local_part[len(local_part) - len(pattern) :]
    return None


def _note(checking: _Checking, match: Match | None, name: str) -> bool:
    """Keep what a list matched with, and nothing of an earlier one's ``$0``, ``$1`` …; return whether it matched."""
    if "0" in checking.values:
        checking.values = without_numbers(checking.values)
    if match is None:
        return False
    checking.values[name] = match.value
    checking.values.update({str(number): text for number, text in enumerate(match.numbered)})
    return True


def _domains(checking: _Checking) -> bool:
    checking.why = f"{checking.address.domain} is not in domains"
    try:
        text = checking.expand(checking.options.domains)
    except ForcedFailure:
        return False
    match = checking.expander.matcher.domain(checking.address.domain, text, checking.expand)
    return _note(checking, match, "domain_data")


def _local_parts(checking: _Checking) -> bool:
    checking.why = f"{checking.local_part} is not in local_parts"
    try:
        text = checking.expand(checking.options.local_parts)
    except ForcedFailure:
        return False
    caseless = not checking.options.caseful_local_part
    match = checking.expander.matcher.local_part(checking.written, text, checking.expand, caseless=caseless)
    return _note(checking, match, "local_part_data")


def _local_user(checking: _Checking) -> bool:
    checking.why = f"{checking.local_part} is no user here"
    try:
        user = pwd.getpwnam(checking.local_part)
    except (KeyError, ValueError):
        return False
    checking.values["home"] = user.pw_dir
    checking.values["local_part_data"] = checking.local_part
    return True


def _home(checking: _Checking) -> bool:
    template = checking.options.router_home_directory
    try:
        checking.values["home"] = checking.expand(template)
    except ForcedFailure:  # as if it was not set
        return True
    except ExpansionError as error:
        raise ExpansionError(f'failed to expand "{template}" for router_home_directory: {error}') from error
    return True


def _senders(checking: _Checking) -> bool:
    sender = checking.values.get("sender_address", "")
    text = sender if isinstance(sender, str) else sender()
    checking.why = f"the sender <{text}> is not in senders"
    try:
        senders = checking.expand(checking.options.senders)
    except ForcedFailure:
        return False
    found = checking.expander.matcher.address(text, senders, checking.expand)
    checking.values = without_numbers(checking.values)
    return found is not None


def _files(checking: _Checking) -> bool:
    try:
        files = split(checking.expand(checking.options.require_files))
    except ForcedFailure:  # as if it was not set
        return True
    except ExpansionError as error:
        text = f'failed to expand "{checking.options.require_files}" for require_files: {error}'
        raise ExpansionError(text) from error
    failing = required.failing(files)
    checking.why = f"{failing} does not hold (require_files)"
    return not failing


def _condition(checking: _Checking) -> bool:
    for text in checking.options.condition:
        checking.why = "condition is false"
        try:
            if not is_true(checking.expand(text)):
                return False
        except ForcedFailure:
            return False
        except ExpansionError as error:
            if isinstance(error, ExpansionDefer) and not isinstance(error.__cause__, LookupUnopened):
                raise _Undecided("condition check lookup defer") from error
            checking.why = f'failed to expand condition "{text}" for {checking.options.name} router: {error}'
            if 6 in checking.expander.facts.exim_strict:  # there the log alone hears of it
                return False
            raise _Undecided(checking.why) from error
    return True
