"""Content files of finished messages: taken over by the next large message, or taken away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from smarthostd.errors import SpoolError
from smarthostd.spool.content import MEMORY_LIMIT, FileSink
from smarthostd.spool.spares import Spares
from smarthostd.spool.threads import Threads

OLD = b"Subject: old\r\n\r\n" + b"a secret of somebody else's\r\n" * 10_000


class Place:
    """A directory with spares in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.threads = Threads(1, "test-spares")
        self.left_behind: list[tuple[str, str]] = []
        self.spares = Spares(self.threads, lambda name, why: self.left_behind.append((name, why)))
        self.unsynced: dict[Path, int] = {}

    def sink(self, name: str) -> FileSink:
        return FileSink(self.directory, name, self.unsynced, self.spares)

    def add(self, name: str) -> Path:
        path = self.directory / name
        path.write_bytes(OLD)
        self.spares.add(path)
        return path

    async def look(self) -> None:
        """Have what is to go taken away, and wait for it."""
        self.spares._look()
        done = asyncio.Event()
        self.threads.ask(lambda: None, lambda result, error: done.set())
        await done.wait()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir())


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path)
    yield place
    place.spares.clear()
    place.threads.stop()


@pytest.mark.parametrize("size", [MEMORY_LIMIT + 1, len(OLD) - 1, len(OLD), 3 * len(OLD)])
async def test_a_message_that_takes_a_file_over_has_nothing_of_the_other_in_it(place: Place, size: int) -> None:
    old = place.add("old")
    inode = old.stat().st_ino
    sink = place.sink("new")
    written = (b"0123456789abcde\n" * (size // 16 + 1))[:size]
    for at in range(0, size, 50_000):
        sink.write(written[at : at + 50_000])
    assert sink.beginning(10 * size) == written  # there is no end of a header: all is looked at
    content = sink.content(b"head ")
    assert (place.names(), (place.directory / "new").stat().st_ino) == (["new"], inode)
    assert content.size == 5 + size
    assert b"".join(content.blocks()) == b"head " + written
    sink.discard()
    assert place.names() == []


async def test_who_still_reads_a_message_whose_file_is_anothers_gets_an_error(place: Place) -> None:
    """A tool may have begun to show it before it was delivered: what it has read may be wrong."""
    sink = place.sink("old")
    sink.write(OLD)
    reading = sink.content(b"").blocks()
    next(reading)
    place.spares.add(place.directory / "old")
    place.sink("new").write(b"x" * len(OLD))
    with pytest.raises(FileNotFoundError):
        list(reading)


async def test_the_youngest_is_taken_first_and_what_somebody_took_away_is_passed_over(place: Place) -> None:
    for name in ("one", "two", "three"):
        place.add(name)
    (place.directory / "three").unlink()
    assert place.spares.become(place.directory / "new")
    assert place.names() == ["new", "one"]
    assert place.spares.become(place.directory / "newer")
    assert not place.spares.become(place.directory / "newest")


async def test_only_so_much_is_kept_and_nothing_for_long(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smarthostd.spool.spares.MOST", 2 * len(OLD))
    for name in ("one", "two", "three", "four"):
        place.add(name)
    await place.look()
    assert place.names() == ["four", "three"]
    assert place.spares.become(place.directory / "new")
    place.add("five")
    await place.look()
    assert place.names() == ["five", "new", "three"]
    monkeypatch.setattr("smarthostd.spool.spares.STAY", 0.0)
    await place.look()
    assert place.names() == ["new"]


async def test_a_name_that_cannot_be_given_refuses_the_message(place: Place) -> None:
    place.add("old")
    (place.directory / "new").mkdir()
    with pytest.raises(SpoolError, match="cannot make a content file: Is a directory"):
        place.sink("new").write(OLD)


async def test_a_file_that_cannot_be_taken_away_is_told(place: Place) -> None:
    (place.directory / "stubborn").mkdir()
    place.spares.add(place.directory / "stubborn")
    place.spares.clear()
    place.threads.stop()
    await asyncio.sleep(0)
    assert place.left_behind == [("stubborn", "Is a directory")]
