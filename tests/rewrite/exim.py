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
  return_path_add
  envelope_to_add
{transport}
begin rewrite
{rules}
"""


@dataclass(frozen=True)
class Copy:
    """A message as Exim delivered it to one recipient."""

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

    def send(self, sender: str, recipients: Sequence[str], message: bytes) -> list[Copy]:
        """Deliver *message* (LF line ends); return each recipient's copy, in the order of delivery."""
        before = set(self._mail.iterdir())
        done = self._exim.run("-odi", "-i", "-f", sender, *recipients, stdin=message)
        assert done.returncode == 0, done.stderr.decode()
        (file,) = set(self._mail.iterdir()) - before
        return [_copy(text) for text in file.read_bytes().removeprefix(b"From ").split(b"\n\nFrom ") if text]


def _copy(text: bytes) -> Copy:
    header, _, body = text.partition(b"\n\n")
    lines = header.split(b"\n")
    sender = lines[1].decode().partition(": <")[2].removesuffix(">")
    recipient = lines[2].decode().partition(": ")[2]
    kept = lines[3:]
    while kept and (kept[0].startswith((b"Received:", b"\t"))):
        kept.pop(0)
    return Copy(sender, recipient, b"".join(line + b"\n" for line in kept), body)
