"""Golden deliveries that go another way here, each with its reason.

A reason is a difference of docs/exim.md, or something that is named there, or in docs/sendmail.md, as not there.
"""

from __future__ import annotations

LISTED: dict[str, str] = {
    "dlv-in-bs-smtputf8-not-offered": "bug of 4.96: a local part that is not ASCII is sent as xn--…, another address",
    "dlv-in-bs-deny": "not there: the record is about an ACL that denies a recipient",
    "dlv-in-bs-aclmessages": "not there: the record is about an ACL that defers a recipient",
}


def reason(id: str) -> str:
    """Return why the record *id* is listed; empty where it must pass."""
    return LISTED.get(id, "")
