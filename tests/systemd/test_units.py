"""The unit files, checked by systemd itself, and the daemon started as systemd starts it."""

from __future__ import annotations

import os
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from smarthostd.demo.daemon import free_port
from smarthostd.systemd import Notifier
from tests.golden import REPOSITORY

PATIENCE = 30.0
CONFIGURATION = """
primary_hostname = relay.example
spool_directory = {directory}/spool
runtime_directory = {directory}/run
log_file_path = {directory}/%slog
daemon_smtp_ports = 1
begin routers
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  directory = {directory}/mail
  maildir_format
"""


def needs(program: str) -> None:
    """Skip on a laptop, fail in CI, where *program* is missing."""
    if shutil.which(program) is None:
        if "CI" in os.environ:
            pytest.fail(f"{program} is missing")
        pytest.skip(f"{program} is not here")


def test_systemd_finds_nothing_to_complain_of(tmp_path: Path) -> None:
    needs("systemd-analyze")
    for name in ("smarthostd.service", "smarthostd.socket"):
        text = (REPOSITORY / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("/usr/bin/smarthostd run", "/bin/true"))
    command = ["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / "smarthostd.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert [line for line in done.stderr.splitlines() if "smarthostd" in line] == []


def test_a_socket_of_systemd_is_served_and_readiness_is_told(tmp_path: Path) -> None:
    """systemd-socket-activate hands over the port; the daemon says READY=1 and takes mail there."""
    needs("systemd-socket-activate")
    (tmp_path / "s.conf").write_text(CONFIGURATION.format(directory=tmp_path))
    port = free_port()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(PATIENCE)
        command = [
            "systemd-socket-activate", f"--listen=127.0.0.1:{port}", f"--setenv=NOTIFY_SOCKET={tmp_path}/notify",
            *(f"--setenv={name}" for name in ("PYTHONPATH", "PATH") if name in os.environ),
            sys.executable, "-m", "smarthostd", "run", "-C", str(tmp_path / "s.conf"),
        ]  # fmt: skip
        with subprocess.Popen(command) as process:
            try:
                client = connected(port)
                assert notify.recv(4096).startswith(b"READY=1\nSTATUS=listening on [127.0.0.1]")
                with smtplib.SMTP(local_hostname="test", timeout=PATIENCE) as smtp:
                    client.close()
                    smtp.connect("127.0.0.1", port)
                    smtp.sendmail("a@b.example", ["c@d.example"], "Subject: x\r\n\r\nhello\r\n")
            finally:
                process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        told = []
        while b"STOPPING=1" not in told:
            told.append(notify.recv(4096))
    assert len(list((tmp_path / "mail" / "new").iterdir())) == 1


def connected(port: int) -> socket.socket:
    """Knock, so that the daemon is started; systemd-socket-activate may need a moment to listen."""
    import errno
    import select

    while True:
        sock = socket.socket()
        sock.settimeout(PATIENCE)
        if sock.connect_ex(("127.0.0.1", port)) != errno.ECONNREFUSED:
            return sock
        sock.close()
        select.select([], [], [], 0.01)


def test_without_a_manager_nothing_is_told() -> None:
    Notifier({}).tell("READY=1")


def test_the_watchdog_is_answered_in_half_its_time() -> None:
    environ = {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}
    assert Notifier(environ).watchdog_interval == 30.0
    assert Notifier({**environ, "WATCHDOG_PID": "1"}).watchdog_interval == 0.0
