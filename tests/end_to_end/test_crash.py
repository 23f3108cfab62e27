"""kill -9 in full flow: every message that got its 250 arrives."""

from __future__ import annotations

import re
import smtplib
import threading
from collections.abc import Iterator

from smarthostd.demo.daemon import Daemon
from tests.end_to_end.conftest import Post, StartDaemon
from tests.end_to_end.relay import Places, forwarding

COUNT = 200
CLIENTS = 4
KILLS = (40, 110, 170)
"""After how many 250s the daemon is killed."""
SMALL, LARGE = 2_000, 200_000
"""Octets of a message that is kept in the row, and of one that is kept in a file."""


class Flow:
    """Messages on their way in, by several clients at once; those without a 250 are sent again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._waiting = list(range(COUNT))
        self._accepted: list[int] = []
        self._turn = threading.Condition()

    def run(self) -> list[threading.Thread]:
        """Start the clients; each goes on until the daemon is gone or nothing is left."""
        threads = [threading.Thread(target=self._client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        return threads

    def wait_for(self, count: int) -> None:
        """Wait until *count* messages have got their 250."""
        with self._turn:
            assert self._turn.wait_for(lambda: len(self._accepted) >= count, 60)

    @property
    def accepted(self) -> list[int]:
        """The messages that got a 250."""
        with self._turn:
            return list(self._accepted)

    def _client(self) -> None:
        try:
            with smtplib.SMTP("127.0.0.1", self._port, local_hostname="app.example", timeout=30) as client:
                for number in self._numbers():
                    self._send(client, number)
        except (OSError, smtplib.SMTPException):
            pass  # the daemon was killed: what it had not accepted is sent again to the next

    def _numbers(self) -> Iterator[int]:
        while True:
            with self._turn:
                if not self._waiting:
                    return
                number = self._waiting.pop()
            yield number

    def _send(self, client: smtplib.SMTP, number: int) -> None:
        try:
            client.sendmail("me@app.example", ["you@remote.example"], _message(number))
        except (OSError, smtplib.SMTPException):
            with self._turn:
                self._waiting.append(number)
            raise
        with self._turn:
            self._accepted.append(number)
            self._turn.notify_all()


def _message(number: int) -> bytes:
    size = LARGE if number % 10 == 0 else SMALL
    header = f"From: me@app.example\r\nSubject: number {number}.\r\n\r\n"
    return header.encode() + (b"x" * 70 + b"\r\n") * (size // 72)


def test_what_got_a_250_arrives(places: Places, daemon: StartDaemon, post: Post) -> None:
    """The daemon is killed three times while messages stream in and out, and started again on what it left."""
    text = forwarding(places, post.route, post.ca)
    flow = Flow(places.port)
    relay: Daemon = daemon(text)
    for count in KILLS:
        threads = flow.run()
        flow.wait_for(count)
        relay.kill()
        for thread in threads:
            thread.join(60)
        relay = daemon(text)
    for thread in flow.run():
        thread.join(60)
    assert sorted(set(flow.accepted)) == list(range(COUNT))
    arrived: list[int] = []
    while set(arrived) != set(range(COUNT)):
        match = re.search(rb"number (\d+)\.", post.next().content)
        assert match
        arrived.append(int(match[1]))
    assert relay.stop() == 0
    assert not [line for line in relay.lines() if "PANIC" in line]
