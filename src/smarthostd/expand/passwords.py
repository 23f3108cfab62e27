"""``${if crypteq{PASSWORD}{HASH}…}``: a password against a stored hash.

A hash begins with ``{md5}`` or ``{sha1}`` (base64 or hexadecimal digits follow), or it is the C library's
``crypt``, with ``{crypt}`` in front or bare: ``$6$…``, ``$y$…``. Whatever is malformed is not equal.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from functools import cache
from typing import TYPE_CHECKING

from smarthostd.errors import ExpansionError
from smarthostd.expand.octets import octets

if TYPE_CHECKING:
    import ctypes

_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2")
_SCHEME = re.compile(r"\{(md5|sha1|crypt)\}", re.IGNORECASE)


def crypteq(password: str, stored: str) -> bool:
    """Return whether *password* has the hash *stored*; raises ExpansionError for a scheme that is not there."""
    scheme = _SCHEME.match(stored)
    if scheme is None and stored.startswith("{"):
        if stored.lower().startswith("{crypt16}"):
            raise ExpansionError("crypteq with {crypt16} is not in smarthostd: store {sha1}, or a hash of crypt")
        raise ExpansionError(f'unknown encryption mechanism in "{stored}"')
    hashed = stored[scheme.end() :] if scheme else stored
    if scheme is None or scheme[1].lower() == "crypt":
        return len(hashed) >= 2 and hmac.compare_digest(_crypt(octets(password), octets(hashed)), octets(hashed))
    digest = hashlib.new(scheme[1].lower(), octets(password), usedforsecurity=False).digest()
    if len(hashed) == 2 * len(digest):
        return hmac.compare_digest(digest.hex(), hashed.lower()) if hashed.isascii() else False
    return hmac.compare_digest(base64.b64encode(digest), octets(hashed))


def _crypt(password: bytes, salt: bytes) -> bytes:
    """Return what ``crypt(3)`` makes of *password*; empty where *salt* is none that it knows."""
    return _library().crypt(password, salt) or b""


@cache
def _library() -> ctypes.PyDLL:
    """Return the library of ``crypt``; a call keeps the interpreter's lock, for all answers lie in one buffer."""
    import ctypes  # here: few configurations ask, and it costs each start 3 ms

    for name in _LIBRARIES:
        try:
            library = ctypes.PyDLL(name)
        except OSError:
            continue
        library.crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
        library.crypt.restype = ctypes.c_char_p
        return library
    raise ExpansionError("crypteq: this machine has no libcrypt; store {sha1} or {md5} and the hash")
