"""What a start does not pay for: modules that a configuration of Exim's does not need."""

from __future__ import annotations

import json
import subprocess
import sys

UNUSED = {
    "aiosmtplib", "ctypes", "dns.resolver", "html", "http.client", "rich", "smarthostd.cli.exim",
    "smarthostd.cli.queue", "smarthostd.config.render", "smarthostd.config.toml", "smarthostd.demo", "tomllib",
}  # fmt: skip
"""Each is imported where it is first used."""
DAEMON = """
import json, sys
import smarthostd.cli.run, smarthostd.config.exim.reader, smarthostd.daemon
print(json.dumps(list(sys.modules)))
"""


def test_the_daemon_imports_nothing_that_it_may_never_use() -> None:
    out = subprocess.run([sys.executable, "-c", DAEMON], check=True, capture_output=True, timeout=30).stdout
    imported = set(json.loads(out))
    assert "smarthostd.daemon" in imported
    assert not UNUSED & imported
