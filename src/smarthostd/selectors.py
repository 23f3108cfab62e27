"""Exim's ``log_selector``: what the log says beyond the usual (exim.md 10.2).

Every name of Exim 4.96 is known. Those that name something which smarthostd does or can tell have a sentence here, and
an effect; the others have none, since what they would tell of does not happen here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

EFFECTS: Mapping[str, str] = {
    "8bitmime": "`M8S=` on arrival: 8 where the client said 8BITMIME, 7 for 7BIT, 0 where it said nothing",
    "address_rewrite": "each rewriting of an address",
    "all_parents": "on deliveries, in brackets, the addresses between the one delivered to and the original",
    "connection_reject": "clients that are turned away because there are too many",
    "deliver_time": "`DT=` on deliveries: how long this took",
    "delivery_size": "`S=` on deliveries",
    "incoming_interface": "`I=` on arrival and on rejections: our own address and port",
    "incoming_port": "the client's port behind its address",
    "lost_incoming_connection": "clients that vanish, or say nothing for too long",
    "millisec": "milliseconds in the time of each line, and in durations",
    "msg_id": "`id=` on arrival: the Message-ID",
    "msg_id_created": "`id*=` on arrival: a Message-ID that we have made",
    "outgoing_interface": "`I=` on deliveries, together with incoming_interface",
    "outgoing_port": "the port behind a host's address on deliveries, and in their `I=`",
    "pid": "the process id in each line",
    "pipelining": "`L` on arrivals and deliveries that made use of PIPELINING, `L-` where it was offered only",
    "queue_run": "the begin and the end of a queue run",
    "queue_time": "`QT=` on deliveries: the age of the message",
    "queue_time_overall": "`QT=` on `Completed`",
    "receive_time": "`RT=` on arrival: how long receiving the message took",
    "received_recipients": "`for` and the recipients at the end of an arrival",
    "received_sender": "`from` and the sender, before they were rewritten to, there too",
    "retry_defer": "`retry time not reached`, for what a queue run or a destination that is down leaves waiting",
    "return_path_on_delivery": "`P=` on deliveries",
    "sender_on_delivery": "`F=` on deliveries and failures",
    "size_reject": "messages that are refused because of their size",
    "skip_delivery": "`Message is frozen`, at each queue run",
    "smtp_confirmation": "`C=` on deliveries: the next hop's answer",
    "smtp_connection": "the begin and the end of each client's session",
    "smtp_no_mail": "sessions that sent no mail, with their commands",
    "smtp_protocol_error": "commands out of order",
    "smtp_syntax_error": "commands that cannot be understood",
    "subject": '`T="…"` on arrival',
    "tls_certificate_verified": "`CV=` on deliveries over TLS",
    "tls_cipher": "`X=` on arrivals and deliveries over TLS",
    "tls_peerdn": '`DN="…"` on deliveries over TLS: whose certificate it was',
}
_WITHOUT_EFFECT = (
    "acl_warn_skipped all arguments delay_delivery dkim dkim_verbose dnslist_defer dnssec etrn host_lookup_failed "
    "ident_timeout protocol_detail proxy queue_size_exclusive queue_time_exclusive rejected_header "
    "sender_verify_fail smtp_incomplete_transaction smtp_mailauth tls_on_connect tls_resumption tls_sni unknown_in_list"
)
NAMES = frozenset({*EFFECTS, *_WITHOUT_EFFECT.split()})
USUAL = frozenset(
    {
        "connection_reject", "lost_incoming_connection", "msg_id", "outgoing_interface", "queue_run", "retry_defer",
        "size_reject", "skip_delivery", "smtp_confirmation", "tls_certificate_verified", "tls_cipher",
    }
)  # fmt: skip
"""Exim's default, as far as it has an effect."""
_ITEM = re.compile(r"\s*([+-]?)(\w*)")


def complaint(text: str) -> str | None:
    """Return Exim's words for what is wrong with a ``log_selector``, or None."""
    if text.startswith("="):
        return f"malformed numeric log_selector setting: {text}"  # a number of bits, which nobody writes
    for match in _ITEM.finditer(text.rstrip()):
        sign, name = match.groups()
        if not sign and match[0].strip():
            return f'malformed log_selector setting: + or - expected but found "{text[match.start() :].strip()}"'
        if sign and name not in NAMES:
            return f"unknown log_selector setting: {sign}{name}"
        if not match[0].strip() and match.end() < len(text.rstrip()):
            return f'malformed log_selector setting: + or - expected but found "{text[match.end() :].strip()}"'
    return None


def selected(text: str) -> frozenset[str]:
    """Return what the log is to say: the usual, and *text* on top of it, which has no mistakes."""
    chosen = set(USUAL)
    for sign, name in _ITEM.findall(text):
        names = set(EFFECTS) if name == "all" else {name} & set(EFFECTS)
        chosen = chosen | names if sign == "+" else chosen - names
    return frozenset(chosen)
