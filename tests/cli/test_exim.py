"""``smarthostd exim`` as a process, and what it says where Exim would not be there to compare with."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from smarthostd.cli.exim.arguments import BadCommandLine, Task, parse
from tests.cli.calls import call
from tests.peers import presence

CONF = "primary_hostname = h.example\nspool_directory = /nowhere\n"
TIMEOUT = 60


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A small configuration."""
    path = tmp_path / "conf"
    path.write_text(CONF)
    return path


def process(*words: str | bytes, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command as a process of its own."""
    command = [sys.executable, "-m", "smarthostd", "exim", *words]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=TIMEOUT, check=False)


def test_octets_go_through(conf: Path) -> None:
    """What is no UTF-8 comes out as it went in, from an argument and from standard input."""
    assert process("-C", str(conf), "-be", b"a\xff${uc:b\xe9}").stdout == b"a\xffB\xe9\n"
    assert process("-C", str(conf), "-be", stdin=b"\xff\n").stdout == b"\xff\n"


def test_words_are_exims(conf: Path) -> None:
    """Glued options, an option of ours in front, and two hyphens that are not swallowed."""
    done = process("--strict", f"-C{conf}", "-DX=1", "-be", "--", "-X", "X")
    assert (done.stdout, done.stderr, done.returncode) == (b"-1\n1\n", b"", 0)


def test_strict_may_stand_among_the_options() -> None:
    """Behind two hyphens it is an argument like any other."""
    assert parse(["-be", "--strict", "a"]).strict
    assert parse(["-be", "--", "--strict"]).arguments == ("--strict",)


def test_a_wrong_configuration_is_exims_status(conf: Path) -> None:
    """Exim's report on standard error, status 1; not our 78."""
    conf.write_text("nosuch = 1\n")
    done = process("-C", str(conf), "-be", "a")
    assert done.stdout == b""
    assert done.stderr == f'Exim configuration error in line 1 of {conf}:\n  main option "nosuch" unknown\n'.encode()
    assert done.returncode == 1


def test_a_message_is_taken_for_one_from_this_machine(conf: Path, tmp_path: Path) -> None:
    """Bare addresses get a domain, a sender that -f names has no name, and none of it counts in the sizes."""
    message = tmp_path / "message"
    message.write_text("Reply-To: a,\n b@c\nReceived: x\nTo: u  \n\nend")
    asked = "$message_size/$message_body_size/$message_linecount/$received_count/$reply_address/$h_from:/$h_to:"
    done = process("-C", str(conf), "-f", "s@x", "-bem", str(message), asked)
    assert done.stdout == b"42/3/6/2/a@h.example,  b@c/s@x/u@h.example\n"


def test_only_exim_prompts_a_pipe(conf: Path) -> None:
    """Without ``--strict`` a script that reads from a pipe reads answers only."""
    assert process("-C", str(conf), "-be", stdin=b"a\nb\n").stdout == b"a\nb\n"
    assert process("--strict", "-C", str(conf), "-be", stdin=b"a\nb\n").stdout == b"> a\n> b\n> \n"


def test_the_environment_is_forgotten_but_for_what_is_kept(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``keep_environment`` and ``add_environment`` decide, as in Exim."""
    monkeypatch.setenv("KEPT", "k")
    monkeypatch.setenv("LOST", "l")
    conf.write_text(CONF + "keep_environment = ^K : PATH\nadd_environment = MADE=m=n\n")
    text = "${env{KEPT}}${env{LOST}{$value}{-}}${env{MADE}}"
    assert process("-C", str(conf), "-be", text).stdout == b"k-m=n\n"
    shown = process("-C", str(conf), "-bP", "environment").stdout.decode()
    assert shown == f"KEPT=k\nMADE=m=n\nPATH={os.environ['PATH']}\n"


def test_the_version_is_that_of_the_language_and_ours(conf: Path) -> None:
    """Scripts read the word behind ``Exim version``; drivers are told from the tables; the configuration is checked."""
    answer = call(["-C", str(conf), "-bV"])
    assert answer.out.startswith("Exim version 4.96 ")
    assert "Routers: accept dnslookup manualroute redirect\n" in answer.out
    assert answer.out.endswith(f"Configuration file is {conf}\n")
    assert answer.status == 0
    conf.write_text("nosuch = 1\n")
    assert call(["-C", str(conf), "-bV"]).status == 1


def test_what_is_left_out_is_said_where_it_matters(conf: Path) -> None:
    """A route may depend on it, an expansion does not; ``--strict`` compares and says nothing."""
    conf.write_text(CONF + "acl_smtp_rcpt = check\n")
    assert 'the option "acl_smtp_rcpt" is not implemented and left out' in call(["-C", str(conf), "-bt", "a@b"]).err
    assert call(["-C", str(conf), "-be", "a"]).err == ""
    assert call(["--strict", "-C", str(conf), "-bt", "a@b"]).err == ""


def test_without_rules_ours_is_used_and_exim_has_none(conf: Path) -> None:
    """A difference that ``--strict`` gives up."""
    assert call(["-C", str(conf), "-brt", "a.example"]).out.startswith("Retry rule: *  *  F,2h,15m;")
    assert call(["--strict", "-C", str(conf), "-brt", "a.example"]).out == "No retry information found\n"


def test_the_first_file_that_exists_counts(conf: Path, tmp_path: Path) -> None:
    """Several names behind ``-C``; none of them there."""
    assert call(["-C", f"{tmp_path}/nosuch:{conf}", "-bP", "config_file"]).out == f"{conf}\n"
    answer = call(["-C", f"{tmp_path}/nosuch:{tmp_path}/none", "-be", "a"])
    assert answer.err == f"non-existent configuration file(s): {tmp_path}/nosuch:{tmp_path}/none\n"
    assert answer.status == 1


def test_toml_is_shown_as_exim_would_have_it(tmp_path: Path) -> None:
    """``-bP config`` of what was not written in Exim's syntax."""
    path = tmp_path / "smarthostd.toml"
    path.write_text('qualify_domain = "q.example"\n[smarthost]\nurl = "smtps://smtp.example.com"\n')
    assert call(["-C", str(path), "-bP", "qualify_domain"]).out == "qualify_domain = q.example\n"
    shown = call(["-C", str(path), "-bP", "config"]).out
    assert "begin routers" in shown
    assert "qualify_domain = q.example" in shown


def test_control_characters_do_not_reach_a_terminal_by_way_of_a_complaint(conf: Path) -> None:
    """What is complained about may come from anywhere."""
    assert "\x1b" not in call(["-C", str(conf), "-f", "a\x1b[2J@b@c", "-be", "a"]).err


ELSEWHERE = {
    "a daemon": (["-bd"], "`smarthostd run` is the daemon"),
    "a client's rights": (["-bh", "192.0.2.1"], "no access control lists"),
    "a filter": (["-bf", "file"], "no filters"),
}


@pytest.mark.parametrize(("words", "said"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_is_not_there_is_said(words: list[str], said: str) -> None:
    """One line, with what to do; status 1."""
    answer = call(words)
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert answer.status == 1


QUEUE = {
    "the list": ["-bp"],
    "the list, unsorted": ["-bpru"],
    "a count": ["-bpc"],
    "a run": ["-qff"],
    "a run of some": ["-R", "example"],
    "a run of some, in one word": ["-Rfexample"],
    "a message": ["-Mrm", "1rJxYz-0001ab-2K"],
    "two messages": ["-M", "1rJxYz-0001ab-2K", "-1rJxYz-0001ab-2L"],
}


@pytest.mark.parametrize("words", QUEUE.values(), ids=QUEUE)
def test_what_is_about_the_queue_goes_on_word_by_word(words: list[str]) -> None:
    """But for the configuration's options."""
    line = parse(["-C", "conf", "-DX=1", *words])
    assert (line.task, line.words) == (Task.QUEUE, tuple(words))


NOT_TOGETHER = {
    "the queue and an expansion": ["-bp", "-be"],
    "options and routes": ["-bP", "-bt"],
    "routes and verification": ["-bt", "-bv"],
}


@pytest.mark.parametrize("words", NOT_TOGETHER.values(), ids=NOT_TOGETHER)
def test_what_does_not_go_together(words: list[str]) -> None:
    """Exim's words."""
    with pytest.raises(BadCommandLine, match="exim: incompatible command-line options or arguments"):
        parse(words)


SET_ID = {
    "listing": ("", ["-bp"], "exim: permission denied\n", 1),
    "counting": ("", ["-bpc"], "exim: permission denied\n", 1),
    "running it": ("", ["-q"], "exim: permission denied\n", 1),
    "running some of it": ("", ["-R", "x"], "exim: permission denied\n", 1),
    "delivering a message": ("", ["-M", "1rJxYz-0001ab-2K"], "exim: permission denied\n", 1),
    "removing it": ("no_prod_requires_admin", ["-Mrm", "1rJxYz-0001ab-2K"], "exim: permission denied\n", 1),
    "reading it": ("no_queue_list_requires_admin", ["-Mvb", "1rJxYz-0001ab-2K"], "exim: permission denied\n", 1),
    "listing it where all may": ("no_queue_list_requires_admin", ["-bp"], "", 0),
    "listing it as one of a group": ("admin_groups = nogroup", ["-bp"], "", 0),
}


@pytest.mark.parametrize(("options", "words", "said", "status"), SET_ID.values(), ids=SET_ID)
def test_a_set_id_program_asks_who_is_calling(
    tmp_path: Path, options: str, words: list[str], said: str, status: int
) -> None:
    """The rights are the program's, the real user is not an administrator."""
    presence.root()
    file = tmp_path / "conf"
    own = "".join(f"{name}_directory = {tmp_path}/{name}\n" for name in ("spool", "runtime", "drop"))
    file.write_text(f"{own}log_file_path = {tmp_path}/%slog\n{options}\n")
    nobody = pwd.getpwnam("nobody")
    before = os.getgroups()
    os.setgroups([nobody.pw_gid])
    os.setresuid(nobody.pw_uid, -1, -1)
    try:
        answer = call(["-C", str(file), *words])
    finally:
        os.setresuid(0, -1, -1)
        os.setgroups(before)
    assert (answer.err, answer.status) == (said, status)
