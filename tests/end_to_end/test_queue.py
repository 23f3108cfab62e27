"""Seeing and steering the queue of a running daemon: by ``smarthostd queue``, by ``smarthostd exim``, as ``mailq``."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from smarthostd.demo.daemon import Daemon
from smarthostd.demo.lines import PATIENCE
from tests.end_to_end import clients
from tests.end_to_end.conftest import Post, StartDaemon
from tests.end_to_end.relay import LOCAL_DOMAIN, Places, forwarding

ROUTES = """
begin routers
later:
  driver = redirect
  domains = later.example
  data = :defer: come again
  allow_defer
held:
  driver = accept
  domains = held.example
  transport = mailbox
hangs:
  driver = manualroute
  domains = hangs.example
  transport = hangs
  route_list = * 127.0.0.1::@PORT@
  self = send
local:
  driver = accept
  domains = +local_domains
  transport = mailbox

begin transports
hangs:
  driver = smtp
mailbox:
  driver = appendfile
  directory = @MAILDIR@
  maildir_format
"""


@pytest.fixture
def hanging() -> Iterator[socket.socket]:
    """A next hop that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        yield server


@pytest.fixture
def relay(places: Places, daemon: StartDaemon, hanging: socket.socket) -> Daemon:
    """A daemon with one domain that defers, one that is held, one that hangs, and a mailbox."""
    routes = ROUTES.replace("@PORT@", str(hanging.getsockname()[1])).replace("@MAILDIR@", str(places.maildir))
    return daemon(places.main() + "hold_domains = held.example\n" + routes)


def submit(places: Places, *recipients: str, sender: str = f"me@{LOCAL_DOMAIN}") -> None:
    """Hand in one message."""
    clients.smtplib_(places.port, sender, list(recipients), b"Subject: hello\r\n\r\nhello\r\n")


def tool(places: Places, *words: str) -> tuple[int, str]:
    """Call one of our commands; return its exit status and all that it prints."""
    command = [
        sys.executable,
        "-m",
        "smarthostd",
        words[0],
        "-C",
        str(places.directory / "smarthostd.conf"),
        *words[1:],
    ]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False
    )
    return done.returncode, done.stdout


def waiting(relay: Daemon, recipient: str) -> str:
    """Return the id of the message that waits for *recipient*, once its first attempt is over."""
    relay.lines.wait_for(f" == {re.escape(recipient)} ")
    (id,) = [one["id"] for one in relay.queue() if recipient in [address for address, *_ in one["recipients"]]]
    return str(id)


def test_freeze_retry_thaw_and_remove(places: Places, relay: Daemon) -> None:
    """What is done is in the daemon's log, with who did it."""
    submit(places, "you@later.example")
    id = waiting(relay, "you@later.example")
    assert tool(places, "queue", "freeze", id) == (0, "1 of 1 frozen.\n")
    relay.lines.wait_for(f"{id} frozen by ")
    assert relay.queue()[0]["frozen"]
    assert tool(places, "queue", "retry", id) == (0, "1 of 1 due.\n")
    relay.lines.wait_for(f"{id} Unfrozen by forced delivery")
    relay.lines.wait_for(" == you@later.example ", 2)
    assert tool(places, "queue", "freeze", "--recipient", "later") == (0, "1 of 1 frozen.\n")
    assert tool(places, "queue", "thaw", id) == (0, "1 of 1 no longer frozen.\n")
    relay.lines.wait_for(" == you@later.example ", 3)
    assert tool(places, "queue", "remove", "--all") == (0, "1 of 1 removed.\n")
    relay.lines.wait_for(f"{id} removed by ")
    relay.lines.wait_for(f"{id} Completed")
    assert relay.queue() == []


def test_a_bounce_is_delivered(places: Places, relay: Daemon) -> None:
    submit(places, "you@later.example")
    id = waiting(relay, "you@later.example")
    assert tool(places, "queue", "bounce", id) == (0, "1 of 1 given up.\n")
    relay.lines.wait_for(f"{id} cancelled by ")
    relay.lines.wait_for(rf" => me <me@{LOCAL_DOMAIN}> R=local T=mailbox")
    (file,) = (places.maildir / "new").iterdir()
    assert "X-Failed-Recipients: you@later.example" in file.read_text()


def test_what_is_being_delivered_is_left_alone(places: Places, relay: Daemon, hanging: socket.socket) -> None:
    """Nothing can be done to it until the attempt is over; and it is told."""
    submit(places, "you@hangs.example")
    connection, _ = hanging.accept()
    with connection:
        (one,) = relay.queue()
        for command in ("freeze", "remove", "bounce"):
            assert tool(places, "queue", command, one["id"]) == (
                1, f"{one['id']} is being delivered just now\n0 of 1 {PAST[command]}.\n",
            )  # fmt: skip
        assert tool(places, "exim", "-Mrm", one["id"]) == (1, f"Message {one['id']} is locked\n")
        assert tool(places, "queue", "health") == (0, "1 queued, 0 frozen, 1 under way\n")
    assert waiting(relay, "you@hangs.example") == one["id"]
    assert tool(places, "queue", "remove", one["id"]) == (0, "1 of 1 removed.\n")


PAST = {"freeze": "frozen", "remove": "removed", "bounce": "given up"}


def test_an_attempt_that_is_under_way_is_told(places: Places, relay: Daemon, hanging: socket.socket) -> None:
    """A host that says nothing keeps it for minutes: "not tried yet" was no help."""
    submit(places, "you@hangs.example")
    connection, _ = hanging.accept()
    with connection:
        (one,) = relay.queue()
        status, said = tool(places, "queue", "show", str(one["id"]))
    assert status == 0
    assert "an attempt is under way" in said
    assert "not tried yet" not in said


def test_exims_commands_steer_the_daemon(places: Places, relay: Daemon) -> None:
    submit(places, "you@later.example", "two@held.example")
    id = waiting(relay, "you@later.example")
    assert tool(places, "exim", "-Mf", id) == (0, f"Message {id} is now frozen\n")
    assert tool(places, "exim", "-q") == (0, "")
    assert tool(places, "exim", "-Mt", id) == (0, f"Message {id} is no longer frozen\n")
    assert tool(places, "exim", "-Mar", id, "more@later.example") == (0, f"Message {id} has been modified\n")
    relay.lines.wait_for(" == more@later.example ")
    assert tool(places, "exim", "-M", id) == (0, "")
    relay.lines.wait_for(r" => two <two@held\.example> R=held T=mailbox")
    relay.lines.wait_for(" == more@later.example ", 2)
    status, listed = tool(places, "exim", "-bp")
    assert status == 0
    assert re.fullmatch(
        rf" 0m +\d+ {id} <me@{LOCAL_DOMAIN}>\n"
        r"          you@later\.example\n        D two@held\.example\n          more@later\.example\n\n",
        listed,
    )
    assert tool(places, "exim", "-qff") == (0, "")
    relay.lines.wait_for("Start queue run: pid=.* -qff")
    relay.lines.wait_for(" == more@later.example ", 3)
    assert tool(places, "exim", "-Mmad", id) == (0, f"Message {id} has been modified\n\n")
    relay.lines.wait_for(f"{id} Completed")
    assert tool(places, "exim", "-bpc") == (0, "0\n")


def test_a_message_changes_houses(places: Places, relay: Daemon, tmp_path: Path) -> None:
    """Exported, removed, and imported again: the daemon delivers it as it was."""
    submit(places, "you@later.example")
    id = waiting(relay, "you@later.example")
    assert tool(places, "queue", "export", id, "--directory", str(tmp_path)) == (0, "")
    assert tool(places, "queue", "remove", id) == (0, "1 of 1 removed.\n")
    file = tmp_path / f"{id}.eml"
    file.write_bytes(file.read_bytes().replace(b"you@later.example", f"you@{LOCAL_DOMAIN}".encode(), 1))
    assert tool(places, "queue", "import", str(file))[0] == 0
    relay.lines.wait_for(rf" => you <you@{LOCAL_DOMAIN}> R=local T=mailbox")
    (mail,) = (places.maildir / "new").iterdir()
    assert mail.read_bytes().endswith(b"Subject: hello\n\nhello\n")


def test_sendmail_and_mailq_show_the_queue(places: Places, relay: Daemon) -> None:
    submit(places, "you@later.example")
    id = waiting(relay, "you@later.example")
    program = [sys.executable, "-m", "smarthostd.sendmail", "-C", str(places.directory / "smarthostd.conf"), "-bp"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == tool(places, "exim", "-bp")[1]
    assert id in done.stdout


def test_a_hold_is_told_wherever_somebody_looks(
    places: Places, daemon: StartDaemon, post: Post, tmp_path: Path
) -> None:
    """One run of the command; the list and the health answer say what is wrong; and a queue run tries again."""
    post.running.change_password("changed")
    told = tmp_path / "told"
    pager = tmp_path / "pager"
    pager.write_text(f'#!/bin/sh\ncat >> "{told}"\necho >> "{told}"\n')
    pager.chmod(0o755)
    text = forwarding(places, post.route, post.ca)
    relay = daemon(text.replace("\nbegin routers", f"\nalarm_command = {pager}\n\nbegin routers", 1))
    for _ in range(10):
        submit(places, "you@remote.example")
    relay.lines.wait_for(" ALARM: ")
    relay.lines.wait_for(" == you@remote.example ", 10)
    _, listed = tool(places, "queue")
    assert listed.startswith("mail for smarthost:127.0.0.1:")
    status, said = tool(places, "queue", "health")
    assert status == 1
    assert "is held: " in said
    _, story = tool(places, "queue", "show", relay.queue()[0]["id"])
    assert re.search(r"waits for smarthost:127\.0\.0\.1:\d+, which is held: .*refused the login", story)
    post.running.change_password("secret")
    assert tool(places, "queue", "run") == (0, "10 messages are due.\n")
    relay.lines.wait_for(" Completed", 10)
    relay.stop()
    (facts,) = map(json.loads, told.read_text().splitlines())
    assert facts["cause"] == "credential"
    assert facts["host"] == "relay.example"


def test_health_says_why_the_oldest_waits_and_where_the_disk_is_full(
    places: Places, daemon: StartDaemon, relay: Daemon
) -> None:
    """The first is nobody's fault, so that it is well; the second is not."""
    submit(places, "you@later.example")
    id = waiting(relay, "you@later.example")
    status, said = tool(places, "queue", "health")
    assert (status, said.splitlines()[0]) == (0, "1 queued, 0 frozen, 0 under way")
    assert re.fullmatch(rf"the oldest, {id}, has waited for \w+: come again", said.splitlines()[1])
    relay.stop()
    full = (places.directory / "smarthostd.conf").read_text()
    daemon("check_spool_space = 1000G\n" + full)
    status, said = tool(places, "queue", "health")
    assert status == 1
    assert re.search(r"^no new mail is taken: the disk of \S+ has \w+ left, and 1024000M are to stay free", said, re.M)
