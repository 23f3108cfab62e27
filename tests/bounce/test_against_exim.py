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
END = """
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
"""What both configurations have last: a router that puts off, a mailbox, retry rules."""
ROUTERS = """
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


SKIPPING = """
begin routers
own:
  driver = accept
  domains = here.example : there.example : copies.example : client.example
  transport = file
list:
  driver = redirect
  domains = list.example
  data = DATA
  skip_syntax_errors
  OPTIONS
last:
  driver = redirect
  domains = list.example
  data = last@here.example
"""
TO = "syntax_errors_to = admin@there.example"


@pytest.mark.parametrize(
    ("data", "options", "reports"),
    [
        pytest.param("a@here.example, foo bar, user@", TO, 1, id="others are left"),
        pytest.param("foo bar", TO, 1, id="nothing is left"),
        pytest.param("a@here.example, foo bar, :blackhole:", TO, 1, id="a discard, which declines"),
        pytest.param("a@here.example, foo bar, /dev/null", f"{TO}\n  file_transport = file", 1, id="a file"),
        pytest.param(
            "a@here.example, foo bar",
            f"{TO}\n  syntax_errors_text = In $local_part@$domain of $message_exim_id:\\n\\nsee \"x\"", 1, id="a text",
        ),
        pytest.param(
            "a@here.example, foo bar",
            "syntax_errors_to = real-$local_part@here.example, Two <two@there.example>", 2, id="two readers",
        ),
        pytest.param("a@here.example, foo bar", "syntax_errors_to = admin", 1, id="a bare name"),
        pytest.param("a@here.example, foo bar", "syntax_errors_to = foo bar", 0, id="no address"),
        pytest.param("a@here.example, foo bar", "syntax_errors_to = ${{if eq{{1}}{{2}}{{x}}}}", 0, id="nobody"),
        pytest.param("a@here.example, foo bar", "allow_fail", 0, id="without syntax_errors_to"),
        pytest.param("foo bar, :fail: no", f"{TO}\n  allow_fail", 2, id="a failure, of which alone is told"),
    ],
)  # fmt: skip
async def test_what_was_skipped_in_a_redirection_is_told_the_same(
    tmp_path: Path, data: str, options: str, reports: int
) -> None:
    """But for References, which Exim 4.96 puts below the header."""
    envelope = Envelope(Address("me", "here.example"), (Recipient(Address("x", "list.example")),))
    routers = SKIPPING.replace("DATA", data).replace("OPTIONS", options)
    theirs = _exims(tmp_path / "exim", envelope, routers)
    assert len(theirs) == reports
    ours = await _ours(tmp_path / "ours", envelope, routers)
    assert ours == [re.sub(r"(Subject: .*\n)\n(References: .*\n)", r"\2\1\n", one) for one in theirs]


def _exims(directory: Path, envelope: Envelope, routers: str = ROUTERS) -> list[str]:
    main = MAIN.replace("exim_strict = all\n", "dsn_advertise_hosts = *\nacl_smtp_rcpt = accept\nkeep_environment =\n")
    exim = Exim(directory, (main + routers + END).format(directory=directory))
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


async def _ours(directory: Path, envelope: Envelope, routers: str = ROUTERS) -> list[str]:
    (directory / "mail").mkdir(parents=True)
    configuration = directory / "smarthostd.conf"
    configuration.write_text((MAIN + routers + END).format(directory=directory))
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
    found = [one for one in re.split(r"^From .*\n", box, flags=re.MULTILINE) if "Auto-Submitted" in one]
    return sorted(_comparable(one) for one in found)


def _comparable(report: str) -> str:
    header, _, body = report.partition("\n\n")
    header = _without(header, "Received|Message-Id|Date")
    text = f"{header.strip()}\n\n{_without(body, 'Received').strip()}"
    text = re.sub(r"[0-9a-f]+-eximdsn-[0-9a-f]+", "BOUNDARY", text)
    return re.sub(r"\b\w{6}-\w{6}-\w\w\b", "ID", text)


def _without(header: str, names: str) -> str:
    return re.sub(rf"^(?:{names}): .*\n?(?:[ \t].*\n?)*", "", header, flags=re.MULTILINE)
