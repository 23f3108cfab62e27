"""The real Exim, asked what its rewriting rules make of an address and of a message."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers.exim import Exim

MAIN = """
primary_hostname = h.example
qualify_domain = q.example
qualify_recipient = qr.example
spool_directory = {directory}/spool
log_file_path = {directory}/log/%s
keep_environment =
timezone = UTC
domainlist locals = a.example : *.b.example
addresslist people = u@a.example : *t@other.net
{options}
begin routers
everything:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = {directory}/mail/$message_exim_id
  message_prefix =
  message_suffix =
  return_path_add
  envelope_to_add
{transport}
begin rewrite
{rules}
"""


@dataclass(frozen=True)
class Copy:
    """A message as Exim delivered it."""

    sender: str
    recipient: str
    header: bytes
    """LF line ends, without what Exim puts on top."""
    body: bytes


class RewritingExim:
    """Exim with rewriting rules; what it delivers lies in files."""

    def __init__(self, directory: Path, rules: Sequence[str], options: str = "", transport: str = "") -> None:
        text = MAIN.format(directory=directory, rules="\n".join(rules), options=options, transport=transport)
        self._exim = Exim(directory, text)
        self._mail = directory / "mail"

    def test(self, address: str) -> subprocess.CompletedProcess[bytes]:
        """Run ``exim -brw``."""
        return self._exim.run("-brw", address)

    def send(self, sender: str, recipient: str, message: bytes) -> Copy | None:
        """Deliver *message* (LF line ends), and return it as it arrived.

        None where Exim crashes: 4.96 does where it has made the sender null and repeats the rule (flag R).
        """
        before = set(self._mail.iterdir())
        done = self._exim.run("-odi", "-i", "-f", sender, recipient, stdin=message)
        if b"SIGSEGV" in done.stderr:
            return None
        assert done.returncode == 0, done.stderr.decode()
        (file,) = set(self._mail.iterdir()) - before
        return _copy(file.read_bytes())


def _copy(text: bytes) -> Copy:
    header, _, body = text.partition(b"\n\n")
    lines = header.split(b"\n")
    sender = lines[0].decode().partition(": <")[2].removesuffix(">")
    recipient = lines[1].decode().partition(": ")[2]
    kept = lines[2:]
    while kept and (kept[0].startswith((b"Received:", b"\t"))):
        kept.pop(0)
    return Copy(sender, recipient, b"".join(line + b"\n" for line in kept), body)
