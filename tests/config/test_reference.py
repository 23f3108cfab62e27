"""``docs/options.md`` is what the models say."""

from __future__ import annotations

from smarthostd.config.catalog import catalog
from smarthostd.config.reference import reference, selector_tables
from tests.golden import REPOSITORY


def test_the_page_is_current() -> None:
    """``python -m smarthostd.config.reference > docs/options.md`` makes it."""
    assert (REPOSITORY / "docs" / "options.md").read_text(encoding="utf-8") == reference()


def test_every_option_has_a_sentence_of_help() -> None:
    """One sentence: no line breaks, an end."""
    tables = [catalog().main, *(options for drivers in catalog().drivers.values() for options in drivers.values())]
    silent = [option.name for options in tables for option in options.values() if not option.help.endswith((".", "?"))]
    assert silent == []


def test_the_page_on_the_log_knows_every_selector() -> None:
    """Its end is made: ``python -m smarthostd.config.reference selectors``."""
    assert (REPOSITORY / "docs" / "log.md").read_text(encoding="utf-8").endswith(f"-->\n{selector_tables()}\n")
