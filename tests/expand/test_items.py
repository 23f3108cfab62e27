"""Items, as Exim 4.96 answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from smarthostd.errors import ExpansionDefer, ExpansionError, ForcedFailure
from tests.expand.conftest import Expand

RESULTS = {
    # extract by name
    "a quoted value": ('${extract{a}{a="x \\\\"y" b=2}}', 'x "y'),
    "a value between blanks": ('${extract{a}{ a = "x" }}', "x"),
    "names without case": ("${extract{A}{a=1}}", "1"),
    "the first of two": ("${extract{a}{a=1 a=2}}", "1"),
    "an empty value takes the next word": ("${extract{user}{user= pass=x}}", "pass=x"),
    "a value without equals": ("${extract{k}{k v}}", "v"),
    "a quote that is not closed": ('${extract{a}{b=2 a="unt}}', "unt"),
    "a missing name": ("${extract{z}{a=1}{yes}{no}}", "no"),
    "a missing name, nothing said": ("${extract{z}{a=1}}", ""),
    "the value in its branch": ("${extract{a}{a=1}{<$value>}{no}}", "<1>"),
    # extract by number
    "a field": ("${extract{2}{:}{a:b:c}}", "b"),
    "any of the separators": ("${extract{3}{:, }{a b,c}}", "c"),
    "empty fields count": ("${extract{2}{:}{a::c}{<$value>}}", "<>"),
    "from the end": ("${extract{-1}{:}{a:b:c}}", "c"),
    "zero is all": ("${extract{0}{:}{a:b}}", "a:b"),
    "out of range": ("${extract{9}{:}{a:b}{yes}{no}}", "no"),
    "one sign": ("${extract{-}{:}{a:b}}", "a:b"),
    "no separators": ("${extract{1}{}{abc}}", "abc"),
    # listextract
    "an item": ("${listextract{2}{a:b}}", "b"),
    "an item from the end": ("${listextract{-2}{a:b:c}}", "b"),
    "one item farther than there are": ("${listextract{-4}{a:b:c}{yes}{no}}", "no"),
    "many items farther than there are": ("${listextract{-9}{a:b:c}}", "a"),
    "item zero": ("${listextract{0}{a:b}{yes}{no}}", "no"),
    "another separator": ("${listextract{ 1 }{<; a;b}{<$value>}}", "<a>"),
    # if
    "if without strings": ("${if eq{a}{a}}", "true"),
    "if without strings, false": ("${if eq{a}{b}}", ""),
    "space everywhere": ("${if eq {a} {b} {y} {n} }", "n"),
    "numbers hold in the branch only": ("${if match{abc}{(b)}{$1}}$1", "b"),
    # sg, tr
    "every match": ("${sg{a.b.c}{\\N\\.\\N}{-}}", "a-b-c"),
    "groups": ("${sg{foo=bar}{\\N^([^=]*)=(.*)$\\N}{\\N$2=$1\\N}}", "bar=foo"),
    "empty matches": ("${sg{abxd}{x*}{-}}", "-a-b--d-"),
    "octets": ("${sg{é}{.}{x}}", "xx"),
    "the last of the third stands for the rest": ("${tr{abc}{abc}{xy}}", "xyy"),
    "the last occurrence counts": ("${tr{aabb}{aba}{xyz}}", "zzyy"),
    "nothing to put in": ("${tr{abc}{abc}{}}", "abc"),
    # substr, length, hash
    "substr to the end": ("${substr{1}{abc}}", "bc"),
    "substr from the right": ("${substr{-2}{1}{abc}}", "b"),
    "substr from the right without a length": ("${substr{-1}{abc}}", "ab"),
    "substr before the beginning": ("${substr{-5}{3}{abc}}", "a"),
    "substr behind the end": ("${substr{9}{1}{abc}}", ""),
    "substr of an empty number": ("${substr{}{abc}}", "abc"),
    "length": ("${length{2}{abc}}", "ab"),
    "hash": ("${hash{3}{abcdef}}", "fmc"),
    "hash of few letters": ("${hash{3}{5}{abcdef}}", "dda"),
    "nhash": ("${nhash{8}{abc}}", "4"),
    "nhash of two": ("${nhash{8}{8}{abc}}", "5/4"),
    "nhash below a negative number": ("${nhash{-2}{3}{abc}}", "10745/1"),
    "nhash of a product that overflows": ("${nhash{2147483647}{2147483647}{abc}}", "0/0"),
    "hmac": ("${hmac{md5}{k}{d}}", "7f330edb3a84f317f7ca433d6038ff9a"),
    # lists
    "map": ("${map{a:b}{<$item>}}", "<a>:<b>"),
    "map keeps the separator": ("${map{<;a;b}{$item:}}", "a:;b:"),
    "map doubles the separator": ("${map{a:b}{$item:}}", "a:::b::"),
    "map of nothing": ("${map{}{x}}", ""),
    "map keeps empty items apart": ("${map{a:b}{}}", ": "),
    "filter": ("${filter{a:bb:c}{eq{${strlen:$item}}{1}}}", "a:c"),
    "reduce": ("${reduce{1:2:3}{0}{${eval:$value+$item}}}", "6"),
    "item is restored": ("${map{a}{${map{b}{$item}}$item}}", "ba"),
    "sort": ("${sort{c:a:b}{lt}{$item}}", "a:b:c"),
    "sort by number": ("${sort{3:10:2}{<}{$item}}", "2:3:10"),
    "sort the other way": ("${sort{3:10:2}{>}{$item}}", "10:3:2"),
    "sort by a part": ("${sort{b,2:a,1:c,0}{<}{${extract{2}{,}{$item}}}}", "c,0:a,1:b,2"),
    "sort leaves what is no number": ("${sort{3:x:2}{<}{$item}}", "2:3:x"),
    "sort by what is kept in a list": ("${sort{one:10:ab}{lti}{ ${lc:$item}}}", "ab:10:one"),
    "sort without case": ("${sort{B:a:C}{lti}{$item}}", "a:B:C"),
    "listquote": ("${listquote{:}{a:b}}", "a::b"),
    "listquote of octets": ("${listquote{é}{é}}", "\udcc3é"),
    "listquote of nothing": ("${listquote{:}{}}", " "),
    "an environment variable that is not there": ("${env{NO_SUCH_VARIABLE}{y}{n}}", "n"),
}


@pytest.mark.parametrize(("text", "expected"), RESULTS.values(), ids=RESULTS)
def test_an_item_gives(expand: Expand, text: str, expected: str) -> None:
    assert expand(text) == expected


ERRORS = {
    "not a number": ("${substr{x}{1}{abc}}", '"x" is not a number (in "substr" expansion)'),
    "a negative length": ("${length{-2}{abc}}", '"-2" is not a positive number (in "length" expansion)'),
    "too many letters": ("${hash{2}{99}{abc}}", 'hash count "99" too big'),
    "another hmac": ("${hmac{sha256}{k}{d}}", 'hmac algorithm "sha256" is not recognised'),
    "a regular expression": (
        "${sg{a}{(}{x}}",
        'regular expression error in "(": missing closing parenthesis at offset 1',
    ),
    "a condition inside filter": (
        "${filter{a}{={$item}{1}}}",
        'integer expected but "a" found inside "filter" condition',
    ),
    "an item inside map": (
        "${map{a}{${eval:$item}}}",
        "error in expression evaluation: expecting number or opening parenthesis "
        '(after processing "") inside "map" item',
    ),
    "a key that sort cannot make": ("${sort{a}{lt}{${eval:x}}}", 'field-extract in sort: "${eval:x}"'),
    "an empty key": ("${sort{a}{lt}{}}", 'field-extract in sort: ""'),
}


@pytest.mark.parametrize(("text", "mistake"), ERRORS.values(), ids=ERRORS)
def test_an_item_fails_with(expand: Expand, text: str, mistake: str) -> None:
    with pytest.raises(ExpansionError) as caught:
        expand(text)
    assert str(caught.value) == mistake


@pytest.mark.parametrize(
    "text",
    [
        "x${if eq{a}{b}{y}fail}",
        "${lc:${extract{z}{a=1}{y}fail}}",
        "${map{a:b}{${if eq{$item}{b}{$item}fail}}}",
        "${reduce{a}{b}{${listextract{9}{a}{y}fail}}}",
        "${if or{{eq{a}{b}}{eq{${env{NO_SUCH_VARIABLE}{y}fail}}{}}}{y}}",
        "${sg{a}{a}{${if eq{a}{b}{y}fail}}}",
        "${expand:\\${if eq{a\\}{b\\}{y\\}fail\\}}",
    ],
)
def test_the_word_fail_ends_the_whole_string_however_deep_it_is(expand: Expand, text: str) -> None:
    with pytest.raises(ForcedFailure):
        expand(text)


def test_the_environment(expand: Expand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_VARIABLE", "here")
    assert expand("${env{SOME_VARIABLE}}-${env{SOME_VARIABLE}{<$value>}}") == "here-<here>"


def test_readfile_joins_lines_with_what_is_said(expand: Expand, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"one\ntwo\nthree")
    assert expand(f"${{readfile{{{tmp_path}/f}}}}") == "one\ntwo\nthree"
    assert expand(f"${{readfile{{{tmp_path}/f}}{{;}}}}") == "one;two;three"
    assert expand(f"${{readfile{{{tmp_path}}}}}") == "", "a directory has no lines"


def test_a_file_that_cannot_be_read_defers(expand: Expand) -> None:
    with pytest.raises(ExpansionDefer, match=r"^failed to open /nonexistent: No such file or directory$"):
        expand("${readfile{/nonexistent}}")
    with pytest.raises(ExpansionDefer, match=r"^failed to open /nonexistent for linear search: No such file"):
        expand("${lookup{a}lsearch{/nonexistent}}")


def test_a_device_is_not_read(expand: Expand) -> None:
    with pytest.raises(ExpansionDefer, match="not a regular file"):
        expand("${readfile{/dev/zero}}")


def test_a_lookup_has_its_data_in_value_and_gives_back_what_was_there(expand: Expand, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("one: 1\n*.example: wild\n*: star\n")
    lookup = f"lsearch{{{tmp_path}/f}}"
    assert expand(f"${{lookup{{one}}{lookup}}}") == "1"
    assert expand(f"${{lookup{{two}}{lookup}{{yes}}{{no}}}}") == "no"
    assert expand(f"${{extract{{a}}{{a=x}}{{${{lookup{{one}}{lookup}{{$value}}}}$value}}}}") == "1x"
    assert expand(f"${{lookup{{a.example}}partial0-{lookup}{{$1-$2-$value}}}}") == "a-example-wild"
    assert expand(f"${{lookup{{zzz}}lsearch*{{{tmp_path}/f}}{{$1=$value}}}}") == "zzz=star"


def test_a_lookup_that_defers_shows_its_key_printable(expand: Expand, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("10.0.0.0/8: net\n")
    with pytest.raises(ExpansionDefer, match=r'^lookup of "\\033\\303\\251" gave DEFER: '):
        expand(f"${{lookup{{$host}}iplsearch{{{tmp_path}/f}}}}", host="\x1bé")
