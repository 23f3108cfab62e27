"""Header lines: what changes, what stays, and that nothing gets in."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarthostd.rewrite import Bare, FieldRewriter
from smarthostd.rewrite.fields import OCTETS_LIMIT, PIECES_LIMIT
from tests.rewrite.conftest import BARE, Rewriting

RULES = '*@a.example  "$1@outside.example.com"  h\nroot@q.example  me@provider.example'

LINES = {
    "phrase and comment stay": ('From: "A. B" <u@a.example> (c)\n', 'From: "A. B" <u@outside.example.com> (c)\n'),
    "folding stays": (
        "Cc: u@a.example,\n v@a.example ,\n\tw@b\n",
        "Cc: u@outside.example.com,\n v@outside.example.com ,\n\tw@b\n",
    ),
    "white space stays": ("Reply-To :\n u@a.example \n", "Reply-To :\n u@outside.example.com \n"),
    "a group stays a group": (
        "To: all: u@a.example, v@b;, w@a.example\n",
        "To: all: u@outside.example.com, v@b;, w@outside.example.com\n",
    ),
    "a source route goes": ("Sender: <@x,@y:u@a.example>\n", "Sender: <u@outside.example.com>\n"),
    "so do comments in an address": ("To: <(a) u (b) @ (c) a . (d) example (e)>\n", "To: <u@outside.example.com>\n"),
    "octets stay": (
        "To: J\udcf6rg <u@a.example>, =?utf-8?q?=C3=B6?= <v@b>\n",
        "To: J\udcf6rg <u@outside.example.com>, =?utf-8?q?=C3=B6?= <v@b>\n",
    ),
    "a bare sender gets qualify_domain, and is rewritten": (
        "From: root (Charlie Root)\n",
        "From: me@provider.example (Charlie Root)\n",
    ),
    "a bare recipient gets qualify_recipient": ("To: root, <v> (x)\n", "To: root@qr.example, <v@qr.example> (x)\n"),
    "Resent- lines are header lines like others": ("resent-CC: u@a.example\n", "resent-CC: u@outside.example.com\n"),
    "junk among addresses is left": (
        "To: u@a.example, junk junk, v@a.example\n",
        "To: u@outside.example.com, junk junk, v@outside.example.com\n",
    ),
    "a line that grows is folded": (
        "Cc: aaaaaaaaaaaa@a.example, bbbbbb@a.example, c@a.example\n",
        "Cc: aaaaaaaaaaaa@outside.example.com, bbbbbb@outside.example.com, \n\tc@outside.example.com\n",
    ),
    "the last line need not end": ("To: u@a.example", "To: u@outside.example.com"),
}

LEFT = {
    "no header line of addresses": "Subject: u@a.example\nX-To: u@a.example\nResent-Reply-To: u@a.example\n",
    "no address in it": "To:\nCc: \nBcc:,\nBcc: undisclosed-recipients:;\n",
    "two addresses without a comma": "Cc: u@a.example v@a.example\n",
    "brackets that stay open": "From: Name <u@a.example\n",
    "quotes that stay open": 'From: "Name <u@a.example>\n',
    "a domain in UTF-8": "To: u@ä.example\n",
    "what stands behind a line that is none": "no header line\nTo: u@a.example\n",
    "what no rule fits": "To: A B <u@b.example>,c@d.example\n  ,  (x) e@f.example\n",
}


@pytest.mark.parametrize(("before", "after"), LINES.values(), ids=LINES)
def test_a_header_line_changes(before: str, after: str) -> None:
    assert Rewriting(RULES).header(before) == after


@pytest.mark.parametrize("line", LEFT.values(), ids=LEFT)
def test_a_header_line_stays(line: str) -> None:
    assert Rewriting(RULES).header(line) == line


def test_the_whole_of_an_address_goes_with_its_group() -> None:
    """So does Exim."""
    rewriting = Rewriting('*@a.example "New Q. <n@b.example>" w')
    assert rewriting.header("To: all: Old <u@a.example> (c), v@d;\n") == 'To: "New Q." <n@b.example>, v@d;\n'


def test_bare_addresses_of_strangers_are_left_alone_by_rules_too() -> None:
    rewriting = Rewriting("* me@provider.example", Bare(recipient="qr.example"))
    assert rewriting.header("From: root\nTo: v, w@x\n") == (
        "From: root\nTo: me@provider.example, me@provider.example\n"
    )


def test_domains_of_any_letters_where_the_message_is_utf8() -> None:
    rewriting = Rewriting("*@ä.example $1@a.example")
    assert rewriting.header("To: ü@ä.example\n", utf8=True) == "To: ü@a.example\n"


@pytest.mark.parametrize(
    "header", ["To: <u@a.example>, root\n", "To: root\n", "To: A: u@a, b;\n", "To: u@a.example (b@c), d\n"]
)
def test_without_rules_a_bare_address_is_found_among_others(header: str) -> None:
    assert Rewriting("").header(header) != header


def test_what_is_no_address_is_told_only_where_there_are_rules_and_not_without_end() -> None:
    header = "To: " + ", ".join(["x y"] * 50) + "\n"
    without, with_rules = Rewriting(""), Rewriting(RULES)
    without.header(header)
    with_rules.header(header)
    assert without.told == []
    assert with_rules.told[0] == 'rewrite: missing or malformed local part (expected word or "<")'


def test_more_addresses_than_anybody_has_are_left_and_told() -> None:
    rewriting = Rewriting("* me@p.example")
    addresses = ", ".join(["u@a.example"] * (PIECES_LIMIT + 2))
    after = rewriting.header(f"To: {addresses}\nCc: v@a.example\n")
    assert after.count("me@p.example") == PIECES_LIMIT
    assert after.endswith(" u@a.example\nCc: v@a.example\n")
    assert rewriting.told == [f"rewrite: addresses behind the first {PIECES_LIMIT} are left as they are"]


def test_a_line_longer_than_any_is_left_and_told() -> None:
    rewriting = Rewriting("* me@p.example")
    line = f"To: {'(' * OCTETS_LIMIT}\n"
    assert rewriting.header(f"{line}Cc: v@a.example\n") == f"{line}Cc: v@a.example\n"
    assert len(rewriting.told) == 2


def test_no_replacement_brings_in_a_line() -> None:
    """$local_part may hold a folded line; cut at the right place it would be a header line of its own."""
    rewriting = Rewriting('*@a.example  "${sg{$local_part}{ }{}}@b.example"')
    before = 'To: "x\n Bcc: y"@a.example\n'
    assert rewriting.header(before) == before
    assert rewriting.told == ['Rewrite of "x\n Bcc: y"@a.example yielded a line break']


JUNK = st.text(st.sampled_from('aü@.<>()",:;\\ \t[]=?_\n') | st.characters(exclude_characters="\r"), max_size=80)
NAMES = st.sampled_from(["To", "from", "Reply-To", "RESENT-BCC", "Subject"])
WHOLE = Rewriting('* "N. <me@provider.example>" w')
IDLE = Rewriting("*@nowhere.example x@y.example", Bare())


def _block(names: list[str], values: list[str]) -> bytes:
    lines = (f"{name}: {re.sub(chr(10), chr(10) + ' ', value)}\n" for name, value in zip(names, values, strict=False))
    return "".join(lines).encode("utf-8", "surrogatepass").replace(b"\n", b"\r\n")


@given(st.lists(NAMES, max_size=4), st.lists(JUNK, max_size=4))
def test_any_header_is_taken_and_keeps_its_lines(names: list[str], values: list[str]) -> None:
    """No junk raises; as many header lines come out as go in, in order, under their names."""
    header = _block(names, values)
    after = FieldRewriter(WHOLE.rules, BARE, {}, lambda line: None).header(header)
    fields = re.compile(rb"^[^ \t\r\n][^:\r\n]*:", re.MULTILINE)
    assert fields.findall(after) == fields.findall(header)
    assert after.count(b"\r") == after.count(b"\n") == after.count(b"\r\n") or b"\n" not in header.replace(b"\r\n", b"")


@given(st.lists(NAMES, max_size=4), st.lists(JUNK, max_size=4))
def test_a_header_in_which_nothing_changes_is_the_same_object(names: list[str], values: list[str]) -> None:
    header = _block(names, values)
    assert FieldRewriter(IDLE.rules, Bare(), {}, lambda line: None).header(header) is header


@given(st.binary(max_size=200))
def test_octets_of_any_kind_are_taken(octets: bytes) -> None:
    FieldRewriter(WHOLE.rules, BARE, {}, lambda line: None).header(b"To: " + octets)
