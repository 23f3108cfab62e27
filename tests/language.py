"""An expander with its lists and lookups, as a test needs it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from smarthostd.errors import HostNotFound, ResolveDefer
from smarthostd.expand import Expander, Facts
from smarthostd.lists import Matcher
from smarthostd.lookups import Files, Lookups

LOCAL_ADDRESSES = frozenset({"127.0.0.1", "::1", "192.0.2.1"})
"""The addresses of the machine that the golden records were made on."""


class ZoneNames:
    """Name service out of the golden zone; a name that is not in it does not exist."""

    def __init__(self, zone: dict[str, Any] | None = None) -> None:
        self._zone = (zone or {}).get("zone", {})
        self._hosts = (zone or {}).get("hosts", {})

    def _records(self, name: str) -> dict[str, Any]:
        if re.search(r"(^|\.)again\.example$", name):
            raise ResolveDefer(f"{name}: try again")
        entry = self._zone.get(name.lower())
        if entry is None:
            raise HostNotFound(name)
        if isinstance(entry, str):
            raise ResolveDefer(name)
        return dict(entry)

    def addresses(self, name: str) -> list[str]:
        if name in self._hosts:
            found = self._hosts[name]
            return [found] if isinstance(found, str) else list(found)
        records = self._records(name)
        if "CNAME" in records:
            return self.addresses(records["CNAME"][0])
        found = [*records.get("AAAA", []), *records.get("A", [])]
        if not found:
            raise HostNotFound(name)
        return found

    def name_of(self, address: str) -> str:
        raise HostNotFound(address)

    def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        found = self._records(domain).get("MX", [])
        return [(int(one[0]), str(one[1])) for one in found]


def expander(
    facts: Facts, zone: dict[str, Any] | None = None, log: Callable[[str], None] = lambda line: None
) -> Expander:
    """Return an expander for *facts*."""
    lookups = Lookups(Files())
    return Expander(facts, lookups, Matcher(facts, lookups, ZoneNames(zone), log))


def facts_of(config: str) -> Facts:
    """Read the main options and named lists that the language needs out of a golden configuration."""
    options: dict[str, str] = {}
    lists: dict[str, dict[str, str]] = {kind: {} for kind in ("domain", "host", "address", "localpart")}
    for line in config.splitlines():
        if line.startswith("begin "):
            break
        named = re.match(r"(domain|host|address|localpart)list\s+(\w+)\s*=\s*(.*)", line)
        if named:
            lists[named[1]][named[2]] = dequoted(named[3].strip())
        elif option := re.match(r"(\w+)\s*=\s*(.*)", line):
            options[option[1]] = option[2]
    return Facts(
        options.get("primary_hostname", ""), options.get("qualify_domain", ""), options.get("qualify_recipient", ""),
        options.get("spool_directory", ""), domainlists=lists["domain"], hostlists=lists["host"],
        addresslists=lists["address"], localpartlists=lists["localpart"], local_addresses=lambda: LOCAL_ADDRESSES,
    )  # fmt: skip


def dequoted(text: str) -> str:
    """Undo a quoted string (only what the records use)."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
