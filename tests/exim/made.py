"""Random lists and files; expansions are made in ``expansions.py``, routers in ``configurations.py``.

What is made is text that an administrator could have written, now and then with something odd in it.
"""

from __future__ import annotations

from random import Random

_DOMAINS = ("a.example", "x.b.example", "b.example", "c.example", "d.other", "A.EXAMPLE", "h.example", "x", "")
_LOCAL_PARTS = ("root", "postmaster", "boss", "Boss", "x-y", "a+b", "")
_HOSTS = ("10.1.2.3", "192.0.2.1", "127.0.0.1", "2001:db8::1", "::1", "::ffff:10.1.2.3", "1.2.3", "")
_ADDRESSES = (
    "u@a.example", "boss@b.example", "BOSS@B.Example", "u@c.example", "root", "", "x@x.b.example", "@a.example",
    "u@", "@", "root@x", "Boss@A.Example", "a@b@c.example",
)  # fmt: skip
_ITEMS = {
    "domain": (
        "a.example",
        "*.b.example",
        "*example",
        "*",
        "^a",
        "^.*\\\\.b",
        "@",
        "@[]",
        "+locals",
        "+more",
        "h.example",
        "lsearch;{file}",
        "partial-lsearch;{file}",
        "nwildlsearch;{file}",
        "lsearch*;{file}",
        "dsearch;{directory}",
        "A.Example",
        "^A\\N",
        "{list}",
        "x",
    ),
    "local_part": (
        "root",
        "post*",
        "*",
        "^po",
        "+names",
        "Boss",
        "*y",
        "lsearch;{file}",
        "+caseful",
        "{list}",
        "^BO",
    ),
    "address": (
        "*@a.example",
        "boss@b.example",
        "*",
        "^boss",
        "a.example",
        "@a.example",
        "*.b.example",
        "boss@*.example",
        "+friends",
        "lsearch;{file}",
        "@@lsearch;{file}",
        "*@+locals",
        "boss@+more",
        "*@!a.example",
        "+caseful",
        "BOSS@b.example",
        "*s@b.example",
        "lsearch*@;{file}",
        "root@",
        "@",
        "u@!",
        "*@",
        "@@",
        "u@*",
        "a@b@c.example",
        "^$",
        "{list}",
    ),
    "ip": (
        "10.0.0.0/8",
        "10.1.2.3",
        "192.0.2.0/24",
        "2001:db8::/32",
        "::1",
        "*",
        "+nets",
        "@[]",
        "net-lsearch;{file}",
        "net24-lsearch;{file}",
        "iplsearch;{file}",
        "net-iplsearch;{file}",
        "10.1.2.3/99",
        "::ffff:10.1.2.3/104",
        "::ffff:10.1.2.3",
        "$primary_hostname",
        "!10.0.0.0/8",
        "+include_unknown",
        "+ignore_unknown",
        "nosuch.example",
        "+none",
        "{list}",
        "@",
    ),
}
_SUBJECTS = {"domain": _DOMAINS, "local_part": _LOCAL_PARTS, "address": _ADDRESSES, "ip": _HOSTS}
_KEYS = (
    "a.example", "b.example", "x.b.example", "*.b.example", "*", "*@a.example", "root", "boss@b.example", "10.1.2.3",
    "10.1.2.0", "192.0.2.0/24", "2001:db8::1", "^x", "boss", '"q k"', '"a\\"b"', "q", "KEY", "k\\x41", "!a.example",
)  # fmt: skip
_DATA = (
    "",
    "one",
    "two words",
    'a=1 b="x y"',
    "k: v",
    "root : ^post",
    "> a.example",
    "*",
    "!root : *",
    "  lead",
    "end  ",
)
_KINDS = (
    "lsearch", "lsearch*", "lsearch*@", "partial-lsearch", "partial1-lsearch*", "partial(x.)lsearch", "wildlsearch",
    "nwildlsearch", "nwildlsearch*", "iplsearch", "iplsearch*", "lsearch,ret=key", "lsearch,ret=full",
    "partial-lsearch,ret=key", "dsearch",
)  # fmt: skip


class Maker:
    """Makes them, the same for the same *random*; *file* and *directory* are what lookups name."""

    def __init__(self, random: Random, file: str, directory: str, listed: str) -> None:
        self._random = random
        self._names = {"file": file, "directory": directory, "list": listed}

    def list_condition(self) -> str:
        """Return an expansion that matches a subject against a list."""
        random = self._random
        kind = random.choice(tuple(_ITEMS))
        items = [self._item(kind) for _ in range(random.choice((1, 1, 2, 3, 4)))]
        separator, text = random.choice(((" : ", ""), (":", ""), (" ; ", "<; "), (",", "<,")))
        text += separator.join(items) + random.choice(("", "", "", separator))
        shown = ":$value" if kind in ("domain", "local_part") else ""
        shown = (
            "" if "!" in text or "more" in text else f"{shown}:$0:$1"
        )  # Exim keeps those of what was denied in a list
        subject = random.choice(_SUBJECTS[kind])
        return f"${{if match_{kind}{{{subject}}}{{{text}}}{{yes{shown}}}{{no}}}}"

    def _item(self, kind: str) -> str:
        random = self._random
        item = random.choice(_ITEMS[kind])
        for name, path in self._names.items():
            item = item.replace(f"{{{name}}}", path)
        return random.choice(("", "", "", "!", "! ")) + item

    def file_content(self) -> str:
        """Return an lsearch file."""
        random = self._random
        lines = []
        for _ in range(random.randrange(2, 14)):
            shape = random.randrange(12)
            key, data = random.choice(_KEYS), random.choice(_DATA)
            if shape == 0:
                lines.append(random.choice(("# a comment", "", "   ", "#", ":: x", "  # no comment")))
            elif shape == 1:
                lines.append(random.choice(("  more data", "\tmore", " : colon", "   ")))
            else:
                lines.append(key + random.choice((":", ": ", " : ", " ", "\t", "")) + data)
        return "\n".join(lines) + random.choice(("\n", "\n", ""))

    def lookup(self) -> str:
        """Return an expansion that looks a key up."""
        random = self._random
        key = random.choice((*_KEYS, *_DOMAINS, *_ADDRESSES, *_HOSTS)).strip('"').replace("\\", "\\\\")
        kind = random.choice(_KINDS)
        file = self._names["directory" if kind == "dsearch" else "file"]
        return f"${{lookup{{{key}}}{kind}{{{file}}}{{=$value:$1:$2}}{{-}}}}"
