"""Mail taken from a command line, by the real Exim and by ``smarthostd exim --strict``.

Both get the same calls, one after the other, and are compared in what they print, their exit statuses, their logs, what
lies in a mailbox, and what is left in the queue. What may differ by nature is made the same: ids, times, sizes, the order
in which lines are added to a header, and the line that Exim logs because it runs under another configuration.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cli.calls import call
from tests.end_to_end.golden import comparable
from tests.peers.exim import Exim

CONFIGURATION = """\
primary_hostname = client.example.net
qualify_domain = example.net
spool_directory = @DIR@/spool
log_file_path = @DIR@/log/%slog
timezone = UTC
keep_environment =
tls_advertise_hosts =
acl_smtp_rcpt = accept
@MAIN@

begin routers
elsewhere:
  driver = manualroute
  domains = remote.example
  route_list = * 127.0.0.1::9 byname
  self = send
  transport = remote
here:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = @DIR@/mail/box
  user = root
remote:
  driver = smtp
  allow_localhost
begin retry
* * F,2h,15m
"""
OURS = "runtime_directory = @DIR@/run\ndrop_directory = @DIR@/drop\n"
M = "From: a@b.example\nSubject: x\n\nbody\n"
T = ["-odi", "-f", "s@example.net"]
HELLO = "EHLO x\r\n"
BEGUN = f"{HELLO}MAIL FROM:<a@b.example>\r\nRCPT TO:<r@x.example>\r\n"
WHOLE = "MAIL FROM:<a@b.example>\r\nRCPT TO:<r@x.example>\r\nDATA\r\nSubject: x\r\n\r\nbody\r\n.\r\n"
LOCAL = WHOLE.replace("\r\n", "\n")
Call = tuple[list[str], str]


@dataclass
class Outcome:
    """What came of some calls."""

    answers: list[tuple[str, str, int]] = field(default_factory=list)
    log: dict[str, list[str]] = field(default_factory=dict)
    panic: list[str] = field(default_factory=list)
    box: list[str] = field(default_factory=list)
    queue: str = ""


_PRIVILEGE = re.compile(r"^.*exim user lost privilege for using -C option\n", re.MULTILINE)
_ID = re.compile(r"\b[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}\b")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", re.MULTILINE)


def _lines(path: Path) -> list[str]:
    text = path.read_text(errors="surrogateescape") if path.exists() else ""
    return [line for line in _STAMP.sub("", _PRIVILEGE.sub("", text)).splitlines() if line]


def _outcome(answers: Sequence[tuple[str, str, int]], directory: Path, queue: str) -> Outcome:
    """Return what there is to be seen, ids numbered as they first stand in the log."""
    log = _lines(directory / "log" / "mainlog")
    ids = list(dict.fromkeys(id for line in log for id in _ID.findall(line)))

    def named(text: str) -> str:
        for number, id in enumerate(ids, 1):
            text = text.replace(id, f"@ID{number}@")
        return _STAMP.sub("", _PRIVILEGE.sub("", text)).replace("\r\n", "\n")

    box = directory / "mail" / "box"
    return Outcome(
        [(re.sub(r"^220 .*", "220 greeting", named(out)), named(err), status) for out, err, status in answers],
        comparable.log(map(named, log)),
        [named(line) for line in _lines(directory / "log" / "paniclog")],
        comparable.mbox(named(box.read_text(errors="surrogateescape"))) if box.exists() else [],
        comparable.printed(named(queue)),
    )


def by_exim(calls: Sequence[Call], directory: Path, main: str) -> Outcome:
    """Have the real Exim take the mail."""
    text = f"exim_path = /usr/sbin/exim4\n{CONFIGURATION}".replace("@MAIN@", main).replace("@DIR@", str(directory))
    exim = Exim(directory, text.replace("user = root", "user = Debian-exim"))
    answers = []
    for words, stdin in calls:
        done = exim.run(*words, stdin=stdin.encode("utf-8", "surrogateescape"))
        out, err = (octets.decode("utf-8", "surrogateescape") for octets in (done.stdout, done.stderr))
        answers.append((out, err, done.returncode))
    return _outcome(answers, directory, exim.run("-bp").stdout.decode())


def by_us(calls: Sequence[Call], directory: Path, main: str) -> Outcome:
    """Take it ourselves."""
    for name in ("log", "mail"):
        (directory / name).mkdir(parents=True)
    conf = directory / "conf"
    conf.write_text((OURS + CONFIGURATION).replace("@MAIN@", main).replace("@DIR@", str(directory)))
    answers = [call(["--strict", "-C", str(conf), *words], stdin) for words, stdin in calls]
    queue = call(["--strict", "-C", str(conf), "-bp"]).out
    return _outcome([(one.out, one.err, one.status) for one in answers], directory, queue)


MAIL: dict[str, tuple[list[Call], str]] = {
    "delivered at once": ([(["-odi", "-f", "s@example.net", "a@x.example"], M)], ""),
}
