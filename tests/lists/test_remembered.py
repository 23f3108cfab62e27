"""Lists of names whose answers are remembered: the same answers as of a list that is walked each time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarthostd.expand import Facts
from smarthostd.lists import Matcher
from smarthostd.lookups import Files, Lookups
from tests.language import ZoneNames

NAMED = {"ours": "a.example : *.b.example", "others": "! +ours : *"}
WALKED = "^never$ : "
"""An item that no subject fits, and whose like is not remembered."""
NAMES = ("h.example", "a.example", "A.Example", "x.b.example", "b.example", "c.example", "")
ITEMS = st.sampled_from([*NAMES[:-1], "@", "*", "*.b.example", "*.example", "+ours", "+others"])
LISTS = st.lists(st.tuples(st.sampled_from(["", "!", "! "]), ITEMS).map("".join), min_size=1, max_size=5)


def matcher() -> Matcher:
    return Matcher(Facts("h.example", domainlists=NAMED), Lookups(Files()), ZoneNames())


@given(LISTS, st.sampled_from(NAMES))
def test_what_is_remembered_is_what_a_walk_finds(items: list[str], subject: str) -> None:
    remembering, text = matcher(), " : ".join(items)
    walked = remembering.domain(subject, WALKED + text)
    assert [remembering.domain(subject, text) for _ in range(2)] == [walked, walked]


@pytest.mark.parametrize("item", ["lsearch;{file}", "{file}", "+listed"], ids=["a lookup", "a file", "by a named list"])
def test_what_a_file_says_is_never_remembered(item: str, tmp_path: Path) -> None:
    file = tmp_path / "domains"
    facts = Facts("h.example", domainlists={"listed": f"lsearch;{file}"})
    remembering = Matcher(facts, Lookups(Files()), ZoneNames())
    found = []
    for content in ("other.example\n", "a.example\nother.example\n"):
        file.write_text(content)
        found.append(remembering.domain("a.example", item.format(file=file)) is not None)
    assert found == [False, True]
