"""The drop directory: each message once, wherever the daemon was killed, from the owner of the file and nobody else."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from smarthostd.address import Address
from smarthostd.errors import SpoolFull
from smarthostd.listener.commands import facts_parameter
from smarthostd.listener.drop import Drop
from smarthostd.listener.policy import Policy
from smarthostd.sendmail.drop import keep
from smarthostd.sendmail.submission import Letter
from smarthostd.spool.base import Pending
from tests.listener.house import House, house

ID = "1rJxYz-0001ab-2K"
CONTENT = b"Subject: x\r\n\r\n.body\r\n"


def drop(relay: House, directory: Path, policy: Policy | None = None) -> Drop:
    """Return a daemon's view of the drop directory."""
    listener = relay.listener
    return Drop(directory / "drop", lambda: policy or listener.policy, listener.intake, relay.spool, listener.log)


def letter(*recipients: str, sender: str = "me@b.example") -> Letter:
    return Letter(sender, list(recipients or ["a@d.example"]), CONTENT)


def left(directory: Path) -> list[str]:
    """Return the names of all files below the drop directory."""
    return sorted(str(file.relative_to(directory / "drop")) for file in directory.rglob("drop/**/*") if file.is_file())


async def test_what_was_dropped_is_taken_in_as_if_it_had_been_submitted(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        place = drop(relay, tmp_path)
        await place.start()
        keep(str(tmp_path / "drop"), letter("a@d.example", "root"))
        await place.start()
        (pending,) = await relay.stored()
        assert str(pending.message.envelope.sender) == "me@b.example"
        assert [str(one) for one in pending.waiting] == ["a@d.example", "root@recipients.example"]
        client = pending.message.envelope.client
        assert (client.protocol, client.login, client.uid) == (
            "local",
            "root" if os.getuid() == 0 else client.login,
            os.getuid(),
        )
        assert pending.message.content.head.endswith(CONTENT)
        assert left(tmp_path) == []
        assert " <= me@b.example U=" in relay.log[-1]


async def test_it_is_a_place_where_anybody_may_leave_and_nobody_take(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        await drop(relay, tmp_path).start()
        assert stat.S_IMODE((tmp_path / "drop").stat().st_mode) == 0o3777
        assert stat.S_IMODE((tmp_path / "drop" / "taken").stat().st_mode) == 0o700


async def test_killed_after_the_file_was_taken(tmp_path: Path) -> None:
    """Nothing is stored yet: the next daemon goes on, with the same id."""
    async with house(tmp_path) as relay:
        await drop(relay, tmp_path).start()
        _taken(tmp_path)
        await drop(relay, tmp_path).start()
        assert [pending.message.id for pending in await relay.stored()] == [ID]
        assert left(tmp_path) == []


async def test_killed_after_the_message_was_stored(tmp_path: Path) -> None:
    """The file is there still, and so is the message: it is not stored twice."""
    async with house(tmp_path) as relay:
        place = drop(relay, tmp_path)
        await place.start()
        _taken(tmp_path)
        octets = (tmp_path / "drop" / "taken" / ID).read_bytes()
        await drop(relay, tmp_path).start()
        (tmp_path / "drop" / "taken" / ID).write_bytes(octets)
        await drop(relay, tmp_path).start()
        assert [pending.message.id for pending in await relay.stored()] == [ID]
        assert left(tmp_path) == []


@pytest.mark.parametrize("room", [True, False], ids=["into the window", "to wait in the spool"])
async def test_nobody_delivers_it_before_its_file_is_gone(tmp_path: Path, room: bool) -> None:
    async with house(tmp_path) as relay:
        await drop(relay, tmp_path).start()
        seen: list[list[str]] = []

        def look(pending: Pending | None = None) -> None:
            seen.append(left(tmp_path))

        relay.listener.intake.connect(lambda: room, look, look)
        keep(str(tmp_path / "drop"), letter())
        await drop(relay, tmp_path).start()
        assert seen == [[]]
        claimed = await relay.spool.claim_one((await relay.stored())[0].message.id)
        assert (claimed is None) is room


async def test_a_file_that_cannot_be_removed_takes_nothing_of_what_was_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is in the spool, its content in a file there; it is let go when what was dropped has gone."""
    large = b"Subject: x\r\n\r\n" + b"0123456789abcde\r\n" * 10_000
    async with house(tmp_path) as relay:
        place = drop(relay, tmp_path)
        await place.start()
        keep(str(tmp_path / "drop"), Letter("me@b.example", ["a@d.example"], large))
        forget = place._forget
        monkeypatch.setattr(place, "_forget", _failing(OSError(5, "Input/output error")))
        await place.start()
        assert len(left(tmp_path)) == 1
        monkeypatch.setattr(place, "_forget", forget)
        await place.start()
        (pending,) = await relay.stored()
        assert b"".join(pending.message.content.blocks()).endswith(large)
        assert left(tmp_path) == []


async def test_what_the_spool_does_not_take_waits_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as relay:
        place = drop(relay, tmp_path)
        await place.start()
        keep(str(tmp_path / "drop"), letter())
        put = relay.spool.put
        monkeypatch.setattr(relay.spool, "put", _failing(SpoolFull("no room")))
        await place.start()
        assert await relay.stored() == []
        assert len(left(tmp_path)) == 1
        assert "a dropped message waits" in relay.log[-1]
        monkeypatch.setattr(relay.spool, "put", put)
        await place.start()
        assert len(await relay.stored()) == 1
        assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        pytest.param(b"", "envelope is damaged", id="empty"),
        pytest.param(b"hello\r\n", "does not hold MAIL", id="something else"),
        pytest.param(b"RCPT TO:<a@b.c>\r\n", "does not hold MAIL", id="no MAIL"),
        pytest.param(b"MAIL FROM:<>\r\nDATA\r\nx\r\n", "does not hold MAIL", id="no recipient"),
        pytest.param(b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\n", "envelope is damaged", id="cut off"),
        pytest.param(b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\nDATA\r\n", "envelope is damaged", id="bare LF"),
        pytest.param(b"MAIL FROM:<\x1b@b>\r\n", "envelope is damaged", id="a control character"),
        pytest.param(b"MAIL FROM:<\xff@b>\r\n", "envelope is damaged", id="no UTF-8"),
        pytest.param(b"MAIL FROM:<a@@b>\r\n", "501", id="no address"),
        pytest.param(b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\nx\ny\r\n", "550 5.6.11", id="a bare LF in the text"),
        pytest.param(b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\n" + b"x" * 3000, "552 5.3.4", id="too large"),
        pytest.param(b"MAIL FROM:<>\r\n" + b"RCPT TO:<a@b.c>\r\n" * 4 + b"DATA\r\n", "too many", id="too many"),
    ],
)
async def test_what_is_refused_is_set_aside_and_told(tmp_path: Path, octets: bytes, why: str) -> None:
    async with house(tmp_path, message_size_limit=2000, recipients_max=3) as relay:
        await drop(relay, tmp_path).start()
        (tmp_path / "drop" / ("0" * 32)).write_bytes(octets)
        await drop(relay, tmp_path).start()
        assert await relay.stored() == []
        (place,) = left(tmp_path)
        assert place.startswith("refused/")
        assert (tmp_path / "drop" / place).read_bytes() == octets
        assert place in relay.log[-1]
        assert why in relay.log[-1]


async def test_a_defect_of_ours_sets_one_message_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not end the daemon, at this start and the next, whoever has left the file."""

    def broken(*arguments: object, **named: object) -> None:
        raise ZeroDivisionError("a defect")

    async with house(tmp_path) as relay:
        place = drop(relay, tmp_path)
        await place.start()
        keep(str(tmp_path / "drop"), letter())
        monkeypatch.setattr(relay.listener.intake, "accept", broken)
        await place.start()
        monkeypatch.undo()
        keep(str(tmp_path / "drop"), letter())
        await place.start()
        assert len(await relay.stored()) == 1
        assert [name.partition("/")[0] for name in left(tmp_path)] == ["refused"]
        assert any("PANIC: drop directory: ZeroDivisionError" in line for line in relay.log)


async def test_a_port_that_is_none_is_no_port(tmp_path: Path) -> None:
    """What a trusted user says of a message; a number may have any length."""
    facts = facts_parameter({"sender_host_address": "192.0.2.1", "sender_host_port": "1" * 5000})
    octets = f"MAIL FROM:<a@b.c> {facts}\r\nRCPT TO:<a@b.c>\r\nDATA\r\n".encode()
    async with house(tmp_path) as relay:
        await drop(relay, tmp_path).start()
        (tmp_path / "drop" / ("0" * 32)).write_bytes(octets + CONTENT)
        await drop(relay, tmp_path).start()
        (pending,) = await relay.stored()
        assert (pending.message.envelope.client.address, pending.message.envelope.client.port) == ("192.0.2.1", 0)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/etc/passwd")])
async def test_what_is_no_plain_file_is_set_aside(tmp_path: Path, make: Callable[[Path], None]) -> None:
    async with house(tmp_path) as relay:
        await drop(relay, tmp_path).start()
        make(tmp_path / "drop" / ("0" * 32))
        await drop(relay, tmp_path).start()
        assert await relay.stored() == []
        assert len(list((tmp_path / "drop" / "refused").iterdir())) == 1


async def test_a_second_name_for_a_file_does_not_submit_it(tmp_path: Path) -> None:
    """A hard link would make its owner the sender of what somebody else has named."""
    async with house(tmp_path) as relay:
        await drop(relay, tmp_path).start()
        keep(str(tmp_path), letter())
        (file,) = (file for file in tmp_path.iterdir() if len(file.name) == 32)
        (tmp_path / "drop" / ("0" * 32)).hardlink_to(file)
        await drop(relay, tmp_path).start()
        assert await relay.stored() == []


async def test_files_with_other_names_are_left_alone(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        await drop(relay, tmp_path).start()
        unfinished = tmp_path / "drop" / f"{'0' * 32}.new"
        unfinished.write_bytes(b"MAIL")
        await drop(relay, tmp_path).start()
        assert unfinished.exists()
        assert await relay.stored() == []


async def test_a_folder_that_a_stranger_put_in_our_place_is_moved_away(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (tmp_path / "drop").mkdir()
        (tmp_path / "drop" / "taken").symlink_to(elsewhere)
        await drop(relay, tmp_path).start()
        assert not (tmp_path / "drop" / "taken").is_symlink()


async def test_who_may_not_choose_the_sender_is_the_sender(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        strict = Policy("relay.example", trusts=lambda peer: False, may_send_as=_only("ok@b.example"))
        await drop(relay, tmp_path, strict).start()
        for sender in ("me@b.example", "ok@b.example", ""):
            keep(str(tmp_path / "drop"), letter(sender=sender))
        await drop(relay, tmp_path, strict).start()
        found = {str(pending.message.envelope.sender) for pending in await relay.stored()}
        assert "me@b.example" not in found
        assert {"ok@b.example", ""} < found


async def test_a_directory_that_cannot_be_made_is_told_and_nothing_more(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        (tmp_path / "drop").write_text("a file")
        await drop(relay, tmp_path).start()
        assert "sendmail cannot keep mail while smarthostd is down" in relay.log[-1]


def _taken(directory: Path) -> None:
    """Leave what a daemon that was killed after its first step leaves."""
    keep(str(directory / "drop"), letter())
    (file,) = (file for file in (directory / "drop").iterdir() if file.is_file())
    file.rename(directory / "drop" / "taken" / ID)


def _failing(error: Exception) -> Callable[..., Awaitable[None]]:
    async def fail(*arguments: object, **named: object) -> None:
        raise error

    return fail


def _only(sender: str) -> Callable[[object, Address], bool]:
    return lambda peer, claimed: str(claimed) == sender
