"""Single rules of reading and ``-bP``, each with what the real Exim 4.96 says: what random files have shown to be missed.

The real Exim is asked the same where it is there (``tests/exim`` asks it more).
"""

# ruff: noqa: E501 - Exim's reports as they are

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calls import Answer, call
from tests.exim.files import MAIN, MAIN_LINES, Asked
from tests.exim.wholes import Reader, agree

APPENDFILE = "begin transports\nt:\n  driver = appendfile\n"
REDIRECT = "begin routers\nr:\n  driver = redirect\n  data = x\n"
TRANSPORT = "begin transports\nt:\n  driver = smtp\n"


def died(text: str) -> tuple[str, str, int]:
    """A report without a line."""
    return "", f"LOG: PANIC DIE\n  Exim configuration error:\n  {text}\n", 1


def died_in(line: int, text: str) -> tuple[str, str, int]:
    """A report with a line, counted behind those that all have."""
    return "", f"LOG: PANIC DIE\n  Exim configuration error in line {MAIN_LINES + line} of @DIR@/conf:\n  {text}\n", 1


def died_for(instance: str, text: str) -> tuple[str, str, int]:
    """A report about one instance."""
    return "", f"LOG: PANIC DIE\n  Exim configuration error for {instance}:\n  {text}\n", 1


def logged(text: str) -> tuple[str, str, int]:
    """A report that does not speak of the configuration."""
    return "", f"LOG: MAIN PANIC DIE\n  {text}\n", 1


def shown(text: str, err: str = "") -> tuple[str, str, int]:
    """What was asked for."""
    return text, err, 0


ANY = "queue_only"
SAID = "no_queue_only\n"
CASES: dict[str, tuple[str, str, tuple[str, str, int]]] = {
    "an option of a transport is none of the main part": (
        "dkim_selector = x", ANY, died_in(1, 'main option "dkim_selector" unknown'),
    ),
    "an ACL that nobody has": ("acl_smtp_rpct = x", ANY, died_in(1, 'main option "acl_smtp_rpct" unknown')),
    "an option of another driver": (
        f"{TRANSPORT}  quota_directory = x\n", ANY, died_in(4, 'option "quota_directory" unknown'),
    ),
    "hide before there is a driver": (
        "begin transports\nt:\n  hide file = x\n", ANY,
        died_in(3, 'option "hide" unknown ("driver" must be specified before any private options)'),
    ),
    "a number that is expanded stays as it was written": (
        "message_size_limit = 1024\nqueue_run_max = 0x10", "message_size_limit queue_run_max",
        shown("message_size_limit = 1024\nqueue_run_max = 0x10\n"),
    ),
    "a number that is expanded may be none": (
        "message_size_limit = 10 M", "message_size_limit", shown("message_size_limit = 10 M\n"),
    ),
    "a limit below zero": ("header_maxsize = -1", "header_maxsize", shown("header_maxsize = -1\n")),
    "a least number, and a longest time": (
        "remote_max_parallel = 0\nretry_interval_max = 7d", "remote_max_parallel retry_interval_max",
        shown("remote_max_parallel = 1\nretry_interval_max = 1d\n"),
    ),
    "a qualify_domain of nothing": ("qualify_domain =", "qualify_domain", shown("qualify_domain = \n")),
    "a time that no number holds": ("auto_thaw = 3551w", ANY, died_in(1, "invalid time value for auto_thaw")),
    "users by a number below zero": ("trusted_users = -1", "trusted_users", shown("trusted_users = 4294967295\n")),
    "users between other separators": ("trusted_users = <; root ; nosuch", "trusted_users", shown("trusted_users = root\n")),
    "a user of no name": ("trusted_users = : root", ANY, died_in(1, "user  was not found")),
    "a user for a filter": ("system_filter_user = nosuch", ANY, died_in(1, "user nosuch was not found")),
    "owners of a file": (f"{REDIRECT}  owners = root : nosuch\n", ANY, died_in(5, "user nosuch was not found")),
    "localhost_number is expanded": (
        "localhost_number = $x", ANY, logged('failed to expand localhost_number "$x": unknown variable name "x"'),
    ),
    "localhost_number is a number": ("localhost_number = x", ANY, died("localhost_number value is not a number: x")),
    "localhost_number is small": (
        "localhost_number = 17", ANY, died("localhost_number is greater than the maximum allowed value (16)"),
    ),
    "a rate of nothing": ("smtp_ratelimit_mail = 2,0.5s", ANY, logged("malformed ratelimit data: 2,0.5s")),
    "a facility that is none": ("syslog_facility = mai", ANY, died('failed to interpret syslog_facility "mai"')),
    "a facility in capitals": ("syslog_facility = LOG_LOCAL3", "syslog_facility", shown("syslog_facility = LOG_LOCAL3\n")),
    "places for a queue, and none for clients": (
        "smtp_accept_max = 0\nsmtp_accept_queue = 1", ANY,
        died("smtp_accept_max must be set if smtp_accept_queue or smtp_accept_max_per_host is set"),
    ),
    "log_selector as a number": ("log_selector = =pid", ANY, died("malformed numeric log_selector setting: =pid")),
    "the main part comes before what is wrong in sections": (
        "errors_reply_to = x\nbegin transports\nt:\n", ANY, died("errors_reply_to (x) does not contain a domain"),
    ),
    "one router's own options come before what routers say of one another": (
        "begin routers\na:\n  driver = accept\nb:\n  driver = redirect\n", ANY,
        died_for("b router", 'one of "file" or "data" must be specified'),
    ),
    "a router's keywords come before its hosts": (
        "begin routers\nr:\n  driver = manualroute\n  host_all_ignored = x\n", ANY,
        died_for("r router", "unrecognized setting for host_all_ignored option"),
    ),
    "a section that is wrong comes before one that is there twice": (
        "begin routers\nr:\n  driver = accept\nbegin routers\n", ANY, died("r router:\n  a transport is required for this router"),
    ),
    "what is wrong in a section's second part is never reached": (
        "begin routers\na:\n  driver = redirect\n  data = x\nbegin routers\nb:\n  driver = accept\n", ANY,
        died_in(5, '"routers" section is repeated in the configuration file'),
    ),
    "a pass_router of nothing": (f"{REDIRECT}  pass_router =\n", ANY, died('new_router "" not found for "r" router')),
    "a transport of nothing is one": ("begin routers\nr:\n  driver = accept\n  transport =\n", "router_list", shown("r\n")),
    "an alias that is made at once keeps its header": (
        f"{REDIRECT}  one_time\n  headers_add = X: y\n", ANY,
        died_for("r router", '"headers_add" and "headers_remove" are not permitted with "one_time"'),
    ),
    "a filter needs a user": (
        f"{REDIRECT}  allow_filter\n", ANY,
        died_for("r router", '"user" or "check_local_user" must be set with "allow_filter"'),
    ),
    "self without its word": (f"{REDIRECT}  self = reroute: rewrite: a.example\n", "router r", shown("self = a.example")),
    "a group by its number": (f"{TRANSPORT}  group = 8\n", "transport t", shown("group = mail")),
    "a file needs a lock": (
        f"{APPENDFILE}  file = /x\n  no_use_lockfile\n  no_use_fcntl_lock\n", ANY, died_for("t transport", "no locking configured"),
    ),
    "a quota of files is one of a directory": (
        f"{APPENDFILE}  file = /x\n  quota_filecount = 3\n", ANY,
        died_for("t transport", 'quota_filecount must not be set without "directory"'),
    ),
    "a directory has no From lines": (f"{APPENDFILE}  directory = /x\n", "transport t", shown("check_string = \n")),
    "a mode of nothing": (f"{APPENDFILE}  file = /x\n  mode = 0\n", "transport t", shown("\nmode = 0\n")),
    "a user without a group": (f"{APPENDFILE}  file = /x\n  user = 8\n", ANY, died("user set without group for the t transport")),
    "lmtp needs a socket": (
        "begin transports\nt:\n  driver = lmtp\n", ANY, died("one (and only one) of command or socket must be set for the t transport"),
    ),
    "neither header nor body": (
        f"{TRANSPORT}  body_only\n  headers_only\n", ANY, died("t transport: body_only and headers_only are mutually exclusive"),
    ),
    "a rewriting rule of a transport is read in its line": (
        "begin transports\nt:\n  headers_rewrite = a@b\n", ANY, died_in(3, "missing rewrite replacement string"),
    ),
    "a rewriting rule of a transport is for header lines": (
        "begin transports\nt:\n  headers_rewrite = a@b c@d : a@b c@d E\n", ANY,
        died_in(3, "rewrite rule specifies a non-header rewrite - not allowed at transport time -"),
    ),
    "a name for CRAM-MD5 only where there is a secret": (
        "begin authenticators\na:\n  driver = cram_md5\n  public_name = X\n", "authenticator a", shown("client_name = \n"),
    ),
    "a secret of nothing is one": (
        "begin authenticators\na:\n  driver = plaintext\n  server_condition =\nb:\n  driver = cram_md5\n"
        "  public_name = A\n  server_secret =\n", ANY, died("two server authenticators (a and b) have the same public name (a)"),
    ),
    "timeout_dns is a timeout": (
        "begin retry\n* timeout_dns F,1h,1m", ANY,
        shown(SAID, 'LOG: MAIN PANIC\n  "timeout_dns" is no longer available in retry rules (it has never worked)'
              ' - treated as "timeout"\n'),
    ),
    ".include_if_exists names a file": (
        ".include_if_exists", ANY, died_in(1, '.include specifies a non-absolute path ""'),
    ),
    "a last line comes before a missing .endif": (".ifndef X\nfoo = 1", ANY, died_in(2, 'main option "foo" unknown')),
    "another name of an option": ("", "daemon_smtp_port", shown("daemon_smtp_port = smtp\n")),
    "options of a scan": ("", "local_scan", ("local_scan() options are not supported\n", "", 1)),
    "a file keeps what is between quotes": (
        'smtp_banner  =  "a   b"   c', "config",
        ("", f"Exim configuration error in line {MAIN_LINES + 1} of @DIR@/conf:\n  extra characters follow string value for smtp_banner\n", 1),
    ),
    "an included file that is empty": (
        ".include /dev/null\nqueue_only", "config", shown('keep_environment =\n# 5 "@DIR@/conf"\n# 5 "@DIR@/conf"\nqueue_only\n'),
    ),
    "white space up to a quote": ('smtp_banner   = "a   b"', "config", shown('smtp_banner = "a   b"\n')),
}  # fmt: skip


@pytest.mark.parametrize(("text", "asked", "expected"), CASES.values(), ids=CASES)
def test_exims_rule(text: str, asked: str, expected: tuple[str, str, int], tmp_path: Path) -> None:
    """Where much is printed, a piece of it."""
    (tmp_path / "conf").write_text((MAIN + text + "\n").replace("@DIR@", str(tmp_path)))
    answer = call(["--strict", "-C", str(tmp_path / "conf"), "-bP", *asked.split()])
    out, err = (one.replace(str(tmp_path), "@DIR@") for one in (answer.out, answer.err))
    assert expected[0] in out
    assert Answer(expected[0], err, answer.status) == Answer(*expected)


def test_exim_has_these_rules(tmp_path: Path) -> None:
    """All of them asked of the real one."""
    cases = [
        Asked({"conf": (*MAIN.splitlines(), *text.splitlines())}, ("-bP", *asked.split()))
        for text, asked, _ in CASES.values()
    ]
    answers = Reader(tmp_path).ask(cases)
    assert [name for name, case, one in zip(CASES, cases, answers, strict=True) if not agree(case, one)] == []


@pytest.mark.parametrize(
    ("text", "option", "expected"),
    [
        ("spool_directory = /var/spool/$primary_hostname", "spool_directory", "/var/spool/h.example"),
        ("log_file_path = /var/log/$primary_hostname/%slog", "log_file_path", "/var/log/h.example/%slog"),
    ],
)
def test_a_place_is_expanded_when_it_is_read(text: str, option: str, expected: str, tmp_path: Path) -> None:
    """As Exim does."""
    (tmp_path / "conf").write_text(f"primary_hostname = h.example\n{text}\n")
    assert call(["-C", str(tmp_path / "conf"), "-bP", option]).out == f"{option} = {expected}\n"


def test_a_wrong_number_is_an_error_but_for_comparing(tmp_path: Path) -> None:
    """Exim would find out at the first message."""
    (tmp_path / "conf").write_text("message_size_limit = ten\n")
    answer = call(["-C", str(tmp_path / "conf"), "-bP", "message_size_limit"])
    assert answer == Answer(
        "",
        f'exim: {tmp_path}/conf:1: option "message_size_limit": "ten" is wrong, expected a size such as 50M\n',
        1,
    )
