"""Real next hops that say no, later, or good-bye at every stage: the right end for each recipient.

Proved from both sides: the next hop's own log says that it refused what ours reports, and the sender's mailbox holds
one report for each message that failed. The sender lives here, so that a report never takes the road that it is about.
"""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import Message
from pathlib import Path

import pytest

from smarthostd.demo.daemon import Daemon
from smarthostd.demo.lines import PATIENCE
from tests.end_to_end import clients
from tests.end_to_end.conftest import StartDaemon
from tests.end_to_end.relay import LOCAL_DOMAIN, Places, forwarding
from tests.peers.certificates import Authority
from tests.peers.fixtures import StartDovecot, StartExim, StartPostfix

CONTENT = b"From: me@app.example\r\nSubject: hello\r\n\r\nbody\r\n"
REPLIES = {
    "450": "450 4.2.0 come again",
    "451": "451 4.3.0 trouble here",
    "452": "452 4.3.1 no room",
    "550": "550 5.7.1 nobody may",
    "552": "552 5.3.4 too large for us",
    "554": "554 5.7.1 not for us",
}
"""What a next hop says to an address with this number in its local part."""


def submit(places: Places, sender: str, *recipients: str) -> None:
    """Hand in CONTENT."""
    clients.smtplib_(places.port, f"{sender}@{LOCAL_DOMAIN}", [f"{one}@remote.example" for one in recipients], CONTENT)


class Mailbox:
    """The sender's mailbox: reports by the addresses that they tell of."""

    def __init__(self, places: Places, relay: Daemon) -> None:
        self._folder = places.maildir / "new"
        self._relay = relay

    def reports(self, count: int) -> dict[str, list[Message]]:
        """Return the fields for each address, once *count* reports have come."""
        self._relay.lines.wait_for(rf" => \S+ <\S+@{LOCAL_DOMAIN}> R=local ", count)
        found: dict[str, list[Message]] = {}
        for path in self._folder.iterdir():
            report = message_from_bytes(path.read_bytes(), policy=policy.SMTP)
            assert report["Auto-Submitted"] == "auto-replied"
            status = report.get_payload()[1]  # type: ignore[index,union-attr]  # a multipart's payload is a list
            for fields in status.get_payload()[1:]:  # type: ignore[union-attr,index]
                assert isinstance(fields, Message)
                found.setdefault(str(fields["Final-Recipient"]).partition(";")[2], []).append(fields)
        return found


def assert_ends(relay: Daemon, places: Places, stage: str, addresses: dict[str, str]) -> None:
    """Assert that each address (its local part, and what was said of it) has the end that the reply deserves."""
    refused = {one: reply for one, reply in addresses.items() if reply.startswith("5")}
    for local_part, reply in addresses.items():
        flag = r"\*\*" if local_part in refused else "=="
        relay.lines.wait_for(rf" {flag} {local_part}@remote\.example .*{stage}.*{re.escape(reply)}")
    reports = Mailbox(places, relay).reports(len(refused))
    assert sorted(reports) == sorted(f"{local_part}@remote.example" for local_part in refused)
    for local_part, reply in refused.items():
        (fields,) = reports[f"{local_part}@remote.example"]
        assert fields["Action"] == "failed"
        assert fields["Status"] == reply.split()[1]
        assert re.sub(r"\s+", " ", str(fields["Diagnostic-Code"])) == f"smtp; {reply}"
    waiting = {address for entry in relay.queue() for address, done, _ in entry["recipients"] if not done}
    assert waiting == {f"{local_part}@remote.example" for local_part in addresses if local_part not in refused}


# -- Exim


def verdicts(condition: str) -> str:
    """Return ACL statements that say each of REPLIES where *condition*, with the number in it, holds."""
    return "\n".join(
        f"  {'deny' if code.startswith('5') else 'defer'} {condition.format(code)}\n    message = {reply}"
        for code, reply in REPLIES.items()
    )


def inline(condition: str) -> str:
    """Return the same as one option's value."""
    return " \\\n".join(f"{line}\\n" for line in f"{verdicts(condition)}\n  accept".splitlines())


def test_exim_at_rcpt_each_recipient_has_its_own_end(
    places: Places, daemon: StartDaemon, exim_smarthost: StartExim, authority: Authority
) -> None:
    """Seven recipients of one message: one is delivered, three wait, three fail and share one report."""
    smarthost = exim_smarthost(policy=verdicts("local_parts = at{}"))
    relay = daemon(forwarding(places, f"127.0.0.1::{smarthost.port}", authority.ca))
    submit(places, "me", "ok", *(f"at{code}" for code in REPLIES))
    relay.lines.wait_for(r" => ok@remote\.example ")
    for code, reply in REPLIES.items():
        flag = r"\*\*" if code.startswith("5") else "=="
        relay.lines.wait_for(rf" {flag} at{code}@remote\.example .* after RCPT TO:<\S+>: {re.escape(reply)}")
        smarthost.lines.wait_for(rf"rejected RCPT <at{code}@remote\.example>: .*{re.escape(reply[4:])}")
    reports = Mailbox(places, relay).reports(1)
    assert sorted(reports) == [f"at{code}@remote.example" for code in REPLIES if code.startswith("5")]
    (received,) = smarthost.messages()
    assert received.recipients == ("ok@remote.example",)
    (entry,) = relay.queue()
    assert sorted(address for address, done, _ in entry["recipients"] if not done) == [
        f"at{code}@remote.example" for code in REPLIES if code.startswith("4")
    ]


@pytest.mark.parametrize(
    ("stage", "terms", "said"),
    [
        pytest.param("MAIL FROM", {"options": f"acl_smtp_mail = {inline('senders = at{}@*')}"}, "MAIL", id="MAIL"),
        pytest.param(
            "DATA",
            {"options": f"chunking_advertise_hosts =\nacl_smtp_predata = {inline('senders = at{}@*')}"},
            "DATA",
            id="DATA",  # there is none where BDAT is offered
        ),
        pytest.param("end of data", {"content": inline("senders = at{}@*")}, "after DATA", id="the final dot"),
    ],
)
def test_exim_at_the_stages_of_a_message(
    places: Places,
    daemon: StartDaemon,
    exim_smarthost: StartExim,
    authority: Authority,
    stage: str,
    terms: dict[str, str],
    said: str,
) -> None:
    """A message for each reply: what is refused for good is reported, what is put off waits."""
    smarthost = exim_smarthost(**terms)
    relay = daemon(forwarding(places, f"127.0.0.1::{smarthost.port}", authority.ca))
    for code in REPLIES:
        submit(places, f"at{code}", f"to{code}")
        smarthost.lines.wait_for(rf"rejected {said}.*{re.escape(REPLIES[code][4:])}")
    assert_ends(relay, places, stage, {f"to{code}": reply for code, reply in REPLIES.items()})


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        pytest.param(
            {"options": "acl_smtp_connect = drop message = 554 5.7.1 not from there"},
            "initial connection: 554 5.7.1 not from there",
            id="a greeting of 554",
        ),
        pytest.param(
            {"options": "acl_smtp_connect = defer message = 421 4.7.0 too busy"},
            "initial connection: 421 4.7.0 too busy",
            id="a greeting of 421",
        ),
        pytest.param(
            {"options": "acl_smtp_helo = deny message = 550 5.7.1 bad name"},
            "HELO .*550 5.7.1 bad name",
            id="EHLO and HELO: 550",
        ),
        pytest.param(
            {"options": "acl_smtp_mail = defer message = 421 4.7.0 later"}, "MAIL FROM.*421 4.7.0 later", id="MAIL: 421"
        ),
        pytest.param({"policy": "defer message = 421 4.7.0 later"}, "RCPT TO.*421 4.7.0 later", id="RCPT: 421"),
        pytest.param({"content": "defer message = 421 4.7.0 later"}, "end of data: 421 4.7.0 later", id="dot: 421"),
    ],
)
def test_exim_with_trouble_of_its_own_never_makes_a_bounce(
    places: Places,
    daemon: StartDaemon,
    exim_smarthost: StartExim,
    authority: Authority,
    terms: dict[str, str],
    text: str,
) -> None:
    """What is said of the connection, not of the mail, makes it wait, even where it is a 5xx (difference 6)."""
    smarthost = exim_smarthost(**terms)
    relay = daemon(forwarding(places, f"127.0.0.1::{smarthost.port}", authority.ca))
    submit(places, "me", "you")
    relay.lines.wait_for(rf" == you@remote\.example .*{text}")
    (entry,) = relay.queue()
    assert not entry["frozen"]
    assert not relay.lines.matching(r" <= <> | \*\* ")


def test_exim_that_greylists_gets_the_message_at_the_second_attempt(
    places: Places, daemon: StartDaemon, exim_smarthost: StartExim, authority: Authority, tmp_path: Path
) -> None:
    known = tmp_path / "known"
    condition = f"condition = ${{if exists{{{known}}}{{no}}{{yes}}}}"
    smarthost = exim_smarthost(policy=f"defer {condition}\n    message = 450 4.2.0 greylisted")
    relay = daemon(forwarding(places, f"127.0.0.1::{smarthost.port}", authority.ca))
    submit(places, "me", "you")
    relay.lines.wait_for(r" == you@remote\.example .* 450 4\.2\.0 greylisted")
    smarthost.lines.wait_for(r"temporarily rejected RCPT <you@remote\.example>: 450 4\.2\.0 greylisted")
    known.touch()
    relay.tool("queue", after=("run",))
    (received,) = smarthost.messages()
    assert received.recipients == ("you@remote.example",)
    relay.lines.wait_for(" Completed$")
    assert not relay.lines.matching(" <= <> ")


# -- Postfix


def by_postfix(places: Places, port: int) -> str:
    """Return a configuration that forwards to a Postfix on this machine, without a login."""
    return f"""{places.main()}
begin routers
local:
  driver = accept
  domains = +local_domains
  transport = mailbox
out:
  driver = manualroute
  transport = out
  route_list = * 127.0.0.1::{port}
  self = send

begin transports
out:
  driver = smtp
mailbox:
  driver = appendfile
  directory = {places.maildir}
  maildir_format
"""


def access(key: str) -> str:
    """Return an inline table with REPLIES for addresses of which *key* makes the key."""
    return "inline:{ " + ", ".join(f"{{ {key.format(code)} = {reply} }}" for code, reply in REPLIES.items()) + " }"


def test_postfix_at_rcpt_each_recipient_has_its_own_end(
    places: Places, daemon: StartDaemon, postfix: StartPostfix
) -> None:
    server = postfix(smtpd_recipient_restrictions=f"check_recipient_access {access('at{}@')}")
    relay = daemon(by_postfix(places, server.port))
    submit(places, "me", "ok", *(f"at{code}" for code in REPLIES))
    relay.lines.wait_for(r" => ok@remote\.example ")
    for code, reply in REPLIES.items():
        flag = r"\*\*" if code.startswith("5") else "=="
        relay.lines.wait_for(rf" {flag} at{code}@remote\.example .* after RCPT TO:<\S+>: {reply[:9]}")
        server.lines.wait_for(rf"reject: RCPT from .*: {reply[:9]} <at{code}@remote\.example>")
    reports = Mailbox(places, relay).reports(1)
    assert {address: fields["Status"] for address, (fields,) in reports.items()} == {
        f"at{code}@remote.example": reply[4:9] for code, reply in REPLIES.items() if code.startswith("5")
    }


@pytest.mark.parametrize(
    ("parameter", "stage", "said"),
    [
        pytest.param("smtpd_sender_restrictions", "MAIL FROM", "MAIL", id="MAIL"),
        pytest.param("smtpd_data_restrictions", "DATA", "DATA", id="DATA"),
        pytest.param("smtpd_end_of_data_restrictions", "end of data", "END-OF-MESSAGE", id="the final dot"),
    ],
)
def test_postfix_at_the_stages_of_a_message(
    places: Places, daemon: StartDaemon, postfix: StartPostfix, parameter: str, stage: str, said: str
) -> None:
    rules = {parameter: f"check_sender_access {access('at{}@')}"}
    server = postfix(smtpd_delay_reject="no", smtpd_discard_ehlo_keywords="chunking", **rules)
    relay = daemon(by_postfix(places, server.port))
    for code in REPLIES:
        submit(places, f"at{code}", f"to{code}")
        server.lines.wait_for(rf"reject: {said} from .*: {REPLIES[code][:9]} ")
    for code in REPLIES:
        flag = r"\*\*" if code.startswith("5") else "=="
        relay.lines.wait_for(rf" {flag} to{code}@remote\.example .*{stage}.*{REPLIES[code][:9]}")
    reports = Mailbox(places, relay).reports(sum(code.startswith("5") for code in REPLIES))
    assert {address: fields["Status"] for address, (fields,) in reports.items()} == {
        f"to{code}@remote.example": reply[4:9] for code, reply in REPLIES.items() if code.startswith("5")
    }
    assert len(relay.queue()) == sum(code.startswith("4") for code in REPLIES)


@pytest.mark.parametrize("reply", ["421 4.7.0 busy", "554 5.7.1 not from there"])
def test_postfix_that_wants_nobody_never_makes_a_bounce(
    places: Places, daemon: StartDaemon, postfix: StartPostfix, reply: str
) -> None:
    rule = f"check_client_access static:{{{reply}}}"
    server = postfix(smtpd_delay_reject="no", smtpd_client_restrictions=rule)
    relay = daemon(by_postfix(places, server.port))
    submit(places, "me", "you")
    server.lines.wait_for(rf"reject: CONNECT from .*{reply[:9]}")
    relay.lines.wait_for(rf" == you@remote\.example .*{reply[:9]}")
    assert len(relay.queue()) == 1
    assert not relay.lines.matching(r" <= <> | \*\* ")


# -- Dovecot


def test_dovecot_over_lmtp_answers_for_each_recipient(
    places: Places, daemon: StartDaemon, dovecot: StartDovecot
) -> None:
    """One mailbox has room, one has not, one does not exist: delivered, refused after the dot, refused at RCPT."""
    server = dovecot(["roomy@remote.example"], quota="100M")
    full = dovecot(["full@full.example"], quota="1B")
    relay = daemon(by_lmtp(places, server.port, full.port))
    recipients = ["roomy@remote.example", "nobody@remote.example", "full@full.example"]
    clients.smtplib_(places.port, f"me@{LOCAL_DOMAIN}", recipients, CONTENT)
    relay.lines.wait_for(r" (=>|->) roomy@remote\.example ")
    relay.lines.wait_for(
        r" \*\* nobody@remote\.example .* LMTP error .*550 5\.1\.1|RCPT TO:<nobody@remote\.example>: 550"
    )
    relay.lines.wait_for(r" \*\* full@full\.example .*552 5\.2\.2 .*[Qq]uota")
    full.lines.wait_for("[Qq]uota exceeded")
    (report,) = [Mailbox(places, relay).reports(1)]
    assert {address: fields["Status"] for address, (fields,) in report.items()} == {
        "nobody@remote.example": "5.1.1",
        "full@full.example": "5.2.2",
    }
    assert len(server.mailbox("roomy@remote.example")) == 1
    relay.lines.wait_for(" Completed$", 2, PATIENCE)
    assert relay.queue() == []


def by_lmtp(places: Places, port: int, other: int) -> str:
    """Return a configuration that delivers to two LMTP servers on this machine."""
    return f"""{places.main()}
begin routers
local:
  driver = accept
  domains = +local_domains
  transport = mailbox
boxes:
  driver = manualroute
  transport = boxes
  route_list = remote.example 127.0.0.1::{port} ; full.example 127.0.0.1::{other}
  self = send

begin transports
boxes:
  driver = smtp
  protocol = lmtp
mailbox:
  driver = appendfile
  directory = {places.maildir}
  maildir_format
"""
