"""Whole deliveries, each played by Exim and by ``smarthostd exim --strict``, with the golden records' servers."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from tests.exim import nameserver
from tests.exim.scenes import Scene, SceneMaker
from tests.golden import REPOSITORY, dns_zone, folder
from tests.peers import presence
from tests.peers.private import Home, reachable

AT_ONCE = 40
"""Scenes in one world."""
TIMEOUT = 1200
SMALLER_ROUNDS = 12

Differences = list[tuple[str, str, str]]
"""Of one scene: what differs, what Exim said, what we did."""


class World:
    """A directory of scenes, and the namespaces in which they are played."""

    def __init__(self, directory: Path) -> None:
        self._home = Home("exim4-daemon-heavy", ("Debian-exim",), directory)
        self._directory = directory
        for name in ("exim", "ours"):
            (directory / name).mkdir(exist_ok=True)
            reachable(directory / name)
        (directory / "zone.json").write_text(json.dumps(dns_zone()))

    def play(self, scenes: Sequence[Scene]) -> list[Differences]:
        """Return what differs in each of *scenes*."""
        certificates = str(folder() / "tls")
        records = [
            {
                "id": str(number),
                "kind": "delivery",
                "config": scene.config.replace("@TLS@", certificates),
                "files": scene.files,
                "input": scene.input,
                "expect": {},
            }
            for number, scene in enumerate(scenes)
        ]
        asked, answers = self._directory / "records.json", self._directory / "answers.json"
        asked.write_text(json.dumps(records))
        inside = [sys.executable, "-m", "tests.exim.played", *map(str, (asked, answers, self._directory))]
        command = nameserver.within(
            presence.program("unshare"), self._directory / "zone.json", *self._home.command(*inside)
        )
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=TIMEOUT, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        found = json.loads(answers.read_text())
        return [list(_counting(scene, one)) for scene, one in zip(scenes, found, strict=True)]


def _counting(scene: Scene, found: Differences) -> Iterator[tuple[str, str, str]]:
    """Yield the differences that count: with several hosts Exim keeps hints also of what another one has taken."""
    for name, exims, ours in found:
        if not name.startswith("hint ") or scene.route == Scene().route:
            yield name, exims, ours


def deliveries(directory: Path, count: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """Play random scenes; yield each that goes two ways, made small, and both ways."""
    maker, world = SceneMaker(Random(seed)), World(directory)
    for first in range(0, count, AT_ONCE):
        scenes = [maker.scene() for _ in range(min(AT_ONCE, count - first))]
        for scene, found in zip(scenes, world.play(scenes), strict=True):
            if found:
                yield _told(world, _smallest(world, scene))


def _told(world: World, scene: Scene) -> tuple[str, str, str]:
    (found,) = world.play([scene])
    usual = Scene()
    parts = [
        f"{one.name}: {getattr(scene, one.name)!r}"
        for one in dataclasses.fields(scene)
        if getattr(scene, one.name) != getattr(usual, one.name)
    ]
    exim, ours = ("\n".join(f"{one[0]}: {one[at]}" for one in found) for at in (1, 2))
    return "\n".join(parts), exim, ours


def _smallest(world: World, scene: Scene) -> Scene:
    """Return *scene* with as little in it as makes the same kind of difference."""
    (found,) = world.play([scene])
    for _ in range(SMALLER_ROUNDS):
        smaller = list(_smaller(scene))
        answers = world.play(smaller) if smaller else []
        left = [one for one, other in zip(smaller, answers, strict=True) if _alike(found, other)]
        if not left:
            break
        scene = left[0]
    return scene


def _alike(one: Differences, other: Differences) -> bool:
    return bool(other) and other[0][0] == one[0][0] if one else False


def _smaller(scene: Scene) -> Iterator[Scene]:
    """Yield what is left of *scene* with one thing left out, the largest things first."""
    for name in ("steps", "routers", "main", "selectors", "rewrites", "aliasing", "smarthost", "smtp", "local",
                 "authenticators"):  # fmt: skip
        whole = getattr(scene, name)
        if len(whole) > 1 and name != "steps":
            yield dataclasses.replace(scene, **{name: ()})
        for at in range(len(whole)):
            if name != "steps" or len(whole) > 1:
                yield dataclasses.replace(scene, **{name: (*whole[:at], *whole[at + 1 :])})
    for at in range(1, len(scene.servers)):
        yield dataclasses.replace(scene, servers=(*scene.servers[:at], *scene.servers[at + 1 :]))
    for at, (place, scripts) in enumerate(scene.servers):
        for number, script in enumerate(scripts):
            for key in range(len(script)):
                shorter = (*script[:key], *script[key + 1 :])
                changed = (place, (*scripts[:number], shorter, *scripts[number + 1 :]))
                yield dataclasses.replace(scene, servers=(*scene.servers[:at], changed, *scene.servers[at + 1 :]))
    for at, step in enumerate(scene.steps):
        for key in ("args", "lines"):
            words = step.get(key, ())
            for number in range(len(words)):
                shorter = {**step, key: [*words[:number], *words[number + 1 :]]}
                yield dataclasses.replace(scene, steps=(*scene.steps[:at], shorter, *scene.steps[at + 1 :]))
        lines = step.get("stdin", "").splitlines(keepends=True)
        for number in range(len(lines)):
            shorter = {**step, "stdin": "".join((*lines[:number], *lines[number + 1 :]))}
            yield dataclasses.replace(scene, steps=(*scene.steps[:at], shorter, *scene.steps[at + 1 :]))
