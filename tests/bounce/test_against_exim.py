"""The real Exim and we, with one configuration and one message: every report is the same (``exim_strict = all``)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smarthostd.address import Address
from smarthostd.config.load import load
from smarthostd.envelope import Envelope, Recipient
from tests.peers.exim import Exim
from tests.road import road

AGE = 4000
"""Seconds that a message waits: an hour, for the warning, and something."""
MAIN = """
primary_hostname = client.example
exim_strict = all
spool_directory = {directory}/spool
log_file_path = {directory}/log/%s
errors_reply_to = help@here.example
errors_copy = *@here.example copy@copies.example
bounce_message_text = Call me.
warn_message_file = {directory}/warning
delay_warning = 1h
"""
WARNING = """Subject: $warn_message_delay
X-For: $warn_message_recipients
****
About "$h_subject:" from $sender_address:
****
Good-bye.
"""
REST = """
begin routers
own:
  driver = accept
  domains = here.example : copies.example : there.example
  transport = file
single:
  driver = redirect
  domains = single.example
  data = a@fail.example
second:
  driver = redirect
  domains = twice.example
  data = again@single.example
hide:
  driver = redirect
  domains = hide.example
  data = c@fail.example
  hide_child_in_errmsg
owned:
  driver = redirect
  domains = owned.example
  data = :fail: refused for the owner
  allow_fail
  errors_to = owner@here.example
fail:
  driver = redirect
  domains = fail.example
  data = :fail: no such user: this text is long enough for a break: and goes on for a while
  allow_fail
defer:
  driver = redirect
  domains = defer.example
  data = :defer: not now
  allow_defer

begin transports
file:
  driver = appendfile
  file = {directory}/mail/box

begin retry
* * F,1d,1s
"""
CONTENT = (
    b"Subject: a test\r\nReferences: <a@b>\r\n <c@d>\r\nMessage-Id: <e@f>\r\nFrom: Me <me@here.example>\r\n"
    b"Date: Mon, 01 Jan 2024 00:00:00 +0000\r\n\r\nbody\r\n"
)
ORIGINAL = "rfc822;you+40there.example"


@pytest.mark.parametrize(
    ("recipients", "reports"),
    [
        pytest.param([Recipient(Address("you", "there.example"), "SUCCESS", ORIGINAL)], 1, id="a success"),
        pytest.param([Recipient(Address("m", "fail.example"), "FAILURE", ORIGINAL)], 2, id="a failure, and a copy"),
        pytest.param([Recipient(Address("n", "fail.example"), "NEVER")], 0, id="a failure that nobody wants told"),
        pytest.param([Recipient(Address("x", "nowhere.example"))], 2, id="no route"),
        pytest.param([Recipient(Address("l", "single.example"), "FAILURE", ORIGINAL)], 2, id="an alias"),
        pytest.param([Recipient(Address("t", "twice.example"))], 2, id="an alias of an alias"),
        pytest.param([Recipient(Address("h", "hide.example"), "FAILURE")], 2, id="hide_child_in_errmsg"),
        pytest.param([Recipient(Address("o", "owned.example"))], 2, id="errors_to"),
        pytest.param([Recipient(Address("z", "defer.example"))], 1, id="a warning with texts of one's own"),
        pytest.param([Recipient(Address("z", "defer.example"), "FAILURE")], 0, id="a warning that nobody wants"),
    ],
)
@pytest.mark.parametrize("ret", ["", "FULL", "HDRS"])
async def test_every_report_is_the_same(tmp_path: Path, recipients: list[Recipient], reports: int, ret: str) -> None:
    envelope = Envelope(Address("me", "here.example"), tuple(recipients), ret, "QQ+2B1")
    theirs = _exims(tmp_path / "exim", envelope)
    assert len(theirs) == reports
    assert await _ours(tmp_path / "ours", envelope) == theirs


def _exims(directory: Path, envelope: Envelope) -> list[str]:
    main = MAIN.replace("exim_strict = all\n", "dsn_advertise_hosts = *\nacl_smtp_rcpt = accept\nkeep_environment =\n")
    exim = Exim(directory, (main + REST).format(directory=directory))
    _write_warning(directory)
    ret = f" RET={envelope.ret}" * bool(envelope.ret)
    commands = ["EHLO client", f"MAIL FROM:<{envelope.sender}>{ret} ENVID={envelope.envid}"]
    for one in envelope.recipients:
        notify, orcpt = f" NOTIFY={one.notify}" * bool(one.notify), f" ORCPT={one.orcpt}" * bool(one.orcpt)
        commands.append(f"RCPT TO:<{one.address}>{notify}{orcpt}")
    dialogue = "".join(f"{line}\r\n" for line in [*commands, "DATA"]).encode() + CONTENT + b".\r\nQUIT\r\n"
    session = exim.run("-odf", "-bs", stdin=dialogue)
    assert b"250 OK id=" in session.stdout, session.stdout.decode()
    for spooled in (directory / "spool" / "input").glob("*-H"):
        _age(spooled)
        exim.run("-qff")
    return _reports(directory)


def _age(spooled: Path) -> None:
    """Make a message in Exim's spool as old as a warning wants it."""
    start, received, rest = re.split(rb"^(\d{10})(?= \d+$)", spooled.read_bytes(), maxsplit=1, flags=re.MULTILINE)
    spooled.write_bytes(start + b"%d" % (int(received) - AGE) + rest)


async def _ours(directory: Path, envelope: Envelope) -> list[str]:
    (directory / "mail").mkdir(parents=True)
    configuration = directory / "smarthostd.conf"
    configuration.write_text((MAIN + REST).format(directory=directory))
    _write_warning(directory)
    async with road(directory / "mail" / "box", load(configuration, {}).settings) as one:
        await one.put_envelope(envelope, CONTENT)
        for seconds in (0, AGE):  # what waits is tried again, and its sender warned
            one.pass_(seconds)
            await one.empty_or_waiting()
    return _reports(directory)


def _write_warning(directory: Path) -> None:
    (directory / "warning").write_text(WARNING)
    (directory / "warning").chmod(0o644)


def _reports(directory: Path) -> list[str]:
    """Return the reports in the mailbox, in order, without what differs from run to run."""
    mailbox = directory / "mail" / "box"
    box = mailbox.read_text() if mailbox.exists() else ""
    found = [one for one in re.split(r"^From .*\n", box, flags=re.MULTILINE) if "multipart/report" in one]
    return sorted(_comparable(one) for one in found)


def _comparable(report: str) -> str:
    header, _, body = report.partition("\n\n")
    header = _without(header, "Received|Message-Id|Date")
    text = f"{header.strip()}\n\n{_without(body, 'Received').strip()}"
    text = re.sub(r"[0-9a-f]+-eximdsn-[0-9a-f]+", "BOUNDARY", text)
    return re.sub(r"\b\w{6}-\w{6}-\w\w\b", "ID", text)


def _without(header: str, names: str) -> str:
    return re.sub(rf"^(?:{names}): .*\n?(?:[ \t].*\n?)*", "", header, flags=re.MULTILINE)
