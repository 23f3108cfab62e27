"""The real Postfix as a next hop on loopback, for its replies: it takes mail for everybody into one Maildir.

What it refuses, and how, is said by its own parameters (``smtpd_recipient_restrictions`` and the like).
It offers no authentication and no TLS.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from smarthostd.demo.daemon import free_port
from smarthostd.demo.lines import PATIENCE, Lines, Unsaid
from tests.peers.private import UID, Home

_MAIN = """
compatibility_level = 3.6
myhostname = postfix.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
meta_directory = {tree}/etc/postfix
queue_directory = {directory}/spool
data_directory = {directory}/data
maillog_file = /dev/stdout
smtpd_relay_restrictions = permit_mynetworks, reject
transport_maps = static:virtual:
virtual_mailbox_base = {directory}/mail
virtual_mailbox_maps = static:all/
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_mailbox_limit = 0
message_size_limit = 104857600
alias_maps =
local_header_rewrite_clients =
"""

_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
error unix - - n - - error
retry unix - - n - - error
"""


class Postfix:
    """Postfix with additional *parameters* of ``main.cf``."""

    def __init__(self, directory: Path, parameters: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        home = Home("postfix", ("postfix", "postdrop"), directory)
        for name in ("data", "mail"):
            home.folder(name)
        self._mail = directory / "mail" / "all"
        (directory / "spool").mkdir()
        etc = directory / "etc"
        etc.mkdir()
        extra = "".join(f"{name} = {value}\n" for name, value in (parameters or {}).items())
        (etc / "main.cf").write_text(_MAIN.format(directory=directory, tree=home.tree, uid=UID) + extra)
        (etc / "master.cf").write_text(_MASTER.format(port=self.port))
        self._command = home.command("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "postfix", "-c", str(etc))
        self._process = subprocess.Popen(
            [*self._command, "start-fg"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout
        self.lines = Lines(self._process.stdout, "postfix")
        try:
            self.lines.wait_for("daemon started", patience=10)
        except Unsaid:
            self.stop()
            raise

    def messages(self) -> list[bytes]:
        """Return what was delivered, with LF line ends, each under Postfix's own trace lines."""
        folder = self._mail / "new"
        return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []

    def stop(self) -> None:
        """End it; a signal would only reach the script that waits for it."""
        subprocess.run([*self._command, "stop"], capture_output=True, timeout=PATIENCE, check=False)
        self._process.wait(PATIENCE)
        self.lines.finish()
        assert self._process.stdout
        self._process.stdout.close()
