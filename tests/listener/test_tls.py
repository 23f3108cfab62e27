"""TLS from the start and by STARTTLS: who is still in the handshake counts, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from smarthostd.listener import sockets
from smarthostd.tls import server_context
from tests.listener.house import PATIENCE, Client, House, house
from tests.peers.certificates import Authority

FOREVER = timedelta(days=1)


@dataclass
class TlsHouse:
    """A listener with a port where TLS comes first."""

    relay: House
    authority: Authority
    port: int

    async def begin(self, port: int | None = None) -> Client:
        """Return a client that has connected and said nothing."""
        client = Client(*await asyncio.open_connection("127.0.0.1", port or self.port))
        self.relay.clients.append(client)
        return client

    async def connect(self) -> Client:
        """Return a client that has read the greeting over TLS."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context()))
        self.relay.clients.append(client)
        client.greeting = await client.reply()
        return client

    async def starttls(self) -> Client:
        """Return a client that has said STARTTLS, and nothing since."""
        client = await self.relay.connect()
        await client.say("EHLO client.example")
        assert (await client.say("STARTTLS")).startswith("220")
        return client

    def context(self) -> ssl.SSLContext:
        """Return what trusts our certificate."""
        return ssl.create_default_context(cafile=self.authority.ca)

    async def emptied(self) -> None:
        """Wait until nobody is counted any more."""
        async with asyncio.timeout(PATIENCE):
            await self.relay.listener._empty()
        assert not self.relay.listener.per_address


@asynccontextmanager
async def tls_house(directory: Path, **changes: object) -> AsyncIterator[TlsHouse]:
    """Run a listener with a port where TLS comes first, whose policy has *changes*."""
    authority = Authority(directory)
    certificate = authority.issue()
    tls = server_context(str(certificate.chain), str(certificate.key))
    async with house(directory, tls=tls, **changes) as relay:
        sock = sockets.tcp("127.0.0.1", 0)
        await relay.listener.listen(sock, implicit_tls=True)
        yield TlsHouse(relay, authority, sock.getsockname()[1])


@pytest.mark.parametrize("limit", ["accept_max", "accept_max_per_host"])
async def test_a_client_in_the_handshake_counts(tmp_path: Path, limit: str) -> None:
    """The next one hears in plain text that there are too many, as from Exim."""
    async with tls_house(tmp_path, **{limit: 1}) as here:
        first = await here.begin()
        second = await here.begin()
        assert (await second.reply()).startswith("421 4.3.2 Too many")
        assert await second.ended()
        assert (await (await here.begin(here.relay.port)).reply()).startswith("421 4.3.2"), "on each port"
        first.close()
        await here.emptied()
        assert (await here.connect()).greeting.startswith("220 ")


async def garbage(client: Client) -> None:
    await client.send(b"EHLO client.example\r\n")
    with contextlib.suppress(ConnectionError):
        await client.reader.read()


async def silence(client: Client) -> None:
    with contextlib.suppress(ConnectionError):
        assert await client.ended()


async def leaving(client: Client) -> None:
    client.close()


async def half_closing(client: Client) -> None:
    client.writer.write_eof()
    with contextlib.suppress(ConnectionError):
        assert await client.ended()


async def reset(client: Client) -> None:
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


Failure = Callable[[Client], Coroutine[Any, Any, None]]


@pytest.mark.parametrize("begin", [TlsHouse.begin, TlsHouse.starttls], ids=["at once", "STARTTLS"])
@pytest.mark.parametrize("fail", [garbage, silence, leaving, half_closing, reset])
async def test_a_handshake_that_fails_is_logged_and_leaves_nothing(
    tmp_path: Path, begin: Callable[[TlsHouse], Coroutine[Any, Any, Client]], fail: Failure
) -> None:
    async with tls_house(tmp_path, tls_timeout=0.2 if fail is silence else PATIENCE) as here:
        client = await begin(here)
        await fail(client)
        await here.emptied()
        (line,) = [line for line in here.relay.log if "TLS error" in line]
        assert "[127.0.0.1] TLS error on connection: " in line
        assert not any("PANIC" in line for line in here.relay.log)
        assert (await here.connect()).greeting.startswith("220 ")


@pytest.mark.parametrize("begin", [TlsHouse.begin, TlsHouse.starttls], ids=["at once", "STARTTLS"])
async def test_who_is_in_the_handshake_does_not_delay_the_end(
    tmp_path: Path, begin: Callable[[TlsHouse], Coroutine[Any, Any, Client]]
) -> None:
    async with tls_house(tmp_path, accept_max=1, tls_timeout=FOREVER.total_seconds()) as here:
        client = await begin(here)
        assert (await (await here.begin()).reply()).startswith("421"), "the first one is in"
        async with asyncio.timeout(PATIENCE):
            await here.relay.listener.drain(FOREVER)
        with contextlib.suppress(ConnectionError):
            assert await client.ended()
        assert not here.relay.listener.sessions
        assert not any("TLS error" in line for line in here.relay.log), "it was not the client's"


async def test_what_has_come_before_we_look_belongs_to_tls(tmp_path: Path) -> None:
    """A client that is quick has sent its part of the handshake before the connection is accepted."""
    async with tls_house(tmp_path) as here:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = here.context().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        sock = socket.create_connection(("127.0.0.1", here.port))
        sock.sendall(outgoing.read())
        sock.setblocking(False)
        greeting = b""
        async with asyncio.timeout(PATIENCE):
            while not greeting:
                with contextlib.suppress(ssl.SSLWantReadError):
                    greeting = tls.read(1000)
                await asyncio.get_running_loop().sock_sendall(sock, outgoing.read())
                if not greeting:
                    octets = await asyncio.get_running_loop().sock_recv(sock, 65536)
                    assert octets, "it has hung up"
                    incoming.write(octets)
        sock.close()
        assert greeting.startswith(b"220 ")


@pytest.mark.parametrize("implicit_tls", [False, True])
async def test_who_has_gone_before_we_look_is_no_local_program(tmp_path: Path, implicit_tls: bool) -> None:
    """The kernel may not say any more who it was."""
    async with tls_house(tmp_path) as here:
        sock = sockets.tcp("127.0.0.1", 0)
        with socket.create_connection(sock.getsockname()) as gone:
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client = await here.begin(sock.getsockname()[1])
        await here.relay.listener.listen(sock, implicit_tls=implicit_tls)
        if implicit_tls:
            await client.writer.start_tls(here.context(), server_hostname="127.0.0.1")
        assert (await client.reply()).startswith("220 "), "the next one is served"
        assert set(here.relay.listener.per_address) == {"127.0.0.1"}
        assert all("[127.0.0.1]" in line for line in here.relay.log)


async def test_many_come_at_once(tmp_path: Path) -> None:
    async with tls_house(tmp_path) as here:
        clients = await asyncio.gather(*(here.connect() for _ in range(30)))
        for client in clients:
            assert (await client.say("EHLO client.example")).startswith("250")
            assert (await client.say("QUIT")).startswith("221")
        await here.emptied()


async def test_a_message_comes_over_it(tmp_path: Path) -> None:
    """Its session is one over TLS: STARTTLS is not offered again."""
    async with tls_house(tmp_path) as here:
        client = await here.connect()
        assert "STARTTLS" not in await client.say("EHLO client.example")
        await client.ready()
        assert (await client.data(b"Subject: x\r\n\r\nb\r\n.\r\n")).startswith("250 ")
        (pending,) = await here.relay.stored()
        assert pending.message.envelope.client.protocol == "esmtps"


async def test_a_greeting_that_cannot_be_expanded_is_told_over_it(tmp_path: Path) -> None:
    def broken() -> str:
        raise ZeroDivisionError("a defect")

    async with tls_house(tmp_path, banner=broken) as here:
        client = await here.connect()
        assert client.greeting.startswith("421 4.3.0")
        assert await client.ended()
        await here.emptied()
    assert any("PANIC" in line for line in here.relay.log)


async def test_a_new_certificate_meets_the_next_client(tmp_path: Path) -> None:
    """What the policy says when a client comes counts; nothing is opened anew."""
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    certificate = other.issue()
    async with tls_house(tmp_path) as here:
        before = await here.connect()
        changed = {"tls": server_context(str(certificate.chain), str(certificate.key))}
        here.relay.listener.renew(replace(here.relay.listener.policy, **changed))
        with pytest.raises(ssl.SSLCertVerificationError):
            await here.connect()
        here.authority = other
        assert (await here.connect()).greeting.startswith("220 ")
        assert (await before.say("NOOP")).startswith("250")
