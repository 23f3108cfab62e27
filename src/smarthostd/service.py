"""``smarthostd run`` from its arguments to its exit status.

What a start needs is begun at once, and imports go on while it happens: a child judges the configuration. Nothing is
imported at the top that could come later.
"""

from __future__ import annotations

import gc
import os
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

from smarthostd.errors import ConfigurationError, JudgeEnded, SpoolError
from smarthostd.judging import Judging, Objections, judge
from smarthostd.syntax import printable

EX_CONFIG, EX_UNAVAILABLE = 78, 69
_COMMON = ("email.message", "smarthostd.expand", "smarthostd.retry", "smarthostd.rewrite")
"""What child and daemon both need, and is heavy: imported before they part."""
_USUAL = (
    "smarthostd.routers.manualroute",
    "smarthostd.transports.smtp",
    "smarthostd.authenticators.plaintext",
)
"""Drivers that nearly every configuration has: imported while it is still being judged."""


def run(config: Path | None, *, lenient: bool) -> int:
    """Run the daemon; return the exit status, one sentence said for each thing that is wrong."""
    gc.disable()  # what imports make is no garbage: 35 ms of a start; the daemon turns it on again
    for module in _COMMON:
        import_module(module)
    judging = Judging(config, os.environ, lenient=lenient)
    import asyncio

    import uvloop

    from smarthostd.daemon import Daemon

    for module in _USUAL:
        import_module(module)

    async def main() -> None:
        await Daemon(loaded, partial(judge, config, os.environ, lenient=lenient), os.environ).run()

    try:
        loaded = judging.loaded()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except Objections as objections:
        return _failed(EX_CONFIG, *map(printable, objections.sentences))
    except ConfigurationError as error:
        return _failed(EX_CONFIG, f"smarthostd: {error}")
    except (SpoolError, JudgeEnded) as error:
        return _failed(EX_UNAVAILABLE, f"smarthostd: {error}")
    return 0


def _failed(status: int, *sentences: str) -> int:
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    return status
