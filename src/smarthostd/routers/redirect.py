"""``redirect``: aliases and what an alias file may hold (exim.md 6.4).

Items stand between commas and newlines. ``:fail:`` and ``:defer:`` take the rest of their line as a message;
``:blackhole:`` discards; ``:include:/file`` reads on in a file; ``/file`` and ``/dir/`` are deliveries. Pipes are
not run, and say so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from smarthostd.address import Address, AddressError
from smarthostd.errors import Deferral, ExpansionDefer, ExpansionError, ForcedFailure
from smarthostd.expand import Expander, Values
from smarthostd.expand.addresses import extract, split_addresses
from smarthostd.options import Bool, Expanded, Octal, String, StringList, option
from smarthostd.routers.base import Declined, Redirected, RoutedAddress, RoutingDeferred, RoutingFailed, Verdict
from smarthostd.routers.options import RouterOptions

REDIRECT_DATA = -17
INCLUDE_LIMIT = 20
"""``:include:`` files inside one another."""
ADDRESS_LIMIT = 10_000
"""Addresses that one redirection may give."""


class RedirectOptions(RouterOptions):
    """Options of ``driver = redirect``."""

    driver: Literal["redirect"]
    data: Expanded = option("", "Where the address is redirected to.")
    file: Expanded = option("", "A file that says where.")
    allow_fail: Bool = option(False, "Allow :fail:.")
    allow_defer: Bool = option(False, "Allow :defer:.")
    allow_filter: Bool = option(False, "Accepted only as false: filters are not there.")
    allow_freeze: Bool = option(False, "Accepted and ignored: for filters.")
    forbid_blackhole: Bool = option(False, "Forbid :blackhole:.")
    forbid_file: Bool = option(False, "Forbid deliveries to files.")
    forbid_include: Bool = option(False, "Forbid :include:.")
    forbid_pipe: Bool = option(False, "Forbid pipes; they are not run in any case.")
    forbid_smtp_code: Bool = option(False, "Accepted and ignored.")
    check_ancestor: Bool = option(False, "Drop a new address that is an ancestor of this one.")
    check_owner: Bool = option(False, "Accepted and ignored.")
    check_group: Bool = option(False, "Accepted and ignored.")
    directory_transport: Expanded = option("", "The transport for /dir/ items.")
    file_transport: Expanded = option("", "The transport for /file items.")
    pipe_transport: Expanded = option("", "Accepted and ignored: pipes are not run.")
    reply_transport: Expanded = option("", "Accepted and ignored: for filters.")
    hide_child_in_errmsg: Bool = option(False, "Do not name the new addresses in bounces.")
    ignore_enotdir: Bool = option(False, "A path of which a part is no directory counts as a missing file.")
    include_directory: Expanded = option("", "Includes must be below this directory.")
    modemask: Octal = option(0o022, "Accepted and ignored.")
    one_time: Bool = option(False, "Accepted and ignored: new addresses are found again at each attempt.")
    owners: StringList = option("", "Accepted and ignored.")
    owngroups: StringList = option("", "Accepted and ignored.")
    qualify_domain: Expanded = option("", "The domain for new addresses without one.")
    qualify_preserve_domain: Bool = option(False, "New addresses without a domain get the incoming one.")
    repeat_use: Bool = option(True, "Accepted and ignored.")
    rewrite: Bool = option(True, "Whether the rewriting rules apply to new addresses.")
    skip_syntax_errors: Bool = option(False, "Leave out items that cannot be read.")
    syntax_errors_text: Expanded = option("", "Accepted and ignored.")
    syntax_errors_to: String = option("", "Accepted and ignored.")
    sieve_subaddress: Expanded = option("", "Accepted and ignored: Sieve is not there.")
    sieve_useraddress: Expanded = option("", "Accepted and ignored: Sieve is not there.")
    sieve_vacation_directory: Expanded = option("", "Accepted and ignored: Sieve is not there.")


class _SyntaxError(Exception):
    """An item that cannot be read, in Exim's words."""


class _Stop(Exception):
    """``:fail:`` or ``:defer:``."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__()
        self.verdict = verdict


@dataclass(slots=True)
class _Items:
    """What has been read."""

    addresses: list[Address] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    discarded: bool = False
    skipped: bool = False


class Redirect:
    """One ``redirect`` router."""

    def __init__(self, options: RedirectOptions, expander: Expander) -> None:
        self.name = options.name
        self.options = options
        self._expander = expander

    async def route(self, routed: RoutedAddress, values: Values) -> Verdict:
        """Return the new addresses."""
        try:
            text = self._text(values)
        except (ExpansionDefer, Deferral) as error:
            return RoutingDeferred(str(error), -1)
        except ForcedFailure:
            return Declined()
        except ExpansionError as error:
            return RoutingDeferred(f"error in expansion of redirect data: {error}", -27)
        if text is None or not text.strip():
            return Declined()
        items = _Items()
        try:
            self._read(text, routed, items, 0)
        except _Stop as stop:
            return stop.verdict
        except _SyntaxError as error:
            return RoutingDeferred(f"error in redirect data: {error}", REDIRECT_DATA)
        if not items.addresses and not items.files and not items.discarded:
            return Declined()
        addresses = self._without_ancestors(routed, items.addresses)
        return Redirected(tuple(addresses), tuple(items.files), items.discarded and not (addresses or items.files))

    def _text(self, values: Values) -> str | None:
        if self.options.data:
            return self._expander.expand(self.options.data, values)
        path = self._expander.expand(self.options.file, values)
        try:
            return self._expander.lookups.files.read(path).decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ExpansionDefer(f"failed to open {path}: {error.strerror}") from error

    # -- items

    def _read(self, text: str, routed: RoutedAddress, items: _Items, depth: int) -> None:
        at = 0
        while at < len(text):
            rest = text[at:].lstrip(", \t\r\n")
            at = len(text) - len(rest)
            if not rest:
                return
            if rest.startswith("#"):
                at += (rest.find("\n") + 1) or len(rest)
                continue
            special = re.match(r":(fail|defer|unknown|blackhole|include):[ \t]*([^\n]*)", rest, re.IGNORECASE)
            if special:
                at += self._special(special, routed, items, depth)
                continue
            item = _first_item(rest)
            at += len(item)
            self._item(item.strip(), routed, items)

    def _special(self, special: re.Match[str], routed: RoutedAddress, items: _Items, depth: int) -> int:
        """Obey ``:word:``; return how much of the text it took."""
        word, rest = special[1].lower(), special[2].strip()
        if word in ("fail", "defer"):
            if not getattr(self.options, f"allow_{word}"):
                raise _SyntaxError(f'":{word}:" is not permitted')
            verdict = RoutingFailed(rest or "user unknown") if word == "fail" else RoutingDeferred(rest, -1)
            raise _Stop(verdict if rest or word == "fail" else RoutingDeferred("", -1))
        if word == "include":
            path = _first_item(rest).strip()
            self._include(path, routed, items, depth)
            return special.start(2) + len(_first_item(special[2]))
        if word == "blackhole":
            if self.options.forbid_blackhole:
                raise _SyntaxError('":blackhole:" is not permitted')
            items.discarded = True
        return special.start(2)

    def _include(self, path: str, routed: RoutedAddress, items: _Items, depth: int) -> None:
        if self.options.forbid_include:
            raise _SyntaxError('"include" forbidden')
        if not path.startswith("/"):
            raise _SyntaxError(f'included file "{path}" is not an absolute path')
        if depth >= INCLUDE_LIMIT:
            raise _SyntaxError(f"included files nested too deeply at {path}")
        try:
            text = self._expander.lookups.files.read(path).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise _Stop(RoutingDeferred(f"failed to open included file {path}: {error.strerror}", -1)) from error
        self._read(text, routed, items, depth + 1)

    def _item(self, item: str, routed: RoutedAddress, items: _Items) -> None:
        if len(items.addresses) >= ADDRESS_LIMIT:
            raise _SyntaxError(f"more than {ADDRESS_LIMIT} addresses")
        bare = item[1:-1] if len(item) > 1 and item[0] == item[-1] == '"' else item
        try:
            if bare.startswith("|"):
                raise _SyntaxError("pipes are not run by smarthostd: deliver to a file, a directory or an address")
            if bare.startswith("/") and "@" not in bare:
                self._file(bare, items)
                return
            items.addresses.append(self._address(item, routed))
        except _SyntaxError:
            if not self.options.skip_syntax_errors:
                raise
            items.skipped = True

    def _file(self, path: str, items: _Items) -> None:
        if self.options.forbid_file:
            raise _SyntaxError("file delivery forbidden")
        items.files.append(path)

    def _address(self, item: str, routed: RoutedAddress) -> Address:
        if item.startswith("\\"):
            return Address(item[1:], routed.address.domain)
        if "#" in item and re.search(r"\s#", item):
            raise _SyntaxError(
                f"malformed address: {item[item.index('#') :]} may not follow {item.split('#', maxsplit=1)[0].strip()}"
            )
        found = extract(item)
        if found is None:
            raise _SyntaxError(_malformed(item))
        local_part, domain = found
        if not domain:
            domain = self._own_domain(routed)
        try:
            return Address.parse(f"{local_part}@{domain}")
        except AddressError as error:
            raise _SyntaxError(f'{error} in "{item}"') from error

    def _own_domain(self, routed: RoutedAddress) -> str:
        if self.options.qualify_preserve_domain:
            return routed.address.domain
        facts = self._expander.facts
        return self.options.qualify_domain or facts.qualify_recipient or facts.qualify_domain

    def _without_ancestors(self, routed: RoutedAddress, addresses: list[Address]) -> list[Address]:
        if not self.options.check_ancestor:
            return addresses
        ancestors = {routed.address.key, *(parent.key for parent in routed.parents)}
        return [routed.address if address.key in ancestors else address for address in addresses]


def _first_item(text: str) -> str:
    """Return the text up to the first comma or newline that is not inside quotes, brackets or comments."""
    line = text.split("\n", 1)[0]
    pieces = split_addresses(line) if ":" not in line and ";" not in line else [line.split(",")[0]]
    return line[: line.index(pieces[0]) + len(pieces[0])] if pieces else line


def _malformed(item: str) -> str:
    """Return Exim's words for an item that is no address."""
    if item.count("@") > 1:
        first = item.split("@")
        return f'malformed address: @{"@".join(first[2:])} may not follow {first[0]}@{first[1]} in "{item}"'
    if item.endswith("@"):
        return f'domain missing or malformed in "{item}"'
    word, _, rest = item.partition(" ")
    if rest:
        return f'malformed address: {rest.strip()} may not follow {word} in "{item}"'
    return f'malformed address in "{item}"'
