"""Debian's own smarthost configuration (``debian.py``), and ``passwd.client``."""

from __future__ import annotations

import pytest

from tests.end_to_end import clients
from tests.end_to_end.conftest import StartDaemon
from tests.end_to_end.debian import debian
from tests.end_to_end.relay import Places
from tests.peers.certificates import Authority
from tests.peers.exim import MECHANISMS
from tests.peers.fixtures import StartExim

MESSAGE = b"From: me@app.example\r\nSubject: hello\r\n\r\nhello\r\n"
PASSWORD = "s:e^c:ret"
"""Everything after the second colon."""


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
