"""syslog: RFC 3164 datagrams, sent without waiting, kept for a while, counted when they are dropped."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from smarthostd.errors import ConfigurationError
from smarthostd.logwriter import LogWriter, SyslogOptions
from smarthostd.logwriter.syslog import LINE_LIMIT, PATIENCE, Syslog

LINE = "2024-01-31 00:00:00 1rJxYz-0001ab-2K Completed"


class Listening:
    """A syslog daemon."""

    def __init__(self, directory: Path) -> None:
        self.options = SyslogOptions(address=str(directory / "log"))
        self.start()

    def start(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        Path(self.options.address).unlink(missing_ok=True)
        self.socket.bind(self.options.address)

    def received(self) -> list[str]:
        """Return what has come."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(65_536).decode())
            except BlockingIOError:
                return found


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Listening]:
    listening = Listening(tmp_path)
    yield listening
    listening.socket.close()


def test_a_line_has_priority_time_and_name(daemon: Listening) -> None:
    writer = LogWriter([Syslog(daemon.options)])
    writer.write(LINE)
    writer.write_to("reject", LINE)
    writer.write_to("panic", LINE)
    writer.close()
    received = daemon.received()
    assert [re.match(r"<(\d+)>", one)[1] for one in received] == ["22", "21", "17"]  # type: ignore[index]  # they match
    assert re.fullmatch(rf"<22>\w{{3}} [ \d]\d \d\d:\d\d:\d\d smarthostd\[{os.getpid()}\]: {LINE}", received[0])


def test_as_it_is_wanted(daemon: Listening) -> None:
    options = replace(daemon.options, facility="local3", name="mta", timestamp=False, pid=False, duplication=False)
    writer = LogWriter([Syslog(options)])
    writer.write(LINE)
    writer.write_to("reject", LINE)
    writer.close()
    (received,) = daemon.received()
    assert re.fullmatch(r"<158>\w{3} [ \d]\d \d\d:\d\d:\d\d mta: 1rJxYz-0001ab-2K Completed", received)


def test_a_long_line_goes_in_parts(daemon: Listening) -> None:
    writer = LogWriter([Syslog(daemon.options)])
    writer.write("x" * (LINE_LIMIT + 100))
    writer.close()
    received = daemon.received()
    assert len(received) == 2
    assert all(len(one) <= LINE_LIMIT for one in received)
    assert "".join(one.partition("]: ")[2] for one in received) == "x" * (LINE_LIMIT + 100)


def test_without_a_syslog_daemon_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot reach syslog at .*: No such file .*; start a syslog daemon"):
        LogWriter([Syslog(SyslogOptions(address=str(tmp_path / "log")))])


def test_a_daemon_that_is_started_again_gets_what_was_kept(daemon: Listening) -> None:
    now = [0.0]
    log = Syslog(daemon.options, lambda: now[0])
    log.open()
    daemon.socket.close()
    assert not log.write("main", ["one"])
    daemon.start()
    now[0] += PATIENCE / 2
    assert log.write("main", [])
    assert [one.partition("]: ")[2] for one in daemon.received()] == ["one"]
    log.close()


def test_a_daemon_that_stays_away_loses_lines_and_they_are_counted(daemon: Listening) -> None:
    now = [0.0]
    log = Syslog(daemon.options, lambda: now[0])
    log.open()
    daemon.socket.close()
    log.write("main", ["one", "two"])
    now[0] += PATIENCE + 1
    log.write("main", [])
    daemon.start()
    log.write("main", ["three"])
    texts = [one.partition("]: ")[2] for one in daemon.received()]
    assert texts == ["2 log lines could not be written", "three"]
    log.close()


def test_a_slow_daemon_is_not_waited_for(daemon: Listening) -> None:
    """Its queue is full: what does not go now goes later, and nothing twice."""
    log = Syslog(daemon.options, lambda: 0.0)
    log.open()
    lines = [str(number) for number in range(2000)]
    assert not log.write("main", lines)
    received = daemon.received()
    while not log.write("main", []):
        received += daemon.received()
    received += daemon.received()
    assert [one.partition("]: ")[2] for one in received] == lines
    log.close()


async def test_the_writer_tries_again_by_itself(daemon: Listening) -> None:
    """What waits needs no further line to go."""
    writer = LogWriter([Syslog(daemon.options)])
    daemon.socket.close()
    writer.write("one")
    writer.flush()
    daemon.start()
    loop = asyncio.get_running_loop()
    daemon.socket.setblocking(False)
    arrived = await asyncio.wait_for(loop.sock_recv(daemon.socket, 4096), 10)
    assert arrived.endswith(b": one")
    writer.close()
