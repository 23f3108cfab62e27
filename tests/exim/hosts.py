"""Random host lists, asked by an ACL of the real Exim (``-bh``) and of our matcher.

Names come out of a hosts file alone, so that nothing outside is asked. Exim believes a host's name only when the DNS
leads back from it: no host has a name here, and an item that asks for one ends the list, unless told otherwise.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

from smarthostd.assembly import build_language
from smarthostd.config import load
from smarthostd.errors import HostNotFound
from smarthostd.lists import ListBroken, ListUndecided, Matcher
from smarthostd.lookups import Lookups
from tests.exim.exim import MAIN, TIMEOUT
from tests.peers.private import Home

_HOSTS = {
    "10.1.2.3": "one.a.example", "10.1.2.4": "two.a.example", "192.0.2.1": "three.b.example",
    "2001:db8::1": "six.a.example", "10.9.9.9": "Upper.A.Example", "127.0.0.1": "localhost",
}  # fmt: skip
ADDRESSES = (*_HOSTS, "10.1.2.5", "1.2.3.4", "2001:db8::2")
_FILE = (
    "10.1.2.3: x\n10.1.2.0/24: net\n2001.0db8.0000.0000.0000.0000.0000.0001: six\none.a.example: y\n*.b.example: z\n"
)
_ITEMS = (
    "one.a.example", "three.b.example", "also.b.example", "nosuch.example", "*.a.example", "*a.example", "^one",
    "^.*\\\\.b", "*", "10.1.2.3", "10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "2001:db8::1", "+nets", "@[]", "@",
    "upper.a.example", "lsearch;{file}", "partial-lsearch;{file}", "net-lsearch;{file}", "net24-lsearch;{file}",
    "net-iplsearch;{file}", "+ignore_unknown", "+include_unknown", "nosuch.example", "", "10.1.2.300", "a_b.example",
    "h.example", "::1", "*one*", "+ignore_defer", "+inner", "+lax", "+lenient", "ONE.a.example", "!10.1.2.3",
    "{listed}", "1.2.3", "[10.1.2.3]",
)  # fmt: skip


_MAIN = (
    f"{MAIN}hostlist inner = nosuch.example : 10.1.2.3\nhostlist lax = +include_unknown : 10.9.9.9\n"
    "hostlist lenient = +ignore_unknown : nosuch.example : 10.1.2.4\n"
)


_WITH_FILES = """
mount --bind "$1/etc.hosts" /etc/hosts
mount --bind "$1/etc.nsswitch" /etc/nsswitch.conf
shift
exec "$@"
"""


class Names:
    """The name service of the hosts file."""

    def addresses(self, name: str) -> list[str]:
        """Return the addresses that have this name."""
        found = [address for address, known in _HOSTS.items() if name.lower() == known.lower()]
        if not found:
            raise HostNotFound(name)
        return found

    def name_of(self, address: str) -> str:
        """Return nothing: no name leads back."""
        raise HostNotFound(address)

    def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        """Return nothing: nobody asks."""
        raise HostNotFound(domain)


def made(random: Random, directory: Path) -> str:
    """Return a host list, written for a configuration."""
    items = [random.choice(("", "", "", "!")) + random.choice(_ITEMS) for _ in range(random.choice((1, 2, 3, 4)))]
    text = " ; ".join(items)
    return f"<; {text}".format(file=directory / "hostfile", listed=directory / "hostlist")


class Hosts:
    """Asks about many lists at a time."""

    def __init__(self, directory: Path) -> None:
        self._home = Home("exim4-daemon-heavy", ("Debian-exim",), directory)
        self._home.folder("spool")
        self._directory = directory
        (directory / "hostfile").write_text(_FILE)
        (directory / "hostlist").write_text("10.1.2.3\n!*.b.example\none.a.example # x\n")
        hosts = "".join(f"{address} {name}\n" for address, name in _HOSTS.items())
        (directory / "etc.hosts").write_text(hosts)
        (directory / "etc.nsswitch").write_text("hosts: files\npasswd: files\ngroup: files\n")

    def exim(self, lists: list[str], address: str) -> list[str]:
        """Return Exim's answer for each list: yes, no, or defer."""
        rules = "".join(f"  warn hosts = {text}\n       logwrite = @{at}@\n" for at, text in enumerate(lists))
        conf = self._directory / "hosts.conf"
        main = _MAIN.format(self._directory) + "host_lookup_order = byaddr\nacl_smtp_connect = c\n"
        conf.write_text(f"{main}begin acl\nc:\n{rules}  accept\n")
        command = ("env", "-i", "/usr/sbin/exim4", "-C", str(conf), "-bh", address)
        words = self._home.command("sh", "-ec", _WITH_FILES, "sh", str(self._directory), *command)
        done = subprocess.run(words, input=b"QUIT\r\n", capture_output=True, timeout=TIMEOUT, check=False)
        told = done.stderr.decode("utf-8", "surrogateescape")
        return ["yes" if f"@{at}@" in re.findall(r"@\d+@", told) else "no" for at in range(len(lists))]

    def ours(self) -> Callable[[str, str], str]:
        """Return what answers for us: an address and a list to yes or no; what is undecided is a no in a warning."""
        path = self._directory / "ours.conf"
        path.write_text(_MAIN.format(self._directory))
        language = build_language(load(path, {}, lenient=True).settings)
        matcher = Matcher(language.facts, Lookups(language.files), Names())

        def answer(address: str, text: str) -> str:
            try:
                found = matcher.host(address, None, language.expander.expand(text), language.expander.expand)
            except (ListUndecided, ListBroken):
                return "no"
            return "no" if found is None else "yes"

        return answer
