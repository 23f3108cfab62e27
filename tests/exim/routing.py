"""Whole routers sections with a name service, asked of Exim and of ``smarthostd exim --strict``."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.exim import nameserver
from tests.exim.configurations import Case, CaseMaker
from tests.exim.zone import ZONE
from tests.golden import REPOSITORY
from tests.peers import presence
from tests.peers.private import Home

AT_ONCE = 50
"""Cases in one world."""
TIMEOUT = 600
_MAIN = """
primary_hostname = h.example
qualify_domain = q.example
spool_directory = {0}/spool
log_file_path = {0}/spool/%slog
keep_environment =
allow_domain_literals
domainlist locals = one.example : mx.example
localpartlist names = list : ^ma
"""
_TRANSPORTS = """
begin transports
smtp:
  driver = smtp
smtp2:
  driver = smtp
  hosts = 198.51.100.99
  hosts_override
box:
  driver = appendfile
  file = /var/mail/x
  user = mail
"""


_LEFT_HOSTS = re.compile(r"(  router = (?:rx|z), transport = box\n)(?:  host .*\n)+")
"""What 4.96 shows below an address that ``accept`` has taken: the hosts of a manualroute that has declined before."""


class Answers(NamedTuple):
    """What both said to one case: output, errors, exit status."""

    exim: tuple[str, str, int]
    ours: tuple[str, str, int]

    @property
    def differ(self) -> bool:
        """Whether they are not the same; where Exim dies, only that we do not succeed counts."""
        out, err, status = self.exim
        if "PANIC DIE" in err or "configuration error" in err or status < 0:
            return self.ours[2] == 0
        return (_without_left_hosts(out), status) != (_without_left_hosts(self.ours[0]), self.ours[2])


def _without_left_hosts(shown: str) -> str:
    return _LEFT_HOSTS.sub(r"\1", shown)


class World:
    """A directory of cases, and the namespaces in which they are asked."""

    def __init__(self, directory: Path) -> None:
        self._home = Home("exim4-daemon-heavy", ("Debian-exim",), directory)
        self._home.folder("spool")
        self._directory = directory
        (directory / "zone.json").write_text(json.dumps(ZONE))

    def ask(self, cases: Sequence[Case]) -> list[Answers]:
        """Return the answers to *cases*."""
        home = self._directory
        asked = [placed(case, home / str(number), home) for number, case in enumerate(cases)]
        questions, answers = self._directory / "cases.json", self._directory / "answers.json"
        questions.write_text(json.dumps(asked))
        inside = [sys.executable, "-m", "tests.exim.inside", str(questions), str(answers)]
        unshare = presence.program("unshare")
        command = nameserver.within(unshare, self._directory / "zone.json", *self._home.command(*inside))
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=TIMEOUT, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return [Answers(tuple(exim), tuple(ours)) for exim, ours in json.loads(answers.read_text())]


def placed(case: Case, directory: Path, home: Path) -> list[str]:
    """Write the case's files to *directory*; return the words. *home* is where Exim has its spool."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, text in case.files.items():
        (directory / name).write_text(text.replace("@DIR@", str(directory)))
    configuration = (_MAIN.format(home) + case.section).replace("@DIR@", str(directory)) + _TRANSPORTS
    (directory / "conf").write_text(configuration)
    return ["-C", str(directory / "conf"), *case.words, *case.addresses]


def routes(directory: Path, count: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """Compare random configurations; yield each that is answered in two ways, made small, and both answers."""
    maker, world = CaseMaker(Random(seed)), World(directory)
    for first in range(0, count, AT_ONCE):
        cases = [maker.case() for _ in range(min(AT_ONCE, count - first))]
        for case, answers in zip(cases, world.ask(cases), strict=True):
            if answers.differ:
                yield _told(world, _smallest(world, case), directory)


def _told(world: World, case: Case, directory: Path) -> tuple[str, str, str]:
    (answers,) = world.ask([case])
    files = [f"-- {name}:\n{text}" for name, text in case.files.items() if text and f"@DIR@/{name}" in str(case)]
    asked = " ".join((*case.words, *case.addresses))
    exim, ours = (f"({one[2]}) {one[0]}{one[1]}".replace(f"{directory}/0", "@DIR@") for one in answers)
    return "\n".join([f"{asked} with\n{case.section}", *files]), exim, ours


def _smallest(world: World, case: Case) -> Case:
    """Return *case* with as few addresses, routers, options and lines of files as make a difference."""
    changed = True
    while changed:
        smaller = list(_smaller(case))
        found = (
            [one for one, answers in zip(smaller, world.ask(smaller), strict=True) if answers.differ] if smaller else []
        )
        changed = bool(found)
        if found:
            case = found[0]
    return case


def _smaller(case: Case) -> Iterator[Case]:
    """Yield what is left of *case* with one thing left out, the largest things first."""
    if len(case.addresses) > 1:
        yield from (dataclasses.replace(case, addresses=(one,)) for one in case.addresses)
    for at, router in enumerate(case.routers):
        rest = (*case.routers[:at], *case.routers[at + 1 :])
        if rest:
            yield dataclasses.replace(case, routers=rest)
        lines = router.splitlines(keepends=True)
        for number in range(2, len(lines)):
            if lines[number].startswith("  transport ="):
                continue  # without it the answer would be another one
            shorter = "".join((*lines[:number], *lines[number + 1 :]))
            yield dataclasses.replace(case, routers=(*case.routers[:at], shorter, *case.routers[at + 1 :]))
    for name, text in case.files.items():
        lines = text.splitlines(keepends=True)
        for number in range(len(lines)):
            shorter = "".join((*lines[:number], *lines[number + 1 :]))
            yield dataclasses.replace(case, files={**case.files, name: shorter})
    if len(case.words) > 1:
        yield dataclasses.replace(case, words=case.words[-1:])
