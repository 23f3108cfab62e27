"""A configuration judged in a child: the same values and sentences as here, and a child that fails is told of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smarthostd import judging
from smarthostd.assembly import ClientLimits, build_language
from smarthostd.config import ConfigurationErrors, Settings, load
from smarthostd.config.catalog import SECTIONS, models
from smarthostd.config.plain import plain
from smarthostd.errors import JudgeEnded
from smarthostd.options import Options
from smarthostd.plain import Plain

PAIRS = Path(__file__).parent / "config" / "pairs"
WRONG = """\
no_such_option = 1
message_size_limit = large
begin routers
out:
  driver = manualroute
"""
FORKED = """
import os, sys
from pathlib import Path
from smarthostd.errors import ConfigurationError, JudgeEnded
from smarthostd.judging import Judging
child = Judging(Path(sys.argv[1]), {}, lenient=True)
print(child._child, flush=True)
try:
    print(child.loaded().settings.primary_hostname)
except (ConfigurationError, JudgeEnded) as error:
    print(error)
"""
"""The way of a start; from a process of its own, since this one may have threads."""


@pytest.fixture
def never(tmp_path: Path) -> Path:
    """Return a configuration that nobody ever finishes reading."""
    path = tmp_path / "never.conf"
    os.mkfifo(path)
    return path


def forked(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", FORKED, str(path)], stdout=subprocess.PIPE, text=True)


def pairs_of(model: Any, value: Any) -> Iterator[tuple[Options, Plain]]:
    """Yield each model, and what stands for it."""
    match model:
        case Options():
            yield model, value
            for name in type(model).model_fields:
                yield from pairs_of(getattr(model, name), getattr(value, name))
        case dict():
            assert list(model) == list(value)
            for name in model:
                yield from pairs_of(model[name], value[name])
        case tuple():
            assert len(model) == len(value)
            for one, other in zip(model, value, strict=True):
                yield from pairs_of(one, other)
        case _:
            assert value == model


@pytest.mark.parametrize("path", sorted(PAIRS.iterdir()), ids=lambda path: path.name)
def test_the_daemon_has_the_values_of_the_models(path: Path) -> None:
    """Every attribute, which were given, and the defaults of what is expanded; from another process."""
    models = load(path, {}, lenient=True)
    values = judging.judge(path, {}, lenient=True)
    assert (values.source, values.warnings) == (models.source, models.warnings)
    assert {where: models.positions[where] for where in values.positions} == values.positions
    found = list(pairs_of(models.settings, values.settings))
    assert len(found) == 1 + sum(len(getattr(models.settings, section)) for section in SECTIONS)
    for model, value in found:
        assert isinstance(value, Plain)
        assert value.model_fields_set == model.model_fields_set
        for name in type(model).model_fields:
            if "$" in str(getattr(model, name)) and isinstance(getattr(model, name), str):
                assert value.default(name) == model.default(name)


@pytest.mark.parametrize("model", [Settings, *(one for section in SECTIONS for one in models(section).values())])
def test_a_model_has_nothing_but_values(model: type[Options]) -> None:
    """What works with options finds in plain values all that a model has: no property, no method of its own."""
    bases = [base for base in model.__mro__ if issubclass(base, Options) and base is not Options]
    public = {name for base in bases for name in vars(base) if not name.startswith(("_", "model_"))}
    assert public <= set(model.model_fields)


@pytest.mark.parametrize("name", ["wrong.conf", "wrong.toml", "missing.conf"])
def test_the_sentences_are_those_of_the_judge(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name != "missing.conf":
        path.write_text(WRONG)
    with pytest.raises(ConfigurationErrors) as here:
        load(path, {})
    with pytest.raises(judging.Objections) as there:
        judging.judge(path, {}, lenient=False)
    assert there.value.sentences == tuple(map(str, here.value.errors))
    assert str(there.value) == str(here.value)


def test_the_environment_is_judged_too() -> None:
    """A daemon in a container has no file; what the variables say is what the child is given."""
    environ = {"SMARTHOST_URL": "smtps://smtp.example.com", "SMARTHOST_USER": "me", "SMARTHOST_PASSWORD": "hunter2"}
    loaded = judging.judge(None, environ, lenient=False)
    assert [one.name for one in loaded.settings.authenticators] == ["plain", "login", "cram_md5"]
    assert "hunter2" in vars(loaded.settings.authenticators[0])["client_send"]
    assert "hunter2" not in repr(loaded)
    assert "hunter2" not in repr(loaded.settings)
    assert "hunter2" not in repr(loaded.settings.authenticators)


def test_plain_values_do_not_change(tmp_path: Path) -> None:
    settings = judging.judge(PAIRS / "seed.conf", {}, lenient=True).settings
    before = settings.primary_hostname
    with pytest.raises(AttributeError):
        settings.primary_hostname = "other.example"  # type: ignore[misc]  # it is frozen
    assert settings.primary_hostname == before


def test_a_default_counts_with_plain_values_too(tmp_path: Path) -> None:
    (tmp_path / "c.conf").write_text("message_size_limit = $acl_m_x")
    values: Settings = plain(load(tmp_path / "c.conf", {}, lenient=True)).settings
    told: list[str] = []
    limits = ClientLimits(values, build_language(values), told.append)
    assert limits("192.0.2.1") == {"message_size_limit": 50 << 20}
    assert len(told) == 1


def test_a_start_gets_the_same_from_a_copy_of_itself(tmp_path: Path) -> None:
    (tmp_path / "good.conf").write_text("primary_hostname = relay.example")
    (tmp_path / "wrong.conf").write_text(WRONG)
    with pytest.raises(ConfigurationErrors) as here:
        load(tmp_path / "wrong.conf", {}, lenient=True)
    for name, says in (("good.conf", "relay.example"), ("wrong.conf", str(here.value))):
        with forked(tmp_path / name) as program:
            said, _ = program.communicate(timeout=30)
            assert said.partition("\n")[2] == f"{says}\n"


def test_a_child_that_is_killed_is_said_to_be(never: Path) -> None:
    with forked(never) as program:
        assert program.stdout
        os.kill(int(program.stdout.readline()), signal.SIGKILL)
        said, _ = program.communicate(timeout=30)
    assert said == "the configuration could not be judged: the process for it was ended by SIGKILL and gave no answer\n"


@pytest.mark.parametrize("way", ["start", "reload"])
def test_a_child_that_takes_too_long_is_ended(never: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that does not answer holds up nobody for ever."""
    if way == "start":
        program = FORKED.replace("child =", "import smarthostd.judging; smarthostd.judging.PATIENCE = 0; child =")
        out = subprocess.run([sys.executable, "-c", program, str(never)], check=True, capture_output=True, timeout=30)
        said = out.stdout.decode().splitlines()[1]
    else:
        monkeypatch.setattr(judging, "PATIENCE", 0.01)
        with pytest.raises(JudgeEnded) as ended:
            judging.judge(never, {}, lenient=False)
        said = str(ended.value)
    assert said.startswith("the configuration could not be judged within ")


def test_a_defect_in_the_child_is_said(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(judging, "_BEGIN", "raise SystemExit('no modules')")
    with pytest.raises(JudgeEnded, match="ended with status 1 and gave no answer"):
        judging.judge(None, {}, lenient=False)
    assert "no modules" in capfd.readouterr().err
