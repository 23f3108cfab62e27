"""``sendmail`` and the daemon: who may say what, mail that waits for the daemon, and none of it twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smarthostd.demo.daemon import Unready
from smarthostd.demo.lines import PATIENCE
from tests.end_to_end.conftest import Post, StartDaemon
from tests.end_to_end.relay import Places, forwarding
from tests.peers import presence
from tests.peers.private import reachable

MESSAGE = b"From: Me <me@app.example>\nSubject: hello\n\nhello\n"


AS_USER = """
import os, pwd, sys
import smarthostd.sendmail.drop, smarthostd.sendmail.program
user = pwd.getpwnam(sys.argv.pop(1))
os.setgroups([]), os.setgid(user.pw_gid), os.setuid(user.pw_uid)
smarthostd.sendmail.program.main()
"""
"""Runs sendmail as another user, who may not be able to read this Python."""


def sendmail(places: Places, *arguments: str, user: str = "root") -> None:
    """Run ``sendmail`` as *user*; it must succeed."""
    directory = places.directory
    variables = {
        "SMARTHOSTD_SUBMIT": str(directory / "run" / "submit.sock"),
        "SMARTHOSTD_DROP": str(directory / "spool-drop"),
    }
    program = ["-m", "smarthostd.sendmail"] if user == "root" else ["-c", AS_USER, user]
    done = subprocess.run(
        [sys.executable, *program, *arguments], input=MESSAGE, env={**os.environ, **variables}, capture_output=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("options", "sender", "header"),
    [
        pytest.param("", "nobody@relay.example", b"Sender: nobody <nobody@relay.example>", id="nobody may choose"),
        pytest.param("untrusted_set_sender = *@b.example", "f@b.example", b"Sender: nobody <", id="some may be chosen"),
        pytest.param("untrusted_set_sender = *\nno_local_from_check", "f@b.example", b"", id="all may"),
        pytest.param("trusted_users = nobody", "f@b.example", b"", id="the user is trusted"),
        pytest.param("trusted_groups = nogroup", "f@b.example", b"", id="the group is"),
    ],
)
@pytest.mark.parametrize("up", [True, False], ids=["to the daemon", "for later"])
def test_a_user_and_the_sender_of_their_mail(
    places: Places, daemon: StartDaemon, post: Post, options: str, sender: str, header: bytes, up: bool
) -> None:
    presence.root()
    reachable(places.directory)
    text = forwarding(places, post.route, post.ca).replace("message_size_limit", f"{options}\nmessage_size_limit")
    relay = daemon(text)
    if not up:
        relay.stop()
    sendmail(places, "-f", "f@b.example", "you@remote.example", user="nobody")
    relay = relay if up else daemon(text)
    arrived = post.next()
    assert arrived.sender == sender
    assert (b"\nSender: " in arrived.content) is bool(header)
    assert header in arrived.content
    relay.lines.wait_for(rf" <= {sender} U=nobody P=local S=\d+$")


def test_what_was_dropped_while_the_daemon_runs_goes_too(places: Places, daemon: StartDaemon, post: Post) -> None:
    daemon(forwarding(places, post.route, post.ca))
    (places.directory / "run" / "submit.sock").unlink()
    sendmail(places, "you@remote.example")
    assert post.next().recipients == ("you@remote.example",)


def test_the_socket_may_be_found_by_the_configuration(places: Places, daemon: StartDaemon, post: Post) -> None:
    daemon(forwarding(places, post.route, post.ca))
    command = [sys.executable, "-m", "smarthostd.sendmail", "-C", str(places.directory / "smarthostd.conf"), "a@b.c"]
    subprocess.run(command, input=MESSAGE, timeout=PATIENCE, check=True)
    assert post.next().recipients == ("a@b.c",)


def test_an_address_is_tested_as_exim_does_it(places: Places, daemon: StartDaemon, post: Post) -> None:
    """``sendmail -bv`` becomes ``smarthostd exim -bv``."""
    daemon(forwarding(places, post.route, post.ca))
    command = [sys.executable, "-m", "smarthostd.sendmail", "-C", str(places.directory / "smarthostd.conf")]
    done = subprocess.run([*command, "-bv", "a@b.c"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (0, "a@b.c verified\n")


def test_killed_again_and_again_while_it_takes_in_mail_it_takes_each_once(places: Places, daemon: StartDaemon) -> None:
    """The smarthost is down, so that nothing leaves the queue while we count."""
    text = forwarding(places, f"127.0.0.1::{places.port}", Path("/dev/null")).replace(
        f"daemon_smtp_ports = {places.port}", "daemon_smtp_ports = 0"
    )
    daemon(text).stop()
    senders = {f"n{number}@app.example" for number in range(60)}
    for sender in senders:
        sendmail(places, "-f", sender, "you@remote.example")
    taken = places.directory / "spool-drop" / "taken"
    for step in ("renameat", "unlinkat", "fsync", "fsync", "unlinkat"):
        _start_and_kill_at(step, daemon, text)
    relay = daemon(text)
    queue = relay.queue()
    assert sorted(entry["sender"] for entry in queue) == sorted(senders)
    assert list(taken.iterdir()) == []


def _start_and_kill_at(call: str, daemon: StartDaemon, text: str) -> None:
    """Start the daemon, and kill it at one of its calls of the system, before it is ready."""
    strace = presence.program("strace")
    inject = f"--inject={call},{call.removesuffix('at')}:signal=KILL:when=7"
    with pytest.raises(Unready):
        daemon(
            text,
            wrapper=[strace, "-f", "-q", "-o", "/dev/null", "-e", f"trace={call},{call.removesuffix('at')}", inject],
        )


def test_what_was_taken_in_survives_a_kill(places: Places, daemon: StartDaemon, post: Post) -> None:
    text = forwarding(places, post.route, post.ca)
    daemon(text).stop()
    sendmail(places, "you@remote.example")
    daemon(text).kill()
    if post.quiet:
        daemon(text)
    assert post.next().recipients == ("you@remote.example",)
