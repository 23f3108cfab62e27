"""The walk through the routers, for one recipient (exim.md 6).

Each address goes from router to router: skipped by a precondition, declined, passed, or taken. New addresses
begin again at the first router (or ``redirect_router``). A router that made one of an address's ancestors is
skipped when the address is that ancestor again, so that a loop of aliases ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from smarthostd.address import Address, AddressError
from smarthostd.envelope import Recipient
from smarthostd.errors import ExpansionError, ForcedFailure, SmarthostdError
from smarthostd.expand import Expander, Value, Values
from smarthostd.expand.octets import lower
from smarthostd.facts import Later
from smarthostd.lists import ListBroken
from smarthostd.rewrite import RewriteRules, Where
from smarthostd.routers import preconditions
from smarthostd.routers.additions import Additions
from smarthostd.routers.base import (
    DELIVERY,
    VERIFY,
    Chosen,
    Declined,
    Passed,
    Purpose,
    Redirected,
    RoutedAddress,
    Router,
    RoutingDeferred,
    RoutingFailed,
    ToTransport,
    TransportFacts,
    Verdict,
)
from smarthostd.routers.hosts import named_targets
from smarthostd.routers.settled import SettledWays

if TYPE_CHECKING:
    from smarthostd.routers.options import RouterOptions

DEPTH_LIMIT = 30
"""Redirections behind one another."""
LEAF_LIMIT = 10_000
"""Addresses that one recipient may end in."""
TRANSPORT_NOT_FOUND, FORBIDDEN = -30, -28
NO_TRANSPORT = "error in router: transport missing"
PIPES_MISSING = "pipes are not run by smarthostd: deliver to a file, a directory or an address"

Leaf: TypeAlias = ToTransport | RoutingDeferred | RoutingFailed | Redirected


class _Place(Struct, frozen=True):
    """An address on its way, and the router that is asked next, or the end that it has already."""

    address: RoutedAddress
    start: int = 0
    end: Routed | None = None


class Routed(Struct, frozen=True):
    """One address at the end of its way: taken, deferred, failed, or discarded."""

    address: RoutedAddress
    router: str
    verdict: Leaf


def caseless(address: Address) -> Address:
    """Return *address* as a router sees it that does not mind the case, without quotes."""
    return Address(lower(address.unquoted), address.domain.lower())


class Routing:
    """All routers, in order."""

    def __init__(
        self,
        routers: Sequence[Router],
        expander: Expander,
        transports: Mapping[str, TransportFacts] | None = None,
        rewriting: RewriteRules | None = None,
    ) -> None:
        """*transports* are those that exist, None where nobody asks; *rewriting* is for redirected addresses."""
        self._rewriting = rewriting
        self._routers = tuple(routers)
        self._tests = {router.name: preconditions.tests_of(router.options) for router in routers}
        self._fallback = {router.name: named_targets(router.options.fallback_hosts) for router in routers}
        self._additions = {router.name: Additions(router.options, expander) for router in routers}
        self._expander = expander
        self.transports = transports
        self._index = {router.name: at for at, router in enumerate(self._routers)}
        self._settled = SettledWays(self._routers, self._tests, self._additions, expander)

    def seen(self, router: str, address: Address) -> Address:
        """Return *address* as that router saw it: case counts in no domain, and in a local part where it says so."""
        at = self._index.get(router)
        if at is None:
            return caseless(address)
        return Address(preconditions.spelled(self._routers[at].options, address), address.domain.lower())

    async def route(
        self, recipient: Recipient, values: Values, trace: list[str] | None = None, purpose: Purpose = DELIVERY
    ) -> list[Routed]:
        """Return where *recipient* goes; *trace* is told what each router said."""
        if trace is not None or purpose is not DELIVERY:
            return await self._found_out(recipient, values, trace, purpose)
        known = self._known(recipient, values)
        if known is not None:
            return [known]
        found = await self._found_out(recipient, values, trace, purpose)
        self._remember(recipient.address.domain, found)
        return found

    def _known(self, recipient: Recipient, values: Values) -> Routed | None:
        """Return where *recipient* goes, if that is where all mail for its domain goes, and went a moment ago."""
        settled = self._settled.way(recipient.address.domain)
        if settled is None:
            return None
        router, end = settled
        address = RoutedAddress(recipient.address, recipient)
        variables = Later(partial(self._variables, router, address, values))
        return Routed(
            address, router.name, ToTransport(end.transport, end.targets, variables, end.fallback, end.listed)
        )

    def _variables(self, router: Router, address: RoutedAddress, values: Values) -> Values:
        """Return the variables of an address that *router*, which looks at its domain alone, takes."""
        checked = preconditions.check(router.options, self._tests[router.name], self._expander, address, values)
        assert isinstance(checked, preconditions.Passed), "it was for this domain"
        return checked.values

    def _remember(self, domain: str, found: Sequence[Routed]) -> None:
        match found:
            case [Routed(RoutedAddress(parents=()), router, ToTransport() as end)]:
                self._settled.remember(domain, router, end)

    async def _found_out(
        self, recipient: Recipient, values: Values, trace: list[str] | None, purpose: Purpose
    ) -> list[Routed]:
        """Return where *recipient* goes, as the routers say now."""
        leaves: dict[object, Routed] = {}
        waiting = [_Place(RoutedAddress(recipient.address, recipient))]
        while waiting:
            place = waiting.pop(0)
            if len(leaves) > LEAF_LIMIT or len(place.address.parents) > DEPTH_LIMIT:
                text = "too many redirections: see the aliases for a loop"
                return [*leaves.values(), Routed(place.address, "", RoutingFailed(text))]
            try:
                found, more = ([place.end], []) if place.end else await self._walk(place, values, trace, purpose)
            except _Undecided as error:
                found, more = [Routed(place.address, "", RoutingDeferred(str(error)))], []
            for leaf in found:  # a test shows an address as often as it is met, a delivery has it once
                leaves.setdefault(len(leaves) if purpose.test else (leaf.address.key, _kind(leaf)), leaf)
            if purpose.verify and not _goes_on_to_verify(found, more):
                break
            waiting = more + waiting
        return list(leaves.values())

    async def _walk(
        self, place: _Place, values: Values, trace: list[str] | None, purpose: Purpose
    ) -> tuple[list[Routed], list[_Place]]:
        """Ask the routers from *place* on, up to the first that takes the address; return ends, and new places."""
        at, address = place.start, place.address
        options: RouterOptions | None = None
        variables: Values = values
        passed = ""
        while at < len(self._routers):
            router = self._routers[at]
            options = router.options
            verdict, routed, variables = await self._ask(router, address, values, purpose)
            if trace is not None:
                trace.append(f"{router.name}: {_told(verdict)}")
            match verdict:
                case preconditions.Skipped():
                    at += 1
                case Declined(why):
                    address, passed = routed, passed if why is None else why
                    if not self._says(router, "more", variables):
                        break
                    at += 1
                case Passed(why):
                    address, passed = routed, passed if why is None else why
                    at = self._index.get(options.pass_router, at + 1) if options.pass_router else at + 1
                case _:
                    return self._taken(router, at, routed, verdict, variables, purpose)
        return [Routed(address, "", RoutingFailed(self._unrouteable(options, address, values, passed)))], []

    def _taken(
        self,
        router: Router,
        at: int,
        address: RoutedAddress,
        verdict: ToTransport | Redirected | RoutingDeferred | RoutingFailed,
        variables: dict[str, Value],
        purpose: Purpose,
    ) -> tuple[list[Routed], list[_Place]]:
        """Return what becomes of an address that *router* has taken, and of its copy if that has not *seen* it."""
        if isinstance(verdict, RoutingDeferred | RoutingFailed):
            return [Routed(address, router.name, verdict)], []
        end = self._end(router, address, verdict, variables, purpose)
        if isinstance(end, RoutingFailed | RoutingDeferred):
            return [Routed(address, router.name, end)], []
        if isinstance(verdict, Redirected) and verdict.renamed:
            (name,) = verdict.found
            assert isinstance(name, Address), "a name is no file"
            return [], [_Place(_made(router, address, name), self._index.get(router.options.redirect_router, 0))]
        copies: list[_Place] = []
        if self._leaves_a_copy(router, at, verdict, variables, purpose):
            copy = _made(router, address, address.address)
            address, copies = replace(copy, unseen_by=router.name), [_Place(copy, at + 1)]
        if isinstance(verdict, Redirected):
            found, places = self._redirected(router, address, verdict, variables, purpose)
            return found, copies + places
        assert end is not None, "a transport takes it"
        return [Routed(address, router.name, end)], copies

    def _end(
        self,
        router: Router,
        address: RoutedAddress,
        verdict: ToTransport | Redirected,
        variables: dict[str, Value],
        purpose: Purpose,
    ) -> ToTransport | RoutingDeferred | RoutingFailed | None:
        """Return the transport that takes *address*, or what is in the way; None for a redirection."""
        end: ToTransport | RoutingDeferred | None = None
        if isinstance(verdict, ToTransport):
            end = self._to_transport(router, verdict, variables, purpose)
            if isinstance(end, RoutingDeferred):
                return end
            if not purpose.verify and self._lacks_hosts(router, end):
                text = f"error in {router.name} router: no host(s) specified for domain {address.address.domain}"
                return RoutingDeferred(text, -1)
        elif verdict.renamed or verdict.end is not None:
            return None
        return _forced_failure(router) if purpose.fails(router.options) else end

    def _leaves_a_copy(
        self, router: Router, at: int, verdict: ToTransport | Redirected, variables: Values, purpose: Purpose
    ) -> bool:
        """Whether the address goes on as well (``unseen``): not where it fails, or is discarded in earnest."""
        if isinstance(verdict, Redirected) and (verdict.end is not None or (verdict.discarded and purpose is DELIVERY)):
            return False
        return at + 1 < len(self._routers) and self._says(router, "unseen", variables)

    def _lacks_hosts(self, router: Router, end: ToTransport) -> bool:
        """Whether a router that must name hosts has named none to a transport that needs them."""
        facts = self.transports.get(end.transport) if self.transports is not None else None
        return router.names_hosts and not end.targets and facts is not None and not facts.local

    def _says(self, router: Router, name: str, variables: Values) -> bool:
        """Return the boolean option *name*, which may be text to expand; raises _Undecided."""
        value: bool | str = getattr(router.options, name)
        if isinstance(value, bool):
            return value
        default: bool = router.options.default(name)
        try:
            text = self._expander.expand(value, variables).lower()
        except ForcedFailure:
            return default
        except ExpansionError as error:
            raise _Undecided(f'failed to expand "{name}" in {router.name} router: {error}') from error
        if text not in ("", "true", "yes", "false", "no"):
            raise _Undecided(f'"{text}" is not a valid value for the "{name}" option in the {router.name} router')
        return text in ("true", "yes") if text else default

    # -- one router

    async def _ask(
        self, router: Router, address: RoutedAddress, values: Values, purpose: Purpose
    ) -> tuple[
        preconditions.Skipped | Declined | Passed | ToTransport | Redirected | RoutingDeferred | RoutingFailed,
        RoutedAddress,
        dict[str, Value],
    ]:
        """Return the verdict, the address with what the router adds to it, and its variables."""
        if self._made_before(router, address):
            return preconditions.Skipped("it has made this address already"), address, {}
        if purpose.skips(router.options):
            return preconditions.Skipped("it is not used for this purpose"), address, {}
        checked = preconditions.check(router.options, self._tests[router.name], self._expander, address, values)
        if not isinstance(checked, preconditions.Passed):
            return checked, address, {}
        variables = checked.values
        try:
            address = self._with_variables(router, address, variables)
        except ForcedFailure:
            return Declined(), address, variables
        except ExpansionError as error:
            return RoutingDeferred(str(error)), address, {}
        try:
            verdict = await router.route(address, variables, purpose)
            if isinstance(verdict, Declined | Redirected) and verdict.mistakes is not None:
                address = replace(address, mistakes=(*address.mistakes, verdict.mistakes))
            if self._adds(router, verdict):
                address = await self._with_additions(router, address, variables, purpose)
            if isinstance(verdict, Chosen):
                verdict = await self._found(router, verdict, variables)
        except ListBroken as error:
            return RoutingDeferred(str(error), broken=True), address, variables
        except ExpansionError as error:
            return RoutingDeferred(str(error)), address, variables
        if isinstance(verdict, Passed) and purpose.fails(router.options):
            return _forced_failure(router), address, variables
        return verdict, address, variables

    async def _found(self, router: Router, chosen: Chosen, variables: dict[str, Value]) -> Verdict:
        """Return the verdict on an address whose hosts are still to be found, for the transport that is *chosen*."""
        name: str | RoutingDeferred = chosen.transport
        if not name and router.options.transport:
            name = self._transport(router, "transport", variables)
        if name:
            name = self._existing(router, name)
        return name if isinstance(name, RoutingDeferred) else await chosen.find(name)

    @staticmethod
    def _adds(router: Router, verdict: Verdict | Chosen) -> bool:
        """Whether what the router adds is wanted: it takes the address, or ``:fail:`` stands in its data."""
        match verdict:
            case Chosen() | ToTransport():
                return True
            case Redirected():
                return not (verdict.renamed or verdict.discarded)
            case RoutingFailed():
                return getattr(router.options, "driver", "") == "redirect"
            case _:
                return False

    @staticmethod
    def _made_before(router: Router, address: RoutedAddress) -> bool:
        if not address.parents:
            return False
        pairs = zip(address.parents, address.makers, strict=True)
        own, caseful = str(address.address), router.options.caseful_local_part

        def is_own(parent: Address) -> bool:
            if str(parent).lower() != own.lower():
                return False
            return not caseful or parent.local_part == address.address.local_part

        return any(maker == router.name and is_own(parent) for parent, maker in pairs)

    def _with_variables(self, router: Router, address: RoutedAddress, variables: dict[str, Value]) -> RoutedAddress:
        """Return *address* with ``address_data`` and the ``set`` options expanded, also into *variables*."""
        settings = [setting.partition("=")[::2] for setting in router.options.set_]
        if router.options.address_data:
            settings.insert(0, ("address_data", router.options.address_data))
        if not settings:
            return address
        kept = dict(address.variables)
        for name, template in settings:
            try:
                kept[name.strip()] = self._expander.expand(template.strip(), variables)
            except ForcedFailure:
                raise
            except ExpansionError as error:
                raise ExpansionError(f'expansion of "{template}" failed in {router.name} router: {error}') from error
            variables[name.strip()] = kept[name.strip()]
        return replace(address, variables=kept)

    async def _with_additions(
        self, router: Router, address: RoutedAddress, variables: dict[str, Value], purpose: Purpose
    ) -> RoutedAddress:
        """Return *address* with the router's ``errors_to`` and header changes; raises ExpansionError."""
        additions = self._additions[router.name]
        if not additions:
            return address
        errors_to = additions.errors_to(variables)
        if errors_to is not None and await self._is_routeable(errors_to, purpose):
            address = replace(address, errors_to=errors_to)
        return additions.with_headers(address, variables)

    async def _is_routeable(self, errors_to: str, purpose: Purpose) -> bool:
        """Whether bounces may go to *errors_to*: nobody, or an address that verifies (not looked at in verifying)."""
        if not errors_to or purpose.verify:
            return True
        try:
            address = Address.parse(errors_to)
        except AddressError:
            return False
        ends = await self.route(Recipient(address), {}, None, VERIFY)
        return not any(isinstance(end.verdict, RoutingFailed | RoutingDeferred) for end in ends)

    # -- verdicts

    def _to_transport(
        self, router: Router, verdict: ToTransport, variables: dict[str, Value], purpose: Purpose
    ) -> ToTransport | RoutingDeferred:
        """Choose the transport: the rule's, else the router's, which may have none where it only verifies."""
        name: str | RoutingDeferred = verdict.transport
        if not name and (router.options.transport or not purpose.verify):
            name = self._transport(router, "transport", variables)
        if name:
            name = self._existing(router, name)
        if isinstance(name, RoutingDeferred):
            return name
        try:
            variables = self._with_home(router, variables)
        except ExpansionError as error:
            return RoutingDeferred(str(error))
        return ToTransport(name, verdict.targets, variables, self._fallback[router.name], verdict.listed)

    def _with_home(self, router: Router, variables: dict[str, Value]) -> dict[str, Value]:
        """Return *variables* with the ``$home`` that the transport is to see; raises ExpansionError."""
        template = router.options.transport_home_directory
        if not template:
            return variables
        try:
            return {**variables, "home": self._expander.expand(template, variables)}
        except ForcedFailure:
            return variables
        except ExpansionError as error:
            raise ExpansionError(
                f'home directory "{template}" failed to expand for {router.name} router: {error}'
            ) from error

    def _transport(self, router: Router, option: str, variables: Values) -> str | RoutingDeferred:
        """Return the name of the transport that *option* names."""
        template: str = getattr(router.options, option)
        if not template:
            text = f"{option} unset in {router.name} router"
            return RoutingDeferred(NO_TRANSPORT if option == "transport" else text, TRANSPORT_NOT_FOUND)
        try:
            return self._expander.expand(template, variables)
        except ExpansionError as error:
            text = f'failed to expand transport "{template}" in {router.name} router: {error}'
            return RoutingDeferred(text, TRANSPORT_NOT_FOUND)

    def _existing(self, router: Router, name: str | RoutingDeferred) -> str | RoutingDeferred:
        """Return *name*, or that there is no such transport."""
        if isinstance(name, str) and self.transports is not None and name not in self.transports:
            return RoutingDeferred(f'transport "{name}" not found in {router.name} router', TRANSPORT_NOT_FOUND)
        return name

    def _redirected(
        self,
        router: Router,
        address: RoutedAddress,
        verdict: Redirected,
        variables: dict[str, Value],
        purpose: Purpose,
    ) -> tuple[list[Routed], list[_Place]]:
        """Return the ends, a discard among them, and the new addresses with where they begin."""
        if verdict.discarded:
            return [Routed(address, router.name, verdict)], []
        start = self._index.get(router.options.redirect_router, 0)
        places = []
        for one in verdict.found:
            if isinstance(one, Address):
                places.append(_Place(self._child(router, address, one, variables), start))
            else:
                end = self._item(router, address, one, variables, purpose, forbidden=one in verdict.forbidden)
                places.append(_Place(end.address, end=end))
        return [Routed(address, router.name, verdict.end)] if verdict.end is not None else [], places

    def _child(self, router: Router, address: RoutedAddress, child: Address, variables: Values) -> RoutedAddress:
        """Return what *router* has made of *address*."""
        hidden = address.hidden or getattr(router.options, "hide_child_in_errmsg", False)
        return replace(_made(router, address, self._rewritten(router, child, variables)), hidden=hidden)

    def _item(
        self,
        router: Router,
        address: RoutedAddress,
        item: str,
        variables: dict[str, Value],
        purpose: Purpose,
        *,
        forbidden: bool,
    ) -> Routed:
        """Return the end of a pipe, a file or a directory that an alias names."""
        kind = "pipe" if item.startswith("|") else "directory" if item.endswith("/") else "file"
        child = replace(address, item=item, unseen_by="")
        if forbidden and purpose is DELIVERY:
            what = "pipe" if kind == "pipe" else "file"
            return Routed(child, router.name, RoutingFailed(f"delivery to {what} forbidden"))
        name = self._transport(router, f"{kind}_transport", variables)
        if kind != "pipe":  # transports that run commands are read, and not built
            name = self._existing(router, name)
        if isinstance(name, RoutingDeferred):
            return Routed(child, router.name, name)
        if forbidden:
            return Routed(child, router.name, RoutingDeferred(f"delivery to {kind} is forbidden", FORBIDDEN))
        if kind == "pipe" and purpose is DELIVERY:
            return Routed(child, router.name, RoutingDeferred(PIPES_MISSING))
        own = {"address_pipe": item[1:]} if kind == "pipe" else {"address_file": item}
        try:
            return Routed(child, router.name, ToTransport(name, (), {**self._with_home(router, variables), **own}))
        except ExpansionError as error:
            return Routed(child, router.name, RoutingDeferred(str(error)))

    def _rewritten(self, router: Router, address: Address, variables: Values) -> Address:
        """Return a new address as the rewriting rules make it, unless the router says otherwise."""
        if self._rewriting is None or not getattr(router.options, "rewrite", False):
            return address
        return self._rewriting.rewrite_envelope(address, Where.ENVELOPE_TO, variables, lambda line: None)

    def _unrouteable(self, options: RouterOptions | None, address: RoutedAddress, values: Values, passed: str) -> str:
        """Return what is said if no router takes an address: why one *passed* it on, else what the last one says."""
        if passed:
            return passed
        usual = "Unrouteable address"
        if options is None or "cannot_route_message" not in options.model_fields_set:
            return usual
        try:
            return self._expander.expand(
                options.cannot_route_message, preconditions.address_values(options, address, values)
            )
        except ExpansionError:
            return usual


class _Undecided(SmarthostdError):
    """A boolean option that cannot be expanded to one."""


def _goes_on_to_verify(found: Sequence[Routed], more: Sequence[_Place]) -> bool:
    """Whether an address verifies if the one that was made of it does; several are not looked at, nor is a file."""
    troubles = any(isinstance(leaf.verdict, RoutingFailed | RoutingDeferred) for leaf in found)
    return not troubles and len(more) == 1 and more[0].end is None


def _made(router: Router, parent: RoutedAddress, address: Address) -> RoutedAddress:
    """Return what *router* has made of *parent*."""
    return replace(
        parent,
        address=address,
        parents=(parent.address, *parent.parents),
        makers=(router.name, *parent.makers),
        spellings=(preconditions.spelled(router.options, parent.address), *parent.spellings),
        unseen_by="",
    )


def _forced_failure(router: Router) -> RoutingFailed:
    return RoutingFailed(f"{router.name} router forced verify failure")


def _kind(leaf: Routed) -> str:
    return leaf.verdict.transport if isinstance(leaf.verdict, ToTransport) else type(leaf.verdict).__name__


def _told(verdict: object) -> str:
    """Return a verdict in words, for ``smarthostd route``."""
    match verdict:
        case preconditions.Skipped(why):
            return f"skipped: {why}"
        case Declined():
            return "declined"
        case Passed():
            return "passed"
        case ToTransport(_, targets):
            return "accepted" + (f": {', '.join(map(str, targets))}" if targets else "")
        case Redirected(found, discarded):
            return "discarded" if discarded else f"redirected to {', '.join(map(str, found))}"
        case RoutingDeferred(text):
            return f"deferred: {text}"
        case RoutingFailed(text):
            return f"failed: {text}"
        case _:
            return str(verdict)
