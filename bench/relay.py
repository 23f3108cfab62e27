"""A relay under measurement: configured, started, asked to flush its queue, stopped. Ours is the first."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bench.build import program
from bench.ends import PASSWORD, USER
from bench.usage import Usage, open_usage
from smarthostd.demo.daemon import free_port

PATIENCE = 60.0
"""Seconds in which a relay starts, stops, or obeys."""
GLANCE = 0.001
"""Seconds between two looks whether a relay answers."""
_LISTS = ("domainlist", "hostlist", "addresslist", "localpartlist")
"""Exim takes 32 of a kind at most."""
HELD_DOMAIN = "held.example"
"""Mail for this domain is for a smarthost that is not there: it waits."""


@dataclass(frozen=True, slots=True)
class Site:
    """What a relay is told."""

    directory: Path
    """Where it keeps everything."""
    smarthost: int
    """The smarthost's port."""
    nobody: int
    """A port where nobody answers: the smarthost of ``HELD_DOMAIN``."""
    authority: Path
    """Who signed the smarthost's certificate."""
    connections: int = 20
    """How many connections to the smarthost it may use."""
    lines: int = 0
    """Lines that are added to its configuration, for the time that it takes to read them."""
    sync_delay: timedelta = timedelta()
    """What each sync takes longer than it does here."""

    def padding(self) -> str:
        """Return lines in Exim's syntax that mean something, and change nothing."""
        return "".join(
            f"{kind} list{name} = a{name}.example : b{name}.example : ! c{name}.example\n"
            for name, kind in zip(range(self.lines), itertools.cycle(_LISTS), strict=False)
        )

    def slower_syncs(self) -> dict[str, str]:
        """Return the variables that make syncs slower; none when they are to be as they are."""
        if not self.sync_delay:
            return {}
        return {"LD_PRELOAD": program("slowsync.so"), "SLOWSYNC_US": str(self.sync_delay // timedelta(microseconds=1))}


def surroundings() -> dict[str, str]:
    """Return this process's environment without what it tells a Python: what is measured is what is installed."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


class Unready(Exception):
    """The relay ended, or did not answer, before it was ready; the text holds what it said."""


class Relay(ABC):
    """One relay at one site. ``start`` may be called again after ``stop``: the queue is kept."""

    name: str

    def __init__(self, site: Site) -> None:
        self.site = site
        self.port = free_port()
        self.usage: Usage = open_usage(self.name)
        self._process: subprocess.Popen[bytes] | None = None
        site.directory.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the command that runs it in the foreground."""

    @abstractmethod
    def flush(self) -> None:
        """Let it try all that waits, now."""

    def end(self) -> None:
        """Ask it to end."""
        assert self._process
        self._process.send_signal(signal.SIGTERM)

    def variables(self) -> Mapping[str, str]:
        """Return what is added to its environment."""
        return self.site.slower_syncs()

    @property
    def said(self) -> Path:
        """Where its standard output and error go."""
        return self.site.directory / "said"

    def start(self) -> int:
        """Start it; return the instant just before, in nanoseconds of the monotonic clock."""
        command = self.usage.wrap(self.command())
        with self.said.open("ab") as said:
            began = time.monotonic_ns()
            self._process = subprocess.Popen(
                command,
                env={**surroundings(), **self.variables()},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        self.usage.started(self._process.pid)
        return began

    def wait_until_ready(self) -> int:
        """Return the instant of its first greeting."""
        assert self._process
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), PATIENCE) as client:
                if client.recv(512).startswith(b"220"):
                    greeted = time.monotonic_ns()
                    client.sendall(b"QUIT\r\n")
                    client.recv(512)
                    return greeted
            time.sleep(GLANCE)
        raise Unready(f"{self.name} did not become ready; it said:\n{self.said.read_text(errors='replace')[-4000:]}")

    def stop(self) -> None:
        """End it, the hard way if need be."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self.end()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def close(self) -> None:
        """Stop it and give up its account."""
        self.stop()
        for pid in self.usage.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.usage.close()


_SMARTHOSTD = """
primary_hostname = relay.example
spool_directory = {directory}/spool
runtime_directory = {directory}
log_file_path = {directory}/%slog
local_interfaces = <; 127.0.0.1
daemon_smtp_ports = {port}
smtp_accept_max = 200
message_size_limit = 100M
{padding}
begin routers

held:
  driver = manualroute
  domains = {held}
  transport = smarthost
  route_list = * 127.0.0.1::{nobody}
  self = send

outgoing:
  driver = manualroute
  transport = smarthost
  route_list = * 127.0.0.1::{smarthost}
  self = send

begin transports

smarthost:
  driver = smtp
  hosts_require_auth = *
  hosts_require_tls = *
  hosts_max_parallel = {connections}
  tls_verify_certificates = {authority}

begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{user}^{password}
"""


class Smarthostd(Relay):
    """This repository's, run by *python*."""

    name = "smarthostd"

    def __init__(self, site: Site, python: str = sys.executable, wrapper: Sequence[str] = ()) -> None:
        super().__init__(site)
        self._python = python
        self._wrapper = wrapper
        self._configuration = site.directory / "smarthostd.conf"
        self._configuration.write_text(
            _SMARTHOSTD.format(
                directory=site.directory,
                port=self.port,
                padding=site.padding(),
                held=HELD_DOMAIN,
                nobody=site.nobody,
                smarthost=site.smarthost,
                connections=site.connections,
                authority=site.authority,
                user=USER,
                password=PASSWORD,
            )
        )

    def command(self) -> list[str]:
        """See ``Relay``."""
        return [*self._wrapper, *self._tool("run")]

    def flush(self) -> None:
        """See ``Relay``."""
        subprocess.run(
            self._tool("queue", "run"),
            env=surroundings(),
            cwd="/",
            stdout=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=True,
        )

    def _tool(self, *words: str) -> list[str]:
        return [self._python, "-m", "smarthostd", words[0], "-C", str(self._configuration), *words[1:]]
