"""SMTP replies: what a server said, and what we say (RFC 5321 4.2, RFC 3463)."""

from __future__ import annotations

import re

from msgspec import Struct

from smarthostd.syntax import remote_text

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?=[ \n]|$)", re.ASCII)


class Reply(Struct, frozen=True):
    """A code and its text; the lines of a longer reply are separated by newlines."""

    code: int
    text: str

    @property
    def positive(self) -> bool:
        """Whether the command was carried out (2xx)."""
        return 200 <= self.code < 300

    @property
    def temporary(self) -> bool:
        """Whether the same may succeed later (4xx)."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """Whether the same will not succeed later (5xx)."""
        return 500 <= self.code < 600

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463), empty where the text does not begin with one."""
        match = _ENHANCED.match(self.text)
        return match[1] if match else ""

    def __str__(self) -> str:
        """One printable line, safe for the log and for reports; each line has the code that it came with."""
        if "\n" not in self.text:
            return remote_text(f"{self.code} {self.text}" if self.text else str(self.code))
        return remote_text("\n".join(self._lines()))

    def _lines(self) -> list[str]:
        *first, last = self.text.split("\n")
        return [*(f"{self.code}-{line}" for line in first), f"{self.code} {last}"]

    def wire(self) -> bytes:
        """The reply as lines ended by CRLF, for a client of ours."""
        if "\n" not in self.text:
            return f"{self.code} {self.text}\r\n".encode("utf-8", "replace")
        return "".join(f"{line}\r\n" for line in self._lines()).encode("utf-8", "replace")
