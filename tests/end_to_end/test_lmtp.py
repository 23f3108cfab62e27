"""The real Dovecot behind the lmtp transport: an outcome for each recipient of one message."""

from __future__ import annotations

import pytest

from tests.end_to_end import clients
from tests.end_to_end.conftest import StartDaemon
from tests.end_to_end.relay import Places
from tests.peers.dovecot import DovecotLMTP
from tests.peers.fixtures import StartDovecot

MESSAGE = b"From: me@app.example\r\nSubject: hello\r\n\r\n.a line with a dot\r\n"
USERS = ("one@lmtp.example", "two@lmtp.example")


def over_socket(places: Places, dovecot: DovecotLMTP) -> str:
    """Return a configuration with Exim's lmtp driver on a unix socket."""
    return f"""{places.main()}
begin routers
boxes:
  driver = accept
  domains = lmtp.example
  transport = boxes

begin transports
boxes:
  driver = lmtp
  socket = {dovecot.socket}
  batch_max = 100
"""


def over_tcp(places: Places, dovecot: DovecotLMTP) -> str:
    """Return a configuration with Exim's smtp driver that speaks LMTP."""
    return f"""{places.main()}
begin routers
boxes:
  driver = manualroute
  domains = lmtp.example
  transport = boxes
  route_list = * 127.0.0.1::{dovecot.port}
  self = send

begin transports
boxes:
  driver = smtp
  protocol = lmtp
"""


@pytest.mark.parametrize("configuration", [over_socket, over_tcp])
def test_each_recipient_has_an_outcome(
    places: Places, daemon: StartDaemon, dovecot: StartDovecot, configuration: object
) -> None:
    """Two are delivered, an unknown one fails, and the sender is told of that one."""
    server = dovecot([*USERS, "sender@lmtp.example"])
    assert callable(configuration)
    relay = daemon(configuration(places, server))
    clients.smtplib_(places.port, "sender@lmtp.example", [*USERS, "nobody@lmtp.example"], MESSAGE)
    relay.lines.wait_for(r" (=>|->) one@?\S* ")
    relay.lines.wait_for(r" \*\* nobody@lmtp\.example ")
    relay.lines.wait_for(" Completed$", 2)
    for user in USERS:
        (content,) = server.mailbox(user)
        assert content.endswith(MESSAGE.replace(b"\r\n", b"\n"))
    (bounce,) = server.mailbox("sender@lmtp.example")
    assert b"nobody@lmtp.example" in bounce
    assert b"one@lmtp.example" not in bounce.partition(b"message/rfc822")[0]
