"""systemd's two conversations: sockets handed over at start, and news about our state.

Both are a few lines of environment and datagrams (sd_listen_fds(3), sd_notify(3)); without systemd they do nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping

FIRST_DESCRIPTOR = 3


def take_sockets(environ: MutableMapping[str, str]) -> list[tuple[str, socket.socket]]:
    """Return the sockets that systemd passed to this process, with their names, and forget about them."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(environ.get("LISTEN_FDS", "0"))
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    sockets = []
    for number in range(count):
        sock = socket.socket(fileno=FIRST_DESCRIPTOR + number)
        sock.set_inheritable(False)
        sock.setblocking(False)
        sockets.append((names[number] if number < len(names) else "", sock))
    return sockets


class Notifier:
    """Tells the service manager how we are."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        watchdog = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_interval = int(watchdog) / 2e6 if watchdog.isdigit() and ours else 0.0
        """Seconds between two signs of life; 0 when none are wanted."""

    def tell(self, *lines: str) -> None:
        """Send lines such as ``READY=1`` or ``STATUS=…``; a manager that does not listen is no error."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        flags = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, flags) as sock:
            sock.connect(address)
            sock.send("\n".join(lines).encode())
