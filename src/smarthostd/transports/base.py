"""What a transport is given and what it must answer (exim.md 7).

A transport gets one message and a batch of addresses that share transport, hosts and sender, and
answers with one outcome for each. It never raises for what the network or a disk does: that is an
outcome. Whatever it leaves out stays ``NOT_TRIED``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field

from smarthostd.address import Address
from smarthostd.envelope import Message
from smarthostd.outcome import Outcome
from smarthostd.routers.base import RoutedAddress, Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smarthostd.facts import Values


class Batch(Struct, frozen=True):
    """Addresses of one message that go out together."""

    router: str
    transport: Transport
    addresses: tuple[RoutedAddress, ...]
    sender: Address
    targets: tuple[Target, ...] = ()
    fallback: tuple[Target, ...] = ()
    """The router's hosts to try when all others have deferred; they count for more than the transport's."""
    headers_add: tuple[str, ...] = ()
    """What routers said, expanded: header lines, and below colon lists of names."""
    headers_remove: tuple[str, ...] = ()
    values: Values = field(default_factory=dict)
    """Variables for the transport's expansions: the message's, and the first address's."""


class Tell(Protocol):
    """Takes a line about a message for the log."""

    def __call__(self, id: str, line: str, *, alarm: bool = False) -> None:
        """Take *line*; an *alarm* is for the panic log, too."""
        ...


class Transport(Protocol):
    """A transport driver: an instance for each instance in the configuration."""

    name: str
    remote: bool
    """Whether it speaks with another host."""
    max_rcpt: int
    """How many addresses one call may bring; 0 for no limit."""

    async def deliver(self, message: Message, batch: Batch) -> Mapping[RoutedAddress, Outcome]:
        """Return an outcome for each address of *batch*."""
        ...

    async def close(self) -> None:
        """Give up connections and files; nothing is under way."""
        ...


def all_of(addresses: Sequence[RoutedAddress], outcome: Outcome) -> dict[RoutedAddress, Outcome]:
    """Return *outcome* for each of *addresses*."""
    return dict.fromkeys(addresses, outcome)
