"""Where the profile puts a stack; and the sampler, on a program that does little but one thing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.parts import LOOP, START, Call, Sampled, by_call, by_part, read, wrapper

SRC = "/somewhere/src/smarthostd/"
LOOP_BEGINS = Call("/usr/lib/python3.11/asyncio/runners.py", "Runner.run")
COMMAND = Call(f"{SRC}cli/run.py", "<module>")
THREAD_BEGINS = Call("/usr/lib/python3.11/threading.py", "Thread._bootstrap")
ATTEMPT = Call(f"{SRC}delivery.py", "Delivery.attempt")

BUSY = """
import time

def busy():
    while time.process_time() < 0.3:
        pass

busy()
"""


@pytest.mark.parametrize(
    ("calls", "part"),
    [
        pytest.param([Call(f"{SRC}routers/base.py", "ask"), ATTEMPT, LOOP_BEGINS], "routing", id="innermost part"),
        pytest.param([Call(f"{SRC}address.py", "parse"), ATTEMPT, LOOP_BEGINS], "runner and delivery", id="a value"),
        pytest.param(
            [Call("/usr/lib/python3.11/ssl.py", "write"), Call(f"{SRC}smtp/protocol.py", "send"), LOOP_BEGINS],
            "SMTP client",
            id="a library at work for a part",
        ),
        pytest.param([LOOP_BEGINS, COMMAND], LOOP, id="the loop itself"),
        pytest.param([Call(f"{SRC}config/load.py", "load"), COMMAND], START, id="before the loop"),
        pytest.param([Call(f"{SRC}routers/base.py", "<module>"), ATTEMPT, LOOP_BEGINS], START, id="an import"),
        pytest.param([Call(f"{SRC}spool/sqlite.py", "run"), THREAD_BEGINS], "spool, its thread", id="a thread"),
    ],
)
def test_a_stack_belongs_to_a_part(calls: list[Call], part: str) -> None:
    assert Sampled(1, tuple(calls)).part == part


def test_start_and_end_do_not_count() -> None:
    """They belong to no message; what the loop does has a part, but no call of ours."""
    loop, start, attempt = Sampled(3, (LOOP_BEGINS,)), Sampled(5, (COMMAND,)), Sampled(7, (ATTEMPT, LOOP_BEGINS))
    assert by_part([loop, start, attempt]) == {LOOP: 3, "runner and delivery": 7}
    assert by_call([loop, start, attempt]) == {("runner and delivery", "delivery.py: Delivery.attempt"): 7}


def test_the_sampler_finds_the_busy_call(tmp_path: Path) -> None:
    """All processor time of the program is put down, and most of it where it was spent."""
    (tmp_path / "busy.py").write_text(BUSY)
    samples = tmp_path / "samples"
    root = Path(__file__).resolve().parents[2]
    command = [*wrapper(sys.executable, samples), sys.executable, "-m", "busy"]
    variables = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{tmp_path}"}
    subprocess.run(command, env=variables, check=True, timeout=60)
    spent = {sampled.calls[0].name: sampled.spent for sampled in read(samples)}
    assert max(spent, key=lambda name: spent[name]) == "busy"
