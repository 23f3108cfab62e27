"""How a message gets there: one file a driver; ``base.py`` says what a transport must answer.

A driver is imported when a configuration that is put to work has an instance of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from smarthostd.transports.options import (
    AnyTransport,
    AppendfileOptions,
    LmtpOptions,
    SmtpOptions,
    TransportOptions,
)

if TYPE_CHECKING:
    from smarthostd.authenticators.base import Authenticator
    from smarthostd.expand import Expander
    from smarthostd.health import Health
    from smarthostd.resolver import Resolver
    from smarthostd.transports.base import Tell, Transport


def build(
    options: Mapping[str, AnyTransport],
    expander: Expander,
    resolver: Resolver,
    authenticators: Sequence[Authenticator],
    health: Health,
    log: Tell,
) -> dict[str, Transport]:
    """Return the transports by name; *log* takes a message's id and a line."""
    made: dict[str, Transport] = {}
    for name, one in options.items():
        match one:
            case SmtpOptions():
                from smarthostd.transports.smtp import SmtpTransport

                made[name] = SmtpTransport(one, expander, resolver, authenticators, health, log)
            case LmtpOptions():
                from smarthostd.transports.lmtp import LmtpTransport

                made[name] = LmtpTransport(one, expander, log)
            case AppendfileOptions():
                from smarthostd.transports.appendfile import AppendfileTransport

                made[name] = AppendfileTransport(one, expander, log)
    return made


__all__ = ["AnyTransport", "TransportOptions", "build"]
