"""What is remembered of files, however many there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from smarthostd.lookups import Files
from smarthostd.lookups.files import KEPT


def test_names_made_of_what_strangers_write_to_are_not_all_remembered(tmp_path: Path) -> None:
    """A file for each local part: a spammer's words must not fill memory, nor be looked at each second in a hold."""
    files = Files()
    for number in range(KEPT + 100):
        with pytest.raises(FileNotFoundError):
            files.read(f"{tmp_path}/nobody{number}")
        (tmp_path / f"user{number}").write_text(str(number))
        assert files.read(f"{tmp_path}/user{number}") == str(number).encode()
    stamps = files.stamps()
    assert len(stamps) == 2 * KEPT
    assert files.read(f"{tmp_path}/user0") == b"0"
    assert not files.changed(stamps)
    (tmp_path / f"nobody{KEPT}").touch()
    assert files.changed(stamps)
