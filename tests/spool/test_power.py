"""The power fails at any moment: the next start finds all that was promised, and nothing that was ended.

A keeper's work is traced once (``powered.py``); from the trace come the disks on which a start may find itself
(``power.py``). What is chosen at random is the same in each run.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from smarthostd.spool.sqlite import SqliteSpool
from smarthostd.spool.tray import is_in
from tests.peers.presence import program
from tests.spool.power import OPTIONS, Cut, Disk, Named, Written, events
from tests.spool.powered import LARGE, LONG, PROMISES, SMALL, body

STATES = 240
"""How many disks are looked at."""
PARTS = 3
PATIENCE = 60


async def found(directory: Path) -> dict[str, list[str]]:
    """Return who of which message is not done; fail where anything but the message itself is in the spool."""
    told: list[str] = []
    spool = await SqliteSpool.open(directory, set_aside=lambda id, why: told.append(f"{id}: {why}"))
    try:
        there = {}
        for one in await spool.summaries():
            pending = await spool.load(one.id)
            assert pending is not None, f"{one.id} is damaged"
            if pending.message.envelope.sender:  # reports are small, too
                content = b"".join(pending.message.content.blocks())
                assert content in [body(one.id, size) for size in (SMALL, LONG, LARGE)]
            there[one.id] = [who for who, done, _ in one.recipients if not done]
        assert not is_in(directory)
        assert not told
        return there
    finally:
        await spool.close()


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A keeper's directory, and the calls that it made."""
    directory = tmp_path_factory.mktemp("power")
    spool, file = directory / "spool", directory / "trace"
    command = [program("strace"), *OPTIONS, "-o", str(file), sys.executable, "-m", "tests.spool.powered", str(spool)]
    subprocess.run(command, check=True, timeout=PATIENCE)
    return spool, file.read_text(errors="surrogateescape")


@pytest.mark.parametrize("part", range(PARTS))
async def test_whenever_the_power_fails_nothing_is_lost_and_nothing_comes_back(
    trace: tuple[Path, str], tmp_path: Path, part: int
) -> None:
    spool, text = trace
    all_of_it = list(events(text))
    chance = random.Random(part)
    moments = set(chance.sample(range(len(all_of_it)), STATES // PARTS))
    disk = Disk(spool, "content")
    promised: dict[str, dict[str, list[str]]] = {}
    kept = 0
    for number, event in enumerate(all_of_it):
        if isinstance(event, Written) and event.path == spool / PROMISES:
            promised = json.loads(event.octets)
            kept = max(kept, len(promised["gone"]))
        disk.take(event)
        if number in moments and promised:
            state = tmp_path / "state"
            how = f"moment {number} of {len(all_of_it)}, {disk.lose_power(state, chance)}"
            there = await found(state)
            lost = {id: who for id, who in promised["there"].items() if there.get(id) != who}
            assert not lost, how
            assert not there.keys() & set(promised["gone"]), how
            shutil.rmtree(state)
    assert kept > 5


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            '7 pwrite64(5</s/a>, "x\\0\\"y", 4, 8192) = 4', [Written(Path("/s/a"), b'x\0"y', 8192)], id="octets"
        ),
        pytest.param(
            '7 pwritev2(5</s/a>, [{iov_base="ab", iov_len=2}, {iov_base="\\n", iov_len=1}], 2, 4096, 0) = 3',
            [Written(Path("/s/a"), b"ab\n", 4096)],
            id="several buffers",
        ),
        pytest.param('7 write(5</s/a>, "abc", 3) = 2', [Written(Path("/s/a"), b"ab")], id="a short write"),
        pytest.param("7 ftruncate(5</s/a>, 3) = 0", [Cut(Path("/s/a"), 3)], id="cut"),
        pytest.param('7 unlink("/s/a") = -1 ENOENT (No such file)', [], id="what fails does nothing"),
        pytest.param('7 unlink("/s/a") = 0', [Named(Path("/s/a"), False)], id="taken away"),
    ],
)
def test_the_trace_is_read_right(line: str, expected: list[object]) -> None:
    """The proof above rests on this reader."""
    assert list(events(line)) == expected
