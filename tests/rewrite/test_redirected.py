"""Addresses that an alias makes go through the rules, unless its router says otherwise."""

from __future__ import annotations

import pytest

from smarthostd.address import Address
from smarthostd.assembly import build_language, build_routing
from smarthostd.config.settings import Settings
from smarthostd.envelope import Recipient

ROUTERS = {
    "aliases": {"driver": "redirect", "domains": "q.example", "data": "joe@a.example, ann@b.example"},
    "rest": {"driver": "accept", "transport": "box"},
}
TRANSPORTS = {"box": {"driver": "appendfile", "file": "/nowhere/box"}}


@pytest.mark.parametrize(
    ("rewrite", "addresses"),
    [
        pytest.param(True, ["joe@new.example", "ann@b.example"], id="the rules apply"),
        pytest.param(False, ["joe@a.example", "ann@b.example"], id="no_rewrite"),
    ],
)
async def test_new_addresses(rewrite: bool, addresses: list[str]) -> None:
    settings = Settings.model_validate({
        "primary_hostname": "q.example", "rewrite": ["*@a.example $1@new.example T", "*@b.example x@x Fh"],
        "routers": {**ROUTERS, "aliases": {**ROUTERS["aliases"], "rewrite": rewrite}}, "transports": TRANSPORTS,
    })  # fmt: skip
    routing = build_routing(settings, build_language(settings))
    routed = await routing.route(Recipient(Address("staff", "q.example")), {})
    assert [str(one.address.address) for one in routed] == addresses
