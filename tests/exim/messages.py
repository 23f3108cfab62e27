"""Random messages, and expansions that ask about them."""

from __future__ import annotations

from random import Random

from tests.exim.expansions import GRAMMAR as EXPANSIONS

GRAMMAR = {
    **EXPANSIONS,
    "question": (
        "<@header@>", "<@header@>", "<@header@>", "${@reading@:@header@}", "${if def:@short@@name@:{<@header@>}{none}}",
        "${if match{@header@}{\\N(?s)^(.*?)[,\\n](.*)\\N}{<$1|$2>}{no}}", "${map{<\\n @header@}{<$item>}}", "<@fact@>",
        "${listextract{2}{@header@}{<$value>}{none}}", "${if eq{@header@}{@header@}{same}{other}}",
        "${length_20:@fact@}", "${extract{a}{@header@}{<$value>}{none}}", "${substr_2_9:@header@}",
        "${sg{@header@}{\\N\\s+\\N}{_}}",
    ),
    "header": ("$@short@@name@:", "${@short@@name@:}", "$@long@@name@:"),
    "short": ("h_", "rh_", "bh_", "lh_"),
    "long": ("header_", "rheader_", "bheader_", "lheader_"),
    "name": (
        "subject", "Subject", "to", "cc", "from", "x-a", "X-A", "x-b", "sender", "reply-to", "nosuch", "x_a", "date",
        "bcc",
    ),
    "reading": (
        "addresses", "address", "domain", "local_part", "rfc2047", "rfc2047d", "strlen", "escape", "utf8clean",
        "from_utf8", "lc", "quote", "listcount", "rxquote", "headerwrap_20", "hexquote", "base64", "quote_local_part",
    ),
    "fact": (
        "$message_size", "$message_linecount", "$message_body_size", "$body_linecount", "$message_body",
        "$message_body_end", "$sender_address", "$sender_address_domain", "$sender_address_local_part",
        "$reply_address", "$received_count", "$max_received_linelength", "$message_headers", "$message_headers_raw",
        "$body_zerocount", "$recipients_count",
    ),
}  # fmt: skip
_NAMES = ("Subject", "To", "Cc", "X-A", "x-a", "X-B", "Sender", "Reply-To", "SUBJECT", "X-A ", "Bcc", "Received")
_VALUES = (
    "plain", "a b  c", "", "=?utf-8?q?a=C3=A9?=", "=?iso-8859-1?Q?=E9_x?= =?utf-8?b?w6k=?=", "=?utf-8?q?broken",
    "a: b: c", '"Q, R" <q@h.example>, u@k.example', "u@h.example (c), <v@k>", "grp: a@b, c@d;", "é ü", 'a=1 b="x y"',
    ", ,", "one,\n two", "folded\n\tfar\n  out", "=?utf-8?q?a?=\n =?utf-8?q?b?=", "trailing  ", "x\ty",
    "\\backslash $dollar {brace}", "=?x?q?y?= z", "@", "u@h\n (a\n comment)", "::", "ÿþ", "=?us-ascii?q?a=20b?=",
)  # fmt: skip
_BODIES = (
    "",
    "\n",
    "body\n",
    "one\ntwo\n\nfour\n",
    "no end",
    "é\n",
    "long " * 300 + "\n",
    ".dot\n..\n",
    "tab\tx\r\ny\r\n",
)


def message(random: Random) -> bytes:
    """Return a message that has what Exim would add."""
    lines = [f"{random.choice(_NAMES)}:{random.choice((' ', ' ', '', '  '))}{random.choice(_VALUES)}" for _ in range(8)]
    lines += random.choice((["From: F <f@h.example>"], ["From: bare"], []))
    lines += ["Date: Mon, 1 Jan 2024 00:00:00 +0000", "Message-Id: <m@h.example>"]
    random.shuffle(lines)
    return ("\n".join(lines) + "\n\n" + random.choice(_BODIES)).encode("latin-1" if random.random() < 0.3 else "utf-8")
