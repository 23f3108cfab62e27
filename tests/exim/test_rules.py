"""The real Exim prints what the table of single rules says, and so do we where it is asked beside us."""

from __future__ import annotations

from pathlib import Path

from tests.exim.configurations import Case
from tests.exim.routing import World
from tests.exim.rules import RULES


def test_exim_keeps_these_rules(tmp_path: Path) -> None:
    answers = World(tmp_path).ask([rule.case for rule in RULES.values()])
    printed = {name: (one.exim[0], one.ours[0]) for name, one in zip(RULES, answers, strict=True)}
    assert printed == {name: (rule.printed, rule.printed) for name, rule in RULES.items()}


def test_hosts_of_a_router_that_passed_are_forgotten(tmp_path: Path) -> None:
    """A bug of 4.96 that is not copied (docs/exim.md)."""
    passes = (
        "r:\n  driver = manualroute\n  transport = smtp\n  host_find_failed = pass\n  route_data = nosuch.example\n"
    )
    takes = "z:\n  driver = accept\n  transport = box\n"
    (answers,) = World(tmp_path).ask([Case((passes, takes), ("u@q.example",))])
    shown = "u@q.example\n  router = z, transport = box\n"
    assert answers.exim[0].startswith(f"{shown}  host nosuch.example")
    assert answers.ours[0] == shown
