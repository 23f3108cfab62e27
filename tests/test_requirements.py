"""The pinned requirements: complete, hashed, consistent, and silent about where packages come from."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.golden import REPOSITORY

FOLDER = REPOSITORY / "requirements"
FILES = ("runtime.txt", "dev.txt")


def pins(name: str) -> dict[str, str]:
    """Return the version of each package in the file *name*."""
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+) \\$", (FOLDER / name).read_text(), re.MULTILINE))


def asked(dependencies: list[str]) -> set[str]:
    """Return the names in a list of requirements."""
    return {re.split(r"[^a-z0-9._-]", dependency.lower())[0] for dependency in dependencies}


@pytest.mark.parametrize("name", FILES)
def test_every_package_is_pinned_and_hashed(name: str) -> None:
    """Nothing but exact versions, hashes and comments: where packages come from is each machine's own affair."""
    line = re.compile(r"[a-z0-9._-]+==\S+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?|(\s*#(?!.*//).*)?")
    assert [odd for odd in (FOLDER / name).read_text().splitlines() if not line.fullmatch(odd)] == []
    assert pins(name)


def test_what_the_project_asks_for_is_there() -> None:
    """The dependencies of ``pyproject.toml`` stand in runtime.txt, those of the demo in dev.txt too."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert asked(project["dependencies"]) <= set(pins("runtime.txt"))
    assert asked(project["optional-dependencies"]["demo"]) <= set(pins("dev.txt"))


def test_both_files_agree() -> None:
    """What runs is what was tested."""
    assert pins("runtime.txt").items() <= pins("dev.txt").items()
