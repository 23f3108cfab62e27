"""Who is at the other end of a unix socket, and who has left a file: the kernel's word, not theirs."""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from smarthostd.address import Address, login_address
from smarthostd.envelope import Client
from smarthostd.syntax import is_address, printable

_SO_PEERGROUPS = 59
"""Linux's number; Python has no name for it."""
_GROUPS = struct.Struct("256i")
"""Room for the supplementary groups of a peer."""
_CREDENTIALS = struct.Struct("3i")


class Peer(Struct, frozen=True):
    """A user of this machine."""

    uid: int
    groups: frozenset[int] = frozenset()
    login: str = ""
    full_name: str = ""

    @property
    def address(self) -> Address:
        """The login as an address without a domain."""
        return login_address(self.login, self.uid)


NOBODY = Peer(-1)
"""Nobody whom we know."""
PORT_DIGITS = 5
LOCAL_PROTOCOLS = frozenset({"local", "local-smtp", "local-esmtp", "local-bsmtp"})
"""What anybody may say of how a command line came by a message."""


def described(client: Client, facts: Mapping[str, str]) -> Client:
    """Return a local *client* as a command line describes it (Exim's ``-oM…``), as far as it may.

    A user who is not trusted may only say by which of our own ways the message came.
    """
    protocol = facts.get("received_protocol", "local")
    if not client.trusted:
        return replace(client, protocol=protocol if protocol in LOCAL_PROTOCOLS else "local")
    address, port = facts.get("sender_host_address", ""), facts.get("sender_host_port", "")
    return replace(
        client,
        protocol=printable(protocol),
        address=address if is_address(address) else "",
        port=int(port) if port.isascii() and port.isdigit() and len(port) <= PORT_DIGITS else 0,
        name=printable(facts.get("sender_host_name", "")) if address else "",
        helo="" if address else client.helo,
        login=printable(facts.get("sender_ident", client.login)),
        authenticator=printable(facts.get("sender_host_authenticated", "")),
        authenticated_id=printable(facts.get("authenticated_id", "")),
    )


def peer_of(sock: socket.socket) -> Peer:
    """Return who has connected to the unix socket *sock*."""
    _, uid, gid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    try:
        octets = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS.size)
    except OSError:  # an old kernel, or more groups than anybody has: the first one counts
        octets = b""
    supplementary = struct.unpack(f"{len(octets) // 4}i", octets)
    return _named(uid, frozenset({gid, *supplementary}))


def owner(uid: int) -> Peer:
    """Return the user *uid*, with the groups that this machine gives them."""
    return _named(uid, None)


def _named(uid: int, groups: frozenset[int] | None) -> Peer:
    """Return the user *uid*; without *groups*, with those that this machine gives them."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Peer(uid, groups or frozenset(), str(uid))
    if groups is None:
        groups = frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
    full_name = entry.pw_gecos.partition(",")[0].replace("&", entry.pw_name.capitalize())
    return Peer(uid, groups, entry.pw_name, full_name)
