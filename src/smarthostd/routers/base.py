"""What a router is asked and what it may answer (exim.md 6).

A router looks at one address at a time and answers with a verdict. Preconditions that all routers
share (``domains``, ``condition`` …) are checked by ``preconditions.py`` before the driver is asked; skipped by one of
them is not the same as declined.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from msgspec import Struct, field

from smarthostd.address import Address
from smarthostd.envelope import Recipient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smarthostd.facts import Value, Values
    from smarthostd.routers.options import RouterOptions


def without_numbers(values: Values) -> dict[str, Value]:
    """Return the variables but for ``$0``, ``$1`` …: those that the list set which was looked at last are gone."""
    if "0" not in values:  # they begin there
        return dict(values)
    return {name: value for name, value in values.items() if not name.isdigit()}


Tell: TypeAlias = "Callable[[Values, str], None]"
"""Takes a line for the log, with the variables of the message that it is about."""


def untold(values: Values, line: str) -> None:
    """Tell nobody: for who asks for a route only."""


class Target(Struct, frozen=True):
    """One next hop as the router chose it: the name written in the configuration, where to connect."""

    name: str
    port: int | None = None
    """None: the transport's port."""
    addresses: tuple[str, ...] = ()
    """IP addresses in the order to try; empty: resolve *name* when a connection is opened."""
    mx: int | None = None
    """MX preference where it came from one."""

    def __str__(self) -> str:
        return self.name if self.port is None else f"{self.name}:{self.port}"


class TransportFacts(Struct, frozen=True):
    """What routers must know of a transport."""

    local: bool = False
    """It delivers on this machine: hosts mean nothing to it but a text (``$host``)."""
    own_hosts: bool = False
    """Its own ``hosts`` come before the router's (``hosts_override``)."""


class Purpose(Struct, frozen=True):
    """Why addresses are routed: routers may be for, or not for, tests and verifications."""

    test: bool = False
    verify: bool = False
    sender: bool = False
    """It is a sender's address that is verified."""

    def skips(self, options: RouterOptions) -> bool:
        """Return whether a router is not for this purpose (exim.md 6.1)."""
        if self.verify:
            return not (options.verify and (options.verify_sender if self.sender else options.verify_recipient))
        return options.verify_only or (self.test and not options.address_test)

    def fails(self, options: RouterOptions) -> bool:
        """Return whether a router fails what it accepts when it verifies."""
        own = options.fail_verify_sender if self.sender else options.fail_verify_recipient
        return self.verify and (options.fail_verify or own)


DELIVERY = Purpose()
VERIFY = Purpose(verify=True)


class Mistakes(Struct, frozen=True):
    """What a router has skipped in a redirection, for those whom ``syntax_errors_to`` names."""

    router: str
    to: str
    """As in a header line: addresses with commas."""
    opening: str
    """``syntax_errors_text``."""
    skipped: tuple[tuple[str, str], ...]
    """What is wrong, and the item."""
    others: bool
    """Whether anything could be read."""


class RoutedAddress(Struct, frozen=True):
    """An address on its way through the routers, with where it came from."""

    address: Address
    recipient: Recipient
    """The envelope's recipient that it stands for."""
    parents: tuple[Address, ...] = ()
    """The addresses that were redirected into this one, the nearest first."""
    makers: tuple[str, ...] = ()
    """The routers that took each of them, in the same order."""
    spellings: tuple[str, ...] = ()
    """Their local parts as those routers saw them (``caseful_local_part``)."""
    unseen_by: str = ""
    """The router that took it although it has ``unseen``; its copy, which went on, is another address."""
    errors_to: str | None = None
    hidden: bool = False
    """Reports name the original address only (``hide_child_in_errmsg``)."""
    headers_add: tuple[str, ...] = ()
    """Expanded: header lines, and below colon lists of names."""
    headers_remove: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    """address_data, r_NAME … as earlier routers set them."""
    item: str = ""
    """What an alias names instead of an address: ``/file``, ``/directory/`` or ``|command``."""
    mistakes: tuple[Mistakes, ...] = ()
    """Met on its way."""

    def __hash__(self) -> int:
        # The generated one goes through all that is nested in it: 3 us, ten times for each message.
        return hash((self.address.local_part, self.address.domain, self.item))

    @property
    def shown(self) -> Address:
        """What the log calls it: a file or a command by itself."""
        return Address(self.item, "") if self.item else self.address

    @property
    def key(self) -> str:
        """What makes two of one message's addresses one; what a router took as ``unseen`` is not what goes on."""
        key = f"{self.item} {self.address.key}" if self.item else self.address.key
        return f"{key}/{self.unseen_by}" if self.unseen_by else key


class Declined(Struct, frozen=True):
    """Nothing to say: the next router is asked, unless ``no_more``."""

    why: str | None = None
    """What is said if none takes it; None: what an earlier router said, empty: nothing, not even that."""
    mistakes: Mistakes | None = None


class Passed(Struct, frozen=True):
    """The next router (or ``pass_router``) is asked, in spite of ``no_more``; *why* as for :class:`Declined`."""

    why: str | None = None


class Chosen(Struct, frozen=True):
    """The router takes the address, and its hosts are still to be found.

    Name service is asked last: first comes what the router adds, and whether there is a transport.
    """

    transport: str
    """Empty: the router's own."""
    find: Callable[[str], Awaitable[Verdict]]
    """Return the verdict, for the name of a transport that exists, or for none."""


class ToTransport(Struct, frozen=True):
    """Deliver by this transport, to these hosts in this order."""

    transport: str
    targets: tuple[Target, ...] = ()
    variables: Values = field(default_factory=dict)
    fallback: tuple[Target, ...] = ()
    """Hosts to try when all of those have deferred (``fallback_hosts``)."""
    listed: tuple[Target, ...] = ()
    """The targets once more, and between them mail exchangers without an address: ``-bt`` shows them."""


class Redirected(Struct, frozen=True):
    """The address stands for what was found; nothing and no *discarded* flag would be a decline."""

    found: tuple[Address | str, ...]
    """In order; a text is a ``/file``, ``/directory/`` or ``|command`` item, for a transport of its own."""
    discarded: bool = False
    """``:blackhole:``."""
    forbidden: frozenset[str] = frozenset()
    """Those of the items that may not be delivered."""
    end: RoutingFailed | RoutingDeferred | None = None
    """``:fail:`` stood behind the addresses."""
    renamed: bool = False
    """It is the same address in a domain of another name (``self = reroute``, a domain that DNS qualifies)."""
    mistakes: Mistakes | None = None


class RoutingDeferred(Struct, frozen=True):
    """Try again later; *text* goes to the log. *frozen*: freeze the message. *public*: the sender may read it."""

    text: str
    errno: int = -1
    frozen: bool = False
    broken: bool = False
    """The configuration cannot be worked with: Exim stops here."""
    public: bool = False


class RoutingFailed(Struct, frozen=True):
    """The address fails for good, with this text for the sender."""

    text: str


Verdict: TypeAlias = Declined | Passed | ToTransport | Redirected | RoutingDeferred | RoutingFailed


class Router(Protocol):
    """A router driver: an instance for each instance in the configuration."""

    name: str
    names_hosts: bool
    """Whether it must name a host for a remote transport."""
    by_domain_alone: bool
    """Whether its driver says the same of all addresses of a domain, but for what the name service says anew."""

    @property
    def options(self) -> RouterOptions:
        """Its options, of which the generic ones are the routing's matter."""
        ...

    async def route(self, routed: RoutedAddress, values: Values, purpose: Purpose) -> Verdict | Chosen:
        """Return the verdict on one address; *values* are the variables of message and address."""
        ...
