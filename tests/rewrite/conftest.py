"""Rules over the facts of one configuration, and a log that can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from smarthostd.expand import Facts
from smarthostd.rewrite import Bare, FieldRewriter, RewriteRules, Where, parse_rules
from tests.language import expander
from tests.rewrite.made import KEYS, LOOKED_UP

FACTS = Facts(
    "h.example", "q.example", "qr.example",
    domainlists={"locals": "a.example : *.b.example"}, addresslists={"people": "u@a.example : *t@other.net"},
)  # fmt: skip
BARE = Bare("q.example", "qr.example")


class Rewriting:
    """Rules, one a line, and what they have told."""

    def __init__(self, text: str, bare: Bare = BARE, *, tell_changes: bool = False) -> None:
        self.told: list[str] = []
        self.rules = RewriteRules(
            parse_rules(text.splitlines()), expander(FACTS, log=self.told.append), tell_changes=tell_changes
        )
        self._bare = bare

    def one(self, address: str, where: Where = Where.FROM) -> str:
        """Return what becomes of an address."""
        after = self.rules.rewrite(address, where, {}, self.told.append)
        return after.text if after else address

    def header(self, text: str, *, utf8: bool = False) -> str:
        """Return what becomes of header lines with LF line ends."""
        given = text.encode("utf-8", "surrogateescape").replace(b"\n", b"\r\n")
        after = FieldRewriter(self.rules, self._bare, {}, self.told.append, utf8=utf8).header(given)
        return after.replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the files that the made rules look things up in."""
    for name, text in (("looked_up", LOOKED_UP), ("keys", KEYS)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644)
    return tmp_path
