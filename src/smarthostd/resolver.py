"""Names to addresses, through the system's resolver, cached; MX records through dnspython.

getaddrinfo honours /etc/hosts and nsswitch.conf; it blocks, so it runs in an executor. An answer is fresh
for *ttl*. After that it is still given out while a new one is asked for, and for as long as DNS is out of
order: an old address beats none. That a name does not exist is remembered for a short time only.

Lists of clients ask for the names that they hold, and for those of clients, on behalf of strangers: such questions
have threads of their own, so that no delivery waits behind them.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from msgspec import Struct

from smarthostd.errors import HostNotFound, ResolveDefer, SmarthostdError
from smarthostd.syntax import is_address

DNS_TIMEOUT = 10.0
"""Seconds for one question to a name server (MX)."""
LOOKUP_TIMEOUT = 60.0
"""Seconds that anybody waits for the system's resolver, whatever resolv.conf allows it."""
STALE_LIMIT = 3600.0
"""Seconds for which an old answer is given out at once; a still older one only if no new one comes."""
FAILURE_TTL = 10.0
"""Seconds for which a failure is remembered."""
CACHE_LIMIT = 10_000
ASKING_LIMIT = 32
"""Questions of lists of clients that the system's resolver is asked at one time."""
LOCAL_TTL = 60.0
"""Seconds for which the interfaces' addresses are believed."""
SIOCGIFCONF = 0x8912
ALIAS_LIMIT = 8
"""Fixed names that may stand for one another in a row."""

_TRY_AGAIN, _NO_RECOVERY = 2, 3
"""What gethostbyaddr says where no name server has answered (netdb.h)."""
_GONE = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5), getattr(socket, "EAI_ADDRFAMILY", -9)})


class Known(Struct, frozen=True):
    """What is known of a name: its addresses, IPv6 first, and its canonical name; or why there are none."""

    canonical: str
    addresses: tuple[str, ...] = ()
    failure: SmarthostdError | None = None
    at: float = 0.0


class MailDomain(Struct, frozen=True):
    """A domain of addresses as DNS has it."""

    name: str
    """Qualified where it was a bare word; where aliases lead on to aliases, the last of them, as in Exim."""
    exchangers: tuple[tuple[int, str], ...]
    """(preference, name); none: the domain's own address counts."""


def look_up(name: str, *, every_kind: bool = False) -> Known:
    """Ask the system about *name*; blocks. What goes wrong is in the answer.

    Asked for are addresses of the kinds that this machine has itself; only where there are none of those, or with
    *every_kind*, both.
    """
    try:
        found = _asked(name, 0 if every_kind else socket.AI_ADDRCONFIG)
    except socket.gaierror as error:
        failure: SmarthostdError
        if error.errno in _GONE:
            failure = HostNotFound(f"no IP address found for host {name}")
        else:
            failure = ResolveDefer(f"host lookup for {name} did not complete ({error.strerror})")
        return Known(name, failure=failure, at=time.monotonic())
    except (UnicodeError, ValueError):
        return Known(name, failure=HostNotFound(f"{name} is no host name"), at=time.monotonic())
    canonical = next((one[3] for one in found if one[3]), name)
    ordered = sorted(found, key=lambda one: one[0] != socket.AF_INET6)
    return Known(canonical, tuple(dict.fromkeys(str(one[4][0]) for one in ordered)), at=time.monotonic())


def look_up_name(address: str, *, every_kind: bool = False) -> Known:
    """Ask the system for the name of *address*, which must lead back; blocks. What goes wrong is in the answer."""
    failure: SmarthostdError | None
    try:
        name, _, _ = socket.gethostbyaddr(address)
    except OSError as error:
        name = ""
        if isinstance(error, socket.herror) and error.errno not in (_TRY_AGAIN, _NO_RECOVERY):
            failure = HostNotFound(f"no host name found for IP address {address}")
        else:
            failure = ResolveDefer(f"reverse lookup of {address} did not complete ({error})")
    else:
        there = look_up(name, every_kind=every_kind)
        failure = there.failure
        if failure is None and address not in there.addresses:
            failure = HostNotFound(f"{name} does not lead back to {address}")
    return Known(name, (address,), failure, time.monotonic())


def _asked(name: str, flag: int) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
    """Ask with *flag*, and if that finds nothing without."""
    kind, protocol = socket.SOCK_STREAM, socket.IPPROTO_TCP
    try:
        return list(socket.getaddrinfo(name, None, 0, kind, protocol, socket.AI_CANONNAME | flag))
    except socket.gaierror as error:
        if error.errno not in _GONE or not flag:
            raise
        return list(socket.getaddrinfo(name, None, 0, kind, protocol, socket.AI_CANONNAME))


def of_family(addresses: Sequence[str], family: int) -> tuple[str, ...]:
    """Return the *addresses* of one address family, or all of them for 0."""
    if family == 0:
        return tuple(addresses)
    return tuple(one for one in addresses if (":" in one) == (family == socket.AF_INET6))


def local_addresses() -> frozenset[str]:
    """Return the addresses of this host's interfaces, as the kernel tells them (Linux)."""
    found = {"127.0.0.1"}
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        size = struct.calcsize("16sH2x4s8x" if struct.calcsize("P") == 4 else "16sH2x4s16x")
        buffer = array.array("B", bytes(size * 256))
        request = struct.pack("iL", len(buffer), buffer.buffer_info()[0])
        length = struct.unpack("iL", fcntl.ioctl(probe.fileno(), SIOCGIFCONF, request))[0]
        octets = buffer.tobytes()
        found |= {socket.inet_ntoa(octets[at + 20 : at + 24]) for at in range(0, length, size)}
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines():
            found.add(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line.split()[0])))
    return frozenset(found)


class LocalAddresses:
    """This host's addresses, looked at again once a minute."""

    def __init__(self, extra: Sequence[str] = ()) -> None:
        self._extra = frozenset(extra)
        self._at = float("-inf")
        self._found: frozenset[str] = frozenset()

    def __call__(self) -> frozenset[str]:
        """Return them."""
        now = time.monotonic()
        if now - self._at > LOCAL_TTL:
            self._found, self._at = local_addresses() | self._extra, now
        return self._found


class Resolver:
    """Finds addresses; *hosts* are fixed answers that come before the system's.

    A fixed answer that is no address is another name, which the name then is an alias of.
    """

    def __init__(
        self,
        ttl: timedelta = timedelta(seconds=60),
        hosts: Mapping[str, Sequence[str]] | None = None,
        *,
        every_kind: bool = False,
    ) -> None:
        """*every_kind*: IPv4 and IPv6 addresses alike, whatever this machine has."""
        self._ttl = ttl.total_seconds()
        self._hosts = {name.lower(): tuple(answers) for name, answers in (hosts or {}).items()}
        self._look_up = partial(look_up, every_kind=every_kind)
        self._look_up_name = partial(look_up_name, every_kind=every_kind)
        self._cache: dict[str, Known] = {}
        self._names: dict[str, Known] = {}
        """By address. Strangers fill it, so it is not the other one."""
        self._asking: dict[str, asyncio.Future[Known]] = {}
        self._askers = asyncio.Semaphore(ASKING_LIMIT)
        self._mail_domains: dict[tuple[str, bool], tuple[float, MailDomain]] = {}

    # -- without waiting

    def cached(self, name: str) -> tuple[str, ...] | None:
        """Return the addresses of *name* where they are known and fresh, without waiting; None otherwise."""
        known = self.known(name)
        return known.addresses if known and not known.failure else None

    def known(self, name: str) -> Known | None:
        """Return what is known of *name* and fresh, also that it does not exist; None: it must be asked for."""
        if is_address(name):
            return Known(name, (name,))
        return self._fixed(name.lower()) or self._fresh(self._cache.get(name.lower()))

    def known_name(self, address: str) -> Known | None:
        """Return what is known of the name of *address* and fresh, also that it has none; None: somebody must ask."""
        return self._fresh(self._names.get(address))

    def remembered(self, name: str) -> Known | None:
        """Return what was known of *name* last, however old it is; None: nothing."""
        return self.known(name) or self._cache.get(name.lower())

    def remembered_name(self, address: str) -> Known | None:
        """Return what was known of the name of *address* last, however old it is; None: nothing."""
        return self._names.get(address)

    def _fresh(self, known: Known | None) -> Known | None:
        return known if known and time.monotonic() - known.at < self._lifetime(known) else None

    def _lifetime(self, known: Known) -> float:
        return min(FAILURE_TTL, self._ttl) if known.failure else self._ttl

    def _fixed(self, name: str) -> Known | None:
        for _ in range(ALIAS_LIMIT):
            answers = self._hosts.get(name)
            if answers is None:
                return None
            if not answers:
                return Known(name, failure=HostNotFound(f"no IP address found for host {name}"))
            if all(map(is_address, answers)):
                return Known(name, answers)
            name = answers[0].lower()
        return Known(name, failure=HostNotFound(f"{name} is an alias of itself"))

    # -- waiting

    async def addresses(self, name: str, *, family: int = 0) -> tuple[str, ...]:
        """Return the addresses of *name*, IPv6 first; raises HostNotFound or ResolveDefer."""
        known = await self._find(name)
        found = of_family(known.addresses, family)
        if not found:
            raise HostNotFound(f"host {name} has no address of the wanted kind")
        return found

    async def canonical(self, name: str) -> str:
        """Return the name that *name* is an alias of, else *name* as spelled; raises as :meth:`addresses`."""
        canonical = (await self._find(name)).canonical
        return name if canonical.lower() == name.lower() else canonical

    async def addresses_in_dns(self, name: str) -> tuple[str, ...]:
        """Return what DNS alone says of *name*, IPv6 first; raises HostNotFound or ResolveDefer."""
        return await asyncio.get_running_loop().run_in_executor(None, addresses_in_dns, name)

    async def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        """Return (preference, name) for the MX records of *domain*; raises HostNotFound, ResolveDefer."""
        return list((await self.mail_domain(domain)).exchangers)

    async def mail_domain(self, domain: str, *, qualify: bool = False) -> MailDomain:
        """Return what DNS has on *domain*, with *qualify* a bare word in the machine's own domain first.

        Raises HostNotFound, ResolveDefer.
        """
        key, now = (domain.lower(), qualify), time.monotonic()
        at, known = self._mail_domains.get(key, (float("-inf"), None))
        if known is None or now - at > self._ttl:
            known = await asyncio.get_running_loop().run_in_executor(None, mail_domain, domain, qualify)
            if len(self._mail_domains) >= CACHE_LIMIT:
                self._mail_domains.clear()
            self._mail_domains[key] = now, known
        return known

    async def _find(self, name: str) -> Known:
        """Return an answer without failure, fresh or not; raises the failure."""
        known = self.known(name)
        if known is None:
            name = name.lower()
            asking = self._ask(name)
            stale = self._cache.get(name)
            if stale and not stale.failure and time.monotonic() - stale.at < STALE_LIMIT:
                return stale
            known = await self._answer(name, asking)
        if known.failure:
            raise known.failure
        return known

    def _ask(self, name: str) -> asyncio.Future[Known]:
        """Start asking for *name*, unless somebody is at it; the answer is kept when it comes."""
        asking = self._asking.get(name)
        if asking is None:
            asking = self._begun(name, asyncio.get_running_loop().run_in_executor(None, self._look_up, name))
        return asking

    def _begun(self, key: str, asking: asyncio.Future[Known]) -> asyncio.Future[Known]:
        self._asking[key] = asking
        asking.add_done_callback(lambda done: self._answered(key, done))
        return asking

    async def _answer(self, key: str, asking: asyncio.Future[Known], deadline: float | None = None) -> Known:
        """Return what comes, or that nothing came in time."""
        patience = asyncio.timeout(LOOKUP_TIMEOUT) if deadline is None else asyncio.timeout_at(deadline)
        try:
            async with patience:
                return self.keep(key, await asyncio.shield(asking))
        except TimeoutError:
            failure = ResolveDefer(f"host lookup for {key} did not complete (timeout)")
            return self.keep(key, Known(key, failure=failure, at=time.monotonic()))

    def _answered(self, key: str, asking: asyncio.Future[Known]) -> None:
        self._asking.pop(key, None)
        if not asking.cancelled() and asking.exception() is None:
            self.keep(key, asking.result())

    def keep(self, key: str, answer: Known) -> Known:
        """Remember *answer* about a name in lower case, or about an address, which name it has.

        Return what counts, which is the old answer where DNS had none to give.
        """
        cache = self._names if is_address(key) else self._cache
        before = cache.get(key)
        if isinstance(answer.failure, ResolveDefer) and before and not before.failure:
            return before
        if len(cache) >= CACHE_LIMIT:
            cache.clear()
        cache[key] = answer
        return answer

    # -- for lists of clients

    async def find_out(self, name: str, deadline: float) -> None:
        """Have the addresses of *name* known, or that they cannot be had by *deadline* in the loop's time."""
        await self._answer(name.lower(), self.ask_for(name), deadline)

    async def find_out_name(self, address: str, deadline: float) -> None:
        """Have the name of *address* known, or that it cannot be had by *deadline* in the loop's time."""
        await self._answer(address, self.ask_for_name(address), deadline)

    def ask_for(self, name: str) -> asyncio.Future[Known]:
        """Start asking for the addresses of *name*, unless somebody is at it; the answer is kept when it comes."""
        return self._ask_apart(name.lower(), self._look_up)

    def ask_for_name(self, address: str) -> asyncio.Future[Known]:
        """Start asking for the name of *address*, unless somebody is at it; the answer is kept when it comes."""
        return self._ask_apart(address, self._look_up_name)

    def _ask_apart(self, key: str, look_up: Callable[[str], Known]) -> asyncio.Future[Known]:
        asking = self._asking.get(key)
        if asking is None:
            asking = self._begun(key, asyncio.get_running_loop().create_task(self._apart(key, look_up)))
        return asking

    async def _apart(self, key: str, look_up: Callable[[str], Known]) -> Known:
        """Return what *look_up* says, in a thread that the end of the process does not wait for (an executor's are)."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Known] = loop.create_future()

        def ask() -> None:
            try:
                known = look_up(key)
            except Exception as error:  # a defect, or a name that no resolver takes: whoever waits is to be told
                known = _unanswered(key, error)
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_give, answer, known)

        async with self._askers:
            try:
                threading.Thread(target=ask, name="names", daemon=True).start()
            except RuntimeError as error:  # there may be no more threads in this machine, or for this service
                return _unanswered(key, error)
            return await answer


def _unanswered(key: str, error: Exception) -> Known:
    failure = ResolveDefer(f"host lookup for {key} did not complete ({error})")
    return Known(key, failure=failure, at=time.monotonic())


def _give(answer: asyncio.Future[Known], known: Known) -> None:
    if not answer.done():
        answer.set_result(known)


def mail_exchangers(domain: str) -> list[tuple[int, str]]:
    """Ask DNS for MX records; blocks. An existing domain without any gives an empty list."""
    return list(mail_domain(domain).exchangers)


def mail_domain(domain: str, qualify: bool = False) -> MailDomain:
    """Ask DNS for the MX records of *domain*, with *qualify* a bare word in our own domain first; blocks.

    Raises HostNotFound, ResolveDefer.
    """
    import dns.resolver

    own = dns.resolver.get_default_resolver().domain.to_text(omit_final_dot=True)
    if qualify and "." not in domain and own != ".":
        with contextlib.suppress(HostNotFound):
            return _mail_domain(f"{domain}.{own}")
    return _mail_domain(domain)


def _mail_domain(domain: str) -> MailDomain:
    import dns.exception
    import dns.resolver

    try:
        answer = dns.resolver.resolve(f"{domain}.", "MX", lifetime=DNS_TIMEOUT, search=False, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN as error:
        raise HostNotFound(domain) from error
    except dns.exception.DNSException as error:
        raise ResolveDefer(f"host lookup for {domain} did not complete (DNS timeout?)") from error
    aliases = answer.chaining_result.cnames
    name = aliases[-1].name.to_text(omit_final_dot=True) if aliases else domain
    records = sorted((int(one.preference), str(one.exchange).rstrip(".")) for one in answer.rrset or ())
    return MailDomain(name, tuple(records))


def addresses_in_dns(name: str) -> tuple[str, ...]:
    """Ask DNS for the addresses of *name*, IPv6 first; blocks."""
    import dns.exception
    import dns.resolver

    if is_address(name):
        return (name,)
    found: list[str] = []
    for kind in ("AAAA", "A"):
        try:
            answer = dns.resolver.resolve(name, kind, lifetime=DNS_TIMEOUT, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            continue
        except dns.exception.DNSException as error:
            raise ResolveDefer(f"host lookup for {name} did not complete (DNS timeout?)") from error
        found += [str(one.address) for one in answer]
    if not found:
        raise HostNotFound(name)
    return tuple(found)


class BlockingNames:
    """Name service for lists, which cannot await: what the resolver knows, else the system's answer.

    Who is about to match a list on the event loop asks the resolver for the names in it first.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def addresses(self, name: str) -> list[str]:
        """Return the IP addresses of *name*; raises HostNotFound or ResolveDefer."""
        known = self._resolver.known(name) or self._resolver.keep(name.lower(), look_up(name))
        return list(_without_failure(known).addresses)

    def name_of(self, address: str) -> str:
        """Return the reverse name of *address*, if it leads back there; raises HostNotFound or ResolveDefer."""
        known = self._resolver.known_name(address) or self._resolver.keep(address, look_up_name(address))
        return _without_failure(known).canonical

    def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        """Return (preference, name) pairs; raises HostNotFound or ResolveDefer."""
        return mail_exchangers(domain)


class KnownNames:
    """Name service for lists of clients, which nobody may wait for: what the resolver knows, however old it is.

    What it knows nothing of is undecided, and asked for: the next one will find it. Who is about to match a list for a
    new client has all that is in it asked for first (:class:`NamesToAsk`).
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def addresses(self, name: str) -> list[str]:
        """Return the IP addresses of *name*; raises HostNotFound or ResolveDefer."""
        known = self._resolver.remembered(name)
        if known is None:
            self._resolver.ask_for(name)
            raise ResolveDefer(f"host lookup for {name} has only begun")
        return list(_without_failure(known).addresses)

    def name_of(self, address: str) -> str:
        """Return the reverse name of *address*, if it leads back there; raises HostNotFound or ResolveDefer."""
        known = self._resolver.remembered_name(address)
        if known is None:
            self._resolver.ask_for_name(address)
            raise ResolveDefer(f"reverse lookup of {address} has only begun")
        return _without_failure(known).canonical

    def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        """Raise ResolveDefer: no list of hosts is about MX records."""
        raise ResolveDefer(f"MX records of {domain} are not looked up for a list of hosts")


class Unasked(SmarthostdError):
    """A list cannot be matched before somebody is asked, which *find_out* does, until a time on the loop's clock."""

    def __init__(self, about: str, find_out: Callable[[float], Awaitable[None]]) -> None:
        super().__init__(about)
        self.find_out = find_out


def first_unasked(trial: Callable[[], object]) -> Unasked | None:
    """Return what *trial*, which matches lists by :class:`NamesToAsk`, needs to know first; None: it knows all."""
    try:
        trial()
    except Unasked as unasked:
        return unasked
    return None


async def ask_all(unasked: Unasked | None, trial: Callable[[], object]) -> None:
    """Have *unasked* asked for, and then whatever else *trial* needs, within ``LOOKUP_TIMEOUT`` for all together."""
    deadline = asyncio.get_running_loop().time() + LOOKUP_TIMEOUT
    while unasked is not None:
        await unasked.find_out(deadline)
        unasked = first_unasked(trial)


class NamesToAsk(KnownNames):
    """Raises Unasked, once for each, for what the resolver does not know, or has not been told for too long."""

    def __init__(self, resolver: Resolver) -> None:
        super().__init__(resolver)
        self._raised: set[str] = set()

    def addresses(self, name: str) -> list[str]:
        """Return the IP addresses of *name*; raises HostNotFound, ResolveDefer or Unasked."""
        if self._resolver.known(name) is None:
            self._raise(name.lower(), partial(self._resolver.find_out, name))
        return super().addresses(name)

    def name_of(self, address: str) -> str:
        """Return the reverse name of *address*, if it leads back; raises HostNotFound, ResolveDefer or Unasked."""
        if self._resolver.known_name(address) is None:
            self._raise(address, partial(self._resolver.find_out_name, address))
        return super().name_of(address)

    def _raise(self, about: str, find_out: Callable[[float], Awaitable[None]]) -> None:
        if about not in self._raised:
            self._raised.add(about)
            raise Unasked(about, find_out)


def _without_failure(known: Known) -> Known:
    """Return *known*; raises its failure."""
    if known.failure:
        raise known.failure.with_traceback(None)  # or it would grow with each time that it is raised
    return known
