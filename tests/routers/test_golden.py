"""Where an address goes: ``exim -bt``, as the real Exim 4.96 answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smarthostd.address import Address
from smarthostd.assembly import build_language, build_routing
from smarthostd.config.load import load
from smarthostd.envelope import Recipient
from smarthostd.routers.base import RoutingDeferred, RoutingFailed, ToTransport
from smarthostd.routers.routing import Routed
from tests.golden import Record, dns_zone, records
from tests.language import LOCAL_ADDRESSES, ZoneNames

NOT_YET = frozenset((Path(__file__).parent / "not_yet.txt").read_text(encoding="ascii").split())
"""Records that are answered differently so far: the rest of the routing language. One that begins to agree fails
here until its name is taken out."""


class ZoneResolver:
    """The records' name service, awaited."""

    def __init__(self) -> None:
        zone = dns_zone()
        hosts: dict[str, list[str]] = {}
        for line in zone["etc_hosts"].splitlines():
            address, *names = line.split()
            for name in names:
                hosts.setdefault(name, []).append(address)
        self._names = ZoneNames({**zone, "hosts": hosts})

    def cached(self, name: str) -> tuple[str, ...] | None:
        return (name,) if name[:1].isdigit() or ":" in name else None

    async def addresses(self, name: str) -> tuple[str, ...]:
        return tuple(self._names.addresses(name))

    async def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        return self._names.mail_exchangers(domain)


def shown(routed: Routed) -> dict[str, Any]:
    """Return a result as the records hold it, as far as we compare it."""
    match routed.verdict:
        case ToTransport(transport, targets):
            addresses = sorted(address for target in targets for address in target.addresses)
            return {"router": routed.router, "transport": transport, "addresses": addresses}
        case RoutingDeferred(text):
            return {"deferred": text}
        case RoutingFailed(text):
            return {"failed": text}
        case _:
            return {"discarded": True}


def expected(result: dict[str, Any]) -> dict[str, Any]:
    """Return a record's result in the same form."""
    if "transport" in result:
        addresses = sorted(host["address"] for host in result.get("hosts", []))
        return {"router": result["router"], "transport": result["transport"], "addresses": addresses}
    kind = {"undeliverable": "failed", "deferred": "deferred"}.get(result.get("result", ""), "discarded")
    return {kind: True} if kind == "discarded" else {kind: result.get("message", "")}


async def answers(record: Record, directory: Path) -> list[dict[str, Any]]:
    """Route the record's address."""
    (directory / "conf.conf").write_bytes((directory / "conf").read_bytes())
    settings = load(directory / "conf.conf", {}, lenient=True).settings
    settings = settings.model_copy(update={"exim_strict": frozenset({1, 2, 3, 6, 7, 8, 9})})
    language = build_language(settings)
    object.__setattr__(language.facts, "local_addresses", lambda: LOCAL_ADDRESSES)
    language.expander.matcher._names = ZoneNames(dns_zone())
    object.__setattr__(language, "resolver", ZoneResolver())
    arguments = record.input["args"] if isinstance(record.input, dict) else []
    sender = arguments[arguments.index("-f") + 1] if "-f" in arguments else ""
    address = Address.parse(record.input["address"]).qualified(settings.qualify_recipient)
    values = {"sender_address": sender, "sender_address_domain": sender.rpartition("@")[2]}
    return [shown(one) for one in await build_routing(settings, language).route(Recipient(address), values)]


def compared() -> list[Any]:
    """Return the records, those not yet met as expected failures."""
    found = []
    for parameter in records("route", "bt"):
        marks = [pytest.mark.xfail(strict=True, reason="not yet met")] if parameter.id in NOT_YET else []
        found.append(pytest.param(*parameter.values, id=parameter.id, marks=[*parameter.marks, *marks]))
    return found


@pytest.mark.parametrize("record", compared())
async def test_an_address_goes_where_exim_sends_it(record: Record, tmp_path: Path) -> None:
    record = record.placed(tmp_path)
    found = await answers(record, tmp_path)
    wanted = [expected(one) for one in record.expect["results"]]
    assert sorted(map(str, found)) == sorted(map(str, wanted))
