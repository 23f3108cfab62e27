"""Real clients, each as a function that submits a message to a port of 127.0.0.1 and raises when it is refused.

A message's content has CRLF line ends and its header has From, Date and Message-ID, so that nobody adds them.
"""

from __future__ import annotations

import asyncio
import re
import smtplib
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import aiosmtplib

from tests.peers.exim import EximClient
from tests.peers.presence import program

TIMEOUT = 60
"""Seconds for one submission."""

Client = Callable[[int, str, Sequence[str], bytes], None]


def smtplib_(port: int, sender: str, recipients: Sequence[str], content: bytes) -> None:
    """Python's own."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="app.example", timeout=TIMEOUT) as client:
        client.ehlo()
        options = ["BODY=8BITMIME"]
        if not all(address.isascii() for address in (sender, *recipients)):
            options.append("SMTPUTF8")
            client.command_encoding = "utf-8"
        client.sendmail(sender, recipients, content, options)


def aiosmtplib_(port: int, sender: str, recipients: Sequence[str], content: bytes) -> None:
    """The asyncio library."""
    ascii_only = all(address.isascii() for address in (sender, *recipients))
    options = ["BODY=8BITMIME"] if ascii_only else ["BODY=8BITMIME", "SMTPUTF8"]

    async def send() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, timeout=TIMEOUT) as client:
            await client.sendmail(sender, list(recipients), content, mail_options=options)

    asyncio.run(send())


def curl(port: int, sender: str, recipients: Sequence[str], content: bytes) -> None:
    """curl's ``smtp://``."""
    to = [word for recipient in recipients for word in ("--mail-rcpt", recipient)]
    url = f"smtp://127.0.0.1:{port}/app.example"
    _run([program("curl"), "--silent", "--show-error", "--mail-from", sender, *to, "--upload-file", "-", url], content)


def swaks(port: int, sender: str, recipients: Sequence[str], content: bytes) -> None:
    """The Swiss army knife for SMTP; left to itself it takes the last dot line for the end, so it gets wire form."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(re.sub(rb"(?m)^\.", b"..", content) + b".")
        command = [program("swaks"), "--server", "127.0.0.1", "--port", str(port), "--helo", "app.example"]
        command += ["--from", sender, "--to", ",".join(recipients), "--data", f"@{file.name}", "--no-data-fixup"]
        _run([*command, "--hide-all"], b"")


def msmtp(port: int, sender: str, recipients: Sequence[str], content: bytes) -> None:
    """msmtp, the usual ``sendmail`` of small machines; it takes local line ends."""
    command = [program("msmtp"), "--host=127.0.0.1", f"--port={port}", "--domain=app.example", f"--from={sender}"]
    _run([*command, "--", *recipients], content.replace(b"\r\n", b"\n"))


def exim(port: int, sender: str, recipients: Sequence[str], content: bytes) -> None:
    """The real Exim, by BDAT."""
    with tempfile.TemporaryDirectory() as folder:
        EximClient(Path(folder), port).send(sender, recipients, content)


def _run(command: list[str], stdin: bytes) -> None:
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=TIMEOUT, check=False)
    if done.returncode:
        raise AssertionError(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout).decode()}")
