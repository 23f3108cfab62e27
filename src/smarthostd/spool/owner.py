"""Whose files are: what root makes in another user's place belongs to that user.

The daemon is not root, its tools often are; a file of root's in the spool, or a log file of root's, would stop the
daemon. That user may have put something else in the file's place: no link of his is followed, and what has a second
name is left alone, or he would be given root's own files, or root would write into them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from pathlib import Path


def give_away(*paths: Path, like: Path | None = None) -> None:
    """Where we are root, let those of *paths* that are root's belong to the owner of their directory, or of *like*."""
    if os.geteuid() != 0:
        return
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            owner = (like or path.parent).stat()
            if owner.st_uid != 0 and _is_ours(path.lstat()):
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def login(uid: int | None = None) -> str:
    """Return the login of a user, of this process's where none is named; ``uid 7`` where the system knows none."""
    uid = os.geteuid() if uid is None else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def is_forbidden(directory: Path, error: Exception) -> bool:
    """Whether *error* means that this process may not write to *directory*."""
    return isinstance(error, PermissionError) or (directory.is_dir() and not os.access(directory, os.W_OK))


def owner_only(directory: Path, *, ours: bool) -> str:
    """Return what to do where *directory* cannot be entered or written to; *ours*: it is to belong to this process."""
    me, name_or_number = login(), login().removeprefix("uid ")
    try:
        uid = directory.stat().st_uid
    except OSError:
        return f"root can make it for {me}: install -d -m 0700 -o {name_or_number} {directory}"
    name = login(uid)
    if ours and uid != os.geteuid():
        return f"it belongs to {name}, and the user {me} runs smarthostd: chown -R {name_or_number} {directory}"
    return f"it belongs to {name}: try again as {name}" + (" or as root" if uid else "")


def give_away_open(descriptor: int, directory: Path) -> None:
    """Do the same with an open file in *directory*."""
    if os.geteuid() != 0:
        return
    owner = directory.stat()
    if owner.st_uid != 0 and _is_ours(os.fstat(descriptor)):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def open_to_append(path: Path, mode: int) -> int:
    """Open a file, made if need be, whose directory may be another user's; raises OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    guarded = os.geteuid() == 0 and path.parent.stat().st_uid != 0 and not _is_roots_link(path)
    descriptor = os.open(path, flags | (os.O_NOFOLLOW if guarded else 0), mode)
    try:
        if guarded and os.fstat(descriptor).st_nlink > 1:
            raise OSError(errno.EMLINK, "it has a second name, and root does not write there", str(path))
        give_away_open(descriptor, path.parent)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _is_roots_link(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        status = path.lstat()
        return stat.S_ISLNK(status.st_mode) and status.st_uid == 0
    return False


def _is_ours(file: os.stat_result) -> bool:
    single = stat.S_ISDIR(file.st_mode) or (stat.S_ISREG(file.st_mode) and file.st_nlink == 1)
    return file.st_uid == 0 and single
