"""The program ``smarthostd``, also as ``python -m smarthostd``.

``run`` as service managers call it begins at once; whatever needs more of a command line (help, a mistake in it, all
other commands) is click's, which an idle daemon does without.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

EXIMS_NAMES = ("exim", "exim4")
"""What a link to this program may be called, for scripts that call Exim, and for ``exiqgrep``."""


def program() -> None:
    """Do what the command line says, and exit; called by Exim's name, what Exim would."""
    if Path(sys.argv[0]).name in EXIMS_NAMES:
        sys.argv.insert(1, "exim")
    if sys.argv[1:2] == ["run"]:
        arguments = plain_arguments(sys.argv[2:])
        if arguments is not None:
            from smarthostd.service import run

            config, lenient = arguments
            sys.exit(run(config, lenient=lenient))
    from smarthostd.cli import main

    main(prog_name="smarthostd")


def plain_arguments(words: Sequence[str]) -> tuple[Path | None, bool] | None:
    """Return what the arguments of ``run`` say, a file and whether leniently; None where click is needed for them."""
    config, lenient = None, False
    remaining = iter(words)
    for word in remaining:
        if word in ("-C", "--config"):
            config = next(remaining, "")
            if not _is_plain(config):
                return None
        elif word == "--lenient":
            lenient = True
        else:
            return None
    return Path(config) if config else None, lenient


def _is_plain(file: str) -> bool:
    """Whether click would have nothing to say about the name of a configuration."""
    if not file or file.startswith("-"):
        return False
    return not os.path.lexists(file) or (os.access(file, os.R_OK) and not Path(file).is_dir())


if __name__ == "__main__":
    program()
