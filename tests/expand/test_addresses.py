"""Addresses in headers, as Exim 4.96 reads them for ``${address:…}``."""

from __future__ import annotations

import pytest

from smarthostd.expand.addresses import extract, extract_all, split_addresses

FOUND = {
    "bare": ("u@h", "u@h"),
    "in brackets": ("<u@h>", "u@h"),
    "a local part alone": (" u ", "u@"),
    "a phrase": ("A. B. C <u@h>", "u@h"),
    "a quoted phrase": ('"A, B" <u@h>', "u@h"),
    "comments": ("(a) u (b) . v (c) @ (d) h (e)", "u.v@h"),
    "a comment that is not closed": ("u (c", "u@"),
    "nested comments": ("u@h (a (b) \\) c)", "u@h"),
    "a quoted local part": ('"a b"@h', '"a b"@h'),
    "a backslash": ("a\\ b@h", "a\\ b@h"),
    "dots anywhere": (".a..b.@h", ".a..b.@h"),
    "a domain literal": ("u@[IPv6:::1]", "u@[IPv6:::1]"),
    "a source route": ("<@a,@b:u@h>", "u@h"),
    "a source route without brackets": ("@a,@b:u@h", "u@h"),
    "UTF-8 before the at": ("é@h", "é@h"),
}


@pytest.mark.parametrize(("text", "address"), FOUND.values(), ids=FOUND)
def test_an_address_is_found(text: str, address: str) -> None:
    found = extract(text)
    assert found is not None
    assert "@".join(found) == address


NONE = {
    "nothing": "", "a null sender": "<>", "two words": "a b@h", "two ats": "a@b@c", "two addresses": "a@b, c@d",
    "words behind": "<u@h> x", "no bracket": "x <u@h", "an address for a phrase": "x@y <u@h>",
    "a quote that is not closed": '"ab', "a hyphen in front of a domain": "u@-h", "an underscore in a domain": "u@h_x",
    "a dot at the end": "u@h.", "two dots in a domain": "u@h..x", "UTF-8 behind the at": "u@é",
    "brackets twice": "<<u@h>>", "a route to a local part": "<@a:u>", "a group": "g: u@h;",
}  # fmt: skip


@pytest.mark.parametrize("text", NONE.values(), ids=NONE)
def test_no_address_is_found(text: str) -> None:
    assert extract(text) is None


LISTS = {
    "commas": ("a@b,, c@d ,", ["a@b", "c@d"]),
    "commas inside": ('"x, y"@c, (d, e) f@g, <h@i>', ['"x, y"@c', "f@g", "h@i"]),
    "a group": ("a@b, g: c@d, e@f; , h@i", ["a@b", "c@d", "e@f", "h@i"]),
    "what is none is left out": ("bad bad, c@d", ["c@d"]),
    "a bracket holds a comma": ("<a, b@c>, d@e", ["d@e"]),
    "a route holds commas": ("@a,@b:u@h, c@d", ["u@h", "c@d"]),
    "a quote that is not closed": ('a@b, "c, d@e\\', ["a@b"]),
}


@pytest.mark.parametrize(("text", "addresses"), LISTS.values(), ids=LISTS)
def test_addresses_of_a_header(text: str, addresses: list[str]) -> None:
    assert extract_all(text) == addresses


def test_pieces_keep_their_text() -> None:
    assert split_addresses('a <b>, "c, d" ,(e,f)g') == ["a <b>", ' "c, d" ', "(e,f)g"]
