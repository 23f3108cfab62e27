"""Headers as variables: found by name in the raw block, joined, trimmed, decoded (exim.md 5.1)."""

from __future__ import annotations

import re
from email.header import decode_header

from smarthostd.facts import Values

_ADDRESS_HEADERS = frozenset({"from", "sender", "reply-to", "to", "cc", "bcc"})


def find_header(values: Values, name: str, form: str) -> str | None:
    """Return the text of the header *name*, or None where there is none.

    *form* is ``h`` (decoded), ``b`` (decoded, octets kept), ``r`` (raw) or ``l`` (raw, as a list). Several
    headers of one name are joined by a newline, address headers by a comma.
    """
    raw = values.get("message_headers_raw", "")
    block = raw if isinstance(raw, str) else raw()
    found = re.findall(rf"^{re.escape(name)}[ \t]*:((?:.*)(?:\n[ \t].*)*)", block, re.IGNORECASE | re.MULTILINE)
    if not found:
        return None
    if form == "r":
        return (
            "".join(text.removeprefix(" ") + "\n" for text in found) if len(found) > 1 else found[0].lstrip(" ") + "\n"
        )
    texts = [text.strip() for text in found]
    if form == "l":
        return ":".join(text.replace(":", "::") for text in texts)
    joined = (",\n" if name.lower() in _ADDRESS_HEADERS else "\n").join(texts)
    return decoded(joined) if "=?" in joined else joined


def decoded(text: str) -> str:
    """Return *text* with its RFC 2047 words decoded to UTF-8; words that cannot be decoded stay."""
    try:
        parts = decode_header(text)
        return "".join(
            part if isinstance(part, str) else part.decode(charset or "ascii", "surrogateescape")
            for part, charset in parts
        )
    except (ValueError, LookupError):
        return text
