"""SIGHUP: everything is read again, nobody is cut off, and a mistake changes nothing."""

from __future__ import annotations

import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from smarthostd.demo.daemon import Daemon, free_port
from smarthostd.demo.lines import PATIENCE
from tests.end_to_end import clients
from tests.end_to_end.conftest import Post, StartDaemon
from tests.end_to_end.relay import Places, credentials, forwarding

MESSAGE = b"From: me@app.example\r\nSubject: hello\r\n\r\nhello\r\n"
IN_FORCE = "the configuration was read again and is in force"
NOT_IN_FORCE = "the new configuration is not in force, the old one stays"


def reload(places: Places, relay: Daemon, text: str, says: str = IN_FORCE) -> str:
    """Write the configuration *text*, send SIGHUP, and return what the log says of it."""
    known = len(relay.lines.matching(says))
    (places.directory / "smarthostd.conf").write_text(text)
    relay.signal(signal.SIGHUP)
    return relay.lines.wait_for(f".*{says}.*", known + 1)[-1][0]


def client(port: int) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE)


def closed(port: int) -> bool:
    """Return whether nobody listens at *port*."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_session_goes_on_while_its_door_closes_and_another_opens(
    places: Places, daemon: StartDaemon, post: Post
) -> None:
    """In the middle of a message; the next session comes in by the new port, and not by the old one."""
    text = forwarding(places, post.route, post.ca)
    relay = daemon(text)
    with client(places.port) as session:
        session.ehlo()
        session.mail("me@app.example")
        session.rcpt("you@remote.example")
        session.docmd("DATA")
        session.send(MESSAGE[:20])
        other = free_port()
        reload(places, relay, text.replace(f"daemon_smtp_ports = {places.port}", f"daemon_smtp_ports = {other}"))
        session.send(MESSAGE[20:] + b".\r\n")
        assert session.getreply()[0] == 250
        assert session.noop()[0] == 250
        assert closed(places.port)
    assert post.next().content.endswith(MESSAGE)
    clients.smtplib_(other, "me@app.example", ["two@remote.example"], MESSAGE)
    assert post.next().recipients == ("two@remote.example",)


def test_limits_and_greeting_hold_for_the_next_session(places: Places, daemon: StartDaemon, post: Post) -> None:
    text = forwarding(places, post.route, post.ca)
    relay = daemon(text)
    with client(places.port) as before:
        before.ehlo()
        changed = text.replace("message_size_limit = 100M", "message_size_limit = 1000\nsmtp_banner = new one")
        reload(places, relay, changed)
        assert before.mail("me@app.example", ["SIZE=2000"])[0] == 250
    with smtplib.SMTP(timeout=PATIENCE) as after:
        assert after.connect("127.0.0.1", places.port) == (220, b"new one")
        after.ehlo()
        assert after.mail("me@app.example", ["SIZE=2000"])[0] == 552


def test_routes_and_credentials_hold_for_the_next_message(places: Places, daemon: StartDaemon, post: Post) -> None:
    """Mail that waits for a route that was wrong goes at once."""
    wrong = forwarding(places, f"127.0.0.1::{free_port()}", post.ca)
    relay = daemon(wrong)
    clients.smtplib_(places.port, "me@app.example", ["you@remote.example"], MESSAGE)
    while not relay.queue()[0]["recipients"][0][2]["reason"]:
        pass  # asking takes long enough
    elsewhere = places.directory / "other_users"
    elsewhere.write_text(credentials())
    elsewhere.chmod(0o600)
    right = forwarding(places, post.route, post.ca).replace(str(places.credentials), str(elsewhere))
    places.credentials.unlink()
    reload(places, relay, right)
    assert post.next().recipients == ("you@remote.example",)


def test_a_new_certificate_meets_the_next_client(places: Places, daemon: StartDaemon, post: Post) -> None:
    """With STARTTLS, and where TLS begins at once; a session over the old one goes on."""
    implicit = free_port()
    files = places.directory / "chain.pem", places.directory / "key.pem"
    text = forwarding(places, post.route, post.ca).replace(
        f"daemon_smtp_ports = {places.port}",
        f"daemon_smtp_ports = {places.port} : {implicit}\ntls_on_connect_ports = {implicit}\n"
        f"tls_certificate = {files[0]}\ntls_privatekey = {files[1]}",
    )
    old, new = trustme.CA(), trustme.CA()
    _install(old, *files)
    relay = daemon(text)
    with smtplib.SMTP_SSL("127.0.0.1", implicit, timeout=PATIENCE, context=_trusting(old)) as session:
        session.ehlo()
        _install(new, *files)
        reload(places, relay, text)
        assert session.noop()[0] == 250
    with smtplib.SMTP_SSL("127.0.0.1", implicit, timeout=PATIENCE, context=_trusting(new)) as session:
        assert session.noop()[0] == 250
    with client(places.port) as session:
        session.starttls(context=_trusting(new))
        assert session.noop()[0] == 250


def _install(authority: trustme.CA, chain: Path, key: Path) -> None:
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(chain))
    issued.private_key_pem.write_to_path(str(key))


def _trusting(authority: trustme.CA) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())


def test_the_log_moves_changes_its_form_and_is_opened_again(places: Places, daemon: StartDaemon, post: Post) -> None:
    """As logrotate does it: the file is renamed, SIGHUP makes a new one."""
    log = places.directory / "log"
    text = forwarding(places, post.route, post.ca)
    relay = daemon(text)
    (places.directory / "smarthostd.conf").write_text(
        text.replace("log_file_path = stderr", f"log_file_path = {log}/%slog : stderr\nlog_format = json")
    )
    relay.signal(signal.SIGHUP)
    relay.lines.wait_for(f'"text": "{IN_FORCE}')
    (log / "mainlog").rename(log / "mainlog.1")
    relay.signal(signal.SIGHUP)
    relay.lines.wait_for(f'"text": "{IN_FORCE}', 2)
    assert IN_FORCE in (log / "mainlog.1").read_text()
    assert (log / "mainlog").read_text().count(IN_FORCE) == 1


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        pytest.param(
            ("message_size_limit", "mesage_size_limit"), r"smarthostd\.conf:\d+: .*mesage_size_limit", id="name"
        ),
        pytest.param(("= 100M", "= 100Q"), r"smarthostd\.conf:\d+: .*100Q", id="value"),
        pytest.param(("driver = accept", "driver = nothing"), r"smarthostd\.conf:\d+: .*nothing", id="driver"),
        pytest.param(
            ("= 100M", "= 1M\ntls_certificate = /no/such"),
            r"smarthostd\.conf:\d+: .*/no/such cannot be used",
            id="certificate",
        ),
        pytest.param(
            ("= 100M", "= 1M\ntls_certificate = ${nosuch}"), r"smarthostd\.conf:\d+: .*tls_certificate", id="expansion"
        ),
        pytest.param(("= 100M", "= 1M\ntrusted_users = no-such"), r"smarthostd\.conf:\d+: .*no-such", id="user"),
        pytest.param(
            ("= 127.0.0.1", "= 127.0.0.1 : 192.0.2.99"),
            r"smarthostd\.conf:\d+: cannot listen on 192\.0\.2\.99",
            id="address",
        ),
        pytest.param(("= stderr", "= /dev/null/%s"), r"smarthostd\.conf:\d+: cannot write the log", id="log"),
    ],
)
def test_a_mistake_leaves_the_old_configuration_in_force(
    places: Places, daemon: StartDaemon, post: Post, mistake: tuple[str, str], told: str
) -> None:
    """In one line that says what and where; the limit, which the file has changed too, is the old one."""
    text = forwarding(places, post.route, post.ca)
    relay = daemon(text)
    reload(places, relay, text.replace(*mistake), f"{NOT_IN_FORCE}: .*{told}")
    (places.directory / "smarthostd.conf").write_text(text)
    status, said = health(places)
    assert status == 1
    assert re.search(f"{NOT_IN_FORCE}: .*{told}", said)
    with client(places.port) as session:
        session.ehlo()
        assert session.esmtp_features["size"] == str(100 << 20)
    clients.smtplib_(places.port, "me@app.example", ["you@remote.example"], MESSAGE)
    assert post.next().content.endswith(MESSAGE)
    reload(places, relay, text)
    assert health(places)[0] == 0


def health(places: Places) -> tuple[int, str]:
    """Return what ``smarthostd queue health`` says; it reads the file, too."""
    command = [sys.executable, "-m", "smarthostd", "queue", "-C", str(places.directory / "smarthostd.conf"), "health"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_reading_that_dies_leaves_the_old_configuration_in_force(
    places: Places, daemon: StartDaemon, post: Post
) -> None:
    """The child that reads the new one is killed, as for want of memory; mail flows meanwhile, and afterwards."""
    text = forwarding(places, post.route, post.ca)
    relay = daemon(text)
    file = places.directory / "smarthostd.conf"
    file.unlink()
    os.mkfifo(file)
    relay.signal(signal.SIGHUP)
    with file.open("w"):  # the child has opened it, and waits for what comes
        clients.smtplib_(places.port, "me@app.example", ["you@remote.example"], MESSAGE)
        assert post.next().content.endswith(MESSAGE)
        [child] = _children(relay.pid)
        os.kill(child, signal.SIGKILL)
        relay.lines.wait_for(f".*{NOT_IN_FORCE}: .* ended by SIGKILL .*")
    file.unlink()
    assert relay.stop() == 0


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def test_a_daemon_that_ends_waits_for_no_new_configuration(places: Places, daemon: StartDaemon, post: Post) -> None:
    """What is read while it finishes is not enacted."""
    text = forwarding(places, post.route, post.ca)
    relay = daemon(text)
    file = places.directory / "smarthostd.conf"
    file.unlink()
    os.mkfifo(file)
    relay.signal(signal.SIGHUP)
    with file.open("w") as what_comes:
        relay.signal(signal.SIGTERM)
        relay.lines.wait_for(".*smarthostd .* stopped")
        what_comes.write(text)
    assert relay.stop() == 0
    assert not relay.lines.matching(f"({IN_FORCE}|PANIC)")


def test_several_mistakes_are_one_line(places: Places, daemon: StartDaemon, post: Post) -> None:
    text = forwarding(places, post.route, post.ca)
    relay = daemon(text)
    broken = text.replace("= 100M", "= 100Q").replace("driver = accept", "driver = nothing")
    line = reload(places, relay, broken, NOT_IN_FORCE)
    assert "100Q" in line
    assert "nothing" in line


def test_what_only_a_restart_changes_is_said(places: Places, daemon: StartDaemon, post: Post) -> None:
    text = forwarding(places, post.route, post.ca)
    relay = daemon(text)
    line = reload(places, relay, text.replace("/spool\n", "/elsewhere\n"))
    assert "spool_directory" in line
    assert "after a restart" in line


def test_many_hang_ups_at_once_and_mail_flows(places: Places, daemon: StartDaemon, post: Post) -> None:
    """One reload after the other; what is sent in between arrives, once."""
    text = forwarding(places, post.route, post.ca)
    relay = daemon(text)
    for number in range(20):
        relay.signal(signal.SIGHUP)
        clients.smtplib_(places.port, "me@app.example", [f"n{number}@remote.example"], MESSAGE)
    arrived = sorted(post.next().recipients[0] for _ in range(20))
    assert arrived == sorted(f"n{number}@remote.example" for number in range(20))
    relay.lines.wait_for(IN_FORCE)
    assert not relay.lines.matching("PANIC")
    assert relay.stop() == 0
    assert post.quiet
