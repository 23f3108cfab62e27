"""The same rules, addresses and header lines to the real Exim and to us.

``REWRITES=500 REWRITES_SEED=7 pytest tests/rewrite/test_against_exim.py`` compares more, and others.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from random import Random

import pytest

from smarthostd.cli.exim.rewriting import rewrite_test
from smarthostd.config import load
from tests.rewrite.conftest import Rewriting
from tests.rewrite.exim import RewritingExim
from tests.rewrite.made import Maker

COUNT = int(os.environ.get("REWRITES", "40"))
"""Sets of rules; each meets so many header lines:"""
LINES = 120
SEED = int(os.environ.get("REWRITES_SEED", "1"))
_FIELD = re.compile(rb"(?i)^(?:(?:resent-)?(?:to|cc|bcc)|reply-to|sender|x-to)[ \t]*:.*\n(?:[ \t].*\n)*", re.MULTILINE)


@pytest.mark.timeout(60 + COUNT)
def test_random_header_lines_become_what_exim_makes_of_them(files: Path) -> None:
    maker = Maker(Random(SEED), str(files))
    differences = []
    for number in range(COUNT):
        rules = maker.rules()
        header = "".join(maker.field() for _ in range(LINES))
        exim = RewritingExim(files / str(number), rules)
        (copy,) = exim.send("s@zz.example", ["r@zz.example"], f"From: f@zz.example\n{header}\nbody\n".encode())
        theirs, own = _FIELD.findall(copy.header), _FIELD.findall(Rewriting("\n".join(rules)).header(header).encode())
        given = _FIELD.findall(header.encode())
        assert len(theirs) == len(own) == len(given)
        for each in zip(given, theirs, own, strict=True):
            if each[1] != each[2]:
                differences.append("\n".join(map(repr, (rules, *each))))
    assert not differences, "\n".join([f"{len(differences)} of {COUNT * LINES} differ:", *differences[:20]])


@pytest.mark.timeout(60 + COUNT)
def test_random_addresses_under_brw_print_what_exim_prints(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker = Maker(Random(SEED), str(files))
    differences = []
    for number in range(COUNT * 2):
        rules, address = maker.rules(), " ".join(maker.mailbox().split("\n")).replace("\t", "")
        exim = RewritingExim(files / f"brw{number}", rules)
        theirs = exim.test(address)
        out = io.StringIO()
        status = rewrite_test(load(_configuration(files, rules), {}, lenient=True), [address], out=out)
        own = (status, out.getvalue())
        if own != (theirs.returncode, theirs.stdout.decode()):
            differences.append(f"{rules}\n{address!r}\n{theirs.stdout.decode()}{own[1]}")
    assert not differences, "\n".join([f"{len(differences)} of {COUNT * 2} differ:", *differences[:20]])


def _configuration(directory: Path, rules: list[str]) -> Path:
    file = directory / "ours.conf"
    lists = "domainlist locals = a.example : *.b.example\naddresslist people = u@a.example : *t@other.net\n"
    main = "primary_hostname = h.example\nqualify_domain = q.example\nqualify_recipient = qr.example\n"
    routers = "begin routers\nr:\n  driver = accept\n  transport = t\nbegin transports\nt:\n  driver = smtp\n"
    file.write_text(f"{main}{lists}{routers}begin rewrite\n" + "".join(f"{rule}\n" for rule in rules))
    return file
