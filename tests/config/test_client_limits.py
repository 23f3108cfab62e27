"""Limits that the configuration has as text to be expanded: for each client anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from smarthostd.assembly import ClientLimits, build_language
from smarthostd.config import load

FOR_US = "${if eq{$sender_host_address}{127.0.0.1}"


def limits(directory: Path, text: str) -> tuple[ClientLimits, list[str]]:
    """Return the limits that *text* says, and where they complain."""
    (directory / "c.conf").write_text(text)
    settings = load(directory / "c.conf", {}, lenient=True).settings
    told: list[str] = []
    return ClientLimits(settings, build_language(settings), told.append), told


@pytest.mark.parametrize(
    ("option", "name", "ours", "other"),
    [
        pytest.param(f"message_size_limit = {FOR_US}{{1M}}{{10K}}}}", "message_size_limit", 1 << 20, 10240, id="size"),
        pytest.param(f"smtp_accept_max_per_host = {FOR_US}{{0}}{{3}}}}", "accept_max_per_host", 0, 3, id="count"),
        pytest.param(f"smtp_receive_timeout = {FOR_US}{{1h}}{{9s}}}}", "command_timeout", 3600, 9, id="time"),
    ],
)
def test_a_limit_is_expanded_for_each_client(tmp_path: Path, option: str, name: str, ours: float, other: float) -> None:
    found, told = limits(tmp_path, option)
    assert found("127.0.0.1") == {name: ours}
    assert found("192.0.2.1") == {name: other}
    assert not told


def test_what_is_written_as_a_number_is_the_same_for_all(tmp_path: Path) -> None:
    found, _ = limits(tmp_path, "smtp_receive_timeout = 2m")
    assert not found.expanded
    assert found.fixed["command_timeout"] == 120


@pytest.mark.parametrize("text", ["$acl_m_x", "${if eq{a}{b}{1M}fail}", "-${eval:5}"])
def test_a_limit_that_is_none_is_told_and_the_default_counts(tmp_path: Path, text: str) -> None:
    found, told = limits(tmp_path, f"message_size_limit = {text}")
    assert found("192.0.2.1") == {"message_size_limit": 50 << 20}
    assert len(told) == 1
    assert told[0].startswith(f'message_size_limit is not what "{text}" gives: ')
