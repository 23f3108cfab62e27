"""Who an address goes to: one file a driver; ``base.py`` says what a router may answer.

A driver is imported when a configuration that is put to work has an instance of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smarthostd.expand import Expander
    from smarthostd.routers.base import Router, Tell, TransportFacts
    from smarthostd.routers.hosts import HostFinder, Resolver
    from smarthostd.routers.options import AnyRouter


def build(
    options: Iterable[AnyRouter],
    expander: Expander,
    resolver: Resolver,
    transports: Mapping[str, TransportFacts],
    tell: Tell,
) -> list[Router]:
    """Return the routers, in the order of the configuration; *tell* takes what they have to say to the log."""
    from smarthostd.routers.hosts import HostFinder

    finder = HostFinder(resolver, expander.facts)
    return [_router(one, expander, finder, transports, tell) for one in options]


def _router(
    options: AnyRouter,
    expander: Expander,
    finder: HostFinder,
    transports: Mapping[str, TransportFacts],
    tell: Tell,
) -> Router:
    if options.driver == "accept":
        from smarthostd.routers.accept import Accept

        return Accept(options)
    if options.driver == "dnslookup":
        from smarthostd.routers.dnslookup import Dnslookup

        return Dnslookup(options, expander, finder)
    if options.driver == "manualroute":
        from smarthostd.routers.manualroute import Manualroute

        return Manualroute(options, expander, finder, transports)
    from smarthostd.routers.redirect import Redirect

    return Redirect(options, expander, tell)
