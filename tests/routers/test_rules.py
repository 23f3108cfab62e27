"""Single rules of routing, through ``smarthostd exim``; ``tests/exim`` asks the real Exim the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calls import call, like_the_golden_machine
from tests.exim.routing import placed
from tests.exim.rules import RULES
from tests.exim.zone import ZONE


@pytest.mark.parametrize("name", RULES)
def test_a_rule_of_routing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    like_the_golden_machine(monkeypatch, ZONE)
    rule = RULES[name]
    assert call(["--strict", *placed(rule.case, tmp_path / "case", tmp_path)]).out == rule.printed
