"""What is said of the figures, on figures made up."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from bench import plot
from bench.report import Results, Sample, heading, markdown, rows, shown, verdict
from bench.scenarios import FIGURES, SCENARIOS

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def _results(**rates: list[float]) -> Results:
    """Return results of ``4k-10``: the rates of each relay, round by round."""
    names = {"ours": "smarthostd", "tuned": "postfix-tuned", "exim": "exim"}
    return Results(
        Sample("4k-10", number, names[relay], {"rate": rate, "cpu": 0.3, "errors": 0.0})
        for relay, values in rates.items()
        for number, rate in enumerate(values)
    )


def test_a_ratio_is_formed_within_a_round() -> None:
    """A slow round slows both; the ratio of the medians would be 4."""
    results = _results(ours=[100, 400, 900], tuned=[50, 200, 100])
    assert results.ratio("4k-10", "postfix-tuned", "rate") == 2
    assert results.median("4k-10", "smarthostd", "rate") == 400


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        pytest.param(290, "2.9 x, ≥ 3 (6): short", id="below the gate"),
        pytest.param(300, "3 x, ≥ 3 (6): gate", id="at the gate"),
        pytest.param(700, "7 x, ≥ 3 (6): aim", id="beyond the aim"),
    ],
)
def test_a_target_is_judged(ours: float, expected: str) -> None:
    assert verdict(_results(ours=[ours], tuned=[100]), BY_NAME["4k-10"], "rate") == expected


def test_less_can_be_better() -> None:
    """An absolute target needs no peer."""
    assert verdict(_results(ours=[100]), BY_NAME["4k-10"], "cpu") == "0.3, ≤ 0.45 or 0.2 x (0.2): gate"


@pytest.mark.parametrize(("theirs", "word"), [(3.0, "gate"), (2.0, "short")])
def test_a_ratio_may_reach_the_gate_where_the_value_does_not(theirs: float, word: str) -> None:
    samples = [
        Sample("4k-10", 0, relay, {"cpu": cpu}) for relay, cpu in (("smarthostd", 0.5), ("postfix-tuned", theirs))
    ]
    assert verdict(Results(samples), BY_NAME["4k-10"], "cpu") == f"0.5, ≤ 0.45 or 0.2 x (0.2): {word}"


def test_what_was_not_measured_is_not_judged() -> None:
    results = _results(ours=[100])
    assert verdict(results, BY_NAME["4k-10"], "rate") == ""
    assert rows(results)[1][2] == shown(None) == "-"


def test_errors_are_shown_where_there_were_any() -> None:
    sample = Sample("4k-10", 0, "smarthostd", {"rate": 1.0, "errors": 3.0})
    assert [FIGURES["errors"].title, "3"] in [row[1:3] for row in rows(Results([sample]))]


def test_the_table_is_rectangular() -> None:
    results = _results(ours=[100], tuned=[100], exim=[10])
    assert {len(row) for row in rows(results)} == {len(heading(results))}
    assert len({line.count(" | ") for line in markdown(results).splitlines()}) == 1


def test_every_figure_that_a_scenario_names_is_known() -> None:
    for scenario in SCENARIOS:
        assert {*scenario.figures, *(target.figure for target in scenario.targets)} <= set(FIGURES)
        assert {target.figure for target in scenario.targets} <= set(scenario.figures)


def test_the_plot_shows_each_relay_beside_the_tuned_postfix() -> None:
    """Ours is 4 times as fast, Exim half as fast."""
    drawing = plot.svg(_results(ours=[400], tuned=[100], exim=[50]))
    texts = [element.text for element in ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text and text.endswith(" x")] == ["4 x", "1 x", "0.5 x"]
