"""The same strings to the real Exim and to us: the same texts, the same errors.

``EXPANSIONS=50000 EXPANSIONS_SEED=7 pytest tests/expand/test_against_exim.py`` compares more, and others.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from random import Random

import pytest

from smarthostd.errors import ExpansionError
from smarthostd.expand import Expander, Facts
from tests.expand.made import Maker
from tests.language import expander
from tests.peers.private import Home

COUNT = int(os.environ.get("EXPANSIONS", "1500"))
SEED = int(os.environ.get("EXPANSIONS_SEED", "1"))
AT_ONCE = 150
"""Strings in one command line."""
EXIM_TIMEOUT = 60
MAIN = """
primary_hostname = h.example
spool_directory = {0}/spool
keep_environment =
domainlist locals = a.example : *.b.example
"""
LSEARCH = 'one: 1\na: k=v a="x y"\n"q k": quoted\n*.b.example: wild\n*@h.example: at\n*: star\n'
UNSAID = re.compile("( inside .*)?")
"""What Exim says where it forgot to say anything: an unknown comparator, ``${env`` without braces."""


class Exim:
    """``exim -be`` with a small configuration."""

    def __init__(self, directory: Path) -> None:
        self._home = Home("exim4-daemon-heavy", ("Debian-exim",), directory)
        self._home.folder("spool")
        self._conf = directory / "conf"
        self._conf.write_text(MAIN.format(directory))

    def answers(self, texts: list[str]) -> list[tuple[bool, str] | None]:
        """Return for each text whether Exim expanded it, and to what, or its error; None where it died of it."""
        words = [word for at, text in enumerate(texts) for word in (text, f"@@{at}@@")]
        command = self._home.command("env", "-i", "/usr/sbin/exim4", "-C", str(self._conf), "-be", *words)
        done = subprocess.run(command, capture_output=True, timeout=EXIM_TIMEOUT, check=False)
        rest = done.stdout.decode("utf-8", "surrogateescape")
        found: list[tuple[bool, str] | None] = []
        for at in range(len(texts)):
            answer, mark, rest = rest.partition(f"@@{at}@@\n")
            if not mark:
                return [*found, None, *(self.answers(texts[at + 1 :]) if texts[at + 1 :] else [])]
            answer = answer.removesuffix("\n")
            failed = answer.startswith("Failed: ")
            found.append((not failed, answer.removeprefix("Failed: ") if failed else answer))
        return found


def ours(language: Expander, text: str) -> tuple[bool, str]:
    try:
        return True, language.expand(text)
    except ExpansionError as error:
        return False, str(error)


@pytest.fixture
def exim(tmp_path: Path) -> Exim:
    return Exim(tmp_path)


@pytest.mark.timeout(60 + COUNT // 20)
def test_random_expansions_are_those_of_exim(exim: Exim, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text(LSEARCH)
    maker = Maker(Random(SEED), str(file))
    language = expander(Facts("h.example", domainlists={"locals": "a.example : *.b.example"}))
    differences = []
    for _ in range(0, COUNT, AT_ONCE):
        texts = [maker.text() for _ in range(AT_ONCE)]
        for text, answer in zip(texts, exim.answers(texts), strict=True):
            own = ours(language, text)
            if own != answer:  # Exim's $1 and $value outlive a string that failed, so ask for it alone
                answer = exim.answers([text])[0]
            if answer and own != answer and not UNSAID.fullmatch(answer[1]):
                differences.append(f"{text!r}\n  Exim {answer}\n  we   {own}")
    assert not differences, "\n".join([f"{len(differences)} of {COUNT} differ:", *differences[:20]])
