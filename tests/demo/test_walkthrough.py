"""``smarthostd demo``, as people start it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from smarthostd.demo.lines import Lines
from smarthostd.demo.sandbox import Kept
from smarthostd.demo.walkthrough import Files, Unexpected, check

COMMAND = [sys.executable, "-m", "smarthostd", "demo"]
TIMEOUT = 60
FACTS = (
    "20",
    "router outgoing to transport IspSmarthost",
    "CRAM-MD5 by authenticator cram_md5, over TLS1.3, certificate verified: yes",
    "isp_auth",
    "0 bounces",
    "Everything arrived: 21 messages at the smarthost, 1 in the Maildir, 0 bounces",
)


def test_everything_arrives() -> None:
    """It ends by itself, with 0, and says in plain lines what happened on the way."""
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [fact for fact in FACTS if fact not in done.stdout] == []
    assert done.stderr == ""
    assert "\x1b" not in done.stdout


def test_a_terminal_sees_colours_and_bars() -> None:
    """The same on a terminal."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200"}
    with subprocess.Popen(COMMAND, stdin=theirs, stdout=theirs, stderr=theirs, env=variables) as process:
        os.close(theirs)
        lines = Lines(_until_closed(ours), "demo")
        assert process.wait(TIMEOUT) == 0, "\n".join(lines())
    lines.finish()
    os.close(ours)
    shown = "\n".join(lines())
    assert "\x1b[" in shown
    assert "20/20" in shown
    assert "Everything arrived" in shown


def _until_closed(descriptor: int) -> Any:
    """Yield what comes from a terminal, until its other end is closed (which Linux reports as an error)."""
    try:
        while octets := os.read(descriptor, 65536):
            yield octets.decode(errors="replace")
    except OSError:
        return


MESSAGE = b"From: a\r\n\r\ntext\r\n"
TRACE = b"Received: here\r\n"


@pytest.mark.parametrize(
    ("arrived", "kept_here"),
    [
        pytest.param([TRACE + MESSAGE], [], id="nothing in the Maildir"),
        pytest.param([], [TRACE + MESSAGE], id="nothing at the smarthost"),
        pytest.param([TRACE + MESSAGE + b"more"], [TRACE + MESSAGE], id="an octet too many"),
        pytest.param([TRACE + MESSAGE] * 2, [TRACE + MESSAGE], id="twice"),
    ],
)
def test_it_does_not_take_less_for_everything(tmp_path: Path, arrived: list[bytes], kept_here: list[bytes]) -> None:
    """What differs from what was sent is a failure of the demo."""
    files = Files(tmp_path)
    (files.maildir / "new").mkdir(parents=True)
    for number, content in enumerate(kept_here):
        (files.maildir / "new" / str(number)).write_bytes(content.replace(b"\r\n", b"\n"))
    kept = [Kept("a", ("b",), content, "PLAIN", "TLSv1.3") for content in arrived]
    smarthost: Any = SimpleNamespace(sandbox=SimpleNamespace(kept=kept))
    with pytest.raises(Unexpected):
        check(smarthost, files, [MESSAGE], MESSAGE)
