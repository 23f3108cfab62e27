"""What of a command line is done without click: ``run`` as service managers call it, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from smarthostd.__main__ import plain_arguments
from smarthostd.cli.run import run

FILE = "/etc/hostname"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([], id="nothing"),
        pytest.param(["-C", FILE], id="short"),
        pytest.param(["--config", FILE], id="long"),
        pytest.param(["--lenient"], id="lenient"),
        pytest.param(["--lenient", "-C", FILE], id="lenient first"),
        pytest.param(["-C", FILE, "--lenient"], id="lenient last"),
        pytest.param(["-C", "/no/such/file"], id="a file that is not there"),
        pytest.param(["-C", FILE, "-C", "/no/such/file"], id="the last counts"),
    ],
)
def test_what_click_would_understand_means_the_same(words: list[str]) -> None:
    context = run.make_context("run", list(words))
    assert plain_arguments(words) == (context.params["config"], context.params["lenient"])


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["-C"], id="no file"),
        pytest.param(["-C", ""], id="an empty file"),
        pytest.param(["-C", "/etc"], id="a directory"),
        pytest.param(["-C", "--lenient"], id="an option for a file"),
        pytest.param([f"-C{FILE}"], id="together"),
        pytest.param([f"--config={FILE}"], id="with ="),
        pytest.param(["--help"], id="help"),
        pytest.param(["--lenent"], id="a mistake"),
        pytest.param(["more"], id="too much"),
    ],
)
def test_the_rest_is_left_to_click(words: list[str]) -> None:
    assert plain_arguments(words) is None


def test_a_mistake_is_told_as_click_tells_it(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "smarthostd", "run", "-C", str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == click.UsageError.exit_code
    assert f"File '{tmp_path}' is a directory." in done.stderr


def test_a_configuration_that_is_wrong_ends_with_78_and_a_sentence_for_each_mistake(tmp_path: Path) -> None:
    file = tmp_path / "c.conf"
    file.write_text("no_such = 1\nrecipients_max = many\n")
    program = [sys.executable, "-m", "smarthostd", "run", "-C", str(file)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 78
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()[:2]] == [f"{file}:1", f"{file}:2"]


@pytest.mark.parametrize("name", ["exim", "exim4"])
def test_by_exims_name_it_is_exims_command_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(Path(sys.executable).parent / "smarthostd")
    done = subprocess.run([tmp_path / name, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Exim's own command line: ")
    assert "-bt ADDRESS" in done.stdout
