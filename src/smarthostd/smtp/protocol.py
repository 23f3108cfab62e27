"""Replies paired with commands, first in first out; the only file that knows aiosmtplib.

aiosmtplib keeps one reply at a time and ignores what it did not ask for. A pipelining client needs a count
of the replies that are due, and a reply that nobody asked for poisons the connection: it must never be
taken for the answer to a later command. Connection state and flow control stay the library's.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import cast

from aiosmtplib.protocol import SMTPProtocol

from smarthostd.reply import Reply
from smarthostd.smtp.dialogue import CLOSED, MALFORMED, TIMED_OUT, Trouble, take_reply

HIGH_WATER = 1 << 18
"""Octets that may wait in the transport before a sender waits."""


class ReplyProtocol(SMTPProtocol):
    """One connection's replies and back-pressure. Every ending of it is a :class:`Trouble`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._due = 1  # the greeting
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._patience = 0.0
        """When the waiter has waited for too long; one timer looks, and moves on when there is still time."""
        self._timer: asyncio.TimerHandle | None = None
        self._trouble: Trouble | None = None

    # -- from the network

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        super().connection_made(transport)
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """Take replies off the buffer; one too many ends the connection."""
        if self._trouble is not None:
            return
        self._buffer += data
        try:
            while self._buffer and (reply := take_reply(self._buffer)) is not None:
                self._pair(reply)
        except Trouble as trouble:
            self._end(trouble)
        self._notify()

    def _pair(self, reply: Reply) -> None:
        if self._due == 0:
            raise Trouble(str(reply), MALFORMED)
        self._due -= 1
        self._replies.append(reply)

    def eof_received(self) -> bool:
        """The peer has closed; replies that came before count."""
        self._end(Trouble("", CLOSED))
        self._notify()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._end(Trouble("", CLOSED))
        self._notify()
        super().connection_lost(exc)

    def _end(self, trouble: Trouble) -> None:
        """Note the first trouble and drop the connection; ``close`` would wait for a peer that does not read."""
        self._trouble = self._trouble or trouble
        self._buffer.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.transport is not None:
            cast(asyncio.Transport, self.transport).abort()

    def _notify(self) -> None:
        """Wake who waits for a reply: one is whole, or none will come."""
        if self.interrupted and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- for the connection

    @property
    def alive(self) -> bool:
        """Whether the peer is there, and nothing came that was not asked for."""
        transport = self.transport
        return self._trouble is None and transport is not None and not transport.is_closing()

    @property
    def usable(self) -> bool:
        """Whether the peer waits for a command: it is there, and all that it has said was read."""
        return self.alive and not self._replies

    @property
    def interrupted(self) -> bool:
        """Whether the peer has spoken, or gone, while we were still sending."""
        return bool(self._replies) or self._trouble is not None

    def send(self, data: bytes, replies: int) -> None:
        """Write *data*, to which *replies* answers are due; raises Trouble."""
        transport = self.transport
        if self._trouble is not None or transport is None or transport.is_closing():
            raise self._trouble or Trouble("", CLOSED)
        self._due += replies
        cast(asyncio.Transport, transport).write(data)

    async def drained(self, within: float) -> None:
        """Wait until the peer has taken enough of what was written; raises Trouble."""
        if self._paused:
            try:
                async with asyncio.timeout(within):
                    await self._drain_helper()
            except TimeoutError:
                self._end(Trouble("", TIMED_OUT))
            except ConnectionError:
                self._end(Trouble("", CLOSED))
            if self._trouble is not None:
                raise self._trouble

    def read(self) -> Reply | None:
        """Return the next reply if it has come: of several commands in one write, mostly all but the first."""
        return self._replies.popleft() if self._replies else None

    async def reply(self, within: float) -> Reply:
        """Return the next reply; raises Trouble when none comes in *within* seconds."""
        if not self._replies and self._trouble is None:
            self._waiter = self._loop.create_future()
            self._expire_in(within)
            try:
                await self._waiter
            finally:
                self._waiter = None
        if not self._replies:
            raise self._trouble or Trouble("", CLOSED)
        return self._replies.popleft()

    def _expire_in(self, seconds: float) -> None:
        """Let the waiter wait so long. A timer for each reply, made and taken away, costs 4 us."""
        self._patience = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._patience:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._patience, self._look_at_clock)

    def _look_at_clock(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() < self._patience:
            self._timer = self._loop.call_at(self._patience, self._look_at_clock)
        else:  # whatever comes later must not be read
            self._end(Trouble("", TIMED_OUT))
            self._notify()

    async def encrypt(self, context: ssl.SSLContext, server_hostname: str | None, within: float) -> None:
        """Negotiate TLS; octets that came before it are forgotten (RFC 3207 4.2).

        Raises OSError (ssl.SSLError among them), TimeoutError or Trouble; the connection is then of no more use.
        """
        self._buffer.clear()
        if self._trouble is not None or self.transport is None:
            raise self._trouble or Trouble("", CLOSED)
        transport = await self._loop.start_tls(
            cast(asyncio.WriteTransport, self.transport),
            self,
            context,
            server_hostname=server_hostname,
            ssl_handshake_timeout=within,
        )
        if transport is None:
            raise Trouble("", CLOSED)
        self.transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._end(Trouble("", CLOSED))
