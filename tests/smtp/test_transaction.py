"""One message to a scripted server: what is sent at once, and what each answer means for each recipient."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from smarthostd.address import Address
from smarthostd.envelope import Content, Envelope, Recipient
from smarthostd.outcome import Deferred, Delivered, Failed, Host, Scope
from smarthostd.reply import Reply
from smarthostd.smtp.connection import Answer, Connection, Limits, Session, StageError
from smarthostd.smtp.dialogue import InjectionError, Offer, line, mail_line, rcpt_line
from smarthostd.smtp.protocol import Trouble
from smarthostd.transports.outcomes import Judge

LIMITS = Limits(5, 5, 5, 5)
CONTENT = Content(b"Subject: x\r\n\r\n.dot\r\n")
MAIL, RCPT = b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n"


class Script:
    """A server that answers what it is told to, and notes what came."""

    def __init__(self, answers: dict[str, str | None], *, after_dot: str | None = "250 kept") -> None:
        usual: dict[str, str | None] = dict.fromkeys(("MAIL", "RCPT", "RSET"), "250 ok")
        usual |= {"EHLO": "250-x\r\n250-PIPELINING\r\n250 CHUNKING", "DATA": "354 go", "BDAT": "250 ok", "QUIT": "221"}
        self.answers = {**usual, **answers}
        self.after_dot = after_dot
        self.lines: list[bytes] = []
        self.content = b""
        self.done = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        try:
            while command := await reader.readline():
                self.lines.append(command)
                word = command.split()[0].decode()
                if word == "BDAT":
                    self.content = await reader.readexactly(int(command.split()[1]))
                if (answer := self.answers[word]) is None:
                    return
                writer.write(answer.encode() + b"\r\n")
                if word == "DATA" and answer.startswith("354"):
                    self.content = await reader.readuntil(b"\r\n.\r\n")
                    if self.after_dot is None:
                        return
                    writer.write(self.after_dot.encode() + b"\r\n")
        finally:
            writer.close()
            self.done.set()


@asynccontextmanager
async def connected(script: Script) -> AsyncIterator[Connection]:
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = await Connection.open(Host("localhost", "127.0.0.1", port), LIMITS)
    try:
        await connection.greeting()
        await connection.hello("me.example")
        yield connection
    finally:
        await connection.quit()
        async with asyncio.timeout(10):
            await script.done.wait()
        server.close()


def told(answers: list[Answer]) -> list[tuple[str, int]]:
    return [(answer.stage, answer.reply.code if answer.reply else 0) for answer in answers]


async def send(connection: Connection, rcpts: int = 1, *, bdat: bool = False, pipelining: bool = True) -> list[Answer]:
    return await connection.transaction(MAIL, [RCPT] * rcpts, CONTENT, bdat=bdat, pipelining=pipelining)


@pytest.mark.parametrize(("bdat", "pipelining"), [(False, False), (False, True), (True, False), (True, True)])
async def test_all_ways_of_sending_bring_the_same_message(bdat: bool, pipelining: bool) -> None:
    script = Script({})
    async with connected(script) as connection:
        assert told(await send(connection, bdat=bdat, pipelining=pipelining)) == [("end of data", 250)]
        assert connection.usable
        assert told(await send(connection, bdat=bdat, pipelining=pipelining)) == [("end of data", 250)]
    assert script.content == (b"Subject: x\r\n\r\n.dot\r\n" if bdat else b"Subject: x\r\n\r\n..dot\r\n.\r\n")


@pytest.mark.parametrize("pipelining", [False, True])
async def test_a_refused_sender_is_every_recipients_answer(pipelining: bool) -> None:
    async with connected(Script({"MAIL": "550 no", "RCPT": "503 no", "DATA": "503 no"})) as connection:
        assert told(await send(connection, 2, pipelining=pipelining)) == [("MAIL", 550)] * 2


async def test_data_accepted_for_nobody_is_ended_by_a_lone_dot() -> None:
    script = Script({"RCPT": "450 later"})
    async with connected(script) as connection:
        server_side = told(await send(connection))
        assert server_side == [("RCPT", 450)]


async def test_a_connection_lost_after_the_dot_leaves_the_message_in_doubt() -> None:
    async with connected(Script({}, after_dot=None)) as connection:
        (answer,) = await send(connection)
        assert answer.stage == "end of data"
        assert isinstance(answer.trouble, Trouble)
        outcome = Judge(connection.session, "key").outcome(answer, "a@b", "c@d", 20)
        assert isinstance(outcome, Deferred)
        assert outcome.maybe_delivered
        assert not connection.usable


async def test_a_connection_lost_before_the_content_is_the_hosts_trouble() -> None:
    async with connected(Script({"RCPT": None})) as connection:
        (answer,) = await send(connection, pipelining=False)
        outcome = Judge(connection.session, "key").outcome(answer, "a@b", "c@d", 20)
        assert isinstance(outcome, Deferred)
        assert outcome.scope is Scope.HOST
        assert not outcome.maybe_delivered
        assert outcome.text == "Remote host closed connection in response to RCPT TO:<c@d>"


async def test_421_ends_the_connection() -> None:
    async with connected(Script({}, after_dot="421 going down")) as connection:
        assert told(await send(connection)) == [("end of data", 421)]
        assert not connection.usable


async def test_a_reply_that_nobody_asked_for_is_never_taken_for_an_answer() -> None:
    async with connected(Script({}, after_dot="250 kept\r\n250 stray")) as connection:
        assert told(await send(connection)) == [("end of data", 250)]
        (answer,) = await send(connection)
        assert answer.reply is None
        assert not connection.usable


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        gone.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = await Connection.open(Host("localhost", "127.0.0.1", port), Limits(5, 0.1, 5, 5))
    with pytest.raises(StageError, match="SMTP timeout after initial connection"):
        await connection.greeting()
    await gone.wait()
    server.close()


async def test_nobody_at_the_port_is_said_in_the_systems_words() -> None:
    with pytest.raises(StageError, match="Connection refused") as caught:
        await Connection.open(Host("localhost", "127.0.0.1", 1), LIMITS)
    assert caught.value.errno == 111


JUDGED: dict[str, tuple[str, str, type, dict[str, object]]] = {
    "an unknown user fails": ("RCPT", "550 5.1.1 no such user", Failed, {}),
    "greylisting waits, for this recipient": ("RCPT", "450 later", Deferred, {"errno": -44, "scope": Scope.RECIPIENT}),
    "a full disk waits, for this message": ("end of data", "452 full", Deferred, {"errno": -46, "error": "data_452"}),
    "spam fails": ("end of data", "554 5.7.1 content rejected", Failed, {}),
    "a missing login never bounces": ("MAIL", "530 5.7.0 Authentication required", Deferred, {}),
    "a login that is switched off never bounces": ("MAIL", "535 5.7.139 basic auth is disabled", Deferred, {}),
    "a sending limit never bounces": ("end of data", "550 5.4.5 Daily user sending quota exceeded", Deferred, {}),
    "success is success": ("end of data", "250 OK", Delivered, {}),
}


@pytest.mark.parametrize(("stage", "text", "kind", "fields"), [pytest.param(*row, id=id) for id, row in JUDGED.items()])
def test_what_an_answer_means(stage: str, text: str, kind: type, fields: dict[str, object]) -> None:
    judge = Judge(Session(Host("localhost")), "key")
    outcome = judge.outcome(Answer(stage, Reply(int(text[:3]), text[4:])), "a@b", "c@d", 20)
    assert isinstance(outcome, kind)
    assert {name: getattr(outcome, name) for name in fields} == fields


def test_no_control_character_leaves_in_a_command() -> None:
    for text in ("RCPT TO:<a\r\nDATA>", "MAIL FROM:<a\0>", "x\ny"):
        with pytest.raises(InjectionError):
            line(text)


def test_parameters_are_said_only_where_they_are_understood() -> None:
    envelope = Envelope(ret="HDRS", envid="QQ", body="8BITMIME", smtputf8=True)
    recipient = Recipient(Address("c", "d"), "NEVER", "rfc822;c@d")
    everything = Offer.of(Reply(250, "x\nSIZE 1000\n8BITMIME\nSMTPUTF8\nDSN"))
    sender = Address("a", "b")
    assert mail_line(sender, envelope, 5, everything) == (
        b"MAIL FROM:<a@b> SIZE=5 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ\r\n"
    )
    assert rcpt_line(recipient.address, recipient, everything) == b"RCPT TO:<c@d> NOTIFY=NEVER ORCPT=rfc822;c@d\r\n"
    assert mail_line(sender, envelope, 5, Offer()) == b"MAIL FROM:<a@b>\r\n"
    assert rcpt_line(recipient.address, recipient, Offer()) == b"RCPT TO:<c@d>\r\n"
