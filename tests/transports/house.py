"""An smtp transport in a small house of its own: real expander, lists, files and health; time is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from smarthostd.address import Address
from smarthostd.authenticators import build as build_authenticators
from smarthostd.authenticators.options import AnyAuthenticator
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.expand import Expander, Facts, Values
from smarthostd.health import Health
from smarthostd.lists import Matcher
from smarthostd.lookups import Files, Lookups
from smarthostd.outcome import Hold, Outcome
from smarthostd.resolver import BlockingNames, Resolver
from smarthostd.routers.base import RoutedAddress, Target
from smarthostd.transports.base import Batch
from smarthostd.transports.options.smtp import SmtpOptions
from smarthostd.transports.smtp import SmtpTransport
from tests.clocks import HeldClock
from tests.rules import Rules

BACK_OFF = 900.0
PLAIN = {"driver": "plaintext", "name": "plain", "public_name": "PLAIN", "client_send": "^me^secret"}
CRAM = {
    "driver": "cram_md5", "name": "cram", "public_name": "CRAM-MD5", "client_name": "me", "client_secret": "secret",
}  # fmt: skip
LOGIN = {"driver": "plaintext", "name": "login", "public_name": "LOGIN", "client_send": ": me : secret"}


@dataclass
class Alarms:
    """What was announced."""

    holds: list[tuple[str, Hold]] = field(default_factory=list)
    recoveries: list[str] = field(default_factory=list)
    reluctant_ones: list[tuple[str, str]] = field(default_factory=list)

    def held(self, destination: str, hold: Hold) -> None:
        self.holds.append((destination, hold))

    def opened(self, destination: str) -> None:
        self.recoveries.append(destination)

    def reluctant(self, destination: str, text: str) -> None:
        self.reluctant_ones.append((destination, text))


class House:
    """One transport, and everything that it needs."""

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
        authenticators: Sequence[Mapping[str, Any]] = (),
        hosts: Mapping[str, Sequence[str]] | None = None,
        strict: frozenset[int] = frozenset(),
        hostlists: Mapping[str, str] | None = None,
    ) -> None:
        self.clock = HeldClock()
        self.alarms = Alarms()
        self.log: list[str] = []
        self.files = Files()
        facts = Facts(
            "me.example", "me.example", hostlists=hostlists or {}, exim_strict=strict,
            local_addresses=lambda: frozenset({"127.0.0.1"}),
        )  # fmt: skip
        lookups = Lookups(self.files)
        resolver = Resolver(hosts=hosts)
        expander = Expander(facts, lookups, Matcher(facts, lookups, BlockingNames(resolver)))
        self.health = Health(self.clock, Rules(BACK_OFF), self.files, self.alarms)
        made = [TypeAdapter[Any](AnyAuthenticator).validate_python(dict(one)) for one in authenticators]
        usual = {"name": "t", "driver": "smtp", "command_timeout": "5s", "connect_timeout": "5s"}
        self.transport = SmtpTransport(
            SmtpOptions.model_validate({**usual, **(options or {})}),
            expander,
            resolver,
            build_authenticators(made, expander),
            self.health,
            lambda id, line, alarm=False: self.log.append(line),
        )

    async def __aenter__(self) -> House:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.transport.close()

    async def deliver(
        self,
        *targets: Target,
        to: Sequence[str] = ("you@there.example",),
        sender: str = "me@here.example",
        content: Content | None = None,
        values: Values | None = None,
        **envelope: Any,
    ) -> list[Outcome]:
        """Deliver one message; return the outcomes in the order of *to*."""
        own = Address.parse(sender) if sender else Address("", "")
        recipients = tuple(Recipient(Address.parse(one)) for one in to)
        content = content or Content(b"Subject: hello\r\n\r\n.a\r\n")
        message = Message("ID", 0.0, Envelope(own, recipients, **envelope), content)
        addresses = tuple(RoutedAddress(one.address, one) for one in recipients)
        variables: Values = {"sender_address": sender, **(values or {})}
        batch = Batch("r", self.transport, addresses, own, targets, values=variables)
        outcomes = await self.transport.deliver(message, batch)
        return [outcomes[one] for one in addresses]
