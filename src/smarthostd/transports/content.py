"""A message's content as a transport sends it: header lines added and removed (exim.md 6.2, 7.1).

Mostly nothing is to be changed, and the content goes as it lies in the spool. Where a header changes, the
header block alone is read and written again; the body is never touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from smarthostd.envelope import Content
from smarthostd.errors import ExpansionError, ForcedFailure
from smarthostd.expand import Expander, Values
from smarthostd.lists import split
from smarthostd.transports.base import Batch
from smarthostd.transports.options import TransportOptions

HEADER_LIMIT = 1 << 20
"""Octets of header that are looked at."""
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(?:[^\r]|\r(?!\n))*\r\n(?:[ \t](?:[^\r]|\r(?!\n))*\r\n)*")


def edited(content: Content, batch: Batch, options: TransportOptions, expander: Expander) -> Content:
    """Return *content* with the header changes of the router and the transport.

    A change whose expansion is forced to fail is left out; raises ExpansionError for other failures.
    """
    added = _texts((*batch.headers_add, *options.headers_add), expander, batch.values)
    removed = _texts((*batch.headers_remove, *options.headers_remove), expander, batch.values)
    if not added and not removed:
        return content
    names = {name.lower().encode() for text in removed for name in split(text)}
    start = content.beginning(HEADER_LIMIT)
    end = start.find(b"\r\n\r\n")
    header, found = (start, False) if end < 0 else (start[: end + 2], True)
    kept = _FIELD.sub(lambda field: b"" if field[1].lower() in names else field[0], header)
    lines = [line for text in added for line in text.replace("\r", "").split("\n") if line.strip()]
    more = b"".join(line.encode("utf-8", "surrogateescape") + b"\r\n" for line in lines)
    return content.with_header(kept + more, len(header)) if found else content


def _texts(templates: Iterable[str], expander: Expander, values: Values) -> list[str]:
    texts = []
    for template in templates:
        try:
            text = expander.expand(template, values)
        except ForcedFailure:
            continue
        except ExpansionError as error:
            raise ExpansionError(f"failed to expand headers_add or headers_remove: {error}") from error
        if text:
            texts.append(text)
    return texts
