"""Walking a list, and what its items mean for a domain, an address, a local part or a host.

The three kinds of text items (domains, addresses, local parts) end in one function, ``_string``, as in
Exim; host lists compare addresses, and names only where an item is a pattern. A plain name in a host
list is looked up and its addresses are compared: the string itself never is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias

from msgspec import Struct

from smarthostd.errors import (
    ExpansionError,
    ForcedFailure,
    HostNotFound,
    ListDefer,
    LookupDefer,
    ResolveDefer,
    SmarthostdError,
)
from smarthostd.facts import Facts, Names
from smarthostd.lists.split import split
from smarthostd.lookups import Expand, Found, Lookups, NotRegularError, UnknownLookup
from smarthostd.regex import RegexError, search

CHAIN_LIMIT = 50
"""Links of ``>name`` that an ``@@`` lookup may follow."""
DEPTH_LIMIT = 50
"""Named lists inside one another."""

Log: TypeAlias = Callable[[str], None]


class ListUndecided(ListDefer):
    """The list defers; *message* is what Exim shows after "unable to complete match", None for its NULL."""

    def __init__(self, text: str, message: str | None = None) -> None:
        super().__init__(text)
        self.message = message


class ListBroken(ListDefer):
    """A mistake in the list for which Exim stops: a missing file, an unknown lookup."""


class _Unmatchable(SmarthostdError):
    """A host list's item that can be neither yes nor no: an unknown name, a malformed address."""


class Match(Struct, frozen=True):
    """A positive answer: what ``$value`` holds, and $0, $1 … ."""

    value: str = ""
    numbered: tuple[str, ...] = ()


class _Kind(Struct, frozen=True):
    """What differs between the kinds of lists."""

    name: str
    named: Mapping[str, str]
    at_is_special: bool = False
    partial: bool = False
    comment_after_space: bool = False
    """In files, ``#`` begins a comment only at the line's start or after white space."""


class _Text(Struct):
    """A text subject and how it is compared."""

    text: str
    caseless: bool = True


class _Host(Struct):
    """A host subject: its address, and its name when an item asks for it."""

    address: str
    name: Callable[[], str] | None
    unknown: str = ""
    """``include`` or ``ignore`` once such an item has been met."""
    undecided: str = ""
    caseless: bool = True


_Subject: TypeAlias = _Text | _Host
_Item: TypeAlias = "Callable[[_Kind, _Subject, str, Expand | None], Match | None]"

LISTS_REMEMBERED, ANSWERS_REMEMBERED = 256, 1024

split_cached = lru_cache(1024)(lambda text: tuple(split(text)))
_MORE_THAN_NAME = re.compile(r"[$\\;^/]")
"""In a list: something is expanded, or is a lookup, a regular expression, a file."""
_ADDRESS_LOOKUP = re.compile(r"[A-Za-z0-9-]*\*?@?;", re.ASCII)
_BY_NETWORK = re.compile(r"net(\d*)-(?=.*;)(.*)", re.DOTALL)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_SPECIAL_DOMAINS = ("", "[]", "mx_any", "mx_primary", "mx_secondary")
_SWITCHES = {
    "+include_unknown": ("unknown", "include"), "+ignore_unknown": ("unknown", "ignore"),
    "+include_defer": ("undecided", "include"), "+ignore_defer": ("undecided", "ignore"),
}  # fmt: skip


@lru_cache(4096)
def _ip(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address written in *text*; IPv4 in IPv6 is IPv4; None for anything else."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(1024)
def _network(text: str) -> Callable[[IPv4Address | IPv6Address], bool] | None:
    """Return the test for an address or network, or None where *text* is neither.

    Bits larger than the width mean the address alone, as in Exim.
    """
    base, slash, bits = text.partition("/")
    address = ip_address(base) if _ip(base) else None  # IPv4 in IPv6 stays what it is here, and matches no subject
    if address is None or (slash and not (bits.isascii() and bits.isdigit())):
        return None
    if not slash:
        return lambda subject: subject == address
    network = ip_network((address, min(int(bits), address.max_prefixlen)), strict=False)
    return lambda subject: subject.version == network.version and subject in network


class Matcher:
    """Answers whether a subject is in a list."""

    def __init__(self, facts: Facts, lookups: Lookups, names: Names, log: Log = lambda line: None) -> None:
        self._facts = facts
        self._lookups = lookups
        self._names = names
        self._log = log
        self._domain = _Kind("domain", facts.domainlists, at_is_special=True, partial=True)
        self._local_part = _Kind("local part", facts.localpartlists, comment_after_space=True)
        self._address = _Kind("address", facts.addresslists, comment_after_space=True)
        self._host = _Kind("host", facts.hostlists)
        self._ip = _Kind("host", facts.hostlists)
        self._wild_key = _Kind("domain", {}, partial=True)
        lookups.match_keys_by(self._match_key)
        self.is_plain = lru_cache(LISTS_REMEMBERED)(self._names_only)
        """Whether a domain list has names and stars only, so that what it says of a domain stays as it is."""
        self._in_plain = lru_cache(ANSWERS_REMEMBERED)(self._walk_plain)

    def asking(self, names: Names, log: Log | None = None) -> Matcher:
        """Return one that asks *names* instead, and tells *log* instead, if it is given."""
        other = copy(self)
        other._names, other._log = names, log or self._log
        return other

    def domain(self, subject: str, text: str, expand: Expand | None = None) -> Match | None:
        """Return whether *subject* is in the domain list *text* (exim.md 3.3)."""
        if self.is_plain(text):
            return self._in_plain(subject, text)
        return self._walk(self._domain, self._string_item, _Text(subject), text, expand)

    def _walk_plain(self, subject: str, text: str) -> Match | None:
        return self._walk(self._domain, self._string_item, _Text(subject), text, None)

    def _names_only(self, text: str, depth: int = 0) -> bool:
        """Whether a domain list has names and stars only, ``@`` among them, so that its answers stay what they are.

        They are remembered then, for each message asks for the same: 12 us for two short lists.
        """
        if depth >= DEPTH_LIMIT or _MORE_THAN_NAME.search(text):
            return False
        items = [entry.removeprefix("!").lstrip() for entry in split_cached(text)]
        if any("@" in item and item != "@" for item in items):  # this host's addresses, mail exchangers
            return False
        named = [item[1:] for item in items if item.startswith("+")]
        lists = self._domain.named
        return all(name in lists and self._names_only(lists[name], depth + 1) for name in named)

    def local_part(
        self, subject: str, text: str, expand: Expand | None = None, *, caseless: bool = True
    ) -> Match | None:
        """Return whether *subject* is in the local part list *text* (exim.md 3.4)."""
        return self._walk(self._local_part, self._string_item, _Text(subject, caseless), text, expand)

    def address(self, subject: str, text: str, expand: Expand | None = None) -> Match | None:
        """Return whether the address *subject* is in the address list *text*; ``""`` is the null sender."""
        return self._walk(self._address, self._address_item, _Text(subject), text, expand)

    def rewriting_pattern(self, subject: str, pattern: str, expand: Expand | None = None) -> Match | None:
        """Return whether *subject* fits *pattern*, one item of an address list, as a rewriting rule asks.

        Case counts here: in the local part, and in the pattern's domain too, since the subject's is put into
        lower case before. $0 is the subject as it was, $1 what the asterisk of the local part stands for, then
        come the numbers of the domain; whole-address lookups and negated patterns set none.
        """
        local_part, at, domain = subject.rpartition("@")
        folded = _Text(f"{local_part}{at}{_lower(domain)}", caseless=False)
        found = self._walk_items(self._address, self._address_item, folded, (pattern,), expand, 0)
        return found and Match(found.value, (subject, *found.numbered[1:]) if found.numbered else ())

    def ip(self, subject: str, text: str, expand: Expand | None = None) -> Match | None:
        """Return whether the IP address *subject* is in the host list *text*, names aside (``match_ip``)."""
        return self._walk(self._ip, self._host_item, _Host(subject, None), text, expand)

    def host(
        self, address: str, name: str | Callable[[], str] | None, text: str, expand: Expand | None = None
    ) -> Match | None:
        """Return whether the host at *address* is in the host list *text* (exim.md 3.5).

        *name* is what it was reached by, or a callable that looks its name up when an item asks; None
        looks it up by its address.
        """
        if callable(name):
            known = name
        elif name is None:
            known = lambda: self._names.name_of(address)  # noqa: E731 - one of three ways to the same
        else:
            known = lambda: name  # noqa: E731
        return self._walk(self._host, self._host_item, _Host(address, known), text, expand)

    # -- the walk

    def _walk(
        self, kind: _Kind, item: _Item, subject: _Subject, text: str, expand: Expand | None, depth: int = 0
    ) -> Match | None:
        """Return the answer of the list *text*; an unmatchable item makes it false, or true, as a whole."""
        try:
            return self._walk_items(kind, item, subject, split_cached(text), expand, depth)
        except _ForcedTo as forced:
            return Match() if forced.answer else None

    def _walk_items(
        self, kind: _Kind, item: _Item, subject: _Subject, entries: Sequence[str], expand: Expand | None, depth: int
    ) -> Match | None:
        positive = True
        for entry in entries:
            if self._switch(kind, subject, entry):
                continue
            positive = not entry.startswith("!")
            pattern = entry if positive else entry[1:].lstrip()
            if pattern.startswith("/"):
                decided, match = self._file(kind, item, subject, pattern, positive, expand)
                if decided:
                    return match
                positive = match is None
                continue
            found = self._decide(kind, item, subject, pattern, expand, depth)
            if found is not None:
                return found if positive else None
        return None if positive or not entries else Match()

    @staticmethod
    def _switch(kind: _Kind, subject: _Subject, entry: str) -> bool:
        """Obey an item that is about the items behind it."""
        if entry[:1] != "+":
            return False
        if isinstance(subject, _Host) and entry in _SWITCHES:
            setattr(subject, *_SWITCHES[entry])
            return True
        if entry == "+caseful" and kind.name in ("address", "local part"):
            subject.caseless = False
            return True
        return False

    def _decide(
        self, kind: _Kind, item: _Item, subject: _Subject, pattern: str, expand: Expand | None, depth: int
    ) -> Match | None:
        if pattern.startswith("+"):
            return self._named(kind, item, subject, pattern, expand, depth)
        return self._answer(kind, item, subject, pattern, expand)

    def _answer(self, kind: _Kind, item: _Item, subject: _Subject, pattern: str, expand: Expand | None) -> Match | None:
        try:
            return item(kind, subject, pattern, expand)
        except _Unmatchable as error:
            return self._unmatchable(subject, str(error))
        except (LookupDefer, ResolveDefer) as error:
            return self._undecided(subject, str(error))

    def _named(
        self, kind: _Kind, item: _Item, subject: _Subject, pattern: str, expand: Expand | None, depth: int
    ) -> Match | None:
        text = kind.named.get(pattern[1:])
        if text is None:
            line = f'unknown named {kind.name} list "{pattern}"'
            self._log(line)
            raise ListUndecided(line)
        if depth >= DEPTH_LIMIT:
            raise ListUndecided(f'named {kind.name} list "{pattern}" contains itself')
        if expand and ("$" in text or "\\" in text):
            try:
                text = expand(text)
            except ForcedFailure:
                return None
            except ExpansionError as error:
                line = f'failed to expand "{text}" while checking a list: {error}'
                self._log(line)
                raise ListUndecided(line) from error
        if isinstance(subject, _Host):  # a list has switches of its own
            subject = _Host(subject.address, subject.name)
        return self._walk(kind, item, subject, text, expand, depth + 1)

    def _file(
        self, kind: _Kind, item: _Item, subject: _Subject, path: str, positive: bool, expand: Expand | None
    ) -> tuple[bool, Match | None]:
        """Walk a file's lines. Return whether they decided, and how; else a Match for "ended negated"."""
        try:
            lines = self._lookups.files.read(path).decode("utf-8", "surrogateescape").splitlines()
        except NotRegularError:
            lines = []  # Exim opens a directory, too, and finds nothing in it
        except OSError as error:
            raise ListBroken(f"failed to open {path}: {error.strerror}") from error
        sign = positive
        for line in lines:
            pattern = _without_comment(line, after_space=kind.comment_after_space).strip()
            if not pattern:
                continue
            sign = positive
            if pattern.startswith("!"):
                sign, pattern = not positive, pattern[1:].lstrip()
            found = self._answer(kind, item, subject, pattern, expand)
            if found is not None:
                return True, Match(pattern, found.numbered) if sign else None
        return False, None if sign else Match()

    def _unmatchable(self, subject: _Subject, reason: str) -> Match | None:
        """An item is neither yes nor no: unless told otherwise the whole list is false."""
        assert isinstance(subject, _Host)
        if subject.unknown == "include":
            self._log(f"{reason}: accepted by +include_unknown")
            raise _ForcedTo(True)
        if subject.unknown == "ignore":
            return None
        self._log(f"list matching forced to fail: {reason}")
        raise _ForcedTo(False)

    def _undecided(self, subject: _Subject, reason: str) -> Match | None:
        if isinstance(subject, _Host) and subject.undecided == "include":
            self._log(f"{reason}: accepted by +include_defer")
            raise _ForcedTo(True)
        if isinstance(subject, _Host) and subject.undecided == "ignore":
            self._log(f"{reason}: ignored by +ignore_defer")
            return None
        raise ListUndecided(reason, reason)

    # -- items about texts

    def _string_item(self, kind: _Kind, subject: _Subject, pattern: str, expand: Expand | None) -> Match | None:
        """Match one item; $0 is the subject as it was compared, in a regular expression's item as it was given."""
        assert isinstance(subject, _Text)
        found = self._string(kind, subject.text, pattern, subject.caseless, expand)
        if found is None:
            return None
        folds = subject.caseless and not pattern.startswith("^")
        numbered = (subject.text, *found.numbered[1:])
        return Match(found.value, tuple(map(_lower, numbered)) if folds else numbered)

    def _match_key(self, subject: str, pattern: str, expand: Expand | None) -> bool:
        """Match a ``wildlsearch`` key: a domain list's item, in which ``+name``, files and ``@`` mean nothing."""
        negated = pattern.startswith("!")
        found = self._string(self._wild_key, subject, pattern[1:].lstrip() if negated else pattern, True, expand)
        return (found is None) is negated

    def _string(self, kind: _Kind, subject: str, pattern: str, caseless: bool, expand: Expand | None) -> Match | None:
        if pattern.startswith("^"):
            return self._regex(subject, pattern, caseless)
        if pattern.startswith("*"):
            return _ends_with(subject, pattern[1:], caseless, pattern)
        if kind.at_is_special and pattern.startswith("@"):
            if pattern == "@":
                pattern = self._facts.primary_hostname
            elif pattern.lower() == "@[]":
                return self._domain_literal(subject, pattern)
            elif pattern[:4].lower() == "@mx_":
                return self._mail_exchanger(subject, pattern)
        name, semicolon, file = pattern.partition(";")
        if semicolon:
            key = _lower(subject) if caseless else subject
            found = self._look_up(name, key, file.lstrip(), kind.partial, expand)
            return None if found is None else Match(found.data, found.numbered)
        same = _lower(subject) == _lower(pattern) if caseless else subject == pattern
        return Match(pattern) if same else None

    def _regex(self, subject: str, pattern: str, caseless: bool) -> Match | None:
        try:
            groups = search(pattern, subject, caseless=caseless, seconds=self._facts.regex_time_limit)
        except RegexError as error:
            raise ListBroken(f'regular expression error in "{pattern}": {error}') from error
        return None if groups is None else Match(pattern, groups)

    def _look_up(self, kind: str, key: str, file: str, partial: bool, expand: Expand | None) -> Found | None:
        if not partial:
            kind = re.sub(r"^partial\d*(?:\([^)]*\)|-)", "", kind)
        try:
            return self._lookups.find(kind, key, file, expand=expand)
        except UnknownLookup as error:
            raise ListBroken(str(error)) from error
        except LookupDefer as error:
            if type(error) is not LookupDefer:  # the file itself: Exim stops
                raise ListBroken(str(error)) from error
            raise

    def _domain_literal(self, subject: str, pattern: str) -> Match | None:
        if not (subject.startswith("[") and subject.endswith("]")):
            return None
        return Match(pattern) if subject[1:-1] in self._facts.local_addresses() else None

    def _mail_exchanger(self, subject: str, pattern: str) -> Match | None:
        which, _, ignored = pattern[4:].partition("/ignore=")
        try:
            found = sorted(self._names.mail_exchangers(subject))
        except HostNotFound:
            return None
        except ResolveDefer as error:
            raise ListUndecided(str(error), f'DNS lookup of "{subject}" deferred') from error
        ours = [preference for preference, name in found if self._is_local(name, ignored)]
        best = found[0][0] if found else 0
        primary = best in ours
        wanted = {"any": bool(ours), "primary": primary, "secondary": bool(ours) and not primary}
        return Match(pattern) if wanted.get(which.lower(), False) else None

    def _is_local(self, name: str, ignored: str) -> bool:
        try:
            addresses = self._names.addresses(name)
        except (HostNotFound, ResolveDefer):
            return False
        kept = [address for address in addresses if not (ignored and self.ip(address, ignored))]
        local = self._facts.local_addresses()
        return any(address in local for address in kept)

    # -- items about addresses

    def _address_item(self, kind: _Kind, subject: _Subject, pattern: str, expand: Expand | None) -> Match | None:
        assert isinstance(subject, _Text)
        text = subject.text
        if pattern.startswith("^"):
            found = self._regex(text, pattern, subject.caseless) if "@" in text or not text else None
            return found and Match(numbered=found.numbered if text else ())  # it leaves nothing in $value
        if _ADDRESS_LOOKUP.match(pattern):
            if text and "@" not in text:
                self._no_at(text, pattern)
                return None
            found = self._string(kind, text, self._without_partial(pattern), True, expand)
            return found and Match(found.value)
        if not text:
            return None if pattern else Match()
        if "@" not in text:
            self._no_at(text, pattern)
            return None
        local_part, _, domain = text.rpartition("@")
        if pattern.startswith("@@"):
            found = self._split_lookup(local_part, domain, pattern[2:], subject.caseless, expand)
            return found and Match(found.value)
        return self._local_and_domain(local_part, domain, pattern, subject.caseless, expand)

    def _no_at(self, text: str, pattern: str) -> None:
        self._log(f'no @ found in the subject of an address list match: subject="{text}" pattern="{pattern}"')

    def _without_partial(self, pattern: str) -> str:
        if pattern.lower().startswith("partial-"):
            what = "partial matching is not applicable to whole-address lookups"
            self._log(f'{what}: ignored "partial-" in "{pattern}"')
        return pattern

    def _local_and_domain(
        self, local_part: str, domain: str, pattern: str, caseless: bool, expand: Expand | None
    ) -> Match | None:
        wanted, at, rest = pattern.rpartition("@")
        if at and wanted.endswith("@") and rest in _SPECIAL_DOMAINS:
            wanted, rest = wanted[:-1], f"@{rest}"
        wild: tuple[str, ...] = ()
        if at:
            found = _ends_with(local_part, wanted[1:], caseless, "") if wanted[:1] == "*" else None
            same = _lower(local_part) == _lower(wanted) if caseless else local_part == wanted
            if found is None and not same:
                return None
            wild = found.numbered[1:] if found else ()
        match = self._domain_behind_at(domain, rest, caseless, expand)
        if match is None:
            return None
        numbered = () if rest.startswith("!") else (f"{local_part}@{domain}", *wild, *match.numbered[1:])
        return Match(f"{wanted}@{match.value}", numbered)

    def _domain_behind_at(self, domain: str, pattern: str, caseless: bool, expand: Expand | None) -> Match | None:
        """Match the one item of a domain list that ``user@`` stands before: it may be negated, named, or a file.

        Where case counts it counts in the pattern: the domain is in lower case then. No item matches no domain.
        """
        if not pattern:
            return None
        positive = not pattern.startswith("!")
        pattern = pattern if positive else pattern[1:].lstrip()
        subject = _Text(domain if caseless else _lower(domain), caseless)
        if pattern.startswith("/"):
            decided, found = self._file(self._domain, self._string_item, subject, pattern, positive, expand)
            return found if decided or not positive else None
        match = self._decide(self._domain, self._string_item, subject, pattern, expand, 0)
        if positive:
            return match
        return Match() if match is None else None

    def _split_lookup(
        self, local_part: str, domain: str, lookup: str, caseless: bool, expand: Expand | None
    ) -> Match | None:
        """``@@type;file``: the domain's data is a list of local parts, perhaps chained by ``>name``."""
        key = domain
        for _ in range(CHAIN_LIMIT):
            found = self._string(self._domain, key, lookup, True, expand)
            if found is None:
                return None
            items = split(found.value)
            chained = ""
            if items and items[-1].startswith(">"):
                chained = items.pop()[1:].lstrip()
            decided, match = self._local_parts(local_part, items, caseless, expand)
            if decided or not chained:
                return match
            key = chained
        raise ListUndecided(f"Loop detected in lookup of local part of {local_part}")

    def _local_parts(
        self, local_part: str, items: list[str], caseless: bool, expand: Expand | None
    ) -> tuple[bool, Match | None]:
        positive = True
        for item in items:
            positive = not item.startswith("!")
            pattern = item if positive else item[1:].lstrip()
            found = self._string(self._local_part, local_part, pattern, caseless, expand)
            if found is not None:
                return True, found if positive else None
        return False, None if positive else Match()

    # -- items about hosts

    def may_need_names(self, text: str, depth: int = 0) -> bool:
        """Whether name service may be asked where a host is matched against the list *text*, as it is written."""
        if "$" in text or "\\" in text or depth >= DEPTH_LIMIT:
            return True
        items = [entry.removeprefix("!").lstrip() for entry in split_cached(text)]
        return any(self._item_may_need_names(item, depth) for item in items)

    def _item_may_need_names(self, item: str, depth: int) -> bool:
        if item in ("", "*", "@[]") or item in _SWITCHES or _network(item) is not None or _BY_NETWORK.match(item):
            return False
        if item.startswith("+"):
            return self.may_need_names(self._host.named.get(item[1:], ""), depth + 1)
        return True

    def _host_item(self, kind: _Kind, subject: _Subject, pattern: str, expand: Expand | None) -> Match | None:
        assert isinstance(subject, _Host)
        if pattern == "*":
            return Match()
        if not subject.address or not pattern:
            return Match() if subject.address == pattern else None
        if pattern == "@[]":
            return Match() if subject.address in self._facts.local_addresses() else None
        test = _network(pattern)
        address = _ip(subject.address)
        if test is not None:
            return Match() if address is not None and test(address) else None
        digits = pattern.lstrip("0123456789.")
        if not digits or (digits.startswith("/") and digits != pattern):
            raise _Unmatchable("malformed IPv4 address or address mask")
        return self._host_name(subject, pattern, expand)

    def _host_name(self, subject: _Host, pattern: str, expand: Expand | None) -> Match | None:
        lookup = _BY_NETWORK.match(pattern)
        if lookup or (subject.name is None and ";" in pattern):
            bits, rest = (lookup[1], lookup[2]) if lookup else ("", pattern)
            return self._network_lookup(subject.address, bits, rest, expand)
        if subject.name is None:
            raise _Unmatchable("cannot match host name in match_ip list")
        if pattern == "@":
            pattern = self._facts.primary_hostname
        if _PLAIN_NAME.fullmatch(pattern):
            return self._by_addresses(subject.address, pattern)
        try:
            name = subject.name()
        except HostNotFound:
            raise _Unmatchable(f"failed to find host name for {subject.address}") from None
        return self._string(self._domain, name, pattern, True, expand)

    def _by_addresses(self, address: str, name: str) -> Match | None:
        """A plain name stands for its addresses."""
        try:
            found = self._names.addresses(name)
        except HostNotFound:
            self._log(f"no IP address found for host {name}")
            raise _Unmatchable(f"failed to find IP address for {name}") from None
        except ResolveDefer as error:
            raise ResolveDefer(f"DNS lookup of {name} deferred") from error
        subject = _ip(address)
        return Match() if any(_ip(one) == subject for one in found) else None

    def _network_lookup(self, address: str, bits: str, pattern: str, expand: Expand | None) -> Match | None:
        """``net24-lsearch;/file``: the key is the masked network; IPv6 is written with dots but for iplsearch."""
        kind, _, file = pattern.partition(";")
        subject = _ip(address)
        if subject is None:
            return None
        key = _lookup_key(subject, bits, colons=kind.startswith("iplsearch"))
        found = self._look_up(kind, key, file.lstrip(), False, expand)
        return None if found is None else Match(found.data)


class _ForcedTo(SmarthostdError):
    """A host list to which one item gives its *answer* as a whole, whatever the item's sign."""

    def __init__(self, answer: bool) -> None:
        super().__init__(answer)
        self.answer = answer


def _lookup_key(subject: IPv4Address | IPv6Address, bits: str, *, colons: bool) -> str:
    if bits:
        network = ip_network((subject, min(int(bits), subject.max_prefixlen)), strict=False)
        subject, suffix = network.network_address, f"/{int(bits)}"
    else:
        suffix = ""
    if isinstance(subject, IPv4Address):
        return f"{subject}{suffix}"
    return f"{subject if colons else subject.exploded.replace(':', '.')}{suffix}"


def _without_comment(line: str, *, after_space: bool) -> str:
    """Return *line* without its comment."""
    match = re.search(r"(?:^|(?<=\s))#" if after_space else "#", line)
    return line[: match.start()] if match else line


_UPPER_TO_LOWER = {upper: upper + 32 for upper in range(65, 91)}


def _lower(text: str) -> str:
    """Fold ASCII only, as Exim does."""
    return text.lower() if text.isascii() else text.translate(_UPPER_TO_LOWER)


def _ends_with(subject: str, ending: str, caseless: bool, value: str) -> Match | None:
    folded, wanted = (_lower(subject), _lower(ending)) if caseless else (subject, ending)
    if not folded.endswith(wanted):
        return None
    return Match(value, (subject, subject[: len(subject) - len(ending)]))
