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


def test_what_is_included_from_anywhere_is_a_regular_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exim would read a device, and wait for a pipe."""
    like_the_golden_machine(monkeypatch, ZONE)
    (tmp_path / "conf").write_text("begin routers\nf:\n  driver = redirect\n  data = :include:/dev/zero\n")
    answer = call(["--strict", "-C", str(tmp_path / "conf"), "-bt", "a@b.example"])
    assert answer.out.endswith(": error in redirect data: included file /dev/zero is not a regular file\n")
