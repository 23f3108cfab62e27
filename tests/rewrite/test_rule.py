"""Lines of rules: what they say, and what is said where they say nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarthostd.rewrite import NotThere, RewriteRuleError, Rule, Where, parse_rule, parse_rules, rule_line

RULES = {
    "without flags it applies everywhere": ("*@a  x@b", Rule("*@a", "x@b")),
    "white space separates": ("*@a\tx@b \t Fr", Rule("*@a", "x@b", Where.ENVELOPE_FROM | Where.REPLY_TO)),
    "E is both sides of the envelope": ("* x@b E", Rule("*", "x@b", Where.ENVELOPE)),
    "h is all header lines": ("* x@b h", Rule("*", "x@b", Where.HEADERS)),
    "flags may stand apart": ("* x@b t c\tb T", Rule("*", "x@b", Where.TO | Where.CC | Where.BCC | Where.ENVELOPE_TO)),
    "manners alone leave it everywhere": ("* x@b qwRQ", Rule("*", "x@b", Where.EVERYWHERE, True, True, True, True)),
    "quotes hold white space and escapes": (r'"a\"b@c" "N. N. <x@b>" w', Rule('a"b@c', "N. N. <x@b>", whole=True)),
    "nothing need stand behind a closing quote": ('"*@a"x@b', Rule("*@a", "x@b")),
    "a quote may stay open": ('* "x@b', Rule("*", "x@b")),
    "a lone asterisk keeps the address": ("* *", Rule("*", "*")),
}  # fmt: skip

MISTAKES = {
    "no replacement": ("*@a", "missing rewrite replacement string", "write PATTERN REPLACEMENT FLAGS"),
    "white space without quotes": (
        "* ${if eq{a}{b}{x@y}fail}",
        "unknown rewrite flag character 'e' (could be missing quotes round replacement item)",
        "known are E F T h s f t c b r w q R Q",
    ),
    "S with a pattern that is no regular expression": (
        "* x@b S", "rewrite rule has the S flag but is not a regular expression", "use F or T"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("line", "rule"), RULES.values(), ids=RULES)
def test_a_line_is_a_rule(line: str, rule: Rule) -> None:
    assert parse_rule(line) == rule
    assert rule.keeps is (rule.replacement == "*")


def test_a_transports_rule_is_for_header_lines_unless_it_says_otherwise() -> None:
    assert parse_rule("* x@b", Where.HEADERS).where == Where.HEADERS
    assert parse_rule("* x@b F", Where.HEADERS).where == Where.ENVELOPE_FROM


@pytest.mark.parametrize(("line", "text", "fix"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_has_exims_words_and_a_fix(line: str, text: str, fix: str) -> None:
    with pytest.raises(RewriteRuleError) as caught:
        parse_rule(line)
    assert (str(caught.value), caught.value.fix) == (text, fix)


def test_the_flag_s_is_not_there_and_its_rules_are_left_out() -> None:
    with pytest.raises(NotThere):
        parse_rule("^u x@b S")
    assert parse_rules(["^u x@b S", "* y@b"]) == (Rule("*", "y@b"),)


_WORDS = st.text(st.characters(max_codepoint=0x2FF, exclude_characters="\0"), min_size=1)


@given(_WORDS, _WORDS)
def test_a_rules_parts_make_a_line_that_reads_back(pattern: str, replacement: str) -> None:
    line = rule_line(pattern, replacement, "Ffq")
    assert parse_rule(line) == Rule(pattern, replacement, Where.ENVELOPE_FROM | Where.FROM, quits=True)
