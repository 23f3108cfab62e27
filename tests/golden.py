"""Records of the real Exim 4.96: where they are, and one record as a test uses it."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@cache
def folder() -> Path | None:
    """Return the folder of the golden files, or None where there is none."""
    named = os.environ.get("SMARTHOSTD_GOLDEN")
    place = Path(named) if named else REPOSITORY.parent / "shared" / "golden"
    return place if (place / "README.md").is_file() else None


def _plain(value: Any) -> Any:
    """Undo the ``{"b64": …}`` form; bytes that are not UTF-8 become surrogate escapes."""
    if isinstance(value, dict):
        if set(value) == {"b64"}:
            return base64.b64decode(value["b64"]).decode("utf-8", "surrogateescape")
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _placed(value: Any, directory: str) -> Any:
    if isinstance(value, str):
        return value.replace("@DIR@", directory)
    if isinstance(value, dict):
        return {key: _placed(item, directory) for key, item in value.items()}
    return [_placed(item, directory) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Record:
    """One golden record; *config*, *files*, *input* and *expect* still hold ``@DIR@``."""

    id: str
    kind: str
    config: str
    files: dict[str, str]
    input: dict[str, Any]
    expect: dict[str, Any]
    dns: str = ""

    def placed(self, directory: Path) -> Record:
        """Write the record's files and configuration into *directory*; return the record with ``@DIR@`` replaced."""
        text = str(directory)
        record = Record(
            self.id,
            self.kind,
            _placed(self.config, text),
            _placed(self.files, text),
            _placed(self.input, text),
            _placed(self.expect, text),
            self.dns,
        )
        for place in ("spool", "log"):
            (directory / place).mkdir(exist_ok=True)
        for name, content in {**record.files, "conf": record.config}.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode("utf-8", "surrogateescape"))
        return record


def records(name: str, *kinds: str) -> list[Any]:
    """Return pytest parameters for the records of ``NAME.jsonl`` (of these *kinds*, or all)."""
    place = folder()
    if place is None:
        reason = "the golden records are not here (set SMARTHOSTD_GOLDEN)"
        mark = pytest.mark.skipif("CI" not in os.environ, reason=reason)
        return [pytest.param(None, marks=mark, id="missing")]
    found = []
    for line in (place / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        fields = _plain(json.loads(line))
        if not kinds or fields["kind"] in kinds:
            found.append(pytest.param(Record(**fields), id=fields["id"]))
    return found


def dns_zone() -> dict[str, Any]:
    """Return the zone that records with ``dns`` were made with."""
    place = folder()
    assert place is not None
    zone: dict[str, Any] = json.loads((place / "dns_zone.json").read_text(encoding="utf-8"))
    return zone
