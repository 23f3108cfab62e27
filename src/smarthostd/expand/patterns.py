"""Regular expressions in expansions: what goes wrong with one is an expansion error in Exim's words."""

from __future__ import annotations

from collections.abc import Callable

from smarthostd import regex
from smarthostd.errors import ExpansionError


def search(pattern: str, subject: str, seconds: float) -> regex.Groups | None:
    """Return the match and its groups, or None; raises ExpansionError, also after *seconds* of work."""
    try:
        return regex.search(pattern, subject, seconds=seconds)
    except regex.RegexError as error:
        raise _expansion_error(pattern, error) from error


def substitute(pattern: str, subject: str, replacement: Callable[[regex.Groups], str], seconds: float) -> str:
    """Return *subject* with every match replaced; raises ExpansionError, also after *seconds* of work."""
    try:
        return regex.substitute(pattern, subject, replacement, seconds=seconds)
    except regex.RegexError as error:
        raise _expansion_error(pattern, error) from error


def mistake_in(pattern: str) -> str:
    """Return what is wrong with *pattern*, or nothing."""
    try:
        regex.search(pattern, "")
    except regex.RegexError as error:
        return str(_expansion_error(pattern, error))
    return ""


def _expansion_error(pattern: str, error: regex.RegexError) -> ExpansionError:
    return ExpansionError(f'regular expression error in "{pattern}": {error}')
