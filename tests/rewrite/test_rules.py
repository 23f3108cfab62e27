"""What rules make of one address; each row was put to the real Exim 4.96 (``-brw``)."""

from __future__ import annotations

from pathlib import Path

import pytest

from smarthostd.rewrite import Where
from tests.rewrite.conftest import Rewriting

SHOWN = r'"\"$0|$1|$2|$3|$local_part|$domain\"@x.example"'

NUMBERS = {
    "the local part's asterisk is $1": ("*@a.example", "xu@a.example", "xu@a.example|xu||"),
    "so is the beginning of one": ("*u@a.example", "xu@a.example", "xu@a.example|x||"),
    "then comes the domain's": ("*@*.example", "q@z.b.example", "q@z.b.example|q|z.b|"),
    "without a local part it is $1": ("*.example", "q@z.b.example", "q@z.b.example|z.b||"),
    "an asterisk alone is the domain": ("*", "xu@a.example", "xu@a.example|a.example||"),
    "a plain address has the whole of it": ("u@a.example", "u@a.example", "u@a.example|||"),
    "a named list of domains has its asterisk": ("*@+locals", "q@z.b.example", "q@z.b.example|q|z|"),
    "a named list of addresses": ("+people", "xt@other.net", "xt@other.net|x||"),
    "a regular expression has its groups": (r"\N^(.)(.)@(.*)$\N", "ux@A.eXample", "ux@A.eXample|u|x|a.example"),
    "one for the domain goes on counting": (r'"*u@^(.)\\\\.(ex)"', "xu@a.example", "xu@a.example|x|a|ex"),
    "a partial lookup has both parts": ("*@partial-lsearch;{0}/keys", "q@z.b.example", "q@z.b.example|q|z|b.example"),
    "a lookup of the domain alone": ("*@lsearch;{0}/keys", "xu@a.example", "xu@a.example|xu||"),
    "a lookup of the address has none": ("lsearch;{0}/keys", "u@a.example", "|||"),
    "nor has its default": ("lsearch*@;{0}/keys", "zz@b.example", "|||"),
    "nor a lookup of local parts": ("@@lsearch;{0}/keys", "u@other.net", "|||"),
    "also where one of them has an asterisk": ("@@lsearch;{0}/keys", "first@other.net", "|||"),
    "nor a negated pattern": ("!u@a.example", "v@a.example", "|||"),
    "nor a negated domain": ("*@!a.example", "v@d.example", "|||"),
}

UNFIT = {
    "case counts in the local part": ("U@a.example", "u@a.example"),
    "and in the pattern's domain, against one in lower case": ("*@A.example", "u@A.example"),
    "also in a regular expression": (r'"^u@(A.*)"', "u@A.example"),
    "an asterisk stands only in front": ("u*@a.example", "ux@a.example"),
    "no local part is no wildcard": ("@a.example", "u@a.example"),
    "a failing expansion by force": ('"*@${{if eq{{a}}{{b}}{{a.example}}fail}}"', "u@a.example"),
    "a local part that the lookup excludes": ("@@lsearch;{0}/keys", "v@other.net"),
}

ORDERS = {
    "each rule sees what the one before it made": ("*@a b@b.example\n*@b.example c@c.example", "u@a", "c@c.example"),
    "q ends it where the rule has fit": ("*@a b@b.example q\n*@b.example c@c.example", "u@a", "b@b.example"),
    "q does not where it has not": ("*@z b@b.example q\n*@a c@c.example", "u@a", "c@c.example"),
    "an asterisk ends it": ("*@a *\n*@a c@c.example", "u@a", "u@a"),
    "a forced failure does not": ('* "${if eq{a}{b}{x@y}fail}"\n* c@c.example', "u@a", "c@c.example"),
    "but with q it does": ('* "${if eq{a}{b}{x@y}fail}" q\n* c@c.example', "u@a", "u@a"),
    "R tries again while it fits": ('*@*.x.example "$1@$2.example" R', "u@a.x.x.x.example", "u@a.example"),
    "R stops after ten times": ("*@* $1@x.$2 R", "u@a", "u@" + "x." * 11 + "a"),
    "Q gives a domain": ("* bare Q", "u@a", "bare@qr.example"),
    "a rule for another place is not asked": ("* b@b.example trcbsET", "u@a", "u@a"),
}

WHOLES = {
    "w takes the phrase too": ('* "J. Q. <j@b.example>" w', '"J. Q." <j@b.example>'),
    "without w only the address": ('* "J. Q. <j@b.example>"', "j@b.example"),
    "a later rule changes the address within": ('* "J. Q. <j@b.example> (c)" w\n*@b.example k@k', '"J. Q." <k@k> (c)'),
    "also where there are no brackets": ('* "(c) j@b.example (d)" w\n*@b.example k@k', "(c) k@k (d)"),
    "a domain is given within": ('* "J <j> (c)" wQ', "J <j@qr.example> (c)"),
    "a second w takes all": ('* "J <j@b.example>" w\n* "K <k@k>" w', "K <k@k>"),
    "white space in brackets is no part of the address": ('* "J < j@b.example >" w\n* k@k', "J <k@k >"),
}

TOLD = {
    "a replacement that cannot be expanded": (
        "* $nosuch@b",
        'Expansion of $nosuch@b failed while rewriting: unknown variable name "nosuch"',
    ),
    "one that is no address": (
        "* bad@@x",
        "Rewrite of u@a yielded unparseable address: domain missing or malformed in address bad@@x",
    ),
    "one without a domain": ("* bare", 'Rewrite of u@a yielded unqualified address "bare"'),
    "a null address in a header line": (
        "* <>",
        "Rewrite of u@a yielded unparseable address: missing or malformed local part in address <>",
    ),
    "a pattern that cannot be expanded": (
        '"*@${if eq{a}" x@y',
        'failed to expand "*@${if eq{a}" while checking a list: ',
    ),
    "a lookup's file that is not there": (
        "*@lsearch;/nonexistent x@y",
        "rewrite rule 1 is skipped: failed to open /nonexistent",
    ),
    "a regular expression that is none": ("^[ x@y", "rewrite rule 1 is skipped: regular expression error"),
    "a list that is not there": ("*@+nosuch x@y", 'unknown named domain list "+nosuch"'),
}


@pytest.mark.parametrize(("pattern", "address", "shown"), NUMBERS.values(), ids=NUMBERS)
def test_a_pattern_fits_and_sets_numbers(files: Path, pattern: str, address: str, shown: str) -> None:
    local_part, _, domain = address.rpartition("@")
    rules = Rewriting(f"{pattern.replace('{0}', str(files))}  {SHOWN}")
    assert rules.one(address) == f'"{shown}|{local_part}|{domain}"@x.example'


@pytest.mark.parametrize(("pattern", "address"), UNFIT.values(), ids=UNFIT)
def test_a_pattern_does_not_fit(files: Path, pattern: str, address: str) -> None:
    assert Rewriting(f"{pattern.format(files)}  x@x.example").one(address) == address


@pytest.mark.parametrize(("rules", "address", "after"), ORDERS.values(), ids=ORDERS)
def test_rules_in_order(rules: str, address: str, after: str) -> None:
    assert Rewriting(rules).one(address) == after


@pytest.mark.parametrize(("rules", "after"), WHOLES.values(), ids=WHOLES)
def test_the_whole_of_a_header_address(rules: str, after: str) -> None:
    assert Rewriting(rules).one("u@a") == after


@pytest.mark.parametrize(("rule", "line"), TOLD.values(), ids=TOLD)
def test_what_goes_wrong_leaves_the_address_and_is_told(rule: str, line: str) -> None:
    rewriting = Rewriting(rule)
    assert rewriting.one("u@a") == "u@a"
    assert rewriting.told[0].startswith(line)


def test_the_envelopes_sender_may_become_null_and_nothing_else_may() -> None:
    rewriting = Rewriting("* <>")
    assert rewriting.one("u@a", Where.ENVELOPE_FROM) == ""
    assert rewriting.one("u@a", Where.ENVELOPE_TO) == "u@a"


def test_the_envelope_has_no_phrase() -> None:
    assert Rewriting('* "J. <j@b.example>" w').one("u@a", Where.ENVELOPE_TO) == "j@b.example"


def test_the_log_tells_each_change_where_it_is_asked_to() -> None:
    rewriting = Rewriting("u@* v@b\n* w@c ET", tell_changes=True)
    rewriting.one("u@a", Where.ENVELOPE_TO)
    rewriting.one("u@a", Where.REPLY_TO)
    assert rewriting.told == [
        '"u@a" from env-to rewritten as "v@b" by rule 1',
        '"v@b" from env-to rewritten as "w@c" by rule 2',
        '"u@a" from reply-to: rewritten as "v@b" by rule 1',
    ]
