"""The peer itself: what tests of a next hop's replies rely on."""

from __future__ import annotations

import smtplib

from tests.peers.fixtures import StartPostfix

MESSAGE = b"Subject: hello\r\n\r\n.a line with a dot\r\n"


def test_it_answers_as_it_is_told(postfix: StartPostfix) -> None:
    """One recipient is taken, one refused for good, one for now; the message arrives."""
    refusals = "inline:{{never@x.example=550 5.1.1 never}, {later@x.example=450 4.2.1 later}}"
    server = postfix(smtpd_recipient_restrictions=f"check_recipient_access {refusals}")
    with smtplib.SMTP("127.0.0.1", server.port, timeout=20) as client:
        refused = client.sendmail("me@example.com", ["you@x.example", "never@x.example", "later@x.example"], MESSAGE)
    assert {address: code for address, (code, _) in refused.items()} == {"never@x.example": 550, "later@x.example": 450}
    server.lines.wait_for(" status=sent ")
    (content,) = server.messages()
    assert content.endswith(MESSAGE.replace(b"\r\n", b"\n"))
