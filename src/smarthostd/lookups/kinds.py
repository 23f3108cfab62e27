"""The names of lookups: ``partial2(*.)lsearch*@,ret=key`` taken apart (exim.md 4.2)."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from smarthostd.errors import ExpansionError

SINGLE_KEY = frozenset({"lsearch", "wildlsearch", "nwildlsearch", "iplsearch", "dsearch"})
_CONVERTIBLE = {"dbm": "dbm", "dbmnz": "dbm", "dbmjz": "dbm", "cdb": "cdb"}
_OUT_OF_SCOPE = frozenset({
    "dnsdb", "ibase", "json", "ldap", "ldapdn", "ldapm", "lmdb", "mysql", "nis", "nis0", "nisplus", "oracle", "passwd",
    "pgsql", "redis", "spf", "sqlite", "testdb", "whoson",
})  # fmt: skip
_PARTIAL = re.compile(r"partial(\d*)(?:\(([^)]*)\)|-)", re.ASCII)


class UnknownLookup(ExpansionError):
    """No lookup of that name; Exim stops at start."""


class Kind(Struct, frozen=True):
    """One way of looking up."""

    name: str
    partial: int = -1
    """How many components must remain; -1 for no partial matching."""
    affix: str = "*."
    star: bool = False
    """Last, try the key ``*``."""
    star_at: bool = False
    """Before that, try ``*@domain``."""
    returns: str = ""
    """``key`` or ``full`` where not the data is wanted."""
    filter: str = ""
    """``file``, ``dir`` or ``subdir``: the entries that ``dsearch`` sees."""


@lru_cache(256)
def parse_kind(text: str) -> Kind:
    """Return the kind that *text* names; raises UnknownLookup.

    As in Exim the type ends at the first asterisk, and of what stands behind that only options count.
    """
    partial = _PARTIAL.match(text)
    rest = text[partial.end() :] if partial else text
    name, star, behind = rest.partition("*")
    name, _, options = (name, "", behind.partition(",")[2]) if star else name.partition(",")
    if name in _CONVERTIBLE:
        raise UnknownLookup(
            f'lookup type "{name}" is not in smarthostd: write its source file as text and look it up with lsearch'
        )
    if name in _OUT_OF_SCOPE:
        raise UnknownLookup(f'lookup type "{name}" is not in smarthostd: use lsearch, or one of its family')
    if name not in SINGLE_KEY:
        raise UnknownLookup(f'unknown lookup type "{name}"')
    count, affix = (int(partial[1] or 2), partial[2]) if partial else (-1, None)
    given = dict(option.split("=", 1) for option in options.split(",") if "=" in option)
    return Kind(
        name, count, "*." if affix is None else affix, bool(star), behind.startswith("@"), given.get("ret", ""),
        given.get("filter", ""),
    )  # fmt: skip
