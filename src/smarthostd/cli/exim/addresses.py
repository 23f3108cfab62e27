"""``exim -bt``, ``-bv`` and ``-bvs``: where addresses go, in Exim's words and layout (exim.md 12)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from smarthostd.address import Address
from smarthostd.assembly import Language, build_language, build_rewriting, build_routing
from smarthostd.config import Loaded
from smarthostd.envelope import Recipient
from smarthostd.expand.addresses import Mailbox, Mailboxes, NotAnAddress, split_addresses
from smarthostd.facts import Values
from smarthostd.rewrite import Where
from smarthostd.routers.base import (
    Purpose,
    Redirected,
    RoutedAddress,
    RoutingDeferred,
    RoutingFailed,
    Target,
    ToTransport,
    TransportFacts,
)
from smarthostd.routers.routing import FORBIDDEN, Routed, Routing
from smarthostd.syntax import printable

ROUTED, DEFERRED, FAILED = 0, 1, 2
"""Exim's exit status, the worst of all addresses counts."""


class Broken(Exception):
    """The configuration cannot be worked with; Exim panics and stops."""


async def address_test(
    loaded: Loaded,
    addresses: Iterable[str],
    *,
    sender: str = "",
    verify: bool = False,
    sender_verify: bool = False,
    out: TextIO,
    language: Language | None = None,
) -> int:
    """Print what ``-bt`` (with *verify* ``-bv``, with *sender_verify* too ``-bvs``) prints; return the exit status."""
    test = AddressTest(loaded, language or build_language(loaded.settings, loaded.source), sender, out)
    purpose = Purpose(test=not verify, verify=verify, sender=sender_verify)
    worst = ROUTED
    try:
        for text in addresses:
            for piece in split_addresses(text) or [text]:
                worst = max(worst, await test.run(piece, purpose))
    except Broken as error:
        print(f"LOG: MAIN PANIC DIE\n  {error}", file=sys.stderr)
        return DEFERRED
    return worst


class AddressTest:
    """Routes addresses and prints what comes of it."""

    def __init__(self, loaded: Loaded, language: Language, sender: str, out: TextIO) -> None:
        self._settings = loaded.settings
        self._language = language
        self._rewriting = build_rewriting(loaded.settings, language)
        self._routing: Routing = build_routing(loaded.settings, language)
        self._transports = self._routing.transports or {}
        self._sender = sender
        self._out = out
        self._met: set[tuple[str, str]] = set()
        """The addresses that have been shown, with the routers that left them unseen."""

    async def run(self, text: str, purpose: Purpose) -> int:
        """Test one address; return the exit status."""
        try:
            found = Mailboxes().read(text)
        except NotAnAddress as error:
            self._say(f"syntax error: {error}")
            return FAILED
        address = self._rewritten(self._qualified(found, purpose), purpose)
        sender = self._sender
        local_part, _, domain = sender.rpartition("@")
        values: Values = {
            "sender_address": sender, "return_path": sender, "sender_address_local_part": local_part,
            "sender_address_domain": domain,
        }  # fmt: skip
        ends = await self._routing.route(Recipient(address), values, None, purpose)
        for end in ends:
            if isinstance(end.verdict, RoutingDeferred) and end.verdict.broken:
                raise Broken(end.verdict.text)
        return self._verified(address, ends) if purpose.verify else self._tested(address, ends)

    def _qualified(self, found: Mailbox, purpose: Purpose) -> Address:
        settings = self._settings
        own = settings.qualify_domain if purpose.sender else settings.qualify_recipient or settings.qualify_domain
        return Address(found.local_part, found.domain or own)

    def _rewritten(self, address: Address, purpose: Purpose) -> Address:
        """Return the address as the rewriting rules make it where mail comes in, and say so."""
        where = Where.ENVELOPE_FROM if purpose.sender else Where.ENVELOPE_TO
        rewritten = self._rewriting.rewrite_envelope(address, where, {"sender_address": self._sender}, self._complain)
        if rewritten != address:
            self._say(f"Address rewritten as: {rewritten}")
        return rewritten

    @staticmethod
    def _complain(line: str) -> None:
        print(printable(line), file=sys.stderr)

    def _say(self, text: str) -> None:
        for line in text.split("\n"):  # :fail: may bring several
            print(printable(line), file=self._out)

    # -- -bv

    def _verified(self, address: Address, ends: list[Routed]) -> int:
        """Say whether an address verifies."""
        for end in ends:
            match end.verdict:
                case RoutingFailed(text):
                    self._say(f"{address} failed to verify: {text}")
                    return FAILED
                case RoutingDeferred(text):
                    self._say(f"{address} cannot be resolved at this time: {text}")
                    return DEFERRED
                case _:
                    pass
        self._say(f"{address} verified")
        return ROUTED

    # -- -bt

    def _tested(self, address: Address, ends: list[Routed]) -> int:
        """Print what fails or defers as it was met, then what is routed, local deliveries first."""
        status = ROUTED
        for end in ends:
            status = max(status, self._unrouted(end))
        routed = [end for end in reversed(ends) if isinstance(end.verdict, ToTransport) and not end.address.item]
        if all(isinstance(end.verdict, Redirected) for end in ends):
            self._say(f"mail to {address} is discarded")
        for end in sorted(routed, key=lambda end: not self._facts(end).local):
            one = (end.address.key, end.address.unseen_by)
            self._routed(end, duplicate=one in self._met)
            self._met.add(one)
        return status

    def _facts(self, end: Routed) -> TransportFacts:
        assert isinstance(end.verdict, ToTransport)
        return self._transports.get(end.verdict.transport, TransportFacts())

    def _unrouted(self, end: Routed) -> int:
        address = end.address
        if address.item:
            self._item(end)
            return ROUTED
        match end.verdict:
            case RoutingFailed(text):
                self._trouble(address, "is undeliverable", f": {text}")
                return FAILED
            case RoutingDeferred(text):
                self._trouble(address, "cannot be resolved at this time", f": {text}")
                return DEFERRED
            case _:
                return ROUTED

    def _trouble(self, address: RoutedAddress, what: str, text: str) -> None:
        self._say(f"{address.address} {what}{text}")
        self._ancestors(address)

    def _ancestors(self, address: RoutedAddress) -> None:
        for parent in address.parents:
            self._say(f"    <-- {parent}")

    def _item(self, end: Routed) -> None:
        """Print a pipe, a file or a directory that an alias names."""
        what = f"{end.address.address} -> {end.address.item}"
        if isinstance(end.verdict, RoutingDeferred) and end.verdict.errno == FORBIDDEN:
            self._say(f"{what} *** forbidden ***")
            return
        self._say(what)
        match end.verdict:
            case ToTransport(name):
                self._say(f"  transport = {name}")
            case RoutingDeferred(text):
                self._say("*** Error in setting up pipe, file, or autoreply:")
                self._say(text)
            case _:
                pass

    def _routed(self, end: Routed, *, duplicate: bool) -> None:
        assert isinstance(end.verdict, ToTransport)
        self._say(f"{end.address.address}{'   [duplicate, would not be delivered]' * duplicate}")
        self._ancestors(end.address)
        self._say(f"  router = {end.router}, transport = {end.verdict.transport}")
        if not self._facts(end).own_hosts:
            self._hosts(end.verdict.listed or end.verdict.targets, local=self._facts(end).local)

    def _hosts(self, targets: Sequence[Target], *, local: bool) -> None:
        rows = [(target, address) for target in targets for address in target.addresses or ("",)]
        name_width = max((len(target.name) for target, _ in rows), default=0)
        address_width = max((len(address or "unknown") for _, address in rows), default=0)
        for target, address in rows:
            where = "" if local and not address else f"[{address or 'unknown'}]"
            line = f"  host {target.name:<{name_width}} {where:<{address_width + 2}}"
            line += f" MX={target.mx}" if target.mx is not None else ""
            line += f" port={target.port}" if target.port is not None else ""
            line += " ** unusable **" if not (address or local) else ""
            self._say(line)
