"""The same messages in the queue of the real Exim and in ours, and the same commands: what is printed, and the log.

Each story is a list of command lines; ``1``, ``2`` … stand for the ids of the messages, and ``none`` for an id that no
message has. No daemon runs, so that deliveries are made by the commands, as Exim makes them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from smarthostd import headers
from smarthostd.address import Address
from smarthostd.cli.exim import queue_listing
from smarthostd.clock import SystemClock
from smarthostd.demo.daemon import free_port
from smarthostd.envelope import Client, Content, Envelope, Message, Recipient
from smarthostd.message_id import MessageIds
from smarthostd.spool.base import Summary
from smarthostd.spool.sqlite import SqliteSpool
from tests.cli.calls import call
from tests.peers.exim import Exim

MAIN = """\
primary_hostname = client.example.net
qualify_domain = example.net
spool_directory = @DIR@/spool
log_file_path = @DIR@/log/%slog
timezone = UTC
"""
ONLY_EXIM = "keep_environment =\ndeliver_drop_privilege\nqueue_run_in_order\n"
ONLY_OURS = "runtime_directory = @DIR@/run\n"
ROUTES = """\
begin routers
never:
  driver = redirect
  domains = never.example
  data = :fail: no such user
  allow_fail
later:
  driver = redirect
  domains = later.example
  data = :defer: come again
  allow_defer
box:
  driver = accept
  domains = box.example
  transport = box
begin transports
box:
  driver = appendfile
  file = @DIR@/mail/box
begin retry
* * F,4d,15m
"""
NONE = "1aaaaa-000000-00"
CONTENT = b"From: me@box.example\nTo: you@box.example\nSubject: hi\n  there\nX-Other: 1\n\none\n\n.two\n"
MAIL = [
    ("me@box.example", ["a@box.example", "b@later.example"]),
    ("", ["c@never.example"]),
    ("you@later.example", ["d@later.example"]),
    ("me@box.example", ["e@box.example"]),
]

STORIES: dict[str, list[str]] = {
    "lists": ["-bp", "-bpc", "-bpu", "-bpa", "-bp 2", "-bp 3 1", "-bp none 1"],
    "a run, and what it leaves": ["-q", "-bp", "-bpu", "-bpc", "-bpa"],
    "runs one after the other": ["-q", "-q", "-qf", "-qff", "-bp"],
    "first attempts only": ["-M 1", "-qi", "-bp"],
    "a range": ["-q 2 2", "-q 3", "-bp"],
    "frozen": ["-Mf 3", "-Mf 3", "-Mf 1 3", "-bp", "-q", "-Mc 3", "-Mt 3 1", "-Mt 3", "-bp"],
    "forced": ["-Mf 3", "-M 3", "-bp 3", "-M 3", "-M 1", "-bp"],
    "when it is due": ["-Mc 3", "-Mc 3", "-bp"],
    "given up": ["-Mg 3", "-Mg 1", "-bpu"],
    "given up, and nobody to tell": ["-Mg 2", "-bpu"],
    "removed": ["-Mrm 1 3", "-bp", "-Mrm 1", "-Mrm none 2", "-bpc"],
    "recipients are added": [
        "-Mar 1 more@box.example other@later.example", "-bp 1", "-Mf 1", "-Mar 1 x@y.example", "-bp 1",
    ],
    "recipients that cannot be added": [
        "-Mar 1 x", "-Mar 1", "-Mar 1 <>", "-Mar 1 bad@@x", "-Mar 1 a@b@c", "-Mar 1 Me.<me@x.example>",
    ],
    "another sender": [
        "-Mes 1 new@box.example", "-bp 1", "-Mes 1 <>", "-bp 1", "-Mes 1 a@b.example c@d.example", "-Mes 1 one",
        "-Mes 1",
    ],
    "marked as delivered": [
        "-Mmd 1 a@box.example", "-bp", "-bpu", "-Mmd 1 none@x.example", "-Mmd 1 B@later.example",
        "-Mmd 1 b@LATER.example", "-Mmd 1", "-q", "-bp",
    ],
    "all marked as delivered": ["-Mmad 1 3", "-bp", "-q", "-bp", "-Mmad none"],
    "by recipient": ["-R never", "-R LATER.EX", "-bp", "-Rf nobody", "-Rr ^.@l", "-Rrff later", "-qR box"],
    "by sender": ["-S box", "-Sr ^me@", "-S LATER", "-Sff you"],
    "a message that is not there": [
        "-M none", "-Mc none", "-Mvh none", "-Mvb none", "-Mvl none", "-Mvc none", "-Mar none a@b.example",
        "-Mes none a@b.example", "-Mmd none a@b.example", "-Mg none", "-Mf none", "-Mt none",
    ],
    "what is no id": [
        "-Mrm notanid", "-Mf", "-M 1 x", "-Mvh", "-q notid", "-Mar x a@b.example", "-Mvh 1 2", "-Mvl 1 2",
    ],
    "what is no option": ["-bpx", "-Mx", "-Mvx", "-R", "-S"],
    "the body, and the message": ["-Mvb 1", "-Mvc 1"],
}  # fmt: skip

STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", re.MULTILINE)
ID = re.compile(r"\b[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}\b")
RECEIVED = re.compile(r"^Received: .*\n(?:[ \t].*\n)*", re.MULTILINE)


@dataclass(frozen=True)
class Told:
    """What commands printed, with their exit statuses, and the log that they left behind."""

    printed: list[str]
    log: list[str]


def test_every_message_goes_into_both_queues_as_it_is(tmp_path: Path) -> None:
    """The stories would show nothing if the queues were empty."""
    for told in both(tmp_path, ["-bp"]):
        assert [told.printed[0].count(f" {address}\n") for _, to in MAIL for address in to] == [1] * 5


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_exim_and_we_do_alike(story: list[str], tmp_path: Path) -> None:
    exims, ours = both(tmp_path, story)
    assert ours.printed == exims.printed
    assert ours.log == exims.log


def both(directory: Path, story: Sequence[str], routes: str = ROUTES) -> tuple[Told, Told]:
    """Let both do *story*."""
    return by_exim(directory / "exim", story, routes), by_us(directory / "ours", story, routes)


def by_exim(directory: Path, story: Sequence[str], routes: str) -> Told:
    """Put the messages into Exim's queue, and call it."""
    exim = Exim(directory, (MAIN + ONLY_EXIM + routes).replace("@DIR@", str(directory)))
    for sender, recipients in MAIL:
        done = exim.run("-odq", "-oi", "-f", sender or "<>", *recipients, stdin=CONTENT)
        assert done.returncode == 0, done
    ids = ID.findall(exim.run("-bp").stdout.decode())

    def run(words: Sequence[str]) -> tuple[str, str, int]:
        done = exim.run(*words)
        return done.stdout.decode(), done.stderr.decode(), done.returncode

    return told(directory, ids, story, run)


def by_us(directory: Path, story: Sequence[str], routes: str) -> Told:
    """Put the messages into our spool, and call ``smarthostd exim``."""
    for name in ("log", "mail"):
        (directory / name).mkdir(parents=True)
    configuration = directory / "smarthostd.conf"
    configuration.write_text((MAIN + ONLY_OURS + routes).replace("@DIR@", str(directory)))
    ids = asyncio.run(put(directory / "spool"))

    def run(words: Sequence[str]) -> tuple[str, str, int]:
        answer = call(["--strict", "-C", str(configuration), *words])
        return answer.out, answer.err, answer.status

    return told(directory, ids, story, run)


async def put(directory: Path) -> list[str]:
    """Put the messages into the spool; return their ids."""
    spool = await SqliteSpool.open(directory)
    made, ids = MessageIds(SystemClock()), []
    content = CONTENT.replace(b"\n", b"\r\n")
    seen = headers.scan(content)
    for sender, recipients in MAIL:
        to = tuple(Recipient(Address.parse(one)) for one in recipients)
        envelope = Envelope(
            Address.parse(sender) if sender else Address("", ""), to, client=Client("local", login="root")
        )
        message = Message(made.new(), SystemClock.now(), envelope, Content(content), seen.message_id, seen.subject)
        await spool.put(message)
        ids.append(message.id)
    await spool.close()
    return ids


def told(
    directory: Path, ids: list[str], story: Sequence[str], run: Callable[[Sequence[str]], tuple[str, str, int]]
) -> Told:
    """Let *run* do each of *story*, and take out of it what cannot be the same."""
    log = directory / "log" / "mainlog"
    before = log.read_text() if log.exists() else ""
    names = {**{str(number): id for number, id in enumerate(ids, 1)}, "none": NONE}
    printed = []
    for line in story:
        words = [names.get(word, word.replace(".<", " <")) for word in line.split(" ")]
        out, err, status = run(words)
        printed.append(f"{line} = {status}\n{same(out + err, ids)}".replace(str(directory), "@DIR@"))
    after = log.read_text() if log.exists() else ""
    return Told(printed, sorted_runs(same(after.removeprefix(before), ids)))


def same(text: str, ids: list[str]) -> str:
    """Return *text* without times, sizes and processes, and with numbers for ids; reports are ``R``."""
    text = RECEIVED.sub("", STAMP.sub("", text))
    text = re.sub(r"^(Message-Id|Date): .*\n", "", text, flags=re.MULTILINE)
    for number, id in enumerate(ids, 1):
        text = text.replace(id, f"<{number}>")
    text = ID.sub(lambda match: match[0] if match[0] == NONE else "<R>", text)
    text = re.sub(r"^( *\d+m) +[\d.]+[KM]? ", r"\1 SIZE ", text, flags=re.MULTILINE)
    text = re.sub(r"\bS=\d+|pid=\d+", lambda match: match[0].split("=")[0], text)
    text = re.sub(r" U=\S+ P=local", "", text)
    return re.sub(r" id=\S+$", "", text, flags=re.MULTILINE)


def sorted_runs(log: str) -> list[str]:
    """Return the lines of the log, those of one run sorted: the addresses of a message have no order.

    Exim has a defect: of frozen messages that it does not want with -R or -S it says that they are frozen, without ids.
    """
    runs: list[list[str]] = [[]]
    for line in log.splitlines():
        if line == "Message is frozen":
            continue
        if line.startswith(("Start queue run", "End queue run")):
            runs += [[line], []]
        else:
            runs[-1].append(line)
    return [line for one in runs for line in sorted(one)]


def test_the_story_of_a_message_has_exims_lines(tmp_path: Path) -> None:
    """``-Mvl``; Exim also notes there that a retry time was not reached, once."""
    exims, ours = both(tmp_path, ["-q", "-qf", "-Mvl 1", "-Mvl 2"])
    for one in (exims, ours):
        one.printed[2:] = [re.sub(r".*retry time not reached\n", "", text) for text in one.printed[2:]]
    assert sorted(ours.printed[2].splitlines()) == sorted(exims.printed[2].splitlines())
    assert ours.printed[3] == exims.printed[3]


SMARTHOST = """\
begin routers
smarthost:
  driver = manualroute
  transport = smtp
  route_list = * 127.0.0.1::@PORT@
  self = send
begin transports
smtp:
  driver = smtp
begin retry
* * F,4d,15m
"""


def test_the_story_names_the_host_that_was_not_reached(tmp_path: Path) -> None:
    """Two recipients, one connection that was refused."""
    routes = SMARTHOST.replace("@PORT@", str(free_port()))
    exims, ours = both(tmp_path, ["-M 1", "-Mvl 1"], routes)
    assert sorted(ours.printed[1].splitlines()) == sorted(exims.printed[1].splitlines())
    assert ours.printed[1].count("H=127.0.0.1 [127.0.0.1] Connection refused\n") == 1
    assert ours.log == exims.log


ALIASES = """\
begin routers
list:
  driver = redirect
  domains = box.example
  local_parts = e
  data = @DIR@/mail/file, Zoe@BOX.example, a@box.example, Bob@later.example
  file_transport = file
later:
  driver = redirect
  domains = later.example
  data = :defer: come again
  allow_defer
never:
  driver = redirect
  domains = never.example
  data = :fail: no such user
  allow_fail
box:
  driver = accept
  domains = box.example
  transport = box
begin transports
file:
  driver = appendfile
box:
  driver = appendfile
  file = @DIR@/mail/box
begin retry
* * F,4d,15m
"""


@pytest.mark.parametrize(
    "story",
    [
        pytest.param(["-q", "-bp", "-bpa", "-bpu", "-bpa 4 1"], id="children of an alias"),
        pytest.param(["-q", "-Mf 3", "-bpru", "-bpra 4", "-bpr none"], id="unsorted"),
        pytest.param(["-bpx", "-bpur", "-bpcr", "-bprc", "-bpac", "-bpcu"], id="what is no option"),
        pytest.param(["-bpc 1", "-bpc none"], id="the count minds no ids"),
    ],
)
def test_lists_of_the_queue_have_exims_lines(story: list[str], tmp_path: Path) -> None:
    """Exim's unsorted lists are in no order at all; ours are in that of arrival."""
    exims, ours = both(tmp_path, story, ALIASES)
    if "-bpru" in story:
        exims, ours = sorted_messages(exims), sorted_messages(ours)
    assert ours.printed == exims.printed


def sorted_messages(told: Told) -> Told:
    """Return what was told with the messages of each list sorted."""
    return Told(["\n\n".join(sorted(text.partition("\n")[2].split("\n\n"))) for text in told.printed], told.log)


LOCAL_AND_REMOTE = SMARTHOST.replace(
    "smarthost:\n",
    """\
box:
  driver = accept
  domains = box.example
  transport = box
smarthost:
""",
    1,
).replace("begin transports\n", "begin transports\nbox:\n  driver = appendfile\n  file = @DIR@/mail/box\n")


@pytest.mark.parametrize(
    "story",
    [
        pytest.param(["-ql", "-bp", "-ql", "-qfl"], id="local deliveries only"),
        pytest.param(["-Mf 3", "-qfl", "-qffl", "-bp"], id="and frozen ones"),
        pytest.param(["-ql", "-q", "-ql"], id="what was left goes in the next run"),
        pytest.param(["-ql 3 3", "-bp"], id="of a range"),
    ],
)
def test_a_run_of_local_deliveries_only(story: list[str], tmp_path: Path) -> None:
    routes = LOCAL_AND_REMOTE.replace("@PORT@", str(free_port()))
    exims, ours = both(tmp_path, story, routes)
    assert ours.printed == exims.printed
    assert ours.log == exims.log
    assert any("defer (-55): remote deliveries suppressed" in line for line in ours.log)


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (0, "     "), (1, "    1"), (1023, " 1023"), (1024, " 1.0K"), (10239, "10.0K"), (10240, "  10K"),
        (1048575, "1024K"), (1048576, " 1.0M"), (12 << 20, "  12M"),
    ],
)  # fmt: skip
def test_a_size_has_exims_five_columns(octets: int, shown: str) -> None:
    assert queue_listing.entry(summary(size=octets), 0.0)[4:9] == shown


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [
        (0.5, " 0m"), (1.6, " 1m"), (89.6, "89m"), (90.9, "90m"), (91, " 2h"), (149, " 2h"), (150, " 3h"),
        (71 * 60 + 29, "71h"), (71 * 60 + 30, "72h"), (72 * 60 + 29, "72h"), (72 * 60 + 30, " 3d"),
        (83 * 60 + 30, " 4d"), (107 * 60, " 4d"), (240 * 60, "10d"),
    ],
)  # fmt: skip
def test_an_age_is_rounded_as_exim_rounds_it(minutes: float, shown: str) -> None:
    """As 4.96 listed messages whose time of receipt had been changed in its spool."""
    assert queue_listing.entry(summary(), minutes * 60)[:3] == shown


def test_a_sender_that_somebody_has_chosen_stands_with_their_name() -> None:
    """As 4.96 lists what ``-f`` of a user who is not trusted has made; a frozen message says so behind it."""
    line, _ = queue_listing.entry(replace(summary(), login="www-data", claimed=True, frozen=True), 0.0).splitlines()
    assert line == f" 0m     1 {NONE} <me@box.example> (www-data) *** frozen ***"


async def test_who_has_chosen_a_sender_is_kept(tmp_path: Path) -> None:
    """For users who are not trusted, and not for their own address; the null sender is a choice too."""
    spool = await SqliteSpool.open(tmp_path)
    made = MessageIds(SystemClock())
    expected = []
    for sender, login, trusted, claimed in [
        (Address("me", "box.example"), "www-data", False, True),
        (Address("", ""), "www-data", False, True),
        (Address("www-data", "box.example"), "www-data", False, False),
        (Address("me", "box.example"), "root", True, False),
        (Address("me", "box.example"), "", True, False),
    ]:
        client = Client("local", login=login, trusted=trusted)
        envelope = Envelope(sender, (Recipient(Address("a", "b")),), client=client)
        await spool.put(Message(made.new(), SystemClock.now(), envelope, Content(CONTENT)))
        expected.append(claimed)
    assert [one.claimed for one in await spool.summaries()] == expected
    await spool.close()


def summary(size: int = 1) -> Summary:
    return Summary(NONE, 0.0, size, "me@box.example", False, [])


def test_the_header_file_has_exims_form(tmp_path: Path) -> None:
    """``-Mvh``: without what our spool does not keep; recipients that are done stand in front as they do there."""
    exims, ours = (one.printed[1] for one in both(tmp_path, ["-M 1", "-Mvh 1"]))
    kept = r"^-(?:received_time|body_linecount|max_received|allow_unq|deliver_first|tls_res).*\n"
    made = r"^\d{3}. (?:Received|Date|Message-Id): .*\n(?:[ \t].*\n)*"
    assert times(re.sub(f"{kept}|{made}", "", exims, flags=re.MULTILINE)) == times(ours)


def times(text: str) -> str:
    """Return *text* without the time of receipt."""
    return re.sub(r"^\d{10} (\d)$", r"TIME \1", text, flags=re.MULTILINE)
