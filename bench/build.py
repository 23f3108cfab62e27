"""The C programs, compiled on the spot: the load, the sink, and the library that slows syncs down."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLACE = HERE.parent / ".cache" / "bench"
PATIENCE = 120
"""Seconds for the compiler."""


def program(name: str) -> str:
    """Return the path of the program *name*, made anew if its source is younger.

    Where that cannot be, the bench ends with a sentence that says what is missing.
    """
    for tool in ("make", "cc"):
        if not shutil.which(tool):
            raise SystemExit(
                f"the bench compiles its load and its sink: {tool} is not here (Debian: make, gcc, libssl-dev)"
            )
    command = ["make", "--silent", "-C", str(HERE), f"OUT={PLACE}", str(PLACE / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise SystemExit(f"{name} does not compile (Debian: gcc, libssl-dev):\n{done.stderr}")
    return str(PLACE / name)
