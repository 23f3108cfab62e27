"""New mail is refused while there is still room to deliver, and to record, what is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smarthostd import admission
from smarthostd.admission import Room
from tests.listener.house import house


async def test_where_there_is_no_room_mail_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with house(tmp_path, has_room=lambda size: size <= 1000) as relay:
        client = await relay.connect()
        await client.say("EHLO client.example")
        said = await client.say("MAIL FROM:<a@b.example> SIZE=1001")
        assert said.startswith("452 4.3.1 there is no room for new mail now (check_spool_space)")
        assert "rejected MAIL FROM:<a@b.example> SIZE=1001" in relay.log[-1]
        assert (await client.say("MAIL FROM:<a@b.example> SIZE=1000")).startswith("250")


async def test_in_exims_words(tmp_path: Path) -> None:
    async with house(tmp_path, strict=True, has_room=lambda size: False) as relay:
        client = await relay.connect()
        await client.say("EHLO client.example")
        assert await client.say("MAIL FROM:<a@b.example>") == "452 Space shortage, please try later"


def test_what_the_disk_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.statvfs(tmp_path)
    free = status.f_bavail * status.f_frsize
    monkeypatch.setattr(os, "statvfs", lambda directory: status)
    assert Room(str(tmp_path), free)(0)
    assert not Room(str(tmp_path), free)(1)
    assert Room(str(tmp_path), 0)(free + 1), "it is not looked at"
    monkeypatch.undo()
    assert Room(str(tmp_path / "none"), 1)(0), "a disk that does not say"


def test_room_that_is_made_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "LOOK_INTERVAL", 0.0)
    status = os.statvfs(tmp_path)
    says = [type("Full", (), {"f_bavail": 0, "f_frsize": 1}), status]
    monkeypatch.setattr(os, "statvfs", lambda directory: says.pop(0))
    room = Room(str(tmp_path), 1)
    assert [room(0), room(0)] == [False, True]
