"""The phrase beside an address, made fit for a header line: ``J. Doe`` to ``"J. Doe"``.

This is Exim's way, which leaves what is quoted already as it is: where there are quotes only the words behind them
are quoted that need it, else the phrase as a whole. What is not printable ASCII becomes encoded words (RFC 2047).
Where Exim 4.96 garbles a phrase (a comment that holds quotes behind a dot, a last word that needs quotes
behind others) we do what it meant.
"""

from __future__ import annotations

import re

from smarthostd.expand import rfc2047

_UNPRINTABLE = re.compile(r"[^\t -~]")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*\\?"?', re.DOTALL)
_COMMENT_PART = re.compile(r'[()"]|\\.|[^()"\\]+|\\', re.DOTALL)
_SPECIAL = frozenset(")<>@,;:\\.[]")
_PLAIN = re.compile(r'(?:\\.|[^"(\\])+|\\', re.DOTALL)
_WORD = re.compile(r'(?:\\.|[^" \\])+|\\', re.DOTALL)
_WORD_BEFORE = re.compile(r'[^ ")]*\Z')


def quoted_phrase(phrase: str) -> str:
    """Return *phrase* with quotes, or as encoded words, where it needs them."""
    phrase = phrase.lstrip(" \t\n\v\f\r")
    if _UNPRINTABLE.search(phrase):
        return rfc2047.encode(phrase)
    done, at = "", 0
    word_by_word = False
    while at < len(phrase):
        char = phrase[at]
        if char == '"':
            piece = _QUOTED.match(phrase, at)
            assert piece is not None, "a quote alone matches"
            at = piece.end()
            done += piece[0] if len(piece[0]) > 1 and piece[0].endswith('"') else f'{piece[0]}"'
            word_by_word = True
        elif char == "(":
            end, holds_quotes = _comment(phrase, at)
            done += phrase[at:end]
            at = end
            word_by_word = word_by_word or holds_quotes
        elif char not in _SPECIAL:
            done += char
            at += 1
        elif word_by_word:
            before = _WORD_BEFORE.search(done)
            behind = _WORD.match(phrase, at)
            assert before is not None and behind is not None, "a word may be empty, and one character matches"  # noqa: PT018 - one reason
            done = f'{done[: before.start()]}"{before[0]}{behind[0]}"'
            at = behind.end()
        else:
            end = _quotes_ahead(phrase, at)
            inside = phrase[at:end].rstrip(" ")
            done = f'"{done}{inside}"{phrase[at + len(inside) : end]}'
            at = end
    return done


def _quotes_ahead(phrase: str, at: int) -> int:
    """Return where the next quoted word begins, or the next comment that holds quotes; else the end."""
    while at < len(phrase):
        if phrase[at] == '"':
            return at
        if phrase[at] == "(":
            end, holds_quotes = _comment(phrase, at)
            if holds_quotes:
                return at
            at = end
        elif plain := _PLAIN.match(phrase, at):
            at = plain.end()
    return at


def _comment(phrase: str, at: int) -> tuple[int, bool]:
    """Return where the comment ends that begins at *at*, and if it holds quotes; an open one reaches to the end."""
    depth, holds_quotes = 0, False
    for part in _COMMENT_PART.finditer(phrase, at):
        depth += {"(": 1, ")": -1}.get(part[0], 0)
        holds_quotes = holds_quotes or part[0] == '"'
        if not depth:
            return part.end(), holds_quotes
    return len(phrase), holds_quotes
