"""The peer itself: what the tests of LMTP rely on."""

from __future__ import annotations

import smtplib

from tests.peers.fixtures import StartDovecot

MESSAGE = b"Subject: hello\r\n\r\n.a line with a dot\r\n"
USERS = ("one@lmtp.example", "two@lmtp.example")


def test_each_recipient_has_an_answer(dovecot: StartDovecot) -> None:
    """Two mailboxes take the message, an unknown one is refused."""
    server = dovecot(USERS)
    with smtplib.LMTP("127.0.0.1", server.port, timeout=20) as client:
        client.ehlo()
        client.mail("me@example.com")
        assert [client.rcpt(user)[0] for user in (*USERS, "nobody@lmtp.example")] == [250, 250, 550]
        assert [client.data(MESSAGE)[0], client.getreply()[0]] == [250, 250]
    for user in USERS:
        (content,) = server.mailbox(user)
        assert content.endswith(MESSAGE.replace(b"\r\n", b"\n"))


def test_a_full_mailbox_refuses_after_the_dot(dovecot: StartDovecot) -> None:
    """Over quota is an answer to the message, for each recipient."""
    server = dovecot(USERS, quota="1K")
    with smtplib.LMTP(str(server.socket), timeout=20) as client:
        client.ehlo()
        client.mail("me@example.com")
        assert client.rcpt(USERS[0])[0] == 250
        assert client.data(MESSAGE + b"x" * 2000)[0] in (452, 552)
