"""The same configuration in both syntaxes is the same configuration, and so is either rendered as the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from smarthostd.config import load
from smarthostd.config.render import Form, render
from tests.config.conftest import Write

PAIRS = sorted((Path(__file__).parent / "pairs").glob("*.conf"))
EXAMPLES = Path(__file__).resolve().parents[2] / "config"


@pytest.mark.parametrize("conf", PAIRS, ids=lambda path: path.stem)
def test_both_syntaxes_mean_the_same(conf: Path) -> None:
    """``NAME.conf`` and ``NAME.toml``."""
    exim, toml = load(conf, {}, lenient=True).settings, load(conf.with_suffix(".toml"), {}, lenient=True).settings
    assert exim == toml
    assert exim.model_fields_set == toml.model_fields_set


@pytest.mark.parametrize("form", ["exim", "toml"])
@pytest.mark.parametrize("conf", PAIRS, ids=lambda path: path.stem)
def test_what_is_rendered_reads_back_the_same(conf: Path, form: Form, write: Write) -> None:
    """From either, as either."""
    settings = load(conf, {}, lenient=True).settings
    text = render(settings, form, secrets=True)
    path = write(text, "x.conf" if form == "exim" else "x.toml")
    again = load(path, {}, lenient=True).settings
    assert again == settings
    assert again.model_fields_set == settings.model_fields_set


def test_the_examples_say_the_same() -> None:
    """The commented TOML with its shorthand, and the same in Exim's syntax, strictly loaded."""
    toml, exim = (load(EXAMPLES / f"smarthostd.{suffix}", {}) for suffix in ("toml", "conf"))
    assert toml.settings == exim.settings
    # the password's file is not there when this is read: that is all there is to say
    assert all("/etc/smarthostd/password cannot be read" in warning for warning in (*toml.warnings, *exim.warnings))
