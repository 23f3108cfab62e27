"""What a test needs from the machine: there, or the test is skipped; with ``CI`` set, it fails instead."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from tests.peers import fetch


def absent(reason: str) -> NoReturn:
    """End the test: skipped on a laptop, failed in CI, where nothing may be missing."""
    if "CI" in os.environ:
        pytest.fail(reason)
    pytest.skip(reason)


def program(name: str) -> str:
    """Return the path of the installed program *name*."""
    return shutil.which(name) or absent(f"{name} is not installed")


def server(name: str) -> Path:
    """Return the tree of the fetched server *name* (see ``fetch.py``)."""
    return fetch.tree(name) or absent(f"{name} is not in .cache/peers: run python3 tests/peers/fetch.py")


def root() -> None:
    """Require root: a real mail server changes users, a private ``/etc/passwd`` needs a mount."""
    if os.geteuid() != 0:
        absent("this test needs root")
