"""Deliveries that once went two ways go one way, Exim's and ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.exim.deliveries import World
from tests.exim.pairs import PAIRS
from tests.golden import folder

missing = pytest.mark.skipif(folder() is None and "CI" not in os.environ, reason="the golden records are not here")


@missing
def test_exim_and_we_go_the_same_way(tmp_path: Path) -> None:
    found = dict(zip(PAIRS, World(tmp_path).play(list(PAIRS.values())), strict=True))
    assert {name: differences for name, differences in found.items() if differences} == {}
