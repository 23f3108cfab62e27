"""A message as a transport sends it: its sender, and the header lines that are rewritten, added and removed.

Mostly nothing is to be changed, and the content goes as it lies in the spool. Where a header changes, the
header block alone is read and written again; the body is never touched (exim.md 6.2, 7.1).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec.structs import replace

from smarthostd.address import NULL_SENDER, Address, AddressError
from smarthostd.envelope import Content, Message
from smarthostd.errors import ExpansionError, ForcedFailure
from smarthostd.expand import Expander, Values
from smarthostd.expand.octets import octets
from smarthostd.facts import made
from smarthostd.headers import without
from smarthostd.lists import split
from smarthostd.outcome import Failed
from smarthostd.rewrite import Bare, FieldRewriter, RewriteRules, Where, limited, parse_rules
from smarthostd.syntax import parse_size
from smarthostd.transports.base import Batch

if TYPE_CHECKING:
    from smarthostd.transports.options import TransportOptions

HEADER_LIMIT = 1 << 20
"""Octets of header that are looked at."""


class Outgoing:
    """What one transport changes in the messages that it sends."""

    def __init__(
        self,
        options: TransportOptions,
        expander: Expander,
        log: Callable[[str, str], None] = lambda id, line: None,
    ) -> None:
        """*log* takes a message's id and a line."""
        self._options = options
        self._expander = expander
        self._log = log
        self._rules = RewriteRules(parse_rules(split(options.headers_rewrite), Where.HEADERS), expander)
        self._removed = tuple(item for one in options.headers_remove for item in split(one))
        self._always = bool(self._rules.rules or options.body_only or options.headers_only)
        self._changes = bool(self._always or options.headers_add or options.headers_remove)
        facts = expander.facts
        self._bare = Bare(facts.qualify_domain, facts.qualify_recipient)
        self._limit = lru_cache(1)(self._size)

    def too_big(self, content: Content, values: Values) -> Failed | None:
        """Return the failure of what is over ``message_size_limit``; raises ExpansionError."""
        limit = self._limit(self._expander.expand(self._options.message_size_limit, values))
        if limit and content.size > limit:
            return Failed(f"message is too big (transport limit = {limit})")
        return None

    def _size(self, text: str) -> int:
        limit = parse_size(text or "0")
        if limit is None:
            raise ExpansionError(f'message_size_limit of {self._options.name} transport is no number: "{text}"')
        return limit

    def batch(self, batch: Batch) -> Batch:
        """Return *batch* with the sender that ``return_path`` names; the null sender, of bounces, stays what it is.

        Raises ExpansionError.
        """
        template = self._options.return_path
        if not template or not batch.sender:
            return batch
        where = f'return path "{template}" in {self._options.name} transport'
        try:
            text = self._expander.expand(template, batch.values).strip()
            sender = Address.parse(text) if text else NULL_SENDER
        except ForcedFailure:
            return batch
        except ExpansionError as error:
            raise ExpansionError(f"Failed to expand {where}: {error}") from error
        except AddressError as error:
            raise ExpansionError(f'the {where} is "{text}", no address: {error}') from error
        return replace(batch, sender=sender, values={**made(batch.values), "return_path": str(sender)})

    def content(self, message: Message, batch: Batch) -> Content:
        """Return the content with the header changes of the router and the transport.

        A change whose expansion is forced to fail is left out; raises ExpansionError for other failures.
        """
        content, options = message.content, self._options
        if not (self._changes or batch.headers_add or batch.headers_remove):
            return content
        added = [*batch.headers_add, *_texts(options.headers_add, self._expander, batch.values)]
        removed = [*batch.headers_remove, *_texts(self._removed, self._expander, batch.values)]
        if not (added or removed or self._always):
            return content
        names = {octets(name.lower()) for text in removed for name in split(text)}
        begins = tuple(name[:-1] for name in names if name.endswith(b"*"))

        def gone(name: bytes) -> bool:
            return name in names or name.startswith(begins)

        start = content.beginning(HEADER_LIMIT)
        end = start.find(b"\r\n\r\n")
        if end < 0:
            return content  # no end of the header, or one that is nobody's mail: sent as it is
        if options.body_only:
            return content.with_header(b"", end + 4)
        header = start[: end + 2]
        kept = without(header, gone) if names else header
        kept = self._rewritten(kept, message, batch)
        lines = [line for text in added for line in text.replace("\r", "").split("\n") if line.strip()]
        more = b"".join(line.encode("utf-8", "surrogateescape") + b"\r\n" for line in lines)
        return Content(kept + more + b"\r\n") if options.headers_only else content.with_header(kept + more, end + 2)

    def _rewritten(self, header: bytes, message: Message, batch: Batch) -> bytes:
        """Return *header* as ``headers_rewrite`` makes it."""
        if not self._rules.rules:
            return header

        def tell(line: str) -> None:
            self._log(message.id, line)

        return FieldRewriter(
            self._rules, self._bare, batch.values, limited(tell), utf8=message.envelope.smtputf8
        ).header(header)


def with_delivery_headers(content: Content, batch: Batch, options: TransportOptions, sender: Address) -> Content:
    """Return *content* with the headers that a final delivery adds on top, where they are asked for."""
    if options.body_only:
        return content  # there is no header
    lines = []
    if options.return_path_add:
        lines.append(f"Return-path: <{sender}>\r\n")
    if options.envelope_to_add:
        originals = dict.fromkeys(str(one.recipient.address) for one in batch.addresses)
        lines.append("Envelope-to: " + ",\r\n ".join(originals) + "\r\n")
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
