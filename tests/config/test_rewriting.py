"""Rewriting rules in both syntaxes: read, judged, written back; and ``[smarthost] sender``."""

from __future__ import annotations

from pathlib import Path

import pytest

from smarthostd.config import load
from smarthostd.config.errors import ConfigurationErrors
from smarthostd.config.render import render
from smarthostd.rewrite import Rule, Where, parse_rules

MAIN = """
primary_hostname = relay.example
begin routers
out:
  driver = manualroute
  route_list = * smarthost.example
  transport = smtp
begin transports
smtp:
  driver = smtp
"""
TOML = """
[smarthost]
url = "smtp://smtp.example.com"
"""


def conf(tmp_path: Path, text: str, name: str = "c.conf") -> Path:
    file = tmp_path / name
    file.write_text(text)
    return file


def sentences(file: Path) -> list[str]:
    with pytest.raises(ConfigurationErrors) as caught:
        load(file, {})
    return [str(error).removeprefix(f"{file}:") for error in caught.value.errors]


MISTAKES = {
    "no replacement": (
        "*@a.example",
        "13: rewriting rule: missing rewrite replacement string; write PATTERN REPLACEMENT FLAGS",
    ),
    "an unknown flag": (
        "*@a.example x y@z",
        "13: rewriting rule: unknown rewrite flag character 'y' (could be missing quotes round replacement item); "
        "known are E F T h s f t c b r w q R Q",
    ),
    "a brace that stays open": (
        '*@a.example "${lc:x@y.example"',
        '13: rewriting rule: "${lc:x@y.example" cannot be expanded: missing } at end of string',
    ),
}


@pytest.mark.parametrize(("rule", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_rule(tmp_path: Path, rule: str, sentence: str) -> None:
    (told,) = sentences(conf(tmp_path, f"{MAIN}\nbegin rewrite\n{rule}\n"))
    assert told.startswith(sentence)


def test_the_flag_s_is_an_error_that_says_so_and_a_warning_where_that_is_enough(tmp_path: Path) -> None:
    file = conf(tmp_path, f"{MAIN}\nbegin rewrite\n^u x@y.example S\n*@a.example x@y.example\n")
    (told,) = sentences(file)
    assert "rewrite flag S" in told
    loaded = load(file, {}, lenient=True)
    assert any("rewrite flag S" in warning for warning in loaded.warnings)
    assert loaded.settings.rewrite == ("*@a.example x@y.example",)


def test_a_mistake_in_headers_rewrite(tmp_path: Path) -> None:
    (told,) = sentences(conf(tmp_path, f"{MAIN}  headers_rewrite = * x@y.example f : *@z\n"))
    assert told.startswith('11: option "headers_rewrite": missing rewrite replacement string')


def test_capitals_in_a_patterns_domain_are_warned_of(tmp_path: Path) -> None:
    file = conf(tmp_path, f"{MAIN}\nbegin rewrite\n*@A.example x@y.example\n*@+locals x@y.example\n^A x@y.example\n")
    (warning,) = (warning for warning in load(file, {}).warnings if "rewriting" in warning)
    assert (
        warning
        == f'{file}:13: rewriting rule: a domain with capitals fits no address here, as in Exim: write "*@a.example"'
    )


def test_a_rule_may_be_a_table_and_is_written_as_a_line(tmp_path: Path) -> None:
    text = f"""{TOML}
[[rewrite]]
pattern = '*@+local_domains'
replacement = '${{lookup{{${{local_part}}}}lsearch{{/etc/email-addresses}}{{$value}}fail}}'
flags = "Ffrs"

[[rewrite]]
pattern = '*@a.example'
replacement = 'A "B" <x@y.example>'
"""
    settings = load(conf(tmp_path, text, "c.toml"), {}).settings
    assert parse_rules(settings.rewrite) == (
        Rule(
            "*@+local_domains", "${lookup{${local_part}}lsearch{/etc/email-addresses}{$value}fail}",
            Where.ENVELOPE_FROM | Where.FROM | Where.REPLY_TO | Where.SENDER,
        ),
        Rule("*@a.example", 'A "B" <x@y.example>'),
    )  # fmt: skip
    again = load(conf(tmp_path, render(settings, "exim", secrets=True), "again.conf"), {}).settings
    assert again.rewrite == settings.rewrite


def test_a_table_that_is_no_rule(tmp_path: Path) -> None:
    rule = '[[rewrite]]\npattern = "*@a"\nreplacement = "x@y"\n'
    text = TOML + rule + rule.replace("pattern", "patern")
    (told,) = sentences(conf(tmp_path, text, "c.toml"))
    assert told.startswith("7: a rewriting rule is a table of pattern, replacement, perhaps flags, all of them texts")
    assert told.endswith('did you mean "pattern"?')


@pytest.mark.parametrize("sender", ["me@provider.example", "me+x'y$z`{@provider.example"])
def test_sender_makes_mail_leave_as_one_address(tmp_path: Path, sender: str) -> None:
    """What the address is made of means nothing to lists, rules and expansions."""
    file = conf(tmp_path, f"{TOML}sender = '''{sender}'''\n", "c.toml")
    transport = load(file, {}).settings.transports["smarthost"]
    assert transport.return_path
    (rule,) = parse_rules([transport.headers_rewrite])
    assert (rule.pattern, rule.where) == ("*", Where.FROM | Where.SENDER)
    assert rule.replacement == transport.return_path


@pytest.mark.parametrize("name", ["SMARTHOST_SENDER", "SMARTHOST_FROM"])
def test_the_sender_may_come_from_the_environment(name: str) -> None:
    loaded = load(None, {"SMARTHOST_URL": "smtp://smtp.example.com", name: "me@provider.example"}, places=())
    assert loaded.settings.transports["smarthost"].return_path == "me@provider.example"


def test_a_sender_without_a_domain_is_a_mistake(tmp_path: Path) -> None:
    told = sentences(conf(tmp_path, f'{TOML}sender = "me"\n', "c.toml"))
    assert told[-1] == '4: option "sender" of [smarthost]: "me" is no address with a domain, such as me@example.com'
