"""What a server's refusal means, in plain words: a table, and how a reply finds its row.

The key is the enhanced status code without its class (RFC 3463: the class only says whether it was for good),
whole or its subject alone; where there is none, the reply's basic code.
"""

from __future__ import annotations

from smarthostd.reply import Reply

_ADDRESS = "There is no such mailbox at that domain: look for a mistake in the address."
_MAILBOX = "The mailbox there does not take mail at the moment, or at all; its owner or their provider must mend that."
_FULL = "The recipient's mailbox is full: try again when its owner has made room."
_TOO_LARGE = "The message is larger than the other side takes: send less, or a link to it."
_POLICY = "The other side refuses this message by a rule of its own; what it says below may tell which."
_SENDER = "The other side does not accept the sender's address: look at what the program gives as its sender."
_UNPROVED = "The other side could not verify that this mail comes from the sender's domain (SPF, DKIM or DMARC)."
_LOGIN = "The smarthost did not accept how we logged in; this is for the administrator of this relay."
_LIMIT = "A limit on how much may be sent has been reached: wait, or send less at a time."
_TROUBLE = "The other side has trouble of its own; sending the message again later may help."
_ROUTE = "The other side does not know how to reach that domain."

MEANINGS = {
    # RFC 3463 and its registry, X left out
    "1": "The other side does not accept the address.",
    "1.0": _ADDRESS,
    "1.1": _ADDRESS,
    "1.2": "The domain of the address does not exist or takes no mail: look for a mistake behind the @.",
    "1.3": "The other side cannot read the address: look for a mistake in it.",
    "1.4": "The address fits more than one mailbox there.",
    "1.6": "The recipient has moved, and the other side does not say where to.",
    "1.7": _SENDER,
    "1.8": _SENDER,
    "1.10": "The domain of the address says that it takes no mail at all.",
    "2": _MAILBOX,
    "2.0": _MAILBOX,
    "2.1": _MAILBOX,
    "2.2": _FULL,
    "2.3": "The message is larger than this recipient's mailbox takes.",
    "2.4": "The mailing list there could not be resolved; its owner must mend that.",
    "3": _TROUBLE,
    "3.1": "The other side has no room left; sending the message again later may help.",
    "3.2": "The other side takes no mail at the moment.",
    "3.3": "The other side lacks a feature that this message needs.",
    "3.4": _TOO_LARGE,
    "3.5": "The other side is not set up for this mail.",
    "4": _TROUBLE,
    "4.3": "The other side could not look up who the recipient is.",
    "4.4": _ROUTE,
    "4.6": "The message was going round in circles: two servers each think that the other is in charge.",
    "4.7": "The message could not be delivered in the time allowed.",
    "5": "The two servers did not understand one another; this is for the administrator of this relay.",
    "5.3": "The message has more recipients than the other side takes at once: send it to fewer at a time.",
    "6": "The other side cannot handle the form that this message is in.",
    "6.7": "The other side does not take addresses with letters outside ASCII.",
    "7": _POLICY,
    "7.0": _POLICY,
    "7.1": "The other side refuses mail from this sender to this recipient; what it says below may tell why.",
    "7.2": "Not everybody may send to this mailing list.",
    "7.3": "The message may not be passed on to that address.",
    "7.8": _LOGIN,
    "7.9": _LOGIN,
    "7.20": _UNPROVED,
    "7.21": _UNPROVED,
    "7.22": _UNPROVED,
    "7.23": _UNPROVED,
    "7.24": _UNPROVED,
    "7.25": "The other side found no proper name for the address that the mail came from (reverse DNS).",
    "7.26": _UNPROVED,
    "7.27": _SENDER,
    "7.28": _LIMIT,
    "7.30": _LOGIN,
    # large providers' own
    "7.54": "The smarthost is not in charge of that domain and does not pass mail on to it for us.",
    "7.60": "The login of this relay may not send as this sender: the smarthost must allow it (Send As), or "
    "the sender must be the login's own address.",
    "7.64": "The smarthost does not know this relay as a customer; this is for the administrator of this relay.",
    "7.509": _UNPROVED,
    "7.515": _UNPROVED,
    "7.705": _LIMIT,
    "7.708": "The smarthost does not take mail from this network address.",
    # RFC 5321
    "421": _TROUBLE,
    "450": "The mailbox could not be reached just then, or the other side wanted to see a second attempt.",
    "451": _TROUBLE,
    "452": _LIMIT,
    "455": _TROUBLE,
    "503": "The two servers did not understand one another; this is for the administrator of this relay.",
    "521": "The server there takes no mail at all.",
    "530": _LOGIN,
    "535": _LOGIN,
    "550": "The other side does not take mail for this address, or not from this sender.",
    "551": "The recipient has moved; what the other side says below may tell where to.",
    "552": "The message is too large, or the recipient's mailbox is full.",
    "553": "The other side does not accept one of the addresses: look for a mistake in it.",
    "554": "The other side refuses this message; what it says below may tell why.",
    "555": "The two servers did not understand one another; this is for the administrator of this relay.",
    "556": "The domain of the address says that it takes no mail at all.",
}

LOCAL_MEANINGS = {
    "Unrouteable address": "Nothing in this relay's configuration says where mail for this address goes.",
    "retry timeout exceeded": "The message could not be delivered in the time allowed.",
    "delivery cancelled by administrator": "An administrator of this relay has ended the delivery.",
    "delivery cancelled; message timed out": "The message was kept back for longer than this relay keeps mail.",
}
"""Our own reasons, by the text that stands in the log."""


def of_reply(reply: Reply) -> str:
    """Return what *reply* means, in a sentence; empty where nobody knows."""
    _, _, detail = reply.enhanced.partition(".")
    subject = detail.partition(".")[0]
    if subject == "0":  # X.0.0 says nothing
        detail = subject = ""
    for key in (detail, subject, str(reply.code)):
        if key and key in MEANINGS:
            return MEANINGS[key]
    return ""
