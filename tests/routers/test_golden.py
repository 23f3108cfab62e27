"""Where an address goes: ``exim -bt``, as the real Exim 4.96 answered."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import force_setattr

from smarthostd.assembly import build_language
from smarthostd.cli.exim.addresses import address_test
from smarthostd.config import ConfigurationErrors, load
from smarthostd.config.settings import DIFFERENCES, NEVER_WHOLESALE
from tests.golden import Record, dns_zone, records
from tests.language import LOCAL_ADDRESSES, ZoneNames
from tests.zone import ZoneResolver

LISTED = {"rt-taint-lookup-0": "taint is not tracked: a file named by the local part is looked for (docs/exim.md)"}
"""Records that we answer differently, each with its reason."""


async def answer(record: Record, directory: Path) -> tuple[str, int]:
    """Return what we print for the record's address, and the exit status."""
    (directory / "conf.conf").write_bytes((directory / "conf").read_bytes())
    try:
        loaded = load(directory / "conf.conf", {}, lenient=True)
    except ConfigurationErrors as mistakes:
        return mistakes.exim, 1
    strict = DIFFERENCES - set(NEVER_WHOLESALE)
    loaded = replace(loaded, settings=loaded.settings.model_copy(update={"exim_strict": strict}))
    language = build_language(loaded.settings)
    force_setattr(language.facts, "local_addresses", lambda: LOCAL_ADDRESSES)
    language.expander.matcher._names = ZoneNames(dns_zone())
    force_setattr(language, "resolver", ZoneResolver(dns_zone()))
    words = record.input["args"]
    sender = words[words.index("-f") + 1] if "-f" in words else ""
    out = io.StringIO()
    status = await address_test(
        loaded, [record.input["address"]], sender=sender, verify="-bv" in words or "-bvs" in words,
        sender_verify="-bvs" in words, out=out, language=language,
    )  # fmt: skip
    return out.getvalue(), status


def hosts_sorted(lines: str) -> list[str]:
    """Return the lines, those of hosts in alphabetical order."""
    return sorted(lines.splitlines()) if "  host " in lines else lines.splitlines()


def listed_results(record: Record) -> list[str]:
    """Return what a record without its output holds: hosts in random order."""
    (result,) = record.expect["results"]
    ports = [f" port={host['port']}" if "port" in host else "" for host in result["hosts"]]
    hosts = [
        f"  host {host['name']} [{host['address']}]{port}" for host, port in zip(result["hosts"], ports, strict=True)
    ]
    return sorted([result["address"], f"  router = {result['router']}, transport = {result['transport']}", *hosts])


@pytest.mark.parametrize("record", records("route", "bt", "bv"))
async def test_an_address_goes_where_exim_sends_it(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if record.id in LISTED:
        pytest.skip(LISTED[record.id])
    record = record.placed(tmp_path)
    printed, status = await answer(record, tmp_path)
    assert status == record.expect["exit"], printed
    if record.expect.get("hosts_order_random"):
        assert hosts_sorted(printed) == listed_results(record)
    elif record.expect.get("stderr"):
        said = (printed + capsys.readouterr().err).replace("/conf.conf:", "/conf:")
        assert said.strip() == record.expect["stderr"].strip()
    else:
        assert printed == record.expect["stdout"]
