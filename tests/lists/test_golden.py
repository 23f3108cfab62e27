"""``match_domain`` and its kin, and host lists, as the real Exim 4.96 answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smarthostd.config import ConfigurationErrors, load
from smarthostd.errors import ExpansionError
from smarthostd.expand import Expander
from smarthostd.lists import ListBroken, ListUndecided, Match, Matcher
from tests.golden import Record, dns_zone, records
from tests.language import ZoneNames, expander, facts_of

LISTED: dict[str, str] = {}
"""Records that we answer differently, each with its reason."""


def expander_of(record: Record, log: list[str]) -> Expander:
    return expander(facts_of(record.config), dns_zone(), log.append)


@pytest.mark.parametrize("record", records("lists", "match_domain", "match_address", "match_local_part", "match_ip"))
def test_a_subject_is_in_a_list_where_exim_says_so(record: Record, tmp_path: Path) -> None:
    if record.id in LISTED:
        pytest.skip(LISTED[record.id])
    record = record.placed(tmp_path)
    expected = record.expect
    if expected["result"] == "fatal" and "configuration error" in expected["error"]:
        with pytest.raises(ConfigurationErrors) as refused:
            load(tmp_path / "conf", {}, lenient=True)
        assert refused.value.errors[0].exim == expected["error"]
        return
    log: list[str] = []
    expand = expander_of(record, log)
    condition = f"${{if {record.kind}{{$address_data}}{{+L}}{{yes:$value}}{{no}}}}"
    if expected["result"] in ("defer", "fatal"):
        with pytest.raises(ExpansionError) as caught:
            expand.expand(condition, {"address_data": record.input["subject"]})
        assert str(caught.value) == expected["error"]
    else:
        answer, _, value = expand.expand(condition, {"address_data": record.input["subject"]}).partition(":")
        assert answer == expected["result"]
        if "value" in expected and record.kind != "match_ip":
            assert value == expected["value"]
    if "log" in expected:
        assert expected["log"] in log


def host_match(matcher: Matcher, record: Record, address: str, host: str) -> Match | None:
    """Ask for one address; a list that defers or cannot be expanded does not match here (exim.md 3.1)."""
    expand = expander_of(record, [])
    text = record.input["list"]
    try:
        return expand.matcher.host(address, host, expand.expand(text), expand.expand)
    except (ListUndecided, ListBroken, ExpansionError):
        return None


@pytest.mark.parametrize("record", records("lists", "match_host"))
def test_a_host_is_in_a_list_where_exim_says_so(record: Record, tmp_path: Path) -> None:
    if record.id in LISTED:
        pytest.skip(LISTED[record.id])
    record = record.placed(tmp_path)
    host = record.input["host"]
    addresses = [host] if host[:1].isdigit() else ZoneNames(dns_zone()).addresses(host)
    matcher = expander_of(record, []).matcher
    left = [[host, address] for address in addresses if not host_match(matcher, record, address, host)]
    if record.expect["result"] == "all addresses of the host match":
        assert left == []
    else:
        wanted: list[Any] = record.expect["left"]
        assert sorted(left) == sorted(wanted)
