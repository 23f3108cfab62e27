"""What the tests of expansions share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smarthostd.expand import Expander, Facts
from tests.language import expander

FACTS = Facts(
    "client.example.net",
    "example.net",
    domainlists={"locals": "a.example : *.b.example", "both": "+locals : c.example"},
    hostlists={"net": "10.0.0.0/8", "six": "<; 2001:db8::1 ; +net ; a;;b"},
    addresslists={"vips": "boss@example.net"},
    localpartlists={"admins": "root : ^post"},
)
Expand = Callable[..., str]


@pytest.fixture
def language() -> Expander:
    """An expander with a few named lists."""
    return expander(FACTS)


@pytest.fixture
def expand(language: Expander) -> Expand:
    """Expand a string: ``expand("$host", host="h.example")``."""

    def run(text: str, **values: str) -> str:
        return language.expand(text, values)

    return run
