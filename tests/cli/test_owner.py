"""What root's tools leave behind in the daemon's places is the daemon's: it can go on with all of it."""

from __future__ import annotations

import asyncio
import os
import pwd
import time
from pathlib import Path

import pytest

from smarthostd.address import NULL_SENDER, Address
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.message_id import MessageIds
from smarthostd.spool.sqlite import SqliteSpool
from tests.cli.calls import Answer, call
from tests.clocks import HeldClock
from tests.peers import presence
from tests.peers.private import reachable

CONFIGURATION = """\
primary_hostname = client.example
spool_directory = @DIR@/spool
log_file_path = @DIR@/logs/%slog
runtime_directory = @DIR@/run
begin routers
maildir:
  driver = accept
  domains = maildir.example
  transport = maildir
box:
  driver = accept
  domains = box.example
  transport = box
never:
  driver = redirect
  data = :fail: no such user
  allow_fail
begin transports
maildir:
  driver = appendfile
  directory = @DIR@/mail/dir
  maildir_format
box:
  driver = appendfile
  file = @DIR@/mail/box
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory of the user nobody, with a configuration that anybody can read."""
    presence.root()
    reachable(tmp_path)
    home = tmp_path / "home"
    for folder in (home, home / "spool", home / "mail"):
        folder.mkdir()
        give(folder)
    configuration = tmp_path / "smarthostd.conf"
    configuration.write_text(CONFIGURATION.replace("@DIR@", str(home)))
    configuration.chmod(0o644)
    return home


def give(path: Path) -> None:
    user = pwd.getpwnam("nobody")
    os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def by_root(home: Path, *words: str) -> Answer:
    return call(["-C", str(home.parent / "smarthostd.conf"), *words])


def by_nobody(home: Path, *words: str) -> int:
    """Do the same as the user nobody, who may not even read the interpreter: in a copy of this process."""
    user = pwd.getpwnam("nobody")
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            answer = by_root(home, *words)
            status = answer.status if not answer.err else 98
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def put(home: Path, *recipients: str, sender: Address = NULL_SENDER) -> None:
    async def within() -> None:
        spool = await SqliteSpool.open(home / "spool")
        envelope = Envelope(sender, tuple(Recipient(Address.parse(one)) for one in recipients))
        id = MessageIds(HeldClock(time.time())).new()
        await spool.put(Message(id, time.time(), envelope, Content(b"Subject: hi\r\n\r\nbody\r\n")))
        await spool.close()

    asyncio.run(within())


def owners(home: Path) -> dict[str, int]:
    """Return whose each file is, but for nobody's."""
    uid = pwd.getpwnam("nobody").pw_uid
    return {str(one): one.lstat().st_uid for one in (home, *home.rglob("*")) if one.lstat().st_uid != uid}


def test_a_queue_run_by_root_before_the_first_start_leaves_nothing_of_roots(home: Path) -> None:
    put(home, "you@box.example", "you@maildir.example", "you@never.example", sender=Address("me", "box.example"))
    assert by_root(home, "-q").status == 0
    log = home / "logs" / "mainlog"
    assert log.read_text().count(" Completed\n") == 2
    assert (home / "mail" / "box").exists()
    assert list((home / "mail" / "dir" / "new").iterdir())
    assert owners(home) == {}

    put(home, "you@box.example", "you@maildir.example")
    assert by_nobody(home, "-q") == 0
    assert log.read_text().count(" Completed\n") == 3
    assert owners(home) == {}


def test_root_writes_into_no_file_that_another_user_has_put_in_a_logs_place(home: Path) -> None:
    """A symbolic link or a second name of root's file would let that user write there, or be given it."""
    precious = home.parent / "precious"
    precious.write_text("precious\n")
    logs = home / "logs"
    logs.mkdir()
    give(logs)
    log = logs / "mainlog"
    log.symlink_to(precious)
    give(log)
    refused = by_root(home, "-q")
    assert refused.status != 0
    assert f"cannot write the log {log}: Too many levels of symbolic links" in refused.err
    log.unlink()
    log.hardlink_to(precious)
    refused = by_root(home, "-q")
    assert f"cannot write the log {log}: it has a second name, and root does not write there" in refused.err
    assert precious.read_text() == "precious\n"
    assert precious.stat().st_uid == 0


def test_a_link_that_root_has_made_is_followed(home: Path) -> None:
    elsewhere = home.parent / "elsewhere"
    logs = home / "logs"
    logs.mkdir()
    give(logs)
    (logs / "mainlog").symlink_to(elsewhere)
    put(home, "you@box.example")
    assert by_root(home, "-q").status == 0
    assert " Completed\n" in elsewhere.read_text()
