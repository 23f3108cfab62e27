"""Debian's own smarthost configuration: the files of its package, included as they are, and ``passwd.client``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end import clients
from tests.end_to_end.conftest import StartDaemon
from tests.end_to_end.relay import Places
from tests.peers import presence
from tests.peers.certificates import Authority
from tests.peers.exim import MECHANISMS
from tests.peers.fixtures import StartExim

MESSAGE = b"From: me@app.example\r\nSubject: hello\r\n\r\nhello\r\n"
PASSWORD = "s:e^c:ret"
"""Everything after the second colon."""


def debian(places: Places, port: int, ca: Path) -> str:
    """Return the configuration that Debian's package makes for a smarthost, local delivery aside."""
    folder = presence.server("exim4-daemon-heavy") / "etc/exim4/conf.d"
    return f"""{places.main()}
CONFDIR = {places.directory}
DCconfig_smarthost = 1
DCsmarthost = 127.0.0.10::{port}
REMOTE_SMTP_SMARTHOST_TLS_VERIFY_CERTIFICATES = {ca}

begin routers
.include {folder}/router/200_exim4-config_primary

begin transports
.include {folder}/transport/10_exim4-config_transport-macros
.include {folder}/transport/30_exim4-config_remote_smtp_smarthost

begin retry
.include {folder}/retry/30_exim4-config

begin authenticators
.include {folder}/auth/30_exim4-config_examples
"""


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(
    "key", [pytest.param("127.0.0.10", id="exact"), pytest.param("*.0.0.10", id="suffix"), pytest.param("*", id="any")]
)
def test_its_files_and_passwd_client_relay_mail(
    places: Places, daemon: StartDaemon, exim_smarthost: StartExim, authority: Authority, mechanism: str, key: str
) -> None:
    """``passwd.client`` is read by nwildlsearch; the first matching line holds login and password.

    Debian's CRAM-MD5 cuts a password at a colon (``${extract{2}{:}…}``), so it gets one without.
    """
    password = "s^ecret" if mechanism == "CRAM-MD5" else PASSWORD
    lines = ["# a comment", "elsewhere.example:nobody:nothing", f"{key}:my_username:{password}"]
    (places.directory / "passwd.client").write_text("\n".join(lines) + "\n")
    smarthost = exim_smarthost(mechanisms=[mechanism], password=password)
    relay = daemon(debian(places, smarthost.port, authority.ca))
    clients.smtplib_(places.port, "me@app.example", ["you@remote.example"], MESSAGE)
    (received,) = smarthost.messages()
    assert received.authenticator == mechanism.partition("-")[0].lower()
    relay.lines.wait_for(r" => you@remote\.example R=smarthost T=remote_smtp_smarthost .* CV=yes ")
