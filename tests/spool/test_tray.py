"""The tray's journal: what is left in it after a crash, and what cannot pass for a part of it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from smarthostd.address import Address
from smarthostd.envelope import Client, Content, Envelope, Message, Recipient
from smarthostd.spool import tray
from smarthostd.spool.gathering import LAZY_DELAY
from smarthostd.spool.tray import Tray, left_in

PATIENCE = 10


def message(id: str, body: bytes = b"Subject: x\r\n\r\nhello\r\n", subject: str = "x") -> Message:
    client = Client("esmtps", "127.0.0.1", 1234, "localhost", "helo.example", "bob", "plain", tls="TLS1.3:X:256")
    recipients = (Recipient(Address("you", "there"), "FAILURE", "rfc822;You"), Recipient(Address('"a b"', "x")))
    envelope = Envelope(Address("me", "here"), recipients, "HDRS", "id", "8BITMIME", True, client)
    return Message(id, 1_700_000_000.5, envelope, Content(body), "mid@here", subject)


async def put(one: Tray, *messages: Message) -> list[OSError | None]:
    """Put them all at once, and return what was said of each."""
    told: list[asyncio.Future[OSError | None]] = []
    for each in messages:
        future: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
        assert one.put(each, future.set_result)
        told.append(future)
    return list(await asyncio.wait_for(asyncio.gather(*told), PATIENCE))


def left(directory: Path) -> list[str]:
    """Return the ids of what a start would find."""
    messages, unreadable = left_in(directory)
    assert not unreadable
    return [each.id for each in messages]


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Tray]:
    one = Tray(tmp_path)
    yield one
    await one.close()


async def test_what_has_not_gone_is_found_as_it_was_oldest_first(one: Tray, tmp_path: Path) -> None:
    first, second, third = message("1"), message("2", b"\r\nbody\r\n"), message("3", "ä\r\n".encode())
    assert await put(one, first) == [None]
    assert await put(one, second, third) == [None, None]
    one.gone(["2"])
    assert left_in(tmp_path) == ([first, second, third], {}), "nothing was written of it yet"
    await one.settle()
    assert left_in(tmp_path) == ([first, third], {})
    assert [each.id for each in one.older_than(0)] == ["1", "3"]


async def test_the_word_of_what_has_gone_is_written_soon_also_when_nothing_comes(one: Tray, tmp_path: Path) -> None:
    await put(one, message("1"))
    one.gone(["1"])
    async with asyncio.timeout(PATIENCE):
        while left(tmp_path):  # noqa: ASYNC110 - a file tells nobody that it has changed
            await asyncio.sleep(LAZY_DELAY / 10)


async def test_a_journal_of_which_nothing_is_needed_goes_when_it_is_closed(tmp_path: Path) -> None:
    one = Tray(tmp_path)
    assert not tray.is_in(tmp_path), "it is made when it is needed"
    await put(one, message("1"))
    assert tray.is_in(tmp_path)
    one.gone(["1"])
    await one.close()
    assert not tray.is_in(tmp_path)


async def test_what_is_needed_stays_when_it_is_closed(tmp_path: Path) -> None:
    one = Tray(tmp_path)
    await put(one, message("1"))
    await one.close()
    assert left(tmp_path) == ["1"]


@pytest.mark.parametrize("torn", [1, 20, 40, 4095, 4096, 4097, 6000])
async def test_a_record_that_was_torn_harms_none_before_it(one: Tray, tmp_path: Path, torn: int) -> None:
    await put(one, message("1"))
    await put(one, message("2", b"x" * 5000))
    path = tmp_path / tray.NAMES[0]
    octets = path.read_bytes()
    assert len(octets) == 3 * tray.PAGE
    path.write_bytes(octets[: tray.PAGE + torn])
    assert left(tmp_path) == (["1"] if torn < 5100 else ["1", "2"])
    path.write_bytes(octets[: tray.PAGE + torn] + bytes(len(octets) - tray.PAGE - torn))
    assert left(tmp_path) == (["1"] if torn < 5100 else ["1", "2"])


async def test_two_segments_are_written_in_turn_and_no_more(
    one: Tray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tray, "SEGMENT", 8 * tray.PAGE)
    for number in range(100):
        await put(one, message(str(number)))
        assert left(tmp_path)[-1] == str(number)
        one.gone([str(number)])
    await one.settle()
    assert left(tmp_path) == []
    assert max((tmp_path / name).stat().st_size for name in tray.NAMES) <= 9 * tray.PAGE


async def test_a_segment_in_which_something_is_needed_is_not_begun_anew(
    one: Tray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tray, "SEGMENT", 8 * tray.PAGE)
    await put(one, message("stays"))
    for number in range(14):  # and a page by which the second segment is begun anew
        await put(one, message(str(number)))
        one.gone([str(number)])
    assert not one.put(message("no room"), lambda error: None)
    await one.settle()
    assert left(tmp_path) == ["stays"]
    one.gone(["stays"])
    await put(one, message("room"))
    assert left(tmp_path) == ["room"]


async def test_what_lies_behind_the_last_record_is_no_record(
    one: Tray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what was left of the segment's last use, nor what a stranger has written into a message, page by page."""
    await put(one, message("1"))
    record = (tmp_path / tray.NAMES[0]).read_bytes()[: tray.PAGE]
    monkeypatch.setattr(tray, "SEGMENT", 3 * tray.PAGE)
    await put(one, message("2", record * 4))
    one.gone(["1", "2"])
    await put(one, message("3"))  # turns to the other segment, and back again
    one.gone(["3"])
    for number in range(4, 7):
        await put(one, message(str(number)))
    assert left(tmp_path) == ["4", "5", "6"]
    forged = bytearray((tmp_path / tray.NAMES[1]).read_bytes())
    forged[tray.PAGE * 2 :] = record * 4
    (tmp_path / tray.NAMES[1]).write_bytes(forged)
    assert "1" not in left(tmp_path)


async def test_a_disk_that_takes_nothing_is_told_and_not_tried_again(
    one: Tray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    await put(one, message("1"))
    monkeypatch.setattr(os, "pwritev", full)
    (error,) = await put(one, message("2"))
    assert error is not None
    assert error.errno == 28
    assert one.get("2") is None
    assert not one.put(message("3"), lambda error: None)
    assert [each.id for each in one.older_than(0)] == ["1"]
    assert tray.is_in(tmp_path)
    one.gone(["1"])
    assert not tray.is_in(tmp_path), "nobody could say in it that it has gone"


async def test_a_sync_that_fails_is_told(one: Tray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    errors = await put(one, message("1"), message("2"))
    assert [error and error.errno for error in errors] == [5, 5]
    assert len(one) == 0
    assert not one.put(message("3"), lambda error: None)
    assert not tray.is_in(tmp_path), "what was not promised does not come back"


async def test_a_defect_of_who_is_told_strands_nobody(one: Tray) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)

    def defect(error: OSError | None) -> None:
        raise AssertionError

    assert one.put(message("1"), defect)
    assert await put(one, message("2")) == [None]


async def test_octets_that_are_no_text_are_for_the_database(one: Tray) -> None:
    (error,) = await put(one, message("1", subject="\udce4"))
    assert error is not None
    assert await put(one, message("2")) == [None], "the journal is as good as before"


async def test_a_record_of_another_kind_is_said_to_be_unreadable(
    one: Tray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tray, "_ENCODER", tray.msgspec.json.Encoder())
    await put(one, message("1"))
    messages, unreadable = left_in(tmp_path)
    assert not messages
    assert list(unreadable) == [tmp_path / tray.NAMES[0]]


async def test_a_copy_of_the_files_at_any_time_has_all_that_was_promised(one: Tray, tmp_path: Path) -> None:
    promised: set[str] = set()
    for number in range(50):
        id = str(number)
        assert await put(one, message(id)) == [None]
        promised.add(id)
        if number % 3:
            one.gone([id])
            await one.settle()
            promised.discard(id)
        copy = tmp_path / f"copy {number}"
        copy.mkdir()
        for name in tray.NAMES:
            shutil.copy(tmp_path / name, copy)
        assert set(left(copy)) == promised


async def test_on_a_slow_disk_a_small_group_waits_for_company(one: Tray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tray, "LONGEST_HOPE", 3600)
    await put(one, *(message(str(number)) for number in range(6)))
    one._syncs.took = 7200
    first = asyncio.create_task(put(one, message("6")))
    for _ in range(20):
        await asyncio.sleep(0)
    assert one._number == 1, "it waits for others"
    await asyncio.wait_for(put(one, message("7"), message("8")), PATIENCE)
    assert await asyncio.wait_for(first, PATIENCE) == [None]
    assert one._number == 2


async def test_who_waits_for_company_does_not_wait_for_long(one: Tray) -> None:
    await put(one, *(message(str(number)) for number in range(6)))
    one._syncs.took = 7200
    assert await put(one, message("6")) == [None]


async def test_a_single_client_waits_for_nobody(one: Tray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tray, "LONGEST_HOPE", 3600)
    for number in range(5):
        one._syncs.took = 7200
        assert await put(one, message(str(number))) == [None]


async def test_a_record_that_the_disk_has_damaged_is_said_and_takes_no_other_with_it(one: Tray, tmp_path: Path) -> None:
    for number in range(4):
        await put(one, message(str(number)))
    path = tmp_path / tray.NAMES[0]
    octets = bytearray(path.read_bytes())
    octets[tray.PAGE + 100] ^= 1
    path.write_bytes(octets)
    messages, unreadable = left_in(tmp_path)
    assert [each.id for each in messages] == ["0", "2", "3"]
    assert unreadable == {path: "a record of it is damaged"}
    path.write_bytes(octets[: 2 * tray.PAGE])
    assert left_in(tmp_path) == (messages[:1], {}), "the last one may be torn"


async def test_what_a_stranger_has_written_is_no_record_where_the_first_page_is_lost(one: Tray, tmp_path: Path) -> None:
    """He does not know the mark of a segment, but that of one that is empty."""
    payload = tray._ENCODER.encode(tray._Record(1, [], []))
    mark = bytes(tray._MARK)
    forged = tray._HEADER.pack(b"tray", mark, len(payload), tray.zlib.crc32(payload, tray._seed(mark))) + payload
    (tmp_path / tray.NAMES[0]).write_bytes(bytes(tray.PAGE) + forged)
    assert list(tray._records((tmp_path / tray.NAMES[0]).read_bytes())) == []
    await put(one, message("1"))


async def test_a_moment_without_descriptors_does_not_end_it(
    one: Tray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = 0
    real = os.open

    def third(*arguments: object, **named: object) -> int:
        nonlocal opened
        opened += 1
        if opened == 3:
            raise OSError(24, "Too many open files")
        return real(*arguments, **named)  # type: ignore[arg-type]

    before = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", third)
        assert not one.put(message("1"), lambda error: None)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert await put(one, message("1")) == [None]
    assert left(tmp_path) == ["1"]
