"""The address in a header's text: ``"A B" <u@h> (comment)`` to ``u@h``, as ``${address:…}`` needs it.

This is RFC 5322's looser grammar, for expansions only; the envelope's addresses are ``address.py``'s.
"""

from __future__ import annotations

import re

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ATOM = r'[^\s()<>@,;:\\"\[\].]+'
_WORD = rf"(?:{_ATOM}|{_QUOTED})"
_LOCAL = rf"(?:{_QUOTED}|{_ATOM})(?:\.+(?:{_QUOTED}|{_ATOM}))*"
_DOMAIN = rf"(?:{_ATOM}(?:\.{_ATOM})*|\[[^\]\s]*\])"
_SPEC = re.compile(rf"\s*({_LOCAL})(?:\s*@\s*({_DOMAIN}))?\s*", re.DOTALL)
_ROUTE = re.compile(rf"\s*(?:@{_DOMAIN}\s*,?\s*)+:", re.DOTALL)
_ANGLE = re.compile(rf"\s*(?:{_WORD}(?:[\s.]+|(?=<)|(?<=\")))*<([^<>]*)>\s*", re.DOTALL)


def without_comments(text: str) -> str | None:
    """Return *text* with its ``(comments)`` taken out, or None where one is not closed."""
    out, depth, quoted, at = [], 0, False, 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            if not depth:
                out.append(text[at : at + 2])
            at += 2
            continue
        if char == '"' and not depth:
            quoted = not quoted
        if char == "(" and not quoted:
            depth += 1
        elif char == ")" and not quoted and depth:
            depth -= 1
            out.append(" ")
        elif not depth:
            out.append(char)
        at += 1
    return None if depth else "".join(out)


def extract(text: str) -> tuple[str, str] | None:
    """Return the local part and the domain of the one address in *text*, or None where there is none."""
    plain = without_comments(text)
    if plain is None:
        return None
    angle = _ANGLE.fullmatch(plain)
    spec = angle[1] if angle else plain
    if angle:
        route = _ROUTE.match(spec)
        spec = spec[route.end() :] if route else spec
    match = _SPEC.fullmatch(spec)
    return None if match is None else (match[1], match[2] or "")


def split_addresses(text: str) -> list[str]:
    """Return the pieces of *text* between commas, groups opened; quotes and comments hold together."""
    pieces, start, depth, quoted, at = [], 0, 0, False, 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 2
            continue
        if char == '"' and not depth:
            quoted = not quoted
        elif not quoted and char in "(<":
            depth += 1
        elif not quoted and char in ")>":
            depth = max(0, depth - 1)
        elif not quoted and not depth and char in ",;:":
            if char != ":":  # what stands before a colon is a group's name
                pieces.append(text[start:at])
            start = at + 1
        at += 1
    pieces.append(text[start:])
    return [piece for piece in pieces if piece.strip()]
