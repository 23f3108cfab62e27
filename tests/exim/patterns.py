"""Random regular expressions, for ``match`` and ``${sg``: PCRE is one library, Python's ``re`` another.

What no subject of ours can tell apart is left out: Unicode properties, verbs, recursion, which are errors with us.
"""

from __future__ import annotations

GRAMMAR = {
    "question": (
        "${if match{@subject@}{\\N@whole@\\N}{yes <$0> <$1> <$2> <$3>}{no}}",
        "${if match{@subject@}{\\N@whole@\\N}{yes <$0> <$1> <$2> <$3>}{no}}",
        "${sg{@subject@}{\\N@whole@\\N}{<\\$0|\\$1|\\$2>}}",
    ),
    "subject": ("@text@", "@text@", "@text@\\n", "@text@\\n@text@", ""),
    "text": (
        "ab", "a", "B", "aab", "abab", "aB1_ ", "x.y-z", "1 2", "é", "a]b", "@text@@text@", "@text@@text@", "\\t",
        "\\r\\n", "[x]", "0", "^", "a$b", "\\\\", "AB", "\\x85", "z", ",", "aaa",
    ),
    "whole": ("@sequence@", "^@sequence@", "@sequence@$", "^@sequence@$", "@sequence@|@sequence@", "(?i)@sequence@"),
    "sequence": ("@piece@", "@piece@@sequence@", "@piece@@sequence@", "@piece@@sequence@"),
    "piece": ("@atom@", "@atom@@quantifier@", "@atom@", "@assertion@", "(@whole@)@quantifier@"),
    "atom": (
        "a", "b", "B", "1", "x", ".", "@class@", "@class@", "(@whole@)", "(@whole@)", "(?:@whole@)", "(?>@whole@)",
        "\\d", "\\w", "\\s", "\\D", "\\W", "\\S", "\\h", "\\H", "\\v", "\\V", "\\N", "\\R", "\\.", "\\x61", "\\x{62}",
        "\\141", "\\o{141}", "\\t", "\\e", "\\cA", "\\1", "\\2", "\\g1", "\\g{-1}", "\\Qa.b\\E", "\\Q", "é", " ",
        "-", "]", "}", ",", "(?<n>@whole@)", "\\k<n>", "(?P<m>@whole@)", "(?P=m)", "(?i:@whole@)", "(?s)", "(?m)",
        "(?x) a # b", "(?-i)", "(?i)", "(?#x)", "(?is-m:@whole@)", "\\8", "\\10", "\\0", "\\x", "\\a", "\\f",
        "(?(1)@sequence@|@sequence@)", "(?(1)@sequence@)", "\\-", "\\/", "\\@",
    ),
    "quantifier": (
        "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,}", "{0,2}", "{1,2}?", "{,2}", "++", "*+", "?+", "{2", "{a}",
        "{0}",
    ),
    "assertion": (
        "^", "$", "\\b", "\\B", "\\A", "\\z", "\\Z", "(?=@sequence@)", "(?!@sequence@)", "(?<=a)", "(?<!b)",
        "(?<=ab|b1)", "(?<=@atom@)", "(?<!@atom@)", "\\G", "(?<=a|bc)",
    ),
    "class": (
        "[ab]", "[^a]", "[a-c]", "[@member@@member@]", "[^@member@@member@]", "[@member@@member@@member@]", "[]a]",
        "[^]a]", "[a-]", "[-a]", "[\\]a]", "[[:alpha:]]",
    ),
    "member": (
        "a", "b", "x", "a-c", "A-Z", "0-9", "\\d", "\\w", "\\s", "\\W", "\\h", "\\v", "[:alpha:]", "[:^digit:]",
        "[:space:]", "[:punct:]", "[:upper:]", "[:word:]", "-", "\\]", "\\\\", "^", "]", "[", "\\x61-\\x63", "\\b",
        "\\n", "é", "z-a", "\\d-z", "a-\\w", "\\Qa-b\\E", "&&", "||", "--", "~~", "\\101", "[:nosuch:]", "[.a.]", ".",
        "\\E", "[:blank:]", "[:xdigit:]", "[:cntrl:]", "\\0", "#", " ",
    ),
    "broken": (
        "(", ")", "[", "]", "{", "*", "+", "?", "\\", "|", "^", "$", "a", "-", ":", "(?", "(?<", "[:", "}", "1", ",",
        "\\i", "\\c", "!",
    ),
}  # fmt: skip
