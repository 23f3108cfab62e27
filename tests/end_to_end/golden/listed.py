"""Golden deliveries that go another way here, each with its reason.

A reason is a difference of docs/exim.md, or something that is named there, or in docs/sendmail.md, as not there.
"""

from __future__ import annotations

_SENDMAIL = (
    "docs/sendmail.md: what is wrong with the command line or the header ends sendmail with a status of sysexits"
)
LISTED: dict[str, str] = {
    "dlv-ok-odqs": "not there: -odqs; the daemon routes and delivers what it has at once",
    "dlv-cmd-t-norcpt": _SENDMAIL,
    "dlv-cmd-t-norcpt-oep": _SENDMAIL,
    "dlv-cmd-t-badaddr": _SENDMAIL,
    "dlv-cmd-oep-bad": _SENDMAIL,
    "dlv-cmd-oep-size": _SENDMAIL,
    "dlv-cmd-dup": "docs/exim.md: the log names an address as it was written, not in the case that a router saw",
    "dlv-cmd-oMr": "docs/sendmail.md: -oMr is not one of sendmail's options",
    "dlv-more-hosts-option-bad": "a host list that cannot be decided is told with the option's name, not with its text",
}
SESSIONS = "docs/exim.md: no ACLs, and replies with enhanced codes; tests/listener says what a session is answered"
"""Why records that begin in an SMTP session (``dlv-in-…``) are not gone through."""


def reason(id: str) -> str:
    """Return why the record *id* is listed; empty where it must pass."""
    return SESSIONS if id.startswith("dlv-in-") else LISTED.get(id, "")
