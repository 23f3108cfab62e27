"""Random input of every kind is answered as the real Exim answers it; ``python -m tests.exim`` tries more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.exim.compare import KINDS
from tests.exim.smaller import smallest
from tests.golden import folder

COUNTS = {
    "expansions": 1500, "messages": 400, "patterns": 1000, "lists": 1500, "hosts": 600, "lookups": 900, "retries": 100,
    "routes": 50, "files": 150, "deliveries": 14,
}  # fmt: skip
SEED = 1


@pytest.mark.parametrize("kind", KINDS)
def test_random_input_is_answered_as_exim_answers_it(kind: str, tmp_path: Path) -> None:
    if kind == "deliveries" and folder() is None:
        pytest.skip("the golden records' servers are not here")
    differences = list(KINDS[kind](tmp_path, COUNTS[kind], SEED))
    assert not differences, "\n".join([f"{len(differences)} of {COUNTS[kind]} differ:", *map(str, differences[:20])])


def test_a_difference_is_made_small() -> None:
    def with_needle(texts: Sequence[str]) -> str | None:
        return next((text for text in texts if "needle" in text), None)

    assert smallest("so much text around a needle, and more", with_needle) == "needle"
