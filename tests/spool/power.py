"""A model of a disk that loses its power: from a trace of system calls, what may be on it then.

What was written is there for certain when a sync of its file has begun after that and has ended; a name that was made
or taken away, when its directory's has. Of all that was not yet synced any part may be there: each write for itself, or
torn at sectors or pages, and where a file became longer, garbage. The trace is ``strace``'s, made with :data:`OPTIONS`.
"""

from __future__ import annotations

import codecs
import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS = "openat,pwrite64,pwritev,pwritev2,write,ftruncate,unlink,unlinkat,rename,fsync,fdatasync"
OPTIONS = ["-f", "-y", "-s", str(1 << 22), "-e", f"trace={CALLS}"]
NOT_ON_DISK = re.compile(r"-shm$|^promises$")
"""The database's shared memory, which its first user makes anew; and what the traced process says."""

_LINE = re.compile(
    r"^(\d+) +(?:(\w+)\((.*)\) += (-?\d+).*"
    r"|(\w+)\((.*) <unfinished \.\.\.>"
    r"|<\.\.\. \w+ resumed>(.*)\) += (-?\d+).*)$"
)
_FILE = re.compile(r"^\d+<([^>]*)>(?:, )?(.*)$", re.DOTALL)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Begun:
    """A sync has begun."""

    path: Path
    thread: str


@dataclass(frozen=True)
class Ended:
    """It has ended well."""

    path: Path
    thread: str


@dataclass(frozen=True)
class Written:
    """Octets were written at a place, or where the last write to that file ended."""

    path: Path
    octets: bytes
    at: int | None = None


@dataclass(frozen=True)
class Cut:
    """A file has this length now."""

    path: Path
    length: int


@dataclass(frozen=True)
class Opened:
    """A file that is there was opened to be written, from its beginning."""

    path: Path


@dataclass(frozen=True)
class Named:
    """A name was opened that may be new, or taken away, or given to what had another."""

    path: Path
    there: bool
    before: Path | None = None


Event = Begun | Ended | Written | Cut | Opened | Named


def events(trace: str) -> Iterator[Event]:
    """Yield what a trace says, in the order in which it ended."""
    begun: dict[str, tuple[str, str]] = {}
    for line in trace.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        thread, name, said, result, name_begun, said_begun, said_later, result_later = match.groups()
        if name_begun:
            begun[thread] = (name_begun, said_begun)
            yield from _begun(thread, name_begun, said_begun)
            continue
        if name:
            yield from _begun(thread, name, said)
        else:
            name, said_first = begun.pop(thread, ("", ""))
            said, result = said_first + said_later, result_later
        if int(result) >= 0:
            yield from _ended(thread, name, said, int(result))


def _begun(thread: str, name: str, said: str) -> Iterator[Event]:
    if name in ("fsync", "fdatasync") and (match := _FILE.match(said)):
        yield Begun(Path(match[1]), thread)


def _ended(thread: str, name: str, said: str, result: int) -> Iterator[Event]:
    strings = [codecs.escape_decode(text.encode())[0] for text in _STRING.findall(said)]
    file = _FILE.match(said)
    match name:
        case "openat":
            if "O_CREAT" in said:
                yield Named(Path(strings[0].decode()), True)
            elif "O_WRONLY" in said:
                yield Opened(Path(strings[0].decode()))
        case "unlink" | "unlinkat":
            yield Named(Path(strings[0].decode()), False)
        case "rename":
            yield Named(Path(strings[1].decode()), True, Path(strings[0].decode()))
        case "fsync" | "fdatasync":
            assert file
            yield Ended(Path(file[1]), thread)
        case "ftruncate":
            assert file
            yield Cut(Path(file[1]), int(file[2]))
        case "write":
            assert file
            yield Written(Path(file[1]), strings[0][:result])
        case "pwrite64" | "pwritev" | "pwritev2":
            assert file
            place = said.rsplit(", ", 2 if name == "pwritev2" else 1)[1]
            yield Written(Path(file[1]), b"".join(strings)[:result], int(place))


@dataclass
class _File:
    synced: bytearray = field(default_factory=bytearray)
    changes: list[Written | Cut] = field(default_factory=list)
    """Those since then."""
    end: int = 0
    """Where the last write ended."""


@dataclass
class _Directory:
    now: dict[str, _File] = field(default_factory=dict)
    synced: dict[str, _File] = field(default_factory=dict)
    changes: list[tuple[str, _File | None]] = field(default_factory=list)


class Disk:
    """What is below *root*: as it is, and as it would be."""

    def __init__(self, root: Path, *below: str) -> None:
        self._root = root
        self._directories = {place: _Directory() for place in (root, *(root / name for name in below))}
        self._syncs: dict[tuple[Path, str], int] = {}

    def take(self, event: Event) -> bool:
        """Note *event*; return whether it is about this disk."""
        path = event.path
        directory = self._directories.get(path.parent)
        if path in self._directories:
            self._take_directory(self._directories[path], event)
            return True
        if directory is None or NOT_ON_DISK.search(path.name):
            return False
        if isinstance(event, Named):
            self._take_name(directory, event)
        elif (file := directory.now.get(path.name)) is not None:
            self._take_change(file, event)
        return True

    def _take_directory(self, directory: _Directory, event: Event) -> None:
        if isinstance(event, Begun):
            self._syncs[event.path, event.thread] = len(directory.changes)
        elif isinstance(event, Ended):
            count = self._syncs.pop((event.path, event.thread))
            for name, file in directory.changes[:count]:
                _name(directory.synced, name, file)
            del directory.changes[:count]
            self._shift(event.path, count)

    def _take_name(self, directory: _Directory, event: Named) -> None:
        name = event.path.name
        if event.before is not None:
            before = self._directories[event.before.parent]
            file: _File | None = before.now.pop(event.before.name)
            before.changes.append((event.before.name, None))
        elif event.there:
            if name in directory.now:
                return
            file = _File()
        else:
            file = None
        _name(directory.now, name, file)
        directory.changes.append((name, file))

    def _take_change(self, file: _File, event: Event) -> None:
        match event:
            case Begun():
                self._syncs[event.path, event.thread] = len(file.changes)
            case Ended():
                count = self._syncs.pop((event.path, event.thread))
                for change in file.changes[:count]:
                    _change(file.synced, change)
                del file.changes[:count]
                self._shift(event.path, count)
            case Written(at=None):
                file.changes.append(Written(event.path, event.octets, file.end))
                file.end += len(event.octets)
            case Written() | Cut():
                file.changes.append(event)
            case Opened():
                file.end = 0

    def _shift(self, path: Path, count: int) -> None:
        """Other syncs of the same file that are under way began with so many changes fewer."""
        for one in self._syncs:
            if one[0] == path:
                self._syncs[one] = max(0, self._syncs[one] - count)

    def lose_power(self, target: Path, chance: random.Random) -> str:
        """Make in *target* what may be there after a loss of power now; return what became of what was not synced."""
        way = chance.choice(["lost", "there", "each", "sectors", "pages", "garbage", "last"])
        names = chance.choice(["lost", "there", "each"])
        for place, directory in self._directories.items():
            folder = target / place.relative_to(self._root)
            folder.mkdir(parents=True, exist_ok=True)
            there = dict(directory.synced)
            lost: set[str] = set()
            for name, file in directory.changes:
                if name in lost or names == "lost" or (names == "each" and chance.random() < 0.5):
                    lost.add(name)  # and what was done to that name later
                else:
                    _name(there, name, file)
            for name, file in there.items():
                (folder / name).write_bytes(_left(file, way, chance))
        return f"octets: {way}, names: {names}"


def _name(names: dict[str, _File], name: str, file: _File | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


def _change(octets: bytearray, change: Written | Cut) -> None:
    if isinstance(change, Cut):
        octets.extend(bytes(max(0, change.length - len(octets))))
        del octets[change.length :]
        return
    assert change.at is not None
    octets.extend(bytes(max(0, change.at - len(octets))))
    octets[change.at : change.at + len(change.octets)] = change.octets


def _left(file: _File, way: str, chance: random.Random) -> bytes:
    """Return what is left of a file."""
    octets = bytearray(file.synced)
    share = chance.choice([0.2, 0.5, 0.9])
    changes = file.changes[-1:] if way == "last" else file.changes
    for change in changes:
        if way in ("there", "last") or (way == "each" and chance.random() < share):
            _change(octets, change)
        elif way in ("sectors", "pages"):
            for part in _parts(change, 512 if way == "sectors" else 4096):
                if chance.random() < share:
                    _change(octets, part)
        elif way == "garbage" and isinstance(change, Written):
            _change(octets, Written(change.path, chance.randbytes(len(change.octets)), change.at))
    return bytes(octets)


def _parts(change: Written | Cut, unit: int) -> list[Written | Cut]:
    """Return *change* as the disk writes it, unit by unit."""
    if isinstance(change, Cut):
        return [change]
    assert change.at is not None
    first = unit - change.at % unit
    cuts = [0, *range(first, len(change.octets), unit), len(change.octets)]
    return [
        Written(change.path, change.octets[begin:end], change.at + begin) for begin, end in itertools.pairwise(cuts)
    ]
