"""A network and an ``/etc`` of their own, in which names are what a test says and port 25 is free.

Everything that takes part is started with ``enter()`` in front of its command. The network has a loopback
interface alone. ``SMARTHOST`` is no loopback address, so that no exception made for those applies; and it
is routed to the machine without belonging to an interface, so that it counts as another host (``self``).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from smarthostd.demo.lines import PATIENCE
from tests.peers import presence

SMARTHOST = "192.0.2.25"
NAME = "smarthost.isp.com"

_SETUP = f"""
ip link set lo up
ip route add local {SMARTHOST}/32 dev lo
mount --bind "$1" /etc
echo ready
exec cat
"""


class World:
    """The namespaces, held open by one process until ``close``."""

    def __init__(self, directory: Path) -> None:
        for name in ("unshare", "nsenter", "ip"):
            presence.program(name)
        self.etc = directory / "etc"
        # What only root may read stays behind where we are not root.
        subprocess.run(["cp", "-a", "/etc", self.etc], stderr=subprocess.DEVNULL, check=False, timeout=PATIENCE)
        with (self.etc / "hosts").open("a") as hosts:
            hosts.write(f"\n{SMARTHOST} {NAME}\n")
        self._user = [] if os.geteuid() == 0 else ["--user"]
        rights = ["--map-root-user"] if self._user else []
        command = ["unshare", "--net", "--mount", *self._user, *rights, "sh", "-ec", _SETUP, "sh", str(self.etc)]
        self._holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._holder.stdout
        if self._holder.stdout.readline() != "ready\n":
            _, complaint = self._holder.communicate(timeout=PATIENCE)
            presence.absent(f"no namespaces here: {complaint}")

    def enter(self) -> list[str]:
        """Return what stands in front of a command that is to run in this world."""
        credentials = ["--preserve-credentials"] if self._user else []
        return ["nsenter", f"--target={self._holder.pid}", "--net", "--mount", *self._user, *credentials]

    def close(self) -> None:
        """Let it go."""
        self._holder.communicate(timeout=PATIENCE)
