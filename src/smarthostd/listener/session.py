"""One client's session, SMTP or LMTP; the only file that knows aiosmtpd.

aiosmtpd gives the form: verbs are methods ``smtp_VERB``. What drives them is ours, for
the reasons in libraries.md 1.3: a client that half-closes after the final dot keeps its 250, a defect of
ours answers 451, content streams in blocks, time-outs end in an abort. There is no stream and no task: what
comes is worked on as it comes. A verb is obeyed at once, unless it is a coroutine: STARTTLS, AUTH and
the commit of a message make the session wait, as names before the greeting do, and then what comes
meanwhile is kept. (A message of 4 KiB with a client in the same process: 225 us with a stream and a task for
each session, 165 us so. To drive a coroutine for each verb, which ends with an exception, took 1 % of a message.)
Replies are collected while more commands are at hand, and leave in one write.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
import socket
import ssl
from collections.abc import Awaitable, Coroutine, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar, cast

from aiosmtpd.smtp import SMTP
from msgspec.structs import replace

from smarthostd.address import Address
from smarthostd.authenticators.base import Authenticator, Login, ServerDialogue
from smarthostd.envelope import Client, Envelope, Recipient
from smarthostd.errors import Deferral, ExpansionError, Refused, SpoolError, SpoolFull
from smarthostd.expand import Values
from smarthostd.intake import Incoming
from smarthostd.listener.commands import MailFrom, mail_from, rcpt_to
from smarthostd.listener.content import BARE_NEWLINES, Body, Content, Counted, Dotted
from smarthostd.listener.peers import NOBODY, Peer, described, peer_of
from smarthostd.message_id import SHAPE
from smarthostd.reply import Reply
from smarthostd.syntax import has_control, printable
from smarthostd.tls import session_text

if TYPE_CHECKING:
    from smarthostd.listener.server import Listener

T = TypeVar("T")

UNREAD_LIMIT = 65_536
"""Octets that are kept while the session waits, before reading pauses."""
COMMAND_LIMIT, AUTH_LIMIT = 2048, 12_288
"""Octets of a command line (RFC 5321 4.5.3.1.4 says 512, with extensions more)."""
KNOWN_LIMIT = 256
"""Octets of a command line that is remembered."""
CLOSING_PATIENCE = 5.0
"""Seconds that a client may take to read our last words."""
VERBS_KEPT = 20
"""Commands that are remembered for the log."""
SHOWN_LIMIT = 200
"""Characters of a command that the log shows."""
AUTH_FAILURE_PAUSE = 1.0
"""Seconds before a wrong password is answered."""
WRONG_LOGIN = 535
"""The reply to one; it counts as two errors, so that nobody tries password after password."""
HTTP = re.compile(r"(?:GET|POST|PUT|HEAD|OPTIONS|CONNECT|DELETE|PATCH) |Host:", re.IGNORECASE)
_CHUNK = re.compile(r"([0-9]{1,12})(?:\s+(LAST))?", re.IGNORECASE | re.ASCII)
_HELO_NAME = re.compile(r"[A-Za-z0-9.:\[\]_-]+", re.ASCII)
_MECHANISMS = frozenset(
    {
        "ANONYMOUS", "CRAM-MD5", "DIGEST-MD5", "EXTERNAL", "GSSAPI", "LOGIN", "NTLM", "OAUTHBEARER", "PLAIN",
        "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2",
    }
)  # fmt: skip
"""Names that the log shows although nobody offers them."""
_COUNTED_AS_ERROR = frozenset({500, 501, 503, 555})


class Log(Protocol):
    """What the log is told (``mainlog.MainLog``)."""

    def refused(self, client: Client, what: str) -> None:
        """A command was refused."""
        ...

    def refused_message(self, id: str, sender: Address, client: Client, reply: Reply, why: str = "") -> None:
        """A message was refused."""
        ...

    def turned_down(
        self, client: Client, form: str, *, needs: str = "", aside: str = "reject", **words: object
    ) -> None:
        """A client was told no, in Exim's words."""
        ...

    def login_failed(self, authenticator: str, client: Client, reply: Reply, id: str = "") -> None:
        """A client could not log in."""
        ...

    def misspoke(self, client: Client, line: str, reply: Reply) -> None:
        """A command could not be understood."""
        ...

    def turned_away(self, client: Client) -> None:
        """There are too many clients."""
        ...

    def connected(self, client: Client, count: int) -> None:
        """A session begins."""
        ...

    def parted(self, client: Client, how: str, seconds: float) -> None:
        """A session has ended."""
        ...

    def timed_out(self, client: Client, seconds: float) -> None:
        """A client was silent for too long."""
        ...

    def no_mail(self, client: Client, commands: Sequence[str], seconds: float) -> None:
        """A session ended without a message."""
        ...

    def noted(self, text: str) -> None:
        """A remark."""
        ...

    def panicked(self, id: str, what: str, error: BaseException) -> None:
        """A defect of ours."""
        ...


class Session(SMTP):
    """One client's session."""

    COMMANDS: ClassVar[dict[str, str]] = {
        "HELO": "smtp_HELO", "EHLO": "smtp_EHLO", "LHLO": "smtp_LHLO", "MAIL": "smtp_MAIL", "RCPT": "smtp_RCPT",
        "DATA": "smtp_DATA", "BDAT": "smtp_BDAT", "RSET": "smtp_RSET", "NOOP": "smtp_NOOP", "QUIT": "smtp_QUIT",
        "VRFY": "smtp_VRFY", "EXPN": "smtp_EXPN", "HELP": "smtp_HELP", "STARTTLS": "smtp_STARTTLS", "AUTH": "smtp_AUTH",
    }  # fmt: skip

    exit_status = 1
    """Of a command that held this session: 0 where the client said QUIT."""

    def __init__(self, listener: Listener, address: str, port: int) -> None:
        # The library's constructor looks at every attribute of self for every connection, and its streams
        # are not used; nothing that is left of it needs what it would set.
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self._listener = listener
        self._policy = listener.policy.for_client(address)
        self._address, self._port = address, port
        self._peer: Peer | None = None
        self._relays: bool | None = None if address else True
        """Whether mail may go anywhere without a login; None: nobody has asked yet."""
        self._tls = ""
        self._helo = ""
        self._extended = False
        self._authenticated = ("", "")
        self._refused_id = ""
        """Who a login said to be that was refused, for the log."""
        self._known_client: Client | None = None
        self._mail: MailFrom | None = None
        self._recipients: list[Recipient] = []
        self._over_limit = False
        """Whether there were too many of them."""
        self._incoming: Incoming | None = None
        self._content: Content | None = None
        self._body: Body | None = None
        self._chunk = (0, False)
        self._messages = 0
        self._verbs: list[str] = []
        self._secrets_said = False
        """Whether a line that is not understood may be a client's answer to a login."""
        self._ending = "lost"
        """How the session ends, for the log; empty where that has been told."""
        self._pipelining = self._chunking = False
        self._errors = 0
        self._unread = bytearray()
        self._out: list[bytes] = []
        self._waiting = False
        """Whether nothing is to be worked on until something is done."""
        self._task: asyncio.Task[None] | None = None
        self._in_handshake = False
        """Whether TLS is beginning: then the session has no transport, or one that is TLS's."""
        self._asking = False
        """Whether the names in lists of clients are being asked for."""
        self._committing = False
        self._line_wanted: asyncio.Future[None] | None = None
        self._choked = self._ended = False
        self._began = self._active = self.loop.time()

    # -- life cycle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: note who it is, and greet."""
        self.transport = cast(asyncio.Transport, transport)
        self._in_handshake = False
        if self not in self._listener.sessions:
            self._come_in(transport)
        self._note_tls(self.transport)
        self._known_client = None
        asking = self._names()
        if asking is None:
            self._welcome()
        else:
            self._wait()
            self._asking = True
            self._task = self.loop.create_task(self._welcome_later(asking))

    def _come_in(self, transport: asyncio.BaseTransport) -> None:
        """Be counted."""
        listener = self._listener
        listener.sessions.add(self)
        listener.per_address[self._address] = listener.per_address.get(self._address, 0) + 1
        if not self._address:
            self._peer = _peer(transport)
        listener.log.connected(self._client(), len(listener.sessions))

    def _names(self) -> Coroutine[Any, Any, None] | None:
        """Return what is to be waited for until we know in which lists the client is; None: nothing."""
        names = self._policy.names
        return None if names is None or not self._address else names(self._address, self._tls)

    async def _welcome_later(self, asking: Coroutine[Any, Any, None]) -> None:
        await self._until_known(asking)
        if self._is_open():
            self._welcome()
            self._go_on()

    async def _until_known(self, asking: Coroutine[Any, Any, None]) -> None:
        """Wait for names, and for nothing else."""
        self._asking = True
        try:
            await asking
        except Exception as error:  # a defect: what is known decides
            self._listener.log.panicked("", f"names for [{self._address}]", error)
        finally:
            self._asking = False

    def _welcome(self) -> None:
        self._active = self.loop.time()
        try:
            self._reply(Reply(220, self._policy.banner()))
        except Exception as error:  # a greeting that cannot be expanded, or a defect: the client is to hear of it
            assert self.transport is not None
            return self._listener.cannot_serve(self._address, self.transport, error)
        return self._flush()

    def begin_with_tls(self, transport: asyncio.Transport) -> None:
        """Be counted, and begin when the handshake is done.

        It has a transport of its own, over another descriptor: *transport* would read as soon as we return, whatever
        is paused, and what a quick client has sent already belongs to the handshake.
        """
        sock: socket.socket = transport.get_extra_info("socket").dup()
        self.transport = transport
        self._come_in(transport)
        self.transport = None
        transport.abort()
        self._in_handshake = True
        self._task = self.loop.create_task(self._tls_first(sock))

    async def _tls_first(self, sock: socket.socket) -> None:
        with contextlib.suppress(ConnectionAbortedError):
            await self._shake_hands(self._accepted(sock))

    async def _accepted(self, sock: socket.socket) -> None:
        """Begin a session on *sock* over TLS; raises OSError."""
        policy = self._policy
        await self.loop.connect_accepted_socket(
            lambda: self, sock, ssl=policy.tls, ssl_handshake_timeout=policy.tls_timeout
        )
        if self.transport is None and self in self._listener.sessions:
            raise ConnectionResetError

    async def _shake_hands(self, handshake: Awaitable[T]) -> T:
        """Return what *handshake* gives; where it fails the session has ended, and ConnectionAbortedError is raised."""
        self._in_handshake = True
        try:
            return await handshake
        except Exception as error:  # whatever it is, nothing may be left of the session
            what = printable(str(error)) or "the connection was closed"
            self._listener.log.refused(self._client(), f"TLS error on connection: {what}")
            self._end()
            raise ConnectionAbortedError from error
        except asyncio.CancelledError:
            self._end()
            raise
        finally:
            self._in_handshake = False

    def _end(self) -> None:
        """End, where the handshake has failed: the event loop does not always tell us of that."""
        self._in_handshake, self._task = False, None
        if self.transport is not None:
            self.transport.abort()
        self.connection_lost(None)

    def _note_tls(self, transport: asyncio.BaseTransport) -> None:
        ssl_object: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if ssl_object is not None:
            self._tls = session_text(ssl_object)

    def connection_lost(self, error: Exception | None) -> None:
        """End, once; a commit that is under way goes on without us, and a handshake knows better what has happened."""
        listener = self._listener
        if self._in_handshake or self not in listener.sessions:
            return
        self._tell_end()
        listener.gone(self)
        left = listener.per_address.get(self._address, 1) - 1
        if left:
            listener.per_address[self._address] = left
        else:
            listener.per_address.pop(self._address, None)
        if not self._committing:
            self._forget()
            if self._task is not None:
                self._task.cancel()
        self.transport = None

    def _tell_end(self) -> None:
        """Log how the session has ended, unless that was logged when we ended it."""
        client, seconds = self._client(), self.loop.time() - self._began
        if self._ending:
            how = f"{self._ending} while reading message data" if self._body is not None else self._ending
            self._listener.log.parted(client, how, seconds)
        if not self._messages and not self._committing:
            self._listener.log.no_mail(client, self._verbs, seconds)

    def eof_received(self) -> bool:
        """A client that half-closes after its message still gets its answer."""
        self._ended = True
        self._work()
        if self._line_wanted is not None:
            self._look_for_line(self._line_wanted)
        return not self._tls

    def pause_writing(self) -> None:
        """The client does not read what we say: we do not listen to it either."""
        self._choked = True
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._choked = False
        self._work()

    def look_at_clock(self, now: float) -> None:
        """End the session if it has been silent or here for too long; never while a message is being stored.

        Nor where it is we who wait, for a handshake or for names, which have limits of their own.
        """
        if self._committing or self._in_handshake or self._asking or self.transport is None:
            return
        policy = self._policy
        if now - self._active > policy.command_timeout or now - self._began > policy.session_timeout:
            self._ending = ""
            self._listener.log.timed_out(self._client(), now - self._began)
            self._say_last(f"421 4.4.2 {policy.hostname}: SMTP command timeout - closing connection")

    def leave_when_idle(self) -> None:
        """Say 421 now, if no message is under way; else the session does, after it."""
        if self._in_handshake:
            self._ending = "closed: we are shutting down"
            self.abort()
        elif self._mail is None and (self._asking or not self._waiting):
            self._ending = "closed: we are shutting down"
            self._say_last(f"421 4.3.2 {self._policy.hostname} is shutting down; please try again later")

    def _say_last(self, line: str) -> None:
        """Say *line* and close; close() alone would wait for a peer that never reads."""
        self._out.append(line.encode() + b"\r\n")
        self._close()

    def _close(self) -> None:
        self._flush()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
            self.loop.call_later(CLOSING_PATIENCE, self.abort)

    def abort(self) -> None:
        """Drop the connection."""
        if self._in_handshake and self._task is not None:
            self.loop.call_soon(self._task.cancel)  # soon: a task that has not begun would clear nothing away
        elif self.transport is not None:
            self.transport.abort()

    # -- replies

    def _put(self, line: str | bytes) -> None:
        """Collect a reply of one line."""
        self._out.append((line if isinstance(line, bytes) else line.encode("utf-8", "replace")) + b"\r\n")

    def _reply(self, reply: Reply) -> None:
        self._out.append(reply.wire())

    def _flush(self) -> None:
        if self._out:
            octets = b"".join(self._out)
            self._out.clear()
            if self.transport is not None:
                self.transport.write(octets)

    # -- what comes

    def data_received(self, data: bytes) -> None:
        """Take what came: commands or content, at once or later."""
        listener = self._listener
        if listener.awake is not None and len(listener.sessions) == 1:
            listener.awake.for_a_moment()
        self._active = self.loop.time()
        if self._body is not None and not self._unread:
            self._feed(data)
        else:
            self._unread += data
        if not self._waiting:
            self._work()
        elif self._line_wanted is not None:
            self._look_for_line(self._line_wanted)
        elif len(self._unread) > UNREAD_LIMIT and self.transport is not None:
            self.transport.pause_reading()

    def _work(self) -> None:
        """Work on what has come, until more must come or something be waited for; then answer."""
        unread = self._unread
        while unread and not self._waiting and not self._choked and self._is_open():
            if self._body is not None:
                octets = bytes(unread)
                unread.clear()
                self._feed(octets)
                continue
            end = unread.find(b"\n") + 1
            if not end:
                if len(unread) > AUTH_LIMIT:
                    self._say_last("500 5.5.6 line too long")
                break
            line = bytes(unread[:end])
            del unread[:end]
            self._pipelining = self._pipelining or bool(unread)
            self._command(line)
        self._flush()
        if not self._waiting and self.transport is not None:
            self._listen_or_leave(self.transport)

    def _is_open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def _listen_or_leave(self, transport: asyncio.Transport) -> None:
        if self._ended:
            self._close()
        elif self._listener.draining and self._mail is None:
            self.leave_when_idle()
        elif not self._choked and not transport.is_closing() and not transport.is_reading():
            transport.resume_reading()

    # -- commands

    def _command(self, line: bytes) -> None:
        """Obey one command."""
        text, verb, argument, is_clean = _line(line)
        name = self.COMMANDS.get(verb)
        if name is None and HTTP.match(text):
            return self._turn_away_http()
        if len(line) > (AUTH_LIMIT if verb == "AUTH" else COMMAND_LIMIT) or not is_clean:
            return self._fault(text, Reply(500, "5.5.2 control characters or too long a line: command refused"))
        if self._listener.draining and self._mail is None and verb != "QUIT":
            return self.leave_when_idle()
        if name is None:
            return self._fault(text, Reply(500, "5.5.1 unrecognized command"))
        return self._obey(verb, argument)

    def _turn_away_http(self) -> None:
        """End the session: a web page must not send mail."""
        self._listener.log.refused(self._client(), "dropped: it speaks HTTP, not SMTP")
        self._ending = ""
        self.abort()

    def _obey(self, verb: str, argument: str) -> None:
        """Obey a command that there is."""
        self._secrets_said = self._secrets_said or verb == "AUTH"
        if len(self._verbs) < VERBS_KEPT:
            self._verbs.append(verb)
        try:
            waited_for: Coroutine[Any, Any, None] | None = getattr(self, self.COMMANDS[verb])(argument)
        except Exception as error:
            return self._trouble(verb, argument, error)
        if waited_for is not None:
            self._wait()
            self._task = self.loop.create_task(self._waited(verb, argument, waited_for))
        return None

    def _wait(self) -> None:
        """Let nothing be worked on until :meth:`_go_on` is called."""
        self._flush()
        self._waiting = True

    def _go_on(self) -> None:
        self._waiting, self._task = False, None
        self._work()

    async def _waited(self, verb: str, argument: str, obeying: Coroutine[Any, Any, None]) -> None:
        try:
            await obeying
        except ConnectionError:
            return
        except Exception as error:
            self._trouble(verb, argument, error)
        self._go_on()

    def _trouble(self, verb: str, argument: str, error: Exception) -> None:
        """Answer for a command that was not obeyed; after a defect of ours the client keeps its message."""
        if not isinstance(error, Refused):
            self._listener.log.panicked("", f"session: {verb}", error)
            return self._say_last("421 4.3.0 internal error; please try again later")
        if error.reply.code in _COUNTED_AS_ERROR and verb != "AUTH":
            return self._fault(f"{verb} {argument}", error.reply)
        self._reply(error.reply)
        if verb == "AUTH":
            return self._login_failed(argument, error.reply)
        asked = f"rejected {verb} {argument[:SHOWN_LIMIT]}"
        if verb == "RCPT" and self._mail is not None:
            temporarily = "temporarily " * error.reply.temporary
            asked = f"F=<{self._mail.sender}> {temporarily}rejected RCPT {argument[len('TO:') :][:SHOWN_LIMIT].strip()}"
        self._listener.log.refused(self._client(), f"{asked}: {error.reply}")
        return None

    def _login_failed(self, argument: str, reply: Reply) -> None:
        """Log it without what was sent: that may be a password."""
        mechanism = argument.partition(" ")[0].upper()
        one = self._mechanisms().get(mechanism)
        name = one.name if one else mechanism if mechanism in _MECHANISMS else "unknown"  # or it may be the password
        id, self._refused_id = self._refused_id, ""
        self._listener.log.login_failed(name, self._client(), reply, id)
        if reply.code in _COUNTED_AS_ERROR:
            self._count_error()
        elif reply.code == WRONG_LOGIN:
            self._count_error(2)

    def _fault(self, line: str, reply: Reply) -> None:
        self._reply(reply)
        self._secrets_said = self._secrets_said or line.lstrip()[:4].upper() == "AUTH"  # AUTH=PLAIN, AUTHPLAIN …
        shown = "(not shown behind AUTH)" if self._secrets_said else line[:SHOWN_LIMIT]
        self._listener.log.misspoke(self._client(), shown, reply)
        self._count_error()

    def _count_error(self, weight: int = 1) -> None:
        self._errors += weight
        if self._errors > self._policy.errors_max:
            self._ending = ""
            self._listener.log.refused(self._client(), "dropped: too many syntax or protocol errors")
            self._say_last(f"421 4.7.0 {self._policy.hostname}: too many errors")

    def _client(self) -> Client:
        """Return who this is, with the protocol as Exim names it."""
        client = self._known_client
        if client is None:
            name, id = self._authenticated
            extended = "lmtp" if self._policy.lmtp else "esmtp" if self._extended else "smtp"
            protocol = f"{'' if self._address else 'local-'}{extended}{'s' * bool(self._tls)}{'a' * bool(name)}"
            peer = self._peer or NOBODY
            client = self._known_client = Client(
                protocol, self._address, self._port, "", self._helo, id, name, peer.login, peer.uid, self._tls,
                peer.full_name, self._peer is None or self._policy.trusts(peer), self._interface(),
                False if self._extended else None,
            )  # fmt: skip
        mail = self._mail
        if mail is not None and (mail.smtputf8 or mail.command_line or self._chunking or self._pipelining):
            if mail.command_line:
                client = described(client, mail.facts)
            protocol = client.protocol
            return replace(
                client,
                protocol=f"utf8{protocol}" if mail.smtputf8 else protocol,
                pipelining=self._pipelining if self._extended else None,
                chunking=self._chunking,
            )
        return client

    def _interface(self) -> str:
        """Return the address and the port that the client has connected to."""
        name = self.transport.get_extra_info("sockname") if self.transport is not None and self._address else None
        return f"[{name[0]}]:{name[1]}" if isinstance(name, tuple) else ""

    # -- greetings

    def smtp_HELO(self, hostname: str) -> None:
        """HELO: no extensions."""
        self._greet(hostname, "HELO", lmtp=False)
        self._extended, self._known_client = False, None
        self._put(f"250 {self._policy.hostname} Hello {self._hello_name()}")

    def smtp_EHLO(self, hostname: str) -> None:
        """EHLO: what we offer."""
        self._greet(hostname, "EHLO", lmtp=False)
        self._offer()

    def smtp_LHLO(self, hostname: str) -> None:
        """LHLO: likewise, for LMTP."""
        self._greet(hostname, "LHLO", lmtp=True)
        self._offer()

    def _greet(self, hostname: str, verb: str, *, lmtp: bool) -> None:
        if lmtp is not self._policy.lmtp:
            raise Refused(Reply(500, f"5.5.1 this is {'LMTP' if self._policy.lmtp else 'SMTP'}, not the other"))
        if not _HELO_NAME.fullmatch(hostname):
            raise Refused(Reply(501, f"5.5.4 Syntactically invalid {verb} argument(s)"))
        self._reset()
        self._helo, self._known_client = hostname, None

    def _hello_name(self) -> str:
        return f"{self._helo} [{self._address}]" if self._peer is None else f"{self._peer.login} at {self._helo}"

    def _offer(self) -> None:
        policy = self._policy
        self._extended, self._known_client = True, None
        words = [f"{policy.hostname} Hello {self._hello_name()}"]
        words += [word for word in policy.extensions if policy.offers_to(word, self._address)]
        if self._peer is not None:
            words.append("XLOCAL")
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
        offered = self._policy.offers_login
        return {one.public_name.upper(): one for one in found if offered(one, self._address, self._tls)}

    # -- the envelope

    def smtp_MAIL(self, argument: str) -> None:
        """MAIL: a transaction begins."""
        if not self._helo:
            raise Refused(Reply(503, "5.5.1 HELO or EHLO required"))
        if self._mail is not None:
            raise Refused(Reply(503, "5.5.1 sender already given"))
        if self._policy.accept_max_per_connection and self._messages >= self._policy.accept_max_per_connection:
            raise Refused(Reply(421, "4.7.0 too many messages in one connection"))
        mail = mail_from(argument, self._policy.message_size_limit, local=self._peer is not None)
        if self._peer is not None:
            mail = replace(mail, sender=self._policy.sender(self._peer, mail.sender))
        if self._policy.room.is_short(mail.size):
            raise Refused(_NO_ROOM)
        self._mail, self._over_limit = mail, False
        self._out.append(b"250 2.1.0 OK\r\n")

    def smtp_RCPT(self, argument: str) -> None:
        """RCPT: one recipient."""
        if self._mail is None:
            raise Refused(Reply(503, "5.5.1 sender not yet given"))
        limit = self._policy.recipients_max
        if limit and len(self._recipients) >= limit:
            self._over_limit = True
            whole = self._policy.recipients_max_reject
            raise Refused(Reply(552, "5.5.3 too many recipients") if whole else Reply(452, "4.5.3 too many recipients"))
        recipient = rcpt_to(argument, self._mail.smtputf8)
        if not (self._authenticated[0] or self._may_relay()):
            where = self._address
            raise Refused(Reply(550, f"5.7.1 relay not permitted for [{where}]: see relay_from_hosts, or log in"))
        self._recipients.append(recipient)
        self._out.append(b"250 2.1.5 Accepted\r\n")

    def _may_relay(self) -> bool:
        """Whether mail may go anywhere without a login; raises Refused where that cannot be decided now."""
        if self._relays is None:
            try:
                self._relays = self._policy.relays_for(self._address)
            except (ExpansionError, Deferral) as error:
                self._listener.log.noted(f"relay_from_hosts cannot be decided for [{self._address}]: {error}")
                raise Refused(Reply(451, "4.3.0 Temporary local problem - please try later")) from error
        return self._relays

    def smtp_RSET(self, argument: str) -> None:
        """RSET: forget the transaction."""
        self._reset()
        self._put("250 2.0.0 Reset OK")

    def _reset(self) -> None:
        self._forget()
        self._mail = None
        self._recipients = []

    def _forget(self) -> None:
        """Throw away the content of a message that is not going to be accepted."""
        if self._incoming is not None and not self._committing:
            self._incoming.sink.discard()
        self._incoming = self._content = self._body = None

    # -- the content

    def _begin_content(self) -> Content:
        policy = self._policy
        self._incoming = self._listener.intake.begin()
        self._content = Content(
            self._incoming.sink,
            policy.message_size_limit,
            policy.line_length_limit,
            normalize=policy.normalize_newlines,
        )
        return self._content

    def smtp_DATA(self, argument: str) -> None:
        """DATA: the message, up to the lone dot."""
        if argument:
            raise Refused(Reply(501, "5.5.4 DATA takes no argument"))
        if self._content is not None:
            raise Refused(Reply(503, "5.5.1 BDAT is under way; RSET first"))
        if not self._recipients:
            word = "valid RCPT command must precede DATA" if self._mail is not None else "sender not yet given"
            raise Refused(Reply(503, f"5.5.1 {word}"))
        if self._is_refused_whole():
            self._reset()
            raise Refused(Reply(554, "5.5.3 too many recipients"))
        self._body = Dotted(self._begin_content())
        self._chunk, self._chunking = (0, True), False
        self._out.append(b'354 Enter message, ending with "." on a line by itself\r\n')

    def _is_refused_whole(self) -> bool:
        return self._over_limit and self._policy.recipients_max_reject

    def smtp_BDAT(self, argument: str) -> None:
        """BDAT: a chunk of the message (RFC 3030)."""
        match = _CHUNK.fullmatch(argument)
        if match is None:  # how much follows is not known: nothing that comes can be understood
            return self._say_last("501 5.5.4 BDAT must be followed by a size, and perhaps LAST")
        size, last = int(match[1]), bool(match[2])
        if self._recipients and self._content is None and not self._is_refused_whole():
            self._begin_content()
        self._body = Counted(size, self._content)
        self._chunk, self._chunking = (size, last), True
        if not size:
            self._body_ended()
        return None

    def _feed(self, octets: bytes) -> None:
        """Give *octets* to the message, as far as they belong to it; after a defect of ours the client keeps it."""
        assert self._body is not None
        try:
            rest = self._body.feed(octets)
            if rest is not None:
                self._unread += rest
                self._body_ended()
            elif self._content is not None and self._content.refusal is BARE_NEWLINES and self._ends_in_vain(octets):
                self._body_never_ends()
        except Exception as error:
            self._body = None
            self._listener.log.panicked("", "session: message", error)
            self._say_last("421 4.3.0 internal error; please try again later")

    def _ends_in_vain(self, octets: bytes) -> bool:
        """Whether a client that knows no CRLF thinks that it has ended its message."""
        return not self._chunking and (octets == b".\n" or octets.endswith(b"\n.\n"))

    def _body_never_ends(self) -> None:
        """Tell a client whose lines all end with LF, and which waits for an answer; what it says next is not read."""
        self._body = None
        self._answer(BARE_NEWLINES)
        self._ending = "closed: its lines end with LF alone"
        self._close()

    def _body_ended(self) -> None:
        """Answer for a chunk, or for the message."""
        self._body = None
        size, last = self._chunk
        if self._content is None:
            self._trouble("BDAT", str(size), Refused(Reply(503, "5.5.1 valid RCPT command must precede BDAT")))
        elif last:
            self._store(self._content)
        else:
            self._out.append(f"250 2.0.0 {size} octets received\r\n".encode())

    def _store(self, content: Content) -> None:
        """Have the message kept: 250 only after it is on disk."""
        content.finish()
        assert self._incoming is not None
        if content.refusal is not None:
            return self._answer(content.refusal)
        if content.failure is not None:
            return self._answer(_spool_reply(content.failure))
        envelope, parent = self._envelope(), self._parent()
        self._committing = True
        self._wait()
        return self._listener.intake.take(self._incoming, envelope, self._stored, parent=parent)

    def _stored(self, id: str, error: BaseException | None) -> None:
        """Answer for the message, which is on disk now, or is not."""
        self._committing = False
        if error is None:
            self._answer(Reply(250, f"2.0.0 OK id={id}"))
        elif isinstance(error, Refused):
            self._answer(error.reply)
        elif isinstance(error, SpoolError):
            self._listener.log.noted(f"a message could not be stored: {error}")
            self._answer(_spool_reply(error))
        else:  # a defect of ours: the client keeps its message
            self._listener.log.panicked("", "session: message", error)
            self._answer(Reply(451, "4.3.0 internal error; please try again later"))
        self._go_on()

    def _answer(self, reply: Reply, why: str = "") -> None:
        """Say what became of the message, the log *why*, and begin anew."""
        assert self._incoming is not None
        assert self._mail is not None
        if not reply.positive:
            self._incoming.sink.discard()
            self._listener.log.refused_message(self._incoming.id, self._mail.sender, self._client(), reply, why)
        line = reply.wire()
        self._out += [line] * len(self._recipients) if self._policy.lmtp else [line]
        self._messages += 1
        self._incoming = self._content = self._mail = None
        self._recipients = []

    def _envelope(self) -> Envelope:
        mail = self._mail
        assert mail is not None
        return Envelope(
            mail.sender, tuple(self._recipients), mail.ret, mail.envid, mail.body, mail.smtputf8, self._client()
        )

    def _parent(self) -> str:
        """Return the id of the message that this one is about, where somebody who is trusted has said so."""
        assert self._mail is not None
        parent = self._mail.facts.get("message_reference", "")
        return parent if SHAPE.fullmatch(parent) and self._client().trusted else ""

    # -- the rest

    def smtp_NOOP(self, argument: str) -> None:
        """NOOP."""
        self._put("250 2.0.0 OK")

    def smtp_HELP(self, argument: str) -> None:
        """HELP."""
        self._put("214 2.0.0 Commands supported: " + " ".join(self.COMMANDS))

    def smtp_VRFY(self, argument: str) -> None:
        """VRFY: we do not say."""
        self._put("252 2.5.2 Administrative prohibition")

    async def smtp_EXPN(self, argument: str) -> None:
        """EXPN: we do not say. (A coroutine as the library declares it, which no other of these verbs is.)"""
        self._put("550 5.7.1 Administrative prohibition")

    def smtp_QUIT(self, argument: str) -> None:
        """QUIT."""
        self._ending = "closed by QUIT"
        self.exit_status = 0
        self._say_last(f"221 2.0.0 {self._policy.hostname} closing connection")

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
        self._put("220 2.0.0 TLS go ahead")
        self._flush()
        self.transport = await self._shake_hands(self._upgraded(transport))
        self._note_tls(self.transport)
        self._reset()
        self._helo, self._extended, self._authenticated, self._known_client = "", False, ("", ""), None
        asking = self._names()
        if asking is not None:
            await self._until_known(asking)

    async def _upgraded(self, transport: asyncio.Transport) -> asyncio.Transport:
        """Return the transport over TLS; raises OSError."""
        policy = self._policy
        assert policy.tls is not None
        upgraded = await self.loop.start_tls(
            transport, self, policy.tls, server_side=True, ssl_handshake_timeout=policy.tls_timeout
        )
        if upgraded is None or upgraded.is_closing():
            raise ConnectionResetError
        return upgraded

    async def smtp_AUTH(self, argument: str) -> None:
        """AUTH: by the configured authenticators."""
        if not self._extended:
            raise Refused(Reply(503, "5.5.1 EHLO required"))
        if self._authenticated[0]:
            raise Refused(Reply(503, "5.5.1 already authenticated"))
        if self._mail is not None:
            raise Refused(Reply(503, "5.5.1 not permitted in mail transaction"))
        mechanisms = self._mechanisms()
        if not mechanisms:
            raise Refused(Reply(503, "5.5.1 AUTH command used when not advertised"))
        name, _, initial = argument.partition(" ")
        one = mechanisms.get(name.upper())
        if one is None:
            raise Refused(Reply(504, "5.5.4 authentication mechanism not supported"))
        values: Values = {"sender_host_address": self._address, "tls_in_cipher": self._tls}
        try:
            first = _unbased(initial) if initial.strip() else None
            login = await self._exchange(one.server(values, first))
        except ExpansionError as error:
            self._listener.log.noted(f"{one.name} authenticator: {error}")
            raise Refused(Reply(435, "4.7.0 Unable to authenticate at present")) from error
        if not login.accepted:
            self._refused_id = printable(login.id)
            await asyncio.sleep(AUTH_FAILURE_PAUSE)
            raise Refused(Reply(WRONG_LOGIN, "5.7.8 Incorrect authentication data"))
        self._authenticated, self._known_client = (one.name, printable(login.id)), None
        self._put("235 2.7.0 Authentication succeeded")

    async def _exchange(self, dialogue: ServerDialogue) -> Login:
        """Run a server's dialogue; return how it ended."""
        try:
            challenge = next(dialogue)
            while True:
                self._put(b"334 " + base64.b64encode(challenge))
                line = await self._line()
                if line.strip() == b"*":
                    raise Refused(Reply(501, "5.7.0 Authentication cancelled"))
                challenge = dialogue.send(_unbased(line.strip().decode("ascii", "replace")))
        except StopIteration as stop:
            return cast(Login, stop.value)

    async def _line(self) -> bytes:
        """Say what is to be said, and return the next line."""
        self._flush()
        self._line_wanted = wanted = self.loop.create_future()
        self._look_for_line(wanted)
        await wanted
        self._line_wanted = None
        end = self._unread.find(b"\n") + 1
        line = bytes(self._unread[:end])
        del self._unread[:end]
        return line

    def _look_for_line(self, wanted: asyncio.Future[None]) -> None:
        if wanted.done():
            return
        if b"\n" in self._unread:
            wanted.set_result(None)
        elif len(self._unread) > AUTH_LIMIT or self._ended:
            wanted.set_exception(ConnectionAbortedError("no line comes"))
            self._say_last("500 5.5.6 line too long")


class _Line(NamedTuple):
    """A command line, read."""

    text: str
    verb: str
    """In upper case."""
    argument: str
    is_clean: bool
    """Whether there is no control character in it."""


def _line(line: bytes) -> _Line:
    """Read a command line; what is no UTF-8 becomes a control character and is refused.

    A bare LF ends a command as people type it; content is stricter.
    """
    return _known_line(line) if line[:4] in _REPEATED and len(line) <= KNOWN_LIMIT else _read_line(line)


def _read_line(line: bytes) -> _Line:
    try:
        text = line[: -2 if line.endswith(b"\r\n") else -1].decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    verb, _, argument = text.partition(" ")
    return _Line(text, verb.upper(), argument.strip(), not has_control(text))


_REPEATED = frozenset({b"MAIL", b"mail", b"RCPT", b"rcpt", b"DATA", b"data", b"EHLO", b"ehlo", b"QUIT", b"quit"})
"""How lines begin that say the same again and again, and no secret; to know one saves 2 us."""
_known_line = lru_cache(512)(_read_line)


def _unbased(text: str) -> bytes:
    """Decode an AUTH response; ``=`` is an empty one."""
    if text.strip() == "=":
        return b""
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(Reply(501, "5.5.2 Invalid base64 data")) from None


_NO_ROOM = Reply(452, "4.3.1 there is no room for the message now; please try again later")


def _spool_reply(error: SpoolError) -> Reply:
    if isinstance(error, SpoolFull):
        return _NO_ROOM
    return Reply(451, "4.3.0 the message cannot be stored now; please try again later")


def _peer(transport: asyncio.BaseTransport) -> Peer:
    """Return the user at the other end of a unix socket, or of standard input."""
    known: Peer | None = transport.get_extra_info("peer")
    if known is not None:
        return known
    sock: socket.socket | None = transport.get_extra_info("socket")
    return NOBODY if sock is None else peer_of(sock)
