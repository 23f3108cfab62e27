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
from smarthostd.spool.sqlite import SqliteSpool
from tests.rewrite.conftest import Rewriting
from tests.rewrite.door import Door
from tests.rewrite.exim import RewritingExim
from tests.rewrite.made import Maker

COUNT = int(os.environ.get("REWRITES", "40"))
"""Sets of rules; each meets so many header lines:"""
LINES = 120
SEED = int(os.environ.get("REWRITES_SEED", "1"))
_ADDED = re.compile(rb"^(?:Message-Id|Date|Received):.*\n(?:[ \t].*\n)*", re.MULTILINE)
"""What each of us adds, in its own place."""
_FIELD = re.compile(rb"(?i)^(?:(?:resent-)?(?:to|cc|bcc)|reply-to|sender|x-to)[ \t]*:.*\n(?:[ \t].*\n)*", re.MULTILINE)


@pytest.mark.timeout(60 + COUNT)
def test_random_header_lines_become_what_exim_makes_of_them(files: Path) -> None:
    maker = Maker(Random(SEED), str(files))
    differences = []
    for number in range(COUNT):
        rules = maker.rules()
        header = "".join(maker.field() for _ in range(LINES))
        exim = RewritingExim(files / str(number), rules)
        copy = exim.send("s@zz.example", "r@zz.example", f"From: f@zz.example\n{header}\nbody\n".encode())
        if copy is None:
            continue
        theirs, own = (
            _FIELD.findall(copy.header),
            _FIELD.findall(Rewriting("\n".join(rules)).header(header).encode()),
        )
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


MESSAGE = """\
From: "U. Ser" <u@a.example> (here)
Sender: root
Reply-To: Team <u@a.example>,
  v@other.net
To: all: first.last@a.example, w@b.example;, "v w" <v@A.Example>
Cc: =?utf-8?q?J=C3=B6rg?= <u@y.b.example>, bare, junk here
X-From: u@a.example
Subject: u@a.example

From: u@a.example
To: v@a.example
"""
SENDINGS = {
    "one rule for everything": (["*@a.example  $1@new.example"], "", ""),
    "the whole of From": (['*@a.example  "N. Name <$1@new.example>"  fw', "*@*  $1@$2.new  FT"], "", ""),
    "Debian's email-addresses": (
        ['*@+locals  "${{lookup{{${{local_part}}}}lsearch{{{0}/looked_up}}{{$value}}fail}}"  Ffrs'], "", "",
    ),
    "only when it is sent": ([], "* me@provider.example fs : *@a.example $1@out.example tcr", "me@provider.example"),
    "when it comes and when it goes": (
        ["*@a.example  $1@new.example"], "*@new.example $1@out.example", "r+$local_part@x.example"
    ),
    "return_path by force": ([], "", "${if eq{$sender_address_domain}{b.example}{x@y.example}fail}"),
}  # fmt: skip


@pytest.mark.parametrize(("rules", "headers_rewrite", "return_path"), SENDINGS.values(), ids=SENDINGS)
async def test_a_message_leaves_as_it_leaves_exim(
    files: Path, rules: list[str], headers_rewrite: str, return_path: str
) -> None:
    """Envelope, header and body, in through our intake and spool and out through a transport's changes."""
    rules = [rule.format(files) if "{{" in rule else rule for rule in rules]
    options = {"headers_rewrite": headers_rewrite, "return_path": return_path}
    transport = "\n".join(f"  {name} = {text}" for name, text in options.items() if text)
    exim = RewritingExim(files / "exim", rules, transport=transport)
    theirs = exim.send("u@a.example", "v@a.example", MESSAGE.encode())
    assert theirs
    spool = await SqliteSpool.open(files / "spool", set_aside=lambda id, why: None)
    door = Door(spool)
    door.rule("\n".join(rules))
    header, _, body = MESSAGE.partition("\n\n")
    envelope, _, _ = await door.take(f"{header}\n", b"\r\n" + body.encode().replace(b"\n", b"\r\n"), to="v@a.example")
    sender, content = door.leave(**options)
    await spool.close()
    assert (str(sender), str(envelope.recipients[0])) == (theirs.sender, theirs.recipient)
    ours = content.replace(b"\r\n", b"\n").partition(b"\n\n")
    assert _ADDED.sub(b"", ours[0] + b"\n") == _ADDED.sub(b"", theirs.header)
    assert ours[2] == theirs.body
