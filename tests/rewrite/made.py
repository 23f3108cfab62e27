"""Rules and header lines made at random, as crooked as people write them."""

from __future__ import annotations

from random import Random

DOMAINS = ("a.example", "b.example", "x.a.example", "A.Example", "y.b.example", "other.net", "h.example")
LOCAL_PARTS = (
    "u",
    "v",
    "root",
    "U",
    "a.b",
    "first.last",
    "u+tag",
    '"q q"',
    "long-local-part-for-folding",
    "ü",
    "x.",
    "",
)
COMMENTS = ("(c)", "(a (nested) one)", "(c, with a comma)", "(open \\( paren)", "()")
PHRASES = ("Name", "First Last", '"Quoted, Q."', "A. B.", "=?utf-8?q?J=C3=B6rg?=", "Jörg", "two (c) words", '"', "x:y")
SPACES = ("", " ", "\n ", "\n\t", "  ")
JUNK = (
    "",
    ",",
    ";",
    "junk junk",
    "<",
    ">",
    "@",
    "a@",
    "@b",
    "a b@c",
    '"open',
    "(open",
    "undisclosed:;",
    "a@b@c",
    "\\",
    "[x]",
)
LOOKED_UP = "u: found@look.example\nv: Found Name <v@look.example>\nroot: bare\na.b: *\n"
KEYS = "a.example: x\nu@a.example: x\n*.b.example: x\n*@b.example: x\nother.net: u : !v : *t\n"
FLAGS = "EFThsfrtcbwqRQ"


class Maker:
    """Makes them; the same seed makes the same."""

    def __init__(self, random: Random, directory: str) -> None:
        """*directory* holds the files ``looked_up`` and ``keys``."""
        self._random = random
        self._patterns = (
            "*@a.example", "u@a.example", "*u@a.example", "*@*.example", "*.*@*", "a.example", "*.example", "*", "*@*",
            "!*@a.example", "*@+locals", "+people", "root@*", r"\N^(.+)@(.*)\.example$\N", r'"^(?i)U@(.*)"', "*@@",
            f"*@lsearch;{directory}/keys", f"*@partial-lsearch;{directory}/keys", f"lsearch;{directory}/keys",
            f"lsearch*@;{directory}/keys", f"@@lsearch;{directory}/keys", "*@!a.example", "*@$primary_hostname",
            '"*@${if eq{a}{a}{b.example}fail}"', '"*@${if eq{a}{b}{b.example}fail}"', "*@look.example", "*@new.example",
        )  # fmt: skip
        self._replacements = (
            "$1@new.example", "$local_part@new.example", "me@provider.example", '"N. Name <$local_part@new.example>"',
            '"Plain Name <me@provider.example> (comment)"', '"J\\xc3\\xb6rg <j@new.example>"', "*", "bare",
            "bad@@x", "<>",
            f'"${{lookup{{$local_part}}lsearch{{{directory}/looked_up}}{{$value}}fail}}"', "$2@$1.new.example", "$0",
            '"${if eq{$domain}{a.example}{x@b.example}fail}"', '"${lc:$local_part}@${lc:$domain}"', "$local_part",
            '"$1 <$local_part@b.example>"', '"\\"$local_part x\\" <me@b.example>"', "$nosuch@x",
        )  # fmt: skip

    def rules(self) -> list[str]:
        """Return one to four rules."""
        return [self.rule() for _ in range(self._random.randint(1, 4))]

    def rule(self) -> str:
        """Return a line."""
        flags = "".join(self._random.sample(FLAGS, self._random.choice((0, 0, 1, 2, 4))))
        return f"{self._pick(self._patterns)}  {self._pick(self._replacements)}  {flags}".rstrip()

    def address(self) -> str:
        """Return an address, perhaps with a domain."""
        domain = self._pick(DOMAINS) if self._random.random() < 0.8 else ""
        local_part = self._pick(LOCAL_PARTS)
        return f"{local_part}@{domain}" if domain else local_part

    def mailbox(self) -> str:
        """Return an address as it stands in a header line."""
        form = self._random.random()
        address = self.address()
        if form < 0.4:
            return address
        if form < 0.7:
            return f"{self._pick(PHRASES)}{self._pick(SPACES)}<{address}>"
        if form < 0.8:
            return f"{address}{self._pick(SPACES)}{self._pick(COMMENTS)}"
        if form < 0.85:
            return f"<@relay.example,@b.example:{address}>"
        if form < 0.9:
            local_part, _, domain = address.rpartition("@")
            return f"{local_part}{self._pick(COMMENTS)}@ {domain} {self._pick(COMMENTS)}"
        if form < 0.95:
            return f"group: {address}, {self.address()};"
        return self._pick(JUNK)

    def field(self) -> str:
        """Return a header line, LF line ends."""
        name = self._pick(("To", "Cc", "Bcc", "Reply-To", "Resent-To", "RESENT-CC", "to", "Sender", "X-To"))
        boxes = [self.mailbox() for _ in range(self._random.choice((1, 1, 1, 2, 3, 6)))]
        text = name + self._pick((":", ": ", ":  ", " : ", ":\n "))
        for number, box in enumerate(boxes):
            comma = "," if number + 1 < len(boxes) else ""
            text += f"{box}{self._pick(('', '', ' '))}{comma}{self._pick(SPACES) if comma else ''}"
        return text.replace("\n\n", "\n ").rstrip("\n \t") + "\n"

    def _pick(self, choices: tuple[str, ...]) -> str:
        return self._random.choice(choices)
