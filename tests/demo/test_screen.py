"""Both screens say the same; only the terminal's has colours and moves."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from smarthostd.demo.screen import PlainScreen, RichScreen, Screen

Shown = Callable[[], str]


@pytest.fixture(params=["plain", "rich"])
def screen(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> tuple[Screen, Shown]:
    """A screen, and what it has shown so far."""
    if request.param == "plain":
        return PlainScreen(), lambda: capsys.readouterr().out
    stream = io.StringIO()
    return RichScreen(Console(file=stream, force_terminal=True, width=100, highlight=False)), stream.getvalue


@pytest.mark.parametrize(
    "say",
    [
        pytest.param(lambda screen: screen.step("the words"), id="a step"),
        pytest.param(lambda screen: screen.tell("first", "the words"), id="a fact"),
        pytest.param(lambda screen: screen.show("the words"), id="configuration"),
        pytest.param(lambda screen: screen.end("the words", good=True), id="the end"),
    ],
)
def test_it_shows_what_it_is_told(screen: tuple[Screen, Shown], say: Callable[[Screen], None]) -> None:
    """Each kind of line."""
    say(screen[0])
    assert "the words" in screen[1]()


def test_text_is_never_taken_for_markup(screen: tuple[Screen, Shown]) -> None:
    """A reply in square brackets is shown as it is."""
    screen[0].tell("host", "127.0.0.1 [127.0.0.1] [red]")
    assert "[127.0.0.1] [red]" in screen[1]()


def test_it_counts(screen: tuple[Screen, Shown]) -> None:
    """The last thing shown is the whole count."""
    with screen[0].counting("delivered", 2) as advance:
        advance()
        advance()
    assert "2/2" in screen[1]().replace(" of ", "/")
