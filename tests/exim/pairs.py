"""Single deliveries that once went two ways, each a small scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.exim import pools
from tests.exim.scenes import Scene

_COPY = (
    "copied:\n  driver = redirect\n  domains = any.example\n  data = archive@one.example\n  unseen\n",
)  # fmt: skip
_STAYS = (
    "copy:\n  driver = accept\n  domains = any.example\n  transport = local_delivery\n  unseen\n",
)  # fmt: skip
_NO = {"rcpt": "550 no"}
_THREE = ("a@any.example", "b@two.example", "c@any.example")
_TOO_MANY = (
    "EHLO x.example", "MAIL FROM:<a@b.example>", "RCPT TO:<a@b@c>", "RCPT TO:<u@any.example>",
    "RCPT TO:<v@any.example>", "RCPT TO:<w@any.example>", "DATA", "From: a@b.example\r\n\r\nx\r\n.", "QUIT",
)  # fmt: skip
_RETRY = ("* * F,2h,15m; G,16h,1h,1.5; F,4d,6h",)
Script = Mapping[str, Any]


def sent(*recipients: str, stdin: str = pools.MESSAGE, words: Sequence[str] = pools.USUAL) -> dict[str, Any]:
    """Return a step that hands a message in."""
    return {"args": [*words, *recipients], "stdin": stdin, "show": True}


def asked(*words: str) -> dict[str, Any]:
    """Return a step that says something else."""
    return {"args": list(words), "show": True}


def session(*lines: str) -> dict[str, Any]:
    """Return a step that is an SMTP session."""
    return sent(words=("-odi", "-bs"), stdin="".join(f"{line}\r\n" for line in lines))


def scene(*steps: dict[str, Any], server: Script | Sequence[Script] = (), others: Any = (), **parts: Any) -> Scene:
    """Return a scene of *steps* with the smarthost's script, or one for each connection."""
    scripts = [server] if isinstance(server, Mapping) else [*server] or [{}]
    places = (("127.0.0.10", scripts), *others)
    servers = tuple((place, tuple(tuple(one.items()) for one in given)) for place, given in places)
    return Scene(steps=steps, servers=servers, **{"retry": _RETRY, **parts})


PAIRS: dict[str, Scene] = {
    "what an alias has made goes first": scene(
        sent("both@local.example", "rcpt@any.example", "nested@local.example", "x@other.example")
    ),
    "a copy stands behind what it is one of": scene(
        sent("rcpt@any.example", "b@two.example", "fred@local.example"), routers=_COPY
    ),
    "failures are told from the last one": scene(
        sent("code@local.example", "nowhere@local.example", "boxuser+tag@local.example", "gone@local.example")
    ),
    "failures of several transactions": scene(
        sent("c@any.example", "a@two.example", "b@any.example"),
        smtp=("no_multi_domain", "max_rcpt = 1"), server=(_NO, _NO, _NO, {}),
    ),
    "what has no route is told before a host fails": scene(
        sent("nobody@local.example", "rcpt@any.example", "later@local.example", "hole@local.example"),
        route="* dead.isp.example",
    ),
    "each host begins anew": scene(
        sent("rcpt@any.example", "b@any.example"), route="* mail1.isp.example:dead.isp.example",
        others=(("127.0.0.11", [{"rcpt": ["250 ok", "550 no"]}]),),
    ),
    "what stays here goes first": scene(sent("rcpt@any.example", "boxuser@local.example"), route="* dead.isp.example"),
    "a copy stays here, the other one waits": scene(
        sent("rcpt@any.example", "b@any.example", words=("-odqs", "-f", "sender@example.net")), asked("-qff"),
        routers=_STAYS,
    ),
    "several recipients end in one address": scene(
        sent("list@local.example", "tobox@local.example", "mixed@local.example", "one@one.example")
    ),
    "several recipients wait for one address": scene(
        sent("tobox@local.example", "mixed@local.example"), asked("-qff"),
        server={"rcpt": {"boxuser@example.net": "450 no"}},
    ),
    "a transaction for each domain": scene(sent(*_THREE), smtp=("no_multi_domain",)),
    "a transaction for each domain, and two hosts": scene(
        sent(*_THREE), smtp=("no_multi_domain",), route="* mail1.isp.example:smarthost.isp.example",
        others=(("127.0.0.11", [{"eod": "450 later"}, {}]),),
    ),
    "a transaction for each recipient": scene(
        sent(*_THREE), smtp=("max_rcpt = 1",), server=({"eod": "250 first"}, {"eod": "250 second"}, {})
    ),
    "a confirmation of three lines": scene(
        sent("rcpt@any.example"), server={"eod": '250-one\r\n250-two "x" \\y\r\n250 three'}
    ),
    "a greeting of three lines": scene(
        sent("rcpt@any.example"), server={"banner": ["554-one", "554-two", "554 three"]}
    ),
    "a refusal of three lines": scene(
        sent("rcpt@any.example"), server={"rcpt": "550-one\r\n550-two\r\n550 three"}
    ),
    "neither good nor bad, to the dot": scene(sent("rcpt@any.example"), server={"eod": "354 more"}),
    "neither good nor bad, to RCPT": scene(sent("rcpt@any.example"), server={"rcpt": "354 more"}),
    "gone at the second RCPT": scene(sent(*_THREE), server={"rcpt": ["250 ok", None]}),
    "gone at the second RCPT of one write": scene(
        sent(*_THREE), server={"ehlo": ["PIPELINING"], "rcpt": ["250 ok", None]}
    ),
    "the sender is told of what was delivered": scene(
        sent("rcpt@any.example", "b@any.example"), selectors=("+sender_on_delivery",),
        server={"rcpt": ["450 no", "250 ok"]},
    ),
    "a body alone": scene(sent("boxuser@local.example"), local=("body_only",)),
    "recipients are counted that were tried": scene(session(*_TOO_MANY), main=("recipients_max = 2",)),
    "too many recipients refuse all": scene(
        session(*_TOO_MANY), main=("recipients_max = 2", "recipients_max_reject")
    ),
    "another name in sessions": scene(
        session("EHLO x.example", "HELO y.example", "QUIT"), main=("smtp_active_hostname = active.example",)
    ),
    "commands out of order, one by one": scene(
        session("EHLO x.example", "MAIL FROM:<a@b_c.example>", "RCPT TO:<u@any.example>", "DATA", "X: y", "QUIT"),
        main=("pipelining_advertise_hosts =",),
    ),
    "the story of what waits and what fails": scene(
        sent("rcpt@any.example", "b@two.example", "code@local.example", "boxuser@local.example"),
        asked("-Mvl", "@ID1@"), server={"eod": "550 no"},
        route="any.example dead.isp.example ; * smarthost.isp.example",
    ),
    "the story of what is frozen": scene(
        sent("nobody@local.example", words=("-odi", "-f", "<>", "-oMs", "h.example", "-oMa", "10.1.2.3")),
        asked("-Mvl", "@ID1@"),
    ),
    "what is refused has the name of who wrote it": scene(sent("-t", words=("-odi",), stdin="Subject: x\n\nx\n")),
    "-G is for the trusted": scene(
        {"run_as": "nobody", **sent("rcpt@any.example", words=("-odi", "-G", "-f", "sender@example.net"))}
    ),
    "a NUL in the header": scene(sent("rcpt@any.example", stdin=f"X-Nul: a\0b\n{pools.MESSAGE}")),
    "a warning names no host that was not reached": scene(
        sent("rcpt@any.example"), {"sleep": 2}, asked("-qff"), main=("delay_warning = 1s:2h",),
        route="any.example dead.isp.example ; * smarthost.isp.example",
    ),
    "no transport for a file, and no retry rule": scene(
        sent("file@local.example"), aliasing=("# nothing",), retry=()
    ),
    "a colon in a list is doubled": scene(
        sent("rcpt@any.example"), smtp=("headers_remove = ${if def::h_subject::{subject}} : x-none",)
    ),
    "who has sent it on is not who they say": scene({
        "run_as": "nobody",
        **sent("rcpt@any.example", stdin=f"Sender: o@y.example\nResent-From: x@y.example\n{pools.MESSAGE}"),
    }),
    "who has sent it on is not said": scene({
        "run_as": "nobody", **sent("rcpt@any.example", stdin=f"Resent-To: x@y.example\n{pools.MESSAGE}")
    }),
    "a daemon reports": scene(
        {"daemon": 2525},
        {"smtp": 2525, "lines": [
            "EHLO x.example", "MAIL FROM:<a@b.example>", "RCPT TO:<nobody@local.example>", "DATA",
            f"{pools.MESSAGE}.", "QUIT",
        ]},
        {"wait": True},
    ),
    "a report waits for a file to go": scene(
        sent("nobody@local.example", words=("-odb", "-f", "sender@example.net")), asked("-q"), asked("-bp"),
        main=("queue_only_file = @DIR@/aliases",),
    ),
    "short lines": scene(sent("rcpt@any.example"), smtp=("message_linelength_limit = 40",)),
    "a long line": scene(
        sent("rcpt@any.example", stdin=f"X-Long: {'y' * 50}\n{pools.MESSAGE}"), smtp=("message_linelength_limit = 40",)
    ),
    "an alias to a domain that waits": scene(
        sent("both@local.example", "b@two.example"), asked("-q"), main=("queue_domains = two.example",)
    ),
    "an alias to a domain that is held": scene(
        sent("both@local.example", "b@two.example"), asked("-q"), main=("hold_domains = two.example",)
    ),
    "each waits for a host for its own domain": scene(
        sent("rcpt@any.example", "x@other.example"), sent("x@other.example", "rcpt@any.example"),
        route="* dead.isp.example",
    ),
    "a reply without a text": scene(sent("rcpt@any.example"), server={"eod": "250"}),
    "what a complaint is about": scene(
        sent("-t", words=("-odi",), stdin="From: a@b.example\nMessage-Id: <x@y.example>\n\nx\n")
    ),
    "a domain whose DNS does not answer": scene(
        sent("u@again.example"), asked("-q"),
        routers=("mxs:\n  driver = dnslookup\n  domains = again.example\n  transport = smarthost_smtp\n",),
    ),
    "no rule for a host, nothing remembered": scene(
        sent("rcpt@any.example", "x@one.example"), retry=(), server={"banner": "hello"}
    ),
    "what has timed out is named as it was written": scene(
        sent("RCPT@Any.Example", "Fred@LOCAL.example"), retry=(), route="* dead.isp.example"
    ),
    "a daemon's report is frozen": scene(
        {"daemon": 2525},
        {"smtp": 2525, "lines": [
            "EHLO x.example", "MAIL FROM:<a@b.example>", "RCPT TO:<nobody@local.example>", "DATA",
            f"{pools.MESSAGE}.", "QUIT",
        ]},
        {"wait": True}, server={"rcpt": "550 no"},
    ),
    "how long what has timed out took": scene(
        sent("later@local.example"), retry=(), selectors=("+deliver_time",), route="* dead.isp.example"
    ),
    "a complaint waits for a file to go": scene(
        sent("u@two.example.", words=("-odi",)), asked("-bp"), main=("queue_only_file = @DIR@/aliases",)
    ),
    "421 to MAIL, and good-bye": scene(sent("rcpt@any.example"), server={"mail": "421 4.7.0 closing"}),
    "421 to RCPT, and good-bye": scene(sent("rcpt@any.example"), server={"rcpt": "421 4.7.0 closing"}),
    "421 to DATA, and good-bye": scene(sent("rcpt@any.example"), server={"data": "421 4.7.0 closing"}),
    "421 to the dot, and good-bye": scene(sent("rcpt@any.example"), server={"eod": "421 4.7.0 closing"}),
    "421 to RCPT in one write": scene(
        sent("rcpt@any.example", "b@any.example"), server={"rcpt": "421 4.7.0 closing", "ehlo": ["PIPELINING"]}
    ),
    "lost at DATA, the host waits": scene(sent("rcpt@any.example"), asked("-q"), server={"close_after": "DATA"}),
    "a message that waits for itself": scene(
        sent("both@local.example", "rcpt@any.example"), asked("-q"), server={"eod": "452 disk full"}
    ),
    "EHLO refused for now": scene(sent("rcpt@any.example"), server={"ehlo_reply": "450 later"}),
    "EHLO refused for now, HELO for good": scene(
        sent("rcpt@any.example"), server={"ehlo_reply": "450 later", "helo": "550 never"}
    ),
    "a rule for hosts by their addresses": scene(
        sent("rcpt@any.example"), route="* dead.isp.example", retry=("* refused_A F,1h,5m", "* * F,1h,8m")
    ),
    "a rule for hosts by MX": scene(
        sent("rcpt@any.example"), route="* mxdom.example/MX", retry=("* refused_MX F,1h,5m", "* * F,1h,8m")
    ),
    "nothing waits, nothing freezes": scene(sent("rcpt@any.example"), route="* nosuch.isp.example", retry=()),
    "given up while frozen": scene(sent("nobody@local.example", words=("-odi", "-f", "<>")), asked("-Mg", "@ID1@")),
    "a frozen message from nobody is told": scene(
        sent("nobody@local.example", words=("-odi", "-f", "<>")), main=("freeze_tell = admin@ok.example",)
    ),
    "queue_smtp_domains": scene(
        sent("rcpt@any.example", "boxuser@local.example"), asked("-q"), main=("queue_smtp_domains = any.example",)
    ),
    "queue_only_file": scene(sent("rcpt@any.example"), asked("-q"), main=("queue_only_file = @DIR@/aliases",)),
    "a report keeps -odqs": scene(sent("-t", words=("-odqs", "-f", "sender@example.net"), stdin="Subject: x\n\nx\n")),
    "an argument ends with a dot": scene(sent("u@two.example.")),
    "a copy of what was not read": scene(
        sent("bad bad", words=("-odi", "-f", "sender@example.net"), stdin=f"{pools.MESSAGE}.\nmore\n")
    ),
    "the id of what is sent again": scene(
        sent("rcpt@any.example", stdin=f"Resent-From: r@two.example\n{pools.MESSAGE}")
    ),
    "header lines name the host": scene(
        sent("rcpt@any.example"), smtp=("headers_add = X-Host: $host [$host_address]",),
        route="* mail1.isp.example:smarthost.isp.example", others=(("127.0.0.11", [{"mail": "451 later"}]),),
    ),
    "Envelope-to of two": scene(sent("a@any.example", "b@any.example"), smtp=("envelope_to_add",)),
    "a mailbox has its limit": scene(
        sent("boxuser@local.example", words=("-odi", "-f", "<>")), local=("message_size_limit = 100",)
    ),
    "files are forbidden": scene(
        sent("file@local.example", "later@local.example", words=("-odi", "-f", "<>")), aliasing=("forbid_file",)
    ),
    "all hosts are ignored": scene(sent("rcpt@any.example"), smarthost=("ignore_target_hosts = 127.0.0.0/8",)),
    "data cannot be expanded": scene(
        sent("rcpt@any.example"), routers=("r:\n  driver = redirect\n  domains = any.example\n  data = ${nosuch:x}\n",)
    ),
    "a lookup in route_data fails": scene(
        sent("rcpt@any.example"),
        routers=(
            "r:\n  driver = manualroute\n  domains = any.example\n  transport = second_smtp\n"
            "  route_data = ${lookup{x}lsearch{/nosuch}}\n",
        ),
    ),
    "a literal in a batch": scene(
        sent(words=("-odi", "-bS"), stdin="MAIL FROM:<a@b.example>\nRCPT TO:<u@[127.0.0.10]>\nDATA\nX: y\n\nx\n.\n")
    ),
    "a literal that is allowed": scene(
        session("EHLO there.example", "MAIL FROM:<a@[192.0.2.9]>", "RCPT TO:<u@[127.0.0.10]>", "QUIT"),
        main=("allow_domain_literals",),
    ),
    "what is not offered": scene(
        session("EHLO there.example", "QUIT"),
        main=("pipelining_advertise_hosts =", "chunking_advertise_hosts =", "smtputf8_advertise_hosts =",
              "no_accept_8bitmime"),
    ),
    "both lists of certificates are empty": scene(
        sent("rcpt@any.example"), smtp=("tls_verify_hosts =", "tls_try_verify_hosts =", "hosts_try_auth = *"),
        server={"ehlo": ["STARTTLS"], "ehlo_tls": ["AUTH PLAIN"]},
        authenticators=("plain:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ^u^p\n",),
    ),
}  # fmt: skip
