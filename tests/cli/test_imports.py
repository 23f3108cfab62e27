"""What a start does not pay for, and an idle daemon does not hold: modules that a smarthost's relay does not need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from smarthostd.demo.daemon import free_port

LIBRARIES = {"aiosmtpd", "aiosmtplib", "attr", "msgspec", "public", "typing_extensions", "uvloop"}
"""What an idle daemon has of others; aiosmtpd brings attr and public, msgspec in older Pythons typing_extensions."""
UNUSED = {
    "click", "ctypes", "dns", "email.parser", "html", "http.client", "importlib.metadata",
    "multiprocessing", "pydantic", "rich", "tempfile",
    "smarthostd.cli", "smarthostd.config", "smarthostd.demo", "smarthostd.options", "smarthostd.authenticators.options",
    "smarthostd.routers.options", "smarthostd.routers.redirect", "smarthostd.routers.dnslookup",
    "smarthostd.transports.options", "smarthostd.transports.appendfile", "smarthostd.transports.lmtp", "tomllib",
}  # fmt: skip
"""Each is imported where it is first used, or by the child that judges a configuration."""
JUDGE = """
import json, sys
from pathlib import Path
from smarthostd.judging import _judged
_judged(Path(sys.argv[1]), {}, lenient=False)
print(json.dumps([*sys.modules]))
"""
"""What the child does, which tells its modules."""
UNJUDGED = {
    "asyncio", "difflib", "email", "importlib.metadata", "shlex", "smarthostd.authenticators.options.cram_md5",
    "smarthostd.authenticators.options.external", "smarthostd.config.environ", "smarthostd.config.shorthand",
    "smarthostd.config.toml", "smarthostd.daemon", "smarthostd.rewrite", "smarthostd.routers.base",
    "smarthostd.routers.options.accept", "smarthostd.routers.options.dnslookup", "smarthostd.routers.options.redirect",
    "smarthostd.transports.options.appendfile", "smarthostd.transports.options.lmtp", "ssl", "tomllib",
}  # fmt: skip
"""The daemon waits for the child: what a configuration does not have is not imported there either."""
DAEMON = """
import json, sys
before = set(sys.modules)
import smarthostd.daemon
announce = smarthostd.daemon.Daemon._announce
def told(self):
    announce(self)
    print(json.dumps([*set(sys.modules) - before]), flush=True)
    self._stop.set()
smarthostd.daemon.Daemon._announce = told
sys.argv[0] = "smarthostd"
from smarthostd.__main__ import program
program()
"""
"""The program itself, which tells its modules once it listens, and stops."""
CONFIGURATION = """
spool_directory = {0}/spool
runtime_directory = {0}
log_file_path = {0}/%slog
local_interfaces = 127.0.0.1
daemon_smtp_ports = {1}
begin routers
out:
  driver = manualroute
  transport = smarthost
  route_list = * smtp.example.com
begin transports
smarthost:
  driver = smtp
  hosts_require_auth = *
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^me^hunter2
"""


def test_an_idle_daemon_has_loaded_only_what_it_needs(tmp_path: Path) -> None:
    """Neither pydantic nor click nor a driver that the configuration has not."""
    (tmp_path / "c.conf").write_text(CONFIGURATION.format(tmp_path, free_port()))
    command = [sys.executable, "-c", DAEMON, "run", "-C", str(tmp_path / "c.conf")]
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, check=True, capture_output=True, timeout=60, env=environ)
    loaded = set(json.loads(done.stdout))
    assert {"smarthostd.daemon", "smarthostd.transports.smtp", "smarthostd.routers.manualroute"} <= loaded
    assert not UNUSED & loaded
    theirs = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names - {"smarthostd"}
    assert {name for name in theirs if "cython" not in name} <= LIBRARIES


def test_the_judge_loads_only_what_a_configuration_has(tmp_path: Path) -> None:
    """No front end, driver's options, shorthand or rules that are not in it; and nobody looks for plugins."""
    (tmp_path / "c.conf").write_text(CONFIGURATION.format(tmp_path, free_port()))
    command = [sys.executable, "-c", JUDGE, str(tmp_path / "c.conf")]
    loaded = set(json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout))
    assert {"pydantic", "smarthostd.config.exim.reader", "smarthostd.transports.options.smtp"} <= loaded
    assert not UNJUDGED & loaded


def test_the_daemon_imports_nothing_that_it_may_never_use() -> None:
    """What nearly every configuration uses is imported by the service, ahead of time, and not by the daemon."""
    program = "import json, sys, smarthostd.daemon; print(json.dumps([*sys.modules]))"
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=30).stdout
    imported = set(json.loads(out))
    assert "smarthostd.daemon" in imported
    drivers = {"aiosmtplib", "smarthostd.routers.manualroute", "smarthostd.transports.smtp"}
    assert not (UNUSED | drivers) & imported
