"""``smarthostd run`` as a child: started, waited for, listened to, stopped or killed.

The demo and the end-to-end tests start the daemon as systemd does: it says that it is ready through
``NOTIFY_SOCKET``, and ends at SIGTERM. Its log comes on standard error (``log_file_path = stderr``).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smarthostd.demo.lines import PATIENCE, Lines

GLANCE = 0.2
"""Seconds between two looks whether a daemon that is not ready yet has ended."""


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port of *address* that was free a moment ago, for a program that must be told its port."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


class Daemon:
    """A daemon of its own process, with the configuration file *configuration*.

    *variables* are added to its environment; *wrapper* is a command that runs it, such as ``strace``.
    """

    def __init__(
        self,
        configuration: Path,
        *,
        variables: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
    ) -> None:
        self._configuration = configuration
        self._environment = {**os.environ, **(variables or {})}
        self._wrapper = list(wrapper)
        with tempfile.TemporaryDirectory(prefix="smarthostd-") as folder, _notifications(folder) as notified:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [*self._wrapper, *self._command("run")],
                env={**self._environment, "NOTIFY_SOCKET": notified.getsockname()},
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
            assert self._process.stderr
            self.lines = Lines(self._process.stderr, "smarthostd")
            self._until_ready(notified)

    @property
    def pid(self) -> int:
        """The process (the wrapper's, where there is one)."""
        return self._process.pid

    def queue(self) -> list[dict[str, Any]]:
        """Return what ``smarthostd queue list --json`` tells; of each recipient the values without their names."""
        found = [json.loads(line) for line in self.tool("queue", after=("list", "--json")).splitlines()]
        return [one | {"recipients": [[*recipient.values()] for recipient in one["recipients"]]} for one in found]

    def tool(self, name: str, *, after: Sequence[str] = ()) -> str:
        """Return what the subcommand *name* prints on this daemon's configuration."""
        command = [*self._wrapper, *self._command(name), *after]
        done = subprocess.run(  # noqa: S603 - our own program
            command, env=self._environment, capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        return done.stdout

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def stop(self) -> int:
        """Let it finish what is under way; return its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it where it stands."""
        self._process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for its end; return its exit status."""
        status = self._process.wait(PATIENCE)
        self.lines.finish()
        assert self._process.stderr
        self._process.stderr.close()
        return status

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def _command(self, name: str) -> list[str]:
        return [sys.executable, "-m", "smarthostd", name, "-C", str(self._configuration)]

    def _until_ready(self, notified: socket.socket) -> None:
        notified.settimeout(GLANCE)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.running:
            try:
                if b"READY=1" in notified.recv(4096).split(b"\n"):
                    return
            except TimeoutError:
                continue
        if self.running:
            self._process.kill()
        status = self.wait()
        raise Unready(f"smarthostd did not become ready (exit status {status}); it said:\n" + "\n".join(self.lines()))


class Unready(Exception):
    """The daemon ended, or said nothing, before it was ready; the text holds its log."""


def _notifications(folder: str) -> socket.socket:
    """Return a socket like systemd's, for READY=1; its path must be short, and no name of a namespace."""
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind(str(Path(folder, "notify")))
    return notified
