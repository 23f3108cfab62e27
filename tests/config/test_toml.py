"""TOML: where keys stand, and what its own types become."""

from __future__ import annotations

import pytest

from smarthostd.config.toml import key_lines
from tests.config.conftest import LoadText

POSITIONS = {
    "keys and tables": (
        "a = 1\n[t]\nb = 2\n[t.u]\nc = 3",
        {("a",): 1, ("t",): 2, ("t", "b"): 3, ("t", "u"): 4, ("t", "u", "c"): 5},
    ),
    "dotted keys": ("a.b = 1\n[t]\nc . d = 2", {("a", "b"): 1, ("t",): 2, ("t", "c", "d"): 3}),
    "quoted keys": ("\"a b\" = 1\n['x.y']\nc = 2", {("a b",): 1, ("x.y",): 2, ("x.y", "c"): 3}),
    "comments": ("# a = 1\nb = 2 # [c]\n[t] # d = 3\ne = 4", {("b",): 2, ("t",): 3, ("t", "e"): 4}),
    "an array over several lines": ('a = [\n  "b = 1",\n  "]",\n]\nc = 2', {("a",): 1, ("c",): 5}),
    "a string over several lines": ("a = '''\nb = 1\n[t]\n'''\nc = 2", {("a",): 1, ("c",): 5}),
    "a string that ends where it begins": ('a = """x"""\nb = 1', {("a",): 1, ("b",): 2}),
    "a bracket in a string": ('a = "["\nb = "\\"["\nc = 1', {("a",): 1, ("b",): 2, ("c",): 3}),
    "an inline table": ("a = { b = 1 }\nc = 2", {("a",): 1, ("c",): 2}),
}


@pytest.mark.parametrize(("text", "lines"), POSITIONS.values(), ids=POSITIONS)
def test_the_line_of_each_key(text: str, lines: dict[tuple[str, ...], int]) -> None:
    """tomllib does not tell it."""
    assert dict(key_lines(text)) == lines


def test_numbers_may_stand_where_an_option_is_text(load_text: LoadText) -> None:
    """``port = 587`` is what people write."""
    text = 'daemon_smtp_ports = [25, 587]\n[transports.t]\ndriver = "smtp"\nport = 587\n'
    settings = load_text(text, "x.toml").settings
    assert settings.daemon_smtp_ports == "25 : 587"
    assert getattr(settings.transports["t"], "port", None) == "587"


def test_an_array_is_a_list_whose_items_are_not_split(load_text: LoadText) -> None:
    """Colons inside an item are doubled."""
    settings = load_text('relay_from_hosts = ["127.0.0.1", "2001:db8::/64"]', "x.toml").settings
    assert settings.relay_from_hosts == "127.0.0.1 : 2001::db8::::/64"


def test_verify_stands_for_two_options(load_text: LoadText) -> None:
    """As in Exim's syntax, so that both mean the same."""
    toml = load_text('[routers.r]\ndriver = "accept"\ntransport = "t"\nverify = false\n', "x.toml").settings
    exim = load_text("begin routers\nr:\n  driver = accept\n  transport = t\n  no_verify\n").settings
    assert toml == exim
    assert not toml.routers[0].verify_sender
    assert not toml.routers[0].verify_recipient


def test_routers_and_authenticators_keep_their_order(load_text: LoadText) -> None:
    """Also where tables of other sections stand between them."""
    text = "".join(
        f'[routers.{name}]\ndriver = "accept"\ntransport = "t"\n[domainlists]\n' * (name == "z")
        or f'[routers.{name}]\ndriver = "accept"\ntransport = "t"\n'
        for name in "zab"
    )
    assert [router.name for router in load_text(text, "x.toml").settings.routers] == ["z", "a", "b"]
