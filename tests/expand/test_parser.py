"""What is wrong with a string, in Exim's words, and when it is said. Every text is that of Exim 4.96."""

from __future__ import annotations

import pytest

from smarthostd.errors import ExpansionError, ForcedFailure
from smarthostd.expand import Expander
from tests.expand.conftest import Expand

CURLY = "curly-bracket problem in conditional yes/no parsing: "
REST = "\n remaining string is "

MISTAKES = {
    "dollar alone": ("a$", "$ not followed by letter, digit, or {"),
    "brace without a name": ("${}", "letter or digit expected after ${"),
    "number not closed": ("${1a}", "} expected after number"),
    "backslash at the end": ("a\\", "\\ at end of string"),
    "unknown variable": ("$nosuch", 'unknown variable name "nosuch"'),
    "unknown variable in braces": ("${nosuch}", 'unknown variable in "${nosuch}"'),
    "ACL variable of neither kind": (
        "$acl_x",
        'unknown variable name "acl_x" (user-defined ACL variables must start acl_c or acl_m)',
    ),
    "ACL variable with a letter": (
        "$acl_cx",
        'unknown variable name "acl_cx" (6th character of a user-defined ACL variable must be a digit or underscore)',
    ),
    "unknown operator": ("${nosuch:x}", 'unknown expansion operator "nosuch"'),
    "operator of later Exims": ("${headerwrap:x}", 'unknown expansion operator "headerwrap"'),
    "unknown item": ("${nosuch{x}}", '"${nosuch" is not a known operator (or a } is missing in a variable reference)'),
    "operator not closed": ("${lc:a", "missing } at end of string"),
    "unknown operator not closed": ("${nosuch:a", "missing } at end of string"),
    "too few arguments": ("${sg{a}{b}}", "Not enough arguments for 'sg' (min is 3)"),
    "too many arguments": ("${length{1}{b}{c}}", "Too many arguments for 'length' (max is 2)"),
    "junk behind the arguments": ("${tr{a}{b}{c}x}", "missing '}' after 'tr'"),
    "condition missing": ("${if}", 'condition name expected, but found "}"'),
    "condition unknown": ("${if ne{a}{b}{y}}", 'unknown condition "ne"'),
    "condition without braces": ("${if eq}", 'missing { after "eq"'),
    "second string missing": ("${if eq{a}{y}", CURLY + "'yes' part did not start with '{'" + REST + "''"),
    "second string not there": ("${if eq{a}x}", 'missing 2nd string in {} after "eq"'),
    "def without colon": ("${if def{y}}", '":" expected after "def"'),
    "def without a name": ("${if def:{y}}", 'variable name omitted after "def:"'),
    "def of an unknown variable": ("${if def:nosuch{y}}", 'unknown variable "nosuch" after "def:"'),
    "header swallows a brace": (
        "${if def:h_x{y}{n}}",
        "missing or misplaced { or } - could be header name not terminated by colon",
    ),
    "header swallows the last brace": (
        "${lc:$h_x}",
        "missing } at end of string - could be header name not terminated by colon",
    ),
    "subconditions without braces": (
        "${if and{eq{a}{a}}{y}}",
        'each subcondition inside an "and{...}" condition must be in its own {}',
    ),
    "unknown subcondition": ("${if or{{ne{a}{b}}}{y}}", 'unknown condition "ne" inside "or{...}" condition'),
    "yes not in braces": ("${if eq{a}{b}x}", CURLY + "'yes' part did not start with '{'" + REST + "'x}'"),
    "fail without yes": ("${if eq{a}{b} fail}", CURLY + "'yes' part did not start with '{'" + REST + "'fail}'"),
    "Fail": ("${if eq{a}{b}{y}Fail}", 'syntax error in "if" item - "fail" expected'),
    "third string": ("${if eq{a}{b}{y}{n}{m}}", CURLY + "did not close with '}'" + REST + "'{m}}'"),
    "fail not closed, reached": (
        "${if eq{a}{b}{y}fail",
        CURLY + "did not close with '}' after forcedfail" + REST + "''",
    ),
    "fail not closed, not reached": ("${if eq{a}{a}{y}fail", CURLY + "did not close with '}'" + REST + "''"),
    "extract without arguments": ("${extract}", "missing '{' for arg 1 of extract"),
    "extract by name of nothing": ("${extract{a}}", "missing '{' for arg 2 of extract"),
    "extract by number of nothing": ("${extract{1}{:}}", "missing '{' for arg 3 of extract"),
    "extract with an empty name": ("${extract{ }{a=1}}", 'first argument of "extract" must not be empty'),
    "listextract by name": ("${listextract{x}{a:b}}", 'first argument of "listextract" must be numeric'),
    "lookup without a type": ("${lookup{a}{/f}}", "missing lookup type"),
    "lookup of an unknown type": ("${lookup{a}nosuch{/f}}", 'unknown lookup type "nosuch"'),
    "lookup of an unknown type, with all that may stand round it": (
        "${lookup{a}partial2-nosuch*@x,ret=key{/f}}",
        'unknown lookup type "nosuch"',
    ),
    "lookup of half a type": ("${lookup{a}partiallsearch{/f}}", 'format error in lookup type "partiallsearch"'),
    "lookup without a key": ("${lookup lsearch{/f}}", 'missing {key} for single-key "lsearch" lookup'),
    "lookup without a file": ("${lookup{a}lsearch }", "missing '{' for lookup file-or-query arg"),
    "map of one argument": ("${map{a:b}}", "missing '{' for last arg of map"),
    "reduce of two": ("${reduce{a:b}{0}}", "missing '{' for last arg of reduce"),
    "mistake inside map": ("${map{a:b}{${nosuch}}}", 'unknown variable in "${nosuch}" inside "map" item'),
    "mistake inside filter": ("${filter{a:b}{ne{a}{b}}}", 'unknown condition "ne" inside "filter" item'),
    "brace too many in filter": (
        "${filter{a:b}{eq{$item}{a}{b}}}",
        'missing } at end of condition or expression inside "filter"; could be an unquoted } in the content',
    ),
    "sort by equality": ("${sort{a:b}{eq}{$item}}", "comparator not handled for sort"),
    "space before the end of sort": ("${sort{a:b}{lt}{$item} }", 'missing } at end of "sort"'),
    "sort not closed": ("${sort{a:b}{lt}{$item}", 'missing } at end of "sort"'),
}


@pytest.mark.parametrize(("text", "mistake"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_said_in_exims_words(expand: Expand, text: str, mistake: str) -> None:
    with pytest.raises(ExpansionError) as caught:
        expand(text)
    assert str(caught.value) == mistake


@pytest.mark.parametrize(
    "text",
    ["${run{/bin/true}}", "${perl{f}}", "${readsocket{/s}{x}}", "${dlfunc{/l}{f}}", "${acl{x}}", "${prvs{a@b}{k}}",
     "${lookup mysql{select 1}}", "${lookup{k}ldap{x}}", "${lookup{k}dbm{/f}}", "${lookup{k}cdb{/f}}",
     "${if pam{x}{y}}", "${if saslauthd{{a}{b}}{y}}", "${utf8_domain_to_alabel:é.example}"],
)  # fmt: skip
def test_what_is_out_of_scope_says_so_when_it_is_compiled(language: Expander, text: str) -> None:
    with pytest.raises(ExpansionError, match="is not in smarthostd"):
        language.compile(text)


IN_ORDER = {
    "forced failure before a mistake": ("${if eq{a}{b}{y}fail}${nosuch", '"if" failed and "fail" requested'),
    "arithmetic before a mistake": (
        "${eval:1/0}\\",
        'error in expression evaluation: divide by zero (after processing "1/0")',
    ),
    "a number before the brace that is missing": ("${if <{1}{2y}{y}{n}", 'invalid integer "2y"'),
    "the list before the condition": ("${map{${eval:x}}{$nosuch}}", None),
    "the branch that is taken before a mistake in the other": (
        "${if eq{a}{a}{${if eq{a}{b}{x}fail}}{$nosuch}}",
        '"if" failed and "fail" requested',
    ),
}


@pytest.mark.parametrize(("text", "mistake"), IN_ORDER.values(), ids=IN_ORDER)
def test_what_fails_first_is_said_first(expand: Expand, text: str, mistake: str | None) -> None:
    with pytest.raises(ExpansionError) as caught:
        expand(text)
    assert mistake is None or str(caught.value) == mistake
    assert isinstance(caught.value, ForcedFailure) is ("requested" in str(caught.value))
    assert "nosuch" not in str(caught.value)


def test_compiling_finds_the_mistake_that_expanding_would_not_come_to(language: Expander, expand: Expand) -> None:
    text = "${if eq{a}{a}{yes}{${extract{k}{k=v}{a}{b}{c}}}}"
    assert expand(text) == "yes"
    with pytest.raises(ExpansionError, match="did not close"):
        language.compile(text)


@pytest.mark.parametrize("text", ["${if match{$host}{(}{y}}", "${sg{$host}{(}{x}}", "${substr{x}{$host}}"])
def test_compiling_finds_what_is_wrong_whatever_the_values(language: Expander, text: str) -> None:
    with pytest.raises(ExpansionError, match=r"regular expression|is not a number"):
        language.compile(text)


def test_a_skipped_branch_is_read_but_not_evaluated(expand: Expand) -> None:
    skipped = "${lookup{a}lsearch{/nonexistent}}${readfile{/nonexistent}}${eval:1/0}${extract{}{x}}"
    assert expand("${if eq{a}{a}{yes}{" + skipped + "}}") == "yes"


def test_a_truth_value_is_looked_at_even_where_it_is_skipped(expand: Expand) -> None:
    with pytest.raises(ExpansionError, match=r"^unrecognised boolean value"):
        expand("${if eq{a}{b}{${if bool{x}{1}{2}}}{no}}")
    assert expand("${if eq{a}{b}{${if bool{${lc:X}}{1}{2}}}{no}}") == "no"
    with pytest.raises(ExpansionError, match="nosuch"):
        expand("${if eq{a}{a}{yes}{$nosuch}}")


def test_a_first_argument_that_is_expanded_decides_how_extract_is_read(expand: Expand) -> None:
    text = "${extract{$item}{=}{a=1}}"
    assert expand(text, item="1") == "a"
    assert expand("${extract{$item}{a=1}{<$value>}{none}}", item="a") == "<1>"
    with pytest.raises(ExpansionError, match=r"missing"):
        expand("${extract{$item}{a=1}}", item="1")


CONSTANTS = {
    "plain text": ("a {b} c", "a {b} c"),
    "escapes": ("\\n\\t\\\\ \\x41\\x4 \\101\\8", "\n\t\\ A\x04 A8"),
    "copied literally": ("\\N^a${x}\\d$\\N+", "^a${x}\\d$+"),
    "literal part not closed": ("\\Na$", "a$"),
    "octets that make up a character": ("\\xc3\\xa9", "é"),
    "NUL ends a text": ("a\\x00b", "a"),
}


@pytest.mark.parametrize(("text", "expected"), CONSTANTS.values(), ids=CONSTANTS)
def test_a_text_in_which_nothing_is_expanded_is_constant(language: Expander, text: str, expected: str) -> None:
    template = language.compile(text)
    assert template.constant == expected
    assert template.expand() == expected


def test_a_template_with_a_variable_is_not_constant(language: Expander) -> None:
    template = language.compile("a$host")
    assert template.constant is None
    assert template.text == "a$host"
    assert template.expand({"host": "b"}) == "ab"


def test_values_are_inserted_and_never_parsed(expand: Expand) -> None:
    trap = "${readfile{/etc/passwd}}$1\\n"
    assert expand("<$host>${lc:$host}${map{$host}{$item}}", host=trap).count("${readfile{/etc/passwd}}") == 3
    assert expand("${if eq{$host}{x}{y}{$host}}", host=trap) == trap


def test_a_variable_is_asked_only_when_it_is_used(language: Expander) -> None:
    asked: list[str] = []

    def ask() -> str:
        asked.append("asked")
        return "v"

    values = {"host": ask}
    assert language.expand("$domain${if eq{a}{b}{$host}}", values) == ""
    assert asked == []
    assert language.expand("$host", values) == "v"
