"""What the real Exim 4.96 answered, asked of ``smarthostd exim --strict``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.calls import Answer, call, like_the_golden_machine
from tests.cli.listed import LISTED
from tests.golden import Record, dns_zone, records
from tests.routers.test_golden import hosts_sorted, listed_results


@pytest.fixture
def record(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    """The record, its files written, on a machine like the one that it was made on."""
    found: Record = request.param
    if found.id in LISTED:
        pytest.skip(LISTED[found.id])
    for name in ("PATH", "HOME"):
        monkeypatch.delenv(name, raising=False)
    like_the_golden_machine(monkeypatch, dns_zone())
    return found.placed(tmp_path)


def of(name: str, *kinds: str) -> pytest.MarkDecorator:
    """Run a test with each of these records."""
    return pytest.mark.parametrize("record", records(name, *kinds), indirect=True)


def exim(tmp_path: Path, *words: str) -> Answer:
    """Call the command with the record's configuration."""
    return call(["--strict", "-C", str(tmp_path / "conf"), *words])


def literal(text: str) -> str:
    """Return *text* as a string to expand that gives it."""
    return re.sub(r"([\\${}])", r"\\\1", text)


@of("expand", "expand")
def test_be(record: Record, tmp_path: Path) -> None:
    """``-be STRING``."""
    expected = record.expect
    if expected.get("macro_definition"):
        shown = expected["value"]
    else:
        shown = expected["value"] if expected["ok"] else f"Failed: {expected['error']}"
    assert exim(tmp_path, "-be", str(record.input)) == Answer(f"{shown}\n", "", 0)


@of("expand", "expand-message")
def test_bem(record: Record, tmp_path: Path) -> None:
    """``-f SENDER -bem FILE STRING``."""
    asked = record.input
    expected = record.expect
    shown = expected["value"] if expected["ok"] else f"Failed: {expected['error']}"
    answer = exim(tmp_path, "-f", asked["sender"], "-bem", asked["message_file"], asked["string"])
    assert answer == Answer(f"{shown}\n", "", 0)


@of("lookup")
def test_a_lookup(record: Record, tmp_path: Path) -> None:
    """``${lookup{KEY}TYPE{FILE}…}``."""
    asked = record.input
    text = f"${{lookup{{{literal(asked['key'])}}}{asked['type']}{{{asked['file']}}}{{=$value|$0|$1|$2}}{{-}}}}"
    out = exim(tmp_path, "-be", text).out.removesuffix("\n")
    if "error" in record.expect:
        assert out == f"Failed: {record.expect['error']}"
    elif not record.expect["found"]:
        assert out == "-"
    else:
        data, *numbered = out.removeprefix("=").rsplit("|", 3)
        assert data == record.expect["data"]
        for number, value in record.expect.get("vars", {}).items():
            assert numbered[int(number)] == value, number


@of("lists", "match_domain", "match_address", "match_local_part", "match_ip")
def test_a_list(record: Record, tmp_path: Path) -> None:
    """``${if match_…{SUBJECT}{+L}{yes}{no}}``."""
    expected = record.expect
    text = f"${{if {record.kind}{{{literal(record.input['subject'])}}}{{+L}}{{yes:$value}}{{no}}}}"
    answer = exim(tmp_path, "-be", text)
    if "configuration error" in expected.get("error", ""):
        assert answer == Answer("", expected["error"] + "\n", 1)
    elif expected["result"] in ("defer", "fatal"):
        assert answer.out == f"Failed: {expected['error']}\n"
    else:
        result, _, value = answer.out.removesuffix("\n").partition(":")
        assert result == expected["result"]
        if "value" in expected and record.kind != "match_ip":
            assert value == expected["value"]


@of("config")
def test_a_configuration(record: Record, tmp_path: Path) -> None:
    """``-bP`` in all its forms, ``-brt``, and configurations that are wrong."""
    expected = record.expect
    assert exim(tmp_path, *record.input["args"]) == Answer(expected["stdout"], expected["stderr"], expected["exit"])


@of("retry")
def test_brt(record: Record, tmp_path: Path) -> None:
    """``-brt ADDRESS [DOMAIN] [ERROR]``."""
    expected = record.expect
    answer = exim(tmp_path, *record.input["options"], "-brt", *record.input["args"])
    assert (answer.out, answer.status) == (expected["stdout"], expected["exit"])


@of("route", "bt", "bv")
def test_bt_and_bv(record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``-bt ADDRESS``, ``-bv`` and ``-bvs``."""
    expected = record.expect
    words = record.input["args"]
    test = [] if {"-bv", "-bvs"} & set(words) else ["-bt"]
    answer = exim(tmp_path, *words, *test, record.input["address"])
    assert answer.status == expected["exit"]
    if expected.get("hosts_order_random"):
        assert hosts_sorted(answer.out) == listed_results(record)
    elif expected.get("stderr"):
        assert (answer.out + answer.err + capsys.readouterr().err).strip() == expected["stderr"].strip()
    else:
        assert answer.out == expected["stdout"]


@of("lists", "match_host")
def test_a_host_list(record: Record, tmp_path: Path) -> None:
    """``-bt``, with the list as ``ignore_target_hosts`` of a route to the host: which of its addresses are left."""
    left = re.findall(r"^  host (\S+) +\[(\S+)\]", exim(tmp_path, "-bt", "x@y.example").out, re.MULTILINE)
    wanted = record.expect.get("left", [])
    assert sorted(left) == sorted((name, address) for name, address in wanted)
