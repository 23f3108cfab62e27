"""Sockets to listen on: our own, bound by name and port, or handed over by systemd."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

from smarthostd.errors import ConfigurationError
from smarthostd.spool.owner import login

BACKLOG = 1024


def tcp(address: str, port: int) -> socket.socket:
    """Return a bound TCP socket; raises ConfigurationError with the fix."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        sock.close()
        raise ConfigurationError(_complaint(f"{address} port {port}", error)) from error
    sock.setblocking(False)
    return sock


def unix(path: Path, mode: int = 0o666) -> socket.socket:
    """Return a bound unix socket; one that a crash left behind is replaced. Raises ConfigurationError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        sock.bind(str(path))
        os.chmod(path, mode)  # noqa: PTH101 - beside the calls it belongs to
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        fix = f"{path.parent} must be a directory that the user {login()} can write to (runtime_directory)"
        raise ConfigurationError(f"cannot listen on {path}: {error.strerror or error}; {fix}") from error
    sock.setblocking(False)
    return sock


def _complaint(where: str, error: OSError | OverflowError) -> str:
    if isinstance(error, OverflowError):
        return f"cannot listen on {where}: a port is a number up to 65535; see daemon_smtp_ports"
    fixes = {
        errno.EADDRINUSE: "another mail server listens there: stop it, or choose another port (daemon_smtp_ports)",
        errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE: use the systemd socket, or a port such as 2525",
        errno.EPERM: "ports below 1024 need CAP_NET_BIND_SERVICE: use the systemd socket, or a port such as 2525",
        errno.EADDRNOTAVAIL: "this machine has no such address: see local_interfaces",
        errno.EAFNOSUPPORT: "this machine has no such address family: see local_interfaces",
    }
    fix = fixes.get(error.errno or 0, "see local_interfaces")
    return f"cannot listen on {where}: {error.strerror}; {fix}"
