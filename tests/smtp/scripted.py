"""A small SMTP server on loopback that says what it is told to, and keeps what it heard."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CLOSE = None
"""An answer: close the connection without a word."""
SILENCE = ""
"""An answer: say nothing, and wait for the client to give up."""

Answer = str | None


@dataclass
class Script:
    """What one connection says, by command word; ``.`` is the end of the content, ``AUTH`` may be several answers."""

    answers: Mapping[str, Answer | Sequence[Answer]] = field(default_factory=dict)
    offers: Sequence[str] = ("PIPELINING", "CHUNKING", "8BITMIME", "SIZE 1000000")
    offers_tls: Sequence[str] | None = None
    """What is offered over TLS; None: the same, without STARTTLS."""
    context: ssl.SSLContext | None = None
    implicit_tls: bool = False
    lmtp: Sequence[str] = ()
    """LMTP: an answer to the content for each recipient."""
    patience: int = 0
    """Chunks that must have come before anything is said to a MAIL or what follows it."""


@dataclass
class Heard:
    """What came in one connection."""

    lines: list[str] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    tls: bool = False

    @property
    def words(self) -> list[str]:
        """The command words."""
        return [line.split(" ")[0] for line in self.lines]


class Server:
    """Serves the scripts in turn, the last one again and again."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = scripts or (Script(),)
        self.heard: list[Heard] = []
        self.news = asyncio.Event()
        self._sessions: set[asyncio.Task[None]] = set()

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on this port, or on one that the system chooses, or on a unix socket."""
        implicit = self._scripts[0].context if self._scripts[0].implicit_tls else None
        if address.startswith("/"):
            self._server = await asyncio.start_unix_server(self._accept, address)
            self.port = 0
        else:
            self._server = await asyncio.start_server(self._accept, address, port, ssl=implicit)
            self.port = self._server.sockets[0].getsockname()[1]

    async def hears(self, word: str, times: int = 1) -> None:
        """Return when the command *word* has come so many times."""
        while sum(heard.words.count(word) for heard in self.heard) < times:
            self.news.clear()
            await self.news.wait()

    async def stop(self) -> None:
        """Stop listening, and let go of who is still connected."""
        self._server.close()
        for task in self._sessions:
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(len(self.heard), len(self._scripts) - 1)]
        heard = Heard(tls=script.implicit_tls)
        self.heard.append(heard)
        task = asyncio.create_task(_Session(script, heard, self.news, reader, writer).serve())
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)


class _Session:
    def __init__(
        self, script: Script, heard: Heard, news: asyncio.Event, reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        self._script, self._heard, self._news, self._reader, self._writer = script, heard, news, reader, writer
        self._taken: dict[str, int] = {}
        self._recipients = self._chunks = 0
        self._unsaid = b""

    async def serve(self) -> None:
        """Answer until the client, or the script, ends it."""
        try:
            self._say(self._answer("220", "220 peer ESMTP"))
            while line := await self._reader.readline():
                await self._obey(line.decode(errors="replace").rstrip("\r\n"))
        except (_Over, ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writer.transport.abort()  # wait_closed would wait for ever after a handshake that failed

    def _answer(self, word: str, usual: str) -> Answer:
        """Return the next answer to *word*."""
        answer = self._script.answers.get(word, usual)
        if answer is None or isinstance(answer, str):
            return answer
        taken = self._taken.get(word, 0)
        self._taken[word] = taken + 1
        return answer[min(taken, len(answer) - 1)]

    def _say(self, answer: Answer) -> None:
        if answer is CLOSE:
            raise _Over
        if answer != SILENCE:
            self._unsaid += "".join(f"{line}\r\n" for line in str(answer).split("\n")).encode()
        if self._chunks >= self._script.patience or "MAIL" not in self._heard.words:
            self._writer.write(self._unsaid)
            self._unsaid = b""

    async def _obey(self, line: str) -> None:
        self._heard.lines.append(line)
        self._news.set()
        word = line.partition(" ")[0].upper()
        match word:
            case "EHLO" | "LHLO":
                self._say(self._answer(word, self._offer()))
            case "STARTTLS":
                await self._start_tls()
            case "AUTH":
                await self._authenticate()
            case "DATA":
                await self._data()
            case "BDAT":
                chunk = await self._reader.readexactly(int(line.split(" ")[1]))
                self._chunks += 1
                if self._recipients:
                    self._heard.contents.append(chunk)
                    self._say(self._answer(".", "250 kept"))
                else:  # RFC 3030: read, and thrown away
                    self._say("503 nobody")
            case "QUIT":
                self._say(self._answer(word, "221 bye"))
                raise _Over
            case _:
                answer = self._answer(word, "250 ok")
                if word in ("MAIL", "RSET"):
                    self._recipients = 0
                if word == "RCPT" and str(answer).startswith("2"):
                    self._recipients += 1
                self._say(answer)

    def _offer(self) -> str:
        offers = list(self._script.offers)
        if self._heard.tls:
            without = [one for one in offers if one != "STARTTLS"]
            offers = list(self._script.offers_tls if self._script.offers_tls is not None else without)
        lines = ["peer", *offers]
        return "\n".join(f"250{'-' if at < len(lines) - 1 else ' '}{one}" for at, one in enumerate(lines))

    async def _start_tls(self) -> None:
        answer = self._answer("STARTTLS", "220 go ahead")
        self._say(answer)
        if str(answer).startswith("220"):
            assert self._script.context is not None
            await self._writer.start_tls(self._script.context)
            self._heard.tls = True

    async def _authenticate(self) -> None:
        answer = self._answer("AUTH", "235 welcome")
        self._say(answer)
        while str(answer).startswith("334"):
            self._heard.lines.append((await self._reader.readline()).decode().rstrip("\r\n"))
            answer = self._answer("AUTH", "235 welcome")
            self._say(answer)

    async def _data(self) -> None:
        answer = self._answer("DATA", "354 go")
        self._say(answer)
        if str(answer).startswith("354"):
            self._heard.contents.append(await _until_dot(self._reader))
            for verdict in self._script.lmtp or (self._answer(".", "250 kept"),):
                self._say(verdict)


async def _until_dot(reader: asyncio.StreamReader) -> bytes:
    """Return the content as it came, the final dot's line included."""
    lines = b""
    while not lines.endswith(b"\r\n.\r\n") and lines != b".\r\n":
        line = await reader.readline()
        if not line:
            raise _Over
        lines += line
    return lines


class _Over(Exception):
    """The session ends here."""


@asynccontextmanager
async def serving(*scripts: Script, address: str = "127.0.0.1") -> AsyncIterator[Server]:
    """Lend a server that follows *scripts*."""
    server = Server(*scripts)
    await server.start(address)
    try:
        yield server
    finally:
        with contextlib.suppress(ConnectionError):
            await server.stop()


Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def handling(handle: Handle) -> AsyncIterator[int]:
    """Lend the port of a server that does with each connection what *handle* says."""
    sessions: set[asyncio.Task[None]] = set()

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sessions.add(asyncio.create_task(session(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*sessions)
