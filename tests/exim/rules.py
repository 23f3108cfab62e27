"""Single rules of routing, each with what the real Exim prints: what random routes have shown to be easily missed."""

from __future__ import annotations

from typing import NamedTuple

from tests.exim.configurations import Case

_MANUAL = "r:\n  driver = manualroute\n  transport = smtp\n"
_DNS = "r:\n  driver = dnslookup\n  transport = smtp\n"
_LIST = "r:\n  driver = redirect\n  allow_fail\n  allow_defer\n  file = @DIR@/data\n"
_BOX = "z:\n  driver = accept\n  domains = one.example : q.example\n  transport = box\n"
_BROKEN = "${if eq{a}{"
_SAYS = f'"{_BROKEN}": missing }} at end of string\n'
_LATER = "u@q.example cannot be resolved at this time: "
_IN_VAIN = f"{_LATER}lookup of host "


class Rule(NamedTuple):
    """What is asked, and what is printed."""

    case: Case
    printed: str


def _rule(printed: str, *routers: str, of: str = "u@q.example", by: str = "-bt", data: str = "") -> Rule:
    return Rule(Case(routers, (of,), (by,), {"data": data}), printed)


def _taken(address: str, *parents: str, router: str = "z") -> str:
    lines = [address, *(f"    <-- {parent}" for parent in parents), f"  router = {router}, transport = box"]
    return "".join(f"{line}\n" for line in lines)


RULES: dict[str, Rule] = {
    "header lines come before hosts": _rule(
        f"{_LATER}r router failed to expand add_headers item {_SAYS}",
        f"{_MANUAL}  route_data = nosuch.example\n  headers_add = {_BROKEN}\n",
    ),
    "a transport that is not there comes before hosts": _rule(
        f'{_LATER}transport "t" not found in r router\n',
        "r:\n  driver = manualroute\n  transport = t$h_a:\n  route_data = nosuch.example\n",
    ),
    "hosts come before a transport that is not named": _rule(
        f'{_IN_VAIN}"nosuch.example" failed in r router\n',
        "r:\n  driver = manualroute\n  route_data = nosuch.example\n",
    ),
    "who verifies needs no transport": _rule(
        "u@q.example verified\n", "r:\n  driver = manualroute\n  route_data = one.example\n", by="-bv"
    ),
    "a failure of verification is not forced where something is wrong": _rule(
        f"{_LATER}r router failed to expand add_headers item {_SAYS}",
        f"{_MANUAL}  route_data = one.example\n  headers_add = {_BROKEN}\n  fail_verify\n", by="-bv",
    ),
    "a pass fails, too, where verification is to": _rule(
        "u@q.example failed to verify: r router forced verify failure\n",
        f"{_MANUAL}  route_data = 127.0.0.1\n  self = pass\n  fail_verify\n", _BOX, by="-bv",
    ),
    "a name with /MX has no other address": _rule(
        f'{_IN_VAIN}"one.example" failed in r router\n', f"{_MANUAL}  route_data = one.example/MX\n"
    ),
    "a null MX is no name": _rule(
        f'{_IN_VAIN}"" failed in r router: syntax error in name\n', f"{_MANUAL}  route_data = mxnull.example/MX\n"
    ),
    "what is no name is not asked of DNS": _rule(
        f'{_IN_VAIN}"a..b" failed in r router: syntax error in name\n', f"{_MANUAL}  route_data = a..b bydns\n"
    ),
    "of mail exchangers that are all ignored the last is named": _rule(
        f'{_IN_VAIN}"two.example" failed in r router\n',
        f"{_MANUAL}  route_data = mx.example/MX\n  ignore_target_hosts = 198.51.100.0/24\n",
    ),
    "a host without a name is not passed over": _rule(
        f"{_LATER}host lookup for  did not complete (DNS timeout?)\n",
        f"{_MANUAL}  route_data = ${{if eq{{a}}{{b}}{{h}}}}:one.example\n",
    ),
    "an address is no name, whatever is asked": _rule(
        "u@q.example\n  router = r, transport = smtp\n  host 2001:db8::9 [2001:db8::9] port=26\n",
        f"{_MANUAL}  route_data = [2001::db8::::9]::26 bydns\n",
    ),
    "behind mail exchangers that end at this host the list goes on": _rule(
        "u@q.example\n  router = r, transport = smtp\n"
        "  host one.example [198.51.100.1] MX=10\n  host two.example [198.51.100.2]\n",
        f"{_MANUAL}  route_data = mxsecond.example/MX:two.example:127.0.0.1:one.example\n",
    ),
    "a list to this host itself goes on": _rule(
        "u@q.example\n  router = r, transport = smtp\n  host 127.0.0.1   [127.0.0.1]   \n"
        "  host two.example [198.51.100.2]\n  host 127.0.0.1   [127.0.0.1]   \n",
        f"{_MANUAL}  self = send\n  route_data = 127.0.0.1:two.example:127.0.0.1\n",
    ),
    "mail exchangers of two names stay in order": _rule(
        "u@q.example\n  router = r, transport = smtp\n"
        "  host nosuch.example [unknown]      MX=10 ** unusable **\n  host two.example    [198.51.100.2] MX=20\n"
        "  host one.example    [198.51.100.1] MX=10\n  host two.example    [198.51.100.2] MX=20\n",
        f"{_MANUAL}  route_data = mxhalf.example/MX:mx.example/MX\n",
    ),
    "bydns forgets the words before it": _rule(
        "u@q.example\n  router = r, transport = smtp\n"
        "  host dual.example [2001:db8::30] \n  host dual.example [198.51.100.30]\n",
        f"{_MANUAL}  route_data = dual.example ipv4_only bydns\n",
    ),
    "ipv4_only outdoes ipv4_prefer": _rule(
        "u@q.example\n  router = r, transport = smtp\n  host dual.example [198.51.100.30]\n",
        f"{_MANUAL}  route_data = dual.example ipv4_only ipv4_prefer\n",
    ),
    "a sender is verified without another domain": _rule(
        "u@sub failed to verify: Unrouteable address\n", f"{_DNS}  widen_domains = wide.example\n", of="u@sub",
        by="-bvs",
    ),
    "a sender may have one where header lines are left alone": _rule(
        "u@sub verified\n", f"{_DNS}  no_rewrite_headers\n  widen_domains = wide.example\n", of="u@sub", by="-bvs"
    ),
    "another domain comes before what self says": _rule(
        "u@sub.wide.example is undeliverable: Unrouteable address\n    <-- u@sub\n",
        f"{_DNS}  check_secondary_mx\n  widen_domains = wide.example\n", of="u@sub",
    ),
    "hosts have the domain in small letters": _rule(
        "u@ONE.example\n  router = r, transport = smtp\n  host one.example [198.51.100.1]\n", _DNS, of="u@ONE.example"
    ),
    ":blackhole: discards what stands before it": _rule(
        "mail to u@q.example is discarded\n", _LIST, data="a@one.example, :blackhole:\n"
    ),
    ":blackhole: behind what was skipped declines": _rule(
        "u@q.example is undeliverable: syntax error in redirection data\n", f"{_LIST}  skip_syntax_errors\n",
        data="a b c, :blackhole:\n",
    ),
    "an address that is discarded and goes on is not said to be discarded": _rule(
        _taken("u@q.example", "u@q.example"), f"{_LIST}  unseen\n", _BOX, data=":blackhole:\n"
    ),
    ":unknown: may be cut short": _rule(
        _taken("a@one.example", "u@q.example"), f"{_LIST}  domains = q.example\n", _BOX, data=":unk, a@one.example\n"
    ),
    ":unknown: with a text is no address": _rule(
        f'{_LATER}error in redirect file: missing or malformed local part (expected word or "<") in ":unknown: x"\n',
        _LIST, data=":unknown: x\n",
    ),
    "a message keeps its blanks and commas": _rule(
        "u@q.example is undeliverable: he, left  \n", _LIST, data=":fail:  he, left  \n"
    ),
    "a message goes on to the end of the data": _rule(
        "u@q.example is undeliverable: he\nleft\n", _LIST, data=":fail: he\nleft\n\n"
    ),
    "quotes round an item are taken off": _rule(
        _taken("a@one.example", "u@q.example"), f"{_LIST}  domains = q.example\n", _BOX, data='" a@one.example "\n'
    ),
    "a command with a domain is an address": _rule(
        _taken("|x@one.example", "u@q.example"), f"{_LIST}  domains = q.example\n", _BOX, data="|x@one.example\n"
    ),
    "a comment is no address and no mistake": _rule(
        _taken("a@one.example", "u@q.example"), f"{_LIST}  domains = q.example\n", _BOX, data="(c), a@one.example\n"
    ),
    # Not among the random ones: 4.96 marks duplicates by what the address was before.
    "check_ancestor puts the address for its ancestors": _rule(
        _taken("v@q.example", "v@q.example", "u@q.example"),
        "a:\n  driver = redirect\n  check_ancestor\n  data = ${if eq{$local_part}{u}{v}{U}}@q.example\n", _BOX,
    ),
    "a file that is not there silences an earlier router": _rule(
        "u@mxnull.example is undeliverable: Unrouteable address\n", _DNS, "f:\n  driver = redirect\n  file = /nosuch\n",
        of="u@mxnull.example",
    ),
    "a failure of route_data is nobody's": _rule(
        f'{_LATER}failed to expand {_SAYS}', f"{_MANUAL}  route_data = {_BROKEN}\n"
    ),
    "a failure of route_list is its router's": _rule(
        f'{_LATER}r router: failed to expand "$nosuch": unknown variable name "nosuch"\n',
        f"{_MANUAL}  route_list = * $nosuch\n",
    ),
    "a file whose directory is not there is no missing file": _rule(
        f"{_LATER}failed to stat /nosuch/. (No such file or directory)\n",
        "f:\n  driver = redirect\n  file = /nosuch/file\n",
    ),
    "a file by no absolute path": _rule(
        f'{_LATER}"u" is not an absolute path\n', "f:\n  driver = redirect\n  file = $local_part\n"
    ),
    "a file that is named by nothing": _rule(
        f'{_LATER}"" is not an absolute path\n', "f:\n  driver = redirect\n  file = ${if eq{a}{b}{x}}\n"
    ),
    "a directory is no file": _rule(
        f"{_LATER}/dev/ is not a regular file\n", "f:\n  driver = redirect\n  file = /dev/\n"
    ),
    "nor is it one to be included": _rule(
        f"{_LATER}error in redirect data: included file /dev is not a regular file in the / directory\n",
        "f:\n  driver = redirect\n  data = :include:/dev\n  include_directory = /\n",
    ),
    "data without an address do not": _rule(
        "u@mxnull.example is undeliverable: an MX or SRV record indicated no SMTP service\n", _DNS,
        "f:\n  driver = redirect\n  data = ${if eq{a}{b}{x}}\n", of="u@mxnull.example",
    ),
    ":defer: without a text": _rule(f"{_LATER}\n", _LIST, by="-bv", data=":defer:\n"),
    ":defer: says so before header lines": _rule(
        f"{_LATER}soon\n", f"{_LIST}  headers_add = {_BROKEN}\n", data=":defer: soon\n"
    ),
    "a file is verified unseen": _rule("u@q.example verified\n", _LIST, by="-bvs", data="/a/b\n"),
    "of an address and its copy the copy is verified": _rule(
        "u@q.example failed to verify: Unrouteable address\n",
        "a:\n  driver = accept\n  transport = box\n  unseen\n", _LIST, by="-bv",
    ),
    "two copies are two addresses, a third is the address itself": _rule(
        _taken("u@q.example", "u@q.example", "u@q.example")
        + _taken("u@q.example", "u@q.example", "u@q.example", router="b")
        + _taken("u@q.example", "u@q.example", router="a"),
        "a:\n  driver = accept\n  transport = box\n  unseen\n",
        "b:\n  driver = accept\n  transport = box\n  unseen\n", _BOX,
    ),
    "a loop is one in any case": _rule(
        _taken("U@q.example", "u@q.example"), "a:\n  driver = redirect\n  data = U@q.example\n", _BOX
    ),
    "a suffix of nothing is none": _rule(
        "u-@q.example is undeliverable: Unrouteable address\n",
        "a:\n  driver = accept\n  transport = box\n  local_part_prefix = u-\n  local_part_suffix = *\n",
        of="u-@q.example",
    ),
    "a message that is empty is one": _rule(
        "u@q.example is undeliverable: \n", f"{_DNS}  domains = one.example\n  cannot_route_message =\n"
    ),
    "home is the router's": _rule(
        _taken("/home/u@one.example", "u@q.example"),
        "a:\n  driver = redirect\n  domains = q.example\n  data = $home@one.example\n"
        "  router_home_directory = /home/$local_part\n", _BOX,
    ),
    "an include from a directory that is not there": _rule(
        f"{_LATER}error in redirect file: failed to open directory /nosuch\n",
        f"{_LIST}  include_directory = /nosuch\n", data=":include:/nosuch/file\n",
    ),
    "an include by a symbolic link": _rule(
        f"{_LATER}error in redirect file: failed to open /dev/stdin/x (component of included file); "
        "could be symbolic link\n",
        f"{_LIST}  include_directory = /dev\n", data=":include:/dev/stdin/x\n",
    ),
    "an include from elsewhere": _rule(
        f"{_LATER}error in redirect file: included file /etc/hosts is not in directory /dev\n",
        f"{_LIST}  include_directory = /dev\n", data=":include:/etc/hosts\n",
    ),
    "a home that cannot be expanded": _rule(
        f'{_LATER}failed to expand "{_BROKEN}" for router_home_directory: missing }} at end of string\n',
        f"a:\n  driver = accept\n  transport = box\n  router_home_directory = {_BROKEN}\n",
    ),
    "a parent is spelled as its router saw it": _rule(
        _taken("Real-Root-Real-Root-c@q.example", "C@one.example", "Real-Root@two.example"),
        "a:\n  driver = redirect\n  domains = two.example\n  caseful_local_part\n  local_part_prefix = real-\n"
        "  data = C@one.example\n",
        "b:\n  driver = redirect\n  domains = one.example\n"
        "  data = $parent_local_part-$original_local_part-$local_part@q.example\n", _BOX, of="Real-Root@two.example",
    ),
    "each list begins with numbers of its own": _rule(
        _taken("u-.h@one.example", "u@h.example"),
        "a:\n  driver = redirect\n  domains = *.example : !one.example\n  local_parts = u\n"
        "  data = $0-$1.h@one.example\n  redirect_router = z\n", _BOX, of="u@h.example",
    ),
    "a list of senders leaves none": _rule(
        _taken("x-.h@one.example", "u@h.example"),
        "a:\n  driver = redirect\n  domains = *.example\n  senders = : ^\n"
        "  data = x$0-$1.h@one.example\n  redirect_router = z\n", _BOX, of="u@h.example",
    ),
    "what a regular expression matched has its case": _rule(
        _taken("R@one.example", "Root@q.example"),
        "a:\n  driver = redirect\n  domains = q.example\n  data = $1@one.example\n  local_parts = ^(r)\n", _BOX,
        of="Root@q.example",
    ),
}  # fmt: skip
