"""The loop stays awake for a moment after a single client's command, and then sleeps."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from smarthostd.listener.awake import MOMENT, Awake
from tests.listener.house import house


class Clock:
    """Time that stands still, and counts how often it is looked at."""

    def __init__(self) -> None:
        self.now, self.looks = 1000.0, 0

    def __call__(self) -> float:
        self.looks += 1
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("smarthostd.listener.awake.time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    return clock


async def turns(count: int) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def looks_in(clock: Clock, count: int) -> int:
    """Return how often the clock was looked at in so many turns."""
    before = clock.looks
    await turns(count)
    return clock.looks - before


async def test_it_looks_at_each_turn_until_the_moment_is_over(clock: Clock) -> None:
    awake = Awake()
    awake.for_a_moment()
    assert await looks_in(clock, 10) == 10
    clock.now += MOMENT
    assert await looks_in(clock, 10) == 1
    awake.for_a_moment()
    assert await looks_in(clock, 10) == 10, "another moment"


async def test_another_command_makes_it_longer_and_no_second_one_looks(clock: Clock) -> None:
    awake = Awake()
    awake.for_a_moment()
    clock.now += MOMENT / 2
    awake.for_a_moment()
    clock.now += MOMENT / 2
    assert await looks_in(clock, 10) == 10


async def test_it_does_not_take_the_only_processor(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    async with house(tmp_path) as relay:
        assert (await (await relay.connect()).say("NOOP")).startswith("250")
        assert await looks_in(clock, 10) == 0


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets an item for each moment that is asked for."""
    asked: list[int] = []
    monkeypatch.setattr(Awake, "for_a_moment", lambda self: asked.append(1))
    return asked


async def test_only_for_a_client_that_is_alone(tmp_path: Path, moments: list[int]) -> None:
    async with house(tmp_path) as relay:
        first = await relay.connect()
        await first.say("NOOP")
        assert len(moments) == 1
        second = await relay.connect()
        await second.say("NOOP")
        await first.say("NOOP")
        assert len(moments) == 1
