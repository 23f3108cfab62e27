"""Operators, as Exim 4.96 answered."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smarthostd.errors import ExpansionError
from tests.expand.conftest import Expand

RESULTS = {
    # case and length
    "lc folds ASCII only": ("${lc:ABÉ}", "abÉ"),
    "uc": ("${uc:abé}", "ABé"),
    "strlen counts octets": ("${strlen:é}", "2"),
    "length": ("${length_2:abc}", "ab"),
    "length by its short name": ("${l_2:abc}", "ab"),
    "substr": ("${substr_1_2:abcd}", "bc"),
    "substr from the right": ("${s_-2_1:abcd}", "c"),
    "substr from the right without a length": ("${s_-1:abc}", "ab"),
    "substr without numbers": ("${substr_:abc}", "abc"),
    "a character cut and put together": ("${substr_0_1:é}${substr_1_1:é}", "é"),
    "an underscore that means nothing": ("${lc_x:A}", "a"),
    # digests and digits
    "md5 in small letters": ("${md5:abc}", "900150983cd24fb0d6963f7d28e17f72"),
    "sha1 in capitals": ("${sha1:abc}", "A9993E364706816ABA3E25717850C26C9CD0D89D"),
    "sha256": ("${sha256:a}", "CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8147C4E72B9807785AFEE48BB"),
    "sha3": ("${sha3:a}", "80084BF2FBA02475726FEB2CAB2D8215EAB14BC6BDD8BFB2C8151257032ECD8B"),
    "base64": ("${base64:a b}", "YSBi"),
    "base64 without spaces": ("${base64d:Y Q = =}", "a"),
    "base62": ("${base62:1234}", "0000Ju"),
    "base62 of nothing": ("${base62:}", "000000"),
    "base62 back": ("${base62d:0000Ju}", "1234"),
    "base32": ("${base32:1234}", "bgs"),
    "base32 back": ("${base32d:bgs}", "1234"),
    "hex2b64": ("${hex2b64:616263}", "YWJj"),
    "hexquote": ("${hexquote:a b\\n\\x01é}", "a\\x20b\\x0a\\x01\\xc3\\xa9"),
    "hash": ("${hash_3_5:abcdef}", "dda"),
    "nhash": ("${nhash_8_64:supercalifragilisticexpialidocious}", "6/33"),
    # quoting
    "a plain word needs no quotes": ("${quote:a.b-c_1}", "a.b-c_1"),
    "nothing needs quotes": ("${quote:}", '""'),
    "quotes and backslashes": ('${quote:a"b\\\\c\\n}', '"a\\"b\\\\c\\n"'),
    "a local part": ("${quote_local_part:a+b}", "a+b"),
    "a local part with a dot in front": ("${quote_local_part:.a}", '".a"'),
    "for mysql": ("${quote_mysql:a'b}", "a\\'b"),
    "for PostgreSQL": ("${quote_pgsql:a'b\"c}", "a''b\\\"c"),
    "utf8clean of what is too large": ("${utf8clean:\\xf5\\x80\\x80\\x80x}", "?x"),
    "utf8clean of a character cut short by another": ("${utf8clean:\\xc3\\xc3\\xa9x}", "??x"),
    "for lsearch": ("${quote_lsearch:a'b}", "a'b"),
    "for regular expressions": ("${rxquote:a_b}", "a\\_b"),
    "escape": ("${escape:\\t\\n\\x01é\\\\}", "\t\\n\\001\\303\\251\\"),
    "escape8bit": ("${escape8bit:\\n\\x7fé\\\\}", "\n\\177\\303\\251\\134"),
    # addresses
    "address": ("${address:A B <u@h.example> (c)}", "u@h.example"),
    "local part": ("${local_part:u@h}", "u"),
    "domain": ("${domain:u@h}", "h"),
    "no address": ("${address:a b@h}", ""),
    "addresses": ('${addresses:a@b, "x, y" <c@d>, g: e@f;}', "a@b:c@d:e@f"),
    "addresses with the first octet for a separator": ("${addresses:>é a@b, c@d}", "c@d"),
    "addresses with a separator": ("${addresses:>,a@b, c@d}", "a@b,c@d"),
    # lists
    "listcount": ("${listcount:a:b::c}", "2"),
    "listnamed": ("${listnamed:locals}", "a.example : *.b.example"),
    "listnamed with a named list inside": ("${listnamed:both}", "a.example : *.b.example : c.example"),
    "listnamed with another separator": ("${listnamed:six}", "2001::db8::::1 : 10.0.0.0/8 : a;b"),
    "listnamed of one kind": ("${listnamed_h:+net}", "10.0.0.0/8"),
    # times
    "time_interval": ("${time_interval:694861}", "1w1d1h1m1s"),
    "time_interval of nothing": ("${time_interval:}", "0s"),
    "time_eval": ("${time_eval:1w1d1h1m1s}", "694861"),
    # IP addresses
    "mask": ("${mask:10.111.131.206/28}", "10.111.131.192/28"),
    "mask of IPv6 is written with dots": (
        "${mask:2001:db8::1/64}",
        "2001.0db8.0000.0000.0000.0000.0000.0000/64",
    ),
    "mask_n of nothing but zeros": ("${mask_n:::1/64}", ":/64"),
    "mask_n": ("${mask_n:2001:db8::1/64}", "2001:db8::/64"),
    "reverse_ip": ("${reverse_ip:192.0.2.4}", "4.2.0.192"),
    "reverse_ip of IPv6": (
        "${reverse_ip:2001:db8::1}",
        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2",
    ),
    "reverse_ip of IPv4 in IPv6": ("${reverse_ip:::ffff:192.0.2.4}", "4.2.0.192"),
    "ipv6norm": ("${ipv6norm:2001:0:0:0:1:0:0:1}", "2001::1:0:0:1"),
    "ipv6norm of one zero": ("${ipv6norm:1:0:2:3:4:5:6:7}", "1::2:3:4:5:6:7"),
    "ipv6denorm": ("${ipv6denorm:1.2.3.4}", "0000:0000:0000:0000:0000:ffff:0102:0304"),
    # texts for headers
    "rfc2047 of plain text": ("${rfc2047:a b}", "a b"),
    "rfc2047": ("${rfc2047:café_x}", "=?UTF-8?Q?caf=C3=A9=5Fx?="),
    "rfc2047d": ("${rfc2047d:=?utf-8?q?a_b?= =?iso-8859-1?q?=e9?=}", "a bé"),
    "from_utf8": ("${from_utf8:a€}", "a_"),
    "utf8clean": ("${utf8clean:a\\xffb\\xc3}", "a?b?"),
    "utf8clean of a surrogate": ("${utf8clean:\\xed\\xa0\\x80}", "?"),
    # expansion
    "expand": ("${expand:\\$primary_hostname}", "client.example.net"),
    "randint below one": ("${randint:1}", "0"),
}


@pytest.mark.parametrize(("text", "expected"), RESULTS.values(), ids=RESULTS)
def test_an_operator_gives(expand: Expand, text: str, expected: str) -> None:
    assert expand(text) == expected


ERRORS = {
    "no values": ("${s:abc}", "missing values after s"),
    "letters for numbers": ("${substr_x:abc}", 'non-digit after underscore in "substr_x"'),
    "a second length": ("${length_1_2:abc}", 'non-digit after underscore in "length_1_2"'),
    "base64d": ("${base64d:YWJ}", 'string "YWJ" is not well-formed for "base64d" operator'),
    "base64d with padding too many": ("${base64d:YWJj=}", 'string "YWJj=" is not well-formed for "base64d" operator'),
    "base62": ("${base62:x}", 'argument for base62 operator is "x", which is not a decimal number'),
    "base62d": ("${base62d:!}", 'argument for base62d operator is "!", which is not a base 62 number'),
    "base32d": ("${base32d:A}", 'argument for base32d operator is "A", which is not a base 32 number'),
    "hex2b64": ("${hex2b64:xy}", '"xy" is not a hex string'),
    "hex2b64 of an odd number": ("${hex2b64:abc}", '"abc" contains an odd number of characters'),
    "quote for an unknown lookup": ("${quote_nosuch:a}", 'unknown lookup type "nosuch"'),
    "time_interval": ("${time_interval:1.5}", 'string "1.5" is not a positive number in "time_interval" operator'),
    "time_eval": ("${time_eval:1x}", 'string "1x" is not an Exim time interval in "time_eval" operator'),
    "mask of no address": ("${mask:x/8}", '"x/8" is not an IP address'),
    "mask without a mask": ("${mask:1.2.3.4}", 'missing mask value in "1.2.3.4"'),
    "mask too big": ("${mask:1.2.3.4/33}", 'mask value too big in "1.2.3.4/33"'),
    "reverse_ip": ("${reverse_ip:x}", "reverse_ip() not given an IP address [x]"),
    "ipv6norm": ("${ipv6norm:x}", '"x" is not an IP address'),
    "sha2": ("${sha2_224:a}", "unrecognised sha2 variant"),
    "sha3": ("${sha3_1:a}", "unrecognised sha3 variant"),
    "listnamed": ("${listnamed:nosuch}", '"nosuch" is not a named list'),
    "listnamed of another kind": ("${listnamed_d:net}", '"net" is not a domain named list'),
    "listnamed of no kind": ("${listnamed_x:net}", 'bad suffix on "list" operator'),
    "addresses without a separator": ("${addresses:>}", "output separator missing in expanding ${addresses:>}"),
    "stat": ("${stat:/nonexistent}", "stat(/nonexistent) failed: No such file or directory"),
    "expand": (
        "${expand:\\${if eq\\{a\\}}",
        'internal expansion of "${if eq{a}" failed: missing 2nd string in {} after "eq"',
    ),
    "rfc2047d of an unknown charset": (
        "${rfc2047d:=?nosuch?q?a?=}",
        'iconv_open("UTF-8", "nosuch") failed: Invalid argument (maybe unsupported conversion)',
    ),
    "quote for lsearch with an option": ("${quote_lsearch_x:a}", '"x" unrecognized after "${quote_lsearch"'),
    "listnamed of local parts": ("${listnamed_l:net}", '"net" is not a localpart named list'),
    "randint before what follows": ("${randint:-1x}", 'non-negative integer expected but "-1x" found'),
    "randint": ("${randint:-1}", 'non-negative integer expected but "-1" found'),
}


@pytest.mark.parametrize(("text", "mistake"), ERRORS.values(), ids=ERRORS)
def test_an_operator_fails_with(expand: Expand, text: str, mistake: str) -> None:
    with pytest.raises(ExpansionError) as caught:
        expand(text)
    assert str(caught.value) == mistake


def test_bad_arguments_pass_where_they_are_skipped_and_an_unknown_operator_does_not(expand: Expand) -> None:
    assert expand("${if eq{a}{b}{${substr_x:a}${quote_nosuch:a}}{no}}") == "no"
    with pytest.raises(ExpansionError, match="unknown expansion operator"):
        expand("${if eq{a}{b}{${nosuch:a}}{no}}")


def test_stat_shows_what_ls_would(expand: Expand, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    path.chmod(0o640)
    os.utime(path, (1, 2))
    shown = expand(f"${{stat:{path}}}")
    assert shown.startswith("mode=0640 smode=-rw-r----- ")
    assert " size=3 atime=1 mtime=2 ctime=" in shown


def test_a_long_encoded_text_is_several_words_and_no_character_is_cut(expand: Expand) -> None:
    words = expand("${rfc2047:" + "aé" * 60 + "}").split(" ")
    assert len(words) > 1
    assert all(len(word) <= 90 and word.count("=C3") == word.count("=A9") for word in words)
    assert expand("${rfc2047d:" + " ".join(words[1:]) + "}").replace("a", "").replace("é", "") == ""
