"""The real Exim as the smarthost: each mechanism over each kind of TLS, and what must stop a message."""

from __future__ import annotations

import pytest

from tests.end_to_end import clients
from tests.end_to_end.conftest import StartDaemon
from tests.end_to_end.relay import Places, credentials, forwarding
from tests.peers.certificates import Authority
from tests.peers.exim import MECHANISMS, EximSmarthost
from tests.peers.fixtures import StartExim

MESSAGE = (
    b"From: me@app.example\r\nDate: Mon, 1 Jun 2026 10:00:00 +0000\r\nMessage-ID: <1@app.example>\r\n"
    b"Subject: hello\r\n\r\n.a line with a dot\r\n.\r\n..\r\n\xe4\xf6\xfc\r\n"
)
AUTHENTICATORS = {"CRAM-MD5": "cram", "PLAIN": "plain", "LOGIN": "login"}
"""What Exim's log calls the mechanisms."""


def relay_text(places: Places, smarthost: EximSmarthost, authority: Authority, implicit: bool = False) -> str:
    """Return a configuration that forwards to *smarthost*."""
    transport = "protocol = smtps" if implicit else ""
    return forwarding(places, f"127.0.0.1::{smarthost.port}", authority.ca, transport=transport)


def submit(places: Places) -> None:
    """Hand in MESSAGE."""
    clients.smtplib_(places.port, "me@app.example", ["you@remote.example"], MESSAGE)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "implicit TLS"])
def test_mail_arrives_authenticated_over_verified_tls(
    places: Places,
    daemon: StartDaemon,
    exim_smarthost: StartExim,
    authority: Authority,
    mechanism: str,
    implicit: bool,
) -> None:
    """Exim's own log says how the client logged in; ours says that the certificate was verified."""
    smarthost = exim_smarthost(implicit=implicit, mechanisms=[mechanism])
    relay = daemon(relay_text(places, smarthost, authority, implicit))
    submit(places)
    (received,) = smarthost.messages()
    assert received.content.endswith(MESSAGE)
    assert (received.sender, received.recipients) == ("me@app.example", ("you@remote.example",))
    assert (received.authenticator, received.encrypted) == (AUTHENTICATORS[mechanism], True)
    (line,) = relay.lines.wait_for(r" => you@remote\.example R=outgoing T=smarthost .*")
    assert " CV=yes " in line[0]
    relay.lines.wait_for(r" Completed$")


def test_a_wrong_password_holds_the_mail(
    places: Places, daemon: StartDaemon, exim_smarthost: StartExim, authority: Authority
) -> None:
    """One try, one alarm, no bounce; the mended file releases it."""
    smarthost = exim_smarthost(password="another")
    relay = daemon(relay_text(places, smarthost, authority))
    submit(places)
    relay.lines.wait_for(" ALARM: ")
    assert [entry["sender"] for entry in relay.queue()] == ["me@app.example"]
    places.credentials.write_text(credentials(password="another"))
    (received,) = smarthost.messages()
    assert received.content.endswith(MESSAGE)
    assert len(smarthost.lines.matching(r"authenticator failed .*535")) == 1
    assert not relay.lines.matching(r" <= <> ")
    assert len(relay.lines.matching(" ALARM: ")) == 1


@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "implicit TLS"])
@pytest.mark.parametrize(
    ("certificate", "sentence"),
    [
        pytest.param("wrong name", r"127\.0\.0\.1.*elsewhere\.example", id="for another name"),
        pytest.param("expired", r"expired", id="expired"),
    ],
)
def test_a_bad_certificate_gets_no_password(
    places: Places,
    daemon: StartDaemon,
    exim_smarthost: StartExim,
    authority: Authority,
    certificate: str,
    sentence: str,
    implicit: bool,
) -> None:
    """The message waits, the log says in one line what is wrong, and the smarthost never sees a login."""
    smarthost = exim_smarthost(certificate, implicit=implicit)
    relay = daemon(relay_text(places, smarthost, authority, implicit))
    submit(places)
    relay.lines.wait_for(rf" == you@remote\.example .*{sentence}")
    assert len(relay.queue()) == 1
    assert not smarthost.lines.matching("authenticator failed|<= ")


def test_an_unknown_authority_gets_no_password(
    places: Places, daemon: StartDaemon, exim_smarthost: StartExim, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A good certificate from an authority that the relay was not told to trust is a bad one."""
    smarthost = exim_smarthost()
    stranger = Authority(tmp_path_factory.mktemp("stranger"))
    relay = daemon(relay_text(places, smarthost, stranger))
    submit(places)
    relay.lines.wait_for(r" == you@remote\.example .*certificate")
    assert not smarthost.lines.matching("authenticator failed|<= ")


def test_no_starttls_gets_no_password(
    places: Places, daemon: StartDaemon, exim_smarthost: StartExim, authority: Authority
) -> None:
    """A smarthost (or somebody on the way) that does not offer STARTTLS gets no mail when TLS is required."""
    smarthost = exim_smarthost(starttls=False)
    text = forwarding(places, f"127.0.0.1::{smarthost.port}", authority.ca, transport="hosts_require_tls = *")
    relay = daemon(text)
    submit(places)
    relay.lines.wait_for(r" == you@remote\.example .*TLS")
    assert not smarthost.lines.matching("authenticator failed|<= ")
