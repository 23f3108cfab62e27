"""``require_files``: files that must, or must not, be there (exim.md 6.1).

Items are absolute paths, ``!`` before those that must not be there, ``+`` before those that count as missing where
they are out of reach. An item without a slash is a user, or ``user,group``: the files behind it must be readable for
him. As in Exim the modes of the path say so; nobody's identity is taken on.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Sequence
from errno import EACCES
from pathlib import Path

from msgspec import Struct

from smarthostd.errors import SmarthostdError


class CannotCheck(SmarthostdError):
    """An item of which nobody can say whether it holds, in Exim's words."""


class _Reader(Struct, frozen=True):
    """Who must be able to read."""

    uid: int
    gid: int

    def must_reach(self, path: Path) -> None:
        """Raise OSError where *path* is not there, or not for this reader."""
        for folder in reversed(path.parents):
            self._must_have(folder, stat.S_IXOTH)
        self._must_have(path, stat.S_IROTH)

    def _must_have(self, path: Path, bit: int) -> None:
        found = path.stat()
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid == self.gid else 0
        if self.uid != 0 and not found.st_mode >> shift & bit:
            raise PermissionError(EACCES, os.strerror(EACCES), str(path))


def failing(items: Sequence[str]) -> str:
    """Return the first of *items* that does not hold, empty if all do; raises CannotCheck."""
    reader: _Reader | None = None
    for item in filter(None, items):
        if "/" not in item:
            reader = _reader(item)
        elif not _holds(item, reader):
            return item
    return ""


def _reader(item: str) -> _Reader:
    user, comma, group = item.partition(",")
    try:
        entry = None if user.isdigit() else pwd.getpwnam(user)
    except (KeyError, ValueError):
        entry = None
    if entry is None and not user.isdigit():
        raise CannotCheck(f'user "{item}" for require_files not found')
    if not comma and user.isdigit():
        raise CannotCheck(f"group missing after numerical uid {user} for require_files")
    if not comma:
        assert entry is not None, "there is one for every name"
        return _Reader(entry.pw_uid, entry.pw_gid)
    group = group.lstrip()
    try:
        gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        raise CannotCheck(f'group "{group}" for require_files not found') from None
    return _Reader(int(user) if entry is None else entry.pw_uid, gid)


def _holds(item: str, reader: _Reader | None) -> bool:
    path, hidden_is_missing = item, item.startswith("+")
    if hidden_is_missing:
        path = path[1:].lstrip()
    wanted = not path.startswith("!")
    if not wanted:
        path = path[1:].lstrip()
    if not path.startswith("/"):
        raise CannotCheck(f'require_files: "{path}" is not absolute')
    try:
        if reader is None:
            Path(path).stat()
        else:
            reader.must_reach(Path(path))
    except FileNotFoundError:
        return not wanted
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError) and hidden_is_missing:
            return not wanted
        why = error.strerror if isinstance(error, OSError) else error
        raise CannotCheck(f"require_files: error for {path}: {why}") from error
    return wanted
