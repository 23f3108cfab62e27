"""Addresses of a command line: what another grammar reads, and no SMTP command may hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from smarthostd.cli.exim.arguments import BadCommandLine
from smarthostd.cli.exim.queue_changes import _address, _Unsuitable
from smarthostd.cli.exim.sender import sender_of

WHOLE = SimpleNamespace(qualify_domain="q.example")


@pytest.mark.parametrize("text", ['"a\nRCPT TO:<b>"@c.example', '"a\x01"@c.example', "caf\udce9@c.example"])
def test_what_is_no_line_of_text_is_no_address(text: str) -> None:
    """In quotes Exim reads anything: such a sender would come into a Received line as it is, and into no command."""
    line: Any = SimpleNamespace(sender=text)
    with pytest.raises(BadCommandLine, match="bad -f address"):
        sender_of(line, WHOLE)  # type: ignore[arg-type]  # of which one option is asked
    with pytest.raises(_Unsuitable, match="malformed address"):
        _address(text)


def test_what_is_one_is_read_as_before() -> None:
    line: Any = SimpleNamespace(sender='"a b"@c.example')
    assert sender_of(line, WHOLE) == '"a b"@c.example'  # type: ignore[arg-type]
    assert str(_address('"a b"@c.example')) == '"a b"@c.example'
