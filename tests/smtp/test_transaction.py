"""One message to a scripted server: what is sent, and what became of each recipient."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from smarthostd.envelope import Content
from smarthostd.outcome import Host
from smarthostd.smtp.connection import ConnectError, Connection, Limits, SessionError, Way
from smarthostd.smtp.dialogue import CLOSED, MALFORMED, TIMED_OUT, Answer, Stage
from tests.smtp.scripted import CLOSE, SILENCE, Script, Server, handling, serving

LIMITS = Limits(5, 5, 5, 5)
CONTENT = Content(b"Subject: x\r\n\r\n.dot\r\n")
MAIL, RCPT = "MAIL FROM:<a@b>", "RCPT TO:<c@d>"
PLAIN_OFFER = ("8BITMIME",)


@asynccontextmanager
async def connected(server: Server, limits: Limits = LIMITS) -> AsyncIterator[Connection]:
    """Lend a connection that is greeted."""
    connection = await Connection.open(Host("localhost", "127.0.0.1", server.port), limits)
    try:
        await connection.greeting()
        await connection.hello("me.example")
        yield connection
    finally:
        await connection.quit()


async def send(
    connection: Connection, rcpts: int = 1, content: Content = CONTENT, *, bdat: bool = False, pipelining: bool = True,
    lmtp: bool = False,
) -> list[Answer]:  # fmt: skip
    return await connection.transaction(MAIL, [RCPT] * rcpts, content, Way(bdat, pipelining, lmtp))


def told(answers: list[Answer]) -> list[tuple[Stage, int]]:
    """Return where each recipient ended: the stage, and the code or the number of the trouble."""
    return [
        (one.stage, one.reply.code if one.reply else one.trouble.errno if one.trouble else 0) for one in answers
    ]  # fmt: skip


BOTH = pytest.mark.parametrize("pipelining", [False, True], ids=["one by one", "pipelined"])


@pytest.mark.parametrize("bdat", [False, True], ids=["DATA", "BDAT"])
@BOTH
async def test_all_ways_of_sending_bring_the_same_message(bdat: bool, pipelining: bool) -> None:
    async with serving() as server, connected(server) as connection:
        for _ in range(2):
            assert told(await send(connection, bdat=bdat, pipelining=pipelining)) == [(Stage.END, 250)]
            assert connection.usable
    (heard,) = server.heard
    assert heard.contents == [CONTENT.head if bdat else b"Subject: x\r\n\r\n..dot\r\n.\r\n"] * 2
    assert "RSET" not in heard.words


@BOTH
async def test_a_refused_sender_is_every_recipients_answer(pipelining: bool) -> None:
    script = Script({"MAIL": "550 no", "RCPT": "503 no", "DATA": "503 no"})
    async with serving(script) as server, connected(server) as connection:
        assert told(await send(connection, 2, pipelining=pipelining)) == [(Stage.MAIL, 550)] * 2
        assert connection.usable


@BOTH
async def test_each_recipient_has_its_own_answer(pipelining: bool) -> None:
    """Whoever was refused keeps that, whatever happens to the others."""
    script = Script({"RCPT": ["250 ok", "550 unknown", "450 later", "251 forwarded"], ".": "452 full"})
    async with serving(script) as server, connected(server) as connection:
        answers = told(await send(connection, 4, pipelining=pipelining))
    assert answers == [(Stage.END, 452), (Stage.RCPT, 550), (Stage.RCPT, 450), (Stage.END, 452)]


@BOTH
@pytest.mark.parametrize("bdat", [False, True], ids=["DATA", "BDAT"])
async def test_nobody_accepted_leaves_the_connection_fit_for_the_next_message(bdat: bool, pipelining: bool) -> None:
    """The message is not sent; RSET comes before the next one, and only then."""
    script = Script({"RCPT": ["550 unknown", "250 ok"], "DATA": ["503 nobody", "354 go"]}, PLAIN_OFFER)
    async with serving(script) as server, connected(server) as connection:
        assert told(await send(connection, bdat=bdat, pipelining=pipelining)) == [(Stage.RCPT, 550)]
        if not pipelining and not bdat:
            await send(connection, pipelining=False, bdat=True)
        else:
            assert told(await send(connection, bdat=bdat, pipelining=pipelining)) == [(Stage.END, 250)]
    assert server.heard[0].words.count("RSET") == 1
    assert len(server.heard[0].contents) == 1


@BOTH
@pytest.mark.parametrize("bdat", [False, True], ids=["DATA", "BDAT"])
async def test_refused_content_is_reset_before_the_next_message(bdat: bool, pipelining: bool) -> None:
    """Else a server that keeps the sender (Postfix) refuses the next one, and takes its recipients for the old."""
    script = Script({".": ["451 trouble", "250 kept"]})
    async with serving(script) as server, connected(server) as connection:
        assert told(await send(connection, bdat=bdat, pipelining=pipelining)) == [(Stage.END, 451)]
        assert told(await send(connection, bdat=bdat, pipelining=pipelining)) == [(Stage.END, 250)]
        assert told(await send(connection, bdat=bdat, pipelining=pipelining)) == [(Stage.END, 250)]
    assert server.heard[0].words.count("RSET") == 1


async def test_a_server_that_refuses_the_sender_and_wants_content_gets_none() -> None:
    """It would send an empty message to whom it had before."""
    script = Script({"MAIL": "503 sender already given", "RCPT": "250 ok", "DATA": "354 go"})
    async with serving(script) as server, connected(server) as connection:
        assert told(await send(connection)) == [(Stage.MAIL, 503)]
        assert not connection.usable
    assert not any(server.heard[0].contents)


async def test_data_accepted_for_nobody_is_ended_by_a_lone_dot() -> None:
    script = Script({"RCPT": ["450 later", "250 ok"]})
    async with serving(script) as server, connected(server) as connection:
        assert told(await send(connection)) == [(Stage.RCPT, 450)]
        assert told(await send(connection)) == [(Stage.END, 250)]
    assert server.heard[0].contents == [b".\r\n", b"Subject: x\r\n\r\n..dot\r\n.\r\n"]
    assert "RSET" not in server.heard[0].words


@pytest.mark.parametrize("bdat", [False, True], ids=["DATA", "BDAT"])
async def test_a_connection_lost_after_the_last_octet_is_known_as_that(bdat: bool) -> None:
    async with serving(Script({".": CLOSE})) as server, connected(server) as connection:
        assert told(await send(connection, bdat=bdat)) == [(Stage.END, CLOSED)]
        assert not connection.usable


@pytest.mark.parametrize(("command", "stage"), [("MAIL", Stage.MAIL), ("RCPT", Stage.RCPT), ("DATA", Stage.DATA)])
async def test_a_connection_lost_before_is_known_by_its_stage(command: str, stage: Stage) -> None:
    async with serving(Script({command: CLOSE})) as server, connected(server) as connection:
        assert told(await send(connection, pipelining=False)) == [(stage, CLOSED)]


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async with (
        serving(Script({"MAIL": SILENCE})) as server,
        connected(server, Limits(5, 0.05, 5, 5)) as connection,
    ):
        assert told(await send(connection, 2, pipelining=False)) == [(Stage.MAIL, TIMED_OUT)] * 2
        assert not connection.usable


async def test_noise_is_trouble_and_refuses_nobody() -> None:
    async with serving(Script({"RCPT": "550-a\n551 b"})) as server, connected(server) as connection:
        assert told(await send(connection)) == [(Stage.RCPT, MALFORMED)]


async def test_a_verdict_that_came_with_noise_behind_it_counts() -> None:
    """The message was taken: it must not be sent again because of what was said afterwards."""
    async with serving(Script({".": "250 kept\nnoise"})) as server, connected(server) as connection:
        assert told(await send(connection)) == [(Stage.END, 250)]
        assert not connection.usable


async def test_a_354_to_mail_is_no_permission_to_send() -> None:
    async with serving(Script({"MAIL": "354 what?"})) as server, connected(server) as connection:
        ((stage, code),) = told(await send(connection))
        assert (stage, code) == (Stage.MAIL, 354)
    assert not any(server.heard[0].contents)


async def test_421_ends_the_connection() -> None:
    async with serving(Script({".": "421 going down"})) as server, connected(server) as connection:
        assert told(await send(connection)) == [(Stage.END, 421)]
        assert not connection.usable


async def test_a_reply_that_nobody_asked_for_is_never_taken_for_an_answer() -> None:
    async with serving(Script({".": "250 kept\n250 stray"})) as server, connected(server) as connection:
        assert told(await send(connection)) == [(Stage.END, 250)]
        (answer,) = await send(connection)
        assert answer.reply is None
    assert server.heard[0].words.count("MAIL") == 1


async def test_each_lmtp_recipient_has_a_verdict_of_its_own() -> None:
    script = Script({"RCPT": ["250 ok", "550 unknown", "250 ok"]}, lmtp=("250 kept", "552 full"))
    async with serving(script) as server, connected(server) as connection:
        answers = told(await send(connection, 3, lmtp=True))
        assert connection.usable
    assert answers == [(Stage.END, 250), (Stage.RCPT, 550), (Stage.END, 552)]


async def test_an_lmtp_verdict_stands_when_the_next_one_does_not_come() -> None:
    script = Script(lmtp=("250 kept", "451-unfinished"))
    async with serving(script) as server, connected(server, Limits(5, 5, 5, 0.05)) as connection:
        assert told(await send(connection, 2, lmtp=True)) == [(Stage.END, 250), (Stage.END, TIMED_OUT)]


async def up_to_354(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one recipient, up to the content."""
    writer.write(b"220 hello\r\n")
    for answer in (b"250 ok", b"250 ok", b"250 ok", b"354 go"):
        await reader.readline()
        writer.write(answer + b"\r\n")


async def send_large(port: int, content: Content, limits: Limits) -> tuple[list[Answer], Connection]:
    connection = await Connection.open(Host("x", "127.0.0.1", port), limits)
    await connection.greeting()
    await connection.hello("me.example")
    return await send(connection, content=content, pipelining=False), connection


@pytest.fixture
def large(tmp_path: Path) -> Content:
    """A message of 64 MiB."""
    file = tmp_path / "content"
    file.write_bytes(b"x" * (64 << 20))
    return Content(b"", file)


async def test_a_server_that_refuses_in_the_middle_gets_no_more(large: Content) -> None:
    """Its verdict is read, and the rest is not pushed at it."""
    taken = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await up_to_354(reader, writer)
        await reader.readexactly(1000)
        writer.write(b"552 5.3.4 too big\r\n")
        with contextlib.suppress(ConnectionError):
            while block := await reader.read(1 << 16):
                taken += len(block)

    async with handling(refuse) as port:
        answers, connection = await send_large(port, large, LIMITS)
        assert told(answers) == [(Stage.END, 552)]
        assert not connection.usable
    assert taken < large.size // 2


async def test_a_server_that_takes_nothing_is_given_up(large: Content) -> None:
    """Back-pressure: of a large message only a bounded part waits in memory, and not for ever."""
    given_up = asyncio.Event()

    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await up_to_354(reader, writer)
        cast(asyncio.Transport, writer.transport).pause_reading()
        await given_up.wait()

    async with handling(stuck) as port:
        answers, connection = await send_large(port, large, Limits(5, 5, 0.2, 5))
        given_up.set()
    assert told(answers) == [(Stage.CONTENT, TIMED_OUT)]
    assert not connection.usable


async def test_a_cancelled_transaction_leaves_no_connection() -> None:
    async with serving(Script({"DATA": SILENCE})) as server, connected(server) as connection:
        task = asyncio.create_task(send(connection, pipelining=False))
        await server.hears("DATA")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not connection.usable


# -- before the first message


async def test_nobody_at_the_port_is_said_in_the_systems_words() -> None:
    with pytest.raises(ConnectError, match="Connection refused") as caught:
        await Connection.open(Host("localhost", "127.0.0.1", 1), LIMITS)
    assert caught.value.errno == 111


@pytest.mark.parametrize(
    ("greeting", "text", "errno"),
    [
        pytest.param("554 go away", "SMTP error from remote mail server after initial connection: 554 go away", 0),
        pytest.param(CLOSE, "Remote host closed connection in response to initial connection", CLOSED),
        pytest.param("hello", "Malformed SMTP reply in response to initial connection: hello", MALFORMED),
        pytest.param(SILENCE, "SMTP timeout after initial connection", TIMED_OUT),
    ],
)
async def test_a_greeting_that_is_none_ends_the_session(greeting: str | None, text: str, errno: int) -> None:
    async with serving(Script({"220": greeting})) as server:
        connection = await Connection.open(Host("localhost", "127.0.0.1", server.port), Limits(5, 0.1, 5, 5))
        with pytest.raises(SessionError) as caught:
            await connection.greeting()
        assert (caught.value.text, caught.value.errno) == (text, errno)
        connection.abort()


async def test_ehlo_refused_for_good_is_followed_by_helo() -> None:
    async with serving(Script({"EHLO": "502 what?"})) as server, connected(server) as connection:
        assert not connection.session.extended
        assert not connection.session.offer.keywords
    assert server.heard[0].lines[:2] == ["EHLO me.example", "HELO me.example"]
