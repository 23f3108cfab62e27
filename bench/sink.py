"""A smarthost that takes everything as fast as it can: STARTTLS, AUTH PLAIN, PIPELINING, CHUNKING; keeps nothing.

``python -m bench.sink PORT CERTIFICATE KEY`` prints a line when it listens and, at each line on standard
input, how many messages it has taken.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import sys
from typing import cast

import uvloop

EHLO = b"250-sink\r\n250-SIZE 0\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-CHUNKING\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"
LOGIN = base64.b64encode(b"\0bench\0secret")


class Sink:
    """What all sessions share."""

    taken = 0


class Session(asyncio.Protocol):
    """One client."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._buffer = bytearray()
        self._in_data = False
        self._chunk = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet; after STARTTLS this is called by nobody."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer what can be answered, in one write."""
        self._buffer += data
        out: list[bytes] = []
        while self._step(out):
            pass
        if out:
            self._transport.write(b"".join(out))

    def _step(self, out: list[bytes]) -> bool:
        buffer = self._buffer
        if self._chunk:
            taken = min(self._chunk, len(buffer))
            del buffer[:taken]
            self._chunk -= taken
            if not self._chunk:
                Sink.taken += 1
                out.append(b"250 kept\r\n")
            return bool(buffer) and not self._chunk
        if self._in_data:
            end = buffer.find(b"\r\n.\r\n")
            if end < 0:
                del buffer[: max(0, len(buffer) - 4)]
                return False
            del buffer[: end + 5]
            self._in_data = False
            Sink.taken += 1
            out.append(b"250 kept\r\n")
            return bool(buffer)
        end = buffer.find(b"\r\n")
        if end < 0:
            return False
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        out.append(self._answer(line))
        return bool(buffer) or bool(self._chunk)

    def _answer(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"DATA":
            self._in_data = True
            return b"354 go\r\n"
        if verb == b"BDAT":
            self._chunk = int(line.split()[1])
            return b""
        if verb == b"EHLO":
            return EHLO
        if verb == b"STAR":
            asyncio.get_running_loop().create_task(self._encrypt())
            return b"220 go\r\n"
        if verb == b"AUTH":
            return b"235 welcome\r\n" if line.endswith(LOGIN) else b"535 no\r\n"
        return b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n"

    async def _encrypt(self) -> None:
        loop = asyncio.get_running_loop()
        upgraded = await loop.start_tls(self._transport, self, self._context, server_side=True)
        assert upgraded is not None
        self._transport = upgraded


async def serve(port: int, certificate: str, key: str) -> None:
    """Listen, and answer questions on standard input."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Session(context), "127.0.0.1", port)
    print("listening", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(Sink.taken, flush=True)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
