"""What outlives a loss of power."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Let what was made, renamed or removed in the directory *path* outlive a loss of power; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path, mode: int) -> None:
    """Make the directory *path*, and what is missing above it, so that it outlives a loss of power; raises OSError."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    for one in missing:
        with contextlib.suppress(PermissionError):  # we may make something there, and not look
            sync_directory(one.parent)
