"""``smarthostd check`` and ``smarthostd config`` as a person calls them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smarthostd.cli.config import check, config
from smarthostd.config import load

GOOD = '[smarthost]\nurl = "smtps://smtp.example.com"\nuser = "me"\npassword = "hunter2"\n'


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """A small configuration."""
    path = tmp_path / "smarthostd.toml"
    path.write_text(GOOD)
    return path


def called(command: object, *arguments: object) -> Result:
    """Call a command; its environment is empty."""
    return CliRunner().invoke(command, list(map(str, arguments)), env={"SMARTHOSTD_CONFIG": ""})  # type: ignore[arg-type]  # click's types


def test_check_says_what_it_will_do(toml: Path) -> None:
    """Exit 0; never a password."""
    result = called(check, "-C", toml)
    assert result.exit_code == 0
    assert f"{toml}: ok" in result.stdout
    assert "127.0.0.1" in result.stdout
    assert "PLAIN" in result.stdout
    assert "hunter2" not in result.output


def test_check_says_where_mail_goes_and_how(toml: Path) -> None:
    lines = called(check, "-C", toml).stdout.splitlines()
    how = "TLS from the start, certificate checked, with a login"
    assert f"  mail goes    to smtp.example.com port 465, by router smarthost: {how}" in lines


@pytest.mark.parametrize(("name", "doubted"), [("vm", True), ("relay.example.com", False)])
def test_check_doubts_a_name_that_is_no_full_one(tmp_path: Path, name: str, doubted: bool) -> None:
    """It may be this machine's, which nobody has written."""
    (tmp_path / "x.toml").write_text(f'primary_hostname = "{name}"\n{GOOD}')
    (line,) = [one for one in called(check, "-C", tmp_path / "x.toml").stdout.splitlines() if "greets as" in one]
    assert line.startswith(f"  greets as    {name}")
    assert ("some smarthosts refuse it" in line) is doubted


ITEMS = {
    "none": ("smtp.example.org:me:pw\n", False),
    "no login in it": ("smtp.example.com: nothing=here\n", True),
    "Debian's": ("smtp.example.com:me:pw\n", True),
    "the seed's": ("smtp.example.com: auth_name=me auth_pass=pw\n", True),
}


@pytest.mark.parametrize(("item", "found"), ITEMS.values(), ids=ITEMS)
def test_check_says_where_no_login_is_found(tmp_path: Path, item: str, found: bool) -> None:
    """Before mail waits for it; what is found is not shown."""
    path, users = tmp_path / "x.toml", tmp_path / "users"
    users.write_text(item)
    path.write_text(f'[smarthost]\nurl = "smtps://smtp.example.com"\ncredentials = "{users}"\n')
    said = called(check, "-C", path).stdout
    assert (f"  NO LOGIN     for smtp.example.com is found in {users}: mail to it will wait" not in said) is found


def test_check_tells_every_mistake_and_exits_with_78(tmp_path: Path) -> None:
    """One line each, on standard error."""
    path = tmp_path / "x.toml"
    path.write_text('smpt_banner = "x"\nauto_thaw = 5\n' + GOOD)
    result = called(check, "--config", path)
    assert result.exit_code == 78
    assert result.stderr.splitlines() == [
        f'{path}:1: option "smpt_banner" is unknown in the main part; did you mean "smtp_banner"?',
        f'{path}:2: option "auto_thaw": 5 has no unit: write it as a time, such as "5s"',
    ]


def test_lenient_turns_what_is_not_implemented_into_warnings(tmp_path: Path) -> None:
    """Said, and left out."""
    path = tmp_path / "x.toml"
    path.write_text('acl_smtp_rcpt = "x"\n' + GOOD)
    assert called(check, "-C", path).exit_code == 78
    result = called(check, "-C", path, "--lenient")
    assert result.exit_code == 0
    assert 'option "acl_smtp_rcpt" is not implemented and left out' in result.stdout


def test_a_terminal_is_not_at_the_files_mercy(tmp_path: Path) -> None:
    """Control characters are written as Exim's log writes them."""
    path = tmp_path / "x.conf"
    path.write_text("\x1b[2J = x\n")
    result = called(check, "-C", path)
    assert "\x1b" not in result.stderr
    assert "\\033[2J" in result.stderr


def test_show_writes_the_shorthand_out(toml: Path) -> None:
    """With stars for passwords, unless they are asked for."""
    shown = called(config, "show", "-C", toml).stdout
    assert "[routers.smarthost]" in shown
    assert "hunter2" not in shown
    assert "hunter2" in called(config, "show", "-C", toml, "--secrets").stdout


def test_render_writes_the_other_syntax(toml: Path, tmp_path: Path) -> None:
    """And back; the same settings."""
    conf = tmp_path / "smarthostd.conf"
    conf.write_text(called(config, "render", "-C", toml).stdout)
    assert conf.read_text().startswith("untrusted_set_sender = *\n")
    again = tmp_path / "again.toml"
    again.write_text(called(config, "render", "-C", conf).stdout)
    assert load(toml, {}).settings == load(conf, {}).settings == load(again, {}).settings


def test_render_as_names_the_syntax(toml: Path) -> None:
    """``--as toml`` of TOML is the shorthand written out."""
    assert called(config, "render", "-C", toml, "--as", "toml").stdout.startswith("untrusted_set_sender = ")
    assert called(config, "render", "-C", toml, "--as", "yaml").exit_code == 2
