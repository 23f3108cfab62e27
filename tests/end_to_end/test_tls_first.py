"""The daemon's port where TLS comes first, with clients as people have them."""

from __future__ import annotations

import smtplib
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from smarthostd.demo.daemon import free_port
from tests.end_to_end.clients import TIMEOUT
from tests.end_to_end.conftest import Post, StartDaemon
from tests.end_to_end.relay import Places, forwarding
from tests.peers.certificates import Authority
from tests.peers.presence import program

BODY = b"From: me@app.example\r\nTo: you@remote.example\r\nSubject: hello\r\n\r\nhello\r\n"
FROM, TO = "me@app.example", "you@remote.example"


def smtplib_(port: int, ca: Path) -> None:
    with smtplib.SMTP_SSL("127.0.0.1", port, timeout=TIMEOUT, context=ssl.create_default_context(cafile=ca)) as client:
        client.sendmail(FROM, TO, BODY)


def curl(port: int, ca: Path) -> None:
    command = [program("curl"), "--silent", "--show-error", "--cacert", str(ca), "--mail-from", FROM]
    _run([*command, "--mail-rcpt", TO, "--upload-file", "-", f"smtps://127.0.0.1:{port}/app.example"], BODY)


def swaks(port: int, ca: Path) -> None:
    """It does not look at the certificate."""
    command = [program("swaks"), "--server", "127.0.0.1", "--port", str(port), "--tls-on-connect"]
    _run([*command, "--helo", "app.example", "--from", FROM, "--to", TO, "--data", "-", "--hide-all"], BODY)


def openssl(port: int, ca: Path) -> None:
    """All at once, with a small rcpt: for s_client a line that begins with R is no text of ours."""
    said = f"EHLO app.example\r\nMAIL FROM:<{FROM}>\r\nrcpt TO:<{TO}>\r\nDATA\r\n".encode() + BODY + b".\r\nQUIT\r\n"
    command = [program("openssl"), "s_client", "-quiet", "-verify_return_error", "-CAfile", str(ca)]
    assert b"250 2.0.0 OK id=" in _run([*command, "-connect", f"127.0.0.1:{port}"], said)


def _run(command: list[str], stdin: bytes) -> bytes:
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, (done.stderr or done.stdout).decode()
    return done.stdout


@pytest.mark.parametrize("client", [smtplib_, curl, swaks, openssl])
def test_mail_comes_in_over_it(
    places: Places, daemon: StartDaemon, post: Post, tmp_path: Path, client: Callable[[int, Path], None]
) -> None:
    authority = Authority(tmp_path)
    certificate, port = authority.issue(), free_port()
    relay = daemon(
        forwarding(places, post.route, post.ca).replace(
            f"daemon_smtp_ports = {places.port}",
            f"daemon_smtp_ports = {places.port} : {port}\ntls_on_connect_ports = {port}\n"
            f"tls_certificate = {certificate.chain}\ntls_privatekey = {certificate.key}",
        )
    )
    client(port, authority.ca)
    assert post.next().recipients == (TO,)
    relay.lines.wait_for(r".* <= me@app\.example .* P=esmtps X=TLS1\.3:")
    assert relay.stop() == 0
