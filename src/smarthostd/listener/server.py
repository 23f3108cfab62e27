"""Incoming SMTP and LMTP: sockets to sessions; the only file that knows aiosmtpd.

aiosmtpd gives the frame (streams, session and envelope objects, the table of verbs); the command loop, every
command and the life cycle are ours, for the reasons in libraries.md 1.3: a client that half-closes after
the final dot keeps its 250, a defect of ours answers 451, content streams in blocks, time-outs end in an abort.
Replies are collected while more pipelined commands are at hand and leave in one write.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import pwd
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, ClassVar, Protocol, cast

from aiosmtpd.smtp import SMTP

from smarthostd.authenticators.base import Authenticator, ServerDialogue
from smarthostd.envelope import Client, Envelope, Recipient
from smarthostd.errors import ExpansionError, Refused, SpoolError, SpoolFull
from smarthostd.expand import Values
from smarthostd.intake import Incoming, Intake
from smarthostd.listener.commands import MailFrom, mail_from, rcpt_to
from smarthostd.listener.content import Content
from smarthostd.listener.policy import Policy
from smarthostd.reply import Reply
from smarthostd.syntax import CONTROL, printable
from smarthostd.tls import session_text

READER_LIMIT = 65_536
"""Octets in a stream's buffer before reading pauses, and the size of a block of DATA."""
COMMAND_LIMIT, AUTH_LIMIT = 2048, 12_288
"""Octets of a command line (RFC 5321 4.5.3.1.4 says 512, with extensions more)."""
CLOSING_PATIENCE = 5.0
"""Seconds that a client may take to read our last words."""
AUTH_FAILURE_PAUSE = 1.0
"""Seconds before a wrong password is answered."""
_HTTP = re.compile(r"(?:GET|POST|PUT|HEAD|OPTIONS|CONNECT|DELETE|PATCH) |Host:", re.IGNORECASE)
_CHUNK = re.compile(r"([0-9]{1,12})(?:\s+(LAST))?", re.IGNORECASE | re.ASCII)
_HELO_NAME = re.compile(r"[A-Za-z0-9.:\[\]_-]+", re.ASCII)
_FLUSHING = frozenset({"EHLO", "HELO", "LHLO", "DATA", "STARTTLS", "AUTH", "QUIT", "NOOP", "VRFY", "HELP"})
_DATA_END = b"\r\n.\r\n"


class Log(Protocol):
    """What the log is told (``mainlog.MainLog``)."""

    def refused(self, client: Client, what: str) -> None:
        """A command or message was refused."""
        ...

    def noted(self, text: str) -> None:
        """A remark."""
        ...

    def panicked(self, id: str, what: str, error: BaseException) -> None:
        """A defect of ours."""
        ...


class Listener:
    """Makes sessions on one or more sockets, and ends them."""

    def __init__(self, policy: Policy, intake: Intake, log: Log) -> None:
        self.policy = policy
        self.intake = intake
        self.log = log
        self.sessions: set[Session] = set()
        self.per_address: dict[str, int] = {}
        self.draining = False
        self._servers: list[asyncio.AbstractServer] = []
        self._sweeper: asyncio.Task[None] | None = None
        self._last_gone: asyncio.Event | None = None

    async def listen(self, sock: socket.socket, *, implicit_tls: bool = False) -> None:
        """Serve clients on *sock*, which is bound."""
        loop = asyncio.get_running_loop()
        context = self.policy.tls if implicit_tls else None
        if sock.family == socket.AF_UNIX:
            server = await loop.create_unix_server(lambda: _Gate(self), sock=sock)
        else:
            server = await loop.create_server(lambda: _Gate(self), sock=sock, ssl=context, backlog=1024)
        self._servers.append(cast(asyncio.AbstractServer, server))
        if self._sweeper is None:
            self._sweeper = loop.create_task(self._sweep())

    def admits(self, address: str) -> bool:
        """Whether one more session may begin."""
        policy = self.policy
        if self.draining or len(self.sessions) >= policy.accept_max:
            return False
        return not policy.accept_max_per_host or self.per_address.get(address, 0) < policy.accept_max_per_host

    def renew(self, policy: Policy) -> None:
        """Serve new sessions by *policy*; those under way keep theirs."""
        self.policy = policy

    def stop_accepting(self) -> None:
        """Close the doors; sessions go on."""
        for server in self._servers:
            server.close()

    async def drain(self, grace: timedelta) -> None:
        """Let messages under way finish, answer 421 to the rest, then cut."""
        self.draining = True
        self.stop_accepting()
        for session in list(self.sessions):
            session.leave_when_idle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace.total_seconds()):
                await self._empty()
        for session in list(self.sessions):
            session.abort()
        if self._sweeper:
            self._sweeper.cancel()

    async def _empty(self) -> None:
        """Wait until the last session has ended."""
        self._last_gone = asyncio.Event()
        if self.sessions:
            await self._last_gone.wait()

    def gone(self, session: Session) -> None:
        """A session has ended."""
        self.sessions.discard(session)
        if not self.sessions and self._last_gone is not None:
            self._last_gone.set()

    async def _sweep(self) -> None:
        """End sessions that have been silent, or here, for too long: one timer for all of them."""
        interval = min(5.0, self.policy.command_timeout / 4)
        while True:
            await asyncio.sleep(interval)
            now = asyncio.get_running_loop().time()
            for session in list(self.sessions):
                session.look_at_clock(now)


class _Gate(asyncio.Protocol):
    """Admission before a session exists: a client that is turned away costs one write."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make a session, or say 421."""
        listener = self._listener
        peer = transport.get_extra_info("peername")
        address, port = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) and peer else ("", 0)
        address = address.removeprefix("::ffff:") if address.count(".") == 3 else address
        transport = cast(asyncio.Transport, transport)
        if not listener.admits(address):
            transport.write(b"421 4.3.2 Too many concurrent SMTP connections; please try again later.\r\n")
            transport.close()
            return
        session = Session(listener, address, port)
        transport.set_protocol(session)
        session.connection_made(transport)


class Session(SMTP):
    """One client's session."""

    COMMANDS: ClassVar[dict[str, str]] = {
        "HELO": "smtp_HELO", "EHLO": "smtp_EHLO", "LHLO": "smtp_LHLO", "MAIL": "smtp_MAIL", "RCPT": "smtp_RCPT",
        "DATA": "smtp_DATA", "BDAT": "smtp_BDAT", "RSET": "smtp_RSET", "NOOP": "smtp_NOOP", "QUIT": "smtp_QUIT",
        "VRFY": "smtp_VRFY", "EXPN": "smtp_EXPN", "HELP": "smtp_HELP", "STARTTLS": "smtp_STARTTLS", "AUTH": "smtp_AUTH",
    }  # fmt: skip

    def __init__(self, listener: Listener, address: str, port: int) -> None:
        # The library's constructor looks at every attribute of self for every connection; what it would
        # set and its remaining methods use is set here.
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READER_LIMIT, loop=loop)
        self._unread: bytearray = cast(Any, reader)._buffer
        asyncio.StreamReaderProtocol.__init__(self, reader, client_connected_cb=self._cb_client_connected, loop=loop)
        self.loop = loop
        self.transport: asyncio.Transport | None = None
        self._listener = listener
        self._policy = listener.policy
        self._address, self._port = address, port
        self._login, self._uid = "", -1
        self._trusted = not address or self._policy.relays_for(address)
        self._tls = ""
        self._helo = ""
        self._extended = False
        self._authenticated = ("", "")
        self._mail: MailFrom | None = None
        self._recipients: list[Recipient] = []
        self._incoming: Incoming | None = None
        self._chunks: Content | None = None
        self._messages = 0
        self._errors = 0
        self._out: list[bytes] = []
        self._committing: asyncio.Future[str] | None = None
        self._task: asyncio.Task[None] | None = None
        self._began = self._active = loop.time()

    # -- life cycle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: note who it is, and read commands."""
        listener = self._listener
        listener.sessions.add(self)
        listener.per_address[self._address] = listener.per_address.get(self._address, 0) + 1
        self.transport = cast(asyncio.Transport, transport)
        self._note_tls(self.transport)
        if not self._address:
            self._uid, self._login = _peer_user(self.transport)
        asyncio.StreamReaderProtocol.connection_made(self, transport)
        self._task = self.loop.create_task(self._handle_client())

    def _note_tls(self, transport: asyncio.BaseTransport) -> None:
        ssl_object: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if ssl_object is not None:
            self._tls = session_text(ssl_object)

    def connection_lost(self, error: Exception | None) -> None:
        """End; a commit that is under way goes on without us."""
        listener = self._listener
        listener.gone(self)
        left = listener.per_address.get(self._address, 1) - 1
        if left:
            listener.per_address[self._address] = left
        else:
            listener.per_address.pop(self._address, None)
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        if self._task:
            self._task.cancel()
        self.transport = None

    def eof_received(self) -> bool:
        """A client that half-closes after its message still gets its answer."""
        asyncio.StreamReaderProtocol.eof_received(self)
        return not self._tls

    def look_at_clock(self, now: float) -> None:
        """End the session if it has been silent or here for too long; never while a message is being stored."""
        if self._committing is not None or self.transport is None:
            return
        policy = self._policy
        if now - self._active > policy.command_timeout or now - self._began > policy.session_timeout:
            self._say_last(f"421 4.4.2 {policy.hostname}: SMTP command timeout - closing connection")

    def leave_when_idle(self) -> None:
        """Say 421 now, if no message is under way; else the command loop does, after it."""
        if self._mail is None and self._committing is None and not self._out:
            self._say_last(f"421 4.3.2 {self._policy.hostname} is shutting down; please try again later")

    def _say_last(self, line: str) -> None:
        """Say *line* and close; close() alone would wait for a peer that never reads."""
        if self.transport is not None:
            self.transport.write(line.encode() + b"\r\n")
            self.transport.close()
            self.loop.call_later(CLOSING_PATIENCE, self.abort)

    def abort(self) -> None:
        """Drop the connection."""
        if self.transport is not None:
            self.transport.abort()

    # -- replies

    async def push(self, status: str | bytes) -> None:
        """Collect a reply."""
        self._out.append(status if isinstance(status, bytes) else status.encode("utf-8", "replace"))

    def _reply(self, reply: Reply) -> None:
        self._out.append(reply.wire()[:-2])

    async def _flush(self) -> None:
        if self._out:
            octets = b"\r\n".join(self._out) + b"\r\n"
            self._out.clear()
            self._writer.write(octets)
            await self._writer.drain()

    # -- the command loop

    async def _handle_client(self) -> None:
        discarded = contextlib.suppress(ConnectionError, asyncio.IncompleteReadError)
        try:
            with discarded:
                self._reply(Reply(220, self._policy.banner()))
                await self._flush()
                while self.transport is not None and not self.transport.is_closing():
                    if not await self._one_command():
                        break
                await self._flush()
        finally:
            self._forget()
            if self.transport is not None:
                self.transport.close()

    async def _one_command(self) -> bool:
        """Read and obey one command; return whether to go on."""
        reader = self._reader
        if b"\n" not in self._unread:
            await self._flush()
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            await self._flush()
            self._say_last("500 5.5.6 line too long")
            return False
        self._active = self.loop.time()
        text = self._decoded(line)
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        if _HTTP.match(text):
            self._listener.log.refused(self._client(), "dropped: it speaks HTTP, not SMTP")
            self.abort()
            return False
        limit = AUTH_LIMIT if verb == "AUTH" else COMMAND_LIMIT
        if CONTROL.search(text) or len(line) > limit:
            return await self._fault("500 5.5.2 control characters or too long a line: command refused")
        if self._listener.draining and self._mail is None and verb != "QUIT":
            await self._flush()
            self._say_last(f"421 4.3.2 {self._policy.hostname} is shutting down; please try again later")
            return False
        return await self._obey(verb, argument.strip())

    @staticmethod
    def _decoded(line: bytes) -> str:
        """Return the command; what is no UTF-8, or ends in a bare LF, becomes a control character and is refused."""
        if not line.endswith(b"\r\n"):
            line = line[:-1] + b"\r\n"  # a bare LF ends a command as people type it; content is stricter
        try:
            return line[:-2].decode("utf-8")
        except UnicodeDecodeError:
            return "\0"

    async def _obey(self, verb: str, argument: str) -> bool:
        name = self.COMMANDS.get(verb)
        if name is None:
            return await self._fault("500 5.5.1 unrecognized command")
        method: Callable[[str], Awaitable[None]] = getattr(self, name)
        try:
            await method(argument)
        except Refused as refused:
            self._reply(refused.reply)
            self._listener.log.refused(self._client(), f"rejected {verb} {printable(argument[:200])}: {refused.reply}")
            if refused.reply.code in (500, 501, 503, 555) and not await self._count_error():
                return False
        except (asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
            raise
        except Exception as error:  # a defect of ours: the client keeps its message
            self._listener.log.panicked("", f"session: {verb}", error)
            await self._flush()
            self._say_last("421 4.3.0 internal error; please try again later")
            return False
        if verb in _FLUSHING:
            await self._flush()
        return True

    async def _fault(self, line: str) -> bool:
        await self.push(line)
        return await self._count_error()

    async def _count_error(self) -> bool:
        self._errors += 1
        if self._errors <= self._policy.errors_max:
            return True
        await self._flush()
        self._listener.log.refused(self._client(), "dropped: too many syntax or protocol errors")
        self._say_last(f"421 4.7.0 {self._policy.hostname}: too many errors")
        return False

    def _client(self) -> Client:
        """Return who this is, with the protocol as Exim names it."""
        name, id = self._authenticated
        extended = "lmtp" if self._policy.lmtp else "esmtp" if self._extended else "smtp"
        suffix = ("s" if self._tls else "") + ("a" if name else "")
        utf8 = "utf8" if self._mail is not None and self._mail.smtputf8 else ""
        local = "" if self._address else "local-"
        protocol = f"{utf8}{local}{extended}{suffix}"
        return Client(protocol, self._address, self._port, "", self._helo, id, name, self._login, self._uid, self._tls)

    # -- greetings

    async def smtp_HELO(self, hostname: str) -> None:
        """HELO: no extensions."""
        self._greet(hostname, "HELO", lmtp=False)
        self._extended = False
        await self.push(f"250 {self._policy.hostname} Hello {self._hello_name()}")

    async def smtp_EHLO(self, hostname: str) -> None:
        """EHLO: what we offer."""
        self._greet(hostname, "EHLO", lmtp=False)
        await self._offer()

    async def smtp_LHLO(self, hostname: str) -> None:
        """LHLO: likewise, for LMTP."""
        self._greet(hostname, "LHLO", lmtp=True)
        await self._offer()

    def _greet(self, hostname: str, verb: str, *, lmtp: bool) -> None:
        if lmtp is not self._policy.lmtp:
            raise Refused(Reply(500, f"5.5.1 this is {'LMTP' if self._policy.lmtp else 'SMTP'}, not the other"))
        if not _HELO_NAME.fullmatch(hostname):
            raise Refused(Reply(501, f"5.5.4 Syntactically invalid {verb} argument(s)"))
        self._reset()
        self._helo = hostname

    def _hello_name(self) -> str:
        return f"{self._helo} [{self._address}]" if self._address else self._helo

    async def _offer(self) -> None:
        policy = self._policy
        self._extended = True
        words = [f"{policy.hostname} Hello {self._hello_name()}", *policy.extensions]
        if policy.tls is not None and not self._tls and self._address and policy.offers_tls(self._address):
            words.append("STARTTLS")
        mechanisms = self._mechanisms()
        if mechanisms:
            words.append("AUTH " + " ".join(mechanisms))
        self._reply(Reply(250, "\n".join([*words, "HELP"])))

    def _mechanisms(self) -> dict[str, Authenticator]:
        """Return what may be logged in by now: reusable passwords over TLS, a unix socket or loopback only."""
        private = bool(self._tls) or not self._address or self._address.startswith("127.") or self._address == "::1"
        found = [one for one in self._policy.authenticators if private or not one.reusable_secret]
        return {one.public_name.upper(): one for one in found}

    # -- the envelope

    async def smtp_MAIL(self, argument: str) -> None:
        """MAIL: a transaction begins."""
        if not self._helo:
            raise Refused(Reply(503, "5.5.1 HELO or EHLO required"))
        if self._mail is not None:
            raise Refused(Reply(503, "5.5.1 sender already given"))
        if self._policy.accept_max_per_connection and self._messages >= self._policy.accept_max_per_connection:
            raise Refused(Reply(421, "4.7.0 too many messages in one connection"))
        self._mail = mail_from(argument, self._policy.message_size_limit)
        await self.push("250 2.1.0 OK")

    async def smtp_RCPT(self, argument: str) -> None:
        """RCPT: one recipient."""
        if self._mail is None:
            raise Refused(Reply(503, "5.5.1 sender not yet given"))
        limit = self._policy.recipients_max
        if limit and len(self._recipients) >= limit:
            raise Refused(Reply(452, "4.5.3 too many recipients"))
        recipient = rcpt_to(argument, self._mail.smtputf8)
        if not (self._trusted or self._authenticated[0]):
            where = self._address
            raise Refused(Reply(550, f"5.7.1 relay not permitted for [{where}]: see relay_from_hosts, or log in"))
        self._recipients.append(recipient)
        await self.push("250 2.1.5 Accepted")

    async def smtp_RSET(self, argument: str) -> None:
        """RSET: forget the transaction."""
        self._reset()
        await self.push("250 2.0.0 Reset OK")

    def _reset(self) -> None:
        self._forget()
        self._mail = None
        self._recipients = []

    def _forget(self) -> None:
        """Throw away the content of a message that is not going to be accepted."""
        if self._incoming is not None and self._committing is None:
            self._incoming.sink.discard()
        self._incoming = None
        self._chunks = None

    # -- the content

    def _begin_content(self) -> Content:
        policy = self._policy
        self._incoming = self._listener.intake.begin()
        return Content(
            self._incoming.sink,
            policy.message_size_limit,
            policy.line_length_limit,
            normalize=policy.normalize_newlines,
        )

    async def smtp_DATA(self, argument: str) -> None:
        """DATA: the message, up to the lone dot."""
        if argument:
            raise Refused(Reply(501, "5.5.4 DATA takes no argument"))
        if self._chunks is not None:
            raise Refused(Reply(503, "5.5.1 BDAT is under way; RSET first"))
        if not self._recipients:
            word = "valid RCPT command must precede DATA" if self._mail is not None else "sender not yet given"
            raise Refused(Reply(503, f"5.5.1 {word}"))
        content = self._begin_content()
        await self.push('354 Enter message, ending with "." on a line by itself')
        await self._flush()
        await self._read_data(content)
        await self._finish(content)

    async def _read_data(self, content: Content) -> None:
        """Read blocks up to CRLF, dot, CRLF; take the stuffed dots out.

        Two octets are put in front of what is read, so that a message of one lone dot needs no special
        case, and a line end at the end of a block is kept back until the next octet is known.
        """
        reader = self._reader
        self._unread[:0] = b"\r\n"
        held, first, last = b"", True, False
        while not last:
            try:
                block, last = await reader.readuntil(_DATA_END), True
            except asyncio.LimitOverrunError as overrun:
                block = await reader.readexactly(overrun.consumed)
            self._active = self.loop.time()
            block = held + block
            if last:
                block, held = block[:-3], b""
            else:
                kept = 2 if block.endswith(b"\r\n") else 1 if block.endswith(b"\r") else 0
                block, held = block[: len(block) - kept], block[len(block) - kept :]
            plain = block.replace(b"\r\n.", b"\r\n")
            if first and plain:
                plain, first = plain[2:], False
            content.write(plain)

    async def smtp_BDAT(self, argument: str) -> None:
        """BDAT: a chunk of the message (RFC 3030)."""
        match = _CHUNK.fullmatch(argument)
        if match is None:  # how much follows is not known: nothing that comes can be understood
            await self._flush()
            self._say_last("501 5.5.4 BDAT must be followed by a size, and perhaps LAST")
            return
        size, last = int(match[1]), bool(match[2])
        wanted = bool(self._recipients)
        if wanted and self._chunks is None:
            self._chunks = self._begin_content()
        content = self._chunks
        await self._read_chunk(size, content if wanted else None)
        if not wanted or content is None:
            raise Refused(Reply(503, "5.5.1 valid RCPT command must precede BDAT"))
        if last:
            self._chunks = None
            await self._finish(content)
        else:
            await self.push(f"250 2.0.0 {size} octets received")

    async def _read_chunk(self, size: int, content: Content | None) -> None:
        while size:
            block = await self._reader.read(min(size, READER_LIMIT))
            if not block:
                raise asyncio.IncompleteReadError(b"", size)
            self._active = self.loop.time()
            size -= len(block)
            if content is not None:
                content.write(block)

    async def _finish(self, content: Content) -> None:
        """Answer for the message: 250 only after it is on disk."""
        content.finish()
        incoming, recipients = self._incoming, self._recipients
        assert incoming is not None
        assert self._mail is not None
        try:
            reply = await self._store(content, incoming)
        finally:
            self._committing = None
            client_messages = self._messages + 1
        if not reply.positive:
            incoming.sink.discard()
            self._listener.log.refused(
                self._client(), f"rejected message {incoming.id} from <{self._mail.sender}>: {reply}"
            )
        self._messages = client_messages
        self._incoming = None
        self._mail = None
        self._recipients = []
        for _ in recipients if self._policy.lmtp else recipients[:1]:
            self._reply(reply)

    async def _store(self, content: Content, incoming: Incoming) -> Reply:
        if content.refusal is not None:
            return content.refusal
        if content.failure is not None:
            return _spool_reply(content.failure)
        envelope = self._envelope()
        self._committing = asyncio.ensure_future(self._listener.intake.accept(incoming, envelope))
        try:
            id = await asyncio.shield(self._committing)
        except Refused as refused:
            return refused.reply
        except SpoolError as error:
            self._listener.log.noted(f"a message could not be stored: {error}")
            return _spool_reply(error)
        return Reply(250, f"2.0.0 OK id={id}")

    def _envelope(self) -> Envelope:
        mail = self._mail
        assert mail is not None
        return Envelope(
            mail.sender, tuple(self._recipients), mail.ret, mail.envid, mail.body, mail.smtputf8, self._client()
        )

    # -- the rest

    async def smtp_NOOP(self, argument: str) -> None:
        """NOOP."""
        await self.push("250 2.0.0 OK")

    async def smtp_HELP(self, argument: str) -> None:
        """HELP."""
        await self.push("214 2.0.0 Commands supported: " + " ".join(self.COMMANDS))

    async def smtp_VRFY(self, argument: str) -> None:
        """VRFY: we do not say."""
        await self.push("252 2.5.2 Administrative prohibition")

    async def smtp_EXPN(self, argument: str) -> None:
        """EXPN: we do not say."""
        await self.push("550 5.7.1 Administrative prohibition")

    async def smtp_QUIT(self, argument: str) -> None:
        """QUIT."""
        await self.push(f"221 2.0.0 {self._policy.hostname} closing connection")
        await self._flush()
        if self.transport is not None:
            self.transport.close()
            self.loop.call_later(CLOSING_PATIENCE, self.abort)

    async def smtp_STARTTLS(self, argument: str) -> None:
        """STARTTLS: what was pipelined behind it in the clear is thrown away (RFC 3207)."""
        policy = self._policy
        if argument:
            raise Refused(Reply(501, "5.5.4 STARTTLS takes no argument"))
        if policy.tls is None or self._tls or not policy.offers_tls(self._address):
            raise Refused(Reply(503, "5.5.1 STARTTLS command used when not advertised"))
        transport = self.transport
        assert transport is not None
        # Order matters: stop reading, clear, say 220, then start TLS (libraries.md 3).
        transport.pause_reading()
        self._unread.clear()
        await self.push("220 2.0.0 TLS go ahead")
        await self._flush()
        try:
            upgraded = await self.loop.start_tls(
                transport, self, policy.tls, server_side=True, ssl_handshake_timeout=policy.tls_timeout
            )
        except (OSError, ssl.SSLError, TimeoutError) as error:
            self._listener.log.refused(self._client(), f"TLS error on connection: {printable(str(error))}")
            self.abort()
            raise ConnectionAbortedError from error
        assert upgraded is not None
        self.transport = upgraded
        reader, writer = cast(Any, self._reader), cast(Any, self._writer)
        reader._transport = writer._transport = upgraded
        self._over_ssl = True
        self._note_tls(upgraded)
        self._reset()
        self._helo, self._extended, self._authenticated = "", False, ("", "")

    async def smtp_AUTH(self, argument: str) -> None:
        """AUTH: by the configured authenticators."""
        if not self._extended:
            raise Refused(Reply(503, "5.5.1 EHLO required"))
        if self._mail is not None or self._authenticated[0]:
            raise Refused(Reply(503, "5.5.1 already authenticated, or a message is under way"))
        mechanisms = self._mechanisms()
        if not mechanisms:
            raise Refused(Reply(503, "5.5.1 AUTH command used when not advertised"))
        name, _, initial = argument.partition(" ")
        one = mechanisms.get(name.upper())
        if one is None:
            raise Refused(Reply(504, f"5.5.4 {printable(name[:40])} authentication mechanism not supported"))
        values: Values = {"sender_host_address": self._address, "tls_in_cipher": self._tls}
        try:
            first = _unbased(initial) if initial.strip() else None
            id = await self._exchange(one.server(values, first))
        except ExpansionError as error:
            self._listener.log.noted(f"{one.name} authenticator: {error}")
            raise Refused(Reply(435, "4.7.0 Unable to authenticate at this time")) from error
        if id is None:
            await asyncio.sleep(AUTH_FAILURE_PAUSE)
            self._errors += 2
            raise Refused(Reply(535, "5.7.8 Incorrect authentication data"))
        self._authenticated = (one.name, printable(id))
        await self.push("235 2.7.0 Authentication succeeded")

    async def _exchange(self, dialogue: ServerDialogue) -> str | None:
        """Run a server's dialogue; return who logged in."""
        try:
            challenge = next(dialogue)
            while True:
                await self.push(b"334 " + base64.b64encode(challenge))
                await self._flush()
                line = await self._reader.readuntil(b"\n")
                self._active = self.loop.time()
                if line.strip() == b"*":
                    raise Refused(Reply(501, "5.7.0 Authentication cancelled"))
                challenge = dialogue.send(_unbased(line.strip().decode("ascii", "replace")))
        except StopIteration as stop:
            return cast("str | None", stop.value)


def _unbased(text: str) -> bytes:
    """Decode an AUTH response; ``=`` is an empty one."""
    if text.strip() == "=":
        return b""
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(Reply(501, "5.5.2 Invalid base64 data")) from None


def _spool_reply(error: SpoolError) -> Reply:
    if isinstance(error, SpoolFull):
        return Reply(452, "4.3.1 there is no room for the message now; please try again later")
    return Reply(451, "4.3.0 the message cannot be stored now; please try again later")


def _peer_user(transport: asyncio.BaseTransport) -> tuple[int, str]:
    """Return the uid and the login name at the other end of a unix socket."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return -1, ""
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    try:
        return uid, pwd.getpwuid(uid).pw_name
    except KeyError:
        return uid, str(uid)
