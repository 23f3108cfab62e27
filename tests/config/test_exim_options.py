"""Every option of Exim's is ours, or its absence has a reason that the documentation tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from smarthostd.config import foreign
from smarthostd.config.catalog import SECTIONS, catalog
from smarthostd.config.reference import absent
from smarthostd.config.settings import DIFFERENCES
from tests.golden import REPOSITORY
from tests.peers.exim import Exim

RECORD = Path(__file__).with_name("exim-4.96-options.txt")
NOT_IN_DEBIANS = {"redis_servers", "translate_ip_address"}
"""Options of an Exim that is built otherwise."""
CONFIGURATION = """\
spool_directory = @DIR@/spool
log_file_path = @DIR@/log/%s
begin routers
accept:
  driver = accept
  transport = smtp
dnslookup:
  driver = dnslookup
  transport = smtp
manualroute:
  driver = manualroute
  route_list = * a.example
  transport = smtp
redirect:
  driver = redirect
  data = :blackhole:
begin transports
appendfile:
  driver = appendfile
  file = /nowhere
lmtp:
  driver = lmtp
  socket = /nowhere
smtp:
  driver = smtp
begin authenticators
cram_md5:
  driver = cram_md5
  public_name = CRAM-MD5
  client_secret = x
external:
  driver = external
  client_send = x
plaintext:
  driver = plaintext
  client_send = x
"""


def recorded() -> dict[str, set[str]]:
    """Return the names of Exim's options by place: ``main``, ``router accept`` …"""
    found: dict[str, set[str]] = {}
    place = ""
    for line in RECORD.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            place = line.strip("[]")
        elif line and not line.startswith("#"):
            found.setdefault(place, set()).update(line.split())
    return found


def ours(place: str) -> set[str]:
    """Return the names of our options of one place."""
    if place == "main":
        return {*catalog().main}
    kind, driver = place.split()
    section = next(section for section, one in SECTIONS.items() if one == kind)
    return {*catalog().drivers[section][driver], "driver"}


def missing() -> Iterator[tuple[str, str]]:
    """Yield each place and option that Exim has and we have not."""
    for place, names in recorded().items():
        yield from ((place, name) for name in sorted(names - ours(place)))


def test_no_option_of_exims_is_unknown() -> None:
    """It is in a model, or in a group with its reason."""
    assert [one for one in missing() if one[1] not in foreign.HARMLESS | foreign.DECISIVE] == []


def test_what_is_there_is_not_called_absent() -> None:
    """A name leaves its group when the last driver that lacked it has it."""
    absent_somewhere = {name for _, name in missing()} | NOT_IN_DEBIANS
    assert (foreign.HARMLESS | foreign.DECISIVE) - absent_somewhere == set()


def test_a_name_is_absent_for_one_reason() -> None:
    """No two groups share one."""
    groups = (*foreign.HARMLESS_GROUPS, *foreign.DECISIVE_GROUPS)
    assert sum(len(group.names) for group in groups) == len(foreign.HARMLESS | foreign.DECISIVE)


def test_the_documentation_tells_what_is_absent_and_why() -> None:
    """Its end is made: ``python -m smarthostd.config.reference absent``."""
    assert (REPOSITORY / "docs" / "exim.md").read_text(encoding="utf-8").endswith(f"-->\n{absent()}\n")


@pytest.mark.parametrize("number", sorted(DIFFERENCES))
def test_each_difference_has_its_row(number: int) -> None:
    """By its number."""
    assert f"\n| {number} | " in (REPOSITORY / "docs" / "exim.md").read_text(encoding="utf-8")


def test_the_record_is_what_exim_prints(tmp_path: Path) -> None:
    """Asked again of the real program."""
    exim = Exim(tmp_path, CONFIGURATION.replace("@DIR@", str(tmp_path)))
    for place, names in recorded().items():
        asked = ["-bP"] if place == "main" else ["-bP", *place.split()]
        lines = exim.run(*asked).stdout.decode().splitlines()
        printed = {line.partition(" =")[0] if " =" in line else line.removeprefix("no_") for line in lines}
        assert {name for name in printed if not name.startswith("*")} == names, place
