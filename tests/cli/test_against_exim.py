"""The same command line to the real Exim and to ``smarthostd exim --strict``: the same output, the same exit status."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.calls import Answer, call
from tests.peers.exim import Exim

MAIN = """\
primary_hostname = client.example.net
qualify_domain = example.net
qualify_recipient = rcpt.example.net
spool_directory = @DIR@/spool
log_file_path = @DIR@/log/%slog
timezone = UTC
domainlist local_domains = client.example.net : *.local.example
"""
RETRY = "begin retry\nd.example * F,1h,9m\n* * F,1h,1m\n"
REWRITE = "begin rewrite\n*@old.example $1@new.example\n"
ROUTES = """\
begin routers
answers:
  driver = redirect
  domains = !ok.example
  data = ${if eq{$local_part}{later}{:defer: not now}{:fail: never}}
  allow_defer
  allow_fail
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = /nowhere
"""
LONG = "a" * 257
MESSAGE = """\
Subject: a   b
X-A: =?utf-8?q?caf=C3=A9?=
 folded
To: j@d.example
Message-Id: <i@d>
Date: today

b 1

b 2
.
b 3
"""

BLIND = """\
To: j@d.example, root, all: a@d.example, b@d.example;
Cc: "k l"@d.example
  (folded)
Bcc: m@d.example

body
"""

CALLS: dict[str, tuple[list[str], str]] = {
    "each string has its line": (["-be", "a", "${uc:b}", "$nosuch", ""], ""),
    "lines of standard input": (["-be"], "a\n  b  \n\n${uc:c}\n"),
    "a line goes on behind a backslash": (["-be"], "x \\\n   y\nz\\\n\nlast \\\n"),
    "nothing on standard input": (["-be"], ""),
    "a last line that is not ended": (["-be"], "a\nb"),
    "a definition, and the macro": (["-be", "X = two words", "[X]"], ""),
    "a macro is not replaced in its own definition": (["-be", "X=1", "X == 2", "X"], ""),
    "a definition in front of which a blank stands": (["-be", " X=1"], ""),
    "no definition": (["-be", "Xyz", "next"], ""),
    "a macro that is there already": (["-be", "X=1", "X=2", "X"], ""),
    "a macro that is not there to be redefined": (["-be", "X==2"], ""),
    "a macro with another one in its name": (["-be", "XY=1", "XYZ=2", "b"], ""),
    "definitions on standard input": (["-be"], "X=1\nX y\nBad\nz\n"),
    "a macro of the command line": (["-DMAC=x y", "-be", "[MAC]"], ""),
    "a macro without text": (["-DMAC", "-be", "[MAC]"], ""),
    "a macro with blanks round its sign": (["-DMAC =  x", "-be", "[MAC]"], ""),
    "only so much of a macro's name counts": (["-D" + "X" * 30 + "=1", "-be", "X" * 23], ""),
    "a macro twice": (["-DX=1", "-DX=2", "-be", "a"], ""),
    "too many macros": ([*(f"-DA{n}=1" for n in range(11)), "-be", "a"], ""),
    "a macro in small letters": (["-Dx=1", "-be", "a"], ""),
    "a macro's name in the next word": (["-D", "X=1", "-be", "a"], ""),
    "a macro that is no name": (["-DX-Y=1", "-be", "a"], ""),
    "a built-in macro": (["-be", "_HAVE_TLS", "_DRIVER_ROUTER_ACCEPT"], ""),
    "options end at the first argument": (["-be", "a", "-q", "--"], ""),
    "options end at two hyphens": (["-be", "--", "-a"], ""),
    "an option that nobody knows": (["-be", "-a"], ""),
    "an option with more than it takes": (["-beX", "a"], ""),
    "half an option": (["-b"], ""),
    "a hyphen alone": (["-", "-be"], ""),
    "options that change nothing": (["-v", "-n", "-i", "-oi", "-U", "-x", "-odi", "-oem", "-be", "a"], ""),
    "options with a value in the next word": (["-F", "J. Doe", "-h", "3", "-O", "x", "-X", "f", "-be", "a"], ""),
    "an option whose value is missing": (["-be", "-f"], ""),
    "an option whose file is missing": (["-bem"], ""),
    "an option whose string is missing": (["-O"], ""),
    "an option whose data is missing": (["-oMa"], ""),
    "a string that is too long": (["-be", "b", LONG], ""),
    "a string that is as long as can be": (["-be", LONG[1:]], ""),
    "nothing at all": ([], ""),
    "two things that do not go together": (["-be", "-bP"], ""),
    "two more": (["-bt", "-bv", "a@ok.example"], ""),
    "routing goes before expansion": (["-be", "-bt", "a@ok.example"], ""),
    "retry rules go before expansion": (["-be", "-brt", "a.example"], ""),
    "the sender": (["-f", "a@b.example", "-be", "<$sender_address> $sender_address_domain"], ""),
    "the sender in the same word": (["-fa@b.example", "-be", "<$sender_address>"], ""),
    "the sender by its old option": (["-r", "a@b.example", "-be", "<$sender_address>"], ""),
    "the sender without a domain": (["-f", "joe", "-be", "<$sender_address>"], ""),
    "the null sender": (["-f", "<>", "-be", "<$sender_address>"], ""),
    "an empty sender": (["-f", "", "-be", "<$sender_address>"], ""),
    "a sender with a phrase": (["-f", "Joe <joe@c.example>", "-be", "<$sender_address>"], ""),
    "a quoted sender": (["-f", '"a b"@c.example', "-be", "<$sender_address>"], ""),
    "a sender with two signs": (["-f", "a@b@c", "-be", "a"], ""),
    "a sender of two words": (["-f", "a b", "-be", "a"], ""),
    "a sender with a dot at its end": (["-f", "a@b.", "-be", "a"], ""),
    "who calls, when nobody says": (["-be", "$sender_address $authenticated_id $sender_ident $caller_uid"], ""),
    "where a message is said to come from": (
        ["-oMa", "192.0.2.9.99", "-oMs", "h.example", "-oMr", "p", "-oMt", "me", "-be",
         "$sender_host_address $sender_host_port $sender_host_name $received_protocol $sender_ident"], "",
    ),
    "a protocol and a host": (["-pp:h.example", "-be", "$received_protocol $sender_host_name"], ""),
    "an option about a message that nobody knows": (["-oMz", "x", "-be", "a"], ""),
    "the environment is gone": (["-be", "${env{PATH}{$value}{none}}"], ""),
    "the configuration's place": (["-be", "$config_file $config_dir $spool_directory"], ""),
    "a message": (["-bem", "@DIR@/msg", "$h_subject: $rh_x-a:|$h_x-a:|$message_body"], ""),
    "a message's sizes": (
        ["-bem", "@DIR@/msg", "$message_size $message_body_size $message_linecount $body_linecount"], "",
    ),
    "a message that a dot does not end": (
        ["-i", "-bem", "@DIR@/msg", "$message_size $message_body_size $message_linecount $body_linecount"], "",
    ),
    "a message's recipients are not told": (["-bem", "@DIR@/msg", "[$recipients] $recipients_count"], ""),
    "a message's recipients are told where its header says them": (
        ["-t", "-bem", "@DIR@/blind", "$recipients ($recipients_count) [$h_bcc:] $message_size"], "",
    ),
    "a message that was sent on": (
        ["-bem", "@DIR@/resent", "-t", "$recipients [$h_resent-bcc:] $h_resent-from: $h_bcc: [$h_date:$h_message-id:]"],
        "",
    ),
    "a message that was sent on has new lines in front": (
        ["-bem", "@DIR@/resent", "${sg{$message_headers_raw}{:.*\\n}{ }}"], "",
    ),
    "a message, with strings from standard input": (["-bem", "@DIR@/msg"], "$h_to:\n"),
    "a message without a header": (["-bem", "@DIR@/none", "[$message_body][$h_subject:]"], ""),
    "a message that begins with its body": (["-bem", "@DIR@/body", "[$message_body]"], ""),
    "a message that is not there": (["-bem", "@DIR@/nosuch", "a"], ""),
    "a message and who sent it": (["-f", "s@d.example", "-bem", "@DIR@/msg", "$sender_address"], ""),
    "a rule for a domain": (["-brt", "d.example"], ""),
    "a rule for a local part": (["-brt", "joe"], ""),
    "a rule for a second domain": (["-brt", "x.example", "d.example"], ""),
    "a rule for an error": (["-brt", "d.example", "timeout_connect"], ""),
    "a rule for no error": (["-brt", "d.example", "nosuch"], ""),
    "a rule for nothing": (["-brt"], ""),
    "a rule for what looks like an option": (["-brt", "-be"], ""),
    "a rule for a subject that is too long": (["-brt", LONG], ""),
    "a rule for an error that is too long": (["-brt", "a.b", "d" * 65], ""),
    "a route": (["-bt", "a@ok.example", "b@c.example", "later@c.example"], ""),
    "routes from standard input": (["-bt"], "a@ok.example\n\nb@c.example\n"),
    "no route from standard input": (["-bt"], ""),
    "several addresses in one word": (["-bt", "a@ok.example, b@ok.example"], ""),
    "verified": (["-bv", "a@ok.example", "b@c.example"], ""),
    "an address rewritten": (["-brw", "a@old.example"], ""),
    "an address not rewritten": (["-brw", "a@ok.example"], ""),
    "nothing to be rewritten": (["-brw"], ""),
    "an address to be rewritten that is too long": (["-brw", LONG], ""),
    "an option": (["-bP", "qualify_domain"], ""),
    "options, and what is none": (["-bP", "nosuch", "qualify_domain"], ""),
    "what is no option comes last": (["-bP", "qualify_domain", "nosuch", ""], ""),
    "a value alone": (["-n", "-bP", "qualify_domain", "+local_domains", "router_list"], ""),
    "a value alone, said behind": (["-bP", "-n", "qualify_domain"], ""),
    "a router": (["-bP", "router", "all"], ""),
    "a router that is not there": (["-bP", "router", "nosuch"], ""),
    "a kind without a name": (["-bP", "router"], ""),
    "names of instances": (["-bP", "router_list", "transport_list", "authenticator_list"], ""),
    "a list that is not there": (["-bP", "+", "+nolist"], ""),
    "a macro's text": (["-DX=a b", "-bP", "macro", "X", "macro", "Y"], ""),
    "the environment": (["-bP", "environment"], ""),
    "the configuration": (["-bP", "config"], ""),
    "the configuration without indentation": (["-n", "-bP", "config"], ""),
    "a name that is too long": (["-bP", "x" * 65], ""),
    "help": (["--help"], ""),
    "an unknown long option": (["--helpme"], ""),
    "an instance's name that is too long": (["-bP", "router", "x" * 65], ""),
}  # fmt: skip


BUGS: dict[str, tuple[list[str], str, str]] = {
    "a condition for each item that nobody wants to know": (
        ["${if eq{a}{b}{${if forany{a}{>{x}{1}}}}}"],
        'Failed: integer expected but "x" found inside "forany" condition',
        "",
    ),
    "what a string that failed has looked up": (
        ["${lookup{a}lsearch{@DIR@/items}{${eval:x}}}", "[$value]"], "[1]", "[]",
    ),
    "what a string that failed has matched": (["${if match{abc}{(b)}{${eval:x}}}", "[$1]"], "[b]", "[]"),
    "no text for an unknown comparator": (
        ["${sort{a:b}{nosuch}{$item}}"], "Failed: ", 'Failed: unknown condition "nosuch"',
    ),
    "no text for missing braces": (["${env"], "Failed: ", "Failed: Not enough arguments for 'env' (min is 1)"),
}  # fmt: skip
"""Strings, what Exim says of the last one, and what we say (docs/exim.md)."""


@pytest.fixture(scope="module")
def exim(tmp_path_factory: pytest.TempPathFactory) -> tuple[Exim, Path]:
    """The real Exim, with its configuration and some messages in a folder."""
    folder = tmp_path_factory.mktemp("command")
    made = Exim(folder, (MAIN + RETRY + REWRITE + ROUTES).replace("@DIR@", str(folder)))
    (folder / "msg").write_text(MESSAGE)
    (folder / "none").write_text("no header\nbody\n")
    (folder / "body").write_text("\nbody\n")
    (folder / "items").write_text("a: 1\n")
    (folder / "blind").write_text(BLIND)
    (folder / "resent").write_text(f"Resent-To: r@d.example\nResent-Bcc: s@d.example\n{BLIND}")
    return made, folder


@pytest.mark.parametrize(("words", "stdin"), CALLS.values(), ids=CALLS)
def test_exim_and_we_answer_alike(
    exim: tuple[Exim, Path], words: list[str], stdin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both answers, but for the time in front of what Exim logs."""
    program, folder = exim
    placed = [word.replace("@DIR@", str(folder)) for word in words]
    done = program.run(*placed, stdin=stdin.encode())
    monkeypatch.delenv("PATH")
    stderr = re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "", done.stderr.decode(), flags=re.MULTILINE)
    conf = str(folder / "exim.conf")
    ours = call(["--strict", "-C", conf, *placed], stdin)
    assert ours == Answer(done.stdout.decode(), stderr, done.returncode)


@pytest.mark.parametrize(("strings", "exims", "ours"), BUGS.values(), ids=BUGS)
def test_a_bug_that_is_not_copied(exim: tuple[Exim, Path], strings: list[str], exims: str, ours: str) -> None:
    """It is one still, and we do not have it."""
    program, folder = exim
    placed = [text.replace("@DIR@", str(folder)) for text in strings]
    assert program.run("-be", *placed).stdout.decode().splitlines()[-1] == exims
    assert call(["--strict", "-C", str(folder / "exim.conf"), "-be", *placed]).out.splitlines()[-1] == ours
