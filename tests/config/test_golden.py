"""What the real Exim 4.96 says of a configuration: accepted or not, and with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smarthostd.config import ConfigurationErrors, load
from smarthostd.config.exim.printer import print_options
from tests.golden import Record, records

NOT_IMPLEMENTED = {
    "cfg-rst-var": "smtp_receive_timeout is a time here, not expanded at each connection",
    "cfg-uid-bad": "exim_user has no effect: systemd or the container says who the daemon runs as",
    "cfg-uid-num": "the same",
    "cfg-bom": "Exim repeats its report because it cannot open its panic log; ours is the first of the three",
}
"""Records that we do not follow, each with its reason."""


def words(stderr: str) -> str:
    """Return Exim's report without the severity in front."""
    return "\n".join(line for line in stderr.splitlines() if not line.startswith("LOG:")).strip()


@pytest.mark.parametrize("record", records("config"))
def test_exim_and_we_agree_on_what_is_a_mistake(record: Record, tmp_path: Path) -> None:
    """The same configurations are refused, at the same first mistake, in the same words."""
    if record.id in NOT_IMPLEMENTED:
        pytest.skip(NOT_IMPLEMENTED[record.id])
    placed = record.placed(tmp_path)
    macros = dict(arg[2:].partition("=")[::2] for arg in record.input["args"] if arg.startswith("-D"))
    assert _complaint(tmp_path / "conf", macros) == words(placed.expect["stderr"])


def _complaint(path: Path, macros: dict[str, str]) -> str:
    """Return what Exim would say of a configuration; empty where it would accept it."""
    try:
        load(path, {}, lenient=True, macros=macros)
    except ConfigurationErrors as mistakes:
        return mistakes.exim or f"only we complain: {mistakes}"
    return ""


def is_printed(row: Any) -> bool:
    """Whether a record shows what ``-bP`` prints; True for the mark that stands where there are no records."""
    (record,) = row.values
    if record is None:
        return True
    asked = "-bP" in record.input["args"] and not words(record.expect["stderr"])
    return asked and record.id not in NOT_IMPLEMENTED


@pytest.mark.parametrize("record", [row for row in records("config") if is_printed(row)])
def test_options_are_printed_as_exim_prints_them(record: Record, tmp_path: Path) -> None:
    """``-bP`` in all its forms."""
    placed = record.placed(tmp_path)
    macros = dict(arg[2:].partition("=")[::2] for arg in record.input["args"] if arg.startswith("-D"))
    loaded = load(tmp_path / "conf", {}, lenient=True, macros=macros)
    arguments = placed.input["args"]
    result = print_options(loaded, arguments[arguments.index("-bP") + 1 :], values_only="-n" in arguments)
    assert result == (placed.expect["stdout"], placed.expect["exit"])
