"""Exim's physical lines to logical ones: each row is a file, a main option, and what becomes of it."""

from __future__ import annotations

import pytest

from smarthostd.config import ConfigurationErrors
from tests.config.conftest import LoadText, Write

NONE = "(default)"

READ = {
    "leading white space goes": ("\t smtp_banner\t=\tx\ty", "x\ty"),
    "trailing white space goes": ("smtp_banner = hello  \t ", "hello"),
    "CR is white space": ("smtp_banner = x\r\n", "x"),
    "a # inside a value is part of it": ("smtp_banner = a # b", "a # b"),
    "a comment inside a continued line does not end it": ("smtp_banner = a \\\n# c\n b", "a b"),
    "continuation inserts nothing": ("smtp_banner = a\\\n   b", "ab"),
    "white space behind the backslash goes": ("smtp_banner = a \\  \n b", "a b"),
    "a doubled backslash continues too": ("smtp_banner = a\\\\\nb", "a\\b"),
    "a backslash at the end of the file": ("smtp_banner = a \\", "a "),
    "a file without a last newline": ("smtp_banner = last", "last"),
    "macros replace inside words": ("FOO = bar\nsmtp_banner = xFOOx FOO", "xbarx bar"),
    "a macro may be empty": ("FOO =\nsmtp_banner = [FOO]", "[]"),
    "a macro's text is trimmed, not dequoted": ('FOO = "a b"  \nsmtp_banner = FOO', "a b"),
    "a macro may hold earlier ones": ("A = x\nB = A-A\nsmtp_banner = B", "x-x"),
    "only later macros are looked for in a macro's text": ("B = A\nA = x\nsmtp_banner = B", "x"),
    "== defines again": ("FOO = a\nFOO == b\nsmtp_banner = FOO", "b"),
    "a longer name may come before its part": ("FOOBAR = b\nFOO = a\nsmtp_banner = FOOBAR FOO", "b a"),
    "a macro may be a whole line": ("LINE = smtp_banner = x\nLINE", "x"),
    "a macro is not there before its definition": ("smtp_banner = FOO\nFOO = a", "FOO"),
    "a macro may make a comment": ("FOO = #\nFOO smtp_banner = x", NONE),
    "ifdef is true where any macro is replaced": ("FOO = x\n.ifdef BAR FOO\nsmtp_banner = y\n.endif", "y"),
    "ifdef sees macros inside words": ("FOO = x\n.ifdef xFOOx\nsmtp_banner = y\n.endif", "y"),
    "ifndef": (".ifndef BAR\nsmtp_banner = y\n.endif", "y"),
    "elifdef": (
        "FOO=1\n.ifdef BAR\nsmtp_banner = a\n.elifdef FOO\nsmtp_banner = b\n.else\nsmtp_banner = c\n.endif",
        "b",
    ),
    "elifndef": (".ifdef BAR\nsmtp_banner = a\n.elifndef FOO\nsmtp_banner = b\n.endif", "b"),
    "a condition inside a false branch is false": (
        ".ifdef BAR\n.ifndef FOO\nsmtp_banner = a\n.else\nsmtp_banner = b\n.endif\n.else\nsmtp_banner = c\n.endif",
        "c",
    ),
    "what we have can be asked for": (".ifdef _HAVE_TLS\nsmtp_banner = y\n.endif", "y"),
    "an option that we have can be asked for": (".ifdef _OPT_MAIN_SMTP_BANNER\nsmtp_banner = y\n.endif", "y"),
    "a driver can be asked for": (".ifdef _DRIVER_ROUTER_MANUALROUTE\nsmtp_banner = y\n.endif", "y"),
}


@pytest.mark.parametrize(("text", "banner"), READ.values(), ids=READ)
def test_what_a_line_means(load_text: LoadText, text: str, banner: str) -> None:
    """One main option, read through macros, conditions and continuation."""
    settings = load_text(text).settings
    assert banner in (settings.smtp_banner if "smtp_banner" in settings.model_fields_set else NONE)
    assert settings.smtp_banner == banner or banner == NONE


WRONG = {
    "a blank line ends a continued one": ("smtp_banner = a \\\n  \n  b", 3, 'main option "b" unknown'),
    "a second definition needs ==": ("FOO = a\nFOO = b", 2, 'macro "FOO" is already defined'),
    "== needs a first definition": ("FOO == a", 1, 'can\'t redefine an undefined macro "FOO"'),
    "a name may not contain an earlier one": ("FOO = a\nFOOBAR = b", 2, '"FOO" is a substring'),
    "a capital letter makes a macro": ("Smtp_banner x", 1, "malformed macro definition"),
    "endif without if": (".endif", 1, ".endif without matching .ifdef"),
    "else without if": (".else", 1, ".else without matching .ifdef"),
    "if without endif": (".ifdef A\nsmtp_banner = x", 2, ".endif missing"),
    "too deep": (".ifdef A\n" * 11 + ".endif\n" * 11, 11, ".ifdef nested too deeply"),
    "an included file is missing": (".include /nowhere/x", 1, "failed to open included configuration file /nowhere/x"),
    "include_if_exists wants an absolute name": (".include_if_exists x", 1, 'non-absolute path "x"'),
    "a byte order mark": ("\ufeffsmtp_banner = x", 1, "found unexpected BOM"),
    "an unknown directive is an option": (".foo", 1, "option setting expected: .foo"),
}


@pytest.mark.parametrize(("text", "line", "exim"), WRONG.values(), ids=WRONG)
def test_what_is_no_line(load_text: LoadText, text: str, line: int, exim: str) -> None:
    """Exim's own words are kept, and the line is told."""
    with pytest.raises(ConfigurationErrors) as caught:
        load_text(text)
    assert exim in caught.value.exim
    first = caught.value.errors[0]
    assert first.position is not None
    assert first.position.line == line


def test_an_included_file_tells_its_own_name_and_lines(load_text: LoadText, write: Write) -> None:
    """Positions count in the file where the mistake is; the including file goes on behind its line."""
    included = write("\n\nbogus = x\n", "inc")
    with pytest.raises(ConfigurationErrors) as caught:
        load_text(f".include {included}\nalso_bogus = y\n")
    assert [str(error.position) for error in caught.value.errors] == [
        f"{included}:3", f"{included.parent}/smarthostd.conf:2",
    ]  # fmt: skip


def test_relative_names_start_at_the_including_file(load_text: LoadText, write: Write) -> None:
    """``sub/inc`` includes ``other`` beside itself; names may stand in quotes."""
    write('.include "other"\n', "sub/inc")
    write("smtp_banner = nested\n", "sub/other")
    assert load_text(".include sub/inc\n").settings.smtp_banner == "nested"


def test_a_continued_line_goes_through_an_included_file(load_text: LoadText, write: Write) -> None:
    """Lines are physical before they are logical."""
    write("  b \\\n", "inc")
    assert load_text("smtp_banner = a \\\n.include inc\n c\n").settings.smtp_banner == "a b c"


def test_a_file_that_includes_itself_is_a_mistake(load_text: LoadText) -> None:
    """Not an endless loop."""
    with pytest.raises(ConfigurationErrors, match="does it include itself"):
        load_text(".include smarthostd.conf\n")


def test_macros_that_double_one_another_end(load_text: LoadText) -> None:
    """A line has an end, whatever its macros say."""
    growing = "AA = " + "BB" * 1000 + "\nBB = " + "CC" * 1000 + "\nCC = " + "x" * 1000 + "\nsmtp_banner = AA\n"
    with pytest.raises(ConfigurationErrors, match="too long"):
        load_text(growing)


def test_the_command_line_wins_over_the_file(load_text: LoadText) -> None:
    """A later definition in the file is passed over in silence, as by Exim."""
    assert load_text("FOO = file\nsmtp_banner = FOO\n", FOO="command").settings.smtp_banner == "command"
    assert load_text("FOO == file\nsmtp_banner = FOO\n", FOO="command").settings.smtp_banner == "command"


def test_a_tab_behind_ifdef_is_told(load_text: LoadText) -> None:
    """Exim overlooks such a line; we follow it, and say so."""
    loaded = load_text("FOO = x\n.ifdef\tFOO\nsmtp_banner = x\n")
    assert any("Exim overlooks" in warning for warning in loaded.warnings)
