"""Operators that quote: for mail headers, regular expressions, logs, and lookups."""

from __future__ import annotations

import re
from collections.abc import Callable

from smarthostd.errors import ExpansionError
from smarthostd.expand.octets import octets, text_of
from smarthostd.lookups.kinds import SINGLE_KEY

_QUOTED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*")
_SQL = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "'": "\\'", '"': '\\"', "\\": "\\\\"}
_ESCAPED = {10: "\\n", 13: "\\r", 8: "\\b", 11: "\\v", 12: "\\f", 9: "\t"}


def _in_quotes(text: str) -> str:
    return '"' + "".join(_QUOTED.get(char, char) for char in text) + '"'


def quote(text: str) -> str:
    """``quote``: in double quotes, unless it is a plain word."""
    return text if re.fullmatch(r"[A-Za-z0-9_.-]+", text) else _in_quotes(text)


def quote_local_part(text: str) -> str:
    """``quote_local_part``: as RFC 2822 wants a local part that is not made of atoms and dots."""
    plain = text and _LOCAL_PART.fullmatch(text) and text[0] != "." and text[-1] != "."
    return text if plain else _in_quotes(text)


def quote_for(suffix: str) -> Callable[[str], str]:
    """Return ``quote_KIND``: safe in the query of that lookup; single-key lookups need nothing."""
    kind, underscore, option = suffix.partition("_")
    quoted = _FOR_LOOKUPS.get(kind)
    if quoted is None:
        raise ExpansionError(f'unknown lookup type "{kind}"')
    if underscore:
        raise ExpansionError(f'"{option}" unrecognized after "${{quote_{kind}"')
    return quoted


def _for_sql(text: str) -> str:
    return "".join(_SQL.get(char, char) for char in text)


_FOR_LOOKUPS: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(SINGLE_KEY, str), "mysql": _for_sql,
    "pgsql": lambda text: _for_sql(text).replace("\\'", "''"),
    "sqlite": lambda text: text.replace("'", "''"),
}  # fmt: skip


def rxquote(text: str) -> str:
    """``rxquote``: a backslash before every octet that is no letter or digit."""
    return text_of(re.sub(rb"([^A-Za-z0-9])", rb"\\\1", octets(text)))


def escape(text: str) -> str:
    """``escape``: what is not printed as an escape sequence; a tab stays."""
    return "".join(
        _ESCAPED.get(octet) or (chr(octet) if 32 <= octet <= 126 else f"\\{octet:03o}") for octet in octets(text)
    )


def escape8bit(text: str) -> str:
    """``escape8bit``: backslashes, DEL and octets with the top bit set as escape sequences."""
    return "".join(chr(octet) if octet < 127 and octet != 92 else f"\\{octet:03o}" for octet in octets(text))
