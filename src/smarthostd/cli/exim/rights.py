"""Whose rights ``smarthostd exim`` works with, where something makes it set-id.

As Exim, it takes the real user for the caller, and keeps its own rights for what that user asks for. But whoever says
by which configuration, or has strings expanded, has files read that they choose: all of that is done as they, and so
is whatever comes after it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from smarthostd.cli.exim.arguments import CommandLine, Task
from smarthostd.config.load import PLACES, find


def are_callers(line: CommandLine, environ: Mapping[str, str]) -> bool:
    """Whether the command is to be done with the caller's rights: for ``-C``, ``-D``, ``-be`` and ``-bem``.

    Also where variables of the environment are the configuration, or name another one than the usual.
    """
    if line.task is Task.EXPAND or line.macros:
        return True
    return (Path(line.config) if line.config else find(None, environ)) not in PLACES


def give_up() -> None:
    """Become the real user for good, unless that is root, who may do all of it anyway."""
    uid, gid = os.getuid(), os.getgid()
    if uid != 0:
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
