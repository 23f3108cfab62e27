"""A refused password: mail waits, nothing bounces, one alarm; the mended file lets everything go."""

from __future__ import annotations

from tests.end_to_end import clients
from tests.end_to_end.conftest import Post, StartDaemon
from tests.end_to_end.relay import Places, credentials, forwarding

COUNT = 30


def submit(places: Places, subject: str) -> None:
    """Hand in one message."""
    content = f"From: me@app.example\r\nSubject: {subject}\r\n\r\nhello\r\n".encode()
    clients.smtplib_(places.port, "me@app.example", ["you@remote.example"], content)


def arrivals(post: Post, count: int) -> list[bytes]:
    """Return the subjects of the next *count* messages, sorted."""
    return sorted(post.next().content.partition(b"Subject: ")[2].partition(b"\r\n")[0] for _ in range(count))


def test_mail_waits_for_the_mended_file(places: Places, daemon: StartDaemon, post: Post) -> None:
    """Thirty messages, one refusal, one alarm, no bounce; each arrives once after the file has changed."""
    post.running.change_password("changed")
    relay = daemon(forwarding(places, post.route, post.ca))
    for number in range(COUNT):
        submit(places, f"number {number:02}")
    relay.lines.wait_for(" ALARM: .*127.0.0.1")
    assert len(relay.queue()) == COUNT
    assert post.quiet
    places.credentials.write_text(credentials(password="changed"))
    assert arrivals(post, COUNT) == [f"number {number:02}".encode() for number in range(COUNT)]
    relay.lines.wait_for(" Completed$", COUNT)
    assert relay.queue() == []
    assert post.sandbox.refused <= 2
    assert len(relay.lines.matching(" ALARM: ")) == 1
    assert not relay.lines.matching(r" <= <> |\*\* ")
    assert post.quiet


def test_a_missing_file_is_waited_for(places: Places, daemon: StartDaemon, post: Post) -> None:
    """No credentials file at all: the message waits until there is one."""
    places.credentials.unlink()
    relay = daemon(forwarding(places, post.route, post.ca))
    submit(places, "early")
    relay.lines.wait_for(" == you@remote.example ")
    places.credentials.write_text(credentials())
    assert arrivals(post, 1) == [b"early"]


def test_a_restart_tries_again(places: Places, daemon: StartDaemon, post: Post) -> None:
    """Held mail is tried after a restart, since that is what people do after mending something."""
    post.running.change_password("changed")
    text = forwarding(places, post.route, post.ca)
    relay = daemon(text)
    submit(places, "patient")
    relay.lines.wait_for(" ALARM: ")
    assert relay.stop() == 0
    post.running.change_password("secret")
    daemon(text)
    assert arrivals(post, 1) == [b"patient"]


def test_no_secret_is_ever_shown(places: Places, daemon: StartDaemon, post: Post) -> None:
    """Neither the log nor the queue shows a password, right or wrong, in any of its forms on the wire."""
    places.credentials.write_text(credentials(password="Xyzzy-Plugh"))
    relay = daemon(forwarding(places, post.route, post.ca))
    submit(places, "hello")
    relay.lines.wait_for(" ALARM: ")
    shown = "\n".join(relay.lines()) + relay.tool("queue")
    assert "Xyzzy" not in shown
    assert "WHl6enkt" not in shown  # its beginning in base64, wherever a group of three octets starts
    assert "h5enp5LVBsdW" not in shown
    assert "eXp6eS1QbHVn" not in shown
