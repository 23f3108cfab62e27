"""Whole configuration files with one question each, asked of Exim and of ``smarthostd exim --strict``."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from smarthostd.config.exim import listing
from tests.exim.files import MAIN_LINES, Asked, FileMaker
from tests.exim.routing import Answers
from tests.golden import REPOSITORY
from tests.peers.private import Home

AT_ONCE = 100
TIMEOUT = 600


class Reader:
    """A directory of configurations, and the namespace in which both programs read them."""

    def __init__(self, directory: Path) -> None:
        self._home = Home("exim4-daemon-heavy", ("Debian-exim",), directory)
        self._home.folder("spool")
        self._directory = directory

    def ask(self, cases: Sequence[Asked]) -> list[Answers]:
        """Return the answers to *cases*."""
        asked = [self._placed(case, str(number)) for number, case in enumerate(cases)]
        questions, answers = self._directory / "cases.json", self._directory / "answers.json"
        questions.write_text(json.dumps(asked))
        inside = [sys.executable, "-m", "tests.exim.inside", str(questions), str(answers)]
        done = subprocess.run(
            self._home.command(*inside), cwd=REPOSITORY, capture_output=True, timeout=TIMEOUT, check=False
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        found = json.loads(answers.read_text())
        return [Answers(self._cleaned(exim, n), self._cleaned(ours, n)) for n, (exim, ours) in enumerate(found)]

    def _placed(self, case: Asked, name: str) -> list[str]:
        place = self._directory / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for file, lines in case.files.items():
            text = "".join(f"{line}\n" for line in lines)
            # The spool is the same for all.
            text = text.replace("@DIR@/spool", str(self._directory / "spool")).replace("@DIR@", str(place))
            (place / file).write_text(text)
        return ["-C", str(place / "conf"), *case.words]

    def _cleaned(self, answer: tuple[str, str, int], number: int) -> tuple[str, str, int]:
        out, err, status = answer
        out, err = (text.replace(str(self._directory / str(number)), "@DIR@") for text in (out, err))
        return out, err, status


_TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?:[+-]\d{4} )?(?:\[\d+\] )?", re.MULTILINE)
_VERSION = re.compile(r"\A.*?(?=^Configuration file is|\Z)", re.MULTILINE | re.DOTALL)
_KNOWN = set(listing.kinds()) - {"exim_user", "exim_group"}


def agree(case: Asked, answers: Answers) -> bool:
    """Whether both said the same, but for what is different on purpose."""
    (out, err, status), (own, own_err, own_status) = answers
    if "-bV" in case.words:
        out, own = _VERSION.sub("", out), _VERSION.sub("", own)
    if case.words[-1] in ("macros", "macro_list") or "macros" in case.words or "macro_list" in case.words:
        out, own = (re.sub(r"^_.*\n", "", text, flags=re.MULTILINE) for text in (out, own))
    if case.words[-1] in ("-bP", "all"):
        out = "".join(line for line in out.splitlines(keepends=True) if _name(line) in _KNOWN)
    err = _TIME.sub("", err)
    if status == own_status and {"-be", "-bt"} & {*case.words} and "onfiguration" not in err:
        err = own_err  # what lists have logged
    if "-n" in case.words and case.words[-1] in ("-bP", "all"):
        return True  # values of all options, without their names
    if status < 0:
        return own_status != 0  # Exim died of a bug
    return (out, err, status) == (own, own_err, own_status)


def _name(line: str) -> str:
    name, equals, _ = line.rstrip("\n").partition(" =")
    return name if equals else name.removeprefix("no_")


def files(directory: Path, count: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """Compare random configurations; yield each that is answered in two ways, made small, and both answers."""
    maker, reader = FileMaker(Random(seed)), Reader(directory)
    for first in range(0, count, AT_ONCE):
        cases = [maker.asked() for _ in range(min(AT_ONCE, count - first))]
        for case, answers in zip(cases, reader.ask(cases), strict=True):
            if not agree(case, answers):
                yield _told(reader, _smallest(reader, case))


def _told(reader: Reader, case: Asked) -> tuple[str, str, str]:
    (answers,) = reader.ask([case])
    shown = [f"-- {name}:\n" + "\n".join(lines) for name, lines in case.files.items()]
    exim, ours = (f"({one[2]}) {one[0]}{one[1]}" for one in answers)
    return "\n".join([shlex.join(case.words), *shown]), exim, ours


def _smallest(reader: Reader, case: Asked) -> Asked:
    """Return *case* with as few lines as make a difference."""
    changed = True
    while changed:
        smaller = list(_smaller(case))
        found = [one for one, answers in zip(smaller, reader.ask(smaller), strict=True) if not agree(one, answers)]
        changed = bool(found)
        if found:
            case = found[0]
    return case


def _smaller(case: Asked) -> Iterator[Asked]:
    """Yield *case* with a line or a word less."""
    for name, lines in case.files.items():
        start = MAIN_LINES if name == "conf" else 0
        if len(lines) - start > 3:
            half = (len(lines) + start) // 2
            yield dataclasses.replace(case, files={**case.files, name: lines[:half]})
            yield dataclasses.replace(case, files={**case.files, name: (*lines[:start], *lines[half:])})
        for at in range(start, len(lines)):
            yield dataclasses.replace(case, files={**case.files, name: (*lines[:at], *lines[at + 1 :])})
    if len(case.words) > 2 and "-bP" in case.words[:-2]:
        for at in range(case.words.index("-bP") + 1, len(case.words)):
            yield dataclasses.replace(case, words=(*case.words[:at], *case.words[at + 1 :]))
