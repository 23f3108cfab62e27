"""The seed's text in the package is the seed's."""

from __future__ import annotations

import textwrap

import pytest

from smarthostd.demo import seed
from tests.golden import REPOSITORY
from tests.peers.presence import absent

PAGE = REPOSITORY.parent / "shared" / "seed" / "authenticated-outgoing-smtp.md"


@pytest.mark.parametrize(
    "stanza",
    [
        pytest.param(seed.ROUTER, id="router"),
        pytest.param(seed.TRANSPORT, id="transport"),
        pytest.param(seed.AUTHENTICATORS, id="authenticators"),
        pytest.param(seed.CREDENTIALS, id="credentials"),
    ],
)
def test_each_stanza_stands_in_the_how_to(stanza: str) -> None:
    """Character for character, but for the four blanks that make it an example there."""
    if not PAGE.is_file():
        absent("the seed is not here")
    assert textwrap.indent(stanza, "    ") in PAGE.read_text()
