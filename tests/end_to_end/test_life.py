"""From start to stop: local mail, both at once, SIGTERM in the middle, a second daemon, a bad configuration."""

from __future__ import annotations

import signal
import smtplib
import subprocess
import sys

import pytest

from smarthostd.demo.daemon import Unready
from smarthostd.demo.lines import PATIENCE
from tests.end_to_end import clients
from tests.end_to_end.conftest import Post, StartDaemon
from tests.end_to_end.relay import LOCAL_DOMAIN, Places, forwarding

MESSAGE = b"From: me@app.example\r\nSubject: hello\r\n\r\nhello\r\n"


def test_local_and_remote_recipients_of_one_message(places: Places, daemon: StartDaemon, post: Post) -> None:
    """One goes into the Maildir, the other to the smarthost."""
    relay = daemon(forwarding(places, post.route, post.ca))
    clients.smtplib_(places.port, "me@app.example", [f"me@{LOCAL_DOMAIN}", "you@remote.example"], MESSAGE)
    assert post.next().recipients == ("you@remote.example",)
    relay.lines.wait_for(r" => me <me@home\.example> R=local T=mailbox")
    relay.lines.wait_for(" Completed$")
    (file,) = (places.maildir / "new").iterdir()
    assert file.read_bytes().endswith(MESSAGE.replace(b"\r\n", b"\n"))


def test_sigterm_lets_a_message_in_hand_finish(places: Places, daemon: StartDaemon, post: Post) -> None:
    """A client in the middle of DATA gets its 250, an idle one its 421; the message arrives, once."""
    text = forwarding(places, post.route, post.ca)
    relay = daemon(text)
    with smtplib.SMTP("127.0.0.1", places.port, timeout=PATIENCE) as idle:
        idle.ehlo()
        client = smtplib.SMTP("127.0.0.1", places.port, timeout=PATIENCE)
        client.ehlo()
        client.mail("me@app.example")
        client.rcpt("you@remote.example")
        client.docmd("DATA")
        client.send(MESSAGE[:20])
        relay.signal(signal.SIGTERM)
        assert idle.getreply()[0] == 421
        idle.close()
    client.send(MESSAGE[20:] + b".\r\n")
    assert client.getreply()[0] == 250
    client.close()
    assert relay.wait() == 0
    if post.quiet:
        daemon(text)
    assert post.next().content.endswith(MESSAGE)
    assert post.quiet


def test_the_process_says_who_it_is_while_it_lives(places: Places, daemon: StartDaemon, post: Post) -> None:
    """``pid_file_path``; one that cannot be written is told, and mail goes on."""
    file = places.directory / "pid"
    relay = daemon(f"pid_file_path = {file}\n{forwarding(places, post.route, post.ca)}")
    assert int(file.read_text()) == relay.pid
    relay.signal(signal.SIGTERM)
    assert relay.wait() == 0
    assert not file.exists()
    again = daemon(f"pid_file_path = {places.directory}/no/pid\n{forwarding(places, post.route, post.ca)}")
    again.lines.wait_for("pid_file_path .*/no/pid cannot be written: No such file or directory$")


def test_a_second_daemon_on_one_spool_says_so(places: Places, daemon: StartDaemon, post: Post) -> None:
    """It ends with a sentence that names the spool, and the first goes on."""
    text = forwarding(places, post.route, post.ca)
    daemon(text)
    with pytest.raises(Unready, match="spool"):
        daemon(text.replace(f"daemon_smtp_ports = {places.port}", "daemon_smtp_ports = 0"))
    clients.smtplib_(places.port, "me@app.example", ["you@remote.example"], MESSAGE)
    assert post.next().content.endswith(MESSAGE)


def test_a_bad_configuration_is_78(places: Places, post: Post) -> None:
    """One line: the file, the line, the option, what was expected."""
    path = places.directory / "bad.conf"
    path.write_text(forwarding(places, post.route, post.ca).replace("tls_verify_cert", "tls_verfy_cert"))
    command = [sys.executable, "-m", "smarthostd", "run", "-C", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{path}:")
    assert '"tls_verfy_certificates"' in line
    assert '"tls_verify_certificates"' in line
