"""Options that change nothing: they are told, and none is forgotten."""

from __future__ import annotations

import re
from pathlib import Path

import smarthostd
from smarthostd.config.catalog import catalog
from smarthostd.config.idle import MARK, QUIET
from tests.config.conftest import LoadText

SOURCES = Path(smarthostd.__file__).parent
DECLARED = ("config/settings.py", "config/exim/listing.py", "config/foreign.py", "*/options/*.py")
"""Where names of options stand and nothing is done with them."""
BY_PARTS = {
    "envelope_to_remove", "delivery_date_remove", "local_part_prefix_optional", "local_part_suffix_optional",
    "directory_transport", "file_transport",
    "server_param2", "server_param3",
}  # fmt: skip
"""Options whose names are put together where they are read."""
EMPTY_ONLY = "Accepted only"
"""What else is no option to set."""


def test_what_has_no_effect_is_told_with_the_reason(load_text: LoadText) -> None:
    text = """
smtp_accept_queue = 5
no_split_spool_directory
begin routers
all:
  driver = redirect
  data = a@b.example
  one_time
"""
    assert [re.sub(r".*/", "", warning) for warning in load_text(text).warnings] == [
        'smarthostd.conf:2: option "smtp_accept_queue" has no effect in smarthostd: see smtp_accept_max',
        'smarthostd.conf:8: option "one_time" of router all has no effect in smarthostd: new addresses are found '
        "again at each attempt",
    ]


def test_every_option_is_read_somewhere_or_says_that_it_is_not() -> None:
    declared = {path for pattern in DECLARED for path in SOURCES.glob(pattern)}
    read = "\n".join(path.read_text() for path in SOURCES.rglob("*.py") if path not in declared)
    words = set(re.findall(r"\w+", read)) | BY_PARTS
    known = catalog()
    every = [*known.main.values()]
    every += [
        option for drivers in known.drivers.values() for options in drivers.values() for option in options.values()
    ]
    unread = {option.name for option in every if option.name not in words and f"{option.name}_" not in words}
    silent = {option.name for option in every if not option.help.startswith((MARK, QUIET, EMPTY_ONLY))}
    assert unread & silent == set()
