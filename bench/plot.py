"""The rates as multiples of the tuned Postfix's, drawn as SVG: a bar for each relay, on a scale of doublings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from bench.report import OURS, YARDSTICK, Results, shown
from bench.scenarios import Scenario

_COLOURS = {OURS: "#2a7d4f", YARDSTICK: "#b8b8b8", "postfix-stock": "#8fa8c8", "exim": "#d0a070"}
_OTHER = "#777777"
_BAR = 14
_GAP = 12
_LABELS = 330
_SCALE = 420
_TOP = 40
_FIGURES = ("rate", "drain")
"""What is drawn: of each scenario the first of these that it shows."""


def svg(results: Results) -> str:
    """Return the drawing; a reader sees at 1 the tuned Postfix, to the right what is faster."""
    bars = list(_bars(results))
    low, high = _bounds([value for _, group in bars for _, value in group])
    body: list[str] = []
    y = _TOP
    for title, group in bars:
        body.append(_text(0, y + _BAR * len(group) / 2 + 4, title))
        for relay, value in group:
            body.append(_bar(relay, value, y, low, high))
            y += _BAR
        y += _GAP
    axis = [_tick(exponent, y, low, high) for exponent in range(low, high + 1)]
    width = _LABELS + _SCALE + 90
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + 10}" viewBox="0 0 {width} {y + 10}" '
        'font-family="sans-serif" font-size="12">'
    )
    return "\n".join(
        [head, '<rect width="100%" height="100%" fill="white"/>', *axis, *_legend(results), *body, "</svg>\n"]
    )


def _bars(results: Results) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    for scenario in results.scenarios:
        figure = next((name for name in _FIGURES if name in scenario.figures), None)
        group = _group(results, scenario, figure) if figure else []
        if len(group) > 1:
            yield scenario.title, group


def _group(results: Results, scenario: Scenario, figure: str) -> list[tuple[str, float]]:
    """Return each relay's multiple of the yardstick: ours by the ratio within a round, the others through it."""
    ours = results.ratio(scenario.name, YARDSTICK, figure)
    if not ours:
        return []
    group = [(OURS, ours)]
    for relay in results.relays[1:]:
        if theirs := results.ratio(scenario.name, relay, figure):
            group.append((relay, ours / theirs))
    return group


def _bounds(values: list[float]) -> tuple[int, int]:
    """Return the powers of two between which everything lies, 1 included."""
    exponents = [math.log2(value) for value in values if value > 0] or [0.0]
    return min(math.floor(min(exponents)), -1), max(math.ceil(max(exponents)), 1)


def _x(value: float, low: int, high: int) -> float:
    return _LABELS + (math.log2(value) - low) / (high - low) * _SCALE


def _bar(relay: str, value: float, y: float, low: int, high: int) -> str:
    left, right = sorted((_x(1, low, high), _x(value, low, high)))
    colour = _COLOURS.get(relay, _OTHER)
    bar = f'<rect x="{left:.1f}" y="{y}" width="{max(right - left, 2):.1f}" height="{_BAR - 2}" fill="{colour}"/>'
    return bar + _text(_LABELS + _SCALE + 8, y + _BAR - 4, f"{shown(value)} x")


def _tick(exponent: int, bottom: float, low: int, high: int) -> str:
    x = _x(2.0**exponent, low, high)
    weight = "1.5" if exponent == 0 else "0.4"
    line = f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{bottom}" stroke="#555" stroke-width="{weight}"/>'
    return line + _text(x - 8, _TOP - 10, f"{2.0**exponent:g}")


def _legend(results: Results) -> list[str]:
    return [
        f'<rect x="{150 * position}" y="4" width="10" height="10" fill="{_COLOURS.get(relay, _OTHER)}"/>'
        + _text(150 * position + 15, 13, relay)
        for position, relay in enumerate(results.relays)
    ]


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
