"""``smarthostd route`` and ``smarthostd expand`` as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from smarthostd.cli import language

CONF = """\
primary_hostname = h.example
qualify_recipient = q.example
domainlist local = q.example
begin routers
aliases:
  driver = redirect
  domains = +local
  data = ${if eq{$local_part}{boss}{jim@away.example}}${if eq{$local_part}{gone}{:fail: he left}}\
         ${if eq{$local_part}{later}{:defer: not now}}${if eq{$local_part}{noone}{:blackhole:}}
  allow_fail
  allow_defer
by_sender:
  driver = manualroute
  senders = me@h.example
  route_list = * 192.0.2.7::587
  transport = remote
boxes:
  driver = accept
  domains = +local
  transport = file
  no_more
remote:
  driver = manualroute
  domains = ! +local
  route_list = * 192.0.2.9::26
  transport = remote
begin transports
file:
  driver = appendfile
  file = /nowhere
remote:
  driver = smtp
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """Four routers."""
    path = tmp_path / "smarthostd.conf"
    path.write_text(CONF)
    return path


def called(command: click.Command, *arguments: object, **named: Any) -> Result:
    """Call a command; its environment is empty."""
    return CliRunner().invoke(command, list(map(str, arguments)), env={"SMARTHOSTD_CONFIG": ""}, **named)


ROUTES = {
    "a mailbox": ("joe", "joe@q.example: router boxes, transport file\n", 0),
    "a host": ("a@away.example", "a@away.example: router remote, transport remote, to 192.0.2.9:26 [192.0.2.9]\n", 0),
    "an alias": ("boss", "jim@away.example: router remote, transport remote, to 192.0.2.9:26 [192.0.2.9]\n", 0),
    "nowhere": ("noone", "noone@q.example: discarded by router aliases\n", 0),
    "not now": ("later", "later@q.example: cannot be routed now: not now\n", 1),
    "never": ("gone", "gone@q.example: undeliverable: he left\n", 2),
}


@pytest.mark.parametrize(("address", "shown", "status"), ROUTES.values(), ids=ROUTES)
def test_where_it_goes(conf: Path, address: str, shown: str, status: int) -> None:
    """A line an address, plain where nobody looks at it."""
    result = called(language.route, "-C", conf, address)
    assert (result.stdout, result.exit_code) == (shown, status)


def test_the_worst_is_the_exit_status(conf: Path) -> None:
    """Of several addresses."""
    assert called(language.route, "-C", conf, "gone", "later", "joe").exit_code == 2


def test_each_decision_is_explained(conf: Path) -> None:
    """Which router said what, and why."""
    result = called(language.route, "-C", conf, "--explain", "--sender", "you@h.example", "a@away.example")
    shown, aliases, by_sender, *_ = result.stdout.splitlines()
    assert shown == "a@away.example"
    assert aliases == "  aliases: skipped: away.example is not in domains"
    assert by_sender.startswith("  by_sender: skipped: ")
    assert "  remote: accepted: 192.0.2.9:26" in result.stdout


def test_colour_is_for_a_terminal(conf: Path) -> None:
    """None where the output is piped."""
    arguments = ("-C", conf, "--explain", "a@away.example")
    assert "\x1b" not in called(language.route, *arguments).stdout
    assert "\x1b[32m" in called(language.route, *arguments, color=True).stdout


def test_the_sender_decides_where_a_router_asks(conf: Path) -> None:
    """``senders``."""
    result = called(language.route, "-C", conf, "--sender", "me@h.example", "a@away.example")
    assert "router by_sender" in result.stdout


def test_routes_as_json(conf: Path) -> None:
    """One object an address."""
    result = called(language.route, "-C", conf, "--json", "a@away.example", "gone")
    first, second = map(json.loads, result.stdout.splitlines())
    host = {"name": "192.0.2.9", "port": 26, "addresses": ["192.0.2.9"]}
    way = {"address": "a@away.example", "router": "remote", "transport": "remote", "hosts": [host]}
    assert first["results"] == [way]
    assert first["trace"][0] == "aliases: skipped: away.example is not in domains"
    assert second["results"] == [{"address": "gone@q.example", "router": "aliases", "failed": "he left"}]


def test_what_is_no_address(conf: Path) -> None:
    """One sentence, with what to write."""
    result = called(language.route, "-C", conf, "a@b@c")
    assert result.exit_code == 1
    assert result.stderr == "Error: a@b@c: domain missing or malformed; write it as user@example.com\n"


def test_expansions(conf: Path) -> None:
    """A line a string; 1 where one fails."""
    result = called(language.expand, "-C", conf, "${uc:a}", "$primary_hostname")
    assert (result.stdout, result.exit_code) == ("A\nh.example\n", 0)
    result = called(language.expand, "-C", conf, "$nosuch")
    assert (result.stdout, result.exit_code) == ('Failed: unknown variable name "nosuch"\n', 1)


def test_expansions_of_standard_input(conf: Path) -> None:
    """Where there are no arguments; octets go through."""
    result = called(language.expand, "-C", conf, input=b"${uc:a}\n\xff\n")
    assert result.stdout_bytes == b"A\n\xff\n"


def test_expansions_as_json(conf: Path) -> None:
    """The value, or what is wrong and whether the string wanted it so."""
    result = called(language.expand, "-C", conf, "--json", "a", "${if eq{a}{b}{c}fail}")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"string": "a", "value": "a"},
        {"string": "${if eq{a}{b}{c}fail}", "error": '"if" failed and "fail" requested', "forced": True},
    ]


def test_expansions_with_a_message_rewrite_its_header(conf: Path, tmp_path: Path) -> None:
    """Bare addresses get a domain, and the rules are applied, as where the message would come in."""
    conf.write_text(f"{conf.read_text()}\nbegin rewrite\n*@h.example $1@provider.example Ffrs\n")
    message = tmp_path / "message"
    message.write_text("From: root\nTo: joe@h.example\n\nbody\n")
    result = called(language.expand, "-C", conf, "--message", message, "$h_from:|$h_to:")
    assert result.stdout == "root@provider.example|joe@h.example\n"


def test_expansions_with_a_message(conf: Path, tmp_path: Path) -> None:
    """Its header, its body, its sender."""
    message = tmp_path / "message"
    message.write_text("Subject: hello\n\nbody\n.\nmore\n")
    text = "$h_subject:|$message_body|$sender_address_domain"
    result = called(language.expand, "-C", conf, "--message", message, "--sender", "a@b.example", text)
    assert result.stdout == "hello|body . more |b.example\n"
    result = called(language.expand, "-C", conf, "--message", tmp_path / "nosuch", "a")
    assert result.stderr == f"Error: {tmp_path}/nosuch: cannot be read: No such file or directory\n"
