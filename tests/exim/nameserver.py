"""A name service of its own for one command: ``python nameserver.py ZONE.JSON COMMAND …`` in fresh namespaces.

It makes the network (a loopback interface with the zone's local addresses), binds ``/etc/hosts`` and
``/etc/resolv.conf``, answers on 127.0.0.1 port 53 out of the zone, and ends with the command's status.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

TTL = 60
_PRIVATE = ("--net", "--uts", "--mount")


def within(unshare: str, zone: Path, *command: str) -> list[str]:
    """Return the command that runs *command* where names are what *zone* says."""
    return [unshare, *_PRIVATE, sys.executable, __file__, str(zone), *command]


def main(zone_file: str, *command: str) -> int:
    """Set everything up, run *command*, return its status."""
    zone = json.loads(Path(zone_file).read_text())
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with tempfile.TemporaryDirectory() as directory, server:
        _furnish(zone, Path(directory))
        server.bind(("127.0.0.1", 53))
        threading.Thread(target=_serve, args=(server, zone["zone"]), daemon=True).start()
        return subprocess.run(command, check=False).returncode


def _furnish(zone: dict[str, Any], directory: Path) -> None:
    """Give the namespaces their addresses, host name and files."""
    socket.sethostname(zone["host_name"])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in zone["local_interface_addresses"]:
        if address not in ("127.0.0.1", "::1"):
            subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True)
    files = {
        "hosts": zone["etc_hosts"],
        "resolv.conf": "nameserver 127.0.0.1\noptions attempts:1\n",
        "nsswitch.conf": "hosts: files dns\npasswd: files\ngroup: files\n",
    }
    for name, text in files.items():
        (directory / name).write_text(text)
        subprocess.run(["mount", "--bind", str(directory / name), f"/etc/{name}"], check=True)


def _serve(server: socket.socket, zone: dict[str, Any]) -> None:
    while True:
        octets, client = server.recvfrom(4096)
        server.sendto(_answer(octets, zone), client)


def _answer(octets: bytes, zone: dict[str, Any]) -> bytes:
    """Return the reply to one question; a name with a text for an entry is out of order."""
    query = dns.message.from_wire(octets)
    reply = dns.message.make_response(query, recursion_available=True)
    question = query.question[0]
    kind = dns.rdatatype.to_text(question.rdtype)
    name = question.name
    for _ in range(len(zone)):  # an alias leads on, not in a circle
        entry = zone.get(name.to_text(omit_final_dot=True).lower())
        if isinstance(entry, str):
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif entry is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif "CNAME" in entry and kind != "CNAME":
            found = dns.rrset.from_text(name, TTL, "IN", "CNAME", f"{entry['CNAME'][0]}.")
            reply.answer.append(found)
            name = found[0].target
            continue
        elif kind in entry:
            reply.answer.append(dns.rrset.from_text(name, TTL, "IN", kind, *(_text(kind, one) for one in entry[kind])))
        break
    return reply.to_wire()


def _text(kind: str, value: Any) -> str:
    if kind == "MX":
        return f"{value[0]} {value[1]}."
    return json.dumps(value) if kind == "TXT" else str(value)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
