"""``log_selector``: what is chosen, and what Exim says of mistakes."""

from __future__ import annotations

import pytest

from smarthostd.selectors import EFFECTS, USUAL, complaint, selected


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        pytest.param("", USUAL, id="the usual"),
        pytest.param("+subject", USUAL | {"subject"}, id="one more"),
        pytest.param("-msg_id  +subject +pid", (USUAL | {"subject", "pid"}) - {"msg_id"}, id="more and less"),
        pytest.param("+all", frozenset(EFFECTS), id="all"),
        pytest.param("-all", frozenset(), id="nothing"),
        pytest.param("-all +pid", frozenset({"pid"}), id="nothing but"),
        pytest.param("+subject -subject", USUAL, id="the last word counts"),
        pytest.param("+dnssec +dkim", USUAL, id="what has no effect"),
    ],
)
def test_what_is_selected(text: str, chosen: frozenset[str]) -> None:
    assert selected(text) == chosen


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("+subject -pid", None, id="none"),
        pytest.param("+subjet", "unknown log_selector setting: +subjet", id="a name"),
        pytest.param("+ subject", "unknown log_selector setting: +", id="a blank behind the sign"),
        pytest.param("subject", 'malformed log_selector setting: + or - expected but found "subject"', id="a sign"),
        pytest.param("+pid ,x", 'malformed log_selector setting: + or - expected but found ",x"', id="a comma"),
    ],
)
def test_mistakes_in_exims_words(text: str, says: str | None) -> None:
    assert complaint(text) == says
