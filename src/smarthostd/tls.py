"""TLS contexts, built once for each policy, and what is said about a session and its failures.

A refused certificate is the operator's riddle, so the sentence about it says what the certificate holds:
for which names it is, since when it has expired, who issued it. OpenSSL's error knows none of that; the
certificate is taken from the handshake that failed (see :class:`_Explaining`).
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from msgspec import Struct

from smarthostd.errors import ConfigurationError
from smarthostd.syntax import printable

SHOWN_NAMES = 5
"""Names of a certificate that are told, of perhaps hundreds."""

_EXPIRED, _NOT_YET, _SELF_SIGNED, _SELF_SIGNED_ROOT = 10, 9, 18, 19
_UNKNOWN_ISSUER = frozenset({2, 20, 21})
_OTHER_NAME = frozenset({62, 64})


class ClientPolicy(Struct, frozen=True):
    """How we speak TLS to a smarthost."""

    verify: bool = True
    authorities: str = "system"
    """``system``, or a file or directory of CA certificates."""
    check_name: bool = True
    certificate: str = ""
    private_key: str = ""
    ciphers: str = ""

    @property
    def files(self) -> list[str]:
        """The files, or directories, that are named."""
        return [path for path in (self.authorities, self.certificate, self.private_key) if path.startswith("/")]


class _Explaining(ssl.SSLObject):
    """A TLS session that, when it refuses the peer's certificate, hangs what is in it on the error."""

    def do_handshake(self) -> None:
        """Negotiate; raises SSLCertVerificationError with ``certificate`` set where that can be had."""
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as error:
            error.certificate = self._presented()  # type: ignore[attr-defined]  # for failure_text
            raise

    def _presented(self) -> dict[str, Any]:
        """Return the peer's certificate as ``getpeercert`` shows it, empty where this Python cannot tell."""
        try:
            chain = self._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # private; a contract test holds it
            return dict(chain[0].get_info()) if chain else {}
        except (AttributeError, ValueError, ssl.SSLError):
            return {}


@lru_cache(64)
def _client_context(policy: ClientPolicy, stamps: tuple[int, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslobject_class = _Explaining
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = policy.verify and policy.check_name
    context.verify_mode = ssl.CERT_REQUIRED if policy.verify else ssl.CERT_NONE
    if policy.ciphers:
        context.set_ciphers(policy.ciphers)
    if policy.verify:
        _load_authorities(context, policy.authorities)
    if policy.certificate:
        context.load_cert_chain(policy.certificate, policy.private_key or None)
    return context


def _load_authorities(context: ssl.SSLContext, authorities: str) -> None:
    if authorities in ("", "system"):
        context.load_default_certs()
    elif Path(authorities).is_dir():
        context.load_verify_locations(capath=authorities)
    else:
        context.load_verify_locations(cafile=authorities)


def client_context(policy: ClientPolicy) -> ssl.SSLContext:
    """Return the context for *policy*, made again when one of its files has changed.

    Reads files: call it where a connection is opened, not for each message. Raises ConfigurationError, in one
    sentence, for a file that is missing or no certificate, and for ciphers that OpenSSL does not know.
    """
    try:
        return _client_context(policy, tuple(Path(path).stat().st_mtime_ns for path in policy.files))
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        what = " and ".join(policy.files) or f"tls_require_ciphers = {policy.ciphers}"
        raise ConfigurationError(f"TLS cannot be set up with {what}: {reason}") from error


def server_context(certificate: str, private_key: str, ciphers: str = "") -> ssl.SSLContext:
    """Return a context for incoming TLS; raises ConfigurationError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, private_key or None)
        if ciphers:
            context.set_ciphers(ciphers)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or error
        raise ConfigurationError(f"tls_certificate {certificate} cannot be used: {reason}") from error
    return context


# -- what is said about sessions


class TlsFacts(Struct, frozen=True):
    """What the log and the variables ``$tls_out_…`` say about a session; all empty without TLS."""

    version: str = ""
    """``TLS1.3``."""
    cipher: str = ""
    bits: int = 0
    peer: str = ""
    """The peer's distinguished name; only known of a verified certificate."""

    def __str__(self) -> str:
        """As in Exim's X=: ``TLS1.3:TLS_AES_256_GCM_SHA384:256``."""
        return f"{self.version}:{self.cipher}:{self.bits}" if self.cipher else ""


def session_facts(session: ssl.SSLObject) -> TlsFacts:
    """Return what is to be known of an established session."""
    cipher = session.cipher()
    if cipher is None:
        return TlsFacts()
    certificate = session.getpeercert() or {}
    version = (session.version() or "").replace("TLSv", "TLS")
    return TlsFacts(version, cipher[0], cipher[2], _distinguished_name(certificate.get("subject", ())))


def session_text(session: ssl.SSLObject) -> str:
    """Return Exim's X= for a session: ``TLS1.3:TLS_AES_256_GCM_SHA384:256``."""
    return str(session_facts(session))


_SHORT = {"countryName": "C", "stateOrProvinceName": "ST", "localityName": "L", "organizationName": "O"}
_SHORT |= {"organizationalUnitName": "OU", "commonName": "CN"}


def _distinguished_name(parts: Any) -> str:
    fields = [f"{_SHORT.get(key, key)}={value}" for part in parts for key, value in part]
    return printable(",".join(reversed(fields)))


# -- what is said about failures


def failure_text(error: BaseException, host: str) -> str:
    """Return what went wrong with TLS to *host*, in one sentence, with the fix where there is one."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"(certificate verification failed): {_verification_text(error, host)}"
    if isinstance(error, TimeoutError):
        return "the handshake took too long"
    if isinstance(error, ssl.SSLError):
        if error.reason == "WRONG_VERSION_NUMBER":
            return (
                f"{host} does not speak TLS at this point: is the port, or protocol = smtps (smtps:// in url), right?"
            )
        return f"the handshake failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return "the handshake failed: the connection was closed" if isinstance(error, EOFError | OSError) else str(error)


def _verification_text(error: ssl.SSLCertVerificationError, host: str) -> str:
    certificate: dict[str, Any] = getattr(error, "certificate", {})
    code = error.verify_code
    if code == _EXPIRED:
        return f"the certificate of {host} expired{_date(' on ', certificate.get('notAfter'))}: its owner must renew it"
    if code == _NOT_YET:
        since = _date(" before ", certificate.get("notBefore"))
        return f"the certificate of {host} is not valid{since or ' yet'}: look at this machine's clock"
    if code in _OTHER_NAME:
        fix = "write in the route (url in [smarthost]) a name that it is for"
        return f"the certificate is not for {host}{_names_text(certificate)}: {fix}"
    if code in (_SELF_SIGNED, _SELF_SIGNED_ROOT) or code in _UNKNOWN_ISSUER:
        what = "is signed by itself" if code == _SELF_SIGNED else "comes from an authority that is not trusted here"
        issuer = _distinguished_name(certificate.get("issuer", ()))
        by = f" ({issuer})" if issuer and code != _SELF_SIGNED else ""
        fix = "name a file that has its authority in tls_verify_certificates (tls_ca in [smarthost])"
        return f"the certificate of {host} {what}{by}: {fix}"
    return f"the certificate of {host} is refused: {error.verify_message}"


def _date(word: str, text: str | None) -> str:
    if not text:
        return ""
    return word + time.strftime("%Y-%m-%d", time.gmtime(ssl.cert_time_to_seconds(text)))


def _names(certificate: dict[str, Any]) -> Iterator[str]:
    for kind, name in certificate.get("subjectAltName", ()):
        if kind in ("DNS", "IP Address"):
            yield str(name)


def _names_text(certificate: dict[str, Any]) -> str:
    names = list(_names(certificate))
    if not names:
        return ""
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f", but for {printable(', '.join(names[:SHOWN_NAMES]))}{more}"
