"""A server's log file, read while it is written."""

from __future__ import annotations

import subprocess
from pathlib import Path

from smarthostd.demo.lines import PATIENCE, Lines


class FollowedFiles:
    """Files that another process writes, followed from their first lines; they need not be there yet."""

    def __init__(self, *paths: Path) -> None:
        # tail waits by inotify, and reopens what is replaced.
        command = ["tail", "-q", "-n", "+1", "-F", *map(str, paths)]
        self._tail = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
        )
        assert self._tail.stdout
        self.lines = Lines(self._tail.stdout, paths[0].name)

    def close(self) -> None:
        """Stop following."""
        self._tail.terminate()
        self._tail.wait(PATIENCE)
        self.lines.finish()
        assert self._tail.stdout
        self._tail.stdout.close()
