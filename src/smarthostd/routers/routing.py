"""The walk through the routers, for one recipient (exim.md 6).

Each address goes from router to router: skipped by a precondition, declined, passed, or taken. New addresses
begin again at the first router (or ``redirect_router``). A router that made one of an address's ancestors is
skipped when the address is that ancestor again, so that a loop of aliases ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from smarthostd.address import Address
from smarthostd.envelope import Recipient
from smarthostd.errors import ExpansionError, ForcedFailure
from smarthostd.expand import Expander, Value, Values
from smarthostd.rewrite import RewriteRules, Where
from smarthostd.routers import preconditions
from smarthostd.routers.base import (
    Declined,
    Passed,
    Redirected,
    RoutedAddress,
    Router,
    RoutingDeferred,
    RoutingFailed,
    ToTransport,
)

DEPTH_LIMIT = 30
"""Redirections behind one another."""
LEAF_LIMIT = 10_000
"""Addresses that one recipient may end in."""
TRANSPORT_NOT_FOUND = -30

Leaf: TypeAlias = ToTransport | RoutingDeferred | RoutingFailed | Redirected


@dataclass(frozen=True, slots=True)
class Routed:
    """One address at the end of its way: taken, deferred, failed, or discarded."""

    address: RoutedAddress
    router: str
    verdict: Leaf


class Routing:
    """All routers, in order."""

    def __init__(
        self,
        routers: Sequence[Router],
        expander: Expander,
        transports: frozenset[str] | None = None,
        rewriting: RewriteRules | None = None,
    ) -> None:
        """*transports* are the names that exist, None where nobody asks; *rewriting* is for redirected addresses."""
        self._rewriting = rewriting
        self._routers = tuple(routers)
        self._expander = expander
        self._transports = transports
        self._index = {router.name: at for at, router in enumerate(self._routers)}

    async def route(self, recipient: Recipient, values: Values, trace: list[str] | None = None) -> list[Routed]:
        """Return where *recipient* goes; *trace* is told what each router said."""
        leaves: list[Routed] = []
        waiting: list[tuple[RoutedAddress, int]] = [(RoutedAddress(recipient.address, recipient), 0)]
        seen: set[tuple[str, str]] = set()
        while waiting:
            address, start = waiting.pop(0)
            if len(leaves) > LEAF_LIMIT or len(address.parents) > DEPTH_LIMIT:
                leaves.append(Routed(address, "", RoutingFailed("too many redirections: see the aliases for a loop")))
                break
            for leaf, children in await self._walk(address, start, values, trace):
                waiting += children
                if leaf is not None and (leaf.address.address.key, _kind(leaf)) not in seen:
                    seen.add((leaf.address.address.key, _kind(leaf)))
                    leaves.append(leaf)
        return leaves

    async def _walk(
        self, address: RoutedAddress, start: int, values: Values, trace: list[str] | None
    ) -> list[tuple[Routed | None, list[tuple[RoutedAddress, int]]]]:
        """Ask the routers from *start* on; return the ends found here, and the new addresses."""
        found: list[tuple[Routed | None, list[tuple[RoutedAddress, int]]]] = []
        at = start
        message = ""
        while at < len(self._routers):
            router = self._routers[at]
            options = router.options
            verdict, routed, variables = await self._ask(router, address, values)
            if trace is not None:
                trace.append(f"{router.name}: {_told(verdict)}")
            match verdict:
                case preconditions.Skipped():
                    at += 1
                    continue
                case Declined():
                    message = options.cannot_route_message or message
                    at = at + 1 if options.more else len(self._routers)
                    continue
                case Passed():
                    at = self._index.get(options.pass_router, at + 1) if options.pass_router else at + 1
                    continue
                case Redirected():
                    found.append(self._redirected(router, routed, verdict, variables))
                case ToTransport() | RoutingDeferred() | RoutingFailed():
                    found.append((Routed(routed, router.name, self._taken(router, verdict, variables)), []))
            if not options.unseen or isinstance(verdict, RoutingDeferred | RoutingFailed):
                return found
            at += 1
        if not found:
            text = self._unrouteable(message, address, values)
            found.append((Routed(address, "", RoutingFailed(text)), []))
        return found

    # -- one router

    async def _ask(
        self, router: Router, address: RoutedAddress, values: Values
    ) -> tuple[
        preconditions.Skipped | Declined | Passed | ToTransport | Redirected | RoutingDeferred | RoutingFailed,
        RoutedAddress,
        dict[str, Value],
    ]:
        """Return the verdict, the address with what the router adds to it, and its variables."""
        if self._made_before(router, address) or router.options.verify_only:
            return preconditions.Skipped("it has made this address already"), address, {}
        checked = preconditions.check(router.options, self._expander, address, values)
        if not isinstance(checked, preconditions.Passed):
            return checked, address, {}
        variables = dict(checked.values)
        try:
            self._set(router, variables)
        except ForcedFailure:
            return Declined(), address, {}
        except ExpansionError as error:
            return RoutingDeferred(f"{router.name} router: {error}", -27), address, {}
        seen = replace(address, address=Address(checked.local_part, address.address.domain))
        verdict = await router.route(seen, variables)
        return verdict, self._with_options(router, address, variables), variables

    @staticmethod
    def _made_before(router: Router, address: RoutedAddress) -> bool:
        pairs = zip(address.parents, address.makers, strict=True)
        return any(parent.key == address.address.key and maker == router.name for parent, maker in pairs)

    def _set(self, router: Router, variables: dict[str, Value]) -> None:
        """Expand ``address_data`` and the ``set`` options."""
        options = router.options
        if options.address_data:
            variables["address_data"] = self._expander.expand(options.address_data, variables)
        for setting in options.set_:
            name, _, text = setting.partition("=")
            variables[name.strip()] = self._expander.expand(text.strip(), variables)

    def _with_options(self, router: Router, address: RoutedAddress, variables: dict[str, Value]) -> RoutedAddress:
        """Return *address* with the router's ``errors_to`` and header changes."""
        options = router.options
        kept = {
            name: value
            for name, value in variables.items()
            if isinstance(value, str) and (name == "address_data" or name.startswith("r_"))
        }
        return replace(
            address,
            errors_to=self._errors_to(router, address, variables),
            headers_add=(*address.headers_add, *options.headers_add),
            headers_remove=(*address.headers_remove, *options.headers_remove),
            variables=kept,
        )

    def _errors_to(self, router: Router, address: RoutedAddress, variables: Values) -> str | None:
        text = router.options.errors_to
        if not text:
            return address.errors_to
        try:
            return self._expander.expand(text, variables).strip()
        except ExpansionError:
            return address.errors_to

    # -- verdicts

    def _taken(
        self, router: Router, verdict: ToTransport | RoutingDeferred | RoutingFailed, variables: dict[str, Value]
    ) -> Leaf:
        """Choose the transport: the rule's, else the router's."""
        if not isinstance(verdict, ToTransport):
            return verdict
        try:
            name = verdict.transport or self._expander.expand(router.options.transport, variables)
        except ExpansionError as error:
            return RoutingDeferred(f"failed to expand transport in {router.name} router: {error}", -27)
        if not name:
            return RoutingDeferred(f"transport missing in {router.name} router", TRANSPORT_NOT_FOUND)
        if self._transports is not None and name not in self._transports:
            return RoutingDeferred(f'transport "{name}" not found in {router.name} router', TRANSPORT_NOT_FOUND)
        texts = {name: value for name, value in variables.items() if isinstance(value, str)}
        return ToTransport(name, verdict.targets, texts)

    def _redirected(
        self, router: Router, address: RoutedAddress, verdict: Redirected, variables: dict[str, Value]
    ) -> tuple[Routed | None, list[tuple[RoutedAddress, int]]]:
        """Return a discard, or the new addresses and where they begin."""
        if verdict.discarded:
            return Routed(address, router.name, verdict), []
        if verdict.files:
            text = "deliveries to files named in aliases are not there yet: use a router with appendfile"
            return Routed(address, router.name, RoutingDeferred(text, -1)), []
        start = self._index.get(router.options.redirect_router, 0)
        children = [
            replace(
                address,
                address=self._rewritten(router, child, variables),
                parents=(address.address, *address.parents),
                makers=(router.name, *address.makers),
            )
            for child in verdict.addresses
        ]
        return None, [(child, start) for child in children]

    def _rewritten(self, router: Router, address: Address, variables: Values) -> Address:
        """Return a new address as the rewriting rules make it, unless the router says otherwise."""
        if self._rewriting is None or not getattr(router.options, "rewrite", False):
            return address
        return self._rewriting.rewrite_envelope(address, Where.ENVELOPE_TO, variables, lambda line: None)

    def _unrouteable(self, message: str, address: RoutedAddress, values: Values) -> str:
        if not message:
            return "Unrouteable address"
        try:
            return (
                self._expander.expand(message, preconditions.address_values(address, values)) or "Unrouteable address"
            )
        except ExpansionError:
            return "Unrouteable address"


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
        case Redirected(addresses, _, discarded):
            return "discarded" if discarded else f"redirected to {', '.join(map(str, addresses))}"
        case RoutingDeferred(text):
            return f"deferred: {text}"
        case RoutingFailed(text):
            return f"failed: {text}"
        case _:
            return str(verdict)
