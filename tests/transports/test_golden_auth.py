"""One message to a scripted smarthost: what we say, and what we log, as the real Exim 4.96 did.

The records' configurations go through our own reader, routers and transport, with the differences from Exim switched
off (``exim_strict = all``); 4 and 5, which protect a password, stay on.
"""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from msgspec.structs import replace

from smarthostd.address import Address
from smarthostd.assembly import Language, Parts, build_language, build_parts
from smarthostd.config.load import load
from smarthostd.config.settings import DIFFERENCES, NEVER_WHOLESALE, Settings
from smarthostd.delivery import message_values
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.errors import HostNotFound, ResolveDefer, SmarthostdError
from smarthostd.expand import Expander
from smarthostd.health import Health
from smarthostd.lists import Matcher
from smarthostd.lookups import Files, Lookups
from smarthostd.mainlog import MainLog, Way
from smarthostd.outcome import Deferred, Delivered, Failed
from smarthostd.resolver import BlockingNames, Known, Resolver
from smarthostd.routers.base import ToTransport
from smarthostd.routers.routing import Routed
from smarthostd.spool.base import Pending, Waiting
from smarthostd.syntax import is_address
from smarthostd.transports.base import Batch
from tests.clocks import HeldClock
from tests.golden import Record, dns_zone, folder, records
from tests.language import LOCAL_ADDRESSES, ZoneNames
from tests.rules import Rules

# The records' server leaves a TLS socket to the garbage collector when we break off its handshake.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

_FIVE = "difference 5: where we log in, a certificate must be good; Exim goes on, here even in clear"
LISTED = dict.fromkeys(("auth-tls-badname-verify", "auth-tls-selfsigned-try", "auth-tls-selfsigned-noverify"), _FIVE)
"""Records that we answer differently, each with its reason."""
TLS_WORDS = re.compile(r"(TLS session: \(certificate verification failed\)).*")
"""What is said of a certificate: our words, not GnuTLS's."""


@pytest.fixture(scope="module")
def fake_smtp() -> ModuleType:
    """The scripted server that the records were made with."""
    return load_fake_smtp()


def load_fake_smtp() -> ModuleType:
    """Load it from the golden files."""
    place = folder()
    assert place is not None
    spec = importlib.util.spec_from_file_location("fake_smtp", place / "fake_smtp.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fake_smtp"] = module
    spec.loader.exec_module(module)
    module.TLSDIR = str(place / "tls")
    return module


@pytest.fixture(scope="module", autouse=True)
def port_25() -> None:
    """The records name port 25 of loopback addresses."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.10", 25))
        except OSError as error:
            if "CI" in os.environ:
                raise
            pytest.skip(f"port 25 cannot be used here: {error}")


class ZoneResolver(Resolver):
    """A resolver that knows the records' zone, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self._zone = dns_zone()["zone"]
        self._names = ZoneNames(dns_zone())

    def known(self, name: str) -> Known | None:
        """Answer out of the zone, at once."""
        if is_address(name):
            return Known(name, (name,))
        entry = self._zone.get(name.lower(), {})
        canonical = entry["CNAME"][0] if isinstance(entry, dict) and "CNAME" in entry else name
        try:
            return Known(canonical, tuple(self._names.addresses(name)))
        except (HostNotFound, ResolveDefer) as error:
            failure: SmarthostdError = error
            return Known(name, failure=failure)


def language_of(settings: Settings) -> Language:
    """Return the language of *settings* on the records' machine."""
    usual = build_language(settings)
    facts = replace(usual.facts, local_addresses=lambda: LOCAL_ADDRESSES)
    files, resolver = Files(), ZoneResolver()
    lookups = Lookups(files)
    matcher = Matcher(facts, lookups, BlockingNames(resolver))
    return Language(facts, files, Expander(facts, lookups, matcher), resolver, matcher)


@dataclass(frozen=True)
class Attempt:
    """What one attempt at a record's message led to."""

    sessions: list[list[str]]
    lines: list[str]


async def attempt(record: Record, directory: Path, fake_smtp: ModuleType) -> Attempt:
    """Route and deliver the record's message once."""
    strict = DIFFERENCES - set(NEVER_WHOLESALE)
    settings = load(directory / "conf.conf", {}, lenient=True).settings.model_copy(update={"exim_strict": strict})
    lines: list[str] = []
    log = MainLog(lambda line: lines.append(line[20:]), HeldClock())
    language = language_of(settings)
    clock = HeldClock()
    health = Health(clock, Rules(900), language.files, log)
    parts = build_parts(settings, language, health, log)
    server = record.input["server"]
    fake = fake_smtp.Server(server["address"], server["port"], server["script"])
    try:
        await deliver(record, parts, log)
        for transport in parts.transports.values():
            await transport.close()
    finally:
        fake.close()
    return Attempt(fake.log, lines)


async def deliver(record: Record, parts: Parts, log: MainLog) -> None:
    """Do what the daemon does with a message, without its spool."""
    text = record.input["message"].replace("\n", "\r\n").encode("utf-8", "surrogateescape")
    recipients = tuple(Recipient(Address.parse(one)) for one in record.input["recipients"])
    envelope = Envelope(Address.parse(record.input["sender"]), recipients)
    message = Message("ID", 0.0, envelope, Content(text))
    values = message_values(Pending(message, dict.fromkeys(recipients, Waiting(0))))
    for recipient in recipients:
        for routed in await parts.routing.route(recipient, values):
            await deliver_one(message, routed, parts, log, dict(values))


async def deliver_one(message: Message, routed: Routed, parts: Parts, log: MainLog, values: dict[str, Any]) -> None:
    """Deliver one address and log what became of it."""
    verdict, address = routed.verdict, routed.address.address
    assert isinstance(verdict, ToTransport)
    transport = parts.transports[verdict.transport]
    values |= {**verdict.variables, "domain": address.domain, "local_part": address.local_part}
    batch = Batch(
        routed.router, transport, (routed.address,), message.envelope.sender, verdict.targets, values=values
    )  # fmt: skip
    outcome = (await transport.deliver(message, batch))[routed.address]
    way = Way(address, address, (), routed.router, transport.name)
    match outcome:
        case Delivered():
            log.delivered(message, way, outcome)
        case Deferred():
            log.deferred(message, way, outcome)
        case Failed():
            log.failed(message, way, outcome)


def comparable(lines: list[str]) -> list[str]:
    """Return the log lines about the message, up to what became of it, without the TLS library's words.

    A list that does not match because of DNS is told by us, and elsewhere or not at all by Exim.
    """
    shown = []
    for line in lines:
        ours = "no IP address found" in line or "cannot be decided" in line
        if not line.startswith("ID ") or line.startswith("ID <= ") or ours:
            continue
        line = re.sub(r" X=TLS(\d\.\d):\S+", r" X=TLS\1", line)
        shown.append(TLS_WORDS.sub(r"\1", line))
        if re.match(r"ID (=>|==|\*\*) ", line):
            break
    return shown


def dialogue(session: list[str]) -> list[str]:
    """Return what was said; how a broken connection looked to the server is chance."""
    lines = [line for line in session if line[:2] in ("C:", "S:", "*:") and "closes the connection" not in line]
    while lines and lines[-1].startswith("*:"):
        lines.pop()
    return [re.sub(r" SIZE=(\d+|@N@)", " SIZE=n", line) for line in lines]


def of_the_message(sessions: list[list[str]]) -> list[list[str]]:
    """Return the sessions without those of its bounce."""
    return [dialogue(session) for session in sessions if not any("MAIL FROM:<>" in line for line in session)]


@pytest.mark.parametrize("record", records("auth"))
async def test_a_session_is_that_of_exim(record: Record, tmp_path: Path, fake_smtp: ModuleType) -> None:
    """The same commands in the same sessions, the same log lines, the same number behind ``defer``."""
    if record.id in LISTED:
        pytest.skip(LISTED[record.id])
    placed = record.placed(tmp_path)
    (tmp_path / "conf.conf").write_text(placed.config)
    done = await attempt(placed, tmp_path, fake_smtp)
    expected = [re.sub(r"^@TIME@ @ID1@", "ID", line) for line in placed.expect["mainlog"]]
    assert comparable(done.lines) == comparable(expected)
    assert of_the_message(done.sessions) == of_the_message(placed.expect["sessions"])
