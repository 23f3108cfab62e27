"""Key to data: the ``lsearch`` family and ``dsearch``, with partial and default keys (exim.md 4).

A missing key is None, a missing file defers, since the operator may be replacing it. Everything that is
read goes through one :class:`Files`, so that a file is parsed once for each version of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import TypeAlias

from msgspec import Struct

from smarthostd.errors import ExpansionError, ForcedFailure, LookupDefer
from smarthostd.lookups.files import Files, NotRegularError, Stamp
from smarthostd.lookups.kinds import Kind, UnknownLookup, parse_kind
from smarthostd.lookups.lsearch import Item, parse, parse_items

Expand: TypeAlias = Callable[[str], str]
MatchKey: TypeAlias = Callable[[str, str, Expand | None], bool]
"""(subject, pattern, expand) to whether they match, as a domain list's item would."""


class LookupUnopened(LookupDefer):
    """The file itself cannot be opened: an expansion error, not "not found"."""


class Found(Struct, frozen=True):
    """The data of a key; *numbered* are $0, $1 … where partial and default keys set them."""

    data: str
    numbered: tuple[str, ...] = ()


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class Lookups:
    """Looks keys up in files."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._match_key: MatchKey | None = None

    def match_keys_by(self, match_key: MatchKey) -> None:
        """Let the keys of ``wildlsearch`` files be matched by *match_key* (lists know how)."""
        self._match_key = match_key

    def find(self, kind: str, key: str, file: str, *, expand: Expand | None = None) -> Found | None:
        """Return what *file* has for *key*, looked up as *kind* says (``partial-lsearch*``), or None.

        Raises UnknownLookup for a kind that is not there, LookupDefer where no answer can be given.
        """
        parsed = parse_kind(kind)
        found = self._find(parsed, key, file, expand)
        return Found(key, found.numbered) if found is not None and parsed.returns == "key" else found

    def _find(self, parsed: Kind, key: str, file: str, expand: Expand | None) -> Found | None:
        found = self._exact(parsed, key, file, expand)
        if found is not None:
            return Found(found.data, ("", "", key)) if parsed.partial >= 0 else found
        if parsed.partial >= 0:
            found = self._partial(parsed, key, file, expand)
        if found is None and parsed.star_at:
            local_part, at, domain = key.rpartition("@")
            if at and local_part:
                found = self._default(parsed, f"*@{domain}", local_part, file, expand)
        if found is None and parsed.star:
            found = self._default(parsed, "*", key, file, expand)
        return found

    def _default(self, kind: Kind, key: str, wild: str, file: str, expand: Expand | None) -> Found | None:
        found = self._exact(kind, key, file, expand)
        return None if found is None else Found(found.data, ("", wild))

    def _partial(self, kind: Kind, key: str, file: str, expand: Expand | None) -> Found | None:
        """Try the affix before the whole key, then before what remains without its first components."""
        affix = kind.affix
        if affix:
            found = self._exact(kind, affix + key, file, expand)
            if found is not None:
                return Found(found.data, ("", "", key))
        rest = key
        for _ in range(key.count(".") - kind.partial + 1):
            _, dot, rest = rest.partition(".")
            if not dot:
                return self._affix_alone(kind, key, file, expand)
            found = self._exact(kind, affix + rest, file, expand)
            if found is not None:
                return Found(found.data, ("", key[: len(key) - len(rest) - 1], rest))
        return None

    def _affix_alone(self, kind: Kind, key: str, file: str, expand: Expand | None) -> Found | None:
        """The last try of ``partial0-``: the affix itself, without its dot."""
        affix = kind.affix[:-1] if len(kind.affix) > 1 and kind.affix.endswith(".") else kind.affix
        found = self._exact(kind, affix, file, expand) if affix else None
        return None if found is None else Found(found.data, ("", key[:-1], ""))

    # -- one key in one file

    def _exact(self, kind: Kind, key: str, file: str, expand: Expand | None) -> Found | None:
        if kind.name == "dsearch":
            return self._dsearch(kind, key, file)
        try:
            if kind.name == "lsearch" or (kind.name == "iplsearch" and key == "*"):
                items_by_key = self.files.parsed(file, parse)
                item = items_by_key.get(_octets(key).lower()) if key else None
                return None if item is None else self._found(kind, item)
            items = self.files.parsed(file, parse_items)
        except NotRegularError as error:
            raise LookupUnopened(f"{file} is not a regular file (lsearch lookup)") from error
        except OSError as error:
            text = f"failed to open {file} for linear search: {error.strerror}"
            raise LookupUnopened(text) from error
        if not key:
            return None  # Exim finds an empty key in no file
        if kind.name == "iplsearch":
            return self._by_address(kind, key, items)
        return self._wild(kind, key, items, expand)

    @staticmethod
    def _found(kind: Kind, item: Item) -> Found:
        return Found(_text(item.line if kind.returns == "full" else item.data))

    def _by_address(self, kind: Kind, key: str, items: list[Item]) -> Found | None:
        try:
            address = ip_address(key)
            address = getattr(address, "ipv4_mapped", None) or address
        except ValueError:
            raise LookupDefer(
                f'"{key}" is not a valid iplsearch key (an IP address, with optional CIDR mask, is wanted): '
                "in a host list, use net-iplsearch as the search type"
            ) from None
        for item in items:
            try:
                if address in ip_network(_text(item.key), strict=False):
                    return self._found(kind, item)
            except ValueError:
                continue  # a key that is no network never matches
        return None

    def _wild(self, kind: Kind, key: str, items: list[Item], expand: Expand | None) -> Found | None:
        assert self._match_key is not None, "lists.Matcher says how keys are matched"
        for item in items:
            pattern = _text(item.key)
            if kind.name == "wildlsearch" and expand:
                try:
                    pattern = expand(pattern)
                except ForcedFailure:
                    continue
                except ExpansionError:
                    raise LookupDefer("") from None
            if self._match_key(key, pattern, expand):
                return self._found(kind, item)
        return None

    @staticmethod
    def _dsearch(kind: Kind, key: str, directory: str) -> Found | None:
        """Return *key* if *directory* has an entry of that name; a key with a slash is not looked for."""
        if not os.path.isdir(directory):  # noqa: PTH112 - paths are texts here
            raise LookupUnopened(f"failed to open {directory} for directory search: No such file or directory")
        if "/" in key:
            raise LookupDefer(f"key for dsearch lookup contains a slash: {key}")
        path = f"{directory}/{key}"
        if not key or "\0" in key or not _passes(kind.filter, key, path):
            return None
        return Found(path if kind.returns == "full" else key)


def _passes(wanted: str, name: str, path: str) -> bool:
    """Return whether a directory has the entry, and it is of the kind that ``filter=`` names."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    if wanted == "file":
        return stat.S_ISREG(mode)
    if wanted in ("dir", "subdir"):
        return stat.S_ISDIR(mode) and (wanted == "dir" or name not in (".", ".."))
    return True


__all__ = ["Files", "Found", "LookupDefer", "LookupUnopened", "Lookups", "NotRegularError", "Stamp", "UnknownLookup"]
