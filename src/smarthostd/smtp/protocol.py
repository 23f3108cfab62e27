"""Replies paired with commands, first in first out; the only file that knows aiosmtplib.

aiosmtplib keeps one reply at a time and ignores what it did not ask for. A pipelining client needs a count
of the replies that are due, and a reply that nobody asked for poisons the connection: it must never be
taken for the answer to a later command. Reading replies and the STARTTLS defence stay the library's.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import deque
from typing import cast

from aiosmtplib.errors import SMTPResponseException
from aiosmtplib.protocol import MAX_RESPONSE_LENGTH, SMTPProtocol

from smarthostd.errors import SmarthostdError
from smarthostd.reply import Reply
from smarthostd.syntax import remote_text

TIMED_OUT, CLOSED, MALFORMED = 110, -18, -19
"""Exim's numbers for what can happen to a dialogue."""
HIGH_WATER = 1 << 18
"""Octets that may wait in the transport before a sender waits."""
_ONE_LINE = re.compile(rb"([2-5][0-9][0-9])(?: ([^\r\n]{0,500}))?\r\n")
"""A plain reply of one line, which nearly all are: read here in 1 us, by the library in 9."""


class Trouble(SmarthostdError):
    """The connection is of no more use; *errno* is Exim's number."""

    def __init__(self, text: str, errno: int) -> None:
        super().__init__(text)
        self.errno = errno


class ReplyProtocol(SMTPProtocol):
    """One connection's replies and back-pressure."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._due = 1  # the greeting
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._trouble: Trouble | None = None

    # -- from the network

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport (again after STARTTLS)."""
        super().connection_made(transport)
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """Take replies off the buffer; one too many ends the connection."""
        self._buffer += data
        if len(self._buffer) > MAX_RESPONSE_LENGTH:
            self._poison(Trouble("reply too long", MALFORMED))
            return
        try:
            while self._buffer and self._take_next():
                pass
        except SMTPResponseException as error:
            self._poison(Trouble(remote_text(str(error.message)), MALFORMED))
        self._notify()

    def _take_next(self) -> bool:
        """Take one reply off the buffer; return whether it was whole. Raises SMTPResponseException."""
        plain = _ONE_LINE.match(self._buffer)
        if plain is not None:
            code, text = plain.groups(b"")
            length = plain.end()
            del plain  # it would keep the buffer from shrinking
            del self._buffer[:length]
            self._take(Reply(int(code), text.strip(b" \t").decode("utf-8", "surrogateescape")))
            return True
        response = self._read_response_from_buffer()
        if response is None:
            return False
        self._take(Reply(response.code, response.message))
        return True

    def _take(self, reply: Reply) -> None:
        if self._due == 0:
            self._poison(Trouble(f"unexpected reply: {reply}", MALFORMED))
        elif not 200 <= reply.code < 600:
            self._poison(Trouble(f"Malformed SMTP reply: {reply}", MALFORMED))
        else:
            self._due -= 1
            self._replies.append(reply)

    def eof_received(self) -> bool:
        """The peer has closed."""
        self._trouble = self._trouble or Trouble("Remote host closed connection", CLOSED)
        self._notify()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._trouble = self._trouble or Trouble("Remote host closed connection", CLOSED)
        self._notify()
        super().connection_lost(exc)

    def _poison(self, trouble: Trouble) -> None:
        self._trouble = self._trouble or trouble
        self._buffer.clear()
        if self.transport is not None:
            cast(asyncio.Transport, self.transport).abort()

    def _notify(self) -> None:
        """Wake who waits for a reply, if there is one, or if there will be none."""
        if not self._replies and self._trouble is None:
            return
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- for the connection

    @property
    def usable(self) -> bool:
        """Whether a command may be sent: connected, and nothing came that was not asked for."""
        return self._trouble is None and not self._replies and self.is_connected

    @property
    def interrupted(self) -> bool:
        """Whether the peer has spoken, or gone, while we were still sending."""
        return bool(self._replies) or self._trouble is not None

    def send(self, data: bytes, replies: int) -> None:
        """Write *data*, to which *replies* answers are due; raises Trouble."""
        transport = self.transport
        if self._trouble is not None or transport is None or transport.is_closing():
            raise self._trouble or Trouble("Remote host closed connection", CLOSED)
        self._due += replies
        cast(asyncio.Transport, transport).write(data)

    async def drained(self, within: float) -> None:
        """Wait until the peer has taken enough of what was written; raises Trouble."""
        if self._paused:
            try:
                async with asyncio.timeout(within):
                    await self._drain_helper()
            except TimeoutError:
                self.abort()
                raise Trouble("SMTP timeout while sending", TIMED_OUT) from None
            except ConnectionError as error:
                raise Trouble("Remote host closed connection", CLOSED) from error

    async def reply(self, within: float) -> Reply:
        """Return the next reply; raises Trouble when none comes in *within* seconds."""
        if not self._replies:
            if self._trouble:
                raise self._trouble
            self._waiter = self._loop.create_future()
            deadline = self._loop.call_later(within, self._expire, self._waiter)
            try:
                await self._waiter
            finally:
                deadline.cancel()
                self._waiter = None
        if not self._replies:
            raise self._trouble or Trouble("Remote host closed connection", CLOSED)
        return self._replies.popleft()

    def _expire(self, waiter: asyncio.Future[None]) -> None:
        """No reply in time: whatever comes later must not be read."""
        self._poison(Trouble("SMTP timeout", TIMED_OUT))
        if not waiter.done():
            waiter.set_result(None)

    async def encrypt(self, context: ssl.SSLContext, server_hostname: str | None, within: float) -> None:
        """Start TLS after the server's 220; octets that came with it are forgotten (RFC 3207 4.2).

        Raises OSError, ssl.SSLError or TimeoutError; the connection is then of no more use.
        """
        self._buffer.clear()
        transport = await self._loop.start_tls(
            cast(asyncio.WriteTransport, self.transport),
            self,
            context,
            server_hostname=server_hostname,
            ssl_handshake_timeout=within,
        )
        if transport is None:
            raise Trouble("Remote host closed connection", CLOSED)
        self.transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)

    def abort(self) -> None:
        """Drop the connection at once; ``close`` would wait for a peer that does not read."""
        self._poison(Trouble("aborted", CLOSED))
