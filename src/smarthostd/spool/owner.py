"""Whose the spool's files are: what root makes in another user's spool belongs to that user.

The daemon is not root, its tools often are; a file of root's in the spool would stop the daemon, or a message of it.
"""

from __future__ import annotations

import os
from pathlib import Path


def give_away(*paths: Path) -> None:
    """Let those of *paths* that exist belong to the owner of their directory, where we are root and that is not."""
    if os.geteuid() != 0:
        return
    for path in paths:
        owner = path.parent.stat()
        if path.exists() and path.stat().st_uid != owner.st_uid:
            os.chown(path, owner.st_uid, owner.st_gid)
