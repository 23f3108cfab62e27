"""``-bV``: which Exim this is like, and what it has; made from the tables of drivers and lookups."""

from __future__ import annotations

from smarthostd import __version__
from smarthostd.cli.exim.process import Process
from smarthostd.config.catalog import catalog
from smarthostd.expand.variables import EXIM_VERSION
from smarthostd.lookups.kinds import SINGLE_KEY


def show_version(process: Process) -> None:
    """Write it. Scripts take the word behind ``Exim version`` for the version of the language."""
    drivers = catalog().drivers
    process.out.write(
        f"Exim version {EXIM_VERSION} as smarthostd {__version__} speaks it\n"
        f"Lookups (built-in): {' '.join(sorted(SINGLE_KEY))}\n"
        f"Authenticators: {' '.join(sorted(drivers['authenticators']))}\n"
        f"Routers: {' '.join(sorted(drivers['routers']))}\n"
        f"Transports: {' '.join(sorted(drivers['transports']))}\n"
    )
