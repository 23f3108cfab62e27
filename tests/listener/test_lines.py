"""Blocks full of lines of one length are checked as strictly as any others."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smarthostd.listener.content import LARGE, Content
from smarthostd.listener.lines import MANY, run_of_equal_lines
from tests.listener.test_content import Kept

PIECES = st.sampled_from([b"x", b"ab", b"\r\n", b"\r", b"\n", b"", b"\0", b"x\r\n", b"ab\r\n", b"\r\n" * 12])
RUNS = st.builds(
    lambda text, count: (text + b"\r\n") * count, st.sampled_from([b"", b"x", b"ab", b"abc"]), st.integers(0, 40)
)


@settings(max_examples=300)
@given(parts=st.lists(st.one_of(PIECES, RUNS), max_size=8))
def test_a_run_has_nothing_but_whole_lines_of_one_length(parts: list[bytes]) -> None:
    block = b"".join(parts)
    start, stop, length = run_of_equal_lines(block)
    run = block[start:stop]
    if run:
        assert block[start - 1 : start] == b"\n"
        lines = run.split(b"\r\n")
        assert lines.pop() == b""
        assert {len(line) for line in lines} == {length - 2}
        assert not re.search(rb"[\r\n]", b"".join(lines))


@pytest.mark.parametrize("octets", [0, 1, 76, 998])
@pytest.mark.parametrize("before", [b"", b"A: header\r\n\r\nbody\r\n", b"\n", b"cut", b"x" * 500])
@pytest.mark.parametrize("behind", [b"", b"\r\n", b"=\r\n--end--\r\n", b"cut", b"\r"])
def test_all_lines_of_one_length_are_found(octets: int, before: bytes, behind: bytes) -> None:
    lines = (b"x" * octets + b"\r\n") * 1000
    start, stop, length = run_of_equal_lines(before + lines + behind)
    assert length == octets + 2
    assert start - len(before) <= length
    assert stop >= len(before + lines) - length


def test_a_few_lines_are_no_run() -> None:
    assert run_of_equal_lines(b"") == (0, 0, 0)
    assert run_of_equal_lines(b"x" * 100) == (0, 0, 0)
    assert run_of_equal_lines(b"x\r\n" * (MANY - 2)) == (0, 0, 0)
    assert run_of_equal_lines(b"".join(b"x" * length + b"\r\n" for length in range(50))) == (0, 0, 0)


DEFECTS = st.sampled_from([b"", b"\r", b"\n", b"\0", b"\n\r", b"\r\r\n", b"x\n", b"x" * 70, b"\r\n", b"\r\nshort\r\n"])
"""What is put somewhere into lines of one length."""


def checked(octets: bytes, cuts: list[int], *, line_limit: int, size_limit: int, normalize: bool) -> tuple[str, bytes]:
    """Return why *octets* are refused that come cut at *cuts*, and what is kept of them."""
    sink = Kept()
    content = Content(sink, size_limit, line_limit, normalize=normalize)
    at = 0
    for end in [*sorted(cuts), len(octets)]:
        content.write(octets[at:end])
        at = end
    content.finish()
    return str(content.refusal or ""), sink.octets


@settings(max_examples=150, deadline=None)
@given(
    length=st.integers(0, 80),
    defect=DEFECTS,
    where=st.floats(0, 1),
    cuts=st.lists(st.floats(0, 1), max_size=4),
    line_limit=st.sampled_from([0, 50, 100]),
    size_limit=st.sampled_from([0, 3 * LARGE]),
    normalize=st.booleans(),
)
def test_no_defect_hides_among_equal_lines(
    length: int,
    defect: bytes,
    where: float,
    cuts: list[float],
    line_limit: int,
    size_limit: int,
    normalize: bool,
) -> None:
    lines = b"Subject: x\r\n\r\n" + (b"x" * length + b"\r\n") * (4 * LARGE // (length + 2))
    place = int(where * len(lines))
    octets = lines[:place] + defect + lines[place:]
    ends = [int(cut * len(octets)) for cut in cuts]
    one_by_one = [*range(0, len(octets), LARGE // 3)]  # too small for a run to be looked for
    wanted = checked(octets, one_by_one, line_limit=line_limit, size_limit=size_limit, normalize=normalize)
    got = checked(octets, ends, line_limit=line_limit, size_limit=size_limit, normalize=normalize)
    reasons = [bool(re.search(rb"\r(?!\n)|(?<!\r)\n", octets)) and not normalize, b"\0" in octets]
    whole = re.sub(rb"\r\n|\r|\n", b"\r\n", octets)
    reasons.append(bool(line_limit) and max(map(len, whole.split(b"\r\n"))) > line_limit)
    reasons.append(bool(size_limit) and len(whole) > size_limit)
    assert bool(got[0]) is bool(wanted[0]) is any(reasons)
    assert got[1] == wanted[1] == (b"" if got[0] else whole)
    if sum(reasons) == 1:  # with two, it depends on the cuts which comes first
        assert got[0] == wanted[0]


@pytest.mark.parametrize("wrong", [b"x\n", b"\rx", b"\n\r", b"\n\n", b"\r\r", b"\rx\r\n", b"\nx\r\n", b"xx"])
@pytest.mark.parametrize("line", [0, 1, 500, 999])
def test_no_octet_may_be_a_line_end_of_its_own(wrong: bytes, line: int) -> None:
    """All other lines end where they would end without it."""
    lines = [b"x" * 76 + b"\r\n"] * 1000
    lines[line] = lines[line][: -len(wrong)] + wrong
    refusal, _ = checked(b"".join(lines), [], line_limit=998, size_limit=0, normalize=False)
    assert bool(refusal) is (wrong != b"xx")


@pytest.mark.parametrize("length", [997, 998, 999, 1000])
def test_lines_of_one_length_may_be_too_long(length: int) -> None:
    octets = b"short\r\n" + (b"x" * length + b"\r\n") * 100
    refusal, _ = checked(octets, [], line_limit=998, size_limit=0, normalize=False)
    assert bool(refusal) is (length > 998)


@pytest.mark.parametrize("before", [b"", b"x\r\n", b"x" * 998 + b"\r\n", b"\r\n" * 100, b"x" * 49 + b"\r\n"])
@pytest.mark.parametrize("behind", [b"", b"\r\n", b"\r\n" + b"x" * 998, b"\r\nx\r\n" * 50])
@pytest.mark.parametrize("cut", [1, 7, 500, 100_000])
def test_a_line_may_be_as_long_as_the_limit_and_no_longer(before: bytes, behind: bytes, cut: int) -> None:
    for length, refused in ((997, False), (998, False), (999, True), (1000, True)):
        octets = before + b"x" * length + behind
        refusal, _ = checked(octets, [*range(0, len(octets), cut)], line_limit=998, size_limit=0, normalize=False)
        assert bool(refusal) is refused
