"""The real Exim, asked many questions at a time; see ``tests/peers`` for where it comes from."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.peers.private import Home

TIMEOUT = 60
SENDER = "from@s.example"
_MARK = "@@@@"
_TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", re.MULTILINE)
AT_ONCE = 150
"""Questions in one command line."""
MAIN = """
primary_hostname = h.example
qualify_domain = q.example
spool_directory = {0}/spool
log_file_path = {0}/spool/%slog
keep_environment =
domainlist locals = a.example : *.b.example
domainlist more = +locals : !c.example : ^d
hostlist nets = 10.0.0.0/8 : !192.0.2.1
addresslist friends = *@a.example : boss@b.example
localpartlist names = root : ^post
"""


class Exim:
    """Exim with a small configuration, in a namespace of its own."""

    def __init__(self, directory: Path, sections: str = "") -> None:
        self._home = Home("exim4-daemon-heavy", ("Debian-exim",), directory)
        self._home.folder("spool")
        self._conf = directory / "exim.conf"
        self.configuration = MAIN.format(directory) + sections
        self._conf.write_text(self.configuration)

    def run(self, *words: str) -> str:
        """Return what it prints."""
        exim = ("stdbuf", "-oL", "/usr/sbin/exim4", "-C", str(self._conf))  # what it said before it died counts
        command = self._home.command("env", "-i", *exim, *words)
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
        return done.stdout.decode("utf-8", "surrogateescape")

    def each(self, commands: Sequence[Sequence[str]]) -> list[str]:
        """Return what it prints for each of *commands*, on both streams, without the times."""
        exim = ["env", "-i", "/usr/sbin/exim4", "-C", str(self._conf)]
        lines = [f"{shlex.join([*exim, *words])} 2>&1; echo '{_MARK}'\n" for words in commands]
        done = subprocess.run(
            self._home.command("sh", "-c", "".join(lines)), capture_output=True, timeout=TIMEOUT, check=False
        )
        text = _TIME.sub("", done.stdout.decode("utf-8", "surrogateescape"))
        return text.split(f"{_MARK}\n")[:-1]

    def expanded(self, texts: list[str], message: Path | None = None) -> list[str | None]:
        """Return what ``-be`` prints for each text, ``-bem`` for a *message*; None where Exim died of it."""
        option = ("-be",) if message is None else ("-f", SENDER, "-bem", str(message))
        found: list[str | None] = []
        while len(found) < len(texts):
            left = texts[len(found) : len(found) + AT_ONCE]
            rest = self.run(*option, *(word for at, text in enumerate(left) for word in (text, f"@@{at}@@")))
            for at in range(len(left)):
                answer, mark, rest = rest.partition(f"@@{at}@@\n")
                found.append(answer.removesuffix("\n") if mark else None)
                if not mark:
                    break
        assert found.count(None) <= 1 + len(texts) // 20, "Exim died of too many: nothing would be compared"
        return found
