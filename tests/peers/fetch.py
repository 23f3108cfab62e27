"""Fetch real mail servers from Debian into ``.cache/peers``: one tree a server, nothing installed.

Debian's packages of Exim and Postfix exclude one another; unpacked side by side they do not. A tree holds
the server and whatever libraries this machine lacks, so it runs with ``LD_LIBRARY_PATH`` set to the tree's
own library folders (``environment``). Only the standard library is used here: ``.ci/run`` calls this file
before there is a virtual environment.

``python3 tests/peers/fetch.py [NAME…]`` fetches what is missing, and says where it is.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "peers"
PACKAGES = {
    "exim4-daemon-heavy": ("exim4-base", "exim4-daemon-heavy"),
    "postfix": ("postfix",),
    "dovecot-lmtpd": ("dovecot-core", "dovecot-lmtpd"),
}
"""What to unpack, by the name of its tree."""
APT_TIMEOUT = 300
"""Seconds for one call of apt."""


def tree(name: str) -> Path | None:
    """Return the tree of the server *name*, or None where it has not been fetched."""
    place = CACHE / name
    return place if place.is_dir() else None


def environment(place: Path) -> dict[str, str]:
    """Return the variables that a program of the tree *place* needs to find its libraries."""
    patterns = ("usr/lib/lib*.so*", "usr/lib/*/lib*.so*", "lib/*/lib*.so*")
    folders = {str(file.parent) for pattern in patterns for file in place.glob(pattern)}
    return {"LD_LIBRARY_PATH": ":".join(sorted(folders))}


def fetch(name: str) -> Path:
    """Return the tree of the server *name*, fetched and unpacked if need be; two callers do it once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place = CACHE / name
        if not place.is_dir():
            with tempfile.TemporaryDirectory(dir=CACHE, prefix=f"{name}.") as scratch:
                _unpack(_download(missing(PACKAGES[name]), Path(scratch, "archives")), Path(scratch, "tree"))
                Path(scratch, "tree").rename(place)
        return place


def missing(packages: tuple[str, ...]) -> list[str]:
    """Return *packages* and what they need that is not installed here, by apt's reckoning."""
    plan = _apt("install", "--simulate", "--no-install-recommends", *packages)
    if plan.returncode:  # an old list of packages, or none: a bare machine
        _must(_apt("update"))
        plan = _must(_apt("install", "--simulate", "--no-install-recommends", *packages))
    return sorted({*packages, *re.findall(r"^Inst (\S+)", plan.stdout, re.MULTILINE)})


def _download(packages: list[str], folder: Path) -> list[Path]:
    folder.mkdir()
    if _apt("download", *packages, folder=folder).returncode:  # the list names versions that the archive has replaced
        _must(_apt("update"))
        _must(_apt("download", *packages, folder=folder))
    return sorted(folder.glob("*.deb"))


def _unpack(archives: list[Path], place: Path) -> None:
    place.mkdir()
    for archive in archives:
        subprocess.run(["dpkg", "-x", archive, place], check=True, timeout=APT_TIMEOUT)
    for program in place.glob("usr/**/*"):
        if program.is_file() and not program.is_symlink():  # nobody needs a set-id mail server in a work tree
            program.chmod(program.stat().st_mode & 0o777)


def _apt(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    command = ["apt-get", "-qq", *words] if words[0] == "update" else ["apt-get", "-q", *words]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=APT_TIMEOUT)


def _must(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    if done.returncode:
        raise SystemExit(f"{' '.join(done.args)} failed:\n{done.stderr}")
    return done


def main(names: list[str]) -> None:
    """Fetch the servers *names*, or all."""
    if not shutil.which("apt-get"):
        raise SystemExit("the peers come from Debian's packages: apt-get is not here")
    for name in names or PACKAGES:
        print(f"{name}: {fetch(name)}")


if __name__ == "__main__":
    main(sys.argv[1:])
