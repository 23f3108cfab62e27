"""``smarthostd run`` from its arguments to its exit status.

What a start needs is begun at once, and imports go on while it happens: a child judges the configuration. Nothing is
imported at the top that could come later.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from smarthostd.errors import ConfigurationError, JudgeEnded, SpoolError
from smarthostd.judging import Judging, Objections, judge
from smarthostd.syntax import printable

if TYPE_CHECKING:
    from smarthostd.config.load import Loaded

EX_CONFIG, EX_UNAVAILABLE = 78, 69
_COMMON = ("smarthostd.expand", "smarthostd.retry")
"""What child and daemon both need, and is heavy: imported before they part."""
_USUAL = (
    "smarthostd.routers.manualroute",
    "smarthostd.transports.smtp",
    "smarthostd.authenticators.plaintext",
)
"""Drivers that nearly every configuration has: imported while it is still being judged."""
_BLOCKS = 1 << 20
"""Octets that the blocks of one read need together. The C library learns from what is freed how large blocks are: had
it seen only one of 256 KiB, it would give the end of the heap back after a large message and take it again for the
next. Without that, and its up to 90 page faults, 1 MiB takes 4 % less processor time, and the daemon 1 MiB more."""


def run(config: Path | None, *, lenient: bool) -> int:
    """Run the daemon; return the exit status, one sentence said for each thing that is wrong."""
    try:
        _serve(config, lenient=lenient)
    except Objections as objections:
        return _failed(EX_CONFIG, *map(printable, objections.sentences))
    except ConfigurationError as error:
        return _failed(EX_CONFIG, f"smarthostd: {error}")
    except (SpoolError, JudgeEnded) as error:
        return _failed(EX_UNAVAILABLE, f"smarthostd: {error}")
    return 0


def _serve(config: Path | None, *, lenient: bool) -> None:
    """Have the configuration judged, import the daemon meanwhile, and run it; raises what keeps it from running."""
    gc.disable()  # what imports make is no garbage: 35 ms of a start; the daemon turns it on again
    bytes(_BLOCKS)
    _import(_COMMON)
    judging = Judging(config, os.environ, lenient=lenient)
    import asyncio

    import uvloop

    from smarthostd.daemon import Daemon

    _import(_USUAL)

    async def main(loaded: Loaded) -> None:
        await Daemon(loaded, partial(judge, config, os.environ, lenient=lenient), os.environ).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop()  # made while the child is still at work
        runner.run(main(judging.loaded()))


def _import(modules: Iterable[str]) -> None:
    for module in modules:
        import_module(module)


def _failed(status: int, *sentences: str) -> int:
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    return status
