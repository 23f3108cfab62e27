"""Who a local user claims to be, in the header: Exim's ``local_from_check`` (exim.md 2).

A user of this machine may write any From line. Where it is not their own address (login@qualify_domain), and
nobody has made them trusted, a Sender line says who they are, and a Sender line of their own making goes.
"""

from __future__ import annotations

import re

from msgspec import Struct

from smarthostd.address import Address
from smarthostd.expand.addresses import extract
from smarthostd.headers import without
from smarthostd.lists import split
from smarthostd.routers.preconditions import affix

_FROM, _RESENT_FROM = (
    re.compile(rb"^" + name + rb"[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.MULTILINE | re.IGNORECASE)
    for name in (b"from", b"resent-from")
)


class LocalFrom(Struct, frozen=True):
    """The main options ``local_from_check``, ``local_sender_retain`` and ``local_from_prefix``, ``…_suffix``."""

    check: bool = True
    retain_sender: bool = False
    prefix: str = ""
    suffix: str = ""

    def without_sender(self, header: bytes, *, resent: bool = False) -> bytes:
        """Return *header* without its Sender lines, the very same object where there are none to go.

        Of a message that was sent on (*resent*) the ``Resent-`` lines count, here and below.
        """
        return header if self.retain_sender else without(header, (b"resent-sender" if resent else b"sender").__eq__)

    def is_foreign(self, header: bytes, own: Address, *, resent: bool = False) -> bool:
        """Whether a Sender line is needed: there is a From line, and it is not *own*, which has a domain."""
        match = (_RESENT_FROM if resent else _FROM).search(header)
        if not self.check or match is None:
            return False
        found = extract(match[1].replace(b"\r\n", b"").decode("utf-8", "surrogateescape"))
        if found is None:
            return True
        local_part, domain = found
        same_domain = not domain or domain.lower() == own.domain.lower()
        return not (same_domain and self._bare(local_part).lower() == own.local_part.lower())

    def _bare(self, local_part: str) -> str:
        """Return *local_part* without the prefix and the suffix that a user may add to the login."""
        before = affix(local_part, split(self.prefix), begins=True) or ""
        local_part = local_part.removeprefix(before)
        after = affix(local_part, split(self.suffix), begins=False) or ""
        return local_part.removesuffix(after)
