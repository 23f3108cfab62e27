"""``python -m tests.exim --kind lists --count 20000 --seed 7``: compare more than a test run has time for."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.exim.compare import KINDS

SLOW = {"deliveries": 20}
"""Kinds of which only every so-manieth is asked: whole deliveries take a third of a second each."""


def main() -> int:
    """Compare, print what differs, and return whether anything does."""
    parser = argparse.ArgumentParser(prog="python -m tests.exim", description=__doc__)
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
    parser.add_argument("--count", type=int, default=5000, help="of each kind; of deliveries a twentieth")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    worst = 0
    for kind in KINDS if given.kind == "all" else [given.kind]:
        with tempfile.TemporaryDirectory() as name:
            found, count = 0, -(-given.count // SLOW.get(kind, 1))
            for difference in KINDS[kind](Path(name), count, given.seed):
                found += 1
                print(difference, flush=True)
            print(f"{kind}: {count} compared, {found} differ", flush=True)
            worst = max(worst, found)
    return int(worst > 0)


if __name__ == "__main__":
    raise SystemExit(main())
