"""What ``smarthostd check`` says of where mail will go: to which host, how protected, and whether there is a login.

Only what can be told without a message and without the network: a route to one host, which nearly every smarthost
configuration has. ``smarthostd route ADDRESS`` asks the routers themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from smarthostd.assembly import build_language
from smarthostd.authenticators import build as build_authenticators
from smarthostd.lists import split
from smarthostd.transports.login import files_of, reaches

if TYPE_CHECKING:
    from smarthostd.authenticators.base import Authenticator
    from smarthostd.config.settings import Settings

_ONE_HOST = re.compile(r"(?P<domains>\S+)\s+(?P<host>[\w.-]+)(?:::(?P<port>\d+))?(?:\s+\w+)*", re.ASCII)
"""A route list that is one route to one host."""
_NAME = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
"""A bare word where hosts are logged in to may be the name of a credential (difference 1)."""


def lines(settings: Settings) -> Iterator[str]:
    """Yield our name, each route to one host by SMTP, and each of these hosts that nobody can log in to."""
    name = settings.primary_hostname
    doubt = "" if "." in name else ", which is no full host name: some smarthosts refuse it (primary_hostname)"
    yield f"  greets as    {name}{doubt}"
    clients = _clients(settings)
    for router in settings.routers:
        route = _ONE_HOST.fullmatch(getattr(router, "route_list", "").strip())
        transport: Any = settings.transports.get(router.transport)
        if route is None or transport is None or transport.driver != "smtp":
            continue
        host, port = route["host"], route["port"] or transport.port
        to = f"{host} port {port or 'smtp'}"
        yield f"  mail goes    to {to}, by router {router.name}: {', '.join(_how(transport, bool(clients)))}"
        if wants_login(transport) and clients and not _has_login(host, transport, clients):
            files = files_of(clients) or "the authenticators"
            yield f"  NO LOGIN     for {host} is found in {files}: mail to it will wait"


def wants_login(transport: Any) -> bool:
    """Whether hosts of *transport* are logged in to."""
    return bool(transport.hosts_require_auth or transport.hosts_try_auth)


def _how(transport: Any, clients: bool) -> Iterator[str]:
    """Yield how a transport protects what it sends, and whether it logs in."""
    implicit = transport.protocol == "smtps"
    if transport.hosts_avoid_tls == "*" and not implicit:
        yield "without TLS"
    elif implicit:
        yield "TLS from the start"
    else:
        yield "TLS required" if transport.hosts_require_tls == "*" else "TLS where it is offered"
    if "tls_verify_hosts" in transport.model_fields_set:
        yield "certificate checked" if transport.tls_verify_hosts else "certificate not checked"
    elif wants_login(transport):
        yield "certificate checked"
    if not wants_login(transport):
        yield "no login"
    else:
        yield "with a login" if clients else "with a login, but there is no authenticator"


def _clients(settings: Settings) -> list[Authenticator]:
    expander = build_language(settings).expander
    return [one for one in build_authenticators(settings.authenticators, expander) if one.is_client]


def _has_login(host: str, transport: Any, clients: list[Authenticator]) -> bool:
    """Whether any authenticator finds all that it needs for *host*; what cannot be read is told elsewhere."""
    listed = split(f"{transport.hosts_require_auth}:{transport.hosts_try_auth}")
    names = [host, *(word for word in listed if _NAME.fullmatch(word))]
    return any(reaches(one, {"host": name}) for one in clients for name in names)
