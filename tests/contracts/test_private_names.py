"""Every private name of a library that we use: an upgrade that takes one away must fail here, loudly."""

from __future__ import annotations

import asyncio
import inspect
import ssl

import pytest
from aiosmtpd.smtp import SMTP
from aiosmtplib.protocol import MAX_RESPONSE_LENGTH, SMTPProtocol
from pydantic.plugin._schema_validator import create_schema_validator


@pytest.mark.parametrize(
    "name", ["connection_made", "connection_lost", "eof_received", "pause_writing", "resume_writing"]
)
def test_aiosmtpd_has(name: str) -> None:
    assert callable(getattr(SMTP, name))


@pytest.mark.parametrize("name", ["_read_response_from_buffer", "_drain_helper", "pause_writing", "resume_writing"])
def test_aiosmtplib_has(name: str) -> None:
    assert callable(getattr(SMTPProtocol, name))


async def test_aiosmtplib_keeps_its_buffer_and_loop() -> None:
    protocol = SMTPProtocol(loop=asyncio.get_running_loop())
    assert isinstance(protocol._buffer, bytearray)
    assert protocol._loop is asyncio.get_running_loop()
    assert protocol._paused is False
    assert MAX_RESPONSE_LENGTH > 0


def test_pydantic_asks_this_module_for_plugins() -> None:
    """The child that judges a configuration puts another in its place (``judging.py``)."""
    from pydantic.plugin import _loader

    assert callable(_loader.get_plugins)
    assert "from ._loader import get_plugins" in inspect.getsource(create_schema_validator)


def test_ssl_tells_the_chain_of_a_refused_certificate() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    session = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="x.example")
    assert hasattr(session, "_sslobj")
    assert hasattr(session._sslobj, "get_unverified_chain")
