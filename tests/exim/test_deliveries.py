"""Deliveries that once went two ways go one way, Exim's and ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.exim.deliveries import World
from tests.exim.pairs import PAIRS, scene, sent
from tests.golden import folder

missing = pytest.mark.skipif(folder() is None and "CI" not in os.environ, reason="the golden records are not here")


@missing
def test_exim_and_we_go_the_same_way(tmp_path: Path) -> None:
    found = dict(zip(PAIRS, World(tmp_path).play(list(PAIRS.values())), strict=True))
    assert {name: differences for name, differences in found.items() if differences} == {}


@missing
def test_the_host_before_is_not_named(tmp_path: Path) -> None:
    """A bug of 4.96 that is not copied: the last host was not reached, and the line names the one before it."""
    two_hosts = scene(
        sent("rcpt@any.example"), route="* mail1.isp.example:dead.isp.example",
        others=(("127.0.0.11", [{"banner": "450 later"}]),),
    )  # fmt: skip
    [[(name, exims, ours)]] = World(tmp_path).play([two_hosts])
    assert name == "log"
    assert exims.replace("Connection refused H=mail1.isp.example [127.0.0.11]", "Connection refused") == ours
    assert exims != ours
