"""Mail taken from a command line, by the real Exim and by ``smarthostd exim --strict``.

Both get the same calls, one after the other, and are compared in what they print, their exit statuses, their logs, what
lies in a mailbox, and what is left in the queue. What may differ by nature is made the same: ids, times, sizes, the
order in which lines are added to a header, and the line that Exim logs because it runs under another configuration.
"""

from __future__ import annotations

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
LINE = "y" * 70 + "\r\n"
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
_ROOM = re.compile(r"space=\d+ inodes=\d+")
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
        comparable.log(_ROOM.sub("space=N inodes=N", named(line)) for line in log),
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
        exim.wait()
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
    "delivered at once": ([([*T, "a@x.example"], M), (["-odf", "a@x.example"], M), (["a@x.example"], M)], ""),
    "queued": ([(["-odq", "a@x.example"], M)], ""),
    "queued for other hosts": ([([*T, "-odqs", "a@x.example", "r@remote.example"], M)], ""),
    "queued by the configuration": ([(["r@x.example"], M), ([*T, "r@x.example"], M)], "queue_only"),
    "queued whatever is said": ([([*T, "r@x.example"], M)], "queue_only\nno_queue_only_override"),
    "several addresses in one word": (
        [([*T, "a@x.example, b@x.example", "<c@x.example>", "D E <d@x.example>"], M)], "",
    ),
    "recipients of the header": ([([*T, "-t"], "To: a@x.example, B <b@x.example>\nBcc: c@x.example\n\nbody\n")], ""),
    "recipients of the header, but one": ([([*T, "-t", "a@x.example"], "To: a@X.example, b@x.example\n\nbody\n")], ""),
    "recipients of a message that was sent on": (
        [([*T, "-t"], "Resent-To: r@x.example\nResent-Bcc: q@x.example\nBcc: z@x.example\nTo: a@x.example\n"
          "Resent-Date: today\n\nb\n")], "",
    ),
    "an empty group": ([([*T, "-t"], "To: nobody:;\nCc: a@x.example\n\nb\n")], ""),
    "no recipients": ([([*T, "-t", *way], "From: a@b.example\n\nbody\n") for way in (
        [], ["-oem"], ["-oee"], ["-oep"], ["-oeq"], ["-oew"], ["-em"], ["-ep"],
    )], ""),
    "no recipients, and nobody to tell": ([(["-odi", "-t", "-f", "<>"], "From: a@b.example\n\nbody\n")], ""),
    "no recipients but those left out": (
        [([*T, "-t", "a@x.example"], "To: a@x.example\n\nbody\n"),
         ([*T, "-t", "-oep", "a@x.example"], "To: a@x.example\n\nbody\n")], "",
    ),
    "an argument that is no address": ([([*T, *way, "ok@x.example", "bad bad, a@"], M) for way in (
        [], ["-oee"], ["-oep"],
    )], ""),
    "an argument that is no address, and nobody to tell": ([(["-odi", "-f", "<>", "bad bad"], M)], ""),
    "a bare address that may not be": (
        [([*T, "-bnq", "-oep", "r"], M), (["-odi", "-bnq", "-f", "s", "r@x.example"], M)], "",
    ),
    "a header with what is no address": (
        [([*T, "-t", *way], "To: good@x.example, bad bad bad\n\nbody\n") for way in ([], ["-oep"], ["-oee"])], "",
    ),
    "a header with nothing but such": (
        [([*T, "-t", *way], "To: bad bad bad\nCc: a@b@c, x y\n\nbody\n") for way in ([], ["-oep"])], "",
    ),
    "too big": (
        [([*T, *way, "a@x.example"], f"{M}{'y' * 2000}\n") for way in ([], ["-oep"])], "message_size_limit = 2K",
    ),
    "too many recipients": (
        [([*T, *way, "r@x.example", "q@x.example"], M) for way in ([], ["-oep"])], "recipients_max = 1",
    ),
    "a header that is too big": (
        [([*T, "-oep", "r@x.example"], f"X: {'y' * 2000}\n\nb\n")], "header_maxsize = 2000",
    ),
    "where it is said to come from": (
        [([*T, "-odq", *words, "a@x.example"], M) for words in (
            ["-oMa", "192.0.2.9.99", "-oMs", "h.example", "-oMt", "me", "-oMr", "p", "-oMaa", "au", "-oMai", "id1"],
            ["-oMa", "192.0.2.9"], ["-oMs", "h.example"], ["-oMt", "me"], ["-oMaa", "au"], ["-pp:h.example"],
            ["-oMr", "scanned"], ["-oMa", "bad"], ["-oMm", "abc"], ["-oMm", "1xXZUd-0005Sa-30"],
        )], "",
    ),
    "a login without a name for it": ([(["-odq", "-oMaa", "au", "a@x.example"], M)], ""),
    "the author": (
        [([*words, "a@x.example"], "Subject: x\n\nb\n") for words in (
            ["-odi", "-F", "J D"], [*T, "-F", "J D"], ["-odi"], ["-odi", "-F", ""],
        )], "",
    ),
    "hardly a message": ([([*T, "r@x.example"], text) for text in ("", "\n", "body only\n", ".\n", "a: b", "\nb")], ""),
    "a dot": ([([*T, *way, "r@x.example"], f"{M}.\nmore\n") for way in ([], ["-i"], ["-oi"], ["-oitrue"])], ""),
    "things that do not go together, and some that do": (
        [(words, M) for words in (
            ["-f", "s@x"], ["-i"], ["-bi"], ["-bm"], ["-bs", "-f", "a@b"], ["-bs", "-t"], ["-q", "-t"], ["-bi", "-t"],
            ["-bt", "-t"], ["-bP", "-t"], ["-bp", "-t"], ["-bp", "-bs"], ["-bs", "-brt", "x"], ["-bS", "-bt"],
            ["-f", "a@b@c", "r@x.example"],
        )], "",
    ),
    "the case of an address": (
        [(["-odi", address], M) for address in (
            "A@X.Example", "a@X.example", "A@Remote.Example", "a@Remote.example", "A@Held.Example", "A@Queued.example",
        )], "hold_domains = held.example\nqueue_domains = queued.example",
    ),
}  # fmt: skip


SESSIONS: dict[str, tuple[list[str], str]] = {
    "a message": ([f"{HELLO}{WHOLE}QUIT\r\n", f"{HELLO}{WHOLE}{WHOLE}QUIT\r\n", f"{HELLO}{WHOLE}"], ""),
    "local line ends": ([f"{HELLO}{WHOLE}QUIT\r\n".replace("\r\n", "\n")], ""),
    "the client goes": (
        ["", HELLO, f"{HELLO}MAIL FROM:<a@b.example>\r\n", f"{BEGUN}DATA\r\nSubj", f"{BEGUN}DATA\r\nSubject: x\r\n",
         f"{BEGUN}DATA\r\nSubject: x\r\n\r\nbo\r\n"], "",
    ),
    "greetings": (
        ["EHLO  two words\r\nEHLO [1.2.3.4]\r\nEHLO a.b-c.d\r\nehlo x\r\nHELO\r\nQUIT\r\n", HELLO + "EHLO\r\n" * 7,
         f"{BEGUN}HELO y\r\nRCPT TO:<r@x.example>\r\nQUIT\r\n"], "",
    ),
    "greetings that are not taken": (
        [f"{HELLO}HELO\r\nMAIL FROM:<a@b.example> SIZE=10\r\nEHLO\r\nMAIL FROM:<a@b.example> SIZE=10\r\nQUIT\r\n",
         "HELO x\r\nEHLO\r\nMAIL FROM:<a@b@c>\r\nRCPT TO:<r@x.example>\r\nRCPT TO:<r@x.example>\r\nQUIT\r\n",
         "HELO x\r\nEHLO\r\nAUTH PLAIN\r\nQUIT\r\n"], "",
    ),
    "ETRN in a transaction": ([f"{HELLO}MAIL FROM:<>\r\nETRN #x\r\nRSET\r\nETRN #x\r\nQUIT\r\n"], ""),
    "arguments where none belong": ([f"{HELLO}RSET x\r\nDATA x\r\nQUIT x\r\nNOOP x\r\nHELP x\r\nQUIT\r\n"], ""),
    "MAIL": (
        [f"{HELLO}MAIL FROM:\r\nMAIL FROM: <a@b> BODY=9\r\nMAIL FROM:<a@b> SIZE=x\r\nQUIT\r\n",
         f"{HELLO}MAIL FROM:<a@b.example>\r\nMAIL FROM:<c@b.example>\r\nRSET\r\nRCPT TO:<r@x.example>\r\nQUIT\r\n",
         f"{HELLO}MAIL FROM:<a@b>x\r\nMAIL FROM:<a@b\r\nMAIL FROM:<a@>\r\nMAIL FROM:<@b>\r\nMAIL FROM:<>\r\nQUIT\r\n",
         "MAIL FROM:<a@b>\r\nHELO x\r\nMAIL FROM:<a@b> SIZE=3\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@b> NOTIFY=NEVER\r\n",
         f"{HELLO}MAIL\r\nMail From:<a@b> FOO=1\r\nmail from:<a@b> AUTH=<> BODY=8BITMIME SIZE=100\r\nQUIT\r\n",
         f"{HELLO}MAIL FROM:<ü@b.example>\r\nRSET\r\nMAIL FROM:<ü@b.example> SMTPUTF8\r\nRCPT TO:<ü@x.example>\r\n"
         "DATA\r\nSubject: x\r\n\r\nb\r\n.\r\nQUIT\r\n"], "smtp_max_synprot_errors = 5",
    ),
    "RCPT": (
        [f'{HELLO}MAIL FROM:<a@b>\r\nRCPT TO:<"a b"@x.example>\r\nRCPT TO:Joe <r@x.example>\r\n'
         "RCPT TO:<r@[1.2.3.4]>\r\nRCPT TO:<r@x_y.example>\r\nRCPT TO:<r@-x.example>\r\nRCPT TO:<r@@x>\r\n"
         "RCPT TO:<>\r\nRCPT TO:<postmaster>\r\n",
         f"{HELLO}MAIL FROM:<local>\r\nRCPT TO:<local>\r\nRCPT TO:<@a,@b:Postmaster>\r\nDATA\r\nx: y\r\n.\r\n",
         f"{HELLO}MAIL FROM:<a@b>\r\nRCPT TO:\r\nRCPT TO:<u@x.example\r\nRCPT u@x.example\r\nQUIT\r\n"],
        "smtp_max_synprot_errors = 5",
    ),
    "too many recipients": (
        [f"{BEGUN}RCPT TO:<b@x.example>\r\nDATA\r\nSubject: x\r\n\r\nb\r\n.\r\nQUIT\r\n"], "recipients_max = 1",
    ),
    "DATA too early": (
        [HELLO + "DATA\r\n" * 7, f"{HELLO}MAIL FROM:<a b>\r\nRCPT TO:<r@x.example>\r\nDATA\r\nQUIT\r\n"],
        "",
    ),
    "chunks": (
        [f"{BEGUN}BDAT 14\r\nSubject: x\r\n\r\nNOOP\r\nBDAT 4 LAST\r\nbodyQUIT\r\n",
         f"{BEGUN}BDAT 14\r\nSubject: x\r\n\r\nRSET\r\nQUIT\r\n", f"{BEGUN}BDAT 14\r\nSubject: x\r\n\r\nQUIT\r\n",
         f"{BEGUN}BDAT 14\r\nSubject: x\r\n\r\nFOO\r\nQUIT\r\n", f"{BEGUN}BDAT 1\r\nQUIT\r\n", f"{BEGUN}BDAT 3\r\n",
         f"{HELLO}BDAT 4\r\nabcdBDAT\r\nBDAT x\r\nQUIT\r\n", "HELO x\r\nBDAT 4\r\nQUIT\r\n",
         f"{BEGUN}BDAT 0\r\nBDAT 0 LAST\r\nQUIT\r\n"], "",
    ),
    "line ends": (
        [f"{BEGUN}DATA\r\nSubject: x\r\nX-A: a\nb\r\n\r\nbo\ndy\n.\nmore\r\nx\ry\r\n.\r\nQUIT\r\n",
         f"{BEGUN}DATA\r\nSubject: x\n\r\nb\nc\r\n.\r\nQUIT\r\n"], "",
    ),
    "hardly a message": (
        [f"{BEGUN}DATA\r\n{text}.\r\nQUIT\r\n" for text in ("no header\r\n", "", "x: y\r\n\r\n..\r\n..x\r\n")], "",
    ),
    "other commands": (
        [f"{HELLO}VRFY\r\nVRFY <a@b\r\nVRFY a@b\r\nEXPN\r\nETRN x\r\nSTARTTLS\r\nAUTH PLAIN\r\nQUIT\r\n",
         f"{HELLO}FOO\r\nBAR\r\nBAZ\r\nQUX\r\nQUIT\r\n", f"{HELLO}X\0Y\r\nQUIT\r\n"], "smtp_max_synprot_errors = 5",
    ),
    "too big": (
        [f"{BEGUN}DATA\r\nSubject: x\r\n\r\n{LINE * 20}.\r\nQUIT\r\n",
         f"{HELLO}MAIL FROM:<a@b> SIZE=2000\r\nMAIL FROM:<a@b> SIZE=99999999999\r\nRCPT TO:<r@x>\r\nDATA\r\nQUIT\r\n"],
        "message_size_limit = 1K",
    ),
    "no room": (
        [f"{HELLO}MAIL FROM:<a@b>\r\nMAIL FROM:<a@b> SIZE=9\r\nQUIT\r\n",
         f"{HELLO}MAIL FROM:<a@b.example>\r\nRCPT TO:<r@x.example>\r\nQUIT\r\n"], "check_spool_space = 1000G",
    ),
    "not offered": (
        [f"{HELLO}{BDAT}QUIT\r\n" for BDAT in ("MAIL FROM:<a@b>\r\nRCPT TO:<r@x.example>\r\nBDAT 4\r\nabcd",)],
        "pipelining_advertise_hosts =\nchunking_advertise_hosts =\nsmtputf8_advertise_hosts =\nno_accept_8bitmime",
    ),
    "many messages": ([f"{HELLO}{WHOLE * 3}QUIT\r\n"], "smtp_accept_max_per_connection = 2"),
    "many messages, some only queued": ([f"{HELLO}{WHOLE * 3}QUIT\r\n"], "smtp_accept_queue_per_connection = 2"),
    "notifications": (
        [f"{HELLO}MAIL FROM:<a@b> RET=FOO\r\nMAIL FROM:<a@b> RET=FULL ENVID=abc\r\nRCPT TO:<r@x.example> NOTIFY=FOO\r\n"
         "RCPT TO:<r@x.example> NOTIFY=NEVER ORCPT=rfc822;a@b\r\nRCPT TO:<r@x.example> NOTIFY=NEVER NOTIFY=NEVER\r\n"
         "RCPT TO:<r@x.example> FOO=1\r\nQUIT\r\n"], "dsn_advertise_hosts = *\nsmtp_max_synprot_errors = 9",
    ),
    "what the log may say": (
        [f"{HELLO}FOO\r\nDATA\r\nMAIL FROM:<a b>\r\nQUIT\r\n"],
        "log_selector = +smtp_syntax_error +smtp_protocol_error +smtp_connection",
    ),
}  # fmt: skip


BATCHES: dict[str, tuple[list[str], str]] = {
    "messages": (
        [LOCAL, LOCAL * 2, f"HELO x\n{LOCAL}RSET\nNOOP\nVRFY x\n{LOCAL}", f"EHLO x\n{LOCAL}QUIT\nfoo\n", ""], "",
    ),
    "more than are delivered at once": ([LOCAL * 12], ""),
    "lines are counted": (
        [*(f"MAIL FROM:<a@b>\nRCPT TO:<r@x.example>\nDATA\n{data}.\nFOO\n" for data in (
            "", "Subject: x\n", "Subject: x\n\n", "\n", "Subject: x\n\nb\n",
        )), "   \n", "EHLO x\n\nFOO\n"], "",
    ),
    "mistakes": (
        [f"MAIL FROM:<a b>\n{LOCAL}", f"{LOCAL}FOO\n{LOCAL}", "RCPT TO:<a@b>\n", f"{LOCAL}DATA\n{LOCAL}",
         f"MAIL FROM:<a@b.example>\nRCPT TO:<bad@@bad>\n{LOCAL}", "MAIL FROM:<a@b.example> SIZE=9\n",
         "MAIL FROM:<a@b>\nMAIL FROM:<a@b>\n", "BDAT 3\nabc", "MAIL FROM:\n", "MAIL FROM:<a@b>\nRCPT TO:\n",
         "HELP\nEXPN x\nETRN x\nSTARTTLS\nAUTH x\nQUIT", "MAIL FROM:<a@b>\nDATA\n", "QUIT x\n"], "",
    ),
    "cut": ([f"{LOCAL}MAIL FROM:<a@b>\nRCPT TO:<r@x>\nDATA\nSubject: cut\n\nbo", "MAIL FROM:<a@b>\n"], ""),
    "bare addresses, routes and dots": (
        ["MAIL FROM:<local>\nRCPT TO:<local>\nDATA\nSubject: x\n\nb\n.\n",
         "mail from:<a@b.example>\nrcpt to:<@x,@y:r@x.example>\ndata\nSubject: x\n\n..b\n.\nquit\n"], "",
    ),
    "too big": (
        [f"MAIL FROM:<a@b.example>\nRCPT TO:<r@x.example>\nDATA\nx: y\n\n{'y' * 600}\n.\n{LOCAL}"],
        "message_size_limit = 500",
    ),
    "too many recipients": (
        ["MAIL FROM:<a@b.example>\nRCPT TO:<r@x.example>\nRCPT TO:<q@x.example>\n"], "recipients_max = 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("calls", "main"), MAIL.values(), ids=MAIL)
def test_mail_is_taken_alike(calls: list[Call], main: str, tmp_path: Path) -> None:
    """Addresses, ``-t``, ``-od…``, ``-oe…``, ``-oM…``."""
    assert by_us(calls, tmp_path / "ours", main) == by_exim(calls, tmp_path / "exim", main)


def test_a_delivery_is_bypassed_alike(tmp_path: Path) -> None:
    """``-N``: the same log; Exim also shows it while it is written."""
    calls = [([*T, "-N", "r@x.example", "q@remote.example"], M)]
    ours, exims = by_us(calls, tmp_path / "ours", ""), by_exim(calls, tmp_path / "exim", "")
    assert (ours.log, ours.box, ours.queue) == (exims.log, exims.box, exims.queue)


@pytest.mark.parametrize(("sessions", "main"), SESSIONS.values(), ids=SESSIONS)
def test_a_session_is_held_alike(sessions: list[str], main: str, tmp_path: Path) -> None:
    """``-bs``."""
    calls = [(["-odi", "-bs"], text) for text in sessions]
    assert by_us(calls, tmp_path / "ours", main) == by_exim(calls, tmp_path / "exim", main)


@pytest.mark.parametrize(("batches", "main"), BATCHES.values(), ids=BATCHES)
def test_a_batch_is_taken_alike(batches: list[str], main: str, tmp_path: Path) -> None:
    """``-bS``."""
    calls = [(["-odi", "-bS"], text) for text in batches]
    assert by_us(calls, tmp_path / "ours", main) == by_exim(calls, tmp_path / "exim", main)
