"""The real Dovecot, which takes mail by LMTP on loopback into Maildirs: one answer for each recipient."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from smarthostd.demo.daemon import free_port
from smarthostd.demo.lines import PATIENCE, Unsaid
from tests.peers.follow import FollowedFiles
from tests.peers.private import UID, Home

_CONFIGURATION = """
protocols = lmtp
hostname = lmtp.example
postmaster_address = postmaster@lmtp.example
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/dovecot.log
ssl = no
default_internal_user = dovecot
default_internal_group = dovecot
default_login_user = dovecot
mail_location = maildir:{directory}/mail/%u
mail_uid = {uid}
mail_gid = {uid}
first_valid_uid = 1
auth_username_format = %Lu
recipient_delimiter =
mail_plugins = quota
plugin {{
  quota = maildir:Space
  quota_rule = *:storage={quota}
}}
passdb {{
  driver = passwd-file
  args = {directory}/users
}}
userdb {{
  driver = passwd-file
  args = {directory}/users
}}
quota_full_tempfail = {tempfail}
service lmtp {{
  chroot =
  user = dovecot
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener {directory}/lmtp.sock {{
    mode = 0666
  }}
}}
service auth {{
  chroot =
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


class DovecotLMTP:
    """Dovecot with the mailboxes *users*; others are unknown to it, and more than *quota* is refused.

    With *tempfail* it is put off instead.
    """

    def __init__(self, directory: Path, users: tuple[str, ...], quota: str = "100M", *, tempfail: bool = False) -> None:
        self.port = free_port()
        self.socket = directory / "lmtp.sock"
        home = Home("dovecot-lmtpd", ("dovecot",), directory)
        self.mail = home.folder("mail")
        lines = [f"{user}:{{PLAIN}}secret:{UID}:{UID}::{self.mail}/{user}::\n" for user in users]
        (directory / "users").write_text("".join(lines))
        conf = directory / "dovecot.conf"
        conf.write_text(
            _CONFIGURATION.format(
                directory=directory, uid=UID, port=self.port, quota=quota, tempfail="yes" if tempfail else "no"
            )
        )
        with (directory / "stderr").open("wb") as stderr:
            command = home.command("env", "-i", "PATH=/usr/sbin:/usr/bin", "/usr/sbin/dovecot", "-F", "-c", str(conf))
            self._process = subprocess.Popen(command, stderr=stderr)
        self._log = FollowedFiles(directory / "dovecot.log", directory / "stderr")
        self.lines = self._log.lines
        try:
            self.lines.wait_for("starting up for lmtp", patience=10)
        except Unsaid:
            self.stop()
            raise

    def mailbox(self, user: str) -> list[bytes]:
        """Return the messages of *user*, with LF line ends, each under Dovecot's own trace lines."""
        folder = self.mail / user / "new"
        return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE)
        self._log.close()
