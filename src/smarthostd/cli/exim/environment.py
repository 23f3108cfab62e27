"""The environment as Exim leaves it when it has read its configuration: nearly empty.

What ``keep_environment`` (a list of names, case counts) does not name is gone, so that ``${env`` finds nothing that the
caller put there; ``add_environment`` puts in what it says. The daemon's environment is not touched: systemd or the
container made it.
"""

from __future__ import annotations

from collections.abc import MutableMapping

from smarthostd.assembly import build_language
from smarthostd.config import Loaded
from smarthostd.lists import split
from smarthostd.lists.split import join


def keep_environment(loaded: Loaded, environ: MutableMapping[str, str]) -> None:
    """Make *environ* what it would be in Exim."""
    kept = split(loaded.unused.get(("keep_environment",), ""))
    matches = build_language(loaded.settings).expander.matcher.local_part
    wanted = join(["+caseful", *kept])
    for name in [name for name in environ if not kept or not matches(name, wanted)]:
        del environ[name]
    for item in split(loaded.unused.get(("add_environment",), "")):
        name, _, value = item.partition("=")
        environ[name] = value
