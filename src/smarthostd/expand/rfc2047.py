"""Encoded words in headers, ``=?utf-8?q?caf=C3=A9?=`` (RFC 2047), written and read as Exim does."""

from __future__ import annotations

import re

from smarthostd.expand.encodings import base64_octets
from smarthostd.expand.octets import octets, text_of

WORD_LIMIT = 75
"""Characters of an encoded word; a longer one is left as it is (Exim's ``check_rfc2047_length``)."""
_WORD = re.compile(r"=\?([^?]{0,75})\?([QqBb])\?(.{0,75}?)\?=", re.DOTALL)
_ENCODED_OCTET = re.compile(r"=([0-9A-Fa-f]{2})")
_BETWEEN = re.compile(r"[ \t\n\v\f\r]+")
_START = "=?UTF-8?Q?"
_LINE_LIMIT = 67
"""Characters of a word beyond which the next one begins."""
_SPECIAL = frozenset(b'?=()<>@,;:\\".[]_')


def encode(text: str) -> str:
    """Return *text* as encoded words where any octet but a space needs it, else as it is."""
    words, word, coded, pair_open = [], "", False, False
    limit = _LINE_LIMIT
    for octet in octets(text):
        if len(word) > limit and not pair_open:
            words.append(word)
            word, limit = "", _LINE_LIMIT - len(_START)  # of later words Exim counts the beginning, too
        plain = 33 <= octet <= 126 and octet not in _SPECIAL
        escaped = not plain and octet != 32
        word += chr(octet) if plain else f"={octet:02X}" if escaped else "_"
        pair_open = escaped and not pair_open  # two octets of one character stay together
        coded = coded or escaped
    return " ".join(f"{_START}{one}?=" for one in [*words, word]) if coded else text


def decode(text: str, *, translate: bool = True) -> tuple[str, str]:
    """Return *text* with its encoded words decoded, and what is wrong with the first that names an unknown charset.

    White space between two encoded words goes; a word that cannot be decoded stays. The octets of a word are
    left in its charset unless *translate*.
    """
    pieces: list[str] = []
    problem = ""
    done = at = 0
    while match := _WORD.search(text, at):
        found = _decode_word(match, translate)
        if found is None:
            at = match.start() + 2
            continue
        between = text[done : match.start()]
        if not (done and _BETWEEN.fullmatch(between)):
            pieces.append(between)
        pieces.append(found[0])
        problem = problem or found[1]
        done = at = match.end()
    return "".join([*pieces, text[done:]]), problem


def _decode_word(match: re.Match[str], translate: bool) -> tuple[str, str] | None:
    """Return the text of one word and what is wrong with its charset; None where the word is malformed."""
    charset, encoding, coded = match.groups()
    if len(octets(match[0])) > WORD_LIMIT:
        return None
    data = base64_octets(coded) if encoding in "Bb" else _from_quoted(coded)
    if data is None:
        return None
    data = data.replace(b"\0", b"?")
    if not translate:
        return text_of(data), ""
    try:
        return data.decode("".join(charset.split()) or "utf-8", "surrogateescape"), ""
    except (LookupError, ValueError):
        why = "Invalid argument (maybe unsupported conversion)"
        return text_of(data), f'iconv_open("UTF-8", "{charset}") failed: {why}'


def _from_quoted(coded: str) -> bytes | None:
    """Return the octets of a Q-encoded word; None where it has a blank, or an equals sign without two digits."""
    if re.search("[ \t=]", _ENCODED_OCTET.sub("", coded)):
        return None
    data = octets(coded.replace("_", " "))
    return re.sub(rb"=([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), data)
