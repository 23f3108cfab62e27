"""Exim's lists as text: items between separators (exim.md 3.1)."""

from __future__ import annotations

import re
import string

_SPACE = " \t\n\v\f\r"
_CONTROL = frozenset(map(chr, [*range(32), 127]))


def separator_of(text: str, separator: str = ":") -> tuple[str, str]:
    """Return the separator that *text* announces with ``<c``, or *separator*, and the rest of the text."""
    text = text.lstrip(_SPACE)
    if text[:1] == "<" and text[1:2] and (text[1] in string.punctuation or text[1] in _CONTROL):
        return text[1], text[2:]
    return separator, text


def split(text: str, separator: str = ":") -> list[str]:
    """Return the items of *text*; a doubled separator stands for one, white space round items goes."""
    separator, text = separator_of(text, separator)
    if text == "<":
        return []  # Exim takes the text's end for a separator
    if separator in _CONTROL or separator + separator not in text:
        items = [item.strip(_SPACE) for item in text.split(separator)]
        if not items[-1]:
            del items[-1]  # nothing, or white space only, behind the last separator is no item
        return items
    return _split_doubled(text, separator)


def _split_doubled(text: str, separator: str) -> list[str]:
    mark = re.escape(separator)
    item = re.compile(rf"((?:{mark}{mark}|[^{mark}])*)(?:{mark}|\Z)", re.DOTALL)
    items = []
    while text := text.lstrip(_SPACE):
        match = item.match(text)
        assert match is not None, "every text begins with an item, perhaps an empty one"
        items.append(match[1].replace(separator * 2, separator).rstrip(_SPACE))
        text = text[match.end() :]
    return items


def join(items: list[str], separator: str = ":") -> str:
    """Return list text for *items* as Exim's list operators give it: separators inside items are doubled."""
    texts = [item.replace(separator, separator + separator) for item in items]
    return separator.join(texts)
