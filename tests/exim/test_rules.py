"""The real Exim prints what the table of single rules says, and so do we where it is asked beside us."""

from __future__ import annotations

from pathlib import Path

from tests.exim.routing import World
from tests.exim.rules import RULES


def test_exim_keeps_these_rules(tmp_path: Path) -> None:
    answers = World(tmp_path).ask([rule.case for rule in RULES.values()])
    printed = {name: (one.exim[0], one.ours[0]) for name, one in zip(RULES, answers, strict=True)}
    assert printed == {name: (rule.printed, rule.printed) for name, rule in RULES.items()}
