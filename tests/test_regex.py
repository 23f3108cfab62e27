"""PCRE on Python's ``re``: what matches, and what is wrong, as PCRE 10.42 in Exim 4.96 answered."""

from __future__ import annotations

import pytest

from smarthostd import regex

MATCHES = {
    "POSIX classes": ("^[[:alpha:]_][[:^digit:]]$", "ax", ("ax",)),
    "a bracket first in a class": ("[]a]+", "a]", ("a]",)),
    "a negated bracket": ("[^]a]+", "]b", ("b",)),
    "a hyphen last": (r"[\w-]+", ".a-b", ("a-b",)),
    "two hyphens": ("[+--]+", "a,-", (",-",)),
    "sets inside a class": (r"[\h\d]+", "a \t1", (" \t1",)),
    "what looks like set operations": ("[a&&b||c~~d]+", "&|~", ("&|~",)),
    "a class with quotes": (r"[\Qa]\E]+", "]a", ("]a",)),
    "inline options in the middle": ("a(?i)b|c", "C", ("C",)),
    "inline options that end with their group": ("((?i)a)b", "Ab", ("Ab", "A")),
    "options taken back": ("(?i)a(?-i)b", "Ab", ("Ab",)),
    "extended": ("(?x) a b # comment (", "ab", ("ab",)),
    "a name": (r"(?<n>a)\k<n>\k{n}(?P=n)\g{n}", "aaaaa", ("aaaaa", "a")),
    "references": (r"(a)(b)\g1\g{-1}\2", "ababb", ("ababb", "a", "b")),
    "octal behind few groups": (r"\141\12", "a\n", ("a\n",)),
    "quotes": (r"\Qa.\E+", "xa..", ("a..",)),
    "the very end": (r"a\z", "ba", ("a",)),
    "before the last newline": (r"a\Z", "a\n", ("a",)),
    "line breaks": (r"^\R$", "\r\n", ("\r\n",)),
    "no line break": (r"^\N+", "a\nb", ("a",)),
    "vertical space": (r"\v\V", "\n\t", ("\n\t",)),
    "codes": (r"\x{61}\x62\o{143}\e\cA", "abc\x1b\x01", ("abc\x1b\x01",)),
    "an atomic group": ("(?>a+)b", "aab", ("aab",)),
    "possessive": ("a++b", "aab", ("aab",)),
    "a brace that is no quantifier": ("a{,2}{x}", "a{,2}{x}", ("a{,2}{x}",)),
    "a condition": ("(a)?(?(1)b|c)", "c", ("c", "")),
    "a comment": ("a(?#x)b", "ab", ("ab",)),
    "a look-behind of two lengths": ("(?<=a|bc)x", "bcx", ("x",)),
    "what does not stand behind": ("(?<!a|bc)x", "axbcxdx", ("x",)),
    "no word boundary in nothing": (r"\B", "", ("",)),
    "octets, not characters": ("^..$", "é", ("é",)),
    "a class of octets": ("^[é]{2}$", "é", ("é",)),
}


@pytest.mark.parametrize(("pattern", "subject", "groups"), MATCHES.values(), ids=MATCHES)
def test_a_pattern_matches(pattern: str, subject: str, groups: tuple[str, ...]) -> None:
    assert regex.search(pattern, subject) == groups


def test_what_does_not_match() -> None:
    assert regex.search(r"a\z", "a\n") is None
    assert regex.search("B", "b") is None
    assert regex.search("B", "b", caseless=True) == ("b",)
    assert regex.search("É", "é", caseless=True) is None, "only ASCII has two cases"


MISTAKES = {
    "(": "missing closing parenthesis at offset 1",
    "(?": "missing closing parenthesis at offset 2",
    "(?i": "missing closing parenthesis at offset 3",
    "a)": "unmatched closing parenthesis at offset 1",
    "[a": "missing terminating ] for character class at offset 2",
    "[]": "missing terminating ] for character class at offset 2",
    "[\\Q\\E]": "missing terminating ] for character class at offset 6",
    "+a": "quantifier does not follow a repeatable item at offset 0",
    "a**": "quantifier does not follow a repeatable item at offset 2",
    "a{1}{2}": "quantifier does not follow a repeatable item at offset 6",
    "^*": "quantifier does not follow a repeatable item at offset 1",
    "a|*": "quantifier does not follow a repeatable item at offset 2",
    "a{2,1}": "numbers out of order in {} quantifier at offset 5",
    "a{99999}": "number too big in {} quantifier at offset 7",
    "[b-a]": "range out of order in character class at offset 3",
    "[\\w-z]": "invalid range in character class at offset 3",
    "[a-\\d]": "invalid range in character class at offset 5",
    "[[:foo:]]": "unknown POSIX class name at offset 3",
    "[:alpha:]": "POSIX named classes are supported only within a class at offset 0",
    "[[.x.]]": "POSIX collating elements are not supported at offset 1",
    "\\": "\\ at end of pattern at offset 1",
    "[\\": "\\ at end of pattern at offset 2",
    "\\i": "unrecognized character follows \\ at offset 1",
    "\\c": "\\c at end of pattern at offset 2",
    "\\1": "reference to non-existent subpattern at offset 1",
    "(a)\\2": "reference to non-existent subpattern at offset 4",
    "(?y)": "unrecognized character after (? or (?- at offset 2",
    "\\x{": "digits missing in \\x{} or \\o{} or \\N{U+} at offset 3",
    "\\x{6": "non-hex character in \\x{} (closing brace missing?) at offset 3",
    "\\o7": "missing opening brace after \\o at offset 2",
    "\\g": "\\g is not followed by a braced, angle-bracketed, or quoted name/number or by a plain number at offset 2",
    "\\k": "\\k is not followed by a braced, angle-bracketed, or quoted name at offset 2",
    "\\k<": "subpattern name expected at offset 3",
    "\\k<n>": "reference to non-existent subpattern at offset 3",
    "\\g0": "reference to non-existent subpattern at offset 3",
    "(?(": "missing closing parenthesis at offset 3",
    "(?(1": "missing closing parenthesis for condition at offset 4",
    "(?(a": "syntax error in subpattern name (missing terminator?) at offset 4",
    "(?Px)": "unrecognized character after (?P at offset 3",
    "(?<>a)": "subpattern name expected at offset 3",
    "(?<1a>x)": "subpattern name must start with a non-digit at offset 3",
    "(?<n)a": "syntax error in subpattern name (missing terminator?) at offset 4",
    "(?#b": "missing ) after (?# comment at offset 4",
    "x(?<=a*)": "lookbehind assertion is not fixed length at offset 1",
    "(?<n>a)(?<n>b)": "two named subpatterns have the same name (PCRE2_DUPNAMES not set) at offset 12",
}


@pytest.mark.parametrize(("pattern", "mistake"), MISTAKES.items())
def test_a_mistake_is_said_in_pcres_words(pattern: str, mistake: str) -> None:
    with pytest.raises(regex.RegexError) as caught:
        regex.compile_pcre(pattern)
    assert str(caught.value) == mistake


@pytest.mark.parametrize(
    "pattern", ["(?R)", "(?1)", "a\\Kb", "\\p{L}", "(*UTF8)a", "(?|a|b)", "\\X", "(?C1)", "(?*a)", "(?<*a)"]
)
def test_what_re_cannot_do_is_an_error(pattern: str) -> None:
    with pytest.raises(regex.RegexError, match="not in smarthostd"):
        regex.compile_pcre(pattern)


def test_a_long_pattern_and_a_long_subject_are_refused() -> None:
    with pytest.raises(regex.RegexError, match="longer than"):
        regex.compile_pcre("a" * (regex.PATTERN_LIMIT + 1))
    with pytest.raises(regex.RegexError, match="longer than"):
        regex.search("a", "a" * (regex.SUBJECT_LIMIT + 1))


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(a|aa)+$|b", "a*a*a*a*a*b"])
def test_a_pattern_that_never_ends_is_given_up(pattern: str) -> None:
    with pytest.raises(regex.RegexError, match=r"more than 0\.05 s of work"):
        regex.search(pattern, "a" * 5000 + "c", seconds=0.05)
    assert regex.search(pattern, "ab") is not None, "the next match has its time again"


async def test_a_pattern_is_given_up_within_an_event_loop() -> None:
    with pytest.raises(regex.RegexError, match="s of work"):
        regex.substitute("(a+)+b", "a" * 5000, lambda groups: "", seconds=0.05)


def test_a_pattern_may_work_as_long_as_it_likes() -> None:
    assert regex.search("(a+)+b", "a" * 20 + "c", seconds=0) is None


def test_a_replacement_may_match_in_its_turn() -> None:
    inner = lambda groups: str(regex.search("(b+)+", groups[0]))  # noqa: E731 - short
    assert regex.substitute("(b+)+", "abbc", inner) == "a('bb', 'bb')c"


def test_a_reference_to_a_later_group_matches_nothing() -> None:
    assert regex.search(r"\1(a)", "aa") is None
    with pytest.raises(regex.RegexError, match="later group is not in smarthostd"):
        regex.search(r"(?:\2b|(a))+(c)", "aa")


def test_substitution_replaces_octets_and_gives_text() -> None:
    assert regex.substitute("(.)b", "éb", lambda groups: f"<{len(groups)}>") == "\udcc3<2>"
    assert regex.substitute("x*", "abxd", lambda groups: "-") == "-a-b--d-"


def test_no_more_groups_than_exim_keeps() -> None:
    groups = regex.search("(a)" * 30, "a" * 30)
    assert groups is not None
    assert len(groups) == regex.GROUPS_LIMIT + 1
