"""A private authority, and the certificates that a smarthost may show: good, for another name, expired."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme

NAMES = ("localhost", "127.0.0.1", "127.0.0.10", "::1", "smarthost.isp.com")
"""What a good certificate is for."""

DAY = datetime.timedelta(days=1)
YEAR = 365 * DAY


@dataclass(frozen=True)
class Certificate:
    """A chain and its key, as files."""

    chain: Path
    key: Path


class Authority:
    """Issues certificates into *directory*; whoever trusts ``ca`` trusts them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = trustme.CA()
        self.ca = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))

    def issue(self, kind: str = "good") -> Certificate:
        """Return a certificate that is ``good``, for the ``wrong name``, or ``expired``."""
        names = ("elsewhere.example",) if kind == "wrong name" else NAMES
        now = datetime.datetime.now(datetime.UTC)
        issued = self._authority.issue_cert(
            *names, not_before=now - 2 * YEAR, not_after=now - DAY if kind == "expired" else now + YEAR
        )
        slug = kind.replace(" ", "-")
        certificate = Certificate(self._directory / f"{slug}.pem", self._directory / f"{slug}.key")
        for position, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(str(certificate.chain), append=position > 0)
        issued.private_key_pem.write_to_path(str(certificate.key))
        return certificate
