"""The sandbox smarthost, tried with clients that are not ours."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from smarthostd.demo.lines import Lines
from smarthostd.demo.sandbox import MECHANISMS, Certificate, Sandbox

MESSAGE = b"Subject: hello\r\n\r\n.a line with a dot\r\n" + b"x" * 5000 + b"\r\n\xe4\xf6\xfc\r\n"


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    """A certificate for loopback."""
    return Certificate()


@pytest.fixture
async def sandbox(certificate: Certificate) -> AsyncIterator[Sandbox]:
    """A sandbox that wants STARTTLS and knows one user."""
    sandbox = Sandbox("me", "secret", certificate)
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


def _login(sandbox: Sandbox, certificate: Certificate, password: str = "secret") -> smtplib.SMTP:
    context = ssl.create_default_context(cadata=certificate.authority.decode())
    client = smtplib.SMTP("127.0.0.1", sandbox.port, timeout=20)
    try:
        client.starttls(context=context)
        client.login(sandbox.user, password)
    except smtplib.SMTPException:
        client.close()
        raise
    return client


def _send(client: smtplib.SMTP) -> None:
    with client:
        client.sendmail("me@example.com", ["you@example.org", "them@example.org"], MESSAGE)


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_what_it_receives_it_keeps(certificate: Certificate, mechanism: str) -> None:
    """Envelope, octets, mechanism and TLS version of a message are kept as they came."""
    sandbox = Sandbox("me", "secret", certificate, mechanisms=[mechanism])
    await sandbox.start()
    await asyncio.to_thread(lambda: _send(_login(sandbox, certificate)))
    await sandbox.stop()
    (kept,) = sandbox.kept
    assert (kept.sender, kept.recipients) == ("me@example.com", ("you@example.org", "them@example.org"))
    assert kept.content == MESSAGE
    assert (kept.mechanism, kept.tls) == (mechanism, "TLSv1.3")


async def test_it_speaks_tls_at_once_where_told(certificate: Certificate) -> None:
    """Implicit TLS offers AUTH as STARTTLS does."""
    sandbox = Sandbox("me", "secret", certificate, implicit_tls=True)
    await sandbox.start()
    context = ssl.create_default_context(cadata=certificate.authority.decode())

    def send() -> None:
        client = smtplib.SMTP_SSL("127.0.0.1", sandbox.port, context=context, timeout=20)
        client.login("me", "secret")
        _send(client)

    await asyncio.to_thread(send)
    await sandbox.stop()
    assert [kept.tls for kept in sandbox.kept] == ["TLSv1.3"]


async def test_a_wrong_password_is_refused_and_counted(sandbox: Sandbox, certificate: Certificate) -> None:
    """smtplib tries every mechanism in turn: each refusal is 535 and counted."""
    with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
        await asyncio.to_thread(_login, sandbox, certificate, "wrong")
    assert sandbox.refused == len(MECHANISMS)


async def test_a_changed_password_ends_the_sessions(sandbox: Sandbox, certificate: Certificate) -> None:
    """Who is logged in must log in anew, and needs the new password."""
    client = await asyncio.to_thread(_login, sandbox, certificate)
    await sandbox.change_password("new")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        await asyncio.to_thread(client.noop)
    with pytest.raises(smtplib.SMTPAuthenticationError):
        await asyncio.to_thread(_login, sandbox, certificate)
    await asyncio.to_thread(lambda: _send(_login(sandbox, certificate, "new")))
    assert len(sandbox.kept) == 1


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param((), smtplib.SMTPNotSupportedError, id="no AUTH before TLS"),
        pytest.param(("starttls",), smtplib.SMTPSenderRefused, id="no mail before AUTH"),
    ],
)
async def test_it_wants_tls_and_a_password(
    sandbox: Sandbox, certificate: Certificate, before: tuple[str, ...], expected: type[Exception]
) -> None:
    """Neither step can be left out."""

    def attempt() -> None:
        with smtplib.SMTP("127.0.0.1", sandbox.port, timeout=20) as client:
            if before:
                client.starttls(context=ssl.create_default_context(cadata=certificate.authority.decode()))
                client.sendmail("me@example.com", ["you@example.org"], MESSAGE)
            else:
                client.login("me", "secret")

    with pytest.raises(expected):
        await asyncio.to_thread(attempt)


def test_people_can_start_one(tmp_path: Path) -> None:
    """``python -m smarthostd.demo.sandbox`` says where it listens, what to trust, what it keeps, and no more."""
    ca, keep = tmp_path / "ca.pem", tmp_path / "kept"
    command = [sys.executable, "-W", "error", "-m", "smarthostd.demo.sandbox", "--port", "0", "--ca-file", str(ca)]
    command += ["--keep", str(keep), "--user", "me", "--password", "pw", "--mechanism", "PLAIN"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        lines = Lines(process.stdout, "sandbox")
        port = int(lines.wait_for(r"listening on \S+:(\d+), user me; trust ")[0][1])
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            client.starttls(context=ssl.create_default_context(cafile=ca))
            client.login("me", "pw")
            client.sendmail("me@example.com", ["you@example.org"], MESSAGE)
        lines.wait_for(r"^kept 1: <me@example.com> to 1 recipient, \d+ octets, PLAIN over TLSv1.3$")
        process.terminate()
    assert (keep / "1.eml").read_bytes() == MESSAGE
    assert len(lines()) == 2
