"""``check_spool_space``: new mail is refused before the disk is full, and who looks is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from smarthostd.listener import room as rooms
from smarthostd.listener.room import Room
from tests.listener.house import house

MIB = 1 << 20


class Disk:
    """A disk of which the test says what is free, and a clock."""

    def __init__(self, free: int) -> None:
        self.free, self.now, self.asked = free, 100.0, 0

    def statvfs(self, path: str) -> SimpleNamespace:
        """Answer as the system."""
        self.asked += 1
        return SimpleNamespace(f_bavail=self.free // 1024, f_frsize=1024, f_favail=7)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Put another disk in place of ours."""
    made = Disk(20 * MIB)
    monkeypatch.setattr(rooms, "os", made)
    monkeypatch.setattr(rooms, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


def test_a_disk_that_fills_is_told_once_and_again_when_there_is_room(disk: Disk) -> None:
    told: list[str] = []
    room = Room("/spool", 10 * MIB, told.append)
    assert not room.is_short()
    disk.free, disk.now = 5 * MIB, disk.now + 1
    assert room.is_short()
    disk.now += 1
    assert room.is_short()
    assert told == [room.complaint()] == [
        "no new mail is taken: the disk of /spool has 5.0M left, and 10M are to stay free (check_spool_space); "
        "make room there"
    ]  # fmt: skip
    disk.free, disk.now = 11 * MIB, disk.now + 1
    assert not room.is_short()
    assert room.complaint() == ""
    assert told[1:] == ["the disk of /spool has room again: new mail is taken"]


def test_a_message_is_to_leave_as_much_free(disk: Disk) -> None:
    room = Room("/spool", 10 * MIB, print)
    assert not room.is_short(10 * MIB)
    assert room.is_short(10 * MIB + 1)


def test_the_disk_is_asked_once_a_second_and_not_at_all_where_nothing_is_wanted(disk: Disk) -> None:
    room = Room("/spool", 10 * MIB, print)
    for _ in range(5):
        room.is_short()
    assert disk.asked == 1
    assert not Room("/spool", 0, print).is_short(1 << 40)
    assert disk.asked == 1


async def test_a_client_is_told_at_mail(tmp_path: Path) -> None:
    async with house(tmp_path, room=Room(str(tmp_path), 1 << 60, print)) as here:
        client = await here.connect()
        await client.say("EHLO app")
        reply = await client.say("MAIL FROM:<a@b.example>")
        assert reply.startswith("452 4.3.1 there is no room")
        assert "rejected MAIL FROM:<a@b.example>: 452 4.3.1 there is no room" in "".join(here.log)


async def test_an_extension_is_offered_to_those_that_the_configuration_names(tmp_path: Path) -> None:
    offers = {"CHUNKING": lambda address: address != "127.0.0.1", "8BITMIME": lambda address: False}
    async with house(tmp_path, offers=offers) as here:
        words = (await (await here.connect()).say("EHLO app")).splitlines()
        assert not {"250-CHUNKING", "250-8BITMIME"} & set(words)
        assert {"250-PIPELINING", "250-SMTPUTF8", "250-DSN"} <= set(words)
