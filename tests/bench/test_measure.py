"""One scenario from end to end, small: the bench works, whatever its figures say."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from bench.build import program
from bench.measure import Stand, measure
from bench.relay import Site, Smarthostd
from bench.run import Course
from bench.scenarios import FIGURES, SCENARIOS, Flow, Length
from tests.peers import presence
from tests.peers.certificates import Authority


@pytest.fixture(autouse=True)
def compiler() -> None:
    """The bench compiles its ends."""
    for tool in ("make", "cc"):
        presence.program(tool)


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    """A place to measure at, with syncs that are a little slower than they are."""
    authority = Authority(tmp_path)
    return Stand(tmp_path, authority.ca, authority.issue(), seconds=1, sync_delay=timedelta(milliseconds=1))


def test_fifty_messages_pass_through_smarthostd(stand: Stand) -> None:
    figures = measure(stand, Smarthostd, Flow(clients=5, most=50, per_connection=7))
    assert (figures["messages"], figures["errors"], figures["missing"]) == (50, 0, 0)
    assert all(figures[name] > 0 for name in ("rate", "accept_p50", "transit_p50", "cpu", "memory", "ends"))
    assert set(figures) <= set(FIGURES)


def test_a_slower_sync_still_says_what_went_wrong(tmp_path: Path) -> None:
    """The delay is in force (its library is loaded), and a failure keeps its number."""
    site = Site(tmp_path, 1, 2, tmp_path, sync_delay=timedelta(milliseconds=2))
    variables = site.slower_syncs()
    assert variables == {"LD_PRELOAD": program("slowsync.so"), "SLOWSYNC_US": "2000"}
    script = "import os\nos.fsync(os.open('.', os.O_RDONLY))\nos.fdatasync(os.pipe()[1])"
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **variables}, capture_output=True, text=True, timeout=60
    )
    assert f"OSError: [Errno {errno.EINVAL}]" in done.stderr


def test_the_long_scenarios_come_only_when_asked_for() -> None:
    """By length, or by name whatever their length."""
    course = Course(1, timedelta(), Path(), "")
    longest = [scenario.name for scenario in SCENARIOS if scenario.length is Length.LONGEST]
    assert not {scenario.name for scenario in course.scenarios(Length.LONG)} & set(longest)
    named = Course(1, timedelta(), Path(), "", only=longest)
    assert [scenario.name for scenario in named.scenarios(Length.SHORT)] == longest
