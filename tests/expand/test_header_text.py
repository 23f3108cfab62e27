"""``$h_NAME:`` and its kin, as Exim 4.96 answered, and encoded words."""

from __future__ import annotations

import pytest

from smarthostd.expand import rfc2047
from tests.expand.conftest import Expand

HEADERS = (
    "Subject:  =?utf-8?q?caf=C3=A9?=\n =?utf-8?q?_au?= lait \n"
    "X-Dup: one\nX-Dup:\nx-dup: a:b\n"
    "To: a@b\nTo: c@d\n"
    "X-Latin: =?iso-8859-1?q?=e9?=\n"
    "X-Space : not found\n"
)
SHOWN = {
    "decoded and trimmed": ("$h_subject:", "café au lait"),
    "with its long name": ("$header_Subject:", "café au lait"),
    "raw": ("$rh_subject:", "  =?utf-8?q?caf=C3=A9?=\n =?utf-8?q?_au?= lait \n"),
    "several": ("$h_x-dup:", "one\na:b"),
    "several, raw": ("$rh_X-DUP:", " one\n\n a:b\n"),
    "several as a list": ("$lh_x-dup:", " one:: a::b"),
    "several of addresses": ("$h_to:", "a@b,\nc@d"),
    "a charset is translated": ("$h_x-latin:", "é"),
    "or not": ("$bh_x-latin:", "\udce9"),
    "white space before the colon": ("[$h_x-space:]", "[]"),
    "missing": ("[$h_nosuch:]", "[]"),
    "the name ends at a space": ("[$h_to x]", "[a@b,\nc@d x]"),
    "at the end of the string": ("$h_x-latin", "é"),
    "a part of a name is another name": ("[$h_x:]", "[]"),
}


@pytest.mark.parametrize(("text", "expected"), SHOWN.values(), ids=SHOWN)
def test_a_header_is_shown(expand: Expand, text: str, expected: str) -> None:
    assert expand(text, message_headers_raw=HEADERS) == expected


def test_a_name_is_no_pattern(expand: Expand) -> None:
    assert expand("[$h_.*:]", message_headers_raw=HEADERS) == "[]"


DECODED = {
    "space between words goes": ("=?utf-8?q?a?= \n =?utf-8?q?b?= c", "ab c"),
    "space before text stays": ("=?utf-8?q?a?= b", "a b"),
    "base64": ("x=?utf-8?B?w6k=?=", "xé"),
    "base64 with spaces": ("=?utf-8?b?Y W I=?=", "ab"),
    "an underscore is a space": ("=?utf-8?q?a_b=5F?=", "a b_"),
    "no charset": ("=??q?a?=", "a"),
    "a NUL": ("=?utf-8?q?a=00b?=", "a?b"),
    "broken UTF-8": ("=?utf-8?q?a=e9?=", "a\udce9"),
    "a blank inside stays encoded": ("=?utf-8?q?a b?=", "=?utf-8?q?a b?="),
    "half an octet stays encoded": ("=?utf-8?q?a=4?=", "=?utf-8?q?a=4?="),
    "base64 without its padding stays encoded": ("=?utf-8?b?YWJ?=", "=?utf-8?b?YWJ?="),
    "an unknown encoding stays encoded": ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
    "a word that is too long stays encoded": (f"=?utf-8?q?{'a' * 75}?=", f"=?utf-8?q?{'a' * 75}?="),
}


@pytest.mark.parametrize(("text", "expected"), DECODED.values(), ids=DECODED)
def test_encoded_words(text: str, expected: str) -> None:
    assert rfc2047.decode(text) == (expected, "")


def test_an_unknown_charset_is_named_and_its_octets_are_kept() -> None:
    text, problem = rfc2047.decode("=?nosuch?q?a=e9?=")
    assert text == "a\udce9"
    assert "nosuch" in problem
