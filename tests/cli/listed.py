"""Golden records that the command line answers otherwise, each with its reason.

A reason is a difference numbered in docs/exim.md, something that is named there as not there, or a bug of Exim 4.96.
"""

from __future__ import annotations

LISTED: dict[str, str] = {}
