"""Who an address goes to: one file a driver; ``base.py`` says what a router may answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, TypeAlias

from pydantic import Field

from smarthostd.expand import Expander
from smarthostd.routers.accept import Accept, AcceptOptions
from smarthostd.routers.base import Router, Tell, TransportFacts, untold
from smarthostd.routers.dnslookup import Dnslookup, DnslookupOptions
from smarthostd.routers.hosts import HostFinder, Resolver
from smarthostd.routers.manualroute import Manualroute, ManualrouteOptions
from smarthostd.routers.options import RouterOptions
from smarthostd.routers.redirect import Redirect, RedirectOptions

AnyRouter: TypeAlias = Annotated[
    AcceptOptions | DnslookupOptions | ManualrouteOptions | RedirectOptions, Field(discriminator="driver")
]


def build(
    options: Iterable[AnyRouter],
    expander: Expander,
    resolver: Resolver,
    transports: Mapping[str, TransportFacts],
    tell: Tell = untold,
) -> list[Router]:
    """Return the routers, in the order of the configuration; *tell* takes what they have to say to the log."""
    finder = HostFinder(resolver, expander.facts)
    made: list[Router] = []
    for one in options:
        match one:
            case AcceptOptions():
                made.append(Accept(one))
            case DnslookupOptions():
                made.append(Dnslookup(one, expander, finder))
            case ManualrouteOptions():
                made.append(Manualroute(one, expander, finder, transports))
            case RedirectOptions():
                made.append(Redirect(one, expander, tell))
    return made


__all__ = ["AnyRouter", "Router", "RouterOptions", "build"]
