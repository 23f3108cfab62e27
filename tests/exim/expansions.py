"""Random expansions for comparing with the real Exim: well-formed ones, and the same with something broken.

Left out is what Exim 4.96 gets wrong by defects of its own: conditions that it evaluates though they are skipped, sort
keys that contain the separator, and values that one expansion leaves behind for the next.
"""

from __future__ import annotations

import re
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
        "${tr{@text@}{ab:}{@word@}}", "${@operator@:@text@}", "${@operator@:@text@}",
    ),
    "yesno": ("", "{<$value>}", "{@text@}", "{@text@}fail", "{@text@}{@text@}"),
    "key": ("a", "k", " k ", "1x", "A"),
    "number": ("1", "2", "-1", "0", "-2", "9"),
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
        "match{@text@}{@matched@}", "inlist{@text@}{@list@}", "inlisti{@text@}{@list@}", "@test@{@text@}",
        "def:h_x:", "def:domain", "def:primary_hostname", "match_domain{x.b.example}{@domains@}",
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
    """Makes strings; *file* is an lsearch file that they may look into."""

    def __init__(self, random: Random, file: str) -> None:
        self._random = random
        self._grammar = {**GRAMMAR, "file": (file,)}

    def text(self) -> str:
        """Return a string that Exim takes as an argument, neither for an option nor for a macro's definition."""
        while True:
            text = self._made("item", DEPTH)
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
