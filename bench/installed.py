"""smarthostd as somebody has it who installed it: the distribution's Python, compiled modules, the pinned libraries.

The peers are the distribution's own builds, too. A working copy may be slower: a Python built on the spot may lack
profile-guided optimisation (a fifth of the processor time), and sources are compiled at each start.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from bench.relay import surroundings

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".cache" / "bench" / "installed"
PYTHONS = ("/usr/bin/python3", sys.executable)
"""The first that can run smarthostd."""
PATIENCE = 300
"""Seconds for the installation."""


@cache
def python(wanted: str = "") -> str:
    """Return the interpreter of an environment in which this working copy is installed anew.

    *wanted* is the Python to use instead of the distribution's. Ends with a sentence where it cannot be had.
    """
    base = _chosen(wanted)
    shutil.rmtree(PLACE, ignore_errors=True)
    _run(base, "-m", "venv", "--without-pip", str(PLACE))
    ours = str(PLACE / "bin" / "python")
    _pip("--python", ours, "install", "--require-hashes", "-r", str(ROOT / "requirements" / "runtime.txt"))
    with tempfile.TemporaryDirectory() as wheels:
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, str(ROOT))
        _pip("--python", ours, "install", "--no-deps", *map(str, Path(wheels).iterdir()))
    return ours


def _chosen(wanted: str) -> str:
    for candidate in (wanted,) if wanted else PYTHONS:
        asked = [candidate, "-c", "import sys, venv; sys.exit(sys.version_info < (3, 11))"]
        if shutil.which(candidate) and not subprocess.run(asked, check=False, timeout=PATIENCE).returncode:
            return candidate
    raise SystemExit(f"{wanted or PYTHONS[0]} is no Python 3.11 or later with venv: name one with --python")


def _pip(*words: str) -> None:
    _run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words)


def _run(*command: str) -> None:
    done = subprocess.run(command, env=surroundings(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise SystemExit(f"smarthostd could not be installed for the bench: {done.stderr.strip()[-2000:]}")
