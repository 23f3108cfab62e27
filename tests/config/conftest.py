"""A configuration written to a file and loaded, as a test needs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from smarthostd.config import Loaded, load

Write = Callable[..., Path]
LoadText = Callable[..., Loaded]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write *text* to a file and return its path."""

    def write(text: str, name: str = "smarthostd.conf") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        return path

    return write


@pytest.fixture
def load_text(write: Write) -> LoadText:
    """Load *text* as a file of that name; nothing else of this machine counts."""

    def load_text(text: str, name: str = "smarthostd.conf", *, lenient: bool = True, **macros: str) -> Loaded:
        return load(write(text, name), {}, lenient=lenient, macros=macros)

    return load_text
