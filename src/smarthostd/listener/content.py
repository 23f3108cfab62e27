"""A message's octets as they come from a client: checked once, at the door.

What gets through has CRLF line ends and nothing else, no NUL, and lines within the limit, so that nothing
can be smuggled into the next hop and nothing is accepted that could not be sent (reliability.md 1).
"""

from __future__ import annotations

import re

from smarthostd.errors import SpoolError
from smarthostd.reply import Reply
from smarthostd.spool.base import Sink

_BARE = re.compile(rb"\r\n|\r|\n")


class Content:
    """Takes blocks, checks them, and passes them on to the sink while all is well."""

    def __init__(self, sink: Sink, size_limit: int, line_limit: int, *, normalize: bool) -> None:
        self._sink = sink
        self._size_limit = size_limit
        self._line_limit = line_limit
        self._normalize = normalize
        self._line = 0
        self._held = b""
        self.refusal: Reply | None = None
        """Why the message will not be accepted."""
        self.failure: SpoolError | None = None
        """Why the spool could not take it."""

    def write(self, block: bytes) -> None:
        """Take *block*, which may end anywhere."""
        if self.refusal is not None or self.failure is not None:
            return
        if self._held:
            block, self._held = self._held + block, b""
        if block.endswith(b"\r"):  # its LF may be in the next block
            block, self._held = block[:-1], b"\r"
        if block:
            self._check(block)

    def finish(self) -> None:
        """Take what was held back; the message has ended."""
        if self._held and self.refusal is None and self.failure is None:
            block, self._held = self._held, b""
            self._check(block)

    def _check(self, block: bytes) -> None:
        ends = block.count(b"\r\n")
        if block.count(b"\n") != ends or block.count(b"\r") != ends:
            if not self._normalize:
                return self._refuse(Reply(550, "5.6.11 a bare CR or LF in the message is not accepted (bare_newlines)"))
            block = _BARE.sub(b"\r\n", block)
        if b"\0" in block:
            return self._refuse(Reply(550, "5.6.0 a NUL in the message is not accepted"))
        if self._line_limit and self._longest(block) > self._line_limit:
            limit = self._line_limit
            return self._refuse(
                Reply(554, f"5.6.0 a line of the message is longer than {limit} octets (line_length_limit)")
            )
        if self._size_limit and self._sink.size + len(block) > self._size_limit:
            return self._refuse(Reply(552, "5.3.4 Message size exceeds maximum permitted"))
        try:
            self._sink.write(block)
        except SpoolError as error:
            self.failure = error
            self._sink.discard()

    def _longest(self, block: bytes) -> int:
        """Return the length of the longest line that ends in *block*, or is still open at its end."""
        if len(block) + self._line <= self._line_limit:
            at = block.rfind(b"\n")
            self._line = self._line + len(block) if at < 0 else len(block) - at - 1
            return 0
        lines = block.split(b"\r\n")
        first = self._line + len(lines[0])
        longest = max(first, max(map(len, lines)))
        self._line = first if len(lines) == 1 else len(lines[-1])
        return longest

    def _refuse(self, reply: Reply) -> None:
        self.refusal = reply
        self._sink.discard()
