"""Host lists in which a name is not known: what an item does to the whole list, as the real Exim 4.96 answered."""

from __future__ import annotations

import pytest

from smarthostd.expand import Facts
from smarthostd.lists import Matcher
from smarthostd.lookups import Files, Lookups
from tests.language import ZoneNames

FACTS = Facts("h.example", hostlists={
    "inner": "nosuch.example : 10.1.2.3", "lax": "+include_unknown : 10.9.9.9",
    "lenient": "+ignore_unknown : nosuch.example : 10.1.2.4",
})  # fmt: skip
MATCHER = Matcher(FACTS, Lookups(Files()), ZoneNames())
ANSWERS = {
    "an unknown name makes the list false": ("nosuch.example : *", False),
    "a negated one, too": ("!nosuch.example : *", False),
    "ignored": ("+ignore_unknown : nosuch.example : *", True),
    "counted as a match": ("+include_unknown : nosuch.example", True),
    "counted as a match of the list, though negated": ("+include_unknown : !nosuch.example", True),
    "so does a host without a name": ("+include_unknown : !*.example", True),
    "a named list has switches of its own": ("+include_unknown : +inner", False),
    "which end with it": ("+lax : nosuch.example : *", False),
    "an ignored name within": ("+lenient : 10.1.2.5", True),
}


@pytest.mark.parametrize(("text", "is_in"), ANSWERS.values(), ids=ANSWERS)
def test_a_host_is_in_a_list_with_an_unknown_name(text: str, is_in: bool) -> None:
    assert (MATCHER.host("10.1.2.5", None, text) is not None) is is_in
