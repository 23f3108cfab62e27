"""syslog: datagrams in the form of RFC 3164, to ``/dev/log``.

Sending never waits. While syslog is away or slow, lines are kept for a few seconds, then dropped and counted.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from smarthostd.errors import ConfigurationError

PATIENCE = 5.0
"""Seconds that a line is kept for syslog to take it."""
KEPT_LIMIT = 10_000
"""Lines that are kept."""
LINE_LIMIT = 8_000
"""Octets of a datagram; longer lines go in parts, as Exim sends them."""
FACILITIES = {
    "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8, "cron": 9,
    "authpriv": 10, "ftp": 11, **{f"local{number}": 16 + number for number in range(8)},
}  # fmt: skip
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})? ", re.ASCII)
_SEVERITIES = {"main": 6, "reject": 5, "panic": 1}
"""Exim's: info, notice, alert."""


class SyslogOptions(Struct, frozen=True):
    """The main options ``syslog_…``, and where syslog listens."""

    facility: str = "mail"
    name: str = "smarthostd"
    timestamp: bool = True
    """Whether a line keeps the time that stands in front of it (syslog writes one of its own)."""
    pid: bool = True
    duplication: bool = True
    """Whether lines of the reject and the panic log, which the main log has too, are sent a second time."""
    address: str = "/dev/log"


class Syslog:
    """A connection to the system's log daemon."""

    def __init__(self, options: SyslogOptions, now: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._now = now
        self._socket: socket.socket | None = None
        self._kept: deque[tuple[float, bytes]] = deque()
        self._lost = 0

    def open(self) -> None:
        """Connect anew; raises ConfigurationError where nobody listens."""
        try:
            opened = self._connect()
        except OSError as error:
            fix = "start a syslog daemon, or set log_file_path = stderr"
            text = f"cannot reach syslog at {self._options.address}: {error.strerror}; {fix}"
            raise ConfigurationError(text) from error
        self.close()
        self._socket = opened

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            connection.connect(self._options.address)
        except OSError:
            connection.close()
            raise
        return connection

    def write(self, log: str, lines: Sequence[str]) -> bool:
        """Send *lines*, or keep them for the next time; return whether nothing waits."""
        now = self._now()
        for line in lines:
            self._kept += [(now, datagram) for datagram in self._datagrams(log, line)]
        while self._kept and self._send(self._kept[0][1]):
            self._kept.popleft()
        while self._kept and (now - self._kept[0][0] > PATIENCE or len(self._kept) > KEPT_LIMIT):
            self._kept.popleft()
            self._lost += 1
        return not self._kept

    def _datagrams(self, log: str, line: str) -> list[bytes]:
        """Return *line* as RFC 3164 has it, in parts where it is too long for one."""
        options = self._options
        if log != "main" and not options.duplication:
            return []
        if not options.timestamp:
            line = _TIMESTAMP.sub("", line, 1)
        priority = FACILITIES[options.facility] * 8 + _SEVERITIES[log]
        tag = f"{options.name}[{os.getpid()}]" if options.pid else options.name
        stamp = time.strftime("%b %e %H:%M:%S", time.localtime())
        head = f"<{priority}>{stamp} {tag}: ".encode("utf-8", "replace")
        octets = line.encode("utf-8", "replace")
        size = LINE_LIMIT - len(head)
        return [head + octets[at : at + size] for at in range(0, max(len(octets), 1), size)]

    def _send(self, datagram: bytes) -> bool:
        """Send it; return False where it has to wait."""
        try:
            if self._socket is None:
                self._socket = self._connect()
            if self._lost:
                lost = self._datagrams("main", f"{self._lost} log lines could not be written")
                self._socket.send(lost[0])
                self._lost = 0
            self._socket.send(datagram)
        except BlockingIOError:
            return False
        except OSError:  # the daemon has gone; it may come back at the same address
            self.close()
            return False
        return True

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
