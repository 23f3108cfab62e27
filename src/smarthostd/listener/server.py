"""Sockets to sessions: who may come in, how long they may stay, and how the house empties.

A session (``session.py``) takes over once it is admitted.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from datetime import timedelta
from typing import cast

from smarthostd.envelope import Client
from smarthostd.intake import Counter
from smarthostd.listener.awake import Awake
from smarthostd.listener.policy import Policy
from smarthostd.listener.session import Log, Session


class Listener:
    """Makes sessions on one or more sockets, and ends them."""

    def __init__(self, policy: Policy, intake: Counter, log: Log) -> None:
        self.policy = policy
        self.intake = intake
        self.log = log
        self.sessions: set[Session] = set()
        self.per_address: dict[str, int] = {}
        self.draining = False
        self.awake: Awake | None = None
        self._servers: dict[socket.socket, asyncio.AbstractServer] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._last_gone: asyncio.Event | None = None

    async def listen(self, sock: socket.socket, *, implicit_tls: bool = False) -> None:
        """Serve clients on *sock*, which is bound and stays ours: the server gets a descriptor of its own for it."""
        loop, own = asyncio.get_running_loop(), sock.dup()
        own.setblocking(False)
        if sock.family == socket.AF_UNIX:
            server = await loop.create_unix_server(lambda: _Gate(self, is_local=True), sock=own)
        else:
            server = await loop.create_server(lambda: _Gate(self, tls_first=implicit_tls), sock=own, backlog=1024)
        self._servers[sock] = server
        if self._sweeper is None:
            self.awake = Awake() if Awake.is_of_use() else None
            self._sweeper = asyncio.get_running_loop().create_task(self.sweep())

    def close_door(self, sock: socket.socket) -> None:
        """Accept no more clients on *sock*, and close it; sessions go on."""
        self._servers.pop(sock).close()
        sock.close()

    def session(self, address: str, port: int) -> Session:
        """Return a session with the client at *address*; with Exim's own replies where the policy is strict."""
        if self.policy.strict:
            from smarthostd.listener.strict import StrictSession

            return StrictSession(self, address, port)
        return Session(self, address, port)

    def admits(self, address: str) -> bool:
        """Whether one more session may begin."""
        policy = self.policy
        if self.draining or 0 < policy.accept_max <= len(self.sessions):
            return False
        most = policy.for_client(address).accept_max_per_host
        return not most or self.per_address.get(address, 0) < most

    def cannot_serve(self, address: str, transport: asyncio.Transport, error: Exception) -> None:
        """Tell a client whose session cannot begin, and the log why."""
        self.log.panicked("", f"session with [{address}]", error)
        transport.write(b"421 4.3.0 Temporary local problem - please try later\r\n")
        transport.close()

    def renew(self, policy: Policy) -> None:
        """Serve new sessions by *policy*; those under way keep theirs."""
        self.policy = policy

    def stop_accepting(self) -> None:
        """Close the doors; sessions go on."""
        for sock in list(self._servers):
            self.close_door(sock)

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

    async def sweep(self) -> None:
        """End sessions that have been silent, or here, for too long, until cancelled: one timer for all of them."""
        interval = min(5.0, self.policy.command_timeout / 4)
        while True:
            await asyncio.sleep(interval)
            now = asyncio.get_running_loop().time()
            for session in list(self.sessions):
                session.look_at_clock(now)


class _Gate(asyncio.Protocol):
    """Admission before a session exists: a client that is turned away costs one write, in plain text on any port."""

    def __init__(self, listener: Listener, *, is_local: bool = False, tls_first: bool = False) -> None:
        self._listener = listener
        self._is_local = is_local
        self._tls_first = tls_first

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make a session, or say 421."""
        listener = self._listener
        peer = transport.get_extra_info("peername")
        transport = cast(asyncio.Transport, transport)
        if isinstance(peer, tuple) and peer:
            address, port = str(peer[0]), int(peer[1])
            address = address.removeprefix("::ffff:") if address.count(".") == 3 else address
        elif self._is_local:
            address, port = "", 0
        else:  # it has gone already: without an address it would pass for a program of this machine
            transport.abort()
            return
        if not listener.admits(address):
            listener.log.turned_away(Client(address=address, port=port))
            transport.write(b"421 4.3.2 Too many concurrent SMTP connections; please try again later.\r\n")
            transport.close()
            return
        try:
            session = listener.session(address, port)
            if self._tls_first and listener.policy.tls is not None:
                session.begin_with_tls(transport)
            else:
                transport.set_protocol(session)
                session.connection_made(transport)
        except Exception as error:  # a limit that cannot be expanded, or a defect: the client is to hear of it
            listener.cannot_serve(address, transport, error)
