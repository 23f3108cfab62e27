"""Tests of an address look at what the rules make of it; the rows were put to the real Exim 4.96."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from smarthostd.cli.exim.addresses import address_test
from smarthostd.config import load

CONFIGURATION = """
primary_hostname = h.example
begin routers
r:
  driver = accept
  transport = t
begin transports
t:
  driver = appendfile
  file = /nowhere/out
begin rewrite
*@a.example new@b.example T
*@s.example n@t.example F
"""
ROWS = {
    "-bt asks the rules for recipients": (
        {}, "u@a.example", "Address rewritten as: new@b.example\nnew@b.example\n  router = r, transport = t\n"
    ),
    "-bv too": ({"verify": True}, "u@a.example", "Address rewritten as: new@b.example\nnew@b.example verified\n"),
    "-bvs asks those for senders": (
        {"verify": True, "sender_verify": True}, "u@s.example",
        "Address rewritten as: n@t.example\nn@t.example verified\n",
    ),
    "an address that no rule fits": ({}, "u@s.example", "u@s.example\n  router = r, transport = t\n"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "address", "printed"), ROWS.values(), ids=ROWS)
async def test_an_address_is_tested_as_rewritten(
    tmp_path: Path, options: dict[str, bool], address: str, printed: str
) -> None:
    file = tmp_path / "c.conf"
    file.write_text(CONFIGURATION)
    out = io.StringIO()
    assert await address_test(load(file, {}), [address], out=out, **options) == 0
    assert out.getvalue() == printed
