"""A mount namespace in which a fetched server is at home: its tree lies over ``/usr``, its user is in ``/etc/passwd``.

Servers have paths compiled in, and look for their own user at the start. Nothing of the machine is changed.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.peers import presence

UID = 4242
"""The uid and gid of a server's first user; no file of the machine belongs to it."""

_ENTER = """
mount -t overlay -o lowerdir="$1/usr:/usr" overlay /usr
mount --bind "$2" /etc/passwd
mount --bind "$3" /etc/group
shift 3
exec "$@"
"""


class Home:
    """The namespace for the server *name* (see ``fetch.py``) and its *users*, kept in *directory*."""

    def __init__(self, name: str, users: tuple[str, ...], directory: Path) -> None:
        presence.root()
        self.tree = presence.server(name)
        self._unshare = presence.program("unshare")
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        reachable(directory)
        for file, form in (("passwd", "{0}:x:{1}:{1}::/:/bin/false\n"), ("group", "{0}:x:{1}:\n")):
            lines = [form.format(user, UID + number) for number, user in enumerate(users)]
            (directory / file).write_text(Path("/etc", file).read_text() + "".join(lines))

    def folder(self, name: str) -> Path:
        """Make a directory that belongs to the server's user."""
        folder = self._directory / name
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, UID, UID)
        return folder

    def command(self, *words: str) -> list[str]:
        """Return the command that runs *words* there; the process that is started becomes theirs."""
        files = [str(self.tree), str(self._directory / "passwd"), str(self._directory / "group")]
        return [self._unshare, "--mount", "sh", "-ec", _ENTER, "sh", *files, *words]


def reachable(directory: Path) -> None:
    """Let the server's user pass through the folders above, which pytest makes for their owner alone."""
    for folder in (directory, *directory.parents):
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
