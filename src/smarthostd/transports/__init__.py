"""How a message gets there: one file a driver; ``base.py`` says what a transport must answer.

A driver is imported when a configuration that is put to work has an instance of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smarthostd.authenticators.base import Authenticator
    from smarthostd.expand import Expander
    from smarthostd.health import Health
    from smarthostd.resolver import Resolver
    from smarthostd.transports.base import Tell, Transport
    from smarthostd.transports.options import AnyTransport


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
        if one.driver == "smtp":
            from smarthostd.transports.smtp import SmtpTransport

            made[name] = SmtpTransport(one, expander, resolver, authenticators, health, log)
        elif one.driver == "lmtp":
            from smarthostd.transports.lmtp import LmtpTransport

            made[name] = LmtpTransport(one, expander, log)
        else:
            from smarthostd.transports.appendfile import AppendfileTransport

            made[name] = AppendfileTransport(one, expander, log)
    return made
