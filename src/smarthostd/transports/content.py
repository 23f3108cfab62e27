"""A message's content as a transport sends it: header lines added and removed, perhaps only a part (exim.md 6.2, 7.1).

Mostly nothing is to be changed, and the content goes as it lies in the spool. Where a header changes, the
header block alone is read and written again; the body is never touched.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from smarthostd.address import Address
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
    """Return *content* with the header changes of the router and the transport, and without what is not wanted.

    A change whose expansion is forced to fail is left out; raises ExpansionError for other failures.
    """
    added = _texts((*batch.headers_add, *options.headers_add), expander, batch.values)
    removed = _texts((*batch.headers_remove, *options.headers_remove), expander, batch.values)
    if not (added or removed or options.body_only or options.headers_only):
        return content
    start = content.beginning(HEADER_LIMIT)
    end = start.find(b"\r\n\r\n")
    if end < 0:
        return content  # no end of the header, or one that is nobody's mail: sent as it is
    if options.body_only:
        return content.with_header(b"", end + 4)
    header = _changed(start[: end + 2], added, {name.lower().encode() for text in removed for name in split(text)})
    return Content(header + b"\r\n") if options.headers_only else content.with_header(header, end + 2)


def _changed(header: bytes, added: Iterable[str], removed: set[bytes]) -> bytes:
    """Return *header* without the fields named in *removed*, then with the lines of *added*."""
    if removed:
        header = _FIELD.sub(lambda field: b"" if field[1].lower() in removed else field[0], header)
    lines = [line for text in added for line in text.replace("\r", "").split("\n") if line.strip()]
    return header + b"".join(line.encode("utf-8", "surrogateescape") + b"\r\n" for line in lines)


def with_delivery_headers(content: Content, batch: Batch, options: TransportOptions, sender: Address) -> Content:
    """Return *content* with the headers that a final delivery adds on top, where they are asked for."""
    lines = []
    if options.return_path_add:
        lines.append(f"Return-path: <{sender}>\r\n")
    if options.envelope_to_add:
        originals = dict.fromkeys(str(one.recipient.address) for one in batch.addresses)
        lines.append("Envelope-to: " + ",\r\n\t".join(originals) + "\r\n")
    if options.delivery_date_add:
        lines.append(f"Delivery-date: {time.strftime('%a, %d %b %Y %H:%M:%S %z')}\r\n")
    top = "".join(lines).encode("utf-8", "surrogateescape")
    return Content(top + content.head, content.file, content.size + len(top), content.skip) if top else content


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
