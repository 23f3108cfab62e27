"""What every keeper of the spool promises."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from smarthostd.address import NULL_SENDER, Address
from smarthostd.envelope import Client, Envelope, Message, Recipient
from smarthostd.errors import SpoolError, SpoolLocked
from smarthostd.hints import Hint
from smarthostd.message_id import MessageIds
from smarthostd.spool import rows
from smarthostd.spool.base import ALL, Changes, Counts, Notice, Selection, State, Thawing, Waiting
from smarthostd.spool.database import open_database
from smarthostd.spool.rows import STORY_LIMIT
from smarthostd.spool.sqlite import SqliteSpool
from smarthostd.spool.trayed import TraySpool
from tests.clocks import HeldClock
from tests.peers import presence
from tests.peers.private import UID, reachable

ANN = Recipient(Address("ann", "example.com"), "SUCCESS,FAILURE", "rfc822;Ann+40example.com")
BEN = Recipient(Address('"b en"', "Example.ORG"))
ME = Address("me", "here")
BODY = b"Subject: x\r\n\r\nhello\r\n"
LARGE = BODY + b"0123456789abcde\r\n" * 10_000


class House:
    """A spool on disk, and how to make messages for it."""

    def __init__(self, directory: Path, keeper: type[SqliteSpool]) -> None:
        self.keeper = keeper
        self.directory = directory
        self.clock = HeldClock()
        self.ids = MessageIds(self.clock)
        self.damaged: list[str] = []
        self.spool: SqliteSpool

    async def open(self) -> None:
        self.spool = await self.keeper.open(
            self.directory, set_aside=lambda id, why: self.damaged.append(id), now=self.clock.now
        )

    async def reopen(self) -> None:
        await self.spool.close()
        await self.open()

    def message(self, *recipients: Recipient, body: bytes = BODY, sender: Address = ME) -> Message:
        self.clock.pass_(1)
        id = self.ids.new()
        sink = self.spool.sink(id)
        for at in range(0, len(body), 50_000):
            sink.write(body[at : at + 50_000])
        client = Client("esmtps", "127.0.0.1", 1234, "localhost", "helo.example", "bob", "plain", tls="TLS1.3:X:256")
        envelope = Envelope(sender, recipients or (ANN, BEN), "HDRS", "QQ314", "8BITMIME", True, client)
        return Message(id, self.clock.now(), envelope, sink.content(b"Received: us\r\n"), "mid@here", "subject")

    async def put(self, *recipients: Recipient, body: bytes = BODY) -> Message:
        message = self.message(*recipients, body=body)
        await self.spool.put(message, claim=self.keeper is TraySpool)  # which may lie in the tray while it is claimed
        await self.spool.release([message.id])
        return message

    async def due(self, limit: int = 10, destinations: tuple[str, ...] = ()) -> list[str]:
        claimed = await self.spool.claim(self.clock.now(), limit, destinations=destinations)
        await self.spool.release([pending.message.id for pending in claimed])
        return [pending.message.id for pending in claimed]


@pytest.fixture(params=[SqliteSpool, TraySpool])
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    house = House(tmp_path / "spool", request.param)
    await house.open()
    yield house
    await house.spool.close()


@pytest.mark.parametrize(
    "body", [pytest.param(BODY, id="small, in the row"), pytest.param(LARGE, id="large, in a file")]
)
async def test_a_message_comes_back_as_it_went_in_also_after_a_restart(house: House, body: bytes) -> None:
    message = await house.put(body=body)
    await house.reopen()
    (pending,) = await house.spool.claim(house.clock.now(), 10)
    assert pending.message.envelope == message.envelope
    assert (pending.message.id, pending.message.message_id, pending.message.subject) == (
        message.id,
        "mid@here",
        "subject",
    )
    assert b"".join(pending.message.content.blocks()) == b"Received: us\r\n" + body
    assert list(pending.waiting) == [ANN, BEN]


async def test_a_header_that_was_rewritten_in_front_of_a_file_comes_back_so(house: House) -> None:
    """The file keeps the old one, and its first octets are not read again."""
    message = house.message(ANN, body=LARGE)
    content = message.content.with_header(b"Subject: other\r\n", len(b"Received: us\r\nSubject: x\r\n"))
    await house.spool.put(replace(message, content=content))
    await house.reopen()
    (pending,) = await house.spool.claim(house.clock.now(), 10)
    assert b"".join(pending.message.content.blocks()) == LARGE.replace(b"Subject: x", b"Subject: other")


async def test_the_null_sender_comes_back_as_nobody(house: House) -> None:
    message = house.message(ANN, sender=NULL_SENDER)
    await house.spool.put(message)
    loaded = await house.spool.load(message.id)
    assert loaded
    assert loaded.message.envelope.sender == NULL_SENDER


async def test_a_claimed_message_is_not_claimed_again_until_released(house: House) -> None:
    message = await house.put()
    assert len(await house.spool.claim(house.clock.now(), 10)) == 1
    assert await house.spool.claim(house.clock.now(), 10) == []
    assert await house.spool.claim_one(message.id) is None
    assert await house.spool.next_due() is None
    await house.spool.release([message.id])
    assert await house.due() == [message.id]


async def test_a_message_put_with_a_claim_belongs_to_the_caller(house: House) -> None:
    message = house.message()
    await house.spool.put(message, claim=True)
    assert await house.due() == []


async def test_claims_do_not_survive_the_daemon(house: House) -> None:
    message = await house.put()
    await house.spool.claim(house.clock.now(), 10)
    await house.reopen()
    assert await house.due() == [message.id]


async def test_a_finished_message_is_gone_with_its_content(house: House) -> None:
    message = await house.put(body=LARGE)
    assert message.content.file
    await house.spool.claim(house.clock.now(), 10)
    await house.spool.record(message.id, Changes(done=[ANN, BEN]))
    await house.reopen()
    assert await house.spool.count() == (0, 0)
    assert not message.content.file.exists()


async def test_a_content_file_that_cannot_be_taken_away_is_told(house: House) -> None:
    stubborn, other = [await house.put(body=LARGE) for _ in range(2)]
    assert stubborn.content.file
    assert other.content.file
    await house.spool.claim(house.clock.now(), 10)
    stubborn.content.file.unlink()
    stubborn.content.file.mkdir()
    for message in (stubborn, other):
        await house.spool.record(message.id, Changes(done=[ANN, BEN]))
    await house.spool.close()
    await asyncio.sleep(0)  # what the thread has told the loop last
    assert house.damaged == [stubborn.id]
    assert not other.content.file.exists()
    stubborn.content.file.rmdir()
    await house.open()


async def test_no_file_stays_open(house: House) -> None:
    """Neither of what was kept, nor of what was thrown away, nor of what nobody has put."""

    def left_open() -> list[str]:
        directory = Path("/proc/self/fd")
        return [name for one in directory.iterdir() if str(house.directory / "content") in (name := _target(one))]

    await house.put(body=LARGE)
    for whole in (False, True):
        sink = house.spool.sink(house.ids.new())
        sink.write(LARGE)
        if whole:
            sink.content(b"")
        sink.discard()
    house.message(body=LARGE)
    assert len(left_open()) == 2
    await house.spool.close()
    assert left_open() == []
    await house.open()


async def test_what_was_put_stays_whatever_becomes_of_its_sink(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gave it may be interrupted before it is told, or fail at what comes behind; what was not kept goes."""
    id = house.ids.new()
    sink = house.spool.sink(id)
    sink.write(LARGE)
    message = Message(id, house.clock.now(), Envelope(ME, (ANN,)), sink.content(b""))
    await house.spool.put(message)
    sink.discard()
    loaded = await house.spool.load(id)
    assert loaded
    assert b"".join(loaded.message.content.blocks()) == LARGE
    id = house.ids.new()
    sink = house.spool.sink(id)
    sink.write(LARGE)
    message = Message(id, house.clock.now(), Envelope(ME, (ANN,)), sink.content(b""))
    monkeypatch.setattr(os, "fsync", _no_room)
    with pytest.raises(SpoolError):
        await house.spool.put(message)
    monkeypatch.undo()
    sink.discard()
    assert [file.name for file in (house.directory / "content").iterdir()] == [loaded.message.id]


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["small", "large"])
async def test_what_was_not_synced_counts_as_not_there_and_may_be_given_again(
    house: House, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """Its row is there until it can be removed. Nobody is to deliver it, nor to take it for kept."""
    message = house.message(ANN, body=body)
    monkeypatch.setattr(os, "fdatasync", _no_room)
    with pytest.raises(SpoolError):
        await house.spool.put(message)
    assert await house.spool.load(message.id) is None
    assert await house.due() == []
    monkeypatch.undo()
    sink = house.spool.sink(message.id)
    sink.write(body)
    again = replace(message, content=sink.content(b"Received: again\r\n"))
    await house.spool.put(again)
    assert await house.due() == [message.id]
    loaded = await house.spool.load(message.id)
    assert loaded
    assert b"".join(loaded.message.content.blocks()) == b"Received: again\r\n" + body
    assert house.damaged == []


def _no_room(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


async def test_a_finished_message_cannot_be_claimed_while_its_removal_waits(house: House) -> None:
    message = await house.put()
    await house.spool.claim(house.clock.now(), 10)
    await house.spool.record(message.id, Changes(done=[ANN, BEN]))
    assert await house.spool.claim(house.clock.now(), 10) == []


async def test_one_recipient_done_and_one_waiting(house: House) -> None:
    message = await house.put()
    await house.spool.claim(house.clock.now(), 10)
    waiting = Waiting(house.clock.now() + 900, "450 later", "t:h:25", 3, 5.0, 7.0, True)
    await house.spool.record(
        message.id, Changes(done=[ANN], waiting={BEN: waiting}, done_addresses=["x@y"], events=["tried"], warned=2)
    )
    assert await house.due() == []
    assert await house.spool.next_due() == waiting.until
    await house.reopen()
    house.clock.pass_(900)
    (pending,) = await house.spool.claim(house.clock.now(), 10)
    assert pending.waiting == {BEN: waiting}
    assert pending.done == {"x@y"}
    assert pending.warned == 2
    assert pending.message.envelope.recipients == (ANN, BEN)
    assert [text for _, text in await house.spool.events(message.id)] == ["tried"]


async def test_a_bounce_is_put_in_the_transaction_that_ends_its_cause(house: House) -> None:
    message = await house.put(ANN)
    bounce = house.message(BEN, sender=NULL_SENDER)
    await house.spool.claim(house.clock.now(), 10)
    await house.spool.record(message.id, Changes(done=[ANN], new=[bounce]))
    assert await house.due() == [bounce.id]


async def test_messages_are_claimed_the_longest_due_first(house: House) -> None:
    messages = [await house.put(ANN) for _ in range(5)]
    assert await house.due(limit=3) == [message.id for message in messages[:3]]


async def test_what_waits_for_a_destination_is_claimed_when_that_opens(house: House) -> None:
    message = await house.put(ANN)
    await house.spool.claim(house.clock.now(), 10)
    waiting = Waiting(house.clock.now() + 9000, "held", "t:h:587")
    await house.spool.record(message.id, Changes(waiting={ANN: waiting}))
    assert await house.due() == []
    assert await house.due(destinations=("other",)) == []
    assert await house.spool.destinations() == {"t:h:587": 1}
    assert await house.due(destinations=("t:h:587",)) == [message.id]
    claimed = await house.spool.claim_waiting("t:h:587")
    assert claimed
    assert claimed.message.id == message.id
    assert await house.spool.claim_waiting("t:h:587") is None


async def test_a_claimed_message_with_many_recipients_hides_no_other(house: House) -> None:
    """Each of its recipients stands in the index that claims read, in front of the next message."""
    many = [Recipient(Address(f"user{number}", "example.com")) for number in range(50)]
    first, second = await house.put(*many), await house.put(*many)
    waiting = Waiting(house.clock.now() + 9000, "held", "t:h:587")
    for pending in await house.spool.claim(house.clock.now(), 2):
        await house.spool.record(pending.message.id, Changes(waiting=dict.fromkeys(many, waiting)))
    for expected in (first, second):
        (pending,) = await house.spool.claim(house.clock.now(), 1, destinations=["t:h:587"])
        assert pending.message.id == expected.id
    await house.spool.release([first.id, second.id])
    house.clock.pass_(9000)
    assert [pending.message.id for pending in await house.spool.claim(house.clock.now(), 1)] == [first.id]
    assert [pending.message.id for pending in await house.spool.claim(house.clock.now(), 1)] == [second.id]


async def test_a_frozen_message_is_never_due_and_a_thawed_one_at_once(house: House) -> None:
    message = await house.put(ANN)
    assert await house.spool.freeze([message.id, "1rJxYz-0001ab-2K"], True) == 1
    assert await house.due() == []
    assert await house.spool.count() == (1, 1)
    assert await house.spool.next_due() is None
    await house.spool.freeze([message.id], False)
    assert await house.due() == [message.id]


async def test_freezing_by_record_keeps_the_recipient(house: House) -> None:
    message = await house.put(ANN)
    await house.spool.claim(house.clock.now(), 10)
    await house.spool.record(message.id, Changes(waiting={ANN: Waiting(0.0, "550 no")}, frozen=True))
    assert await house.due() == []
    (summary,) = await house.spool.summaries()
    assert summary.frozen
    waiting = summary.recipients[0][2]
    assert waiting
    assert waiting.reason == "550 no"


async def test_hurry_makes_all_that_is_not_frozen_due(house: House) -> None:
    first, second = await house.put(ANN), await house.put(ANN)
    later = {ANN: Waiting(house.clock.now() + 9000, "later")}
    for message in await house.spool.claim(house.clock.now(), 10):
        await house.spool.record(message.message.id, Changes(waiting=later))
    await house.spool.freeze([second.id], True)
    assert await house.spool.hurry(None) == 1
    assert await house.due() == [first.id]


async def test_a_message_may_be_thawed_to_wait_as_it_waited(house: House) -> None:
    message = await house.put(ANN)
    until = house.clock.now() + 900
    await house.spool.claim(house.clock.now(), 10)
    await house.spool.record(message.id, Changes(waiting={ANN: Waiting(until, "450 later")}))
    await house.spool.freeze([message.id], True)
    await house.spool.freeze([message.id], False, at_once=False)
    assert await house.due() == []
    assert await house.spool.next_due() == until


async def test_a_recipient_may_be_added(house: House) -> None:
    """It is due at once, or frozen with the others, and survives a restart."""
    message = await house.put(ANN)
    (claimed,) = await house.spool.claim(house.clock.now(), 10)
    await house.spool.record(message.id, Changes(waiting={ANN: Waiting(house.clock.now() + 900)}))
    await house.spool.add_recipients(message.id, [BEN])
    await house.reopen()
    (pending,) = await house.spool.claim(house.clock.now(), 10)
    assert list(pending.waiting) == [BEN]
    assert list(pending.later) == [ANN]
    assert claimed.message.envelope.recipients == (ANN,)
    assert pending.message.envelope.recipients == (ANN, BEN)


async def test_a_recipient_added_to_a_frozen_message_is_not_due(house: House) -> None:
    message = await house.put(ANN)
    await house.spool.freeze([message.id], True)
    await house.spool.add_recipients(message.id, [BEN])
    assert await house.due() == []


async def test_the_sender_may_be_changed(house: House) -> None:
    message = await house.put(ANN)
    await house.spool.set_sender(message.id, NULL_SENDER)
    pending = await house.spool.load(message.id)
    assert pending
    assert pending.message.envelope.sender == NULL_SENDER


async def test_recipients_may_be_marked_as_done(house: House) -> None:
    """The message stays, for its end is told by an attempt; with nobody left, only the list of such knows it."""
    message = await house.put(ANN, BEN)
    other = await house.put(ANN)
    await house.spool.mark_done(message.id, [str(ANN)])
    (pending, _) = await house.spool.claim(house.clock.now(), 10)
    assert list(pending.waiting) == [BEN]
    assert await house.spool.finished() == []
    await house.spool.mark_done(message.id, [str(BEN)])
    await house.spool.release([message.id, other.id])
    assert await house.due() == [other.id]
    assert await house.spool.finished() == [message.id]


async def test_a_reserved_message_is_nobodys_to_claim(house: House) -> None:
    first, second = await house.put(ANN), await house.put(ANN)
    await house.spool.claim(house.clock.now(), 1)
    assert await house.spool.reserve([first.id, second.id]) == [second.id]
    assert await house.due() == []
    await house.spool.release([second.id])
    assert await house.due() == [second.id]


async def test_a_message_that_was_let_go_while_a_claim_was_reading_is_not_claimed_as_it_was(house: House) -> None:
    """What was read of it may be old: a tool has changed it meanwhile, or an attempt has ended."""
    message = await house.put(ANN)
    claim = asyncio.create_task(house.spool.claim(house.clock.now(), 10))
    await asyncio.sleep(0)
    house.spool._reader.submit(lambda: None).result()  # it has read, and does not know it yet
    await house.spool.reserve([message.id])
    await house.spool.release([message.id])
    assert await claim == []
    assert await house.due() == [message.id]


async def test_a_page_of_the_queue_is_of_one_moment(house: House) -> None:
    """A message that is recorded while others are read is listed as it was, or as it is, and not as half of each."""
    first = await house.put(ANN)
    await house.spool.claim(house.clock.now(), 10)
    looks = 0
    recording = asyncio.create_task(
        house.spool.record(first.id, Changes(waiting={ANN: Waiting(9e9)}, new=[house.message(BEN)]))
    )
    while not recording.done():
        summaries = await house.spool.summaries()
        waits = summaries[0].recipients[0][2]
        assert waits
        assert (waits.until == 9e9) == (len(summaries) == 2)
        looks += 1
    assert looks


async def test_nobody_claims_a_report_before_its_cause_is_recorded(house: House) -> None:
    """Until then neither of them outlives a power failure, and the log has not told of the report."""
    message = await house.put(ANN)
    report = house.message(BEN, sender=NULL_SENDER)
    await house.spool.claim(house.clock.now(), 10)
    recording = asyncio.create_task(house.spool.record(message.id, Changes(done=[ANN], new=[report])))
    while not recording.done():
        claimed = await house.spool.claim(house.clock.now(), 10)
        assert recording.done() or not claimed
        await house.spool.release([pending.message.id for pending in claimed])
    assert await house.due() == [report.id]


async def test_a_story_that_grows_too_long_loses_its_beginning(house: House) -> None:
    message = await house.put(ANN)
    neighbour = await house.put(ANN)
    waiting = {ANN: Waiting(0.0)}
    await house.spool.record(neighbour.id, Changes(waiting=waiting, events=["kept"]))
    for number in range(3):
        events = [f"{number} {line}" for line in range(STORY_LIMIT // 2)]
        await house.spool.record(message.id, Changes(waiting=waiting, events=events))
    story = [text for _, text in await house.spool.events(message.id)]
    assert len(story) == STORY_LIMIT
    assert (story[0], story[-1]) == ("1 0", f"2 {STORY_LIMIT // 2 - 1}")
    assert [text for _, text in await house.spool.events(neighbour.id)] == ["kept"]


SELECTIONS = [
    pytest.param(ALL, "0123", id="all"),
    pytest.param(Selection(ids=["1rJxYz-0001ab-2K"]), "", id="one that is not there"),
    pytest.param(Selection(ids=[]), "", id="none at all"),
    pytest.param(Selection(sender="ME@H"), "012", id="a part of the sender, in any case"),
    pytest.param(Selection(sender="<>"), "3", id="the null sender"),
    pytest.param(Selection(recipient="EXAMPLE.org"), "13", id="a part of a recipient, in any case"),
    pytest.param(Selection(recipient="ann@"), "023", id="but not of one that is done"),
    pytest.param(Selection(received_before=1_700_000_003.0), "01", id="older than"),
    pytest.param(Selection(received_after=1_700_000_002.0), "23", id="newer than"),
    pytest.param(Selection(state=State.FROZEN), "2", id="frozen"),
    pytest.param(Selection(state=State.NEW), "3", id="never tried"),
    pytest.param(Selection(state=State.DEFERRED), "01", id="tried and waiting"),
    pytest.param(Selection(state=State.IN_DOUBT), "1", id="maybe delivered"),
    pytest.param(Selection(sender="me", state=State.DEFERRED, recipient="ann"), "0", id="all of it must hold"),
    pytest.param(Selection(recipient="%"), "", id="no pattern"),
]


async def _four(house: House) -> list[str]:
    """Put one that was deferred, one maybe delivered and half done, a frozen one, and a bounce that is new."""
    messages = [await house.put(ANN), await house.put(ANN, BEN), await house.put(ANN)]
    messages.append(house.message(ANN, BEN, sender=NULL_SENDER))
    await house.spool.put(messages[3])
    later = house.clock.now() + 900
    await house.spool.record(messages[0].id, Changes(waiting={ANN: Waiting(later, attempts=1)}))
    doubt = Waiting(later, attempts=1, maybe_delivered=True)
    await house.spool.record(messages[1].id, Changes(done=[ANN], waiting={BEN: doubt}))
    await house.spool.freeze([messages[2].id], True)
    return [message.id for message in messages]


@pytest.mark.parametrize(("selection", "expected"), SELECTIONS)
async def test_messages_are_selected(house: House, selection: Selection, expected: str) -> None:
    ids = await _four(house)
    found = [ids.index(summary.id) for summary in await house.spool.summaries(selection=selection)]
    assert "".join(map(str, found)) == expected
    assert (await house.spool.counts(selection)).messages == len(expected)


async def test_a_selection_comes_in_pages_and_is_counted(house: House) -> None:
    ids = await _four(house)
    mine = Selection(sender="me@here")
    assert [summary.id for summary in await house.spool.summaries(2, ids[0], mine)] == ids[1:3]
    assert await house.spool.counts(mine) == Counts(messages=3, frozen=1, oldest=1_700_000_001.0)
    assert await house.spool.counts(Selection(sender="nobody@")) == Counts(0, 0, 0.0)


async def test_the_ids_of_a_selection(house: House) -> None:
    ids = await _four(house)
    assert await house.spool.ids() == ids
    assert await house.spool.ids(Selection(sender="me@here")) == ids[:3]


async def test_what_is_thawed_with_a_pause_is_due_behind_it(house: House) -> None:
    """Or when somebody hurries it."""
    ids = [(await house.put(ANN)).id for _ in range(2)]
    await house.spool.freeze(ids, True)
    assert await house.spool.freeze(ids, False, pause=60) == 2
    assert await house.due() == []
    assert await house.spool.hurry(ids[:1]) == 1
    assert await house.due() == ids[:1]
    house.clock.pass_(60)
    assert await house.due() == ids


async def test_who_is_hurried_does_not_lose_his_place(house: House) -> None:
    """What is longest due goes first, however often all of it is made due."""
    first = await house.put(ANN)
    house.clock.pass_(10)
    second = await house.put(ANN)
    await house.spool.claim_one(second.id)
    await house.spool.record(second.id, Changes(waiting={ANN: Waiting(house.clock.now() + 900, "later")}))
    assert await house.spool.hurry(None) == 2
    assert [one.message.id for one in await house.spool.claim(house.clock.now(), 1)] == [first.id]
    assert await house.due() == [second.id]


async def test_all_are_hurried_however_many_there_are(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """In transactions of a few messages; frozen ones stay so, and recipients that are done."""
    monkeypatch.setattr("smarthostd.spool.sqlite.AT_ONCE", 2)
    messages = [await house.put(ANN, BEN) for _ in range(7)]
    later = Waiting(house.clock.now() + 900, "later")
    for message in messages:
        await house.spool.claim_one(message.id)
        await house.spool.record(message.id, Changes(done=[BEN], waiting={ANN: later}))
    await house.spool.freeze([messages[3].id], True)
    assert await house.due() == []
    assert await house.spool.hurry(None) == 6
    claimed = await house.spool.claim(house.clock.now(), 10)
    assert [one.message.id for one in claimed] == [message.id for message in messages if message is not messages[3]]
    assert {*claimed[0].waiting} == {ANN}


def test_what_is_freed_is_not_written_again(tmp_path: Path) -> None:
    """Two means FAST; Debian's SQLite would write every page of a delivered message once more."""
    connections = open_database(tmp_path / "spool.sqlite3")
    assert [one.execute("PRAGMA secure_delete").fetchone()[0] for one in connections] == [2, 2, 2]
    for one in connections:
        one.close()


async def test_what_is_there_and_frozen(house: House) -> None:
    ids = await _four(house)
    assert await house.spool.standing([ids[0], "1rJxYz-0001ab-2K", ids[2]]) == {ids[0]: False, ids[2]: True}


async def test_a_tool_may_remove_what_the_daemon_works_on(house: House) -> None:
    message = await house.put(ANN, body=LARGE)
    await house.spool.claim(house.clock.now(), 10)
    tool = await SqliteSpool.open(house.directory, lock=False)
    assert await tool.remove([message.id]) == 1
    await tool.close()
    await house.spool.record(message.id, Changes(waiting={ANN: Waiting(1.0)}))
    assert await house.spool.count() == (0, 0)


NEVER = float("-inf")
NOBODY_YET = Thawing(NEVER, NEVER, NEVER, NEVER)


@pytest.mark.parametrize(
    ("due", "sender", "claimed"),
    [
        pytest.param(NOBODY_YET, ME, False, id="no time has come"),
        pytest.param(replace(NOBODY_YET, received=0.0), ME, True, id="received long enough ago"),
        pytest.param(replace(NOBODY_YET, received=-5.0), ME, False, id="not received long enough ago"),
        pytest.param(replace(NOBODY_YET, frozen=10.0), ME, True, id="frozen long enough ago"),
        pytest.param(replace(NOBODY_YET, frozen=5.0), ME, False, id="not frozen long enough ago"),
        pytest.param(replace(NOBODY_YET, frozen=10.0), NULL_SENDER, False, id="a bounce has no auto_thaw"),
        pytest.param(Thawing(NEVER, 0.0, 10.0, NEVER), NULL_SENDER, True, id="a bounce that is old"),
        pytest.param(Thawing(NEVER, 0.0, 5.0, NEVER), NULL_SENDER, False, id="but froze again just now"),
        pytest.param(Thawing(NEVER, 0.0, 10.0, NEVER), ME, False, id="what is for bounces leaves others"),
    ],
)
async def test_frozen_messages_are_claimed_when_their_time_has_come(
    house: House, due: Thawing, sender: Address, claimed: bool
) -> None:
    """Times are seconds from when the message was received; it froze ten seconds later."""
    message = house.message(ANN, sender=sender)
    await house.spool.put(message)
    begun = house.clock.now()
    house.clock.pass_(10)
    await house.spool.freeze([message.id], True)
    house.clock.pass_(10)
    times = (due.received, due.null_sender_received, due.null_sender_frozen, due.frozen)
    found = await house.spool.claim_frozen(Thawing(*(begun + time for time in times)), 10)
    assert [pending.message.id for pending in found] == [message.id] * claimed
    if claimed:
        assert found[0].frozen
        assert await house.spool.claim_one(message.id) is None


async def test_what_an_attempt_has_thawed_waits_as_the_attempt_says(house: House) -> None:
    message = await house.put(ANN, BEN)
    await house.spool.freeze([message.id], True)
    assert await house.spool.frozen() == [message.id]
    pending = await house.spool.claim_one(message.id)
    assert pending
    later = Waiting(house.clock.now() + 900, "later")
    await house.spool.record(message.id, Changes(done=[BEN], waiting={ANN: later}, frozen=False))
    assert await house.spool.frozen() == []
    assert await house.due() == []
    house.clock.pass_(900)
    assert await house.due() == [message.id]


async def test_a_frozen_message_keeps_what_it_waited_for(house: House) -> None:
    message = await house.put(ANN)
    await house.spool.claim_one(message.id)
    await house.spool.record(message.id, Changes(waiting={ANN: Waiting(5.0, "550 no")}, frozen=True))
    pending = await house.spool.load(message.id)
    assert pending
    assert pending.frozen_since == house.clock.now()
    assert pending.waiting[ANN].reason == "550 no"
    assert await house.due() == []


def notice(reader: str, text: str) -> Notice:
    return Notice(reader, 1.0, text, f"Action: failed\nX-Text: {text}\n")


async def test_notices_outlive_their_message_and_go_with_the_digest_that_lists_them(house: House) -> None:
    message = await house.put(ANN)
    mine, yours = [notice("me@here", "one"), notice("me@here", "two")], [notice("you@here", "three")]
    await house.spool.record(message.id, Changes(done=[ANN], notices=[*mine, *yours]))
    await house.reopen()
    kept = await house.spool.notices(10, 10)
    assert [replace(one, number=0) for one in kept] == [*mine, *yours]
    assert [one.text for one in await house.spool.notices(1, 10)] == ["one", "two"]
    assert [one.text for one in await house.spool.notices(10, 1)] == ["one", "three"]
    digest = house.message(ANN)
    await house.spool.put(digest, listing=kept[:2])
    await house.reopen()
    assert [one.text for one in await house.spool.notices(10, 10)] == ["three"]
    assert await house.due() == [digest.id]


async def test_notices_stay_where_their_digest_could_not_be_put(house: House) -> None:
    message = await house.put(ANN)
    await house.spool.record(message.id, Changes(waiting={ANN: Waiting(1.0)}, notices=[notice("me@here", "one")]))
    kept = await house.spool.notices(10, 10)
    with pytest.raises(SpoolError):
        await house.spool.put(message, listing=kept)
    assert await house.spool.notices(10, 10) == kept


def broken(*_: object, **__: object) -> None:
    raise OSError(5, "Input/output error")


async def test_nobody_sees_what_was_written_and_not_synced(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gave it was told that it is not kept, gives it again, and takes the content away."""
    message = house.message()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(SpoolError):
            await house.spool.put(message)
        assert await house.due() == []
        assert await house.spool.load(message.id) is None
    await house.spool.close()
    await house.open()
    assert await house.spool.count() == (0, 0)


async def test_what_was_not_synced_may_be_put_again_by_the_same_id(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what was dropped is; the removal of the first try, which may come late, is not that of the second."""
    message = house.message()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(SpoolError):
            await house.spool.put(message)
        tried = asyncio.Event()

        def refused(*_: object) -> None:
            tried.set()
            raise OSError(28, "No space left on device")

        patched.setattr(rows, "remove_by_id", refused)
        await asyncio.wait_for(tried.wait(), 10)
    await house.spool.put(message)
    await house.reopen()
    assert await house.due() == [message.id]


async def test_notices_are_there_again_where_their_digest_was_written_and_not_synced(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await house.put(ANN)
    await house.spool.record(message.id, Changes(waiting={ANN: Waiting(1.0)}, notices=[notice("me@here", "one")]))
    kept = await house.spool.notices(10, 10)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(SpoolError):
            await house.spool.put(house.message(ANN), listing=kept)
    await house.reopen()
    assert [replace(one, number=0) for one in await house.spool.notices(10, 10)] == [notice("me@here", "one")]


_OF_3 = """
ALTER TABLE message ADD COLUMN frozen_since REAL NOT NULL DEFAULT 0;
UPDATE message SET frozen_since = since FROM freezing WHERE seq = message;
DROP TABLE freezing;
CREATE INDEX frozen ON message (frozen_since) WHERE frozen_since > 0;
"""
"""What makes the third version of the schema out of the fourth."""


async def test_what_is_frozen_stays_so_when_a_spool_is_brought_up_to_date(house: House) -> None:
    """Older spools have it in the message's row."""
    first, second = await house.put(ANN), await house.put(BEN)
    await house.spool.freeze([second.id], True)
    frozen = await house.spool.load(second.id)
    await house.spool.close()
    database = sqlite3.connect(house.directory / "spool.sqlite3")
    database.executescript(f"{_OF_3} PRAGMA user_version = 3;")
    database.close()
    await house.open()
    assert await house.spool.frozen() == [second.id]
    assert await house.spool.load(second.id) == frozen
    assert await house.due() == [first.id]


async def test_a_tool_does_not_take_a_spool_away_from_an_older_daemon(house: House) -> None:
    """After an upgrade, before the restart: what the daemon has made, it must go on understanding."""
    database = sqlite3.connect(house.directory / "spool.sqlite3")
    database.execute("PRAGMA user_version = 3")
    with pytest.raises(SpoolError, match=r"older smarthostd \(schema 3\), which is running: restart it"):
        await SqliteSpool.open(house.directory, lock=False)
    assert database.execute("PRAGMA user_version").fetchone() == (3,)
    database.execute("PRAGMA user_version = 4")
    database.close()


async def test_an_older_spool_is_brought_up_to_date(house: House) -> None:
    message = await house.put(ANN)
    await house.spool.close()
    database = sqlite3.connect(house.directory / "spool.sqlite3")
    columns = "".join(f"ALTER TABLE hint DROP COLUMN {name};" for name in ("error", "cause", "fix"))
    database.executescript(f"{_OF_3} DROP TABLE notice; DROP INDEX frozen; {columns} PRAGMA user_version = 1;")
    database.close()
    await house.open()
    assert await house.spool.notices(10, 10) == []
    assert await house.spool.frozen() == []
    assert await house.due() == [message.id]


async def test_hints_are_kept_and_deleted(house: House) -> None:
    message = await house.put(ANN)
    hint = Hint(1.0, 2.0, 3.0, True, 111, "Connection refused", "refused", "credential", "mend it")
    await house.spool.record(message.id, Changes(waiting={ANN: Waiting(1.0)}, hints={"T:h": hint}))
    assert await house.spool.hints() == {"T:h": hint}
    await house.spool.record(message.id, Changes(waiting={ANN: Waiting(1.0)}, hints={"T:h": None}))
    assert await house.spool.hints() == {}


async def test_summaries_come_in_pages(house: House) -> None:
    ids = [(await house.put(ANN)).id for _ in range(5)]
    first = await house.spool.summaries(2)
    rest = await house.spool.summaries(after=first[-1].id)
    assert [summary.id for summary in [*first, *rest]] == ids
    assert first[0].recipients[0][0] == "ann@example.com"


async def test_a_page_goes_on_behind_a_message_that_is_gone(house: House) -> None:
    ids = [(await house.put(ANN)).id for _ in range(4)]
    await house.spool.remove([ids[1], ids[3]])
    assert [summary.id for summary in await house.spool.summaries(after=ids[1])] == [ids[2]]
    assert await house.spool.summaries(after=ids[3]) == []


async def test_a_second_daemon_is_refused_with_a_sentence(house: House) -> None:
    with pytest.raises(SpoolLocked, match=f"in use by process {os.getpid()}"):
        await SqliteSpool.open(house.directory)


async def test_a_message_that_fails_does_not_fail_its_neighbours(house: House) -> None:
    message = house.message(ANN)
    await house.spool.put(message)
    others = [house.message(ANN) for _ in range(20)]
    results = await asyncio.gather(*map(house.spool.put, [*others, message]), return_exceptions=True)
    assert [type(result) for result in results] == [type(None)] * 20 + [SpoolError]
    assert await house.spool.count() == (21, 0)


async def test_a_waiter_that_goes_away_does_not_stop_the_commit(house: House) -> None:
    message = house.message(ANN)
    task = asyncio.create_task(house.spool.put(message))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await house.reopen()
    assert await house.due() == [message.id]


@pytest.mark.parametrize("turns", range(1, 7))
async def test_a_waiter_that_goes_away_leaves_no_claim(house: House, turns: int) -> None:
    message = house.message(ANN)
    task = asyncio.create_task(house.spool.put(message, claim=True))
    for _ in range(turns):
        await asyncio.sleep(0)
    was_there = task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(10):
        while was_there and await house.due() != [message.id]:  # noqa: ASYNC110 - it is told to nobody
            await asyncio.sleep(0.01)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # the descriptor that reads the directory
        return ""


async def test_a_new_spool_outlives_a_loss_of_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each directory that was made stands in one that is synced."""
    synced: list[Path] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    place = tmp_path / "var" / "spool"
    await (await SqliteSpool.open(place)).close()
    assert {tmp_path, tmp_path / "var", place} <= set(synced)
    synced.clear()
    await (await SqliteSpool.open(place)).close()
    assert tmp_path not in synced


async def test_content_that_was_never_accepted_is_swept_at_start(house: House) -> None:
    kept = await house.put(ANN, body=LARGE)
    orphan = house.message(ANN, body=LARGE)
    assert orphan.content.file
    assert kept.content.file
    foreign = house.directory / "content" / "README"
    foreign.write_text("not ours")
    await house.reopen()
    assert not orphan.content.file.exists()
    assert kept.content.file.exists()
    assert foreign.exists()


@pytest.mark.parametrize("left", [None, b""], ids=["gone", "empty"])
async def test_the_content_of_a_database_that_is_gone_is_kept_and_told(house: House, left: bytes | None) -> None:
    message = await house.put(body=LARGE)
    assert message.content.file
    await house.spool.close()
    (house.directory / "spool.sqlite3").unlink()
    if left is not None:
        (house.directory / "spool.sqlite3").write_bytes(left)
    await house.open()
    assert house.damaged == ["content"]
    assert (house.directory / "content.lost" / message.id).read_bytes() == LARGE
    assert await house.due() == []
    await house.put(body=LARGE)
    await house.reopen()
    assert house.damaged == ["content"]


async def test_content_that_cannot_be_swept_does_not_stop_a_start(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan = house.message(ANN, body=LARGE)
    assert orphan.content.file
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", broken)
        await house.reopen()
    assert house.damaged == [orphan.id]
    assert await house.due() == []


async def test_a_content_directory_that_cannot_be_read_is_a_sentence(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.spool.close()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", broken)
        with pytest.raises(SpoolError, match=r"cannot open the spool .*: Input/output error; see spool_directory"):
            await house.open()
    await house.open()


@pytest.mark.parametrize("large", [False, True])
async def test_content_that_cannot_be_taken_away_is_forgotten_all_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch, *, large: bool
) -> None:
    """Who is refused a message on a disk that is read-only by now gets an answer."""
    sink = house.spool.sink(house.ids.new())
    sink.write(LARGE if large else BODY)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", broken)
        sink.discard()
    sink.discard()
    await house.reopen()
    assert list((house.directory / "content").iterdir()) == []


@pytest.mark.parametrize("damage", ["row", "file"])
async def test_a_damaged_message_is_set_aside_and_not_in_the_way(house: House, damage: str) -> None:
    broken = await house.put(ANN, body=LARGE)
    whole = await house.put(ANN)
    if damage == "row":
        with sqlite3.connect(house.directory / "spool.sqlite3") as database:
            database.execute("UPDATE message SET envelope = '{' WHERE id = ?", (broken.id,))
        database.close()
    else:
        assert broken.content.file
        broken.content.file.write_bytes(b"cut")
    for _ in range(3):  # it is met again before it is marked
        assert await house.due() == [whole.id]
    await house.reopen()
    assert await house.due() == [whole.id]
    assert house.damaged == [broken.id]
    assert await house.spool.count() == (2, 1)


async def test_a_name_that_is_no_id_never_becomes_a_path(house: House) -> None:
    with pytest.raises(SpoolError):
        house.spool.sink("../../etc/passwd")
    message = replace(house.message(ANN), id="../x")
    assert await house.spool.load(message.id) is None


async def test_a_newer_schema_is_refused(house: House) -> None:
    await house.spool.close()
    database = sqlite3.connect(house.directory / "spool.sqlite3")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(SpoolError, match="newer smarthostd"):
        await house.open()
    database = sqlite3.connect(house.directory / "spool.sqlite3")
    database.execute("PRAGMA user_version = 4")
    database.close()
    await house.open()


async def test_claims_read_by_index_however_long_the_queue_is(house: House) -> None:
    database = sqlite3.connect(house.directory / "spool.sqlite3")
    plans = [
        database.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
        for query in (
            "SELECT message FROM recipient INDEXED BY due WHERE state = 0 AND until <= 5 ORDER BY until LIMIT 9",
            "SELECT message FROM recipient INDEXED BY waiting WHERE state = 0 AND destination = 'x'"
            " AND destination <> '' ORDER BY message LIMIT 9",
            "SELECT message FROM freezing INDEXED BY longest_frozen WHERE since > 0 ORDER BY since LIMIT 9",
        )
    ]
    database.close()
    for plan in plans:
        assert "SEARCH" in plan[0][3]
        assert not any("TEMP B-TREE" in step[3] for step in plan)


async def test_what_root_makes_in_a_users_spool_is_the_users(tmp_path: Path) -> None:
    """A tool of root's may be the first to look, or import a message: the daemon must be able to open all of it."""
    presence.root()
    directory = tmp_path / "spool"
    directory.mkdir()
    os.chown(directory, UID, UID)
    house = House(directory, TraySpool)
    await house.open()
    await house.put(ANN, body=LARGE)
    files = [directory, *directory.rglob("*")]
    assert {file.name for file in files} >= {"spool.sqlite3", "spool.sqlite3-wal", "spool.lock", "content"}
    assert {file.stat().st_uid for file in files} == {UID}
    await house.spool.close()


async def test_who_may_not_look_is_told_who_may(tmp_path: Path) -> None:
    presence.root()
    directory = tmp_path / "spool"
    house = House(directory, TraySpool)
    await house.open()
    await house.spool.close()
    reachable(directory.parent)
    os.seteuid(UID)
    try:
        with pytest.raises(SpoolError, match=r"Permission denied; it belongs to root: try again as root$"):
            await SqliteSpool.open(directory, lock=False)
    finally:
        os.seteuid(0)


async def test_a_daemon_without_its_spool_is_told_what_root_can_do(tmp_path: Path) -> None:
    presence.root()
    directory = tmp_path / "spool"
    reachable(tmp_path)
    made = rf"root can make it for uid {UID}: install -d -m 0700 -o {UID} {directory}$"
    given = rf"it belongs to root, and the user uid {UID} runs smarthostd: chown -R {UID} {directory}$"
    os.seteuid(UID)
    try:
        with pytest.raises(SpoolError, match=made):
            await SqliteSpool.open(directory)
        os.seteuid(0)
        directory.mkdir()
        os.seteuid(UID)
        with pytest.raises(SpoolError, match=given):
            await SqliteSpool.open(directory)
    finally:
        os.seteuid(0)


async def test_root_gives_away_nothing_that_has_a_second_name(tmp_path: Path) -> None:
    """The user has put a file of root's in the place of one of the spool's."""
    presence.root()
    directory = tmp_path / "spool"
    directory.mkdir()
    os.chown(directory, UID, UID)
    (tmp_path / "secret").touch()
    (directory / "spool.lock").hardlink_to(tmp_path / "secret")
    house = House(directory, TraySpool)
    await house.open()
    assert (tmp_path / "secret").stat().st_uid == 0
    await house.spool.close()


async def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    directory.mkdir()
    (tmp_path / "secret").write_text("kept")
    (directory / "spool.lock").symlink_to(tmp_path / "secret")
    with pytest.raises(SpoolError, match="see spool_directory"):
        await House(directory, TraySpool).open()
    assert (tmp_path / "secret").read_text() == "kept"


async def test_what_is_told_may_quote_octets_that_are_no_text(house: House) -> None:
    """A header line may hold any, and be quoted; an attempt that cannot be recorded would be made again."""
    message = await house.put()
    await house.spool.claim(house.clock.now(), 10)
    stray = "caf\udce9"
    hint = Hint(1.0, 2.0, 3.0, False, -1, stray)
    changes = Changes(
        done=[ANN], waiting={BEN: Waiting(house.clock.now() + 60, stray, f"R:{stray}@x")}, events=[stray],
        hints={f"R:{stray}@x": hint, f"R:{stray}@y": None}, notices=[Notice("me@here", 1.0, stray, stray)],
    )  # fmt: skip
    await house.spool.record(message.id, changes)
    after = await house.spool.load(message.id)
    assert after
    assert after.waiting[BEN].reason == "caf\\351"
    assert [text for _, text in await house.spool.events(message.id)] == ["caf\\351"]
    hints = await house.spool.hints()
    assert {key: one.text for key, one in hints.items()} == {"R:caf\\351@x": "caf\\351"}
    assert after.waiting[BEN].destination in hints
    assert [(one.text, one.status) for one in await house.spool.notices(1, 1)] == [("caf\\351", "caf\\351")]


@pytest.mark.parametrize("broken", ["sync_directory", "iterdir"], ids=["its log", "what is swept"])
async def test_whatever_keeps_the_spool_from_being_opened_is_said_in_a_sentence(
    house: House, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """And it is free again."""

    def fail(*arguments: object) -> None:
        raise OSError(5, "Input/output error")

    await house.spool.close()
    with monkeypatch.context() as patched:
        if broken == "iterdir":
            patched.setattr(Path, "iterdir", fail)
        else:
            patched.setattr("smarthostd.spool.writer.sync_directory", fail)
        with pytest.raises(SpoolError, match=r"cannot open the spool .*: Input/output error; see spool_directory"):
            await house.open()
    await house.open()
