"""``redirect``: aliases and what an alias file may hold (exim.md 6.4).

Items stand between commas and newlines. ``:fail:`` and ``:defer:`` take all that is left as a message, lines and all;
``:blackhole:`` discards; ``:include:/file`` reads on in a file; ``/file``, ``/directory/`` and ``|command`` are
deliveries by transports of their own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from smarthostd.address import Address, AddressError
from smarthostd.errors import ExpansionError, ForcedFailure
from smarthostd.expand import Expander, Values
from smarthostd.expand.addresses import EMPTY, Mailbox, Mailboxes, NotAnAddress, address_end
from smarthostd.expand.octets import octets
from smarthostd.lookups import NotRegularError
from smarthostd.routers.base import (
    DELIVERY,
    Declined,
    Mistakes,
    Purpose,
    Redirected,
    RoutedAddress,
    RoutingDeferred,
    RoutingFailed,
    Tell,
    Verdict,
    untold,
)
from smarthostd.syntax import printable

if TYPE_CHECKING:
    from smarthostd.routers.options.redirect import RedirectOptions

REDIRECT_DATA = -17
INCLUDE_LIMIT = 20
"""``:include:`` files inside one another."""
INCLUDE_NAME_LIMIT = 255
"""Octets of their names."""
ADDRESS_LIMIT = 10_000
"""Addresses that one redirection may give."""

_BETWEEN = ", \t\r\n"
_SPECIAL = re.compile(r":(fail|defer|blackhole|include):")
_DELIVERIES = ("|", "/")


class _SyntaxError(Exception):
    """An item that cannot be read, in Exim's words, with its number for that."""

    def __init__(self, text: str, errno: int = REDIRECT_DATA) -> None:
        super().__init__(text)
        self.errno = errno


class _Unreadable(Exception):
    """A file whose content is not known, in Exim's words, with the system's number for that."""

    def __init__(self, text: str, errno: int = -1) -> None:
        super().__init__(text)
        self.errno = errno


def _failed_to_open(path: str, error: OSError) -> _Unreadable:
    return _Unreadable(f"failed to open {path}: {error.strerror}", error.errno or -1)


class _Stop(Exception):
    """``:fail:``, ``:defer:`` or ``:blackhole:``: what stands behind it is not read."""

    def __init__(self, verdict: RoutingFailed | RoutingDeferred | Redirected) -> None:
        super().__init__()
        self.verdict = verdict


class _Item:
    """One item as it is *written*; quotes that enclose all of it are taken off."""

    def __init__(self, written: str) -> None:
        bare = written.strip()
        self._quoted = len(bare) > 1 and bare[0] == bare[-1] == '"'
        self.text = bare[1:-1].strip() if self._quoted else bare
        self.to_its_end = written[written.index(self.text) :] if self.text else ""
        """The text with what stands behind it."""

    @property
    def delivery(self) -> str:
        """The text as a file or a command: without the backslashes that quotes need."""
        return re.sub(r"\\(.)", r"\1", self.text, flags=re.DOTALL) if self._quoted else self.text


class _Read(Struct):
    """What has been read."""

    found: list[Address | str] = field(default_factory=list)
    """Addresses, and items as texts."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """What is wrong with items that could not be read, and the items."""
    silences: bool = False
    """An item was a comment alone: what an earlier router said is forgotten then, as in Exim."""


class Redirect:
    """One ``redirect`` router."""

    names_hosts = False
    by_domain_alone = False

    def __init__(self, options: RedirectOptions, expander: Expander, tell: Tell = untold) -> None:
        """*tell* hears of what is skipped."""
        self.name = options.name
        self.options = options
        self._expander = expander
        self._tell = tell

    async def route(self, routed: RoutedAddress, values: Values, purpose: Purpose) -> Verdict:
        """Return the new addresses."""
        try:
            text = self._text(values)
        except ForcedFailure:
            return Declined()
        except ExpansionError as error:
            template = self.options.data or self.options.file
            return RoutingDeferred(f'failed to expand "{template}": {error}')
        except _Unreadable as error:
            return RoutingDeferred(str(error), error.errno)
        if text is None:  # what an earlier router said is forgotten, as in Exim
            return Declined("")
        read = _Read()
        try:
            self._read(text, routed, read, 0)
        except _Stop as stop:
            if not (isinstance(stop.verdict, Redirected) and read.skipped):
                return self._stopped(routed, read, stop.verdict)
            read.found.clear()  # no discard where there are mistakes, as in Exim
        except _SyntaxError as error:
            kind = "data" if self.options.data else "file"
            return RoutingDeferred(f"error in redirect {kind}: {error}", error.errno)
        verdict = self._redirected(routed, read) if read.found else _nothing_read(read)
        return self._with_mistakes(verdict, read, values, purpose) if read.skipped else verdict

    def _stopped(
        self, routed: RoutedAddress, read: _Read, verdict: RoutingFailed | RoutingDeferred | Redirected
    ) -> Verdict:
        """``:fail:`` fails the address, and those that stand before it get the message nevertheless."""
        if isinstance(verdict, RoutingFailed) and read.found:
            return replace(self._redirected(routed, read), end=verdict)
        return verdict

    def _with_mistakes(
        self, verdict: Redirected | Declined, read: _Read, values: Values, purpose: Purpose
    ) -> Redirected | Declined | RoutingDeferred:
        """Log what was skipped; return *verdict* with what somebody is to hear of it, or that this cannot be said."""
        for what, item in read.skipped:
            self._tell(values, f"{self.name} router: skipped error: {printable(_in_item(what, item))}")
        if not self.options.syntax_errors_to or purpose is not DELIVERY:
            return verdict
        template = self.options.syntax_errors_to
        try:
            to = self._expander.expand(template, values)
            template = self.options.syntax_errors_text
            opening = self._expander.expand(template, values)
        except ExpansionError as error:
            return RoutingDeferred(f'failed to expand "{template}": {error}')
        mistakes = Mistakes(self.name, to, opening, tuple(read.skipped), others=bool(read.found))
        return replace(verdict, mistakes=mistakes)

    def _redirected(self, routed: RoutedAddress, read: _Read) -> Redirected:
        found = self._without_ancestors(routed, read.found)
        options = self.options
        items = [one for one in found if isinstance(one, str)]
        forbidden = [one for one in items if (options.forbid_pipe if one[0] == "|" else options.forbid_file)]
        return Redirected(tuple(found), forbidden=frozenset(forbidden))

    def _text(self, values: Values) -> str | None:
        """Return the data; None for a file that is missing in a directory that is there. Raises ExpansionError."""
        if "file" not in self.options.model_fields_set:
            return self._expander.expand(self.options.data, values)
        path = self._expander.expand(self.options.file, values)
        if not path.startswith("/"):
            raise _Unreadable(f'"{path}" is not an absolute path')
        try:
            return self._expander.lookups.files.read(path).decode("utf-8", "surrogateescape")
        except NotRegularError:
            raise _Unreadable(f"{path} is not a regular file") from None
        except FileNotFoundError:
            self._look_at_directory(path)
            return None
        except NotADirectoryError as error:
            if self.options.ignore_enotdir:
                return None
            raise _failed_to_open(path, error) from None
        except OSError as error:
            raise _failed_to_open(path, error) from None

    @staticmethod
    def _look_at_directory(path: str) -> None:
        """Raise where the directory that a file is missing in is missing itself: it may not be mounted."""
        directory = f"{path.rpartition('/')[0]}/."
        try:
            os.stat(directory)  # noqa: PTH116 - paths are texts here
        except OSError as error:
            raise _Unreadable(f"failed to stat {directory} ({error.strerror})", error.errno or -1) from None

    # -- items

    def _read(self, text: str, routed: RoutedAddress, read: _Read, depth: int) -> None:
        at = 0
        while rest := text[at:].lstrip(_BETWEEN):
            at = len(text) - len(rest)
            if rest.startswith("#"):
                at += (rest.find("\n") + 1) or len(rest)
                continue
            written = _first_item(rest)
            at += len(written)
            item = _Item(written)
            if ":unknown:".startswith(item.text):  # Exim looks at no more of it than there is
                continue
            if special := _SPECIAL.match(item.text):
                self._special(special[1], item, text[at:], routed, read, depth)
            else:
                self._item(item, routed, read)

    def _special(self, word: str, item: _Item, behind: str, routed: RoutedAddress, read: _Read, depth: int) -> None:
        """Obey ``:word:`` in *item*; a message reaches to the end of the data."""
        given = item.text[len(word) + 2 :].strip()
        if word == "include":
            self._include(given, routed, read, depth)
            return
        if word == "blackhole":
            if self.options.forbid_blackhole:
                raise _SyntaxError(f'"{item.text}" is not permitted')
            raise _Stop(Redirected((), discarded=True))
        if not getattr(self.options, f"allow_{word}"):
            raise _SyntaxError(f'"{item.text}" is not permitted')
        message = (item.to_its_end[len(word) + 2 :] + behind).lstrip().rstrip("\n")
        raise _Stop(RoutingFailed(message) if word == "fail" else RoutingDeferred(message, -1, public=True))

    def _include(self, path: str, routed: RoutedAddress, read: _Read, depth: int) -> None:
        if not path:
            raise _SyntaxError("file name missing after :include:")
        if len(octets(path)) > INCLUDE_NAME_LIMIT:
            raise _SyntaxError(f'included file name "{path}" is too long')
        if not path.startswith("/"):
            raise _SyntaxError(f'included file "{path}" is not an absolute path')
        if self.options.forbid_include:
            raise _SyntaxError("included files not permitted")
        if depth >= INCLUDE_LIMIT:
            raise _SyntaxError(f"included files nested too deeply at {path}")
        directory = self.options.include_directory
        try:
            read_file = partial(_read_inside, directory) if directory else self._expander.lookups.files.read
            text = read_file(path).decode("utf-8", "surrogateescape")
        except NotRegularError:
            where = f" in the {directory} directory" if directory else ""
            raise _SyntaxError(f"included file {path} is not a regular file{where}") from None
        except OSError as error:
            raise _SyntaxError(f"failed to open included file {path}: {error.strerror}", error.errno or -1) from error
        before = len(read.found)
        try:
            self._read(text, routed, read, depth + 1)
        except _Stop:
            del read.found[before:]  # a file that ends so gives nothing
            raise

    def _item(self, item: _Item, routed: RoutedAddress, read: _Read) -> None:
        if len(read.found) >= ADDRESS_LIMIT:
            raise _SyntaxError(f"more than {ADDRESS_LIMIT} addresses")
        try:
            mailbox = self._mailbox(item.text, routed)
        except NotAnAddress as error:
            if item.text.startswith(_DELIVERIES):
                read.found.append(item.delivery)
            elif str(error) == EMPTY:
                read.silences = True
            else:
                self._unreadable(str(error), item.text, read)
            return
        if item.text.startswith(_DELIVERIES) and not mailbox.domain:
            read.found.append(item.delivery)
        else:
            try:
                read.found.append(Address.of(mailbox.local_part, mailbox.domain or self._own_domain(routed)))
            except AddressError as error:  # Exim would send it on
                self._unreadable(str(error), item.text, read)

    def _unreadable(self, what: str, item: str, read: _Read) -> None:
        """Skip an item that cannot be read, if that is wanted; else raise _SyntaxError."""
        if not self.options.skip_syntax_errors:
            raise _SyntaxError(_in_item(what, item))
        read.skipped.append((what, item))

    @staticmethod
    def _mailbox(text: str, routed: RoutedAddress) -> Mailbox:
        """Return the address in *text*, in the incoming domain if a backslash stands before a bare local part."""
        if text.startswith("\\"):
            with contextlib.suppress(NotAnAddress):
                found = Mailboxes().read(text[1:])
                if not found.domain:
                    return replace(found, domain=routed.address.domain)
        return Mailboxes().read(text)

    def _own_domain(self, routed: RoutedAddress) -> str:
        if self.options.qualify_preserve_domain:
            return routed.address.domain
        facts = self._expander.facts
        return self.options.qualify_domain or facts.qualify_recipient or facts.qualify_domain

    def _without_ancestors(self, routed: RoutedAddress, found: list[Address | str]) -> list[Address | str]:
        if not self.options.check_ancestor:
            return found
        ancestors = {str(address).lower() for address in (routed.address, *routed.parents)}

        def is_ancestor(one: Address | str) -> bool:
            return isinstance(one, Address) and str(one).lower() in ancestors

        return [routed.address if is_ancestor(one) else one for one in found]


def _in_item(what: str, item: str) -> str:
    return f'{what} in "{item}"'


def _nothing_read(read: _Read) -> Declined:
    if read.skipped:
        return Declined("syntax error in redirection data")
    return Declined("" if read.silences else None)


def _first_item(text: str) -> str:
    """Return the text up to the first comma or newline that ends an address: none in quotes, brackets or comments."""
    line = text.split("\n", 1)[0]
    return line[: address_end(line, 0)]


def _read_inside(directory: str, path: str) -> bytes:
    """Return what the file *path* holds, the very one that is below *directory*, with no symbolic link between the two.

    As in Exim. Raises _SyntaxError where there is none, OSError where it cannot be read.
    """
    descriptor = _opened_inside(directory, path)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegularError(path)
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


def _opened_inside(directory: str, path: str) -> int:
    """Open it, going from directory to directory; raises _SyntaxError."""
    above = directory.rstrip("/")
    parts = path[len(above) + 1 :].split("/")
    if not path.startswith(f"{above}/"):
        raise _SyntaxError(f"included file {path} is not in directory {directory}")
    try:
        at = os.open(directory, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _SyntaxError(f"failed to open directory {directory}") from error
    try:
        for part in parts:
            above_it, at = at, _open_inside(at, part)
            os.close(above_it)
    except OSError as error:
        os.close(at)
        raise _SyntaxError(f"failed to open {path} (component of included file); could be symbolic link") from error
    return at


def _open_inside(directory: int, name: str) -> int:
    """Open what lies in *directory*; raises OSError for a symbolic link, and for ``..``, which Exim would follow."""
    if name == "..":
        raise OSError(errno.ENOENT, "leads out")
    return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
