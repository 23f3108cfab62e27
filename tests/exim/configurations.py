"""Random routers sections, with the files that they read and the addresses to be asked about.

What a router knows (its affixes, ``$local_part_data`` …) is made visible by redirections that put it into an address.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from tests.exim.zone import ZONE

_DOMAINS = (*ZONE["zone"], "nosuch.example", "q.example", "one", "sub", "bare", "fileonly.example", "[192.0.2.7]")
_LOCAL_PARTS = (
    "u", "v", "U", "Root", "root", "mail", "real-u", "x-real-u", "u-list", "u+tag", "u+a+b", "real-", "list", "self",
    "many", "aliased",
)  # fmt: skip
_SENDERS = ("", "s@one.example", "S@Two.Example", "root@q.example")
_SHOWN = (
    "lp=$local_part p=$local_part_prefix s=$local_part_suffix ld=$local_part_data dd=$domain_data ad=$address_data "
    "r=$r_x 0=$0 1=$1 h=$home pl=$parent_local_part ol=$original_local_part pd=$parent_domain"
)
_ITEMS = (
    "a@one.example", "b@two.example", "C@MX.Example", "Some Body <c@two.example>", "<d@mx.example>", "local", "\\local",
    "e@one.example (a comment)", '"q p"@one.example', "self", "$local_part@$domain", "u@nosuch.example",
    "u@again.example",
    "/var/spool/x", "/var/mail/dir/", "|/bin/prog", '"|/bin/prog a b, c"', "|/bin/prog a", '"/a b/c"', ":blackhole:",
    ":fail:", ":fail: no such user", ":defer:", ":defer: come back", ":unknown:", ":include:@DIR@/included",
    ":include:/nosuch/file", ":include:included", ":include:@DIR@/nested", "# a comment", "a b c", "x@", "@one.example",
    "<>", "a@b@c", "list", "many", "postmaster", "f@mxdead.example", "g@[192.0.2.7]", "h@h.example", ":fail", "x:y",
    ":FAIL: loud", "a@one.example b@two.example", "group: a@one.example, b@one.example;", "u@one.example # what",
    "/etc/passwd/x@one.example", "'quoted'", '"unclosed', "", " ",
)  # fmt: skip
_CONDITIONS = (
    "yes", "no", "", " no", "0", "00", "false", "FALSE", "maybe", "${if eq{$local_part}{u}}",
    "${if eq{$local_part}{u}{yes}{no}}", "${if eq{$local_part}{u}{yes}fail}", "${if match{$domain}{^o}}",
    "${if eq{a}{", "$local_part_prefix", "${lookup{$local_part}lsearch{@DIR@/aliases}{yes}{no}}",
    "${lookup{x}lsearch{/nosuch}{yes}{no}}",
    "${lookup{x}iplsearch{@DIR@/aliases}{yes}{no}}", "${if exists{@DIR@/aliases}}",
)  # fmt: skip
_DOMAIN_LISTS = (
    "*", "q.example", "*.example", "!one.example", "+locals", "lsearch;@DIR@/aliases", "^o", "^(.)n(.)",
)  # fmt: skip
_IF_U = "${if eq{$local_part}{u}"
_ERRORS_TO = (
    "e@one.example", "<>", "", "bad@nosuch.example", f"{_IF_U}{{x@one.example}}fail}}", "${if eq{a}{", "no domain",
)  # fmt: skip
_FILES = (
    "@DIR@/aliases", "/nosuch", "!/nosuch", "! @DIR@/aliases", "@DIR@/aliases : /nosuch", "+/nosuch", "+!/nosuch",
    "${if eq{$local_part}{u}{@DIR@/aliases}{/nosuch}}", "${if eq{$local_part}{u}{@DIR@/aliases}fail}", "", "relative",
    "@DIR@/aliases/below", "@DIR@/", "${if eq{a}{",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One configuration's routers, and what is asked of it."""

    routers: tuple[str, ...]
    addresses: tuple[str, ...]
    words: tuple[str, ...] = ("-bt",)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def section(self) -> str:
        """The routers section."""
        return "begin routers\n" + "".join(self.routers)


class CaseMaker:
    """Makes cases, the same for the same *random*."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def case(self) -> Case:
        """Return a case of one kind or another."""
        random = self._random
        kinds = random.choice(
            ((self._dnslookup,), (self._manualroute,), (self._redirect,), (self._redirect, self._any))
        )
        routers = [make(f"r{number}") for number, make in enumerate(kinds)]
        if random.random() < 0.5:
            routers.insert(random.randrange(len(routers) + 1), self._any("rx"))
        routers.append(self._last())
        return Case(tuple(routers), self._addresses(), self._words(), self._files())

    def _addresses(self) -> tuple[str, ...]:
        random = self._random
        domains = [random.choice(_DOMAINS) for _ in range(2)] + ["q.example"]
        chosen = [f"{random.choice(_LOCAL_PARTS)}@{random.choice(domains)}" for _ in range(6)]
        chosen += [f"u@{random.choice(_DOMAINS)}" for _ in range(6)]
        return tuple(dict.fromkeys(chosen))

    def _words(self) -> tuple[str, ...]:
        random = self._random
        kind = random.choice(("-bt", "-bt", "-bt", "-bv", "-bvs"))
        return ("-f", random.choice(_SENDERS) or "<>", kind) if random.random() < 0.3 else (kind,)

    def _files(self) -> dict[str, str]:
        names = ("u", "v", "root", "list", "self", "many", "aliased", "*", "real-u")
        random = self._random
        lines = [f"{name}: {self._data(', ')}" for name in names if random.random() < 0.7]
        return {
            "aliases": "\n".join(line.replace("\n", "") for line in lines) + "\n",
            "included": self._data("\n"),
            "nested": f"i@one.example\n:include:@DIR@/included\n{self._data(', ')}",
            "data": self._data(random.choice(("\n", ", ", ",", " , \n"))),
        }

    def _data(self, between: str) -> str:
        random = self._random
        items = [random.choice(_ITEMS) for _ in range(random.choice((1, 1, 1, 2, 2, 3)))]
        return between.join(items).replace("$local_part@$domain", "self@q.example")

    # -- routers

    def _last(self) -> str:
        random = self._random
        options = {"domains": random.choice(("!nosuch.example", "*", "one.example : two.example"))}
        return self._written("z", "accept", {**options, "transport": random.choice(("box", "smtp2"))})

    def _any(self, name: str) -> str:
        return self._random.choice((self._dnslookup, self._manualroute, self._redirect, self._accept, self._shown))(
            name
        )

    def _accept(self, name: str) -> str:
        return self._written(name, "accept", {"transport": "box", **self._generic()})

    def _shown(self, name: str) -> str:
        data = f'"\\"{_SHOWN}\\"@two.example"'
        return self._written(name, "redirect", {"data": data, "domains": "!two.example", **self._generic()})

    def _dnslookup(self, name: str) -> str:
        chances = {
            "self": (0.4, ("pass", "fail", "defer", "send", "reroute: one.example", "reroute: rewrite: mx.example")),
            "check_secondary_mx": (0.1, ("",)),
            "ipv4_only": (0.1, ("yes", "${if eq{$domain}{dual.example}}")),
            "ipv4_prefer": (0.1, ("yes", "no", "${if eq{a}{")),
            "mx_domains": (0.15, ("*", "one.example", "!one.example")),
            "mx_fail_domains": (0.1, ("*",)),
            "fail_defer_domains": (0.15, ("*", "nosuch.example")),
            "widen_domains": (0.2, ("wide.example", "nosuch.example : wide.example : example", "bad_.x!")),
            "no_qualify_single": (0.2, ("",)),
            "ignore_target_hosts": (0.2, ("198.51.100.1", "198.51.100.0/24", "198.51.100.1 : 2001:db8::/32", "*")),
            "pass_on_timeout": (0.15, ("",)),
        }
        return self._written(name, "dnslookup", {"transport": "smtp", **self._some(chances), **self._generic()})

    def _manualroute(self, name: str) -> str:
        random = self._random
        chances = {
            "self": (0.4, ("pass", "fail", "defer", "send", "reroute: one.example", "reroute:two.example")),
            "host_find_failed": (0.5, ("ignore", "pass", "fail", "defer", "decline")),
            "host_all_ignored": (0.3, ("pass", "fail", "defer", "decline", "freeze")),
            # Not those that an alias means: the C library's "try again" for an alias without IPv6 comes to light then.
            "ignore_target_hosts": (0.15, ("198.51.100.2", "198.51.100.2/31", "<; 2001:db8::/32")),
            "pass_on_timeout": (0.15, ("",)),
        }
        options = {
            "transport": random.choice(("smtp", "smtp", "smtp2", "box")),
            **self._some(chances),
            **self._generic(),
        }
        if random.random() < 0.7:
            rules = [f"{self._pattern()} {self._hosts()} {self._host_words()}" for _ in range(random.choice((1, 1, 2)))]
            options["route_list"] = " ; ".join(rules)
        else:
            options["route_data"] = f"{self._hosts()} {self._host_words()}"
        return self._written(name, "manualroute", options)

    def _pattern(self) -> str:
        return self._random.choice(
            ("*", "*", "*.example", "^m", "!one.example", "+locals", "q.example", "lsearch;;@DIR@/aliases")
        )

    def _hosts(self) -> str:
        random = self._random
        one = (
            "one.example", "two.example", "alias.example", "alias2.example", "nosuch.example",
            "six.example", "again.example", "loop.example", "fileonly.example", "bare", "one", "mx.example/MX",
            "mxself.example/mx", "mxsecond.example/MX", "mxdead.example/MX", "mxhalf.example/MX", "mxnull.example/MX",
            "one.example/MX", "nosuch.example/MX", "one.example::26", "mx.example/MX::26", "198.51.100.9",
            "[2001::db8::::9]::26", "text.example", "$domain", "h.example", "mxagain.example/MX", "mxip.example/MX",
            "astray.example", "$domain/MX", "one.example:26", "127.0.0.1", "2001::::db8::::::::1", "[192.0.2.2]::587",
            "[2001::::db8::::::::2]::25", "+", "${if eq{$local_part}{u}{192.0.2.9}}", '""',
        )  # fmt: skip
        return ":".join(random.choice(one) for _ in range(random.choice((1, 1, 1, 2, 3))))

    def _host_words(self) -> str:
        return self._random.choice(
            (
                "",
                "",
                "",
                "",
                "",
                "",
                "byname",
                "bydns",
                "byname smtp2",
                "ipv4_only",
                "ipv4_prefer",
                "bydns ipv4_only",
                "no_randomize",
                "box",
                "no_rand",
                "nosuch",
                "by x",
            )
        )

    def _redirect(self, name: str) -> str:
        random = self._random
        chances = {
            "allow_fail": (0.7, ("",)), "allow_defer": (0.7, ("",)), "forbid_file": (0.1, ("",)),
            "forbid_pipe": (0.1, ("",)), "forbid_blackhole": (0.1, ("",)), "forbid_include": (0.1, ("",)),
            "skip_syntax_errors": (0.3, ("",)), "qualify_preserve_domain": (0.2, ("",)),
            "file_transport": (0.6, ("box", "box", "nosuch")), "directory_transport": (0.6, ("box",)),
            "pipe_transport": (0.6, ("box",)), "include_directory": (0.1, ("@DIR@", "/nosuch")),
            "redirect_router": (0.1, ("z",)),
        }  # fmt: skip
        options = {**self._some(chances), **self._generic()}
        if "qualify_preserve_domain" not in options and random.random() < 0.1:
            options["qualify_domain"] = "two.example"
        given = self._data(", ").replace("\n", " ") or "x"
        option, value = random.choice((
            ("data", given), ("data", "${lookup{$local_part}lsearch*{@DIR@/aliases}}"), ("file", "@DIR@/data"),
            ("data", "${readfile{@DIR@/data}}"), ("data", "${if eq{$local_part}{u}{a@one.example}fail}"),
            ("data", "${if eq{a}{"), ("file", "/nosuch"),
        ))  # fmt: skip
        if option == "file":
            options.pop("check_local_user", None)  # that makes Exim look who owns the file (docs/exim.md: not there)
        return self._written(name, "redirect", {option: value, **options})

    def _generic(self) -> dict[str, str]:
        """Return some of the options that all routers have."""
        chances = {
            "domains": (0.3, _DOMAIN_LISTS),
            "local_parts": (0.2, ("u", "*u", "U", "^(r)", "lsearch;@DIR@/aliases", "!u", "root : u : +names", ":")),
            "local_part_prefix": (0.2, ("real-", "*-", "x- : real-", "*real-", "REAL-", "")),
            "local_part_prefix_optional": (0.15, ("",)),
            "local_part_suffix": (0.2, ("-list", "+*", "-*", "+b : -list", "+a*", "*", "-LIST")),
            "local_part_suffix_optional": (0.15, ("",)),
            "caseful_local_part": (0.1, ("",)),
            "check_local_user": (0.1, ("",)),
            # Not +friends: what Exim has in its cache of named lists leaves $0 as it is.
            "senders": (0.15, (":", "*", "s@one.example", "*@two.example", "! : *")),
            "require_files": (0.15, _FILES),
            "condition": (0.2, _CONDITIONS),
            "address_data": (0.15, ("<$local_part>", f"{_IF_U}{{is u}}fail}}", "${if eq{a}{", "$domain_data")),
            "unseen": (0.1, ("", f"{_IF_U}{{yes}}{{no}}}}")),
            "more": (0.15, ("no", "yes", f"{_IF_U}{{yes}}{{no}}}}", "perhaps$domain", f"{_IF_U}{{no}}fail}}")),
            "errors_to": (0.15, _ERRORS_TO),
            "headers_add": (0.1, ("X-A: $local_part", "${if eq{a}{", "${if eq{a}{b}{x}fail}")),
            "headers_remove": (0.1, ("X-A : X-B", "${if eq{a}{")),
            "cannot_route_message": (0.15, ("no way to $domain", "", "${if eq{a}{", "a ${if eq{a}{b}{x}fail}")),
            "address_test": (0.05, ("no",)), "verify": (0.05, ("no",)), "verify_only": (0.05, ("yes",)),
            "verify_sender": (0.05, ("no",)), "verify_recipient": (0.05, ("no",)), "fail_verify": (0.05, ("yes",)),
            "fail_verify_sender": (0.05, ("yes",)),
            "pass_router": (0.05, ("z",)),
            "router_home_directory": (0.05, ("/home/$local_part",)),
            "fallback_hosts": (0.05, ("two.example",)),
            "set": (0.1, ("r_x = <$local_part>",)),
        }  # fmt: skip
        return self._some({name: (chance * 0.6, values) for name, (chance, values) in chances.items()})

    def _some(self, chances: dict[str, tuple[float, tuple[str, ...]]]) -> dict[str, str]:
        random = self._random
        return {name: random.choice(values) for name, (chance, values) in chances.items() if random.random() < chance}

    @staticmethod
    def _written(name: str, driver: str, options: dict[str, str]) -> str:
        flags = {"", "yes"}
        bare = ("allow_", "forbid_", "no_", "check_", "caseful", "pass_on", "skip_", "qualify_pre")

        def is_bare(option: str, value: str) -> bool:
            return option.startswith(bare) or option.endswith("_optional") or (option == "unseen" and not value)

        lines = [
            option if value in flags and is_bare(option, value) else f"{option} = {value}"
            for option, value in options.items()
        ]
        return f"{name}:\n  driver = {driver}\n" + "".join(f"  {line}\n" for line in lines)
