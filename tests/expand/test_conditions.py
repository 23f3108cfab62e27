"""Conditions, as Exim 4.96 answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from smarthostd.errors import ExpansionDefer, ExpansionError
from smarthostd.expand import is_true
from tests.expand.conftest import Expand

TRUE = [
    "eq{a}{a}", "!eq{a}{A}", "eqi{a}{A}", "! eq{a}{b}", "!!eq{a}{a}", "!eqi{é}{É}",
    "lt{a}{b}", "le{a}{a}", "gt{b}{a}", "ge{b}{a}", "lt{}{a}", "lti{A}{b}", "gei{B}{a}",
    "={1}{01}", "=={ 1 }{1}", "<{-1}{0}", ">={1k}{1024}", "<{1M}{1G}", "={}{0}", "={+1}{1}",
    "match{abc}{b}", "!match{abc}{B}", "match{abc}{(?i)B}", "match{é}{^..\\$}",
    "match{a\nb}{\\N(?m)^b$\\N}", "match{a-]}{\\N^[]a-]+$\\N}", "match{x1}{\\N^[[:alpha:]][[:digit:]]$\\N}",
    "inlist{a}{a:b}", "!inlist{A}{a:b}", "inlisti{A}{a:b}", "inlist{a:b}{<;a:b;c}",
    "forany{a:b}{eq{$item}{b}}", "!forany{}{eq{$item}{}}", "forall{a:a}{eq{$item}{a}}", "!forall{}{eq{$item}{a}}",
    "and{{eq{a}{a}}{eq{b}{b}}}", "or{{eq{a}{b}}{eq{b}{b}}}", "and{}", "!or{}",
    "isip{1.2.3.4}", "isip4{1.2.3.4}", "!isip6{1.2.3.4}", "isip6{::1}", "isip6{fe80::1%eth0}", "isip{::1.2.3.4}",
    "!isip{1.2.3.4/8}", "!isip{01.2.3.4}", "!isip{1.2.3}", "!isip{}", "!isip{1.2.3.4%x}",
    "bool{yes}", "bool{TRUE}", "bool{ 7 }", "bool{-1}", "!bool{no}", "!bool{00}", "!bool{}", "!bool{4294967296}",
    "bool_lax{x}", "bool_lax{00}", "!bool_lax{0}", "!bool_lax{-}", "bool_lax{-0}", "!bool_lax{ No }",
    "def:host", "!def:domain", "def:h_subject:", "!def:h_nosuch:", "def:primary_hostname",
    "exists{/etc}", "!exists{/nonexistent}", "!exists{}", "!first_delivery", "!queue_running",
    "match_domain{x.b.example}{+locals}", "match_domain{c.example}{+both}", "!match_domain{d.example}{+both}",
    "match_local_part{postmaster}{+admins}", "match_address{boss@example.net}{+vips}", "match_ip{10.1.1.1}{+net}",
    "!match_ip{11.1.1.1}{+net}", "match_ip{10.1.1.1}{\\\\N10.1.1.1\\\\N}",
    "!match_ip{10.1.1.1}{<;::ffff:10.1.1.1/104}", "!match_ip{10.1.1.1}{<;::ffff:10.1.1.1}",
    "match_ip{::ffff:10.1.1.1}{10.1.1.1}",
    "match_domain{a.b}{\\N^a\\.b$\\N}", "match_domain{a.b}{!c : *}",
    "!match_domain{$host}{$host}",
]  # fmt: skip


@pytest.mark.parametrize("condition", TRUE)
def test_a_condition_holds(expand: Expand, condition: str) -> None:
    values = {"host": "h.example", "message_headers_raw": "Subject: x\n"}
    assert expand("${if " + condition + "{yes}{no}}", **values) == "yes"


SHOWN = {
    "groups": ("${if match{user@host}{\\N^([^@]+)@(.+)$\\N}{$2:$1}}", "host:user"),
    "a group that took no part": ("${if match{b}{(x)?b}{[$0][$1]}}", "[b][]"),
    "half a character": ("${strlen:${if match{é}{^(.)}{$1}}}", "1"),
    "the item that was found": ("${if inlisti{A}{x:a}{$value}}", "a"),
    "the pattern that matched": ("${if match_domain{X.b.example}{+locals}{$value|$0|$1}}", "*.b.example|x.b.example|x"),
    "the domain that matched": ("${if match_domain{A.example}{A.EXAMPLE}{$value|$0}}", "A.EXAMPLE|a.example"),
    "groups of a list's regular expression": ("${if match_domain{ab}{^(a)}{$0$1}}", "aba"),
    "nothing, where nothing matched": ("${if match_domain{a}{!b}{$value$0}}", ""),
}


@pytest.mark.parametrize(("text", "expected"), SHOWN.values(), ids=SHOWN)
def test_a_condition_leaves_in_its_branch(expand: Expand, text: str, expected: str) -> None:
    assert expand(text) == expected


ERRORS = {
    "not a number": ("={a}{1}", 'integer expected but "a" found'),
    "hexadecimal": ("={0x10}{16}", 'invalid integer "0x10"'),
    "a number and more": ("<{1}{2 3}", 'invalid integer "2 3"'),
    "a number too large": (
        "={99999999999999999999}{1}",
        'absolute value of integer "99999999999999999999" is too large (overflow)',
    ),
    "not a boolean": ("bool{maybe}", 'unrecognised boolean value "maybe"'),
    "a regular expression": (
        "match{a}{[}",
        'regular expression error in "[": missing terminating ] for character class at offset 1',
    ),
    "not an address": ("match_ip{x}{10.0.0.0/8}", '"x" is not an IP address'),
    "an unknown scheme": ("crypteq{a}{\\{foo\\}x}", 'unknown encryption mechanism in "{foo}x"'),
    "inside and": ("and{{={x}{1}}}", 'integer expected but "x" found inside "and{...}" condition'),
    "inside forany": ("forany{x}{={$item}{1}}", 'integer expected but "x" found inside "forany" condition'),
}


@pytest.mark.parametrize(("condition", "mistake"), ERRORS.values(), ids=ERRORS)
def test_a_condition_fails_with(expand: Expand, condition: str, mistake: str) -> None:
    with pytest.raises(ExpansionError) as caught:
        expand("${if " + condition + "{yes}{no}}")
    assert str(caught.value) == mistake


def test_a_list_that_cannot_be_decided_defers(expand: Expand) -> None:
    with pytest.raises(ExpansionDefer, match=r'^unable to complete match against "\+nosuch": '):
        expand("${if match_domain{a}{+nosuch}{y}}")
    with pytest.raises(ExpansionDefer, match="/nonexistent"):
        expand("${if match_domain{a}{lsearch;/nonexistent}{y}}")


def test_a_list_in_a_condition_is_not_expanded_but_its_named_lists_are(expand: Expand, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a.example: data\n")
    assert expand(f"${{if match_domain{{a.example}}{{lsearch;{tmp_path}/f}}{{$value}}}}") == "data"
    assert expand("${if match_domain{$host}{^\\\\$host\\$}{y}{n}}", host="$host") == "y"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), ("0", False), (" no ", True), ("False", False), ("00", True), ("x", True), ("yes", True)],
)
def test_lax_truth(text: str, expected: bool) -> None:
    assert is_true(text) is expected


def test_a_condition_that_decides_ends_the_evaluation(expand: Expand) -> None:
    assert expand("${if or{{eq{a}{a}}{eq{${readfile{/nonexistent}}}{}}}{yes}}") == "yes"
    assert expand("${if and{{eq{a}{b}}{={x}{y}}}{yes}{no}}") == "no"
