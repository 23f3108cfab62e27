"""What is remembered of files, and whether one that was read, or could not be, has changed: that ends a hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smarthostd.lookups import Files
from smarthostd.lookups.files import KEPT, NotRegularError
from tests.peers import presence

UID = 65534


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that somebody else may reach."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_mode & 0o777 == 0o700:
            directory.chmod(0o711)
    path = tmp_path / "password"
    path.write_text("secret")
    return path


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user to whom nothing belongs."""
    os.seteuid(UID)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_comes_into_being_has_changed(tmp_path: Path) -> None:
    files = Files()
    with pytest.raises(FileNotFoundError):
        files.read(str(tmp_path / "password"))
    stamps = files.stamps()
    assert not files.changed(stamps)
    (tmp_path / "password").write_text("secret")
    assert files.changed(stamps)
    assert files.read(str(tmp_path / "password")) == b"secret"


def test_a_file_that_may_be_read_at_last_has_changed(file: Path) -> None:
    """``chgrp`` and ``chmod`` are how people mend it: nothing is saved."""
    presence.root()
    files = Files()
    file.chmod(0o600)
    with nobody(), pytest.raises(PermissionError):
        files.read(str(file))
    stamps = files.stamps()
    with nobody():
        assert not files.changed(stamps)
    file.chmod(0o644)
    with nobody():
        assert files.changed(stamps)
        assert files.read(str(file)) == b"secret"
        assert not files.changed(files.stamps())


def test_a_directory_does_not_change_all_the_time(tmp_path: Path) -> None:
    files = Files()
    with pytest.raises(NotRegularError):
        files.read(str(tmp_path))
    assert not files.changed(files.stamps())


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
