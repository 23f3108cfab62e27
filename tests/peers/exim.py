"""The real Exim as a smarthost on loopback, and as a client.

It writes each message to a file as batch SMTP with CRLF line ends: envelope and octets as they came, under
the Received line that Exim adds.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smarthostd.demo.daemon import free_port
from smarthostd.demo.lines import PATIENCE, Unsaid
from tests.peers.certificates import Certificate
from tests.peers.follow import FollowedFiles
from tests.peers.private import UID, Home

MECHANISMS = ("CRAM-MD5", "PLAIN", "LOGIN")

_MAIN = """
primary_hostname = {hostname}
spool_directory = {directory}/spool
log_file_path = {directory}/log/%s
local_interfaces = <; 127.0.0.1 ; 127.0.0.10
keep_environment =
deliver_drop_privilege
host_lookup =
timezone = UTC
"""

_SMARTHOST = """
daemon_smtp_ports = {port}
tls_on_connect_ports = {implicit}
tls_advertise_hosts = {starttls}
tls_certificate = {directory}/chain.pem
tls_privatekey = {directory}/key.pem
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{{cleartext}}}{{*}}}}
message_size_limit = 100M
smtp_accept_max = 200
smtp_accept_queue_per_connection = 0
recipients_max = 0
log_selector = +received_recipients
acl_smtp_rcpt = rcpt
acl_smtp_data = {content}
{options}

begin acl
rcpt:
  {policy}
  accept

begin routers
everything:
  driver = accept
  transport = file

begin transports
file:
  driver = appendfile
  file = {directory}/mail/$message_exim_id
  use_bsmtp
  use_crlf
  batch_max = 50000

begin authenticators
"""

_AUTHENTICATORS = {
    "CRAM-MD5": """
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{user}}}{{{password}}}fail}}
  server_set_id = $auth1
""",
    "PLAIN": """
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{ {{eq{{$auth2}}{{{user}}}}} {{eq{{$auth3}}{{{password}}}}} }}}}
  server_set_id = $auth2
""",
    "LOGIN": """
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_condition = ${{if and{{ {{eq{{$auth1}}{{{user}}}}} {{eq{{$auth2}}{{{password}}}}} }}}}
  server_set_id = $auth1
""",
}


@dataclass(frozen=True)
class Received:
    """A message as Exim received it."""

    id: str
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    """Wire form, without the Received line that Exim put on top."""
    log: str
    """The ``<=`` line of Exim's log: P=, X=, A=, K."""

    @property
    def authenticator(self) -> str:
        """Which of ``cram``, ``plain`` and ``login`` was used; empty for none."""
        match = re.search(r" A=(\w+):", self.log)
        return match[1] if match else ""

    @property
    def encrypted(self) -> bool:
        """Whether it came over TLS."""
        return " X=TLS" in self.log

    @property
    def chunked(self) -> bool:
        """Whether it came by BDAT."""
        return re.search(r" K( |$)", self.log) is not None


class Exim:
    """An Exim of its own directory and configuration."""

    def __init__(self, directory: Path, configuration: str) -> None:
        self._home = Home("exim4-daemon-heavy", ("Debian-exim",), directory)
        for name in ("spool", "log", "mail"):
            self._home.folder(name)
        self._conf = directory / "exim.conf"
        self._conf.write_text(configuration)

    def command(self, *words: str) -> list[str]:
        """Return the command that runs Exim with the arguments *words*."""
        return self._home.command("env", "-i", "/usr/sbin/exim4", "-C", str(self._conf), *words)

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run Exim to its end."""
        return subprocess.run(self.command(*words), input=stdin, capture_output=True, timeout=PATIENCE, check=False)

    def wait(self) -> None:
        """Return when what it does in the background is done (``-odb``): its processes name its configuration."""
        until = time.monotonic() + PATIENCE
        while any(self._is_named_by(process) for process in Path("/proc").glob("[0-9]*")):
            assert time.monotonic() < until, "Exim does not end"
            time.sleep(0.005)

    def _is_named_by(self, process: Path) -> bool:
        try:
            return os.fsencode(self._conf) in (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has just ended
            return False


@dataclass(frozen=True)
class Terms:
    """On what terms the smarthost takes mail; *policy* is for RCPT and *options* are main options, in Exim's syntax."""

    implicit: bool = False
    starttls: bool = True
    mechanisms: Sequence[str] = MECHANISMS
    user: str = "my_username"
    password: str = "secret"
    policy: str = "require authenticated = *"
    options: str = ""
    content: str = "accept"
    """The ACL for what came after DATA."""

    def configuration(self, directory: Path, port: int) -> str:
        """Return Exim's configuration."""
        text = (_MAIN + _SMARTHOST).format(
            hostname="smarthost.isp.com",
            directory=directory,
            port=port,
            implicit=port if self.implicit else "",
            starttls="*" if self.starttls else "",
            cleartext="" if self.starttls or self.implicit else "*",
            options=self.options,
            policy=self.policy,
            content=self.content,
        )
        credentials = {"user": self.user, "password": self.password}
        return text + "".join(_AUTHENTICATORS[name].format(**credentials) for name in self.mechanisms)


class EximSmarthost:
    """Exim as the next hop: demands authentication, keeps every message in a file."""

    def __init__(self, directory: Path, certificate: Certificate, terms: Terms | None = None) -> None:
        self.terms = terms or Terms()
        self.port = free_port()
        exim = Exim(directory, self.terms.configuration(directory, self.port))
        for source, name in ((certificate.chain, "chain.pem"), (certificate.key, "key.pem")):
            shutil.copyfile(source, directory / name)
            os.chown(directory / name, UID, UID)
        self._mail = directory / "mail"
        with (directory / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(exim.command("-bdf"), stderr=stderr)
        self._log = FollowedFiles(directory / "log" / "main", directory / "stderr")
        self.lines = self._log.lines
        try:
            self.lines.wait_for("daemon started", patience=10)
        except Unsaid:
            self.stop()
            raise

    def messages(self, count: int = 1) -> list[Received]:
        """Return what was received, in the order of completion, once *count* messages are complete."""
        done = self.lines.wait_for(r"^\S+ \S+ (\S{16}) Completed", count)
        return [self._read(match[1]) for match in done]

    def received_from(self, sender: str, recipients: int = 1) -> list[Received]:
        """Return the messages from *sender* that reached their recipients, once there are so many recipients."""
        arrivals = rf"^\S+ \S+ (\S{{16}}) <= {re.escape(sender)} .*"
        found: list[Received] = []

        def complete() -> bool:
            ids = [match[1] for match in self.lines.matching(arrivals)]
            done = {match[1] for match in self.lines.matching(r"^\S+ \S+ (\S{16}) Completed")}
            found[:] = [self._read(id) for id in ids if id in done]
            return sum(len(message.recipients) for message in found) >= recipients

        self.lines.wait_until(complete, f"{recipients} recipients of mail from {sender}")
        return found

    def _read(self, id: str) -> Received:
        commands, _, stuffed = (self._mail / id).read_bytes().partition(b"DATA\r\n")
        sender, *recipients = re.findall(r"^[A-Z ]+:<(.*)>", commands.decode("utf-8", "surrogateescape"), re.MULTILINE)
        content = stuffed.removesuffix(b".\r\n")
        content = b"\n".join(line[1:] if line.startswith(b".") else line for line in content.split(b"\n"))
        (arrival,) = (line for line in self.lines() if f" {id} <= " in line)
        return Received(id, sender, tuple(recipients), _without_first_field(content), arrival)

    def stop(self) -> None:
        """End the daemon."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE)
        self._log.close()


class EximClient:
    """Exim as a client of ours: it hands a message to *port* with BDAT."""

    def __init__(self, directory: Path, port: int) -> None:
        self._exim = Exim(
            directory,
            _MAIN.format(hostname="client.example", directory=directory)
            + f"""
begin routers
everything:
  driver = manualroute
  transport = relay
  route_list = * 127.0.0.1::{port} byname
  self = send

begin transports
relay:
  driver = smtp
  allow_localhost
  hosts_try_chunking = *
  hosts_avoid_tls = *
  message_linelength_limit = 1000000
""",
        )
        self.log = directory / "log" / "main"

    def send(self, sender: str, recipients: Sequence[str], content: bytes) -> None:
        """Deliver *content* (lines ended by CRLF or LF) in the foreground; raise if Exim complains."""
        done = self._exim.run("-odf", "-i", "-f", sender, *recipients, stdin=content.replace(b"\r\n", b"\n"))
        assert done.returncode == 0, done.stderr.decode()


def _without_first_field(content: bytes) -> bytes:
    match = re.match(rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", content)
    assert match
    assert content.startswith(b"Received: "), content[:80]
    return content[match.end() :]
