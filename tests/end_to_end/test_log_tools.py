"""Debian's own tools for Exim's log, ``exigrep`` and ``eximstats``, and ``exiqgrep`` for its queue, read ours."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from smarthostd.demo.lines import PATIENCE
from tests.end_to_end import clients
from tests.end_to_end.conftest import Post, StartDaemon
from tests.end_to_end.relay import LOCAL_DOMAIN, Places, forwarding
from tests.peers import presence

MESSAGE = b"From: me@app.example\r\nSubject: hello\r\nMessage-ID: <%d@app.example>\r\n\r\nhello\r\n"
ENDS = """
begin routers

ends:
  driver = redirect
  domains = ends.example
  data = ${if eq{$local_part}{gone}{:fail: gone for good}{:defer: not today}}
  allow_fail
  allow_defer
"""
SELECTORS = {
    "the usual": "",
    "everything": "log_selector = +all",
    "everything that changes the time": "log_selector = +millisec +pid\nlog_timezone",
}


def tool(name: str, *words: str) -> str:
    """Return what one of Debian's programs prints."""
    program = presence.server("exim4-daemon-heavy") / "usr" / "sbin" / name
    done = subprocess.run(
        [presence.program("perl"), program, *words], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stderr == ""
    return done.stdout


@dataclass(frozen=True)
class Day:
    """What a day's mail has left behind."""

    log: str
    configuration: Path


@pytest.fixture(params=SELECTORS.values(), ids=SELECTORS.keys())
def day(request: pytest.FixtureRequest, places: Places, daemon: StartDaemon, post: Post) -> Day:
    """A day's mail: two for the smarthost in one message, one here, one that fails and bounces, one that waits."""
    directory = places.directory
    text = forwarding(places, post.route, post.ca).replace("\nbegin routers\n", ENDS)
    relay = daemon(
        text.replace("log_file_path = stderr", f"log_file_path = {directory}/log/%slog : stderr\n{request.param}")
    )
    mail = [
        ["one@remote.example", "two@remote.example"],
        [f"me@{LOCAL_DOMAIN}"],
        ["gone@ends.example"],
        ["later@ends.example"],
    ]
    for number, recipients in enumerate(mail):
        clients.smtplib_(places.port, "me@app.example", recipients, MESSAGE % number)
    relay.lines.wait_for(" == later@ends.example ")
    relay.lines.wait_for(" Completed", 4)
    return Day(f"{directory}/log/mainlog", directory / "smarthostd.conf")


def test_exigrep_collects_all_lines_of_a_message(day: Day) -> None:
    found = tool("exigrep", "--no-pager", "two@remote", day.log)
    flags = re.findall(r" \w{6}-\w{6}-\w{2} (<=|=>|->|\*\*|==|Completed)", found)
    assert flags == ["<=", "=>", "->", "Completed"]
    assert len(set(re.findall(r"\w{6}-\w{6}-\w{2}", found))) == 1


def test_exigrep_follows_a_bounce_to_its_message(day: Day) -> None:
    found = tool("exigrep", "--no-pager", "--related", "gone@ends", day.log)
    assert " ** gone@ends.example" in found
    assert " <= <> R=" in found
    assert " => me@app.example " in found


def test_eximstats_counts_what_happened(day: Day) -> None:
    found = tool("eximstats", "-t0", "-txt", day.log)
    assert _row(found, "Received") == "5"  # with the bounce
    assert _row(found, "Delivered") == "3"
    assert re.search(r"^\s*mailbox\s+\S+\s+1\s", found, re.MULTILINE)
    assert re.search(r"^\s*smarthost\s+\S+\s+2\s", found, re.MULTILINE)
    assert re.search(r"^\s*1 gone@ends\.example\s[^0-9]*gone\s+for\s+good", found, re.MULTILINE)


def _row(report: str, name: str) -> str:
    """Return the number of messages in a row of the grand total."""
    match = re.search(rf"^  {name} +\S+ +(\d+)", report, re.MULTILINE)
    assert match, report
    return match[1]


def test_exiqgrep_reads_the_queue(day: Day) -> None:
    """By sender, by recipient, by age; and counts it."""
    exim = f"{sys.executable} -m smarthostd exim"
    words = ["-E", exim, "-C", str(day.configuration)]
    (id,) = tool("exiqgrep", *words, "-i", "-r", "later@ends").split()
    assert re.fullmatch(r"\w{6}-\w{6}-\w{2}", id)
    assert tool("exiqgrep", *words, "-i", "-f", "^<me@app").split() == [id]
    assert tool("exiqgrep", *words, "-c", "-y", "3600").startswith("1 matches out of 1 messages")
    assert tool("exiqgrep", *words, "-i", "-z") == ""
