"""Ways that all mail for a domain takes, remembered for a moment: what most messages meet.

A way is settled where no router on it has looked at anything but the domain, and none can say otherwise of the next
message: plain names in ``domains``, nothing that is expanded. That is seen from the configuration. Only hosts may get
other addresses, so that a way is found anew once in a while.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from msgspec import Struct

from smarthostd.expand import Expander
from smarthostd.routers import preconditions
from smarthostd.routers.additions import Additions
from smarthostd.routers.base import DELIVERY, Router, ToTransport

SETTLED_FOR = 1.0
"""Seconds for which a way is remembered. With two routers it takes 10 us then to know it, and 45 to find it."""
WAYS_REMEMBERED = 1000
"""Domains at most."""


class _Way(Struct, frozen=True):
    """The router that takes a domain, what it said, and until when (by the monotonic clock) that is remembered."""

    router: Router
    end: ToTransport
    until: float


class SettledWays:
    """The ways of a list of routers that are settled."""

    def __init__(
        self,
        routers: Sequence[Router],
        tests: Mapping[str, Sequence[preconditions.Test]],
        additions: Mapping[str, Additions],
        expander: Expander,
    ) -> None:
        """*tests* and *additions* are each router's, by its name."""
        self._routers = routers
        self._tests = tests
        self._expander = expander
        self._last = {
            router.name: at for at, router in enumerate(routers) if self._is_plain(router, additions[router.name])
        }
        self._ways: dict[str, _Way] = {}

    def way(self, domain: str) -> tuple[Router, ToTransport] | None:
        """Return the router that takes all mail for *domain*, and what it said a moment ago; None: it must be asked."""
        way = self._ways.get(domain)
        return (way.router, way.end) if way and time.monotonic() < way.until else None

    def remember(self, domain: str, name: str, end: ToTransport) -> None:
        """Remember, if it is settled, that the router *name* took mail for *domain*, with no copy to others."""
        at = self._last.get(name)
        if at is None or not all(self._is_for_others(router, domain) for router in self._routers[:at]):
            return
        if len(self._ways) >= WAYS_REMEMBERED:
            self._ways.clear()
        self._ways[domain] = _Way(self._routers[at], end, time.monotonic() + SETTLED_FOR)

    def _is_plain(self, router: Router, additions: Additions) -> bool:
        """Whether *router* does the same with all mail for a domain."""
        options, tests = router.options, self._tests[router.name]
        more = options.set_ or options.address_data or options.transport_home_directory or additions
        plain = not more and options.unseen is False and "$" not in options.transport
        return plain and router.by_domain_alone and preconditions.by_domain_alone(options, tests, self._expander)

    def _is_for_others(self, router: Router, domain: str) -> bool:
        """Whether *router* is never asked about *domain*."""
        tests = self._tests[router.name]
        return DELIVERY.skips(router.options) or preconditions.turns_away(router.options, tests, self._expander, domain)
