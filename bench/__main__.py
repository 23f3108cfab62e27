"""``make bench``: smarthostd alone, from outside, against a fast sink; a table on the screen, JSON on disk."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

RESULTS = Path(__file__).parent / "results"
PATIENCE = 60.0
CONFIGURATION = """
primary_hostname = bench.example
spool_directory = {directory}/spool
runtime_directory = {directory}/run
log_file_path = {directory}/%slog
local_interfaces = <; 127.0.0.1
daemon_smtp_ports = {port}
smtp_accept_max_per_connection = 0
begin routers
all:
  driver = manualroute
  transport = smarthost
  route_list = * 127.0.0.1::{sink}
begin transports
smarthost:
  driver = smtp
  hosts_require_auth = *
  hosts_require_tls = *
  tls_verify_certificates = {directory}/cert.pem
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^bench^secret
"""


@dataclass(frozen=True)
class Scenario:
    """One way of handing in mail."""

    name: str
    clients: int
    messages: int
    size: int
    per_connection: int = 0
    """0: all of a client's messages down one connection."""


SCENARIOS = (
    Scenario("4 KiB, 1 client", 1, 2000, 4096),
    Scenario("4 KiB, 10 clients", 10, 10_000, 4096),
    Scenario("4 KiB, 50 clients", 50, 10_000, 4096),
    Scenario("4 KiB, 10 clients, one message a connection", 10, 5000, 4096, 1),
    Scenario("1 MiB, 10 clients", 10, 300, 1 << 20),
    Scenario("50 MB, 1 client", 1, 4, 50_000_000 - 100_000),
)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificate(directory: Path) -> None:
    """Make a certificate for 127.0.0.1."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=sink"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a command, and end it."""
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE)


def wait_for_port(port: int) -> float:
    """Wait until *port* greets; return the seconds it took."""
    began = time.perf_counter()
    while time.perf_counter() - began < PATIENCE:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as sock:
                if sock.recv(3) == b"220":
                    return time.perf_counter() - began
        except OSError:
            time.sleep(0.002)
    raise TimeoutError(f"nothing greets at port {port}")


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int, field: str) -> float:
    """Return a figure of /proc/PID/status in MiB."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


class Sink:
    """The sink's process."""

    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin, self._stdout = stdin, stdout

    def taken(self) -> int:
        """Return how many messages it has taken."""
        self._stdin.write("\n")
        self._stdin.flush()
        return int(self._stdout.readline())

    def wait_for(self, count: int) -> None:
        """Wait until it has taken *count*."""
        began = time.perf_counter()
        while self.taken() < count:
            if time.perf_counter() - began > PATIENCE:
                raise TimeoutError(f"{self.taken()} of {count} messages arrived")
            time.sleep(0.005)


def measure(scenario: Scenario, port: int, pid: int, sink: Sink) -> dict[str, Any]:
    """Run one scenario; the rate is end to end: until the last message has arrived."""
    before, cpu, began = sink.taken(), cpu_seconds(pid), time.perf_counter()
    words = [port, scenario.clients, scenario.messages, scenario.size, scenario.per_connection]
    command = [sys.executable, "-m", "bench.load", *map(str, words)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE * 5)
    accepted: dict[str, float] = json.loads(done.stdout)
    sink.wait_for(before + int(accepted["messages"]))
    seconds = time.perf_counter() - began
    return {
        **asdict(scenario),
        "rate": accepted["messages"] / seconds,
        "accept_rate": accepted["rate"],
        "p50_ms": accepted["p50_ms"],
        "p99_ms": accepted["p99_ms"],
        "cpu_s_per_1000": (cpu_seconds(pid) - cpu) / accepted["messages"] * 1000,
        "rss_mib": memory(pid, "VmRSS"),
        "peak_mib": memory(pid, "VmHWM"),
    }


def main() -> None:
    """Run all scenarios."""
    with tempfile.TemporaryDirectory(dir=RESULTS.parent) as place:
        directory = Path(place)
        make_certificate(directory)
        port, sink_port = free_port(), free_port()
        (directory / "bench.conf").write_text(CONFIGURATION.format(directory=directory, port=port, sink=sink_port))
        sink_command = [
            sys.executable,
            "-m",
            "bench.sink",
            str(sink_port),
            f"{directory}/cert.pem",
            f"{directory}/key.pem",
        ]
        command = [sys.executable, "-m", "smarthostd", "run", "-C", f"{directory}/bench.conf"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with running(sink_command, **pipes) as sinking:
            assert sinking.stdin is not None
            assert sinking.stdout is not None
            sinking.stdout.readline()
            with running(command) as daemon:
                started = wait_for_port(port)
                report(port, daemon.pid, Sink(sinking.stdin, sinking.stdout), started)


def report(port: int, pid: int, sink: Sink, started: float) -> None:
    """Print the figures and keep them."""
    idle = memory(pid, "VmRSS")
    print(f"exec to first 220: {started:.2f} s; idle: {idle:.1f} MiB resident")
    print(f"{'scenario':<46}{'msg/s':>8}{'p50 ms':>8}{'p99 ms':>8}{'CPU s/1000':>12}{'RSS MiB':>9}{'peak':>7}")
    rows = []
    for scenario in SCENARIOS:
        row = measure(scenario, port, pid, sink)
        rows.append(row)
        print(
            f"{scenario.name:<46}{row['rate']:>8.0f}{row['p50_ms']:>8.1f}{row['p99_ms']:>8.1f}"
            f"{row['cpu_s_per_1000']:>12.2f}{row['rss_mib']:>9.1f}{row['peak_mib']:>7.1f}",
            flush=True,
        )
    RESULTS.mkdir(exist_ok=True)
    figures = {"at": time.strftime("%Y-%m-%dT%H:%M:%S"), "start_s": started, "idle_mib": idle, "scenarios": rows}
    (RESULTS / "latest.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
