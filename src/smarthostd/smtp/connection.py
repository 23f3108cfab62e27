"""One connection to a next hop: opened, greeted, encrypted, and then used for transactions.

Every wait has a limit, by stage (RFC 5321 4.5.3.2; the transport's options). What goes wrong with the
connection is a :class:`StageError`, which knows the stage; what the peer answers is a value.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from smarthostd.envelope import BLOCK, Content
from smarthostd.errors import SmarthostdError
from smarthostd.outcome import Host
from smarthostd.reply import Reply
from smarthostd.smtp.dialogue import Offer, line, stuffed
from smarthostd.smtp.protocol import CLOSED, ReplyProtocol, Trouble
from smarthostd.tls import failure_text, session_text

QUIT_TIMEOUT = 5.0
"""Seconds for the peer to say good-bye."""
FRESH = 1.0
"""Seconds of idleness up to which a connection is trusted with a whole message in one write."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each stage may take, in seconds."""

    connect: float = 300.0
    command: float = 300.0
    data: float = 300.0
    final: float = 600.0

    @staticmethod
    def of(connect: timedelta, command: timedelta, data: timedelta, final: timedelta) -> Limits:
        """Make limits of the transport's options; a connect time-out of 0 means the system's."""
        seconds = [time.total_seconds() for time in (connect, command, data, final)]
        return Limits(seconds[0] or 600.0, *seconds[1:])


class StageError(SmarthostdError):
    """The session cannot go on: *stage* in Exim's words (``initial connection``, ``EHLO name``), and why.

    Either *reply* is what the peer answered, or *errno* is Exim's number for what happened.
    """

    def __init__(self, stage: str, text: str, errno: int, reply: Reply | None = None, host: Host | None = None) -> None:
        super().__init__(text)
        self.stage = stage
        self.text = text
        self.errno = errno
        self.reply = reply
        self.host = host


class TlsError(StageError):
    """TLS was wanted and did not come about; *refused*: the peer would not, in clear words."""

    def __init__(self, text: str, errno: int, reply: Reply | None = None, *, refused: bool = False) -> None:
        super().__init__("STARTTLS", text, errno, reply)
        self.refused = refused


@dataclass(slots=True)
class Answer:
    """What became of one recipient in a transaction: at which stage, and the reply or the trouble."""

    stage: str = "MAIL"
    reply: Reply | None = None
    trouble: Trouble | None = None

    @property
    def accepted(self) -> bool:
        """Whether the peer has taken the message for this recipient."""
        return self.stage == "end of data" and self.reply is not None and self.reply.positive


@dataclass(slots=True)
class Session:
    """What is known of the peer."""

    host: Host
    offer: Offer = field(default_factory=Offer)
    extended: bool = False
    tls: str = ""
    verified: bool = False
    authenticator: str = ""


class Connection:
    """An open connection; the methods are called in the order of SMTP."""

    def __init__(self, protocol: ReplyProtocol, host: Host, limits: Limits) -> None:
        self.session = Session(host)
        self.messages = 0
        """Transactions so far."""
        self.idle_since = 0.0
        self._protocol = protocol
        self._limits = limits
        self._loop = asyncio.get_running_loop()

    # -- opening

    @staticmethod
    async def open(host: Host, limits: Limits, interface: str = "") -> Connection:
        """Connect to ``host.address`` (a path for a unix socket); raises StageError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limits.connect):
                sock = await _connected(host, interface)
                _, protocol = await loop.create_connection(lambda: ReplyProtocol(loop), sock=sock)
        except TimeoutError:
            raise StageError("connect", "Connection timed out", 110, host=host) from None
        except OSError as error:
            text = _socket_text(error)
            raise StageError("connect", text, error.errno or -1, host=host) from error
        return Connection(protocol, host, limits)

    async def encrypt_at_once(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        """Start TLS before the greeting (implicit TLS)."""
        await self._handshake(context, server_hostname)

    async def greeting(self) -> None:
        """Read the greeting; raises StageError unless it is 2xx."""
        await self._expect("initial connection", self._limits.command)

    async def hello(self, name: str, verb: str = "EHLO", *, as_spelled: bool = False) -> None:
        """Say EHLO (LHLO for LMTP), or HELO where that is refused; raises StageError.

        With *as_spelled* only keywords in capitals are understood (:meth:`Offer.of`).
        """
        reply = await self.command(f"{verb} {name}", f"{verb} {name}")
        if reply.positive:
            self.session.offer, self.session.extended = Offer.of(reply, as_spelled=as_spelled), True
            return
        if not (reply.permanent and verb == "EHLO"):
            raise self._refused(f"{verb} {name}", reply)
        reply = await self.command(f"HELO {name}", f"HELO {name}")
        if not reply.positive:
            raise self._refused(f"HELO {name}", reply)
        self.session.offer, self.session.extended = Offer(), False

    async def start_tls(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        """Say STARTTLS and negotiate; raises TlsError. EHLO must be said again afterwards."""
        reply = await self.command("STARTTLS", "STARTTLS")
        if not reply.positive:
            text = f"SMTP error from remote mail server after STARTTLS: {reply}"
            raise TlsError(text, 0, reply, refused=True)
        await self._handshake(context, server_hostname)

    async def _handshake(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        try:
            async with asyncio.timeout(self._limits.command):
                await self._protocol.encrypt(context, server_hostname, self._limits.command)
        except (OSError, ssl.SSLError, TimeoutError, Trouble) as error:
            self.abort()
            raise TlsError(failure_text(error, self.session.host.name), -37) from error
        transport = self._protocol.transport
        ssl_object = transport.get_extra_info("ssl_object") if transport else None
        if ssl_object is None:
            raise TlsError("Remote host closed connection", CLOSED)
        self.session.tls = session_text(ssl_object)
        self.session.verified = context.verify_mode is ssl.CERT_REQUIRED
        self.session.offer = Offer()

    async def command(self, text: str, stage: str) -> Reply:
        """Send one command and return its reply; raises StageError when none comes."""
        try:
            self._protocol.send(line(text), 1)
            return await self._protocol.reply(self._limits.command)
        except Trouble as trouble:
            raise self._broken(stage, trouble) from trouble

    async def _expect(self, stage: str, within: float) -> None:
        try:
            reply = await self._protocol.reply(within)
        except Trouble as trouble:
            raise self._broken(stage, trouble) from trouble
        if not reply.positive:
            raise self._refused(stage, reply)

    def _refused(self, stage: str, reply: Reply) -> StageError:
        text = f"SMTP error from remote mail server after {stage}: {reply}"
        return StageError(stage, text, 0, reply, self.session.host)

    def _broken(self, stage: str, trouble: Trouble) -> StageError:
        self.abort()
        return StageError(stage, trouble_text(trouble, stage), trouble.errno, host=self.session.host)

    @property
    def local_address(self) -> str:
        """Our own IP address on this connection; empty for a unix socket."""
        name = self._protocol.transport.get_extra_info("sockname") if self._protocol.transport else None
        return str(name[0]) if isinstance(name, tuple) else ""

    # -- transactions

    @property
    def usable(self) -> bool:
        """Whether another transaction may begin."""
        return self._protocol.usable

    async def transaction(
        self, mail: bytes, rcpts: Sequence[bytes], content: Content, *, bdat: bool, pipelining: bool, lmtp: bool = False
    ) -> list[Answer]:
        """Send one message; return what became of each recipient. Never raises for what the peer does.

        With *pipelining* the commands go in one write, and with *bdat* a small message goes with them.
        """
        answers = [Answer() for _ in rcpts]
        self.messages += 1
        fresh = self._loop.time() - self.idle_since < FRESH or self.messages == 1
        transaction = _Transaction(self._protocol, self._limits, mail, rcpts, content, answers, lmtp)
        try:
            if pipelining and bdat and content.file is None and content.size <= BLOCK and fresh:
                await transaction.at_once()
            elif pipelining:
                await transaction.grouped(bdat=bdat)
            else:
                await transaction.one_by_one(bdat=bdat)
        except Trouble as trouble:
            transaction.lost(trouble)
        except BaseException:
            self.abort()  # cancelled, or a defect: a half-done dialogue is never used again
            raise
        if transaction.spoiled or any(answer.reply and answer.reply.code == 421 for answer in answers):
            self.abort()
        self.idle_since = self._loop.time()
        return answers

    # -- closing

    async def quit(self) -> None:
        """Say QUIT, and do not wait long for the answer."""
        try:
            if self.usable:
                self._protocol.send(b"QUIT\r\n", 1)
                await self._protocol.reply(QUIT_TIMEOUT)
        except Trouble:
            pass  # it was good-bye in any case
        self.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._protocol.abort()


class _Transaction:
    """One message on its way: three ways to send it, one way to read the answers."""

    def __init__(
        self, protocol: ReplyProtocol, limits: Limits, mail: bytes, rcpts: Sequence[bytes], content: Content,
        answers: list[Answer], lmtp: bool,
    ) -> None:  # fmt: skip
        self._protocol = protocol
        self._limits = limits
        self._mail = mail
        self._rcpts = rcpts
        self._content = content
        self._answers = answers
        self._lmtp = lmtp
        self._stage = "MAIL"
        self.spoiled = False
        """The dialogue stopped in the middle: the connection must not be used again."""

    async def at_once(self) -> None:
        """MAIL, RCPT and a BDAT with the whole content in one write (RFC 3030 4.2)."""
        head = self._content.head
        group = [self._mail, *self._rcpts, b"BDAT %d LAST\r\n" % len(head), head]
        self._protocol.send(b"".join(group), 2 + len(self._rcpts))
        await self._read_envelope()
        self._stage = "end of data"
        await self._read_final(one=True)

    async def grouped(self, *, bdat: bool) -> None:
        """MAIL, RCPT and DATA in one write, then the content."""
        group = [self._mail, *self._rcpts, *([] if bdat else [b"DATA\r\n"])]
        self._protocol.send(b"".join(group), len(group))
        await self._read_envelope()
        if bdat:
            if self._good():
                await self._send_chunk()
        else:
            await self._data(await self._protocol.reply(self._limits.data))

    async def one_by_one(self, *, bdat: bool) -> None:
        """Each command after the reply to the one before it."""
        self._protocol.send(self._mail, 1)
        reply = await self._protocol.reply(self._limits.command)
        self._set_all("MAIL", reply)
        if not reply.positive:
            return None
        for answer, rcpt in zip(self._answers, self._rcpts, strict=True):
            self._stage = answer.stage = "RCPT"
            self._protocol.send(rcpt, 1)
            answer.reply = await self._protocol.reply(self._limits.command)
        if not self._good():
            return await self._reset()
        if bdat:
            return await self._send_chunk()
        self._stage = "DATA"
        self._protocol.send(b"DATA\r\n", 1)
        return await self._data(await self._protocol.reply(self._limits.data))

    def lost(self, trouble: Trouble) -> None:
        """Note the trouble with every recipient that had no refusal of its own."""
        self.spoiled = True
        for answer in self._answers:
            if answer.reply is None or answer.reply.positive:
                answer.stage, answer.reply, answer.trouble = self._stage, None, trouble

    # -- the envelope

    async def _read_envelope(self) -> None:
        reply = await self._protocol.reply(self._limits.command)
        self._set_all("MAIL", reply)
        for answer in self._answers:
            self._stage = "RCPT"
            own = await self._protocol.reply(self._limits.command)
            if reply.positive:
                answer.stage, answer.reply = "RCPT", own

    def _set_all(self, stage: str, reply: Reply) -> None:
        for answer in self._answers:
            answer.stage, answer.reply = stage, reply

    def _good(self) -> list[Answer]:
        return [one for one in self._answers if one.stage == "RCPT" and one.reply is not None and one.reply.positive]

    async def _reset(self) -> None:
        """End a transaction that nobody is left of, so that the connection can serve the next message."""
        self._protocol.send(b"RSET\r\n", 1)
        reply = await self._protocol.reply(self._limits.command)
        self.spoiled = not reply.positive

    # -- the content

    async def _data(self, go: Reply) -> None:
        """Send the content if the peer said 354, and read its verdict."""
        good = self._good()
        if go.code != 354:
            for answer in good:
                answer.stage, answer.reply = "DATA", go
            self.spoiled = go.positive or 300 <= go.code < 400
            if not good and go.permanent:
                await self._reset()
            return
        if not good:  # RFC 2920 3.1: DATA was accepted with nobody to send to
            self._protocol.send(b".\r\n", 1)
            await self._protocol.reply(self._limits.final)
            return
        self._stage = "sending data block"
        blocks = stuffed(self._content)
        if await self._stream(blocks, len(good) if self._lmtp else 1):
            self._stage = "end of data"
        await self._read_final()

    async def _send_chunk(self) -> None:
        self._stage = "sending data block"
        if await self._stream(self._chunk(), 1):
            self._stage = "end of data"
        await self._read_final()

    def _chunk(self) -> Iterable[bytes]:
        return _Blocks(b"BDAT %d LAST\r\n" % self._content.size, self._content)

    async def _stream(self, blocks: Iterable[bytes], replies: int) -> bool:
        """Send *blocks*, no faster than the peer takes them; return whether all were sent.

        A peer that answers before the end has decided: the rest is kept back.
        """
        self._protocol.send(b"", replies)
        for block in blocks:
            if self._protocol.interrupted:
                self.spoiled = True
                return False
            self._protocol.send(block, 0)
            await self._protocol.drained(self._limits.data)
        return True

    async def _read_final(self, *, one: bool = False) -> None:
        """Read the verdict: one for all, or for LMTP one for each accepted recipient."""
        good = self._good()
        reply: Reply | None = None
        if one and not good:
            await self._protocol.reply(self._limits.final)
        for answer in good:
            if reply is None or self._lmtp:
                reply = await self._protocol.reply(self._limits.final)
            answer.stage, answer.reply = "end of data", reply


class _Blocks:
    """A BDAT command and the content behind it, the command in one write with the first block."""

    def __init__(self, command: bytes, content: Content) -> None:
        self._command = command
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        command = self._command
        for block in self._content.blocks():
            yield command + block
            command = b""
        if command:
            yield command


def trouble_text(trouble: Trouble, stage: str) -> str:
    """Return Exim's text for a connection that broke at *stage*."""
    text = str(trouble)
    if trouble.errno == 110:
        return f"SMTP timeout after {stage}"
    if trouble.errno == CLOSED:
        return f"Remote host closed connection in response to {stage}"
    return f"{text} in response to {stage}" if text.startswith("Malformed") else text


async def _connected(host: Host, interface: str) -> socket.socket:
    """Return a connected socket, without delay for small writes."""
    loop = asyncio.get_running_loop()
    if host.address.startswith("/"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        target: str | tuple[str, int] = host.address
    else:
        family = socket.AF_INET6 if ":" in host.address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        target = (host.address, host.port)
    try:
        sock.setblocking(False)
        if interface:
            sock.bind((interface, 0))
        await loop.sock_connect(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock


def _socket_text(error: OSError) -> str:
    import os

    return os.strerror(error.errno) if error.errno else str(error)
