"""No input, however odd, makes anything but an expansion error, takes long, or reads what is skipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smarthostd.errors import ExpansionError
from smarthostd.expand import Expander, Limits
from smarthostd.lists import Matcher
from smarthostd.lookups import Files, Lookups
from tests.expand.conftest import FACTS
from tests.language import ZoneNames

T = TypeVar("T")
PIECES = st.sampled_from([
    "${if ", "${extract", "${lookup", "${map", "${filter", "${reduce", "${sort", "${sg", "${tr", "${lc:", "${expand:",
    "${substr_1_2:", "${listextract", "${eval:", "${address:", "${addresses:", "${rfc2047d:", "${mask:", "eq", "and",
    "or", "match", "forany", "def:", "=", "<", "bool", "match_domain", "lsearch", "fail", "{", "}", "{", "}", "{}",
    "{a}", "{b}", "{$item}", "{$value}", "$host", "$h_subject:", "$1", "${1}", "$", "\\", "\\N", ":", "!",
    " ", "1", "-1", "a:b", "k=v", "(.)", "[", "*", "é", "\x00", "\udcff", '"', "<u@h>", "=?utf-8?q?",
])  # fmt: skip
TEXTS = st.lists(PIECES, max_size=25).map("".join)
OCTETS = st.binary(max_size=40).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
OPERATORS = st.sampled_from([
    "lc", "uc", "strlen", "md5", "base64", "base64d", "base62", "base62d", "base32", "base32d", "hex2b64", "hexquote",
    "quote", "quote_local_part", "quote_mysql", "rxquote", "escape", "escape8bit", "address", "local_part", "domain",
    "addresses", "listcount", "eval", "eval10", "time_interval", "time_eval", "mask", "mask_n", "reverse_ip",
    "ipv6norm", "ipv6denorm", "rfc2047", "rfc2047d", "from_utf8", "utf8clean", "stat", "substr_1_2", "s_-3", "length_2",
    "hash_3_5", "nhash_7", "listnamed", "randint", "sha256", "sha3", "expand",
])  # fmt: skip


SECRET = "/secret"


class NoSecret(Files):
    """Files of which one may not be read."""

    def read(self, path: str) -> bytes:
        assert path != SECRET, "it was read"
        return super().read(path)

    def parsed(self, path: str, parse: Callable[[bytes], T]) -> T:
        assert path != SECRET, "it was read"
        return super().parsed(path, parse)


def expander(files: Files, limits: Limits = Limits()) -> Expander:  # noqa: B008 - a frozen value
    lookups = Lookups(files)
    return Expander(FACTS, lookups, Matcher(FACTS, lookups, ZoneNames()), limits)


def attempt(language: Expander, text: str, **values: str) -> str:
    """Return what *text* gives, or its error."""
    try:
        return language.expand(text, values)
    except ExpansionError as error:
        return str(error)


@settings(max_examples=400, deadline=None)
@given(TEXTS, OCTETS)
def test_any_text_is_expanded_or_an_expansion_error(text: str, host: str) -> None:
    outcome = attempt(expander(Files()), text, host=host, message_headers_raw=f"Subject: {host}\n")
    outcome.encode("utf-8", "surrogateescape")


@settings(max_examples=400, deadline=None)
@given(OPERATORS, OCTETS)
def test_any_value_goes_through_any_operator(operator: str, value: str) -> None:
    outcome = attempt(expander(Files()), f"${{{operator}:$host}}", host=value)
    outcome.encode("utf-8", "surrogateescape")


@settings(max_examples=200, deadline=None)
@given(TEXTS, OCTETS)
def test_no_nul_comes_out(text: str, host: str) -> None:
    try:
        assert "\x00" not in expander(Files()).expand(f"{text}$host", {"host": host})
    except ExpansionError:
        return


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_what_is_skipped_reads_no_file(text: str) -> None:
    reads = f"${{lookup{{a}}lsearch{{{SECRET}}}}}${{readfile{{{SECRET}}}}}{text}"
    language = expander(NoSecret())
    attempt(language, "${if eq{a}{b}{" + reads + "}")
    attempt(language, "${if or{{eq{a}{a}}{eq{" + reads + "}{}}}}")
    attempt(language, "${map{}{" + reads + "}}")


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_compiling_reads_no_file(text: str) -> None:
    reads = f"${{lookup{{a}}lsearch{{{SECRET}}}}}${{readfile{{{SECRET}}}}}"
    try:
        expander(NoSecret()).compile(reads + text)
    except ExpansionError:
        return


DEEP = {
    "operators": "${lc:" * 5000 + "}" * 5000,
    "conditions": "${if and{{" + "and{{" * 5000,
    "yes branches": "${if eq{a}{a}{" * 3000 + "}}" * 3000,
    "extract, read in two ways": "${extract{$item}{" * 60 + "}}" * 60,
    "expand": "${expand:" * 60 + "}" * 60,
    "parentheses": "${eval:" + "(" * 5000 + "}",
    "signs": "${eval:" + "-" * 5000 + "1}",
    "comments": "${address:" + "(" * 50000 + "}",
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_what_goes_down_without_end_ends(text: str) -> None:
    outcome = attempt(expander(Files()), text)
    assert outcome == "" or "nested too deeply" in outcome or "must not be empty" in outcome


def test_a_list_named_after_itself_ends() -> None:
    with pytest.raises(ExpansionError, match="nested too deeply"):
        expander(Files()).expand("${reduce{a}{\\${expand:\\$host\\}}{${expand:$host}}}", {"host": "${expand:$host}"})


GREEDY = {
    "maps in maps": "${map{a:b}{" * 25 + "x" + "}}" * 25,
    "doubling": "${reduce{" + "a:" * 100 + "}{x}{$value$value}}",
    "a long replacement": "${sg{$host}{.}{$host}}",
    "sorting what is sorted": "${sort{" + ":".join(map(str, range(5000))) + "}{<}{$item}}",
    "a filter that keeps nothing": "${map{" + "a:" * 3000 + "}{${filter{" + "a:" * 3000 + "}{eq{a}{b}}}}}",
    "forall": "${if forall{" + "a:" * 3000 + "}{forall{" + "a:" * 3000 + "}{eq{a}{a}}}}",
}


@pytest.mark.parametrize("text", GREEDY.values(), ids=GREEDY)
def test_what_grows_without_end_is_an_error(text: str) -> None:
    with pytest.raises(ExpansionError, match="on its way"):
        expander(Files(), Limits(work=1 << 20)).expand(text, {"host": "x" * 10000})


DIGITS = "9" * 9000
LARGE = {
    "numbers": [f"${DIGITS}", *(text.replace("N", DIGITS) for text in (
        "${eval:N}", "${substr_N:a}", "${base62:N}", "${base62d:N}", "${if ={N}{1}}", "${extract{N}{:}{a}}",
        "${listextract{N}{a}}", "${time_eval:Nw}", "${time_interval:N}", "${mask:1.2.3.4/N}", "${if bool{N}}",
        "${hash{N}{a}}", "${randint:N}", "${if match{a}{a{N}}}", "${if match{a}{\\N\\N\\N}}",
    ))],
    "encoded words without end": ["${rfc2047d:" + "=?a?q?" * 20000 + "}"],
    "addresses": ["${addresses:" + "a," * 20000 + "}", "${address:" + "a." * 20000 + "}"],
    "names": ["$h_" + "x" * 9000, "${if exists{" + "a" * 9000 + "}}", "${stat:" + "a" * 9000 + "}"],
}  # fmt: skip


@pytest.mark.parametrize("texts", LARGE.values(), ids=LARGE)
def test_what_is_large_is_read_or_refused(texts: list[str]) -> None:
    for text in texts:
        attempt(expander(Files()), text)


def test_a_string_that_is_too_long_is_refused() -> None:
    with pytest.raises(ExpansionError, match="longer than 100 characters"):
        expander(Files(), Limits(text=100)).expand("$host" * 21)
