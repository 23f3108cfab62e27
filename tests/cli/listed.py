"""Golden records that the command line answers otherwise, each with its reason.

A reason is a difference numbered in docs/exim.md, something that is named there as not there, or a bug of Exim 4.96.
"""

from __future__ import annotations

LISTED: dict[str, str] = {
    "exp-map-0778": "bug of 4.96: an error in the comparison of ${sort has no text; ours has one",
    "rt-taint-lookup-0": "not there: taint is not tracked, so a file named by the local part is looked for",
    "cfg-bom": "Exim repeats its report because it could not open its panic log when the record was made",
}
