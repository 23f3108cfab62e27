"""Random configuration files as a whole, with what they include, and command lines that ask what they mean.

Most of a file is right; now and then a value, a line or a section is such as Exim does not take.
"""

# ruff: noqa: E501 - tables of values, many on a line

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from smarthostd.config.exim import listing
from smarthostd.options import Kind

MAIN = """\
primary_hostname = h.example
spool_directory = @DIR@/spool
log_file_path = @DIR@/spool/%slog
keep_environment =
"""
MAIN_LINES = MAIN.count("\n")

_SECTIONS = {"routers": "router", "transports": "transport", "authenticators": "authenticator"}
_BOOL = ("", "", "= true", "= yes", "=no", "= FALSE", "= Yes", "=", "= false")
_ODD_BOOL = ("= maybe", "x", '= "true"', "= true x", "= 1", "= no # c", "true", "# c", "= t", "= yes:no", "= $x")
_NUMBERS = (
    "0",
    "10",
    "010",
    "0x10",
    "1K",
    "1k",
    "2M",
    "1G",
    "+5",
    "-1",
    "1536",
    "2048",
    "3K",
    "1025",
    "99",
    "0K",
    "7M",
)
_ODD_NUMBERS = (
    "1T", "4G", "2G", "10 K", "K", "10KK", "10 # c", '"10"', "2147483647", "2147483648", "-2147483648", "08", "0x", "0xg",
    "1k5", "1.5", "", "ten", "-", "+ 5", "- 1", "0x1G", "10,", "10K # c", "1KB",
    "-1K", "4194304K", "2097151K", "2097152K", "-0", "0X1f", "0b1", "1e3", "$x",
)  # fmt: skip
_OCTALS = ("0600", "600", "0", "00", "0777", "700", "7")
_ODD_OCTALS = (
    "0o600",
    "888",
    "068",
    "",
    "0600 x",
    "u=rw",
    "77777777777",
    "0600 # c",
    "-1",
    "0x1",
    "37777777777",
    '"0600"',
)
_TIMES = ("1h", "90s", "1h30m", "0s", "1w2d3h4m5s", "24h", "1d", "7d", "60m", "100d", "1s", "3600s", "2w")
_ODD_TIMES = (
    "5M", "1.5h", "1h 30m", "", "10", "h", "1h30", "-1h", "1m1h", "1h1h", "1d # c", '"1h"', "1h,", "0", "1y", "3550w", "3551w", "2147483647s", "2147483648s", "1hm", "+1h", "0m0s", "1s1s", "$x", "${if eq{a}{a}{1h}}",
)  # fmt: skip
_MANY_TIMES = ("1h:2h", "4h : 8h", "24h", "1h:2h:3h:4h:5h:6h:7h:8h:9h:10h", "1s", "1h:1d:1w", "0s")
_ODD_MANY_TIMES = (
    "4h:2h", "1h:1h", "1h::2h", "2d;4d", "1h:", ":1h", "", ":", "1h:2h:3h:4h:5h:6h:7h:8h:9h:10h:11h", "1h 2h", "<; 1h;2h",
    "0s:1h", "1h:x", '"1h:2h"', "1h:2h # c", "1h : ", "0s:0s",
)  # fmt: skip
_LOADS = ("1.5", "0.25", "10", "3.0", "0", "1.2345", "10.", "2.75")
_ODD_LOADS = ("abc", "-1", ".5", "", "1.5 x", "1,5", "1.x", '"1"', "2147483", "1.5 # c", "+1", "1..2", "1K")
_USERS = ("root", "0", "root : mail", "root:daemon:0", "", "mail", "8")
_ODD_USERS = (
    "nosuch",
    "root : nosuch",
    "99999",
    "root mail",
    ":",
    "root::mail",
    '"root"',
    "-1",
    "<; root ; mail",
    "0x0",
    "r",
)
_GROUPS = ("root", "0", "root : mail", "", "daemon : 0", "8")
_STRINGS = (
    "x", "two words", '"quoted"', '"a\\nb\\t\\"c\\""', "a : b", "$primary_hostname x", '"ends  "', "a\\b", "*", "", "a,b",
    "a#b", "a # b", "tab\there", "caf\u00e9", '"\\x41\\101"', '"a\\\\b"', "'single'", "a\"b", "${if eq{a}{a}{yes}{no}}", "+nets",
    "@", "127.0.0.1", "<; a ; b", "\u20ac", '""', "MACRO", "x MAC_2 y", "%s", "10", "no", "a:b::c",
)  # fmt: skip
_ODD_STRINGS = ('"abc" def', '"abc" # def', '"', '"abc', '"a"b"', 'x"', '"a\\"', '"\\', '"a" "b"', '"abc"x', '"abc\\"x')

_OWN: dict[str, Sequence[str]] = {
    "driver": ("accept",),
    "transport": ("t", "t", "u", "nosuch", "$x", '"t"'),
    "self": ("freeze", "send", "pass", "reroute: a.example", "reroute:rewrite:a.example", "fail", "defer", "oops", "Send", ""),
    "host_find_failed": ("freeze", "ignore", "pass", "decline", "defer", "fail", "bounce", "", "Fail", '"pass"'),
    "host_all_ignored": ("freeze", "pass", "decline", "defer", "fail", "ignore", "bounce", ""),
    "route_list": ("* a.example", "* 127.0.0.1 byname", "a b c ; d e f", "+locals a.example", "*", "", '"* a"', "*.x a.example::26"),
    "route_data": ("a.example", "127.0.0.1", "", "${lookup{$domain}lsearch{/nosuch}}"),
    "pass_router": ("r", "s", "nosuch", "", "r1", "r2", "z"),
    "redirect_router": ("r", "s", "nosuch", "", "r1", "r2", "z"),
    "data": ("a@b.example", "", ":fail: x", "$local_part@x", '"x"'),
    "file": ("/nosuch", "relative", "", "$home/x", "/var/mail/$local_part_data"),
    "directory": ("/nosuch", "relative", "", "$home/x/"),
    "system_filter_user": ("root", "8", "nosuch", "99999", "", '"mail"'),
    "system_filter_group": ("root", "8", "nosuch", "", '"mail"'),
    "smtp_ratelimit_mail": ("2,0.5s,1.05,4m", "x", "2,0.5s,1.05", "", "30,1s,1.5,10m"),
    "smtp_ratelimit_rcpt": ("4,0.25s,1.015,4m", "*", "4,0.25,1.015,4m", '"1,1s,1,1s"'),
    "user": ("root", "mail", "8", "$x", '"root"'),
    "group": ("root", "mail", "8", "$x", '"root"'),
    "set": ("r_x = y", "r_a1=$h_x:", "r_x", "r_x y", "r_b = c ; d", '"r_c = d"', "r_x ="),
    "condition": ("yes", "${if eq{a}{b}}", "", "no", '"x"', "$x"),
    "headers_add": ("X-A: b", '"X-B: c\\nX-D: e"', "", "X-A: $local_part", "no colon"),
    "headers_remove": ("X-A", "X-A : X-B", "", '"X-C"', "x:y"),
    "headers_rewrite": ("a@b c@d", "a@b c@d fs : *@x y", "a@b", "", "a@b c@d Q", "x y z w", "a@b c@d E", "a@b c@d S"),
    "create_file": ("anywhere", "inhome", "belowhome", "nowhere", "", "/x", '"inhome"', "Anywhere"),
    "protocol": ("smtp", "lmtp", "smtps", "esmtp", "SMTP", "", '"lmtp"', "http"),
    "port": ("25", "smtp", "587", "$x", "nosuch", "", "0", "99999"),
    "message_size_limit": ("10M", "$x", "abc", "1K", "0", "", "10 M", "1G", "${if eq{a}{a}{1M}}", '"10M"', "-1"),
    "public_name": ("PLAIN", "LOGIN", "CRAM-MD5", "plain", "X Y", "", "X_1", "a.b", "EXTERNAL", '"LOGIN"', "X-Y:Z", "LOGIN\u00e9"),
    "client_send": ("^u^p", ": u : p", "$x", "", "a", "^^", '"^u^p"', "<; a ; b"),
    "client_secret": ("s", "$x", ""),
    "server_prompts": ("", "User : Pass", "<| A: | B:", ":"),
    "server_condition": ("yes", "${if eq{$auth2}{x}}", ""),
    "fallback_hosts": ("a.example", "a : b", "127.0.0.1::26", "", "<; a ; b"),
    "hosts": ("a.example", "127.0.0.1", "a : b", "", "$x"),
    "interface": ("127.0.0.1", "", "$x", "::::1", "<; ::1", "nonsense"),
    "log_selector": ("+all", "-all", "+pid -queue_run", "+pid +nosuch", "pid", "+ pid", "+pid-all", "+pid,+pid", "", '"+pid"', "all", "+", "=pid"),
    "syslog_facility": ("mail", "local0", "local9", "user", "LOCAL3", "log_local1", "daemon", "nosuch", "mai", "uucp"),
    "local_interfaces": ("127.0.0.1", "<; ::1 ; 127.0.0.1", "127.0.0.1.2525", "[127.0.0.1]:26", "nonsense", "", "::::1", "<; [::1]:26", "0.0.0.0"),
    "daemon_smtp_ports": ("25", "25 : 587", "smtp", "nosuch", "", "<; 25 ; 26", "smtp:submission", "99999", "-1"),
    "tls_on_connect_ports": ("465", "smtps", "nosuch", "", "465 : 466"),
    "localhost_number": ("1", "16", "17", "x", "-1", "0", "", "1x", "10", "$x", '"2"', "2 "),
    "errors_reply_to": ("a@b.example", "nodomain", "A <a@b.example>", "", "a@b@c", '"x y" <a@b>', "a@b, c@d", "<>", "a@b."),
    "log_file_path": ("@DIR@/spool/%slog", "syslog", "nolog", "@DIR@/spool/%slog : syslog", "", ":syslog", "@DIR@/%s-%s", "%s", "x/%slog", "<; @DIR@/%slog ; syslog", "syslog : nolog"),
    "primary_hostname": ("x.example", "short", "", "$x", "a b", "a..b", "UPPER.Example"),
    "qualify_domain": ("q.example", "", "Q.Example", "$primary_hostname", "a b", "@"),
    "qualify_recipient": ("q.example", "", "Q.Example"),
    "timezone": ("UTC", "", "Europe/London", "nosuch"),
    "gecos_pattern": ("^x", "", "^([^,:]*)"),
    "uucp_from_pattern": ("^x", ""),
    "check_rfc2047_length": ("", "= no"),
    "spool_directory": ("@DIR@/spool", "/nosuch", "relative"),
    "tls_require_ciphers": ("NORMAL", "", "nosuch", "HIGH"),
    "openssl_options": ("+all", "", "x"),
    "dsn_from": ("x <a@b>", "", "$x"),
    "local_from_suffix": ("*", "-x", "", "x"),
    "local_from_prefix": ("*", "-x", "", "x"),
    "trusted_users": (*_USERS, *_ODD_USERS), "never_users": (*_USERS, *_ODD_USERS),
    "trusted_groups": (*_GROUPS, "nosuch", "99999"), "admin_groups": (*_GROUPS, "nosuch", "99999"),
    "owners": (*_USERS, *_ODD_USERS), "owngroups": (*_GROUPS, "nosuch"),
}  # fmt: skip
"""What options with a meaning of their own may be set to."""
_LEFT_OUT = frozenset(
    {
        "dns_check_names_pattern",
        "exim_group",
        "exim_user",
        "openssl_options",
        "smtp_receive_timeout",
        "utf8_downconvert",
        "*expand_maildir_use_size_file",
    }
)
"""Options about which both say what they are made of, or that are for something else than mail."""
_OCTAL_NAMES = frozenset({"mode", "directory_mode", "lockfile_mode", "modemask"})
_UNKNOWN = (
    "nosuch = x", "acl_smtp_rpct = x", "smtp_bannr = x", "no_nosuch", "nosuch", "hide nosuch = x", "Smtp_banner = x",
    "smtp-banner = x", "= x", "[section]", "_x = 1", "1x = 2", "driver = accept", "route_list = * x", ".foo", "x", "no_ = x", "hide", "hide hide smtp_banner = x",
    "smtp_banner", "smtp_banner x", "smtp_banner : x", "no_smtp_banner = x", "not_smtp_banner", "no_no_queue_only", "not_no_queue_only",
    "noqueue_only", "QUEUE_ONLY", "queue_only=", "\u00e9 = x", "begin", "begin:", "end", "domainlist", "{", "set x = y", "-x", "smtp_banner=x", "hide=x",
    "daemon_smtp_port = 26", "no_hide queue_only", "hidequeue_only",
)  # fmt: skip
_LISTS = (
    "domainlist locals = a.example : *.b.example", "domainlist more = +locals : c.example", "hostlist nets = 10.0.0.0/8",
    "addresslist friends = *@a.example", "localpartlist names = root : post*", "hide domainlist secret = x.example",
    'domainlist q = "x : \\"y\\""', "domainlist_cache c = x", "domainlist e =", "hostlist locals = 127.0.0.1",
    "domainlist\ttabbed = x", "domainlist n=x", "domainlist under_score1 = x", "domainlist X = y", "hide\tlocalpartlist t = u",
    "domainlist long = a : b : c : d : e : f : g : h", "domainlist s = <; a ; b", "domainlist v = $primary_hostname",
)  # fmt: skip
_ODD_LISTS = (
    "domainlist locals = again", "domainlistx a = b", "domainlist = x", "domainlist a", "domainlist a b", "domainlist 1a = x",
    "domainlist a-b = c", "hostlist", "userlist a = b", 'domainlist a = "x', 'domainlist a = "x" y', "domainlist +a = b",
    "Domainlist a = b", "domainlist_x a = b", "domainlist a : b", "no_domainlist a = b", "hide hide domainlist a = b",
    "hidedomainlist a = b", "domainlist _a = b", "hostlist_cacheh = x", "domainlist a == b", "localpartslist a = b", "hide = x",
    "local_part_list a = b", "domainlist undefd = +nosuch",
)  # fmt: skip
_MACROS = (
    "MACRO = text",
    "MAC_2=two words",
    "Mixed = x y",
    "EMPTY =",
    "NESTED = [MACRO]",
    'QUOTED = "a b"',
    "M3 = a : b",
    "TRUE = yes",
    "NUM = 10",
)
_ODD_MACROS = (
    "MACRO = again", "MACRO == other", "MACROX = longer", "NOSUCH == x", "MACRO", "MACRO text", "Bad-name = x", "MAC", "M", "X:", "A B = c",
    "MACRO = [MACRO]", "MACRO == [MACRO]", "MAC = x", "  INDENTED = x", "EQ === x", "X = = y", "SPACES   =   a  b  ", "M\u00e9 = x", "LINE = smtp_banner = from macro", "LINE", "COMMENT = #",
    "COMMENT smtp_banner = x",
)  # fmt: skip
_CONDITIONS = (
    "MACRO",
    "NOSUCH",
    "",
    "MACRO NOSUCH",
    "xMACROx",
    "MACRO # c",
    "EMPTY",
    "_HAVE_TLS",
    "_HAVE_NOSUCH",
    "_DRIVER_ROUTER_ACCEPT",
    "_OPT_MAIN_SMTP_BANNER",
    "_OPT_NOSUCH",
    "TRUE",
    "CMD",
    "_HAVE_IPV6",
    "_OPT_ROUTER_ACCEPT_DOMAINS",
    "_OPT_ROUTERS_DOMAINS",
)
_RETRY = (
    "* * F,2h,15m", "* * F,2h,15m; G,16h,1h,1.5; F,4d,6h", "a.example * F,1h,1m", "*.b.example timeout F,1h,1m", "* quota", "* quota_2d F,1h,1m",
    "*@a.example * F,1h,1m", "* * senders=: F,1h,1m", "* * senders=a@b : c@d F,1h,1m", '"*" * F,1h,1m', "* *", "* refused_A F,1h,1m", "^x * F,1h,1m",
    "* * f,1h,1m;g,2h,1m,2", "* * H,1h,5m,2", "* rcpt_4xx F,1h,1m", "* auth_failed F,1h,1m", "* tls_required F,1h,1m", "* lost_connection F,1h,1m",
    "* timeout_connect_MX F,1h,1m", "* * F,1h,1m;", "a.example\t*\tF,1h,1m", "* refused F,1h,1m", "* data_45x F,1h,1m", "* mail_421 F,5m,1m", "* * senders=\"a b\"@c F,1h,1m",
)  # fmt: skip
_ODD_RETRY = (
    "*", "* nosuch F,1h,1m", "* * F,1h", "* * X,1h,1m", "* * F,1h,1m; G,2h,1m", "* * G,2h,1m,0.5", "* * F,1h,90", "* *F,1h,1m", "* * F 1h 1m", "* * F,1h,1m # c",
    "* * F,,1m", "* * F,1h,1m F,2h,1m", "* quota_x F,1h,1m", "* quota_ F,1h,1m", "* rcpt_5xx F,1h,1m", "* timeout_x F,1h,1m", "* * senders a@b F,1h,1m", "* * senders= F,1h,1m",
    "* * F,0s,1m", "* * F,1h,0s", "* * G,1h,1m,x", "* * G,1h,1m,1.5.5", "* * G,1h,1m,100", "* rcpt_4x F,1h,1m", "* rcpt_4aa F,1h,1m", "* *; F,1h,1m", "* * FF,1h,1m", "* * F,1h,1m,2",
    "* * F,1h;1m", "* * ,1h,1m", "*:", "a.example: * F,1h,1m", '"* * F,1h,1m', "* * senders=a@b", "* * G,1h,1m,1.5 F,1h,1m", "* * G,1h,1m,1.55555", "* * ;", "* refused_MX_A F,1h,1m", "* * F,2h,15m : F,1h,1m", "* rcpt_4xxx F,1h,1m",
    "* * H,1h,5m,1", "* * H,1h,5m", "* lost F,1h,1m", "* timeout_dns F,1h,1m", "* * F,1h,1m;;", "* * F,1h,1m; X",
)  # fmt: skip
_REWRITE = (
    "*@a.example $1@b.example", "a@b c@d Efrs", "*@c x@y h", "a@b \"c d\"@e Q", "*.x $0 q", "^x y@z S", "a@b c@d\tF", '"a@b" "c@d" T', "*@x y@z bcfrsthw",
)  # fmt: skip
_ODD_REWRITE = (
    "a@b", "*", "a@b c@d X", "a@b c@d F x", "a@b c@d E F", '"a@b c@d', "a@b * F", "a@b: c@d", "a@b c@d # c", "a@b c@d FF", "^( x@y", "a@b c@d SF", "a@b c@d R", "a@b c@d w", "a@b c@d -",
)  # fmt: skip
_NAMES_OF_SECTIONS = (
    "routers", "router", "Routers", "ROUTERS", "transports", "transport", "authenticators", "authenticator", "retry", "rewrite", "retries", "retrys",
    "nosuch", "", "routers x", "rewrites", "routers:", "main", "transportss", "\"routers\"", "retry # c",
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A configuration's files, lines each, the main one as ``conf``, and the words that ask about it."""

    files: Mapping[str, tuple[str, ...]]
    words: tuple[str, ...]


class FileMaker:
    """Makes configurations, the same for the same *random*."""

    def __init__(self, random: Random, oddness: float = 0.12) -> None:
        self._random = random
        self._oddness = oddness
        self._left = 0
        """How many odd things may still come: one mistake hides those behind it."""

    def asked(self) -> Asked:
        """Return one configuration and one question."""
        random = self._random
        self._left = random.choice((0, 0, 1, 1, 1, 2))
        files: dict[str, tuple[str, ...]] = {}
        self._set: dict[str, list[str]] = {"": []}
        lines = self._main()
        if random.random() < 0.3:
            lines = self._included(lines, files)
        sections = [self._section(name) for name in self._which()]
        for section in sections:
            if random.random() < 0.08:
                section = self._included(section, files)
            lines += section
        lines = self._broken_up(lines)
        if random.random() < 0.1:
            lines += [
                random.choice(("smtp_banner = \\", "# end", "  ", "queue_only", ".endif", ".ifdef MACRO", "x \\"))
            ]
        return Asked({"conf": (*MAIN.splitlines(), *lines), **files}, self._words())

    # -- the main part

    def _main(self) -> list[str]:
        random = self._random
        lines: list[str] = []
        if random.random() < 0.3:
            lines += random.sample(_MACROS, random.randint(1, 4))
            if self._odd(4):
                lines.append(random.choice(_ODD_MACROS))
        if random.random() < 0.4:
            lines += random.sample(_LISTS, random.randint(1, 3))
            if self._odd(3):
                lines.append(random.choice(_ODD_LISTS))
        kinds = listing.kinds()
        for name in random.sample(sorted(kinds), random.randint(0, 5)):
            if name not in MAIN and name not in _LEFT_OUT:
                lines.append(self._option(name, kinds[name], ""))
        if self._odd(2):
            lines.insert(random.randint(0, len(lines)), random.choice(_UNKNOWN))
        if lines and self._odd():
            lines.append(random.choice(lines))
        if random.random() < 0.3:
            random.shuffle(lines)
        return lines

    def _option(self, name: str, kind: Kind, section: str) -> str:
        random = self._random
        self._set.setdefault(section, []).append(name)
        hide = "hide " if random.random() < 0.08 else ""
        if kind.name == "bool":
            written = random.choice(("", "", "no_", "not_")) + name
            return f"{hide}{written} {self._one(_BOOL if written == name else ('',), _ODD_BOOL)}".rstrip()
        equals = random.choice((" = ", " = ", "=", "\t=\t", " =", "= "))
        return f"{hide}{name}{equals}{self._value(name, kind)}"

    def _value(self, name: str, kind: Kind) -> str:
        if name in _OWN:
            return self._random.choice(_OWN[name])
        if name in _OCTAL_NAMES:
            return self._one(_OCTALS, _ODD_OCTALS)
        if name == "delay_warning":
            return self._one(_MANY_TIMES, _ODD_MANY_TIMES)
        match kind.name:
            case "integer" | "kilobytes" | "size":
                return self._one(_NUMBERS, _ODD_NUMBERS)
            case "time":
                return self._one(_TIMES, _ODD_TIMES)
            case "load":
                return self._one(_LOADS, _ODD_LOADS)
            case _:
                return self._one(_STRINGS, _ODD_STRINGS)

    # -- sections

    def _which(self) -> list[str]:
        random = self._random
        names = [
            name
            for name, chance in (
                ("routers", 0.5),
                ("transports", 0.6),
                ("authenticators", 0.3),
                ("retry", 0.2),
                ("rewrite", 0.15),
            )
            if random.random() < chance
        ]
        random.shuffle(names)
        if names and self._odd():
            names.append(random.choice(names))
        return names

    def _section(self, name: str) -> list[str]:
        random = self._random
        begin = name
        if random.random() < 0.1:
            begin = random.choice((name.removesuffix("s"), name.upper(), name.capitalize()))
        if self._odd(0.5):
            begin = random.choice(_NAMES_OF_SECTIONS)
        lines = [random.choice(("begin ", "begin ", "begin ", "Begin ", "  begin ", "begin\t", "BEGIN  ")) + begin]
        if name in _SECTIONS:
            names = random.sample(("r", "s", "t", "u", "r1", "r2", "plain", "x_1", "Cap"), random.randint(0, 3))
            if name == "transports" and random.random() < 0.6:
                names = ["t", *(one for one in names if one != "t")]
            for one in names:
                lines += self._instance(name, one)
        else:
            good, odd = (_RETRY, _ODD_RETRY) if name == "retry" else (_REWRITE, _ODD_REWRITE)
            lines += [self._one(good, odd) for _ in range(random.randint(0, 3))]
        return lines

    def _instance(self, section: str, name: str) -> list[str]:
        random = self._random
        generic, drivers = listing.SECTIONS[section]
        driver = random.choice(tuple(drivers))
        kinds = {
            one: kind
            for one, kind in listing.kinds(section).items()
            if _has(generic, one) or _has(drivers[driver], one)
        }
        if driver == "lmtp" and random.random() < 0.6:
            driver = "smtp"  # smarthostd's lmtp has other options than Exim's
            kinds = {
                one: kind
                for one, kind in listing.kinds(section).items()
                if _has(generic, one) or _has(drivers[driver], one)
            }
        path = f"{section} {name}"
        self._set[path] = []
        needed = {
            "accept": ("transport",), "dnslookup": ("transport",), "manualroute": ("transport", random.choice(("route_list", "route_data"))),
            "redirect": (random.choice(("data", "file")),), "appendfile": (random.choice(("file", "directory")),), "lmtp": ("socket",),
            "plaintext": ("public_name",), "cram_md5": ("public_name",), "external": ("public_name",),
        }.get(driver, ())  # fmt: skip
        options = [self._option(one, kinds[one], path) for one in needed if random.random() < 0.95]
        others = [one for one in sorted(kinds) if one not in needed and one not in _LEFT_OUT and one != "driver"]
        options += [
            self._option(one, kinds[one], path) for one in random.sample(others, random.choice((0, 1, 1, 2, 3)))
        ]
        if section == "routers" and random.random() < 0.1:
            options.append(
                random.choice(
                    (
                        "verify = no",
                        "no_verify",
                        "fail_verify",
                        "no_fail_verify",
                        "verify",
                        "verify_sender",
                        "fail_verify_sender = no",
                    )
                )
            )
        if random.random() < 0.5:
            random.shuffle(options)
        if options and self._odd(0.5):
            options.append(random.choice(options))
        if self._odd(0.7):
            options.insert(random.randint(0, len(options)), random.choice(_UNKNOWN))
        written = self._one(
            (driver,),
            (
                "nosuch",
                "",
                f'"{driver}"',
                driver.upper(),
                "accept",
                "smtp",
                "plaintext",
                "lmtp",
                "redirect",
                f"{driver} x",
            ),
        )
        first = f"driver = {written}"
        if self._odd(0.5):
            options.insert(random.randint(0, len(options)), first)
        elif not self._odd(0.5):
            options.insert(0, first)
        indent = random.choice(("  ", "  ", "", "\t"))
        colon = self._one((":", ":", " :", ": ", ":\t"), (": x", "", ":: ", ": driver = accept", ":# c"))
        head = self._one(
            (name,), ("", "1r", "my-r", f" {name}", "r x", "\u00e9", f"{name}{name}", "r.s", "_r", "driver")
        )
        return [f"{head}{colon}", *(f"{indent}{option}" for option in options)]

    # -- the form of the lines

    def _included(self, lines: list[str], files: dict[str, tuple[str, ...]]) -> list[str]:
        """Move some lines into a file that is included."""
        random = self._random
        start = random.randint(0, len(lines))
        end = random.randint(start, len(lines))
        name = f"inc{len(files)}"
        files[name] = tuple(lines[start:end])
        written = self._one(
            (f".include @DIR@/{name}", f".include {name}", f'.include "@DIR@/{name}"', f".include_if_exists @DIR@/{name}", ".include_if_exists /nosuch", f"  .include   @DIR@/{name}  ", f".include\t@DIR@/{name}"),
            (".include /nosuch", ".include", f".include_if_exists {name}", f".includex @DIR@/{name}", f".include @DIR@/{name} x", '.include ""', f".include '@DIR@/{name}'", f".INCLUDE @DIR@/{name}", ".include @DIR@",
             f".include_if_existsx {name}", f'.include "@DIR@/{name}', ".include_if_exists", ".include conf2", f".include =@DIR@/{name}"),
        )  # fmt: skip
        return [*lines[:start], written, *lines[end:]]

    def _broken_up(self, lines: list[str]) -> list[str]:
        """Put comments, blank lines, continuations and conditionals between and into lines."""
        random = self._random
        found: list[str] = []
        for line in lines:
            if random.random() < 0.06:
                found.append(random.choice(("# comment", "", "   ", "  # comment", "#", "\t")))
            if random.random() < 0.06 and " " in line.strip():
                at = line.index(" ", len(line) - len(line.lstrip()))
                found += [
                    line[:at] + random.choice((" \\", "\\", " \\  ", "\\")),
                    random.choice(("   ", "", "\t")) + line[at:].lstrip(),
                ]
                if random.random() < 0.3:
                    found.insert(
                        -1, random.choice(("# in between", "", "  \\", "\\", "   # c \\", ".ifdef MACRO", ".endif"))
                    )
                continue
            found.append(line)
        if found and random.random() < 0.15:
            start = random.randint(0, len(found) - 1)
            end = random.randint(start, len(found))
            middle = found[start:end]
            opening = random.choice((".ifdef ", ".ifndef ")) + random.choice(_CONDITIONS)
            if random.random() < 0.4:
                cut = random.randint(0, len(middle))
                branch = random.choice(
                    (
                        ".else",
                        ".elifdef MACRO",
                        ".elifndef MACRO",
                        ".elifdef NOSUCH",
                        ".elifndef",
                        ".else x",
                        ".elifdef",
                    )
                )
                middle = [*middle[:cut], branch, *middle[cut:]]
            closing = self._one(
                (".endif", "  .endif", ".endif # c", ".endif x"),
                ("", ".end", ".endifx", ".else", ".fi", ".endif\t", ".ENDIF", ".endif\t# c"),
            )
            if self._odd(0.3):
                opening = random.choice(
                    (
                        ".ifdef\tMACRO",
                        ".ifdefMACRO",
                        ".if MACRO",
                        ".IFDEF MACRO",
                        ".elifdef MACRO",
                        ".else",
                        ".endif",
                        ". ifdef MACRO",
                        ".ifdef  MACRO",
                    )
                )
            found = [*found[:start], opening, *middle, closing, *found[end:]]
        return found

    # -- the question

    def _words(self) -> tuple[str, ...]:
        random = self._random
        before: list[str] = []
        if random.random() < 0.1:
            before.append("-n")
        if random.random() < 0.12:
            before += random.choice(
                (["-DMACRO=given"], ["-DCMD=x y"], ["-DCMD"], ["-DMAC=q", "-DCMD=1"], ["-DMACROX=x"], ["-DTRUE=no"])
            )
        shape = random.random()
        if shape < 0.12:
            return (*before, "-bV")
        if shape < 0.22:
            address = random.choice(("u@a.example", "root@h.example", "x", "u@q.example"))
            return (*before, "-bt", address)
        if shape < 0.27:
            return (
                *before,
                "-brt",
                *random.choice(
                    (
                        ["a.example"],
                        ["u@a.example"],
                        ["x.b.example", "timeout_connect"],
                        ["a.example", "b.example", "quota"],
                        ["a@a.example", "rcpt_452"],
                    )
                ),
            )
        if shape < 0.3:
            return (
                *before,
                "-be",
                random.choice(
                    (
                        "$qualify_domain $primary_hostname",
                        "MACRO",
                        "$spool_directory",
                        "${if match_domain{a.example}{+locals}}",
                        "MAC_2 $recipients_max",
                    )
                ),
            )
        return (*before, "-bP", *self._asked_options())

    def _asked_options(self) -> list[str]:
        random = self._random
        paths = [path for path in self._set if path]
        shape = random.random()
        if shape < 0.45 and self._set[""]:
            names = list(self._set[""])
            random.shuffle(names)
            return [*names[:4], *(["smtp_banner"] if random.random() < 0.3 else [])]
        if shape < 0.75 and paths:
            section, name = random.choice(paths).split()
            return random.choice(
                ([_SECTIONS[section], name], [_SECTIONS[section], name], [section], [f"{_SECTIONS[section]}_list"])
            )
        if shape < 0.8:
            return ["config"]
        words = (
            ["+locals"], ["+more"], ["+nosuch"], ["+q"], ["+e"], ["+X"], ["macro", "MACRO"], ["macro", "NOSUCH"], ["macro", "CMD"], ["macros"], ["macro_list"], ["config_file"], ["configure_file"],
            ["routers"], ["transports"], ["authenticators"], ["router_list"], ["transport_list"], ["authenticator_list"], ["router", "nosuch"], ["transport", "t"], ["all"], [], ["nosuch"],
            ["smtp_banner", "nosuch", "queue_only"], ["no_queue_only"], ["qualify_domain", "qualify_recipient"], ["macro"], ["router"], ["transport"], ["local_scan"], ["retry"], ["acl"],
            ["log_selector"], ["local_interfaces"], ["process_log_path"], ["+friends", "+nets"], ["hide"], ["daemon_smtp_port"], [""], ["+"], ["smtp_banner="], ["Smtp_banner"], ["nosuch", "queue_only"],
            ["authenticator", "plain"], ["environment"], ["delay_warning", "message_size_limit", "check_spool_space"], ["+locals", "+nosuch", "queue_only"],
        )  # fmt: skip
        return list(random.choice(words))

    # -- chances

    def _odd(self, weight: float = 1) -> bool:
        if self._left and self._random.random() < self._oddness * weight:
            self._left -= 1
            return True
        return False

    def _one(self, good: Sequence[str], odd: Sequence[str]) -> str:
        return self._random.choice(odd if self._odd(2) else good)


def _has(lines: str, name: str) -> bool:
    return re.search(rf"^(?:no_)?{re.escape(name)}(?: =|$)", lines, re.MULTILINE) is not None
