"""``include_directory``: which file it is that is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smarthostd.lookups import NotRegularError
from smarthostd.routers import redirect


def test_the_file_that_was_looked_at_is_the_one_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose directory it is may put a link in its place in between; what that leads to would be told in an error."""
    (tmp_path / "secret").write_bytes(b"password")
    (tmp_path / "lists").mkdir()
    file = tmp_path / "lists" / "list"
    file.write_bytes(b"you@there.example")
    opened = redirect._opened_inside

    def then_changed(directory: str, path: str) -> int:
        descriptor = opened(directory, path)
        file.unlink()
        file.symlink_to(tmp_path / "secret")
        return descriptor

    monkeypatch.setattr(redirect, "_opened_inside", then_changed)
    assert redirect._read_inside(f"{tmp_path}/lists", str(file)) == b"you@there.example"


@pytest.mark.parametrize("name", ["pipe", "."])
def test_what_is_no_file_is_not_read(tmp_path: Path, name: str) -> None:
    """A pipe would be waited for; and nothing stays open."""
    os.mkfifo(tmp_path / "pipe")
    before = open_files()
    with pytest.raises(NotRegularError):
        redirect._read_inside(str(tmp_path), f"{tmp_path}/{name}")
    with pytest.raises(redirect._SyntaxError):
        redirect._read_inside(str(tmp_path), f"{tmp_path}/no/such")
    assert open_files() == before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
