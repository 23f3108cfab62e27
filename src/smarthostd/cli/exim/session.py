"""``-bs``: SMTP on standard input and output, by the listener's own session.

A file whose first line ends with a bare LF has local line ends: they are made CRLF on the way in. Messages are
delivered while the session goes on, one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from asyncio import FIRST_COMPLETED
from collections.abc import Callable

from smarthostd.cli.exim.arguments import CommandLine
from smarthostd.cli.exim.entrance import Entrance, entrance
from smarthostd.cli.exim.process import Process
from smarthostd.config import Loaded
from smarthostd.envelope import BLOCK, Envelope
from smarthostd.intake import Door, Incoming, Stored
from smarthostd.listener.peers import Peer
from smarthostd.listener.server import Listener
from smarthostd.listener.session import Session


def speak(loaded: Loaded, line: CommandLine, process: Process) -> int:
    """Hold the session; return the exit status."""
    return asyncio.run(_speak(loaded, line, process))


async def _speak(loaded: Loaded, line: CommandLine, process: Process) -> int:
    async with entrance(loaded, line, process.say) as way, asyncio.TaskGroup() as group:
        arrivals: asyncio.Queue[str] = asyncio.Queue()
        listener = Listener(way.policy, _Announcing(way.door, arrivals), way.log)
        session = listener.session("", 0)
        transport = _StandardStreams(process, way.peer)
        background = [group.create_task(forever) for forever in (_deliver(way, arrivals), listener.sweep())]
        session.connection_made(transport)
        await transport.feed(session)
        await arrivals.join()
        for task in background:
            task.cancel()
    return session.exit_status


async def _deliver(way: Entrance, arrivals: asyncio.Queue[str]) -> None:
    """Deliver what has arrived, until cancelled."""
    while True:
        id = await arrivals.get()
        try:
            await way.deliver(id)
        finally:
            arrivals.task_done()


class _Announcing:
    """A counter in front of a door, that tells what has come in."""

    def __init__(self, door: Door, arrivals: asyncio.Queue[str]) -> None:
        self._door = door
        self._arrivals = arrivals

    def begin(self, id: str = "") -> Incoming:
        """See ``Counter``."""
        return self._door.begin(id)

    def take(self, incoming: Incoming, envelope: Envelope, stored: Stored, *, parent: str = "") -> None:
        """See ``Counter``."""
        self._accepting = asyncio.create_task(self._accept(incoming, envelope, stored, parent))

    async def _accept(self, incoming: Incoming, envelope: Envelope, stored: Stored, parent: str) -> None:
        try:
            id = await self._door.accept(incoming, envelope, parent=parent)
        except Exception as error:  # whatever it is, the session answers for it
            return stored(incoming.id, error)
        self._arrivals.put_nowait(id)
        return stored(id, None)


class _StandardStreams(asyncio.Transport):
    """Standard input and output as a session's transport.

    Input is read by a thread, for it may be a file, a terminal or a pipe; a session that ends does not wait for it.
    """

    def __init__(self, process: Process, peer: Peer) -> None:
        super().__init__({"peer": peer})
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._blocks: asyncio.Queue[bytes] = asyncio.Queue()
        self._closed = asyncio.Event()
        self._wanted = threading.Event()
        """Whether one more block is to be read."""
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._local_ends: bool | None = None
        threading.Thread(target=self._read, args=(_reader(process),), daemon=True).start()

    def _read(self, read: Callable[[], bytes]) -> None:
        """Read a block each time that one is wanted, up to the end."""
        block = b"."
        while block and self._wanted.wait():
            self._wanted.clear()
            block = read()
            with contextlib.suppress(RuntimeError):  # nobody waits any more
                self._loop.call_soon_threadsafe(self._blocks.put_nowait, block)

    async def feed(self, session: Session) -> None:
        """Give the session what comes, until it or the input ends."""
        closed = asyncio.create_task(self._closed.wait())
        while not self._closed.is_set():
            await asyncio.wait([closed, may := asyncio.create_task(self._may_read.wait())], return_when=FIRST_COMPLETED)
            self._wanted.set()
            coming = asyncio.create_task(self._blocks.get())
            await asyncio.wait([closed, coming], return_when=FIRST_COMPLETED)
            may.cancel()
            if not coming.done():
                coming.cancel()
                break
            if not coming.result():
                session.eof_received()
                break
            session.data_received(self._with_crlf(coming.result()))
        await closed
        session.connection_lost(None)

    def _with_crlf(self, block: bytes) -> bytes:
        if self._local_ends is None and b"\n" in block:
            self._local_ends = b"\r\n" not in block[: block.index(b"\n") + 1]
        return block.replace(b"\n", b"\r\n") if self._local_ends else block

    # -- what a session asks of its transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Say *data*; who does not listen any more has gone."""
        try:
            self._process.out.flush()
            self._process.out.buffer.write(data)
            self._process.out.buffer.flush()
        except OSError:
            self._closed.set()

    def is_closing(self) -> bool:
        """Whether the last word is said."""
        return self._closed.is_set()

    def close(self) -> None:
        """End the conversation."""
        self._closed.set()

    def abort(self) -> None:
        """End it."""
        self._closed.set()

    def is_reading(self) -> bool:
        """Whether what comes is taken."""
        return self._may_read.is_set()

    def pause_reading(self) -> None:
        """Take nothing for now."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Go on."""
        self._may_read.set()


def _reader(process: Process) -> Callable[[], bytes]:
    """Return what reads a block of standard input as it comes."""
    try:
        descriptor = process.stdin.fileno()
    except OSError:  # no file at all: a test's
        return lambda: process.stdin.buffer.read(BLOCK)
    return lambda: os.read(descriptor, BLOCK)
