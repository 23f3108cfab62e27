"""How a message gets there: one file a driver; ``base.py`` says what a transport must answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, TypeAlias

from pydantic import Field

from smarthostd.authenticators.base import Authenticator
from smarthostd.expand import Expander
from smarthostd.health import Health
from smarthostd.resolver import Resolver
from smarthostd.transports.appendfile import AppendfileOptions, AppendfileTransport
from smarthostd.transports.base import Transport
from smarthostd.transports.lmtp import LmtpTransport
from smarthostd.transports.options import LmtpOptions, SmtpOptions, TransportOptions
from smarthostd.transports.smtp import SmtpTransport

AnyTransport: TypeAlias = Annotated[AppendfileOptions | LmtpOptions | SmtpOptions, Field(discriminator="driver")]


def build(
    options: Mapping[str, AnyTransport],
    expander: Expander,
    resolver: Resolver,
    authenticators: Sequence[Authenticator],
    health: Health,
    log: Callable[[str, str], None],
) -> dict[str, Transport]:
    """Return the transports by name; *log* takes a message's id and a line."""
    made: dict[str, Transport] = {}
    for name, one in options.items():
        match one:
            case SmtpOptions():
                made[name] = SmtpTransport(one, expander, resolver, authenticators, health, log)
            case LmtpOptions():
                made[name] = LmtpTransport(one, expander, log)
            case AppendfileOptions():
                made[name] = AppendfileTransport(one, expander, log)
    return made


__all__ = ["AnyTransport", "Transport", "TransportOptions", "build"]
