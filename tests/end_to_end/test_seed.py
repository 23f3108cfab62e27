"""The seed, pasted as it is: its three stanzas and its line of credentials, character for character.

The name ``smarthost.isp.com`` stands in the hosts file of a network of the test's own, ``/etc/exim/smtp_users`` in
its ``/etc``; the smarthost listens on port 25.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from smarthostd.demo import seed
from smarthostd.demo.daemon import Daemon
from smarthostd.demo.lines import PATIENCE, Lines
from tests.end_to_end.conftest import StartDaemon
from tests.end_to_end.relay import Places
from tests.end_to_end.world import NAME, SMARTHOST, World
from tests.peers.presence import program

MESSAGE = b"From: me@app.example\r\nSubject: hello\r\n\r\n.a line with a dot\r\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world in which the seed's names are true."""
    world = World(tmp_path)
    users = world.etc / seed.CREDENTIALS_FILE.removeprefix("/etc/")
    users.parent.mkdir()
    users.write_text(seed.CREDENTIALS)
    yield world
    world.close()


def pasted(places: Places) -> str:
    """Return main options, the seed's stanzas under their headings, and a place for local mail."""
    return f"""{places.main()}
begin routers

{seed.ROUTER}
begin transports

{seed.TRANSPORT}
{seed.AUTHENTICATORS}"""


@contextmanager
def sandbox(world: World, directory: Path, mechanisms: Sequence[str]) -> Iterator[Lines]:
    """Run the sandbox as smarthost.isp.com; lend what it says."""
    command = [*world.enter(), sys.executable, "-u", "-m", "smarthostd.demo.sandbox"]
    command += ["--host", SMARTHOST, "--port", "25", "--name", NAME]
    command += ["--ca-file", str(directory / "ca.pem"), "--keep", str(directory / "kept")]
    command += [word for mechanism in mechanisms for word in ("--mechanism", mechanism)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        lines = Lines(process.stdout, "sandbox")
        try:
            lines.wait_for("^listening on")
            yield lines
        finally:
            process.terminate()


def submit(world: World, places: Places) -> None:
    """Hand in MESSAGE by curl, from inside."""
    command = [*world.enter(), program("curl"), "--silent", "--show-error", "--mail-from", "me@app.example"]
    command += [
        "--mail-rcpt",
        "you@remote.example",
        "--upload-file",
        "-",
        f"smtp://127.0.0.1:{places.port}/app.example",
    ]
    subprocess.run(command, input=MESSAGE, check=True, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("offered", "used", "authenticator"),
    [
        pytest.param(["CRAM-MD5"], "CRAM-MD5", "cram_md5", id="CRAM-MD5 offered"),
        pytest.param(["PLAIN"], "PLAIN", "plain", id="only PLAIN offered"),
        pytest.param(["CRAM-MD5", "PLAIN", "LOGIN"], "CRAM-MD5", "cram_md5", id="both offered"),
    ],
)
def test_it_relays_with_authentication_over_verified_tls(
    world: World,
    places: Places,
    daemon: StartDaemon,
    tmp_path: Path,
    offered: Sequence[str],
    used: str,
    authenticator: str,
) -> None:
    """The smarthost demands a password, and gets it by the first of the seed's authenticators that it offers."""
    with sandbox(world, tmp_path, offered) as smarthost:
        relay: Daemon = daemon(
            pasted(places), wrapper=world.enter(), variables={"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        )
        submit(world, places)
        smarthost.wait_for(rf"kept 1: <me@app\.example> to 1 recipient, \d+ octets, {used} over TLSv1\.[23]$")
        (line,) = relay.lines.wait_for(
            rf" => you@remote\.example R=outgoing T=IspSmarthost H={NAME} \[{SMARTHOST}\] .*"
        )
    assert f" CV=yes A={authenticator} " in line[0]
    assert (tmp_path / "kept" / "1.eml").read_bytes().endswith(b".a line with a dot\r\n")


def test_check_says_what_isp_auth_is(world: World, places: Places) -> None:
    """One sentence tells that ``isp_auth`` is taken for the name of a credential."""
    path = places.directory / "smarthostd.conf"
    path.write_text(pasted(places))
    command = [*world.enter(), sys.executable, "-m", "smarthostd", "check", "-C", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert [line for line in done.stdout.splitlines() if "isp_auth" in line and "credential" in line], done.stdout
