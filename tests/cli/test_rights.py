"""A set-id ``smarthostd exim``: what it does with its own rights, and what with its caller's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from smarthostd.cli.exim.arguments import parse
from smarthostd.cli.exim.rights import are_callers
from smarthostd.config.load import PLACES
from tests.peers import presence
from tests.peers.private import reachable

TIMEOUT = 60
FILE = str(PLACES[0])

OWN = {
    "the queue": (["-bp"], {}),
    "mail": (["-t"], {}),
    "a route": (["-bt", "a@b"], {}),
    "the usual file by its name": (["-C", FILE, "-bp"], {}),
    "the usual file by the environment": (["-bp"], {"SMARTHOSTD_CONFIG": FILE}),
}
CALLERS = {
    "another file": (["-C", "/tmp/conf", "-bp"], {}),
    "one of several files": (["-C", f"/tmp/conf:{FILE}", "-bp"], {}),
    "a macro": (["-DX=y", "-bp"], {}),
    "strings": (["-be", "x"], {}),
    "strings of a message": (["-bem", "/tmp/message", "x"], {}),
    "another file by the environment": (["-bp"], {"SMARTHOSTD_CONFIG": "/tmp/conf"}),
}


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the usual file be there."""
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: path == PLACES[0] or exists(path))


@pytest.mark.usefixtures("usual")
@pytest.mark.parametrize(("words", "environ"), OWN.values(), ids=OWN)
def test_what_is_done_with_the_programs_rights(words: Sequence[str], environ: Mapping[str, str]) -> None:
    assert not are_callers(parse(words), environ)


@pytest.mark.usefixtures("usual")
@pytest.mark.parametrize(("words", "environ"), CALLERS.values(), ids=CALLERS)
def test_what_is_done_with_the_callers_rights(words: Sequence[str], environ: Mapping[str, str]) -> None:
    assert are_callers(parse(words), environ)


def test_an_environment_that_is_the_configuration_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert are_callers(parse(["-bp"]), {"SMARTHOST_URL": "smtp://isp.example"})


SET_ID = """
import os, pwd, sys
import smarthostd.cli.exim.dispatch, smarthostd.cli.exim.expansion, smarthostd.cli.exim.listing
from smarthostd.cli.exim.process import Process
from smarthostd.config import load
caller = pwd.getpwnam(sys.argv.pop(1))
load(sys.modules["pathlib"].Path(sys.argv.pop(1)), {}, lenient=True)
os.setgroups([]), os.setresgid(caller.pw_gid, 0, 0), os.setresuid(caller.pw_uid, 0, 0)
status = smarthostd.cli.exim.dispatch.run(sys.argv[1:], Process(sys.stdin, sys.stdout, sys.stderr, dict(os.environ)))
sys.stdout.flush()
print(*os.getresuid(), *os.getresgid(), file=sys.stderr)
raise SystemExit(status)
"""
"""Root's program, called by another user, who may not be able to read this Python."""


def called(
    caller: str, directory: Path, *words: str, environ: Mapping[str, str] | None = None
) -> tuple[str, str, list[int]]:
    """Call it; return what it printed, what it complained of, and the ids that it had in the end."""
    presence.root()
    reachable(directory)
    for name, text in {"conf": "primary_hostname = h.example\n", "secret": "s3cret"}.items():
        (directory / name).write_text(text)
    (directory / "conf").chmod(0o644)
    (directory / "secret").chmod(0o600)
    command = [sys.executable, "-c", SET_ID, caller, str(directory / "conf"), *words]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT, check=False, env=dict(environ or {}), cwd="/"
    )
    *complaints, ids = done.stderr.splitlines()
    return done.stdout, "\n".join(complaints), list(map(int, ids.split()))


def test_a_file_that_only_root_reads_is_no_callers_to_expand(tmp_path: Path) -> None:
    words = ["-C", str(tmp_path / "conf"), "-be", f"${{readfile{{{tmp_path}/secret}}}}"]
    out, _, ids = called("nobody", tmp_path, *words)
    assert "s3cret" not in out
    assert "Permission denied" in out
    assert 0 not in ids
    assert called("root", tmp_path, *words)[0] == "s3cret\n"


def test_a_configuration_that_only_root_reads_is_no_callers_to_show(tmp_path: Path) -> None:
    """What is wrong in it would be shown, line by line."""
    for words, environ in (
        (["-C", str(tmp_path / "secret"), "-bV"], {}),
        (["-bV"], {"SMARTHOSTD_CONFIG": str(tmp_path / "secret")}),
    ):
        out, complaint, ids = called("nobody", tmp_path, *words, environ=environ)
        assert "Permission denied" in complaint
        assert "s3cret" not in out + complaint
        assert 0 not in ids
        assert "s3cret" in called("root", tmp_path, *words, environ=environ)[1]


def test_a_macro_of_the_callers_costs_the_programs_rights(tmp_path: Path) -> None:
    out, _, ids = called("nobody", tmp_path, "-C", str(tmp_path / "conf"), "-DX=y", "-bP", "primary_hostname")
    assert out == "primary_hostname = h.example\n"
    assert 0 not in ids


def test_roots_own_call_costs_nothing(tmp_path: Path) -> None:
    assert called("root", tmp_path, "-C", str(tmp_path / "conf"), "-be", "x")[2] == [0] * 6
