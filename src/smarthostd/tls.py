"""TLS contexts, built once for each policy, and what is said about a session and its failures."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from smarthostd.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """How we speak TLS to a smarthost."""

    verify: bool = True
    authorities: str = "system"
    """``system``, or a file or directory of CA certificates."""
    check_name: bool = True
    certificate: str = ""
    private_key: str = ""
    ciphers: str = ""


@lru_cache(64)
def _client_context(policy: ClientPolicy, stamps: tuple[object, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
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

    Raises ConfigurationError, in one sentence, for a file that is missing or no certificate.
    """
    files = [path for path in (policy.authorities, policy.certificate, policy.private_key) if path.startswith("/")]
    try:
        return _client_context(policy, tuple(Path(path).stat().st_mtime_ns for path in files))
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"TLS cannot be set up with {' and '.join(files) or policy.ciphers}: {reason}"
        ) from error


def server_context(certificate: str, private_key: str, ciphers: str = "") -> ssl.SSLContext:
    """Return the context for incoming TLS; raises ConfigurationError."""
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


def session_text(ssl_object: ssl.SSLObject) -> str:
    """Return Exim's X= for a session: ``TLS1.3:TLS_AES_256_GCM_SHA384:256``."""
    cipher = ssl_object.cipher()
    if cipher is None:
        return ""
    name, _, bits = cipher
    return f"{(ssl_object.version() or '').replace('TLSv', 'TLS')}:{name}:{bits}"


def failure_text(error: BaseException, host: str) -> str:
    """Return what went wrong with TLS to *host*, in one sentence that names the fix where there is one."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verification failed: {_verification_text(error, host)}"
    if isinstance(error, ssl.SSLError):
        return f"the TLS handshake failed: {error.reason or error}"
    return f"the TLS handshake failed: {error}"


def _verification_text(error: ssl.SSLCertVerificationError, host: str) -> str:
    message = error.verify_message or str(error)
    if "expired" in message:
        return f"the certificate of {host} has expired"
    if "not yet valid" in message:
        return f"the certificate of {host} is not yet valid: look at this machine's clock"
    if "mismatch" in message or "not valid for" in message:
        return f"the certificate is not for the name {host}: write the name that it is for in the route"
    if "self-signed" in message or "self signed" in message or "unable to get local issuer" in message:
        return f"the certificate of {host} is not signed by a known authority ({message}): see tls_verify_certificates"
    return message
