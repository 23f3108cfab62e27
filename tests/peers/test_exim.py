"""The peer itself: what the tests of the relay rely on."""

from __future__ import annotations

import smtplib
import ssl

import pytest

from tests.peers.certificates import Authority
from tests.peers.exim import MECHANISMS, EximClient, EximSmarthost
from tests.peers.fixtures import StartExim

MESSAGE = b"Subject: hello\r\n\r\n.a line with a dot\r\n..\r\n\xe4\xf6\xfc\r\n"


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit tls"])
def test_it_takes_mail_from_whom_it_knows(
    exim_smarthost: StartExim, authority: Authority, mechanism: str, implicit: bool
) -> None:
    """What arrives is what was sent, octet for octet, with its envelope and how the client logged in."""
    smarthost = exim_smarthost(implicit=implicit, mechanisms=[mechanism])
    with _connect(smarthost, authority, implicit) as client:
        client.login(smarthost.terms.user, smarthost.terms.password)
        client.sendmail("me@example.com", ["you@example.org", "them@example.org"], MESSAGE)
    (message,) = smarthost.messages()
    assert message.content == MESSAGE
    assert (message.sender, message.recipients) == ("me@example.com", ("you@example.org", "them@example.org"))
    assert message.authenticator == mechanism.partition("-")[0].lower()
    assert message.encrypted


def test_it_refuses_whom_it_does_not_know(exim_smarthost: StartExim, authority: Authority) -> None:
    """A wrong password is 535; no password is 550 at RCPT."""
    smarthost = exim_smarthost()
    with _connect(smarthost, authority) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(smarthost.terms.user, "wrong")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("me@example.com", ["you@example.org"], MESSAGE)


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [pytest.param("wrong name", "match", id="wrong name"), pytest.param("expired", "expired", id="expired")],
)
def test_its_certificate_can_be_bad(exim_smarthost: StartExim, authority: Authority, kind: str, complaint: str) -> None:
    """A client that verifies does not get far."""
    smarthost = exim_smarthost(kind)
    with pytest.raises(ssl.SSLCertVerificationError, match=complaint):
        _connect(smarthost, authority)


def test_it_can_be_the_client(exim_smarthost: StartExim, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Exim hands a message on by BDAT where that is offered."""
    smarthost = exim_smarthost(starttls=False, policy="")
    EximClient(tmp_path_factory.mktemp("client"), smarthost.port).send("me@example.com", ["you@example.org"], MESSAGE)
    (message,) = smarthost.messages()
    assert message.content.endswith(MESSAGE.partition(b"\r\n")[2])
    assert message.chunked


def _connect(smarthost: EximSmarthost, authority: Authority, implicit: bool = False) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=authority.ca)
    if implicit:
        return smtplib.SMTP_SSL("127.0.0.1", smarthost.port, context=context, timeout=20)
    client = smtplib.SMTP("127.0.0.1", smarthost.port, timeout=20)
    try:
        client.starttls(context=context)
    except ssl.SSLError:
        client.close()
        raise
    return client
