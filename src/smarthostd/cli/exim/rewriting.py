"""``exim -brw ADDRESS``: what the rewriting rules make of an address, wherever it might stand."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from smarthostd.assembly import build_language, build_rewriting
from smarthostd.config import Loaded
from smarthostd.expand.addresses import Mailboxes, NotAnAddress
from smarthostd.rewrite import Rewritten, Where
from smarthostd.syntax import printable

_WITH_DOMAIN = re.compile(r'(?:\A|[^\\])(?:\\\\)*@[^"]*\Z')
"""An ``@`` that no backslash quotes, and no quoted string behind it."""
_TITLES = {Where.REPLY_TO: "reply-to", Where.ENVELOPE_FROM: "env-from", Where.ENVELOPE_TO: "env-to"}


def rewrite_test(loaded: Loaded, addresses: Sequence[str], *, out: TextIO) -> int:
    """Print what ``exim -brw`` prints for the first of *addresses*, the only one it looks at; return its exit."""
    if not addresses:
        out.write("-brw needs an address argument\n")
        return 1
    rules = build_rewriting(loaded.settings, build_language(loaded.settings, loaded.source, _complain))
    if not rules.rules:
        out.write("No rewrite rules are defined\n")
        return 0
    text = addresses[0]
    if not _WITH_DOMAIN.search(text):
        text += f"@{loaded.settings.qualify_recipient}"
    try:
        mailbox = Mailboxes().read(text)
    except NotAnAddress as error:
        message = str(error)
        out.write(f"Syntax error in {printable(text)}\n{printable(message[:1].upper() + message[1:])}\n")
        return 0
    for where in Where.EVERYWHERE:
        after = rules.rewrite(str(mailbox), where, {}, _complain) or Rewritten(str(mailbox))
        shown = after.text or "<>"
        if where in Where.HEADERS and after.around is None:
            shown = f"{text[: mailbox.start]}{after.address}{text[mailbox.end :]}"
        title = _TITLES.get(where) or str(where.name).lower()
        out.write(f"{title:>8}: {printable(shown)}\n")
    return 0


def _complain(line: str) -> None:
    """Write a line as Exim writes its log to a terminal."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {printable(line)}\n")
