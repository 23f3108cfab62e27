"""Real clients, every awkward message, the real Exim behind: what arrives is what was sent.

Above it stands only the Received line that we add (Exim as a client adds its own below that).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from smarthostd.demo.daemon import Daemon
from tests.end_to_end import clients
from tests.end_to_end.clients import Client
from tests.end_to_end.relay import Places, credentials, forwarding
from tests.peers.certificates import Authority
from tests.peers.exim import EximSmarthost, Received

CLIENTS = {
    "smtplib": clients.smtplib_,
    "aiosmtplib": clients.aiosmtplib_,
    "curl": clients.curl,
    "swaks": clients.swaks,
    "msmtp": clients.msmtp,
    "Exim with BDAT": clients.exim,
}
ASCII_ONLY = {"swaks", "msmtp", "Exim with BDAT"}
"""Clients that cannot submit an address that is not ASCII."""


def noise(size: int) -> bytes:
    """Return *size* octets in lines of base64's length, the same each time."""
    block = b"".join(hashlib.sha256(str(i).encode()).hexdigest().encode() + b"\r\n" for i in range(1000))
    return (block * (size // len(block) + 1))[: size // 66 * 66]


BODIES = {
    "plain": b"hello\r\n",
    "a 10 MB attachment": noise(10_000_000),
    "8-bit text": "größer als €5\r\n".encode() + bytes(range(128, 256)) + b"\r\n",
    "leading dots": b".\r\n..\r\n.a\r\n...b\r\n\r\n.c\r\n" * 3,
    "lone dot lines": b".\r\n" * 50,
    "a dot at each edge of a block": b".\r\n" * 60_000,
    "long lines": (b"y" * 5000 + b"\r\n") * 5,
    "no body": b"",
    "blank lines at the end": b"text\r\n\r\n\r\n\r\n",
}


@dataclass(frozen=True)
class Setting:
    """A relay with the real Exim behind it."""

    places: Places
    relay: Daemon
    smarthost: EximSmarthost

    def send(self, client: Client, sender: str, recipients: list[str], content: bytes) -> list[Received]:
        """Submit a message; return what the smarthost received for all *recipients*."""
        client(self.places.port, sender, recipients, content)
        return self.smarthost.received_from(sender, len(recipients))


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Setting]:
    """One relay and one Exim for all the clients."""
    directory = tmp_path_factory.mktemp("clients")
    with ExitStack() as ending:
        smarthost = EximSmarthost(directory / "exim", authority.issue())
        ending.callback(smarthost.stop)
        places = Places.make(directory / "relay")
        places.credentials.write_text(credentials())
        relay = places.start(forwarding(places, f"127.0.0.1::{smarthost.port}", authority.ca))
        ending.callback(relay.kill)
        yield Setting(places, relay, smarthost)


def message(sender: str, body: bytes, subject: str = "hello") -> bytes:
    """Return a message from *sender* that lacks nothing."""
    fields = [f"From: {sender}", "To: you@remote.example", "Date: Mon, 1 Jun 2026 10:00:00 +0000"]
    fields += ["Message-ID: <1@app.example>", f"Subject: {subject}", "X-Folded: one", "\ttwo"]
    return "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n" + body


def added(received: Received, sent: bytes) -> list[str]:
    """Return the names of the header fields that stand above what was sent."""
    assert received.content.endswith(sent)
    above = received.content[: len(received.content) - len(sent)].decode()
    return re.findall(r"^([^\s:]+):", above, re.MULTILINE)


def rows() -> list[Any]:
    """Return each client with each body."""
    return [
        pytest.param(client, body, number, id=f"{name}: {case}")
        for name, client in CLIENTS.items()
        for number, (case, body) in enumerate(BODIES.items())
    ]


@pytest.mark.parametrize(("client", "body", "number"), rows())
def test_what_arrives_is_what_was_sent(setting: Setting, client: Client, body: bytes, number: int) -> None:
    """Octet for octet; only Received is added."""
    sender = f"{client.__name__.strip('_')}{number}@app.example"
    sent = message(sender, body)
    (received,) = setting.send(client, sender, ["you@remote.example"], sent)
    above = added(received, sent)
    assert above == ["Received"] * (2 if client is clients.exim else 1)
    assert received.encrypted
    assert received.authenticator


@pytest.mark.parametrize("name", CLIENTS)
def test_many_recipients(setting: Setting, name: str) -> None:
    """Every one of 250 recipients is served once, in as few transactions as ``max_rcpt`` allows."""
    sender = f"many.{CLIENTS[name].__name__.strip('_')}@app.example"
    recipients = [f"r{number}@remote.example" for number in range(250)]
    received = setting.send(CLIENTS[name], sender, recipients, message(sender, b"to all\r\n"))
    assert sorted(address for one in received for address in one.recipients) == sorted(recipients)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_utf8_subject(setting: Setting, name: str) -> None:
    """A header that is not ASCII passes as it is."""
    sender = f"subject.{CLIENTS[name].__name__.strip('_')}@app.example"
    sent = message(sender, b"hello\r\n", subject="Grüße, ваша почта, 郵件")
    (received,) = setting.send(CLIENTS[name], sender, ["you@remote.example"], sent)
    assert received.content.endswith(sent)


@pytest.mark.parametrize("name", [name for name in CLIENTS if name not in ASCII_ONLY])
def test_an_smtputf8_address(setting: Setting, name: str) -> None:
    """An address that is not ASCII arrives as it was written."""
    sender = f"jürgen.{CLIENTS[name].__name__.strip('_')}@app.example"
    sent = message(sender, b"hello\r\n")
    (received,) = setting.send(CLIENTS[name], sender, ["δοκιμή@remote.example"], sent)
    assert received.recipients == ("δοκιμή@remote.example",)
    assert received.content.endswith(sent)
