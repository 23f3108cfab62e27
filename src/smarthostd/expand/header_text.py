"""Headers as variables: found by name in the raw block, joined, trimmed, decoded (exim.md 5.1)."""

from __future__ import annotations

import re

from msgspec import Struct

from smarthostd.expand.nodes import State, text_of_value
from smarthostd.expand.parser import SPACE
from smarthostd.expand.rfc2047 import decode
from smarthostd.facts import Values

_ADDRESS_HEADERS = frozenset({"from", "sender", "reply-to", "to", "cc", "bcc"})


class Header(Struct, frozen=True):
    """``$h_subject:`` and its kin. *form* is ``h`` (decoded), ``b`` (encoded words decoded, their octets kept),
    ``r`` (raw) or ``l`` (raw, as a list).
    """

    name: str
    form: str

    def put(self, out: list[str], state: State) -> None:
        """Append the header's text; nothing for a header that is missing."""
        out.append(find_header(state.values, self.name, self.form) or "")


def find_header(values: Values, name: str, form: str) -> str | None:
    """Return the text of the header *name*, or None where there is none.

    Several headers of one name are joined by a newline, address headers by a comma, too; raw they simply follow
    one another, each with its newline. A header whose name is followed by white space is not found, as in Exim.
    """
    block = text_of_value(values.get("message_headers_raw", ""))
    found = re.findall(rf"^{re.escape(name)}:(.*(?:\n[ \t].*)*)", block, re.IGNORECASE | re.MULTILINE)
    if not found:
        return None
    if form == "r":
        return "".join(f"{text}\n" for text in found)
    if form == "l":
        return ":".join(text.replace(":", "::") for text in found)
    separator = ",\n" if name.lower() in _ADDRESS_HEADERS else "\n"
    joined = separator.join(text for text in (text.strip(SPACE) for text in found) if text)
    return decode(joined, translate=form != "b")[0] if "=?" in joined else joined
