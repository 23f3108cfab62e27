"""When a local user's message gets a Sender line, and which Sender lines go (``local_from_check`` and its kin)."""

from __future__ import annotations

import pytest

from smarthostd.address import Address
from smarthostd.local_from import LocalFrom

OWN = Address("jo", "qualify.example")


@pytest.mark.parametrize(
    ("header", "foreign"),
    [
        pytest.param(b"From: jo@qualify.example\r\n", False, id="their own address"),
        pytest.param(b"From: Jo <JO@Qualify.Example>\r\n", False, id="in any spelling"),
        pytest.param(b"From: jo\r\n", False, id="the bare login"),
        pytest.param(b"FROM :\r\n\tjo@qualify.example\r\n", False, id="on a continued line"),
        pytest.param(b"From: other@qualify.example\r\n", True, id="another's"),
        pytest.param(b"From: jo@else.example\r\n", True, id="another domain"),
        pytest.param(b"From: jo@qualify.example, x@y.example\r\n", True, id="two authors"),
        pytest.param(b"From: not an address at all\r\n", True, id="no address"),
        pytest.param(b"X-From: other@x.example\r\n", False, id="no From line"),
        pytest.param(b"From: list-jo@qualify.example\r\n", False, id="with a prefix that is allowed"),
        pytest.param(b"From: jo+tag@qualify.example\r\n", False, id="with a suffix that is allowed"),
    ],
)
def test_a_from_line_that_is_not_the_users_own(header: bytes, foreign: bool) -> None:
    rule = LocalFrom(prefix="list-", suffix="+*")
    assert rule.is_foreign(b"Subject: x\r\n" + header + b"To: y\r\n", OWN) is foreign


def test_without_the_check_nothing_is_foreign() -> None:
    assert not LocalFrom(check=False).is_foreign(b"From: other@x.example\r\n", OWN)


def test_a_sender_line_of_their_own_making_goes() -> None:
    header = b"A: b\r\nSENDER: x@y,\r\n\tz@y\r\nX-Sender: c\r\n"
    assert LocalFrom().without_sender(header) == b"A: b\r\nX-Sender: c\r\n"
    assert LocalFrom(retain_sender=True).without_sender(header) is header
