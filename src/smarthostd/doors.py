"""What the daemon listens on, at the start and after a SIGHUP.

systemd's sockets stay what they are. Our own follow ``local_interfaces`` and ``daemon_smtp_ports``: new ones are
bound before anything else is changed, so that a port which cannot be had leaves all as it was; then those that are
no longer wanted close. Sessions go on, whatever becomes of the door that they came in by.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from smarthostd.assembly import interface, port_numbers
from smarthostd.listener import sockets
from smarthostd.listener.server import Listener
from smarthostd.lists import split

if TYPE_CHECKING:
    from smarthostd.config.settings import Settings


class Door(Struct, frozen=True):
    """A place to listen on, as configured: an address and a port, or the path of a unix socket."""

    address: str
    port: int = 0
    implicit_tls: bool = False

    def bind(self) -> socket.socket:
        """Return a socket that listens there; raises ConfigurationError with the fix."""
        if self.address.startswith("/"):
            return sockets.unix(Path(self.address))
        return sockets.tcp(self.address, self.port)


class Doors:
    """The doors of one daemon."""

    def __init__(self, listener: Listener, inherited: Sequence[socket.socket], runtime_directory: Path) -> None:
        self._listener = listener
        self._inherited = inherited
        self._submission = Door(str(runtime_directory.absolute() / "submit.sock"))
        self._open: dict[Door, socket.socket] = {}
        self._begun = False

    def bind(self, settings: Settings) -> Mapping[Door, socket.socket]:
        """Bind what *settings* want and is not open; raises ConfigurationError, and then nothing is bound."""
        bound: dict[Door, socket.socket] = {}
        with contextlib.ExitStack() as undo:
            for door in self._wanted(settings):
                if door not in self._open and not _family_missing(door.address):
                    bound[door] = undo.enter_context(door.bind())
            undo.pop_all()
        return bound

    async def open(self, settings: Settings, bound: Mapping[Door, socket.socket]) -> None:
        """Listen on what was *bound* for *settings*, and on systemd's sockets; close what is no longer wanted."""
        wanted = self._wanted(settings)
        for door in [door for door in self._open if door not in wanted]:
            self._listener.close_door(self._open.pop(door))
        if not self._begun:
            self._begun = True
            tls_ports = port_numbers(settings.tls_on_connect_ports)
            for sock in self._inherited:
                await self._listener.listen(sock, implicit_tls=_port_of(sock) in tls_ports)
        for door, sock in bound.items():
            await self._listener.listen(sock, implicit_tls=door.implicit_tls)
            self._open[door] = sock

    def places(self) -> str:
        """Return all of them for the log: ``[127.0.0.1]:25 /run/smarthostd/submit.sock``."""
        return " ".join(_place(sock) for sock in [*self._inherited, *self._open.values()])

    def _wanted(self, settings: Settings) -> list[Door]:
        """Return our own doors: the submission socket, unless systemd has made it, and the ports, unless it has any."""
        wanted = [] if self._inherited else _configured(settings)
        if not any(sock.family == socket.AF_UNIX for sock in self._inherited):
            wanted.append(self._submission)
        return wanted


def _configured(settings: Settings) -> list[Door]:
    """Return what ``local_interfaces`` and ``daemon_smtp_ports`` name."""
    ports, tls_ports = port_numbers(settings.daemon_smtp_ports), port_numbers(settings.tls_on_connect_ports)
    doors: list[Door] = []
    for item in split(settings.local_interfaces):
        if item.startswith("/"):
            doors.append(Door(item))
            continue
        address, own_port = interface(item)
        doors += [Door(address, port, port in tls_ports) for port in ([own_port] if own_port is not None else ports)]
    return list(dict.fromkeys(doors))


def _family_missing(address: str) -> bool:
    """Whether *address* is IPv6 and this machine has none: said nowhere, since it is the default's matter."""
    if ":" not in address or address.startswith("/"):
        return False
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return True
    return not Path("/proc/net/if_inet6").exists() or not Path("/proc/net/if_inet6").read_text(encoding="ascii")


def _port_of(sock: socket.socket) -> int:
    name = sock.getsockname()
    return int(name[1]) if isinstance(name, tuple) else 0


def _place(sock: socket.socket) -> str:
    name = sock.getsockname()
    return f"[{name[0]}]:{name[1]}" if isinstance(name, tuple) else str(name)
