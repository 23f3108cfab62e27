"""What runs beside the name service: each case asked of Exim and of ``smarthostd exim --strict``.

``python -m tests.exim.inside CASES.JSON ANSWERS.JSON``; a case is a configuration file with Exim's words, an answer
what was printed and the exit status, of both.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

from smarthostd.cli.exim.dispatch import run
from smarthostd.cli.exim.process import Process

TIMEOUT = 60


def main(cases: str, answers: str) -> None:
    """Read the cases, write the answers."""
    asked = json.loads(Path(cases).read_text())
    found = [[_exim(words), _ours(words)] for words in asked]
    Path(answers).write_text(json.dumps(found))


def _exim(words: list[str]) -> tuple[str, str, int]:
    command = ["env", "-i", "/usr/sbin/exim4", *words]
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
    return done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), done.returncode


def _ours(words: list[str]) -> tuple[str, str, int]:
    out, err = io.StringIO(newline="\n"), io.StringIO(newline="\n")
    status = run(["--strict", *words], Process(io.StringIO(""), out, err, {}))
    return out.getvalue(), err.getvalue(), status


if __name__ == "__main__":
    main(*sys.argv[1:])
