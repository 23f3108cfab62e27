"""What the language (expansions, lists, lookups) knows of the configuration and of a message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeAlias

from msgspec import Struct, field

Value: TypeAlias = str | Callable[[], str]
Values: TypeAlias = Mapping[str, Value]
"""Variables by name without the dollar; a callable is asked only when the variable is used.

``message_headers_raw`` holds the raw header block (LF line ends) from which ``$h_…:`` is read.
Text is UTF-8 with surrogate escapes, so that any octets survive; operators that count count octets.
"""

NO_VALUES: Values = {}


class Later(Mapping[str, Value]):
    """Variables that are made when the first of them is asked for: for most messages none is (9 us spared)."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Values]) -> None:
        self._make = make
        self._made: Values | None = None

    def all(self) -> Values:
        """Return them."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def __getitem__(self, name: str) -> Value:
        return self.all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self.all())


def made(values: Values) -> Values:
    """Return *values* as they are to be unpacked: a ``Later`` would be asked for each by its name."""
    return values.all() if isinstance(values, Later) else values


class Facts(Struct, frozen=True):
    """The main options that the language refers to; named lists as written, not yet expanded."""

    primary_hostname: str
    qualify_domain: str = ""
    qualify_recipient: str = ""
    spool_directory: str = ""
    config_file: str = ""
    domainlists: Mapping[str, str] = field(default_factory=dict)
    hostlists: Mapping[str, str] = field(default_factory=dict)
    addresslists: Mapping[str, str] = field(default_factory=dict)
    localpartlists: Mapping[str, str] = field(default_factory=dict)
    local_addresses: Callable[[], frozenset[str]] = frozenset
    """The addresses of this host's interfaces (``@[]``), as IP texts."""
    own_ports: frozenset[int] | None = None
    """The ports that we listen on; None: any port of a local address counts as this host (Exim's way)."""
    allow_mx_to_ip: bool = False
    """Whether an MX record may hold an IP address."""
    regex_time_limit: float = 1.0
    """Seconds of processor time that a regular expression may work on one text; 0: no limit."""
    exim_strict: frozenset[int] = frozenset()
    """Numbers of the differences from Exim that are switched off (docs/exim.md)."""


class Names(Protocol):
    """Name service as lists need it: plain calls, answered from a cache or by blocking."""

    def addresses(self, name: str) -> list[str]:
        """Return the IP addresses of *name*; raises HostNotFound or ResolveDefer."""
        ...

    def name_of(self, address: str) -> str:
        """Return the verified reverse name of *address*; raises HostNotFound or ResolveDefer."""
        ...

    def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        """Return (preference, name) pairs; raises HostNotFound or ResolveDefer."""
        ...
