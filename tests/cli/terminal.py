"""The command on a terminal: what somebody who looks gets to see."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Sequence

from smarthostd.demo.lines import PATIENCE

_PROGRAM = """
import signal, sys
signal.alarm({patience})
sys.argv = {words!r}
from smarthostd.cli.queue import steering
{before}
from smarthostd.cli import main
main()
"""


def on_a_terminal(before: str, words: Sequence[str], columns: int = 120, **environment: str) -> tuple[int, str]:
    """Run *before* and then the command *words* on a terminal; return its exit status and what it showed."""
    program = _PROGRAM.format(patience=int(PATIENCE), words=list(words), before=before)
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "50", "PYTHONWARNINGS": "ignore"}
    environ.pop("NO_COLOR", None)
    environ |= environment
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-c", program], environ)
    shown = b"".join(iter(lambda: _read(terminal), b""))
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), shown.decode()


def _read(terminal: int) -> bytes:
    """Return what has come; nothing at the end, which Linux tells as an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
