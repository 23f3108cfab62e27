"""More of what real next hops say: Postfix before there is a message and as a greylister, Dovecot for one mailbox.

What they say to a message's own commands is in ``test_refusals.py``, Exim's part too. Proved from both sides' logs.
"""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.end_to_end import clients
from tests.end_to_end.conftest import StartDaemon
from tests.end_to_end.relay import LOCAL_DOMAIN, Places
from tests.end_to_end.test_refusals import CONTENT, by_lmtp, by_postfix, submit
from tests.peers.fixtures import StartDovecot, StartPostfix

CODES = ("421", "450", "451", "452", "550", "552", "554")


def reply(code: str) -> str:
    """Return what Postfix says with this number."""
    return f"{code} {code[0]}.7.0 not you"


def address(code: str) -> str:
    """Return the address that we connect from to be refused with this number, in the greeting."""
    return f"127.0.2.{CODES.index(code) + 1}"


def table(key: Callable[[str], str]) -> str:
    """Return an inline table with a reply for each key."""
    return "inline:{ " + ", ".join(f"{{ {key(code)} = {reply(code)} }}" for code in CODES) + " }"


def by_many_ways(places: Places, port: int) -> str:
    """Return a configuration with a way to the same Postfix for each number, at the greeting and at EHLO."""
    ways = {f"greet{code}": f"interface = {address(code)}" for code in CODES}
    ways |= {f"ehlo{code}": f"helo_data = at{code}.example" for code in CODES}
    routers = "".join(
        f"""
{name}:
  driver = manualroute
  local_parts = {name}
  transport = {name}
  route_list = * 127.0.0.1::{port}
  self = send
"""
        for name in ways
    )
    transports = "".join(f"\n{name}:\n  driver = smtp\n  {option}\n" for name, option in ways.items())
    return f"{places.main()}\nbegin routers\n{routers}\nbegin transports\n{transports}"


def test_postfix_that_refuses_the_connection_gets_the_mail_later(
    places: Places, daemon: StartDaemon, postfix: StartPostfix
) -> None:
    """What is said before there is a message is about us, not about the mail: whatever the number, nothing bounces."""
    server = postfix(
        smtpd_delay_reject="no",
        smtpd_client_restrictions=f"check_client_access {table(address)}",
        smtpd_helo_restrictions=f"check_helo_access {table('at{}.example'.format)}",
    )
    relay = daemon(by_many_ways(places, server.port))
    for code in CODES:
        submit(places, "me", f"greet{code}", f"ehlo{code}")
        refused = re.escape(reply(code)[:9])
        server.lines.wait_for(rf"reject: CONNECT from .*\[{address(code)}\]: {refused}")
        server.lines.wait_for(rf"reject: EHLO from .*: {refused} .*at{code}\.example")
        relay.lines.wait_for(rf" == greet{code}@remote\.example .*initial connection: {refused}")
        relay.lines.wait_for(rf" == ehlo{code}@remote\.example .*{refused}")
    assert len(relay.queue()) == len(CODES)
    assert not relay.lines.matching(r" <= <> | \*\* ")


class Greylister(socketserver.BaseRequestHandler):
    """Postfix's policy protocol: a recipient who has not been seen is put off."""

    seen: ClassVar[set[str]] = set()

    def handle(self) -> None:
        stream = self.request.makefile("rw")
        asked: dict[str, str] = {}
        for line in stream:
            name, _, value = line.rstrip("\n").partition("=")
            if name:
                asked[name] = value
                continue
            known = asked["recipient"] in self.seen
            self.seen.add(asked["recipient"])
            stream.write(f"action={'dunno' if known else 'defer_if_permit 4.2.0 greylisted'}\n\n")
            stream.flush()
            asked = {}


@pytest.fixture
def greylister() -> Iterator[int]:
    """The port of a greylister that has seen nobody."""
    Greylister.seen = set()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greylister) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_postfix_that_greylists_gets_each_recipient_at_the_second_attempt(
    places: Places, daemon: StartDaemon, postfix: StartPostfix, greylister: int
) -> None:
    server = postfix(smtpd_recipient_restrictions=f"check_policy_service inet:127.0.0.1:{greylister}")
    relay = daemon(by_postfix(places, server.port))
    submit(places, "me", "one", "two")
    for name in ("one", "two"):
        server.lines.wait_for(rf"reject: RCPT from .*: 450 4\.2\.0 <{name}@remote\.example>.*greylisted")
        relay.lines.wait_for(rf" == {name}@remote\.example .* after RCPT TO:<\S+>: 450 4\.2\.0")
    relay.tool("queue", after=("run",))
    relay.lines.wait_for(r" => (?:one|two)@remote\.example ")
    relay.lines.wait_for(" Completed$")
    server.lines.wait_for(r"status=sent", 2)
    assert not relay.lines.matching(" <= <> ")


def test_dovecot_that_puts_one_mailbox_off_gets_the_others_now(
    places: Places, daemon: StartDaemon, dovecot: StartDovecot
) -> None:
    """A full mailbox that may be emptied (452) and one out of order (451) wait; the third has its mail, once."""
    server = dovecot(["roomy@remote.example", "broken@remote.example"])
    full = dovecot(["full@full.example"], quota="1B", tempfail=True)
    broken: Path = server.mail / "broken@remote.example"
    broken.write_text("no directory")
    relay = daemon(by_lmtp(places, server.port, full.port))
    recipients = ["roomy@remote.example", "broken@remote.example", "full@full.example"]
    clients.smtplib_(places.port, f"me@{LOCAL_DOMAIN}", recipients, CONTENT)
    relay.lines.wait_for(r" (=>|->) roomy@remote\.example ")
    relay.lines.wait_for(r" == full@full\.example .*452 4\.2\.2 .*[Qq]uota")
    relay.lines.wait_for(r" == broken@remote\.example .*451 4\.")
    full.lines.wait_for("[Qq]uota exceeded")
    server.lines.wait_for(r"broken@remote\.example.*(?:Error|Not a directory|failed)")
    assert not relay.lines.matching(r" <= <> | \*\* ")
    assert len(server.mailbox("roomy@remote.example")) == 1
    (entry,) = relay.queue()
    assert sorted(address for address, done, _ in entry["recipients"] if not done) == sorted(recipients[1:])
