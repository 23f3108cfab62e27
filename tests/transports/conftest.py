"""Certificates, once for the session: making keys takes time."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from tests.peers.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority of our own."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def server_tls(authority: Authority) -> Callable[[str], ssl.SSLContext]:
    """Make a server's context with a certificate that is ``good``, for the ``wrong name``, or ``expired``."""

    def make(kind: str = "good") -> ssl.SSLContext:
        certificate = authority.issue(kind)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.chain, certificate.key)
        return context

    return make
