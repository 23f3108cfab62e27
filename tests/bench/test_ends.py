"""The load and the sink, against one another and against smtplib: what the figures rest on."""

from __future__ import annotations

import base64
import smtplib
import ssl
from collections.abc import Callable, Iterator

import pytest

from bench.ends import PASSWORD, USER, Sink, submit
from tests.peers import presence
from tests.peers.certificates import Authority

StartSink = Callable[..., Sink]
MESSAGE = b"Subject: hello\r\n\r\n.a line with a dot\r\n..\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A private certificate authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def start_sink(authority: Authority) -> Iterator[StartSink]:
    """Start sinks with flags; they end with the test."""
    for tool in ("make", "cc"):
        presence.program(tool)
    started: list[Sink] = []

    def start(*flags: str) -> Sink:
        certificate = authority.issue()
        started.append(Sink(certificate.chain, certificate.key, *flags))
        return started[-1]

    yield start
    for sink in started:
        sink.stop()


def _client(sink: Sink, authority: Authority) -> smtplib.SMTP:
    client = smtplib.SMTP("127.0.0.1", sink.port, timeout=20)
    client.starttls(context=ssl.create_default_context(cafile=authority.ca))
    client.ehlo()
    client.user, client.password = USER, PASSWORD
    return client


@pytest.mark.parametrize("pipeline", [False, True], ids=["lockstep", "pipelined"])
@pytest.mark.parametrize("per_connection", [0, 1, 7])
def test_what_the_load_says_was_accepted_is_what_the_sink_counted(
    start_sink: StartSink, pipeline: bool, per_connection: int
) -> None:
    sink = start_sink()
    submitted = submit(
        sink.port,
        messages=50,
        clients=3,
        size=5000,
        per_connection=per_connection,
        pipeline=pipeline,
        starttls=True,
        user=USER,
        password=PASSWORD,
    )
    arrived = sink.wait_for(50, 20)
    assert (submitted.accepted, submitted.errors, submitted.accept.count) == (50, 0, 50)
    assert (arrived.messages, arrived.octets, arrived.transit.count) == (50, 50 * 5000, 50)
    assert arrived.connections == submitted.connections == arrived.logins


@pytest.mark.parametrize("size", [1, 4096, 1_000_000])
def test_a_message_has_the_size_that_was_asked_for(start_sink: StartSink, size: int) -> None:
    """Or what its header takes, if that is more."""
    sink = start_sink("--cleartext-auth")
    submit(sink.port, messages=1, size=size, starttls=True, user=USER, password=PASSWORD)
    arrived = sink.wait_for(1, 20)
    assert arrived.octets == size if size > 1000 else 100 < arrived.octets < 500


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_the_sink_knows_the_password(start_sink: StartSink, authority: Authority, mechanism: str) -> None:
    sink = start_sink("--mechanisms", mechanism)
    with _client(sink, authority) as client:
        client.login(USER, PASSWORD)
        client.sendmail("me@example.com", ["you@example.org", "them@example.org"], MESSAGE)
    with _client(sink, authority) as client, pytest.raises(smtplib.SMTPAuthenticationError):
        client.login(USER, "wrong")
    arrived = sink.order("stats")
    assert (arrived.messages, arrived.octets, arrived.recipients) == (1, len(MESSAGE) + 2, 2)  # its dots are stuffed
    assert (arrived.logins, arrived.refused_logins) == (1, 1)


def test_the_sink_wants_tls_and_a_login(start_sink: StartSink, authority: Authority) -> None:
    sink = start_sink()
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=20) as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features
        assert client.docmd("AUTH PLAIN")[0] == 538
        assert client.mail("me@example.com")[0] == 530
    with _client(sink, authority) as client:
        assert client.mail("me@example.com")[0] == 530


def test_the_sink_takes_chunks(start_sink: StartSink, authority: Authority) -> None:
    """Two messages of two chunks, all in one write."""
    sink = start_sink()
    with _client(sink, authority) as client:
        client.login(USER, PASSWORD)
        envelope = b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\n"
        chunks = b"BDAT 20\r\n" + MESSAGE[:20] + b"BDAT %d LAST\r\n" % (len(MESSAGE) - 20) + MESSAGE[20:]
        client.send((envelope + chunks) * 2)
        assert [client.getreply()[0] for _ in range(8)] == [250] * 8
    arrived = sink.order("stats")
    assert (arrived.messages, arrived.chunked, arrived.octets) == (2, 2, 2 * len(MESSAGE))


@pytest.mark.parametrize(("mode", "reply"), [("tempfail", "450"), ("refuse", "550")])
def test_the_sink_can_refuse(start_sink: StartSink, mode: str, reply: str) -> None:
    """The load counts it as an error, says the reply, and tries again until its time is up."""
    sink = start_sink()
    sink.order(f"mode {mode}")
    submitted = submit(sink.port, seconds=0.1, starttls=True, user=USER, password=PASSWORD)
    assert submitted.accepted == 0
    assert submitted.errors > 0
    assert submitted.complaint.startswith(reply)
    assert sink.order("mode accept").messages == 0
    assert submit(sink.port, messages=1, starttls=True, user=USER, password=PASSWORD).accepted == 1


def test_the_sink_can_go_away_and_come_back(start_sink: StartSink) -> None:
    sink = start_sink()
    sink.order("mode down")
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP("127.0.0.1", sink.port, timeout=20)
    sink.order("mode accept")
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=20) as client:
        assert client.noop()[0] == 250


def test_a_late_smarthost_answers_in_order(start_sink: StartSink, authority: Authority) -> None:
    """Replies are late but complete; TLS begins only after its reply."""
    sink = start_sink()
    sink.order("delay 5")
    with _client(sink, authority) as client:
        client.login(USER, PASSWORD)
        client.send(b"NOOP\r\nRSET\r\nMAIL FROM:<>\r\nDATA\r\nBOGUS\r\n")
        assert [client.getreply()[0] for _ in range(5)] == [250, 250, 250, 503, 500]


def test_what_is_no_base64_is_no_login(start_sink: StartSink, authority: Authority) -> None:
    sink = start_sink()
    with _client(sink, authority) as client:
        for response in ("x", "====", base64.b64encode(b"\0" + USER.encode()).decode(), "a" * 4000):
            assert client.docmd("AUTH", f"PLAIN {response}")[0] == 535
