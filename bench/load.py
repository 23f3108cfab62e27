"""Clients that hand in mail, in lockstep: each command waits for the reply to the one before it.

``python -m bench.load PORT CLIENTS MESSAGES SIZE PER_CONNECTION`` prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import cast

import uvloop


class Client(asyncio.Protocol):
    """One client: a list of messages to send, and how long each took from MAIL to its 250."""

    def __init__(self, content: bytes, messages: int, done: asyncio.Future[list[float]]) -> None:
        self._steps = [b"MAIL FROM:<a@bench.example>\r\n", b"RCPT TO:<b@bench.example>\r\n", b"DATA\r\n", content]
        self._left = messages
        self._done = done
        self._at = -2
        self._began = 0.0
        self._times: list[float] = []
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the greeting."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take the next step at each complete reply."""
        self._buffer += data
        if not self._buffer.endswith(b"\r\n") or self._buffer.rstrip().rsplit(b"\n", 1)[-1][3:4] == b"-":
            return
        reply, self._buffer = self._buffer, b""
        if reply[:1] not in b"23":
            self._fail(reply)
        elif self._at == -2:
            self._at = -1
            self._transport.write(b"EHLO bench.example\r\n")
        else:
            self._next()

    def _next(self) -> None:
        self._at += 1
        if self._at == len(self._steps):
            self._times.append(time.perf_counter() - self._began)
            self._left -= 1
            self._at = 0
        if not self._left:
            self._transport.write(b"QUIT\r\n")
            self._transport.close()
            if not self._done.done():
                self._done.set_result(self._times)
            return
        if self._at == 0:
            self._began = time.perf_counter()
        self._transport.write(self._steps[self._at])

    def _fail(self, reply: bytes) -> None:
        if not self._done.done():
            self._done.set_exception(RuntimeError(reply.decode()))

    def connection_lost(self, exc: Exception | None) -> None:
        """The server went away."""
        self._fail(b"connection lost")


def message(size: int) -> bytes:
    """Return a message of about *size* octets, ready for the wire."""
    header = b"From: a@bench.example\r\nDate: Mon, 01 Jan 2024 00:00:00 +0000\r\nMessage-ID: <x@bench>\r\n\r\n"
    line = b"0123456789" * 6 + b"\r\n"
    return header + line * max(1, (size - len(header)) // len(line)) + b".\r\n"


async def client(port: int, content: bytes, messages: int, per_connection: int) -> list[float]:
    """Send *messages*, *per_connection* at a time."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    while messages:
        share = min(messages, per_connection or messages)
        done: asyncio.Future[list[float]] = loop.create_future()
        await loop.create_connection(lambda: Client(content, share, done), "127.0.0.1", port)  # noqa: B023 - used at once
        times += await done
        messages -= share
    return times


async def run(port: int, clients: int, messages: int, size: int, per_connection: int) -> dict[str, float]:
    """Run all clients at once; return the figures."""
    content = message(size)
    began = time.perf_counter()
    shares = [messages // clients] * clients
    results = await asyncio.gather(*(client(port, content, share, per_connection) for share in shares))
    seconds = time.perf_counter() - began
    times = sorted(one for result in results for one in result)
    count = len(times)
    return {
        "messages": count, "seconds": seconds, "rate": count / seconds,
        "p50_ms": times[count // 2] * 1e3, "p99_ms": times[count * 99 // 100] * 1e3,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(*map(int, sys.argv[1:6])))))
