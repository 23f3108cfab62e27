"""Who hears of a hold: the log, a command, a web hook; each once, none for longer than it may take."""

from __future__ import annotations

import asyncio
import json
import shlex
import socket
import ssl
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from smarthostd.alarms import AlarmOptions, Announcer
from smarthostd.demo.daemon import free_port
from smarthostd.health import Health
from smarthostd.outcome import Deferred, Hold, Scope
from tests.clocks import HeldClock
from tests.peers.certificates import Authority, Certificate
from tests.rules import Rules
from tests.smtp.scripted import handling
from tests.test_health import Files

KEY = "smarthost:smtp.example.com:587"
HOLD = Hold("credential", "535 5.7.8 \x1b no", "mend the password")
FACTS = {
    "event": "held", "destination": KEY, "cause": "credential", "text": "535 5.7.8 \x1b no", "fix": "mend the password",
    "host": "relay.example",
}  # fmt: skip
GRACE = timedelta(seconds=30)
PATIENCE = 30


class Log:
    """Collects what is written."""

    def __init__(self) -> None:
        self.alarms: list[str] = []
        self.notes: list[str] = []

    def held(self, destination: str, hold: Hold) -> None:
        self.alarms.append(f"held {destination}")

    def opened(self, destination: str) -> None:
        self.alarms.append(f"opened {destination}")

    def noted(self, text: str) -> None:
        self.notes.append(text)


async def announce(command: str = "", webhook: str = "", seconds: float = 30, times: int = 1) -> Log:
    """Let a destination be held so often; return the log when everybody has been told."""
    log = Log()
    announcer = Announcer(log, AlarmOptions(command, webhook, timedelta(seconds=seconds), "relay.example"))
    health = Health(HeldClock(), Rules(900), Files(), announcer)
    for _ in range(times):
        health.hold(KEY, HOLD, Deferred("535", -42, Scope.HOST, "auth_failed"))
    await announcer.close(GRACE)
    return log


def python(program: str, *words: str) -> str:
    """Return the command that runs a Python program."""
    return shlex.join([sys.executable, "-c", program, *words])


def writing(file: Path) -> str:
    """Return the command that appends what it reads, and what it sees, to *file*."""
    program = (
        "import os, sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n' + ' '.join(sorted(os.environ)) + '\\n')"
    )
    return python(program, str(file))


async def test_the_command_reads_the_facts_once_for_each_hold(tmp_path: Path) -> None:
    """And nothing of the daemon's environment, in which a password may stand."""
    log = await announce(writing(tmp_path / "told"), times=3)
    facts, environment = (tmp_path / "told").read_text().splitlines()
    assert json.loads(facts) == FACTS
    assert set(environment.split(" ")) <= {"PATH", "LC_CTYPE"}  # Python sets the second itself
    assert log.alarms == [f"held {KEY}"]
    assert log.notes == []


async def test_a_shell_has_no_part_in_it(tmp_path: Path) -> None:
    """Words are words, whatever stands in them."""
    program = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"
    await announce(python(program, str(tmp_path / "told"), "$HOME; `id` > x"))
    assert (tmp_path / "told").read_text() == "$HOME; `id` > x"


@pytest.mark.parametrize(
    ("command", "note"),
    [
        pytest.param(
            python("import sys; sys.exit('no \\x1b pager')"),
            "exit status 1: no \\033 pager",
            id="it fails, and says why",
        ),
        pytest.param(python("raise SystemExit(3)"), "exit status 3", id="it fails"),
        pytest.param("/nowhere/at/all", "FileNotFoundError: No such file or directory", id="it is not there"),
    ],
)
async def test_what_is_wrong_with_the_command_is_told(command: str, note: str) -> None:
    log = await announce(command)
    assert log.alarms == [f"held {KEY}"]
    assert log.notes == [f"alarm_command did not do its work: {note}; the alarm stands in the log alone"]


async def test_a_command_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    """It writes its process id, and the test waits until that process is gone."""
    program = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    log = await announce(python(program, str(tmp_path / "pid")), seconds=1)
    assert log.notes == [
        "alarm_command did not do its work: it took longer than alarm_timeout (1s); the alarm stands in the log alone"
    ]
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


@contextmanager
def hook(
    status: int = 204, tls: ssl.SSLContext | None = None, logins: list[str] | None = None
) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Yield the URL of a web hook that answers *status*, and what is posted to it; *logins* gets who said so."""
    posted: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            if logins is not None:
                logins.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that refuses our certificate goes away."""

        def get_request(self) -> tuple[socket.socket, Any]:
            plain, address = super().get_request()
            return (tls.wrap_socket(plain, server_side=True) if tls else plain), address

    with Quiet(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/hook/T0KEN?x=1", posted
        finally:
            server.shutdown()
            thread.join()


async def test_the_hook_gets_the_facts() -> None:
    with hook() as (url, posted):
        log = await announce(webhook=url, times=2)
    ((path, octets),) = posted
    assert path == "/hook/T0KEN?x=1"
    assert json.loads(octets) == FACTS
    assert log.notes == []


@pytest.mark.parametrize("status", [204, 401])
async def test_a_login_in_the_url_is_a_login_and_is_not_told(status: int) -> None:
    logins: list[str] = []
    with hook(status, logins=logins) as (url, posted):
        log = await announce(webhook=url.replace("//", "//me:s%3Acret@"))
    assert logins == ["Basic " + b64encode(b"me:s:cret").decode()]
    assert posted[0][0] == "/hook/T0KEN?x=1"
    assert len(log.notes) == (status != 204)
    assert "cret" not in "".join(log.notes)


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_a_hook_that_refuses_is_told_without_its_token(status: int) -> None:
    """And a redirection is not followed: who is told stands in the configuration."""
    with hook(status) as (url, posted):
        log = await announce(webhook=url)
    assert len(posted) == 1
    (note,) = log.notes
    assert note.startswith(f"alarm_webhook did not do its work: 127.0.0.1 answered {status} ")
    assert "T0KEN" not in note


async def test_a_hook_where_nobody_listens(tmp_path: Path) -> None:
    """The command is told all the same."""
    log = await announce(writing(tmp_path / "told"), webhook=f"http://127.0.0.1:{free_port()}/T0KEN")
    assert json.loads((tmp_path / "told").read_text().splitlines()[0]) == FACTS
    (note,) = log.notes
    assert "Connection refused" in note
    assert "T0KEN" not in note


# -- over TLS


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The one authority that this machine trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.ca))
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")
    return made


def server_tls(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    return context


async def test_a_hook_over_tls_gets_the_facts_and_the_login_of_its_url(authority: Authority) -> None:
    logins: list[str] = []
    with hook(tls=server_tls(authority.issue()), logins=logins) as (url, posted):
        log = await announce(webhook=url.replace("//", "//me:p%40ss@"))
    ((_, octets),) = posted
    assert json.loads(octets) == FACTS
    assert logins == ["Basic bWU6cEBzcw=="]  # me:p@ss
    assert log.notes == []


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        pytest.param("wrong name", "IP address mismatch, certificate is not valid for '127.0.0.1'", id="another name"),
        pytest.param("expired", "certificate has expired", id="expired"),
        pytest.param("foreign", "unable to get local issuer certificate", id="an authority that is not trusted"),
    ],
)
async def test_a_hook_whose_certificate_is_not_good_is_told_nothing(
    kind: str, why: str, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    issuer = Authority(tmp_path / "other") if kind == "foreign" else authority
    with hook(tls=server_tls(issuer.issue(kind))) as (url, posted):
        log = await announce(webhook=url.replace("//", "//me:p%40ss@"))
    assert posted == []
    (note,) = log.notes
    assert f"the certificate of 127.0.0.1 cannot be verified: {why}" in note
    assert "T0KEN" not in note
    assert "ss@" not in note


async def test_a_redirection_takes_no_login_anywhere(authority: Authority) -> None:
    logins: list[str] = []
    with hook(307, server_tls(authority.issue()), logins) as (url, posted):
        log = await announce(webhook=url.replace("//", "//me:secret@"))
    assert len(posted) == len(logins) == 1
    (note,) = log.notes
    assert "127.0.0.1 answered 307 " in note
    assert "secret" not in note


async def test_a_hook_that_goes_on_and_on_is_left_when_its_time_is_over() -> None:
    """It says one header line after the other: no single wait is too long, all of them are."""
    left = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        asked = asyncio.create_task(reader.read())
        while not asked.done():
            writer.write(b"X: y\r\n")
            await asyncio.wait([asked], timeout=0.05)
        left.set()

    async with handling(drip) as port:
        log = await announce(webhook=f"http://127.0.0.1:{port}/", seconds=1)
        await asyncio.wait_for(left.wait(), PATIENCE)
    assert log.notes == [
        "alarm_webhook did not do its work: it took longer than alarm_timeout (1s); the alarm stands in the log alone"
    ]
