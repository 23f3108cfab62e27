"""Mail by ``smarthostd exim``, as a process: to the daemon, by itself where none runs, and for later."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from smarthostd.demo.lines import PATIENCE
from tests.end_to_end.conftest import Post, StartDaemon
from tests.end_to_end.relay import Places, forwarding
from tests.peers import presence
from tests.peers.private import reachable

MESSAGE = "From: Me <me@app.example>\nSubject: hello\n\nhello\n"
BATCH = f"MAIL FROM:<me@app.example>\nRCPT TO:<you@remote.example>\nDATA\n{MESSAGE}.\n"
AS_USER = """
import os, pwd, sys
import smarthostd.cli.exim.dispatch, smarthostd.cli.exim.mail, smarthostd.cli.exim.process
import concurrent.futures.thread, smarthostd.queue_run, smarthostd.sendmail.drop
from pathlib import Path
from smarthostd.config import load
user = pwd.getpwnam(sys.argv.pop(1))
load(Path(sys.argv[2]), {}, lenient=True)
os.setgroups([]), os.setgid(user.pw_gid), os.setuid(user.pw_uid)
from smarthostd.cli.exim.process import Process
process = Process(sys.stdin, sys.stdout, sys.stderr, {})
raise SystemExit(smarthostd.cli.exim.dispatch.run(sys.argv[1:], process))
"""
"""Runs it as another user, who may not be able to read this Python."""


def exim(
    places: Places, *words: str, stdin: str = MESSAGE, user: str = "", wrapper: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run ``smarthostd exim`` to its end, with *wrapper* in front of it."""
    program = ["-c", AS_USER, user] if user else ["-m", "smarthostd", "exim"]
    command = [*wrapper, sys.executable, *program, "-C", str(places.directory / "smarthostd.conf"), *words]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False)


def taken(places: Places, *words: str, stdin: str = MESSAGE, user: str = "") -> None:
    """Run it; it must take the mail, and say nothing."""
    done = exim(places, *words, stdin=stdin, user=user)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


BY_DAEMON = {
    "for an address": (["-odi", "-f", "f@b.example", "you@remote.example"], MESSAGE, "f@b.example U=root P=local"),
    "for those in its header": (["-ti"], f"To: you@remote.example\n{MESSAGE}", "root@relay.example U=root P=local"),
    "in a batch": (["-bS"], BATCH, "me@app.example U=root P=local-bsmtp"),
    "from elsewhere": (
        ["-oMr", "scanned", "-oMa", "192.0.2.9", "-oMs", "h.example", "-oMt", "ann", "-f", "f@b.example",
         "you@remote.example"], MESSAGE, "f@b.example H=h.example [192.0.2.9] U=ann P=scanned",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("words", "stdin", "arrival"), BY_DAEMON.values(), ids=BY_DAEMON)
def test_the_daemon_gets_mail_and_delivers_it(
    places: Places, daemon: StartDaemon, post: Post, words: list[str], stdin: str, arrival: str
) -> None:
    """With all that the command line says of it."""
    relay = daemon(forwarding(places, post.route, post.ca))
    taken(places, *words, stdin=stdin)
    assert post.next().recipients == ("you@remote.example",)
    relay.lines.wait_for(rf" <= {re.escape(arrival)} S=\d+$")


def test_a_session_is_held_for_the_daemon(places: Places, daemon: StartDaemon, post: Post) -> None:
    """``-bs``: 250 after the daemon has the message, under the daemon's id."""
    relay = daemon(forwarding(places, post.route, post.ca))
    commands = f"EHLO app.example\n{BATCH}QUIT\n".replace("\n", "\r\n")
    done = exim(places, "-bs", stdin=commands)
    id = re.search(r"^250 2\.0\.0 OK id=(\S{16})$", done.stdout, re.MULTILINE)
    assert done.returncode == 0
    assert id
    assert post.next().sender == "me@app.example"
    relay.lines.wait_for(rf" {id[1]} <= me@app.example U=root P=local-esmtp S=\d+")


def test_a_user_who_is_not_trusted_says_nothing_of_where_mail_is_from(
    places: Places, daemon: StartDaemon, post: Post
) -> None:
    presence.root()
    reachable(places.directory)
    relay = daemon(forwarding(places, post.route, post.ca))
    taken(places, "-oMr", "p", "-oMa", "192.0.2.9", "-f", "f@b.example", "you@remote.example", user="nobody")
    assert post.next().sender == "nobody@relay.example"
    relay.lines.wait_for(r" <= nobody@relay.example U=nobody P=local S=\d+$")


def test_a_mistake_is_told_by_mail_through_the_daemon(places: Places, daemon: StartDaemon, post: Post) -> None:
    daemon(forwarding(places, post.route, post.ca))
    done = exim(places, "-t", "-f", "me@app.example")
    assert done.returncode == 1
    report = post.next()
    assert (report.sender, report.recipients) == ("<>", ("me@app.example",))
    assert b"\r\nSubject: Mail failure - no recipient addresses\r\n" in report.content


def test_what_the_daemon_refuses_is_refused(places: Places, daemon: StartDaemon, post: Post) -> None:
    text = forwarding(places, post.route, post.ca).replace("message_size_limit = 100M", "message_size_limit = 1K")
    daemon(text)
    (places.directory / "smarthostd.conf").write_text(text.replace("message_size_limit = 1K", ""))
    done = exim(places, "-oep", "you@remote.example", stdin=f"{MESSAGE}{'x' * 2000}\n")
    assert done.returncode == 1
    assert done.stderr.startswith("exim: message rejected: ")
    assert "552" in done.stderr


@pytest.mark.parametrize("mode", ["-odi", "-odb", "-odf"])
def test_without_a_daemon_it_delivers_by_itself(places: Places, daemon: StartDaemon, post: Post, mode: str) -> None:
    daemon(forwarding(places, post.route, post.ca)).stop()
    taken(places, mode, "-f", "f@b.example", "you@remote.example")
    assert not post.quiet
    assert post.next().sender == "f@b.example"
    assert exim(places, "-bpc").stdout == "0\n"


def test_without_a_daemon_mail_may_wait_for_it(places: Places, daemon: StartDaemon, post: Post) -> None:
    text = forwarding(places, post.route, post.ca)
    daemon(text).stop()
    taken(places, "-odq", "you@remote.example")
    assert post.quiet
    daemon(text)
    assert post.next().recipients == ("you@remote.example",)


NOT_KEPT = {
    "a message": (["you@remote.example"], MESSAGE, 1, "exim: message rejected: the spool"),
    "a session": (["-bs"], f"EHLO x\n{BATCH}QUIT\n", 0, "451 4.3.0 the message cannot be stored now"),
    "a batch": (["-bS"], BATCH, 2, "451 the spool"),
}


@pytest.mark.parametrize(("words", "stdin", "status", "said"), NOT_KEPT.values(), ids=NOT_KEPT)
def test_what_is_not_on_disk_is_not_taken(
    places: Places, daemon: StartDaemon, post: Post, words: list[str], stdin: str, status: int, said: str
) -> None:
    """On a disk that does not sync."""
    daemon(forwarding(places, post.route, post.ca)).stop()
    broken = [presence.program("strace"), "-f", "-q", "-o", "/dev/null", "--inject=fdatasync:error=EIO"]
    done = exim(places, "-odi", "-oep", *words, stdin=stdin, wrapper=broken)
    assert done.returncode == status
    assert said in done.stdout + done.stderr
    assert "OK id=" not in done.stdout
    assert post.quiet


def test_without_a_daemon_no_mail_passes_by_what_was_left_out(places: Places, daemon: StartDaemon, post: Post) -> None:
    """Where an ACL forbids something the daemon does not start, and nothing is taken by hand; but for comparing."""
    text = forwarding(places, post.route, post.ca)
    daemon(text).stop()
    (places.directory / "smarthostd.conf").write_text(f"acl_not_smtp = check\n{text}")
    done = exim(places, "you@remote.example")
    assert done.returncode == 1
    assert "acl_not_smtp" in done.stderr
    assert exim(places, "-bpc").stdout == "0\n"
    assert exim(places, "--strict", "-odq", "you@remote.example").returncode == 0


def test_who_may_not_open_the_spool_leaves_mail_for_the_daemon(places: Places, daemon: StartDaemon, post: Post) -> None:
    presence.root()
    reachable(places.directory)
    text = forwarding(places, post.route, post.ca)
    daemon(text).stop()
    taken(places, "-f", "f@b.example", "you@remote.example", user="nobody")
    assert len(list(Path(f"{places.directory}/spool-drop").glob("[0-9a-f]*"))) == 1
    relay = daemon(text)
    assert post.next().sender == "nobody@relay.example"
    relay.lines.wait_for(r" <= nobody@relay.example U=nobody P=local S=\d+$")


def test_a_program_that_keeps_its_pipe_open_is_answered(places: Places, daemon: StartDaemon, post: Post) -> None:
    """A dot ends a message, QUIT a session: nobody waits for the end of the input."""
    daemon(forwarding(places, post.route, post.ca))
    command = [sys.executable, "-m", "smarthostd", "exim", "-C", str(places.directory / "smarthostd.conf")]
    for words, said in ((["you@remote.example"], f"{MESSAGE}.\n"), (["-bs"], f"EHLO x\n{BATCH}QUIT\n")):
        reading, writing = os.pipe()
        with subprocess.Popen([*command, *words], stdin=reading, stdout=subprocess.DEVNULL) as program:
            os.close(reading)
            os.write(writing, said.encode())
            assert program.wait(PATIENCE) == 0
            os.close(writing)
        assert post.next().recipients == ("you@remote.example",)
