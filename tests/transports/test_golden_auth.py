"""One message to a scripted smarthost: what we say, and what we log, as the real Exim 4.96 did.

The differences from Exim are switched off (``exim_strict``); those that protect a password (4 and 5) as an
administrator would do it, by ``hosts_allow_cleartext_auth`` and ``tls_verify_hosts =``.
"""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from smarthostd.address import Address
from smarthostd.assembly import Language, build_parts
from smarthostd.config.load import load
from smarthostd.config.settings import DIFFERENCES, NEVER_WHOLESALE, Settings
from smarthostd.delivery import message_values
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.health import Health
from smarthostd.mainlog import MainLog
from smarthostd.outcome import Deferred, Delivered, Failed, Outcome
from smarthostd.resolver import Resolver
from smarthostd.routers.base import ToTransport
from smarthostd.routers.routing import Routed
from smarthostd.spool.base import Pending, Waiting
from smarthostd.transports.base import Batch
from smarthostd.transports.options import SmtpOptions
from tests.clocks import HeldClock
from tests.golden import Record, dns_zone, folder, records
from tests.language import LOCAL_ADDRESSES, ZoneNames

# The records' server leaves a TLS socket to the garbage collector when we break off its handshake.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

LISTED: dict[str, str] = {
    "auth-tls-selfsigned-verify": "difference 5: a certificate that must be good and is not holds the destination",
}
"""Records that we answer differently, each with its reason."""


@pytest.fixture(scope="module")
def fake_smtp() -> ModuleType:
    """The scripted server that the records were made with."""
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
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.10", 25))
    except OSError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(f"port 25 cannot be used here: {error}")
    finally:
        probe.close()


def strict(settings: Settings) -> Settings:
    """Return *settings* in Exim's way."""
    transports = {}
    for name, options in settings.transports.items():
        if isinstance(options, SmtpOptions):
            update: dict[str, Any] = {"hosts_allow_cleartext_auth": "*"}
            if options.tls_verify_hosts is None:
                update["tls_verify_hosts"] = ""
            options = options.model_copy(update=update)
        transports[name] = options
    return settings.model_copy(update={"transports": transports, "exim_strict": DIFFERENCES - set(NEVER_WHOLESALE)})


def language_of(settings: Settings, log: list[str]) -> Language:
    """Return the language of *settings*, with the zone of the records for name service."""
    import smarthostd.assembly as assembly

    names = ZoneNames(dns_zone())
    hosts: dict[str, list[str]] = {}
    for name, entry in dns_zone()["zone"].items():
        if isinstance(entry, dict) and "CNAME" in entry:
            hosts[name] = entry["CNAME"]
            continue
        try:
            hosts[name] = names.addresses(name)
        except Exception:
            continue
    language = assembly.build_language(settings, log=log.append)
    resolver = Resolver(hosts=hosts)
    expander = language.expander
    expander.matcher._names = names  # the zone, not this machine's resolver
    object.__setattr__(expander.facts, "local_addresses", lambda: LOCAL_ADDRESSES)
    return Language(language.facts, language.files, expander, resolver)


class Delivered_:  # noqa: N801 - not the outcome of that name
    """What one record's message led to."""

    def __init__(self, sessions: list[list[str]], lines: list[str]) -> None:
        self.sessions = sessions
        self.lines = lines


async def deliver(record: Record, directory: Path, fake_smtp: ModuleType) -> Delivered_:
    """Route and deliver the record's message once."""
    loaded = load(directory / "conf.conf", {}, lenient=True)
    settings = strict(loaded.settings)
    lines: list[str] = []
    clock = HeldClock()
    log = MainLog(lambda line: lines.append(line[20:]), clock)
    notes: list[str] = []
    language = language_of(settings, notes)
    health = Health(clock, lambda *known: clock.now() + 900, language.files, log)
    parts = build_parts(settings, language, health, log)
    text = record.input["message"].replace("\n", "\r\n").encode("utf-8", "surrogateescape")
    recipients = tuple(Recipient(Address.parse(one)) for one in record.input["recipients"])
    message = Message("ID", clock.now(), Envelope(Address.parse(record.input["sender"]), recipients), Content(text))
    values = message_values(Pending(message, dict.fromkeys(recipients, Waiting(0))))
    scripts = record.input["server"]
    servers = [
        fake_smtp.Server(one["address"], one["port"], one["script"])
        for one in (scripts if isinstance(scripts, list) else [scripts])
    ]
    try:
        for recipient in recipients:
            for routed in await parts.routing.route(recipient, values):
                await one(log, parts.transports, message, routed, dict(values))
        for transport in parts.transports.values():
            await transport.close()
    finally:
        for server in servers:
            server.close()
    return Delivered_([session for server in servers for session in server.log], lines)


async def one(log: MainLog, transports: Any, message: Message, routed: Routed, values: dict[str, Any]) -> None:
    """Deliver one address and log what became of it."""
    outcome: Outcome
    transport_name = ""
    if isinstance(routed.verdict, ToTransport):
        transport_name = routed.verdict.transport
        address = routed.address.address
        values = {**values, **routed.verdict.variables, "domain": address.domain, "local_part": address.local_part}
        transport, sender = transports[transport_name], message.envelope.sender
        batch = Batch(routed.router, transport, (routed.address,), sender, routed.verdict.targets, values=values)
        outcome = (await transports[transport_name].deliver(message, batch))[routed.address]
    else:
        outcome = Deferred(getattr(routed.verdict, "text", ""), getattr(routed.verdict, "errno", -1))
    address = routed.address.address
    match outcome:
        case Delivered():
            log.delivered("ID", address, address, routed.router, transport_name, outcome, first=True)
        case Deferred():
            log.deferred("ID", address, address, routed.router, transport_name, outcome)
        case Failed():
            log.failed("ID", address, address, routed.router, transport_name, outcome)


def plain(line: str) -> str:
    """Return a log line without what depends on the TLS library, or on us: cipher names, verification, SIZE."""
    line = re.sub(r" X=TLS(\d\.\d):\S+", r" X=TLS\1", line)
    return re.sub(r" CV=\w+", "", line)


def endings(lines: Iterator[str] | list[str]) -> list[str]:
    """Return the lines that say what became of an address."""
    return [plain(line) for line in lines if re.match(r"\S+ (=>|->|==|\*\*) ", line)]


def said(session: list[str]) -> list[str]:
    """Return a session's dialogue; what the broken connection looked like is not compared."""
    lines = [line for line in session if line[:2] in ("C:", "S:", "*:") and "closes the connection" not in line]
    while lines and lines[-1].startswith("*:"):  # whether the server saw a handshake that we broke off is chance
        lines.pop()
    return [re.sub(r" SIZE=(\d+|@N@)", " SIZE=n", line) for line in lines]


@pytest.mark.parametrize("record", records("auth"))
async def test_a_session_is_that_of_exim(record: Record, tmp_path: Path, fake_smtp: ModuleType) -> None:
    if record.id in LISTED:
        pytest.skip(LISTED[record.id])
    placed = record.placed(tmp_path)
    (tmp_path / "conf.conf").write_text(placed.config)
    done = await deliver(placed, tmp_path, fake_smtp)
    expected = [
        re.sub(r"^@TIME@ @ID1@", "ID", line) for line in placed.expect["mainlog"] if line.startswith("@TIME@ @ID1@")
    ]
    wanted = endings(expected)[:1]
    assert endings(done.lines)[:1] == wanted
    # A bounce's session follows the message's; only the message's own is compared.
    own = [said(session) for session in placed.expect["sessions"]]
    own = own[: len(done.sessions)] if any("MAIL FROM:<>" in line for session in own for line in session) else own
    assert [said(session) for session in done.sessions] == own
