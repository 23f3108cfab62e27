"""Messages on one connection, the next one sent before the last one has its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from smarthostd.envelope import Content
from smarthostd.outcome import Delivered, Host
from smarthostd.smtp.connection import AT_ONCE, Connection, Limits, Way
from smarthostd.smtp.dialogue import CLOSED, Answer, Stage
from tests.smtp.scripted import CLOSE, Script, Server, handling, serving
from tests.smtp.test_transaction import CONTENT, MAIL, PLAIN_OFFER, RCPT, connected, told
from tests.transports.house import House
from tests.transports.test_smtp import local

WAYS = pytest.mark.parametrize("way", [Way(pipelining=True), Way(bdat=True, pipelining=True)], ids=["DATA", "BDAT"])
ALONE = {"hosts_max_parallel": "1"}


class Sender:
    """Sends messages down a connection, each as soon as the one before it is said."""

    def __init__(self, connection: Connection, way: Way) -> None:
        self._connection, self._way = connection, way
        self._tasks: list[asyncio.Task[list[Answer]]] = []

    async def send(self, content: Content = CONTENT) -> None:
        """Return when another message may follow."""
        said = asyncio.Event()
        transaction = self._connection.transaction(MAIL, [RCPT], content, self._way, said.set)
        task = asyncio.create_task(transaction)
        task.add_done_callback(lambda _: said.set())
        self._tasks.append(task)
        await said.wait()

    async def answers(self) -> list[tuple[Stage, int]]:
        """Return where each message ended."""
        return [told(answers)[0] for answers in await asyncio.gather(*self._tasks)]


async def sent(server: Server, way: Way, messages: int) -> list[tuple[Stage, int]]:
    """Send so many messages; return where each ended."""
    async with connected(server) as connection:
        sender = Sender(connection, way)
        for _ in range(messages):
            await sender.send()
        return await sender.answers()


@asynccontextmanager
async def hearing(*steps: bytes) -> AsyncIterator[Connection]:
    """Lend a connection to a server that reads an octet string, says the next one, and so on."""

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for heard, said in zip((b"", *steps[::2]), (b"220 hello\r\n", *steps[1::2]), strict=True):
            assert not heard or await reader.readexactly(len(heard)) == heard
            writer.write(said)
        await reader.read()

    async with handling(obey) as port:
        connection = await Connection.open(Host("x", "127.0.0.1", port), Limits(5, 5, 5, 5))
        await connection.greeting()
        yield connection
        connection.abort()


ENVELOPE = f"{MAIL}\r\n{RCPT}\r\n".encode()
DOTTED = b"Subject: x\r\n\r\n..dot\r\n.\r\n"
CHUNK = b"BDAT %d LAST\r\n" % CONTENT.size + CONTENT.head
OK, KEPT = b"250 ok\r\n", b"250 kept\r\n"


async def test_a_small_message_for_a_server_that_takes_bdat_is_one_write() -> None:
    """The server need not say anything before it has all, nor before it has all of the next ones."""
    heard = ENVELOPE + CHUNK + (b"RSET\r\n" + ENVELOPE + CHUNK) * 2
    said = OK * 2 + KEPT + (OK * 3 + KEPT) * 2
    async with hearing(heard, said) as connection:
        sender = Sender(connection, Way(bdat=True, pipelining=True))
        for _ in range(3):
            await sender.send()
        assert connection.under_way == 3
        assert await sender.answers() == [(Stage.END, 250)] * 3
        assert connection.usable


async def test_the_next_commands_follow_the_content() -> None:
    """The server has them before it says what became of that."""
    group = ENVELOPE + b"DATA\r\n"
    go = OK * 2 + b"354 go\r\n"
    async with hearing(group, go, DOTTED + b"RSET\r\n" + group, KEPT + OK + go, DOTTED, KEPT) as connection:
        sender = Sender(connection, Way(pipelining=True))
        await sender.send()
        await sender.send()
        assert await sender.answers() == [(Stage.END, 250)] * 2
        assert connection.usable


async def test_a_large_message_waits_until_it_is_invited() -> None:
    content = Content(b"x" * AT_ONCE + b"\r\n")
    async with serving(Script({"RCPT": "550 unknown"})) as server, connected(server) as connection:
        answers = await connection.transaction(MAIL, [RCPT], content, Way(bdat=True, pipelining=True))
    assert told(answers) == [(Stage.RCPT, 550)]
    assert "BDAT" not in server.heard[0].words


@WAYS
async def test_each_message_has_its_own_answer(way: Way) -> None:
    """What is refused of one is not another's, whose recipients are not mixed with it."""
    script = Script({"RCPT": ["250 ok", "250 ok", "550 unknown", "250 ok"], ".": ["250 kept", "451 later", "250 kept"]})
    async with serving(script) as server:
        assert await sent(server, way, 4) == [(Stage.END, 250), (Stage.END, 451), (Stage.RCPT, 550), (Stage.END, 250)]


async def test_what_was_sent_behind_a_421_was_not_heard() -> None:
    async with serving(Script({".": ["250 kept", "421 enough"]})) as server:
        answers = await sent(server, Way(bdat=True, pipelining=True), 4)
    assert answers == [(Stage.END, 250), (Stage.END, 421), (Stage.MAIL, CLOSED), (Stage.MAIL, CLOSED)]


async def test_a_connection_lost_in_the_middle_leaves_one_message_in_doubt() -> None:
    """The server had answered parts of the second; to the third it has not said a word."""
    async with serving(Script({".": ["250 kept", CLOSE]})) as server:
        answers = await sent(server, Way(bdat=True, pipelining=True), 3)
    assert answers == [(Stage.END, 250), (Stage.END, CLOSED), (Stage.MAIL, CLOSED)]


async def test_a_server_that_has_had_enough_of_a_connection_gets_the_rest_on_another() -> None:
    """It says so to the RSET in front of a message; that one is delivered as if nothing had been, and once."""
    scripts = [Script({"RSET": "421 enough", "MAIL": ["250 ok", CLOSE]}), Script()]
    async with serving(*scripts) as server, House(ALONE) as house:
        results = await asyncio.gather(*(house.deliver(local(server)) for _ in range(3)))
    assert all(isinstance(outcome, Delivered) for (outcome,) in results)
    assert [len(heard.contents) for heard in server.heard] == [1, 2]


async def test_messages_share_a_connection_when_there_may_be_no_other() -> None:
    """The server answers none of the four before it has heard the fourth."""
    async with serving(Script(patience=4)) as server, House(ALONE) as house:
        results = await asyncio.gather(*(house.deliver(local(server)) for _ in range(4)))
    assert all(isinstance(outcome, Delivered) for (outcome,) in results)
    assert len(server.heard) == 1


async def test_not_more_messages_are_under_way_than_allowed() -> None:
    async with serving() as server, House(ALONE | {"connection_max_pipelined": "1"}) as house:
        await asyncio.gather(*(house.deliver(local(server)) for _ in range(4)))
    assert "RSET" not in server.heard[0].words
    assert len(server.heard[0].contents) == 4


async def test_a_server_that_takes_no_groups_gets_one_message_at_a_time() -> None:
    async with serving(Script(offers=PLAIN_OFFER)) as server, House(ALONE) as house:
        await asyncio.gather(*(house.deliver(local(server)) for _ in range(4)))
    assert "RSET" not in server.heard[0].words
    assert len(server.heard[0].contents) == 4
