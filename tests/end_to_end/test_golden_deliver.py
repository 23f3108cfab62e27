"""Whole deliveries as the real Exim 4.96 made them: its log, its sessions, its reports, its hints, its tools' answers.

The differences from Exim are switched off (``exim_strict = all``); 4 and 5, which protect a password, stay on.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.end_to_end.golden.compared import pairs
from tests.end_to_end.golden.listed import LISTED, reason
from tests.end_to_end.golden.scenario import Scenario
from tests.golden import Record, folder, records
from tests.transports.test_golden_auth import fake_smtp, port_25

__all__ = ["fake_smtp", "port_25"]


@pytest.mark.parametrize("record", records("deliver"))
def test_a_delivery_is_that_of_exim(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_smtp: ModuleType
) -> None:
    """The same lines for each message, the same sessions, and what the next hop got."""
    if why := reason(record.id):
        pytest.skip(why)
    scenario = Scenario(record, tmp_path, monkeypatch)
    for name, exims, ours in pairs(scenario.play(fake_smtp), scenario.record):
        assert ours == exims, name


def test_what_is_listed_is_there() -> None:
    """A record that is listed and gone would leave a reason for nothing."""
    if folder() is not None:
        assert set(LISTED) <= {parameter.values[0].id for parameter in records("deliver")}
