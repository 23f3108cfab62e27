"""Random stories of days, told by the real Exim in simulated time and by us: attempts, ends and hints are the same.

The differences are switched off. What the two programs remember is compared, too: when it failed first, when it was
tried last, and when it is due.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.simulated.stories import Step, Story, story
from tests.simulated.told import Told, tell

COUNT = 40
CLOSE = 30
"""Seconds by which times may differ: the programs need time, which grows with the gaps of ``G``."""
HOST = "127.0.0.2"


def told_alike(one: Story, directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Told, Told]:
    """Let both tell *one*, and assert that they tell the same."""
    theirs, ours = tell(one, directory, monkeypatch)
    steps = [step for step in one.steps if step.what in ("put", "run")]
    for at, (step, their, our) in enumerate(zip(steps, theirs.lines, ours.lines, strict=True), 1):
        assert our == their, f"step {at}, {step}, of\n{one}"
    assert ours.hints.keys() == theirs.hints.keys(), str(one)
    for key, hint in theirs.hints.items():
        assert ours.hints[key] == (*(pytest.approx(seconds, abs=CLOSE) for seconds in hint[:3]), hint[3]), str(one)
    return theirs, ours


@pytest.mark.parametrize("seed", range(COUNT))
def test_days_of_trouble_are_as_in_exim(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told_alike(story(Random(seed)), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("options", "ends"),
    [
        pytest.param((), ["all hosts for 'any.example' have been failing for a long time (and retry time not reached)"],
                     id="it fails untried"),
        pytest.param(("no_delay_after_cutoff",), ["retry timeout exceeded"], id="no_delay_after_cutoff: tried once"),
    ],
)  # fmt: skip
def test_new_mail_for_a_host_past_its_cutoff(
    options: tuple[str, ...], ends: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = (
        Step(0, "host", (HOST, "refused")),
        Step(0, "put", ("me@box.example", "a@any.example")),
        *(Step(minutes, "run", ("-q",)) for minutes in (0, 30)),
        Step(10, "put", ("me@box.example", "b@any.example")),
        Step(0, "run", ("-q",)),
    )
    _, ours = told_alike(Story(("* * F,25m,25m",), transport=options, steps=steps), tmp_path, monkeypatch)
    found = [line.partition(": ")[2] for line in ours.lines[-1] if line.startswith("<2> **")]
    assert found == ends
