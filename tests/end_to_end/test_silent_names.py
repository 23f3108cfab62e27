"""A name server that never answers, and a daemon in whose list of clients a name stands: only who needs it waits."""

from __future__ import annotations

import os
import smtplib
import socket
from collections.abc import Iterator

import pytest

from smarthostd.demo.lines import PATIENCE
from tests.end_to_end.conftest import StartDaemon
from tests.end_to_end.relay import LOCAL_DOMAIN, Places, forwarding
from tests.peers.presence import program, root

MESSAGE = b"From: me@app.example\r\nSubject: hello\r\n\r\nhello\r\n"
OTHER = "127.0.0.2"


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A name server at an address of this process's own."""
    root()
    high, low = divmod(os.getpid() & 0xFFFF, 256)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((f"127.53.{high}.{low}", 53))
        server.settimeout(PATIENCE)
        yield server


@pytest.mark.parametrize(
    ("listed", "asked"),
    [
        pytest.param("slow.example", b"\4slow\7example\0", id="a name"),
        pytest.param("*.example", b"\x011\x010\x010\x03127\x07in-addr\4arpa\0", id="the name of the client"),
    ],
)
def test_only_who_needs_a_name_waits_for_it(
    places: Places, daemon: StartDaemon, silent: socket.socket, listed: str, asked: bytes
) -> None:
    """Mail flows meanwhile, and the daemon ends when it is told to, although its question is still open."""
    (places.directory / "resolv.conf").write_text(
        f"nameserver {silent.getsockname()[0]}\noptions timeout:30 attempts:5\n"
    )
    (places.directory / "hosts").write_text("127.0.0.3 relay.example\n")
    bind = 'for it in resolv.conf hosts; do mount --bind "$0/$it" "/etc/$it"; done; exec "$@"'
    private = [program("unshare"), "--mount", "sh", "-ec", bind, str(places.directory)]
    text = forwarding(places, "127.0.0.1", places.directory / "ca.pem")
    relay = daemon(f"relay_from_hosts = {OTHER} : {listed}\n{text}", wrapper=private)
    with socket.create_connection(("127.0.0.1", places.port), timeout=PATIENCE) as waiting:
        waiting.sendall(b"EHLO app.example\r\nMAIL FROM:<me@app.example>\r\nRCPT TO:<you@remote.example>\r\n")
        assert asked in silent.recv(512)
        with smtplib.SMTP("127.0.0.1", places.port, timeout=PATIENCE, source_address=(OTHER, 0)) as client:
            client.sendmail("me@app.example", f"you@{LOCAL_DOMAIN}", MESSAGE)
        relay.lines.wait_for(r".* => you <you@home\.example> .* T=mailbox")
        assert relay.stop() == 0
        assert waiting.recv(512).startswith(b"421 4.3.2 relay.example is shutting down")
