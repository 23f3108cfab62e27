"""Which messages a tool means, as an SQL condition on ``message``.

Texts are looked for with ``instr`` and not with ``LIKE``: ``%`` and ``_`` stand in addresses. ASCII letters match in
either case, as they do in ``lower`` of SQLite.
"""

from __future__ import annotations

import json
from typing import Any

from smarthostd.spool.base import Selection, State

_NULL_SENDER = "<>"
_SOME = "seq IN (SELECT message FROM recipient WHERE state <> 1 AND {})"
_NOT_FROZEN = "seq NOT IN (SELECT message FROM freezing)"
_STATES = {
    State.FROZEN: "seq IN (SELECT message FROM freezing)",
    State.NEW: f"{_NOT_FROZEN} AND NOT {_SOME}".format("attempts > 0"),
    State.DEFERRED: f"{_NOT_FROZEN} AND {_SOME}".format("attempts > 0"),
    State.IN_DOUBT: _SOME.format("maybe_delivered"),
}


def condition(selection: Selection) -> tuple[str, list[Any]]:
    """Return the condition, and the values for its question marks."""
    terms: list[str] = ["1"]
    values: list[Any] = []

    def add(term: str, *value: str | float) -> None:
        terms.append(term)
        values.extend(value)

    if selection.ids is not None:
        add("id IN (SELECT value FROM json_each(?))", json.dumps(list(selection.ids)))
    if selection.sender == _NULL_SENDER:
        add("sender = ''")
    elif selection.sender:
        add("instr(lower(sender), lower(?))", selection.sender)
    if selection.recipient:
        add(_SOME.format("instr(lower(address), lower(?))"), selection.recipient)
    if selection.received_before:
        add("received < ?", selection.received_before)
    if selection.received_after:
        add("received > ?", selection.received_after)
    if selection.state:
        add(_STATES[selection.state])
    return " AND ".join(terms), values
