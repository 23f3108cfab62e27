"""Tools and the control socket: a daemon that is down is one thing, a daemon that does not answer is another."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from smarthostd import control
from smarthostd.control import Answer, ControlServer, ask
from smarthostd.errors import ControlError, SpoolError


async def test_a_daemon_answers(tmp_path: Path) -> None:
    async def double(request: Mapping[str, Any]) -> Answer:
        return {"number": request["number"] * 2}

    server = ControlServer(tmp_path / "run" / "control.sock", {"double": double})
    await server.start()
    answer = await asyncio.to_thread(ask, tmp_path / "run" / "control.sock", "double", number=21)
    with pytest.raises(ControlError, match="unknown command; known are double"):
        await asyncio.to_thread(ask, tmp_path / "run" / "control.sock", "triple")
    await server.stop()
    assert answer == {"ok": True, "number": 42}
    assert ask(tmp_path / "run" / "control.sock", "double", number=21) is None


async def test_a_spool_in_trouble_is_what_a_tool_is_told(tmp_path: Path) -> None:
    """And not that the daemon did not answer."""

    async def run(request: Mapping[str, Any]) -> Answer:
        raise SpoolError("the spool's database: disk I/O error")

    server = ControlServer(tmp_path / "control.sock", {"run": run})
    await server.start()
    with pytest.raises(ControlError, match=r": the spool's database: disk I/O error$"):
        await asyncio.to_thread(ask, tmp_path / "control.sock", "run")
    await server.stop()


def test_no_daemon(tmp_path: Path) -> None:
    """Neither a socket nor one that a crash has left behind."""
    assert ask(tmp_path / "control.sock", "status") is None
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "control.sock"))
    assert ask(tmp_path / "control.sock", "status") is None


@pytest.mark.parametrize("said", [b"", b"nonsense\n", b'{"ok": false, "error": "busy"}\n'], ids=["end", "text", "no"])
def test_a_daemon_that_does_not_answer_is_not_down(tmp_path: Path, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "control.sock"))
        server.listen()
        with pytest.raises(ControlError, match="the daemon at ") as caught:
            _ask_while(server, said, tmp_path / "control.sock")
    assert ("busy" in str(caught.value)) == (b"busy" in said)


def _ask_while(server: socket.socket, said: bytes, path: Path) -> None:
    """Ask; the other end reads and says *said*."""

    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(said)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(answer)
        try:
            ask(path, "status")
        finally:
            done.result()


def test_a_daemon_that_is_stopped_is_not_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernel takes the connection; nobody ever answers."""
    monkeypatch.setattr(control, "TIMEOUT", 0.05)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "control.sock"))
        server.listen()
        with pytest.raises(ControlError, match="it does not answer; is it stopped"):
            ask(tmp_path / "control.sock", "status")
