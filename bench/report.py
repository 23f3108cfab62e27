"""Figures of several rounds, put together: medians, ratios within a round, targets; on the screen and as a plot."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from bench.measure import Figures
from bench.scenarios import FIGURES, SCENARIOS, Scenario, Target

OURS = "smarthostd"
YARDSTICK = "postfix-tuned"
"""The peer that the targets speak of."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one relay did in one scenario of one round."""

    scenario: str
    round: int
    relay: str
    figures: Figures

    def record(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class Results:
    """All samples, and what is said of them."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.samples = list(samples)

    @property
    def relays(self) -> list[str]:
        """The relays, ours first, the others in the order in which they came."""
        names = dict.fromkeys(sample.relay for sample in self.samples)
        return sorted(names, key=lambda name: name != OURS)

    @property
    def scenarios(self) -> list[Scenario]:
        """The scenarios that were measured."""
        names = {sample.scenario for sample in self.samples}
        return [scenario for scenario in SCENARIOS if scenario.name in names]

    def median(self, scenario: str, relay: str, figure: str) -> float | None:
        """Return the median over the rounds, or None where there is no such figure."""
        values = self._by_round(scenario, relay, figure).values()
        return statistics.median(values) if values else None

    def ratio(self, scenario: str, relay: str, figure: str) -> float | None:
        """Return ours divided by theirs: the median over the rounds in which both were measured."""
        ours, theirs = (self._by_round(scenario, name, figure) for name in (OURS, relay))
        ratios = [ours[number] / theirs[number] for number in ours if theirs.get(number)]
        return statistics.median(ratios) if ratios else None

    def reached(self, scenario: str, target: Target) -> float | None:
        """Return the value that is to be compared with *target*, or None if it was not measured."""
        if target.absolute:
            return self.median(scenario, OURS, target.figure)
        return self.ratio(scenario, YARDSTICK, target.figure)

    def _by_round(self, scenario: str, relay: str, figure: str) -> dict[int, float]:
        return {
            sample.round: sample.figures[figure]
            for sample in self.samples
            if (sample.scenario, sample.relay) == (scenario, relay) and figure in sample.figures
        }


def verdict(results: Results, scenario: Scenario, figure: str) -> str:
    """Return how ours stands to the target for *figure*: ``3.4 x, ≥ 3 (6): gate``; empty where there is none."""
    for target in scenario.targets:
        value = results.reached(scenario.name, target) if target.figure == figure else None
        if value is not None:
            return _judged(value, results.ratio(scenario.name, YARDSTICK, figure), target)
    return ""


def _judged(value: float, ratio: float | None, target: Target) -> str:
    less = FIGURES[target.figure].less
    times = "" if target.absolute else " x"
    gate = f"{target.gate:g}" if target.or_ratio is None else f"{target.gate:g} or {target.or_ratio:g} x"
    word = _word(value, ratio, target, less)
    return f"{shown(value)}{times}, {'≤' if less else '≥'} {gate} ({target.aim:g}): {word}"


def _word(value: float, ratio: float | None, target: Target, less: bool) -> str:
    def reaches(value: float | None, wanted: float | None) -> bool:
        return value is not None and wanted is not None and (value <= wanted if less else value >= wanted)

    if reaches(value, target.aim):
        return "aim"
    return "gate" if reaches(value, target.gate) or reaches(ratio, target.or_ratio) else "short"


def shown(value: float | None) -> str:
    """Return a number with the digits that mean something."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def rows(results: Results) -> list[list[str]]:
    """Return the table: a row for each figure of each scenario, its first one with the scenario's title."""
    table = []
    for scenario in results.scenarios:
        for position, name in enumerate(_figures(results, scenario)):
            figure = FIGURES[name]
            label = f"{figure.title} ({figure.unit})" if figure.unit else figure.title
            medians = [shown(results.median(scenario.name, relay, name)) for relay in results.relays]
            ratios = [shown(results.ratio(scenario.name, relay, name)) for relay in results.relays[1:]]
            title = "" if position else scenario.title
            table.append([title, label, *medians, *ratios, verdict(results, scenario, name)])
    return table


def _figures(results: Results, scenario: Scenario) -> list[str]:
    """Return the figures to show: the scenario's, and what went wrong if anything did."""
    wrong = [
        name
        for name in ("errors", "missing")
        if any(results.median(scenario.name, relay, name) for relay in results.relays)
    ]
    return [*scenario.figures, *wrong]


def heading(results: Results) -> list[str]:
    """Return the titles of the columns."""
    return ["scenario", "figure", *results.relays, *(f"x {name}" for name in results.relays[1:]), "target"]


def markdown(results: Results) -> str:
    """Return the table as the documentation shows it: of the ratios only the one that the targets speak of."""
    titles = heading(results)
    columns = [at for at, title in enumerate(titles) if not title.startswith("x ") or title == f"x {YARDSTICK}"]
    rule = ["---", "---", *["--:"] * (len(columns) - 3), "---"]
    lines = [[line[at] for at in columns] for line in (titles, *rows(results))]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def show(results: Results) -> None:
    """Print the table: a rich one on a terminal, plain columns elsewhere."""
    if sys.stdout.isatty() and find_spec("rich"):
        _show_rich(heading(results), rows(results))
    else:
        _show_plain([heading(results), *rows(results)])


def _show_plain(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.ljust(width) if position < 2 or position == len(line) - 1 else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def _show_rich(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for position, title in enumerate(titles):
        table.add_column(title, justify="left" if position < 2 or position == len(titles) - 1 else "right")
    for line in lines:
        table.add_row(*line, style=_style(line[-1]))
    Console().print(table)


def _style(target: str) -> str:
    word = target.rpartition(" ")[2]
    return {"aim": "green", "gate": "yellow", "short": "red"}.get(word, "")
