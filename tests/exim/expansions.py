"""Random expansions for comparing with the real Exim: well-formed ones, and the same with something broken.

Left out is what Exim 4.96 gets wrong by defects of its own: conditions that it evaluates though they are skipped, sort
keys that contain the separator, values that one expansion leaves behind for the next, and ``${ipv6norm:::}``, which
swallows what comes behind it; and what Exim dies of, such as ``nhash`` of zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random

LIMIT = 240
"""Octets that Exim takes as one argument, less a little."""
DEPTH = 6
GRAMMAR = {
    "text": ("@word@", "@item@", "@item@", "@text@@glue@@text@"),
    "glue": ("", "-", " ", ":"),
    "word": (
        "a", "b", "A", "ab", "", "1", "2", "10", "x y", "k=v a=1", "u@h.example", "one", "q k", "10.1.2.3", "*", "1k",
        "-1", "yes", "no", "é", "zz a", "x.b.example", "a.example", "root", '"q"', "\\n", "\\x41", "\\\\", "\\$x",
    ),
    "item": (
        "${if @cond@@yesno@}", "${if @cond@{@text@}{@text@}}", "${extract{@key@}{@text@}@yesno@}",
        "${extract{@number@}{@separators@}{@text@}@yesno@}", "${listextract{@number@}{@list@}@yesno@}",
        "${lookup{@text@}@kind@{@file@}@yesno@}", "${map{@list@}{<$item>}}", "${map{@list@}{@text@}}",
        "${map{<;@list@}{@text@}}", "${filter{@list@}{@cond@}}", "${reduce{@list@}{}{$value,$item}}",
        "${sort{@list@}{@order@}{$item}}", "${sort{@list@}{@order@}{${lc:$item}}}",
        "${sg{@text@}{\\N@pattern@\\N}{@replacement@}}", "${substr{@number@}{@count@}{@text@}}",
        "${tr{@text@}{ab:}{@word@}}", "${@operator@:@text@}", "${@operator@:@text@}", "${@typed@}", "${@typed@}",
        "${length{@number@}{@text@}}", "${hash{@positive@}{@positive@}{@text@}}", "${hash{@positive@}{@text@}}",
        "${nhash{@positive@}{@text@}}", "${nhash{-2}{@positive@}{@text@}}", "${hmac{@digest@}{@text@}{@text@}}",
        "${readfile{@path@}}", "${readfile{@path@}{@word@}}", "${env{NOSUCH}@yesno@}",
        "${listquote{@separators@}{@text@}}", "@variable@", "@variable@", "${@bare@}",
    ),
    "typed": (
        "eval:@sum@", "eval10:@sum@", "mask:@network@", "mask_n:@network@", "reverse_ip:@ip@", "ipv6norm:@ip@",
        "ipv6denorm:@ip@", "address:@mailbox@", "domain:@mailbox@", "local_part:@mailbox@", "addresses:@mailboxes@",
        "addresses:>@separators@ @mailboxes@", "@octetwise@:@octets@", "@octetwise@:@octets@", "@decoding@:@coded@",
        "time_interval:@seconds@", "time_eval:@time@", "listcount:@list@", "listnamed:@listname@",
        "listnamed_@kindletter@:locals", "substr_@number@_@count@:@octets@", "s_@number@:@octets@",
        "length_@count@:@octets@", "l_@number@:@text@", "hash_@positive@_@positive@:@octets@",
        "nhash_@positive@:@octets@", "nh_@positive@_@positive@:@text@", "expand:@escaped@", "stat:@nofile@",
        "quote_@lookup@:@octets@", "sha2_@bits@:@text@", "sha256_@bits@:@text@", "sha3_@bits@:@text@",
        "rfc2047d:@encoded@",
    ),
    "sum": (
        "1", "@sum@+@sum@", "@sum@ - @sum@", "(@sum@)", "@sum@*@sum@", "@sum@/@sum@", "@sum@%@sum@", "-@sum@", "~@sum@",
        "0x1F", "017", "08", "12K", "3M", " 7 ", "@sum@<<@sum@", "@sum@>>@sum@", "@sum@&@sum@", "@sum@|@sum@",
        "@sum@^@sum@", "9223372036854775807", "", "1 2", "1.5", "0x", "2g", "!1", "(1", "1)",
    ),
    "ip": (
        "10.1.2.3", "::1", "2001:db8::a:B", "fe80::1%eth0", "::ffff:10.1.2.3", "1.2.3", "256.1.1.1", "01.2.3.4",
        "2001:db8:0:0:1::", "1:2:3:4:5:6:7:8:9", "", "2001:DB8::1.2.3.4", "1.2.3.4.5", "g::1",
    ),
    "network": ("@ip@/@bits@", "@ip@", "@ip@/", "@ip@/8", "@ip@/x", "@ip@/64 "),
    "bits": ("0", "8", "9", "24", "32", "33", "64", "128", "129", "256", "512", "384", "x", "-1"),
    "mailbox": (
        "u@h.example", "User Name <u@h.example>", '"Q, \\\\" x" <q.q@h>', "(c) u (d) @ h (e(f)) . example", "<>", "<u>",
        "u", '"u v"@h', "u@[10.0.0.1]", "@h", "u@", "<u@h", "a.b.@h", ".a@h", "<@r,@s:u@h>", "g: a@b;", "u@h u@k",
        "u@h,", "<u@h> x", "é@h", "u@é.x", "a..b@h", "\\\\u@h", "u@h_x", "u @h", "=?x?q?y?= <u@h>", "<u@-h>", '"u@h',
        "u(@h", "",
    ),
    "mailboxes": ("@mailbox@", "@mailbox@, @mailbox@", "@mailbox@,@mailbox@ ,,@mailbox@", "x: @mailbox@, @mailbox@;"),
    "octetwise": (
        "lc", "uc", "strlen", "quote", "quote_local_part", "rxquote", "escape", "escape8bit", "hexquote", "md5", "sha1",
        "sha256", "sha512", "sha3", "base64", "str2b64", "base32", "base62", "utf8clean", "from_utf8", "rfc2047",
        "rfc2047d", "headerwrap", "headerwrap_20", "headerwrap_9_20", "headerwrap_30_50", "length_3", "ipv6norm",
        "bless",
    ),
    "octets": (
        "abc", "@octets@@octets@", "@octets@@octets@", " ", "é", "€", "\\xff", "\\xc3", "\\xe2\\x82",
        "\\xf0\\x9f\\x98\\x80", "\\n", "\\r", "\\t", "\\x7f", "\\x01", "\\\\", '"', "=", "?", "_", "A.b", "<", "(", "'",
        "*", "\\xed\\xa0\\x80", "\\xc0\\x80", "0123456789", "a long piece of text with blanks in it ", "\\b\\v\\f", "-",
        "ÄÖ", "@", "\\xf5\\x80", "\\x85",
    ),
    "decoding": ("base64d", "base32d", "base62d", "hex2b64", "base62", "base32"),
    "coded": (
        "YQ==", "YWI=", "YWJj", "YQ", "Y", "YW Jj", "Y?==", "====", "YQ=a", "mfrgg", "MFRGG", "2z", "0000Az", "ZZZZZZ",
        "61", "616", "6G", "FfFf", "4294967296", "18446744073709551616", "-1", "7", "", " 5", "é", "aaaaaaaa", "7k",
        "1k",
    ),
    "seconds": (
        "0", "59", "60", "3600", "90061", "604800", "1209661", "-1", "2147483649", "4294967296", "", "x", "1h", " 5",
    ),
    "time": ("1h", "1h30m", "2w3d", "90s", "1s1h", "10", "", "h", "1 h", "3550w", "1.5h", "-1h", "1y", "99999w"),
    "listname": ("locals", "+locals", "more", "nets", "friends", "names", "nosuch", ""),
    "kindletter": ("d", "h", "a", "l", "x", "", "dx"),
    "escaped": ("\\$domain", "\\${lc:A}", "a\\\\nb", "\\$nosuch", "\\${if", "@text@", "\\${if eq{a}{b}{}fail\\}"),
    "encoded": (
        "=?utf-8?q?a=C3=A9_b?=", "=?utf-8?B?w6k=?=", "=?iso-8859-1?q?=E9?=", "=?x-nosuch?q?a?=",
        "=?utf-8?q?a?= =?utf-8?q?b?=", "a =?utf-8?q?=?= b", "=?utf-8?q?=4?=", "=?utf-8?z?a?=", "=?utf-8?q?a",
        "=?utf-8?b?!?=", "=?us-ascii?q?=80?=", "=?utf-8?q?=00x?=", "=?utf-8?q?a b?=", "=?UTF-8*de?q?a?=",
        "=?utf-8?q?=FF?=", "=??q?a?=", "@encoded@ @encoded@",
    ),
    "digest": ("md5", "sha1", "sha256", "MD5", ""),
    "path": ("@file@", "/nosuch/file", "/", "", "@file@x"),
    "nofile": ("/nosuch", "", "@file@/x"),
    "lookup": ("lsearch", "mysql", "pgsql", "sqlite", "nosuch", "dsearch", "mysql_x"),
    "variable": (
        "$primary_hostname", "$qualify_domain", "$domain", "$local_part", "$message_size", "$host_port",
        "$interface_port", "$r_any", "$acl_m0", "$acl_c_x", "$acl_m", "$acl_x", "$0", "$1", "${1}", "$9", "$99",
        "$value", "$item", "$h_subject:", "$rh_to:", "$bheader_x:", "$lh_x:", "$h_x", "$message_headers",
        "$tls_in_cipher", "$version_number", "$qualify_recipient", "$sender_host_address", "$regex1", "$acl_arg1",
        "$spam_score", "$prdr_requested", "$rcpt_count", "$Value", "$values",
    ),
    "bare": (
        "domain", "value", "item", "1", "12", "1a", "nosuch", "h_x:", "rh_x", " domain", "domain ", "lc", "if", "run_x",
        "a-b",
    ),
    "yesno": ("", "{<$value>}", "{@text@}", "{@text@}fail", "{@text@}{@text@}"),
    "key": ("a", "k", " k ", "1x", "A"),
    "number": ("1", "2", "-1", "0", "-2", "9"),
    "positive": ("1", "2", "9", "26"),
    "count": ("0", "1", "2"),
    "separators": (":", " ", ",:", "=", "é"),
    "list": ("@entry@", "@entry@:@entry@", "@entry@:@entry@:@entry@"),
    "entry": ("a", "b", "B", "ab", "1", "2", "10", "k=v", "é", "x y", "one"),
    "kind": ("lsearch", "lsearch*", "lsearch*@", "partial-lsearch", "partial0-lsearch*", "lsearch,ret=key"),
    "order": ("<", ">=", "lt", "gei", "le", "lti"),
    "pattern": ("a", "b*", "(.)", "[a-z]+", "^", "(a)|(b)", "(?i)A", "[^[:alpha:]]", "x{1,2}?", "(", "[]a-]"),
    "replacement": ("x", "<\\$0>", "\\$1", "@text@"),
    "operator": (
        "lc", "uc", "strlen", "length_2", "substr_1_2", "s_-1", "quote", "listcount", "sha1", "rxquote", "expand",
        "domain", "local_part", "address", "addresses", "base64", "base64d", "base62", "escape", "hexquote", "hash_2_9",
        "nhash_5_7", "time_interval", "time_eval", "mask", "reverse_ip", "rfc2047", "rfc2047d", "utf8clean", "eval",
        "hex2b64",
    ),
    "cond": (
        "@compare@{@text@}{@text@}", "@relation@{@text@}{@text@}", "!@cond@", "and{{@cond@}{@cond@}}",
        "or{{@cond@}{@cond@}}", "forany{@list@}{eq{$item}{a}}", "forall{@list@}{match{$item}{b}}",
        "match{@text@}{@matched@}", "inlist{@text@}{@list@}", "inlisti{@text@}{@list@}", "@test@{@text@}", "def:h_x:",
        "def:domain", "def:primary_hostname", "match_domain{x.b.example}{@domains@}",
        "match_address{@mailbox@}{@addresses@}", "match_local_part{@word@}{@localparts@}", "match_ip{@ip@}{@hosts@}",
        "bool{@boolean@}", "bool_lax{@boolean@}", "isip{@ip@}", "isip4{@ip@}", "isip6{@ip@}",
        "crypteq{@word@}{@stored@}", "def:@defined@", "first_delivery", "queue_running", "@oddcond@",
        "match{@octets@}{@matched@}", "= {@sum@}{@sum@}", "> {@coded@}{@seconds@}",
        "inlist{@octets@}{<@separators@ @list@}",
    ),
    "addresses": ("*@h.example", "u@h", "*", "h", "^u@", "!u@h.example", '"u v"@h', "<; u@h ; *@[10.0.0.1]"),
    "localparts": ("a", "*b", "^.", "!a", "+names", "A", "+caseful:A"),
    "hosts": (
        "10.0.0.0/8", "<; ::1 ; fe80::/10", "*", "+nets", "!*", "10.1.2.3", "<; ::ffff:10.1.2.3/128", "1.2.3",
        "h.example",
    ),
    "boolean": (
        "true", "Yes", "no", "FALSE", "0", "00", "-1", "1", " 1 ", "", " ", "x", "4294967296", "2147483648", "1.0", "-",
        "+1",
    ),
    "stored": (
        "\\{md5\\}CY9rzUYh03PK3k6DJie09g==", "\\{sha1\\}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "\\{crypt\\}ab", "\\{x\\}y", "",
        "ab", "\\{crypt16\\}x", "\\{md5\\}098f6bcd4621d373cade4e832627b4f6", "\\{sha1\\}", "\\{md5\\}x",
    ),
    "defined": ("h_subject:", "domain", "nosuch", "acl_m0", "1", "header_x:", "h_x", "", "h_:", "rh_a b:", "value"),
    "oddcond": (
        "eq{a}", "eq a{b}", "eq {a} {a}", "and{}", "or{}", "and{eq{a}{a}}", "nosuch{a}", "=={1}{1}", "=>{1}{1}",
        "match{a}", "!!eq{a}{a}", "! eq{1}{1}", "eq{a}{a}{b}", "forany{@list@}{}", "exists{/}",
        "and {{eq{a}{a}} {eq{b}{b}}}",
    ),
    "compare": ("eq", "eqi", "lt", "gei", "le"),
    "relation": ("=", "<", ">="),
    "matched": ("a", "^(.)(.)", "b\\$", "(?i)B", "(x)?"),
    "test": ("bool_lax", "isip", "isip4", "isip6", "exists"),
    "domains": ("*", "!a", "*.example", "+locals", "^x"),
    "broken": (
        "{", "}", "$", "${", "\\", ":", "!", "fail", " ", "a", "0", "-", "=", '"', "$nosuch", "{}", "${lc:A}", "<", "1",
    ),
}  # fmt: skip
"""What each word between at signs may stand for; the first choice ends what would go down too far."""


class Maker:
    """Makes strings out of *grammar*, beginning with the symbol *start*."""

    def __init__(self, random: Random, grammar: Mapping[str, Sequence[str]], start: str = "item") -> None:
        self._random = random
        self._grammar = grammar
        self._start = start

    def text(self) -> str:
        """Return a string that Exim takes as an argument, neither for an option nor for a macro's definition."""
        while True:
            text = self._made(self._start, DEPTH)
            if self._random.random() < 0.4:
                text = self._broken(text)
            if not text.startswith("-") and not text[:1].isupper() and 0 < len(text.encode()) <= LIMIT:
                return text

    def _made(self, symbol: str, depth: int) -> str:
        choices = self._grammar[symbol]
        chosen = self._random.choice(choices) if depth > 0 else choices[0]
        return re.sub(r"@(\w+)@", lambda match: self._made(match[1], depth - 1), chosen)

    def _broken(self, text: str) -> str:
        at = self._random.randrange(len(text) + 1)
        if self._random.random() < 0.5:
            return text[:at] + text[at + 1 :]
        return text[:at] + self._made("broken", 1) + text[at:]
