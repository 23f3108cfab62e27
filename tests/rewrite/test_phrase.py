"""Phrases: what the real Exim makes of them (``-brw`` with the flag w), and what it garbles."""

from __future__ import annotations

import pytest

from smarthostd.expand.addresses import Mailboxes
from smarthostd.rewrite.phrase import quoted_phrase

EXIMS = {
    "A (c) B": "A (c) B",
    "A. B (x) C": '"A. B (x) C"',
    '("x") A. B': '("x") "A." B',
    '"q" A. B': '"q" "A." B',
    'A. "q" B. C': '"A." "q" "B." C',
    'A "q" B. C': 'A "q" "B." C',
    r"A \" B": r'"A \" B"',
    r"A. \( B": r'"A. \( B"',
    'A (c "d) B. C': 'A (c "d) "B." C',
    "J. (a (b) c) D": '"J. (a (b) c) D"',
    'A. B  "c"': '"A. B"  "c"',
    'A "b" ': 'A "b" ',
    ".": '"."',
    "a\\": '"a\\"',
    r"A (\") B.": r'"A (\") B."',
    '"a"b.c d.e "f"': '"a""b.c" "d.e" "f"',
    r'a "b" \c d': r'a "b" "\c" d',
    " (c) (d.e)": "(c) (d.e)",
    "(a": "(a",
    "Jö P.": "=?UTF-8?Q?J=C3=B6_P=2E?=",
}
MENDED = {
    "a comment that holds quotes, behind a dot": ('A. B ("x") C', '"A. B" ("x") C'),
    "a last word behind quotes": ('"q" B.', '"q" "B."'),
    "a last word behind a comment with quotes": ('x (y"z) b.c', 'x (y"z) "b.c"'),
}


@pytest.mark.parametrize(("phrase", "fixed"), EXIMS.items())
def test_a_phrase_is_quoted_as_exim_quotes_it(phrase: str, fixed: str) -> None:
    assert quoted_phrase(phrase) == fixed


@pytest.mark.parametrize(("phrase", "fixed"), MENDED.values(), ids=MENDED)
def test_what_exim_garbles_stays_readable(phrase: str, fixed: str) -> None:
    assert quoted_phrase(phrase) == fixed
    assert Mailboxes().read(f"{fixed} <u@d.example>").local_part == "u"
