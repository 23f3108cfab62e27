"""Whose the spool's files are: what root makes in another user's spool belongs to that user.

The daemon is not root, its tools often are; a file of root's in the spool would stop the daemon, or a message of it.
That user may have put something else in the file's place: no link is followed, and what has a second name is left
alone, or he would be given root's own files.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from pathlib import Path


def give_away(*paths: Path) -> None:
    """Where we are root, let those of *paths* that are root's belong to the owner of their directory."""
    if os.geteuid() != 0:
        return
    for path in paths:
        owner = path.parent.stat()
        with contextlib.suppress(FileNotFoundError):
            if owner.st_uid != 0 and _is_ours(path.lstat()):
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def owner_only(directory: Path) -> str:
    """Return what to do where *directory* cannot be entered: who may, if it is there."""
    try:
        uid = directory.stat().st_uid
        name = pwd.getpwuid(uid).pw_name
    except OSError:
        return "see spool_directory"
    except KeyError:
        name = f"uid {uid}"
    return f"it belongs to {name}: try again as {name}" + (" or as root" if uid else "")


def _is_ours(file: os.stat_result) -> bool:
    single = stat.S_ISDIR(file.st_mode) or (stat.S_ISREG(file.st_mode) and file.st_nlink == 1)
    return file.st_uid == 0 and single
