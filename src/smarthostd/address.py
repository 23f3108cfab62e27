"""Mail addresses as the envelope knows them: a local part and a domain, spelled as they came.

One regular expression reads them (RFC 5321 4.1.2, with dots and UTF-8 as the field writes them);
nothing here knows RFC 5322's comments and folding. No control character, space or angle bracket
can stand in a parsed address outside a quoted local part, so an address can be written into an SMTP command; and no
octet that is no UTF-8 anywhere, so it can be kept and told as text.
"""

from __future__ import annotations

import contextlib
import re

from msgspec import Struct

from smarthostd.errors import SmarthostdError

_STRAY = r"\ud800-\udfff"
"""Octets that are no UTF-8."""
_ATOMS = rf"[^\x00-\x20\x7f{_STRAY}<>()\[\]\\,;:@\"]+"
_QUOTED = rf'"(?:[^"\\\x00-\x1f\x7f{_STRAY}]|\\[^\x00-\x1f\x7f{_STRAY}])*"'
_LABEL = rf"[^\x00-\x2c\x2f\x3a-\x40\x5b-\x60\x7b-\x7f.{_STRAY}]+"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[^\[\]\\\x00-\x20\x7f{_STRAY}<>]+\])"
_NO_TEXT = re.compile(rf"[\x00-\x1f\x7f{_STRAY}]")
_ADDRESS = re.compile(rf"({_ATOMS}|{_QUOTED})(?:@({_DOMAIN}))?")
_QUOTES = re.compile(r'"|\\(.?)', re.DOTALL)
LOCAL_PART_LIMIT = 256
"""Octets; RFC 5321 4.5.3.1.1 says 64, but longer ones are in use (VERP, SRS)."""
DOMAIN_LIMIT = 255
"""Octets; RFC 5321 4.5.3.1.2."""


class AddressError(SmarthostdError):
    """Not an address; the text is Exim's where Exim has one."""


class Address(Struct, frozen=True):
    """``local_part@domain``; an empty domain is an unqualified name, both empty the null sender."""

    local_part: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}" if self.domain else self.local_part

    def __bool__(self) -> bool:
        """Whether this is anybody: the null sender ``<>`` is false."""
        return bool(self.local_part)

    @property
    def key(self) -> str:
        """What makes two addresses one: the local part as spelled, the domain without case."""
        return f"{self.local_part}@{self.domain.lower()}"

    @property
    def unquoted(self) -> str:
        """The local part without quotes and backslashes, as ``$local_part`` has it."""
        if '"' not in self.local_part and "\\" not in self.local_part:
            return self.local_part
        return _QUOTES.sub(r"\1", self.local_part)

    def qualified(self, domain: str) -> Address:
        """Return this address, with *domain* if it has none of its own."""
        return self if self.domain or not self.local_part else Address(self.local_part, domain)

    @staticmethod
    def parse(text: str) -> Address:
        """Return the address written in *text* (no brackets); raises :class:`AddressError`."""
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise AddressError(_complaint(text))
        local_part, domain = match[1], match[2] or ""
        if len(local_part) > LOCAL_PART_LIMIT or len(domain) > DOMAIN_LIMIT:
            raise AddressError("address is too long")
        return Address(local_part, domain)

    @staticmethod
    def of(local_part: str, domain: str) -> Address:
        """Return the address of parts that were read by another grammar (``expand/addresses.py``).

        Raises :class:`AddressError` for what stands in no line of text: control characters, octets that are no UTF-8.
        """
        if _NO_TEXT.search(local_part) or _NO_TEXT.search(domain):
            raise AddressError("malformed address: control characters, or octets that are no UTF-8")
        return Address(local_part, domain)


NULL_SENDER = Address("", "")


def login_address(login: str, uid: int) -> Address:
    """Return the address, without a domain, of a user of this machine: the login, quoted if need be, else the *uid*."""
    escaped = login.replace("\\", "\\\\").replace('"', '\\"')
    for text in (login, f'"{escaped}"'):
        with contextlib.suppress(AddressError):
            address = Address.parse(text)
            if not address.domain:
                return address
    return Address(str(uid), "")


def _complaint(text: str) -> str:
    local_part, at, _ = text.rpartition("@")
    if not text or (at and not local_part):
        return "missing or malformed local part"
    if at:
        return "domain missing or malformed" if _ADDRESS.fullmatch(local_part) else "malformed address"
    return "malformed address"
