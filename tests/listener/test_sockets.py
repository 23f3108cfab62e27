"""Sockets that cannot be had: the sentence names the fix for that kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from smarthostd.errors import ConfigurationError
from smarthostd.listener import sockets


def test_a_unix_socket_is_not_told_about_ports(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(ConfigurationError) as caught:
        sockets.unix(tmp_path / "run" / "submit.sock")
    text = str(caught.value)
    assert text.startswith(f"cannot listen on {tmp_path}/run/submit.sock: ")
    assert f"{tmp_path}/run must be a directory that the user " in text
    assert text.endswith(" can write to (runtime_directory)")


def test_a_port_that_is_too_high_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"port 70000: a port is a number up to 65535; see daemon_smtp_ports$"):
        sockets.tcp("127.0.0.1", 70000)
