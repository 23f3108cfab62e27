"""Ways that are remembered: routers that were asked before say what routers say that are asked for the first time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest

from smarthostd.address import Address
from smarthostd.assembly import build_language, build_routing
from smarthostd.config.settings import Settings
from smarthostd.envelope import Recipient
from smarthostd.facts import Values
from smarthostd.routers.base import Chosen, Purpose, RoutedAddress, Verdict
from smarthostd.routers.manualroute import Manualroute
from smarthostd.routers.routing import Routed, Routing
from smarthostd.routers.settled import SETTLED_FOR

HUB = {"driver": "manualroute", "transport": "out", "route_list": "* 192.0.2.1"}
LISTED = {**HUB, "route_list": "a.example 192.0.2.1; *.example 192.0.2.2:192.0.2.3"}
BOX = {"driver": "accept", "transport": "box"}
"""Routers by what the routing may remember of them."""
CONFIGURATIONS: dict[str, dict[str, dict[str, Any]]] = {
    "one for all": {"hub": HUB},
    "local domains first": {"box": {**BOX, "domains": "a.example : local.example"}, "hub": HUB},
    "a list that leaves domains out": {"hub": {**HUB, "domains": "! +own"}, "box": BOX},
    "rules that leave domains out": {"hub": LISTED, "box": BOX},
    "local parts": {"box": {**BOX, "local_parts": "me"}, "hub": HUB},
    "local parts behind domains": {"box": {**BOX, "domains": "a.example", "local_parts": "me"}, "hub": HUB},
    "prefixes": {"box": {**BOX, "local_part_prefix": "list-"}, "hub": HUB},
    "senders": {"box": {**BOX, "senders": "me@a.example"}, "hub": HUB},
    "a condition": {"box": {**BOX, "condition": "${if eq{$sender_address}{}}"}, "hub": HUB},
    "a domain that is expanded": {"box": {**BOX, "domains": "$sender_address_domain"}, "hub": HUB},
    "hosts that are expanded": {"hub": {**HUB, "route_list": "* 192.0.2.${strlen:$local_part}"}},
    "data that is expanded": {"hub": {**HUB, "route_list": "", "route_data": "192.0.2.${strlen:$local_part}"}},
    "a transport that is expanded": {"hub": {**HUB, "transport": "${if eq{$local_part}{me}{out}{box}}"}},
    "unseen": {"box": {**BOX, "unseen": True}, "hub": HUB},
    "address data": {"hub": {**HUB, "address_data": "$local_part"}},
    "errors go elsewhere": {"hub": {**HUB, "errors_to": "x$local_part@local.example"}},
    "header lines": {"hub": {**HUB, "headers_add": ["X-To: $local_part"]}},
    "redirected": {"me": {"driver": "redirect", "local_parts": "me", "data": "you@b.example"}, "hub": HUB},
    "no more": {"box": {**BOX, "domains": "a.example", "more": "${if eq{$local_part}{me}}"}, "hub": HUB},
    "for verification": {"box": {**BOX, "verify_only": True}, "hub": HUB},
    "for nobody": {"hub": {**HUB, "domains": "a.example"}},
}  # fmt: skip
LOCAL_PARTS = ("me", "you", "list-me", "ME")
DOMAINS = ("a.example", "A.Example", "b.example", "local.example", "elsewhere.test")
SENDERS = (Address("", ""), Address("me", "a.example"), Address("you", "b.example"))


def routing(routers: Mapping[str, Mapping[str, Any]]) -> Routing:
    """Return these routers, never asked before."""
    settings = Settings.model_validate({
        "primary_hostname": "client.example.net",
        "domainlists": {"own": "local.example : @"},
        "routers": routers,
        "transports": {"box": {"driver": "appendfile", "file": "/nowhere"}, "out": {"driver": "smtp"}},
    })  # fmt: skip
    return build_routing(settings, build_language(settings))


def questions(random: Random) -> Iterator[tuple[Recipient, dict[str, str]]]:
    """Yield recipients, with the variables of a message to each."""
    for _ in range(100):
        sender = random.choice(SENDERS)
        recipient = Recipient(Address(random.choice(LOCAL_PARTS), random.choice(DOMAINS)))
        yield recipient, {"sender_address": str(sender), "sender_address_domain": sender.domain}


async def asked(one: Routing, recipient: Recipient, values: Mapping[str, str]) -> list[Routed]:
    """Return what the routers say."""
    return await one.route(recipient, dict(values))


@pytest.mark.parametrize("name", CONFIGURATIONS)
async def test_what_is_remembered_is_what_is_found(name: str) -> None:
    one = routing(CONFIGURATIONS[name])
    for recipient, values in questions(Random(name)):
        assert await asked(one, recipient, values) == await asked(routing(CONFIGURATIONS[name]), recipient, values)


@pytest.fixture
def hubs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the domains that manualroute routers are asked about, as they come."""
    domains: list[str] = []
    ask = Manualroute.route

    async def noted(self: Manualroute, routed: RoutedAddress, values: Values, purpose: Purpose) -> Verdict | Chosen:
        domains.append(routed.address.domain)
        return await ask(self, routed, values, purpose)

    monkeypatch.setattr(Manualroute, "route", noted)
    return domains


async def test_routers_are_asked_once_about_a_domain(hubs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    one = routing(CONFIGURATIONS["a list that leaves domains out"])
    for local_part in LOCAL_PARTS:
        await asked(one, Recipient(Address(local_part, "b.example")), {})
    assert hubs == ["b.example"]
    now += SETTLED_FOR
    await asked(one, Recipient(Address("me", "b.example")), {})
    assert hubs == ["b.example", "b.example"], "hosts may have other addresses now"


async def test_a_router_that_looks_at_more_is_asked_each_time(hubs: list[str]) -> None:
    one = routing(CONFIGURATIONS["senders"])
    for _ in range(3):
        await asked(one, Recipient(Address("you", "b.example")), {"sender_address": ""})
    assert hubs == ["b.example"] * 3
