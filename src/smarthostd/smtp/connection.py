"""One connection to a next hop: opened, greeted, encrypted, logged in to, and then used for transactions.

Every wait has a limit, by stage (RFC 5321 4.5.3.2; the transport's options). What stops the session is a
:class:`SessionError`, which knows the stage; what the peer says about a message is a value for each recipient.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from msgspec import Struct, field

from smarthostd.envelope import BLOCK, Content
from smarthostd.errors import SmarthostdError
from smarthostd.outcome import Host
from smarthostd.reply import Reply
from smarthostd.smtp.dialogue import (
    CLOSED,
    MALFORMED,
    TIMED_OUT,
    Answer,
    Offer,
    Stage,
    Trouble,
    chunk,
    line,
    stuffed,
    trouble_text,
)
from smarthostd.smtp.protocol import ReplyProtocol
from smarthostd.tls import TlsFacts, failure_text, session_facts

QUIT_TIMEOUT = 5.0
"""Seconds for the peer to say good-bye."""
SYSTEM_CONNECT_LIMIT = 600.0
"""Seconds for ``connect_timeout = 0s``, which leaves the limit to the system."""
AT_ONCE = BLOCK
"""Octets of a message that may be sent before the peer has invited it."""
RSET, DATA = b"RSET\r\n", b"DATA\r\n"
TLS_FAILED = -37
"""Exim's number for a handshake that did not succeed."""


class Limits(Struct, frozen=True):
    """How long each stage may take, in seconds."""

    connect: float = 300.0
    command: float = 300.0
    data: float = 300.0
    final: float = 600.0

    @staticmethod
    def of(connect: timedelta, command: timedelta, data: timedelta, final: timedelta) -> Limits:
        """Make limits of a transport's options."""
        seconds = [time.total_seconds() for time in (connect, command, data, final)]
        return Limits(seconds[0] or SYSTEM_CONNECT_LIMIT, *seconds[1:])


class SessionError(SmarthostdError):
    """The session cannot go on: *stage* in Exim's words (``initial connection``, ``EHLO name``), and why.

    *errno* is Exim's number, 0 where the peer said no; then *reply* is what it said.
    """

    def __init__(self, stage: str, text: str, errno: int, reply: Reply | None = None) -> None:
        super().__init__(text)
        self.stage = stage
        self.text = text
        self.errno = errno
        self.reply = reply
        self.host: Host | None = None
        """The host that it was with, once somebody has put it there."""


class ConnectError(SessionError):
    """Nobody answered at the address."""


class TlsError(SessionError):
    """TLS was wanted and did not come about. *negotiated*: the handshake was tried; *unverified*: and the
    peer's certificate was refused. Otherwise the peer would not begin, and the session could go on in clear."""

    def __init__(self, text: str, reply: Reply | None, *, negotiated: bool = False, unverified: bool = False) -> None:
        super().__init__("STARTTLS", text, TLS_FAILED if negotiated else 0, reply)
        self.negotiated = negotiated
        self.unverified = unverified


class Session(Struct):
    """What is known of the peer and of the way to it."""

    host: Host
    offer: Offer = field(default_factory=Offer)
    extended: bool = False
    """Whether the peer speaks ESMTP."""
    tls: TlsFacts = field(default_factory=TlsFacts)
    verified: bool = False
    authenticator: str = ""
    """Exim's A=: the name of the authenticator, perhaps with the identity behind a colon."""
    as_configured: bool = True
    """False where Exim's way was asked for and a login was wanted that did not succeed."""
    pipelining: bool = False
    chunking: bool = False
    """Whether these are used, not only offered."""
    local: tuple[str, int] = ("", 0)
    """Our own address and port."""
    depends_on: Mapping[str, str] = field(default_factory=dict)
    """What of the first message the session was made for: another one must have the same values to use it."""

    def variables(self) -> dict[str, str]:
        """Return the variables that expansions know a session by (exim.md 5.2)."""
        return {
            "host": self.host.name,
            "host_address": self.host.address,
            "host_port": str(self.host.port),
            "sending_ip_address": self.local[0],
            "sending_port": str(self.local[1]),
            "tls_out_cipher": str(self.tls),
            "tls_out_cipher_std": self.tls.cipher if self.tls.cipher.startswith("TLS_") else "",
            "tls_out_ver": self.tls.version,
            "tls_out_bits": str(self.tls.bits),
            "tls_out_peerdn": self.tls.peer,
            "tls_out_certificate_verified": "1" if self.verified else "0",
        }


class Connection:
    """An open connection; the methods are called in the order of SMTP."""

    def __init__(self, protocol: ReplyProtocol, host: Host, limits: Limits) -> None:
        self.session = Session(host, local=_own_name(protocol))
        self.messages = 0
        """Transactions so far."""
        self.under_way = 0
        """Messages that have no last word yet."""
        self.idle_since = asyncio.get_running_loop().time()
        self._protocol = protocol
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._unfinished = False  # a transaction was left in the middle: RSET comes before the next
        self._turn = asyncio.Lock()  # whose answers come next
        self._dismissed = False  # the peer has said 421: what we sent behind that was not heard

    # -- opening

    @staticmethod
    async def open(host: Host, limits: Limits, interface: str = "") -> Connection:
        """Connect to ``host.address``, a path for a unix socket; raises ConnectError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limits.connect):
                sock = await _connected(host, interface)
                _, protocol = await loop.create_connection(lambda: ReplyProtocol(loop), sock=sock)
        except TimeoutError:
            raise ConnectError("connect", "Connection timed out", TIMED_OUT) from None
        except OSError as error:
            text = os.strerror(error.errno) if error.errno else str(error)
            raise ConnectError("connect", text, error.errno or -1) from error
        return Connection(protocol, host, limits)

    async def greeting(self) -> None:
        """Read the greeting; raises SessionError unless it is 2xx."""
        try:
            reply = await self._protocol.reply(self._limits.command)
        except Trouble as trouble:
            raise self._broken("initial connection", trouble) from trouble
        if not reply.positive:
            raise self._refused("initial connection", reply)

    async def hello(self, name: str, verb: str = "EHLO", *, insist: bool = False) -> None:
        """Say EHLO (or LHLO, or HELO), and HELO where EHLO is refused for good, or for now if we *insist*.

        Raises SessionError.
        """
        reply = await self.command(f"{verb} {name}")
        if verb == "EHLO" and not reply.positive and (reply.permanent or insist):
            verb = "HELO"
            reply = await self.command(f"{verb} {name}")
        if not reply.positive:
            raise self._refused(f"{verb} {name}", reply)
        self.session.extended = verb != "HELO"
        self.session.offer = Offer.of(reply) if self.session.extended else Offer()

    async def start_tls(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """Say STARTTLS and negotiate; raises SessionError. EHLO must be said again afterwards."""
        reply = await self.command("STARTTLS")
        if not reply.positive:
            raise TlsError(f"SMTP error from remote mail server after STARTTLS: {reply}", reply)
        await self.negotiate(context, server_hostname)

    async def negotiate(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """Negotiate TLS, before the greeting where TLS is implicit; raises TlsError."""
        try:
            async with asyncio.timeout(self._limits.command):
                await self._protocol.encrypt(context, server_hostname, self._limits.command)
        except (OSError, TimeoutError, Trouble) as error:
            self.abort()
            text = f"TLS session: {failure_text(error, self.session.host.name)}"
            unverified = isinstance(error, ssl.SSLCertVerificationError)
            raise TlsError(text, None, negotiated=True, unverified=unverified) from error
        transport = self._protocol.transport
        ssl_object = transport.get_extra_info("ssl_object") if transport else None
        if ssl_object is None:
            raise TlsError("TLS session: the connection was closed", None, negotiated=True)
        self.session.tls = session_facts(ssl_object)
        self.session.verified = context.verify_mode is ssl.CERT_REQUIRED
        self.session.offer = Offer()

    async def command(self, text: str, shown: str = "") -> Reply:
        """Send one command and return its reply; raises SessionError when none comes.

        *shown* is what errors say instead of *text*, where that holds a secret.
        """
        try:
            self._protocol.send(line(text), 1)
            return await self._protocol.reply(self._limits.command)
        except Trouble as trouble:
            raise self._broken(shown or text, trouble) from trouble

    def _refused(self, stage: str, reply: Reply) -> SessionError:
        return SessionError(stage, f"SMTP error from remote mail server after {stage}: {reply}", 0, reply)

    def _broken(self, stage: str, trouble: Trouble) -> SessionError:
        self.abort()
        return SessionError(stage, trouble_text(trouble, stage), trouble.errno)

    # -- transactions

    @property
    def usable(self) -> bool:
        """Whether another transaction may begin."""
        if self._dismissed:
            return False
        return self._protocol.alive if self.under_way else self._protocol.usable

    @property
    def polite(self) -> bool:
        """Whether the peer can still be told that we go."""
        return not self.under_way and self._protocol.usable

    async def transaction(
        self, mail: str, rcpts: Sequence[str], content: Content, way: Way, sent: Callable[[], None] | None = None
    ) -> list[Answer]:
        """Send one message; return what became of each recipient. Never raises for what the peer does.

        *sent* is called, where *way* allows it, when the content has been said and the next message may follow, before
        the answer to this one is there.
        """
        reset_first = self.under_way > 0 or (self._unfinished and way.pipelining)  # in one write with the commands
        transaction = _Transaction(self._protocol, self._limits, [line(mail), *map(line, rcpts)], content, way, sent)
        self.messages += 1
        self.under_way += 1
        try:
            if self._unfinished and not reset_first:
                await self._reset()
            await transaction.run(self._turn, behind=reset_first)
        except Trouble as trouble:
            self._dismissed = self._dismissed or isinstance(trouble, Dismissed)
            transaction.lost(trouble, dismissed=self._dismissed)
        except BaseException:
            self.abort()  # cancelled, or a defect: a half-done dialogue is never used again
            raise
        finally:
            self.under_way -= 1
        self._unfinished = transaction.unfinished
        self._dismissed = self._dismissed or any(_is_farewell(one.reply) for one in transaction.answers)
        if transaction.spoiled or (self._dismissed and (way.pipelining or self.under_way)):
            self.abort()
        self.idle_since = self._loop.time()
        return transaction.answers

    async def _reset(self) -> None:
        self._protocol.send(RSET, 1)
        if not (await self._protocol.reply(self._limits.command)).positive:
            raise Trouble("", CLOSED)

    # -- closing

    async def quit(self) -> None:
        """Say QUIT, and do not wait long for the answer."""
        try:
            async with self._turn:
                if self.polite:
                    self._protocol.send(b"QUIT\r\n", 1)
                    await self._protocol.reply(QUIT_TIMEOUT)
        except Trouble:
            pass  # it was good-bye in any case
        self.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._protocol.abort()


class Way(Struct, frozen=True):
    """How a message is sent to a peer."""

    bdat: bool = False
    pipelining: bool = False
    """The commands go in one write, and those of the next message may follow the content."""
    lmtp: bool = False
    """The content is answered once for each recipient."""


class Dismissed(Trouble):
    """The peer has had enough of the connection before it looked at the message."""


class _Transaction:
    """One message on its way: the commands in one write or one by one, then the content, then the verdict.

    A small message for a peer that takes BDAT is one write. Behind a message that was refused, or that has no verdict
    yet, RSET comes first: the peer may keep its recipients.
    """

    def __init__(
        self, protocol: ReplyProtocol, limits: Limits, commands: Sequence[bytes], content: Content, way: Way,
        sent: Callable[[], None] | None,
    ) -> None:  # fmt: skip
        self.answers = [Answer() for _ in commands[1:]]
        self.spoiled = False
        """The dialogue stopped in the middle: the connection must not be used again."""
        self.unfinished = False
        """The peer may still hold a sender: RSET must come before the next message."""
        self._protocol = protocol
        self._limits = limits
        self._commands = commands
        self._content = content
        self._way = way
        self._sent = sent or (lambda: None)
        self._stage = Stage.MAIL
        """How far the message may have come, for all we know."""
        self._answered = False

    async def run(self, turn: asyncio.Lock, *, behind: bool) -> None:
        """Go through the dialogue, reading when it is our *turn*; *behind* such a message.

        Raises Trouble.
        """
        way = self._way
        if not way.pipelining:
            async with turn:
                await self._one_by_one()
        elif way.bdat and not way.lmtp and self._content.size <= AT_ONCE:
            await self._at_once(turn, behind)
        else:
            await self._in_groups(turn, behind)

    def lost(self, trouble: Trouble, *, dismissed: bool) -> None:
        """Note the trouble with every recipient that had no last word of its own.

        A peer that closes the connection without a word to any of our commands has not read them: it was about to do
        that, or has said so to a message before (*dismissed*).
        """
        self.spoiled = True
        unread = dismissed or (trouble.errno == CLOSED and not self._answered)
        unanswered = next((answer for answer in self.answers if answer.reply is None), None)
        if unanswered is not None:
            unanswered.awaited = True
        for answer in self.answers:
            refused = answer.reply is not None and not answer.reply.positive
            if unread:
                answer.stage, answer.reply, answer.trouble = Stage.MAIL, None, Trouble("", CLOSED)
            elif not (refused or answer.accepted):
                answer.stage, answer.reply, answer.trouble = self._stage, None, trouble

    # -- the envelope

    async def _at_once(self, turn: asyncio.Lock, behind: bool) -> None:
        commands = (RSET * behind, *self._commands, *chunk(self._content))
        self._protocol.send(b"".join(commands), behind + len(self._commands) + 1)
        self._stage = Stage.END
        self._sent()
        async with turn:
            await self._envelope_answers(behind)
            verdict = self._protocol.read() or await self._protocol.reply(self._limits.final)
        for answer in self._invited():
            answer.stage, answer.reply = Stage.END, verdict
            self.unfinished = not verdict.positive

    async def _in_groups(self, turn: asyncio.Lock, behind: bool) -> None:
        commands = (RSET * behind, *self._commands, b"" if self._way.bdat else DATA)
        self._protocol.send(b"".join(commands), behind + len(self._commands) + (not self._way.bdat))
        async with turn:
            await self._envelope_answers(behind)
            if any(_is_farewell(answer.reply) for answer in self.answers):
                self.spoiled = True  # what else it says is of no account
            elif not self._way.bdat:
                await self._data(self._invited())
            elif invited := self._invited():
                await self._send(chunk(self._content), invited)

    async def _envelope_answers(self, behind: bool) -> None:
        """Read what the peer says to the commands of one write."""
        if behind:
            reset = await self._reply(Stage.MAIL)
            if _is_farewell(reset):
                raise Dismissed("", CLOSED)
            if not reset.positive:
                raise Trouble(str(reset), MALFORMED)
        mail = await self._reply(Stage.MAIL)
        self.unfinished = mail.positive
        if not mail.positive:
            self._all_answered(mail)
        for answer in self.answers:
            own = await self._reply(Stage.RCPT)
            if mail.positive:
                answer.stage, answer.reply = Stage.RCPT, own

    def _all_answered(self, mail: Reply) -> None:
        for answer in self.answers:
            answer.stage, answer.reply = Stage.MAIL, mail

    async def _one_by_one(self) -> None:
        self._protocol.send(self._commands[0], 1)
        mail = await self._reply(Stage.MAIL)
        self.unfinished = mail.positive
        if not mail.positive:
            return self._all_answered(mail)
        for answer, command in zip(self.answers, self._commands[1:], strict=True):
            self._protocol.send(command, 1)
            answer.stage, answer.reply = Stage.RCPT, await self._reply(Stage.RCPT)
        invited = self._invited()
        if not invited:
            return None
        if self._way.bdat:
            return await self._send(chunk(self._content), invited)
        self._protocol.send(DATA, 1)
        return await self._data(invited)

    def _invited(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.invited]

    async def _reply(self, stage: Stage) -> Reply:
        if self._stage is not Stage.END:
            self._stage = stage
        reply = self._protocol.read() or await self._protocol.reply(self._limits.command)
        self._answered = True
        return reply

    # -- the content

    async def _data(self, invited: list[Answer]) -> None:
        """Read the answer to DATA; send the content if the peer said 354."""
        self._stage = Stage.DATA
        go = await self._protocol.reply(self._limits.data)
        if go.code == 354:
            if invited:
                return await self._send(stuffed(self._content), invited)
            if not self.unfinished:  # it refused our sender: a dot would send for one that it still had
                self.spoiled = True
                return None
            # RFC 2920 3.1: DATA was accepted with nobody to send to.
            self._protocol.send(b".\r\n", 1)
            self.unfinished = not (await self._protocol.reply(self._limits.final)).positive
        elif go.code < 400:
            raise Trouble(str(go), MALFORMED)
        for answer in invited:
            answer.stage, answer.reply = Stage.DATA, go
        return None

    async def _send(self, blocks: Iterable[bytes], invited: list[Answer]) -> None:
        """Send the content and read the verdict: one for all, or for LMTP one for each invited recipient."""
        self._stage = Stage.CONTENT
        whole = await self._stream(blocks, len(invited) if self._way.lmtp else 1)
        self._stage = Stage.END if whole else Stage.CONTENT
        self.spoiled = not whole
        if whole and self._way.pipelining and not self._way.lmtp:
            self._sent()
        reply: Reply | None = None
        for answer in invited:
            if reply is None or self._way.lmtp:
                reply = await self._protocol.reply(self._limits.final)
            if not whole and reply.code < 400:
                raise Trouble(str(reply), MALFORMED)  # no peer can accept what it has not got
            answer.stage, answer.reply = Stage.END, reply
            # Postfix may keep the sender of refused content, whatever RFC 5321 4.1.1.4 says; for BDAT see RFC 3030 2.
            self.unfinished = self.unfinished and not reply.positive

    async def _stream(self, blocks: Iterable[bytes], replies: int) -> bool:
        """Send *blocks*, no faster than the peer takes them; return whether all were sent.

        A peer that answers before the end has decided: the rest is kept back.
        """
        self._protocol.send(b"", replies)
        for block in blocks:
            if self._protocol.interrupted:
                return False
            self._protocol.send(block, 0)
            await self._protocol.drained(self._limits.data)
        return True


async def _connected(host: Host, interface: str) -> socket.socket:
    """Return a connected socket, without delay for small writes."""
    loop = asyncio.get_running_loop()
    if host.address.startswith("/"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        target: str | tuple[str, int] = host.address
    else:
        family = socket.AF_INET6 if ":" in host.address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        target = (host.address, host.port)
    try:
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if interface:
            sock.bind((interface, 0))
        await loop.sock_connect(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_farewell(reply: Reply | None) -> bool:
    """Whether the peer is about to close the connection (RFC 5321 3.8)."""
    return reply is not None and reply.code == 421


def _own_name(protocol: ReplyProtocol) -> tuple[str, int]:
    name = protocol.transport.get_extra_info("sockname") if protocol.transport else None
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("", 0)
