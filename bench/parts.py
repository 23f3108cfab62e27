"""Where smarthostd's processor time goes: the sampler's stacks, put down to the parts of the house.

A stack belongs to the innermost module of smarthostd that has a part. Values and words (``address``, ``syntax``) have
none: they count for whoever uses them, and so do libraries. What is left when no module of ours is on the stack
is the event loop's: its own work, its system calls, and TLS, which uvloop does without a Python call.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOP = "event loop, sockets, TLS"
START = "start and end"
_PARTS = {
    "listener": "listener",
    "intake": "intake",
    "spool": "spool",
    "runner": "runner and delivery",
    "delivery": "runner and delivery",
    "plan": "runner and delivery",
    "retry": "runner and delivery",
    "health": "runner and delivery",
    "bounce": "runner and delivery",
    "routers": "routing",
    "expand": "routing",
    "lookups": "routing",
    "lists": "routing",
    "transports": "transport",
    "authenticators": "transport",
    "smtp": "SMTP client",
    "mainlog": "log",
    "logwriter": "log",
    "daemon": START,
    "assembly": START,
    "config": START,
    "cli": START,
}
"""The part of each module or package of smarthostd that has one."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function on a stack."""

    file: str
    name: str

    @property
    def module(self) -> str | None:
        """The module or package of smarthostd below its root, or None when it is a library's."""
        _, found, below = self.file.rpartition("/smarthostd/")
        return below.partition("/")[0].removesuffix(".py") if found else None

    def __str__(self) -> str:
        """Name it as a reader finds it."""
        _, _, below = self.file.rpartition("/smarthostd/" if self.module else "/lib/")
        return f"{below}: {self.name}"


@dataclass(frozen=True, slots=True)
class Sampled:
    """Nanoseconds that were spent in the innermost of *calls*."""

    spent: int
    calls: tuple[Call, ...]

    @property
    def part(self) -> str:
        """The part of the house that it belongs to."""
        part = ""
        for call in self.calls:
            if call.name == "Runner.run":  # what lies further out was there before the loop
                return part or LOOP
            if call.name == "<module>":  # an import, or the program before and after its loop
                return START
            part = part or _PARTS.get(call.module or "", "")
        return f"{part}, its thread" if part else START


def wrapper(python: str, place: Path) -> Sequence[str]:
    """Return the command before a command of *python* that makes its samples go to *place*."""
    return python, str(Path(__file__).with_name("sampler.py")), str(place)


def read(place: Path) -> list[Sampled]:
    """Return what a sampler wrote."""
    return [
        Sampled(spent, tuple(Call(file, name) for file, name in calls))
        for spent, calls in json.loads(place.read_text())
        if calls
    ]


def by_part(samples: Iterable[Sampled]) -> Counter[str]:
    """Return the nanoseconds of each part; start and end of the process are left out."""
    spent: Counter[str] = Counter()
    for sampled in samples:
        spent[sampled.part] += sampled.spent
    del spent[START]
    return spent


def by_call(samples: Iterable[Sampled]) -> Counter[tuple[str, str]]:
    """Return the nanoseconds of each part's innermost calls, what those called in C included."""
    spent: Counter[tuple[str, str]] = Counter()
    for sampled in samples:
        if sampled.part not in (START, LOOP):
            spent[sampled.part, str(sampled.calls[0])] += sampled.spent
    return spent


def show(samples: Sequence[Sampled], messages: int, calls: int = 40) -> None:
    """Print microseconds a message by part, and the calls that take most."""
    spent = by_part(samples)
    print(f"{'part':<32}{'us a message':>14}{'%':>6}")
    for part, nanoseconds in [*spent.most_common(), ("together", spent.total())]:
        print(f"{part:<32}{nanoseconds / messages / 1000:>14.1f}{100 * nanoseconds / spent.total():>6.1f}")
    print(f"\n{'us a message':>14}  part, call")
    for (part, call), nanoseconds in by_call(samples).most_common(calls):
        print(f"{nanoseconds / messages / 1000:>14.1f}  {part}, {call}")
