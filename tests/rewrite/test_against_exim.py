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
from smarthostd.expand import Facts
from smarthostd.rewrite import Bare, FieldRewriter, RewriteRules, parse_rules
from tests.language import expander
from tests.rewrite.exim import RewritingExim
from tests.rewrite.made import KEYS, LOOKED_UP, Maker

COUNT = int(os.environ.get("REWRITES", "40"))
"""Sets of rules; each meets so many header lines:"""
LINES = 120
SEED = int(os.environ.get("REWRITES_SEED", "1"))
FACTS = Facts(
    "h.example", "q.example", "qr.example",
    domainlists={"locals": "a.example : *.b.example"}, addresslists={"people": "u@a.example : *t@other.net"},
)  # fmt: skip
_FIELD = re.compile(rb"(?i)^(?:(?:resent-)?(?:to|cc|bcc)|reply-to|sender|x-to)[ \t]*:.*\n(?:[ \t].*\n)*", re.MULTILINE)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the files that the made rules look things up in."""
    for name, text in (("looked_up", LOOKED_UP), ("keys", KEYS)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644)
    return tmp_path


def ours(rules: list[str], header: bytes) -> bytes:
    """Return what we make of a header block with LF line ends."""
    rewriter = FieldRewriter(
        RewriteRules(parse_rules(rules), expander(FACTS)), Bare("q.example", "qr.example"), {}, lambda line: None
    )
    return rewriter.header(header.replace(b"\n", b"\r\n")).replace(b"\r\n", b"\n")


@pytest.mark.timeout(60 + COUNT)
def test_random_header_lines_become_what_exim_makes_of_them(files: Path) -> None:
    maker = Maker(Random(SEED), str(files))
    differences = []
    for number in range(COUNT):
        rules = maker.rules()
        header = "".join(maker.field() for _ in range(LINES)).encode()
        exim = RewritingExim(files / str(number), rules)
        (copy,) = exim.send("s@zz.example", ["r@zz.example"], b"From: f@zz.example\n" + header + b"\nbody\n")
        theirs, own = _FIELD.findall(copy.header), _FIELD.findall(ours(rules, header))
        given = _FIELD.findall(header)
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
