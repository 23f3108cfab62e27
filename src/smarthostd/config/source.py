"""What a front end has read: plain values, where each of them stands, and what was wrong on the way.

The values have the shape of our TOML: main options at the top, ``domainlists`` and its sisters, then
``routers``, ``transports`` and ``authenticators`` by name, ``retry`` and ``rewrite`` as lines. A path such as
``("routers", "outgoing", "route_list")`` names one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from smarthostd.config.errors import NEVER, Mistake
from smarthostd.errors import Position

Path: TypeAlias = tuple[str, ...]
SHORTHAND = ("smarthost", "local")
"""Tables that stand for others (``shorthand.py``)."""


@dataclass
class Source:
    """One configuration as read, before it is judged; a front end fills it, the shorthand may add to it."""

    file: str
    values: dict[str, Any] = field(default_factory=dict, repr=False)
    """May hold passwords."""
    positions: dict[Path, Position] = field(default_factory=dict)
    hidden: set[Path] = field(default_factory=set)
    """What ``hide`` stood in front of."""
    mistakes: list[Mistake] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    """What Exim logs while it reads, and goes on."""
    unused: dict[Path, Any] = field(default_factory=dict, repr=False)
    """Values of Exim's options that we do not have."""
    ranks: dict[Path, int] = field(default_factory=dict)
    """Where a section or an instance ends, in Exim's order of reading: its own checks come there."""

    faulty: set[Path] = field(default_factory=set)
    """Instances in which something is wrong already, or that are left out: what follows from that is not told."""
    macros: dict[str, str] = field(default_factory=dict, repr=False)
    """The macros as they were at the end, in order."""

    def position(self, path: Path) -> Position:
        """Return where *path* stands; where nothing is known of it, its parent, and at last the file."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path) or Position(self.file, 0)

    def rank(self, path: Path) -> int:
        """Return when Exim would look at *path* as a whole."""
        return self.ranks.get(path, NEVER)

    def warn(self, path: Path, text: str) -> None:
        """Keep a warning about *path*."""
        self.warnings.append(f"{self.position(path)}: {text}")
