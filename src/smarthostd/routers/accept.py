"""``accept``: takes every address that passes the preconditions (exim.md 6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smarthostd.expand import Values
from smarthostd.routers.base import Purpose, RoutedAddress, ToTransport, Verdict

if TYPE_CHECKING:
    from smarthostd.routers.options.accept import AcceptOptions


class Accept:
    """One ``accept`` router."""

    names_hosts = False
    by_domain_alone = True

    def __init__(self, options: AcceptOptions) -> None:
        self.name = options.name
        self.options = options

    async def route(self, routed: RoutedAddress, values: Values, purpose: Purpose) -> Verdict:
        """Accept; the transport is chosen by the routing, which expands it."""
        return ToTransport("")
