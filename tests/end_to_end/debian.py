"""What Debian's package makes for a smarthost: its own files, included as they are, local delivery aside."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.relay import Places
from tests.peers import presence


def debian(places: Places, port: int, ca: Path, macros: str = "") -> str:
    """Return the configuration; ``/etc/email-addresses``, of its rewriting rules, is *places*' ``email-addresses``."""
    folder = presence.server("exim4-daemon-heavy") / "etc/exim4/conf.d"
    rules = (folder / "rewrite/31_exim4-config_rewriting").read_text()
    own = rules.replace("/etc/email-addresses", f"{places.directory}/email-addresses")
    (places.directory / "rewriting").write_text(own)
    return f"""{places.main()}
CONFDIR = {places.directory}
DCconfig_smarthost = 1
DCsmarthost = 127.0.0.10::{port}
ETC_MAILNAME = mailname.example
REMOTE_SMTP_SMARTHOST_TLS_VERIFY_CERTIFICATES = {ca}
{macros}

begin routers
.include {folder}/router/200_exim4-config_primary

begin transports
.include {folder}/transport/10_exim4-config_transport-macros
.include {folder}/transport/30_exim4-config_remote_smtp_smarthost

begin retry
.include {folder}/retry/30_exim4-config

begin rewrite
.include {places.directory}/rewriting

begin authenticators
.include {folder}/auth/30_exim4-config_examples
"""
