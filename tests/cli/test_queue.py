"""``smarthostd queue`` while no daemon runs: what it shows, and what it does to the spool and the log."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from click.testing import CliRunner, Result

from smarthostd.address import NULL_SENDER, Address
from smarthostd.cli.queue import listing, plain, queue, steering
from smarthostd.clock import SystemClock
from smarthostd.envelope import Client, Content, Envelope, Message, Recipient
from smarthostd.hints import Hint
from smarthostd.message_id import MessageIds
from smarthostd.spool.base import Changes, Summary, Waiting
from smarthostd.spool.sqlite import SqliteSpool
from tests.cli.terminal import on_a_terminal

T = TypeVar("T")
CONFIGURATION = """\
primary_hostname = client.example.net
spool_directory = {0}/spool
runtime_directory = {0}/run
log_file_path = {0}/%slog
begin routers
box:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  file = {0}/box
"""
ANN, BEN, CAT = (Recipient(Address(name, "far.example")) for name in ("ann", "ben", "cat"))
ME = Address("me", "here.example")
KEY = "smarthost:smtp.example.com:587"
CONTENT = (
    b"From: me@here.example\r\nSubject: an \x1b[31mevil\x1b[0m subject\r\nMessage-ID: <1@here>\r\n\r\nhello\r\n.\r\n"
)
WITHOUT_RICH = "sys.modules['rich'] = None"
"""What makes Python find no such module."""
LOG_TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", re.MULTILINE)


@dataclass(frozen=True)
class House:
    """A spool without a daemon, and the commands for it."""

    directory: Path

    def __call__(self, *words: str, stdin: bytes = b"") -> Result:
        """Call ``smarthostd queue``."""
        return CliRunner().invoke(queue, ["-C", str(self.directory / "smarthostd.conf"), *words], input=stdin)

    def words(self, *words: str) -> list[str]:
        """Return the words of ``smarthostd queue``, the program's name first."""
        return ["smarthostd", "queue", "-C", str(self.directory / "smarthostd.conf"), *words]

    def spool(self, work: Callable[[SqliteSpool], Awaitable[T]]) -> T:
        """Return what *work* makes of the spool."""

        async def run() -> T:
            spool = await SqliteSpool.open(self.directory / "spool")
            try:
                return await work(spool)
            finally:
                await spool.close()

        return asyncio.run(run())

    def put(self, *recipients: Recipient, sender: Address = ME, age: float = 0, content: bytes = CONTENT) -> str:
        """Put a message into the spool."""
        client = Client("esmtp", "192.0.2.7", authenticated_id="bob")
        envelope = Envelope(sender, recipients, client=client)
        message = Message(_IDS.new(), time.time() - age, envelope, Content(content), "1@here", "an \x1b[31mevil")
        self.spool(lambda spool: spool.put(message))
        return message.id

    def record(self, id: str, changes: Changes) -> None:
        """Let an attempt at a message end so."""
        self.spool(lambda spool: spool.record(id, changes))

    def summaries(self) -> list[Summary]:
        """Return what is in the queue."""
        return self.spool(lambda spool: spool.summaries())

    @property
    def log(self) -> list[str]:
        """The main log, without times."""
        log = self.directory / "mainlog"
        return LOG_TIME.sub("", log.read_text()).splitlines() if log.exists() else []


_IDS = MessageIds(SystemClock())


@pytest.fixture
def house(tmp_path: Path) -> House:
    (tmp_path / "smarthostd.conf").write_text(CONFIGURATION.format(tmp_path))
    return House(tmp_path)


# -- looking


@pytest.mark.parametrize("command", [(), ("list",), ("freeze",), ("import",)], ids=" ".join)
def test_help_needs_no_configuration(command: tuple[str, ...]) -> None:
    """And no sentence of it is cut."""
    done = CliRunner().invoke(queue, [*command, "--help"], env={"SMARTHOSTD_CONFIG": "/nowhere/at/all.conf"})
    assert done.exit_code == 0
    assert "Usage: " in done.output
    assert not re.search(r"[a-z]\.\.\.", done.output)


def test_an_empty_queue_is_said_to_be_empty(house: House) -> None:
    assert house().output == "The queue is empty.\n"


def test_the_list_says_who_waits_and_why(house: House) -> None:
    id = house.put(ANN, BEN, age=7200)
    house.record(
        id, Changes(done=[ANN], waiting={BEN: Waiting(time.time() + 900, "450 \x1b later", maybe_delivered=True)})
    )
    lines = house("list").output.splitlines()
    assert re.fullmatch(rf"{id} +2h\d*s? +{len(CONTENT)}  <me@here\.example>", lines[0])
    assert lines[1:3] == ["    D ann@far.example", "      ben@far.example  (maybe delivered)  450 \\033 later"]
    assert re.fullmatch(r"1 message, 0 frozen, the oldest 2h\d*s? old\.", lines[3])


def test_the_list_comes_in_pages(house: House) -> None:
    ids = [house.put(ANN) for _ in range(5)]
    first = house("list", "--limit", "2").output
    assert re.findall(r"^\S{16}", first, re.MULTILINE) == ids[:2]
    assert "2 shown" in first
    assert re.findall(r"^\S{16}", house("list", "--limit", "2", "--after", ids[1]).output, re.MULTILINE) == ids[2:4]
    assert house("list", "--count").output.startswith("5 messages, 0 frozen, the oldest ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["--sender", "HERE"], "02", id="sender"),
        pytest.param(["--sender", "<>"], "1", id="nobody"),
        pytest.param(["--recipient", "ben@"], "1", id="recipient"),
        pytest.param(["--older", "1h"], "0", id="older"),
        pytest.param(["--newer", "1h"], "12", id="newer"),
        pytest.param(["--state", "frozen"], "2", id="frozen"),
        pytest.param(["--state", "new"], "01", id="new"),
        pytest.param(["--state", "new", "--newer", "1h"], "1", id="both"),
        pytest.param(["--state", "in-doubt"], "", id="in doubt"),
    ],
)
def test_the_list_shows_what_is_asked_for(house: House, words: list[str], expected: str) -> None:
    ids = [house.put(ANN, age=7200), house.put(BEN, sender=NULL_SENDER), house.put(CAT)]
    house("freeze", ids[2])
    found = [ids.index(json.loads(line)["id"]) for line in house("list", "--json", *words).output.splitlines()]
    assert "".join(map(str, found)) == expected


def test_a_filter_that_finds_nothing_says_so(house: House) -> None:
    house.put(ANN)
    assert house("list", "--sender", "nobody@").output == "No such message is in the queue.\n"


def test_a_time_that_is_none_is_explained(house: House) -> None:
    done = house("list", "--older", "yesterday")
    assert done.exit_code == 2
    assert "write 30m, 2h or 1d12h" in done.output


def test_the_table_shows_the_same_and_escapes_it(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    id = house.put(ANN, *(Recipient(Address(f"u{n}", "far.example")) for n in range(9)), sender=Address("\x1b[2J", "x"))
    house.record(id, Changes(waiting={ANN: Waiting(time.time() + 900, "[bold]450 \x07 later")}))
    house("freeze", id)
    listing.show_table(house.summaries())
    shown = capsys.readouterr().out
    assert "\x1b[2J" not in shown
    assert "\x07" not in shown
    assert [word for word in (id, "ann@far.example", "frozen", "… and 5 more") if word not in shown] == []
    assert "[bold]450" in shown


def test_a_terminal_of_any_width_gets_a_table(house: House) -> None:
    """Without rich, too. What is to be said of several recipients is said once, and in plain words."""
    id = house.put(ANN, BEN, CAT, age=3 * 86400 + 7300, content=CONTENT + b"x" * 1500 + b"\r\n")
    text = f"retry time not reached for any host for 'far.example': {KEY}: Connection refused"
    later = Waiting(time.time() + 9000, text, KEY, 3)
    house.record(id, Changes(done=[CAT], waiting={ANN: later, BEN: later}))
    house.put(ANN)
    status, seen = on_a_terminal(WITHOUT_RICH, house.words("list", "--limit", "1"), columns=110)
    assert status == 0
    lines = re.sub(r"\x1b\[[\d;]*m", "", seen).splitlines()
    blank = " " * 52
    assert lines == [
        "The daemon is not running: nothing is sent.",
        "message              age   size  from               to, and why it waits",
        f"{id}    3d2h   1.6K  <me@here.example>  ann@far.example",
        f"{blank}ben@far.example",
        f"{blank}  not tried, for smarthost:smtp.example.com:587 did not",
        f"{blank}  work: Connection refused",
        f"{blank}  tried 3 times, waits for smarthost:smtp.example.com:587",
        f"{blank}cat@far.example  done",
        "2 messages, 0 frozen, the oldest 3d2h old, 1 shown.",
        f"--after {id} goes on behind these, --limit 0 shows all.",
    ]


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=["a terminal", "NO_COLOR", "a dumb terminal"],
)
def test_colours_are_for_those_who_want_them(house: House, environment: dict[str, str], coloured: bool) -> None:
    house.put(ANN)
    _, seen = on_a_terminal(WITHOUT_RICH, house.words("list"), **environment)
    assert ("\x1b[" in seen) is coloured


@pytest.mark.parametrize(
    ("waiting", "told"),
    [
        pytest.param(Waiting(0, "450 later"), "450 later", id="a reply"),
        pytest.param(Waiting(0, "retry time not reached"), "not tried, for its time had not come", id="its time"),
        pytest.param(
            Waiting(0, f"retry time not reached for any host for 'd': {KEY}: 421 no", KEY),
            f"not tried, for {KEY} did not work: 421 no",
            id="its host",
        ),
        pytest.param(Waiting(0, "evil \x1b[2J"), "evil \\033[2J", id="escaped"),
    ],
)
def test_why_it_waits_in_plain_words(waiting: Waiting, told: str) -> None:
    assert plain.reason(waiting) == told


def test_json_names_what_it_tells(house: House) -> None:
    id = house.put(ANN, BEN)
    house.record(id, Changes(done=[ANN], waiting={BEN: Waiting(5.0, "450 later", attempts=2)}))
    ann, ben = json.loads(house("list", "--json").output)["recipients"]
    assert ann == {"address": "ann@far.example", "done": True, "waiting": None}
    assert (ben["waiting"]["reason"], ben["waiting"]["attempts"]) == ("450 later", 2)
    counts = json.loads(house("list", "--json", "--count").output)
    assert (counts["messages"], counts["frozen"]) == (1, 0)


def test_what_is_held_is_told_without_a_daemon_too(house: House) -> None:
    id = house.put(ANN)
    held = Hint(1.0, 2.0, time.time() + 3600, False, -42, "535 no", "auth_failed", "credential", "mend it")
    house.record(id, Changes(waiting={ANN: Waiting(1.0)}, hints={f"T:{KEY}": held}))
    assert house("list").output.splitlines()[0] == f"mail for {KEY} is held: 535 no; mend it"


def test_the_story_of_a_message(house: House) -> None:
    """Where it came from, what each recipient waits for, every attempt; nothing of it can move the cursor."""
    id = house.put(ANN, BEN, CAT)
    later = Waiting(time.time() + 900, "H=smtp.example.com [192.0.2.1]: 450 \x1b", KEY, 2, 1.0, time.time())
    events = ["ben@far.example: smarthost transport succeeded", "ann@far.example R=r T=t defer (-44): 450 \x1b"]
    held = Hint(1.0, 2.0, time.time() + 3600, False, -42, "535 no", "auth_failed", "credential", "mend it")
    house.record(id, Changes(done=[BEN], waiting={ANN: later}, events=events, hints={f"T:{KEY}": held}))
    shown = house("show", id).output
    lines = [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", line) for line in shown.splitlines()]
    assert lines == [
        f"{id}  received TIME, {len(CONTENT)} octets",
        "from <me@here.example>, client [192.0.2.7], logged in as bob",
        "subject: an \\033[31mevil",
        "to   ann@far.example",
        "       last attempt TIME (of 2): H=smtp.example.com [192.0.2.1]: 450 \\033",
        f"       waits for {KEY}, which is held: 535 no; mend it",
        "to   ben@far.example",
        "       done",
        "to   cat@far.example",
        "       not tried yet",
        "       next attempt as soon as the daemon comes to it",
        "TIME ben@far.example: smarthost transport succeeded",
        "TIME ann@far.example R=r T=t defer (-44): 450 \\033",
    ]


ADVICE = {
    "Connection refused": "Connection refused at 192.0.2.1:25: is the port right, and the server up?",
    "Network is unreachable": "Network is unreachable at 192.0.2.1:25: is the network up?",
    'lookup of host "smtp.x.example" failed in r router': 'lookup of host "smtp.x.example" failed in r router: '
    "is the name right, and does DNS work?",
    "host lookup for smtp.x.example did not complete (DNS timeout?)": "host lookup for smtp.x.example did not complete "
    "(DNS timeout?): is the name right, and does DNS work?",
    "450 later": "450 later",
}


@pytest.mark.parametrize(("reason", "shown"), ADVICE.items())
def test_what_names_no_host_is_shown_with_it_and_with_what_to_look_at(house: House, reason: str, shown: str) -> None:
    id = house.put(ANN)
    later = Waiting(time.time() + 900, reason, "smarthost:192.0.2.1:25", 1, 1.0, time.time())
    house.record(id, Changes(waiting={ANN: later}))
    assert house("list").output.splitlines()[1] == f"      ann@far.example  {shown}"
    assert f"(of 1): {shown}\n" in house("show", id).output


def test_the_story_of_a_frozen_message_says_what_helps(house: House) -> None:
    id = house.put(ANN)
    house("freeze", id)
    shown = house("show", id).output
    assert "*** frozen since " in shown
    assert "next attempt" not in shown


def test_a_message_that_is_not_there(house: House) -> None:
    for command in ("show", "headers", "body", "export"):
        for id in ("1aaaaa-000000-00", "../../etc/passwd"):
            done = house(command, id)
            assert done.exit_code == 1
            assert done.output == f"Error: there is no message {id} in the queue; `smarthostd queue` lists them\n"


@pytest.mark.parametrize("content", [CONTENT, CONTENT + b"0123456789abcde\r\n" * 10_000], ids=["small", "large"])
def test_header_and_body_come_out_as_they_are(house: House, content: bytes) -> None:
    id = house.put(ANN, content=content)
    header, body = house("headers", id).stdout_bytes, house("body", id).stdout_bytes
    assert header + b"\r\n" + body == content
    assert body.startswith(b"hello\r\n.\r\n")


def test_health_without_a_daemon_is_bad(house: House) -> None:
    done = house("health")
    assert (done.exit_code, done.output) == (
        1, "Error: the daemon does not answer on its control socket: is it running?\n",
    )  # fmt: skip


# -- steering


def test_freeze_and_thaw(house: House) -> None:
    first, second = house.put(ANN), house.put(ANN)
    assert house("freeze", first, second).output == "2 of 2 frozen.\n"
    again = house("freeze", first, "1aaaaa-000000-00")
    assert again.exit_code == 1
    assert again.output == f"{first} is already so\n1aaaaa-000000-00 is not in the queue\n0 of 2 frozen.\n"
    assert house("thaw", second).output == "1 of 1 no longer frozen.\n"
    assert [summary.frozen for summary in house.summaries()] == [True, False]
    assert [line.partition(" by ")[0] for line in house.log] == [
        f"{first} frozen", f"{second} frozen", "1aaaaa-000000-00 Spool file 1aaaaa-000000-00-D not found",
        f"{second} unfrozen",
    ]  # fmt: skip


def test_what_is_no_id_does_not_reach_the_log(house: House) -> None:
    """Or a name such as this would be a line in it."""
    forged = "x\n2026-01-01 00:00:00 1aaaaa-000000-00 removed by root"
    for command in ("freeze", "thaw", "remove", "retry", "bounce"):
        done = house(command, forged)
        assert done.exit_code == 1
        assert done.output.startswith("x\\n2026-01-01 00:00:00 1aaaaa-000000-00 removed by root is not in the queue\n")
    assert house.log == []


def test_remove_takes_the_content_with_it(house: House) -> None:
    id = house.put(ANN, content=CONTENT * 2000)
    assert house("remove", id).output == "1 of 1 removed.\n"
    assert house.summaries() == []
    assert [line.partition(" by ")[0] for line in house.log] == [f"{id} removed", f"{id} Completed"]


def test_retry_makes_due_what_waits_or_is_frozen(house: House) -> None:
    waits, frozen = house.put(ANN), house.put(ANN)
    for id in (waits, frozen):
        house.record(id, Changes(waiting={ANN: Waiting(time.time() + 9000, "later")}))
    house("freeze", frozen)
    assert house("retry", "--all").output == "2 of 2 due.\n"
    due = house.spool(lambda spool: spool.claim(time.time(), 10))
    assert {pending.message.id for pending in due} == {waits, frozen}


def test_run_makes_everything_due_but_frozen_mail(house: House) -> None:
    waits, frozen = house.put(ANN), house.put(ANN)
    house.record(waits, Changes(waiting={ANN: Waiting(time.time() + 9000, "later")}))
    house("freeze", frozen)
    assert house("run").output == "1 message is due; the daemon is not running: not before it starts.\n"
    (due,) = house.spool(lambda spool: spool.claim(time.time(), 10))
    assert due.message.id == waits


def test_bounce_tells_the_sender_at_once(house: House) -> None:
    id = house.put(ANN, BEN)
    assert house("bounce", id).output == "1 of 1 given up.\n"
    assert house.summaries() == []
    box = (house.directory / "box").read_text()
    assert "X-Failed-Recipients: ben@far.example,\n  ann@far.example" in box
    assert "Subject: Mail delivery failed: returning message to sender" in box
    assert house.log[0].startswith(f"{id} cancelled by ")
    assert house.log[-1].endswith(" Completed")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        pytest.param([], "which messages? Name them, describe them (--sender, --older …), or say --all", id="none"),
        pytest.param(["1aaaaa-000000-00", "--all"], "name messages, or describe them by options, not both", id="two"),
        pytest.param(
            ["1aaaaa-000000-00", "--older", "1h"], "name messages, or describe them", id="named and described"
        ),
    ],
)
def test_a_change_says_of_which_messages(house: House, words: list[str], complaint: str) -> None:
    id = house.put(ANN)
    done = house("remove", *words)
    assert done.exit_code == 2
    assert complaint in done.output
    assert [summary.id for summary in house.summaries()] == [id]


@pytest.fixture
def many(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """A queue of 450 messages, half of them from nobody, and tools that change 100 at a time."""
    monkeypatch.setattr(steering, "BATCH", 100)

    async def fill(spool: SqliteSpool) -> None:
        envelopes = [Envelope(ME, (ANN,)), Envelope(NULL_SENDER, (ANN,))]
        messages = [Message(_IDS.new(), time.time(), envelopes[number % 2], Content(CONTENT)) for number in range(450)]
        await asyncio.gather(*(spool.put(message) for message in messages))

    house.spool(fill)
    return house


def test_many_are_changed_in_batches_and_only_those_described(many: House) -> None:
    assert many("freeze", "--sender", "<>").output == "225 of 225 frozen.\n"
    assert sum(summary.frozen for summary in many.summaries()) == 225
    assert many("freeze", "--all").output == "225 of 225 frozen.\n"
    assert many("freeze", "--all").output == "0 of 0 frozen.\n"


def test_many_that_are_thawed_are_due_at_once(many: House) -> None:
    """Whatever they waited for; but none of them before all are thawed."""
    ids = [summary.id for summary in many.summaries()]
    many.record(ids[7], Changes(waiting={ANN: Waiting(time.time() + 9000, "later")}))
    many("freeze", "--all")
    assert many("thaw", "--all").output == "450 of 450 no longer frozen.\n"
    due = many.spool(lambda spool: spool.claim(time.time(), 1000))
    assert {pending.message.id for pending in due} == {*ids}


@pytest.mark.parametrize(("command", "gone"), [("freeze", "frozen"), ("remove", "removed"), ("retry", "due")])
def test_an_interrupt_ends_behind_a_batch_and_says_how_many_are_done(
    many: House, monkeypatch: pytest.MonkeyPatch, command: str, gone: str
) -> None:
    """What is done is all there, and in the log; the rest is as it was."""

    @contextmanager
    def interrupting(total: int) -> Iterator[Callable[[int], object]]:
        first = iter([True])
        yield lambda count: os.kill(os.getpid(), signal.SIGINT) if next(first, False) else None

    monkeypatch.setattr("smarthostd.cli.queue.progress", interrupting)
    done = many(command, "--all")
    counted = re.fullmatch(rf"(\d+) of 450 {gone}\.\nInterrupted: the other (\d+) are as they were\.\n", done.output)
    assert counted
    changed, left = map(int, counted.groups())
    assert (changed + left, changed % 100) == (450, 0)
    assert 0 < changed < 450
    assert done.exit_code == 130
    if command == "freeze":
        assert sum(summary.frozen for summary in many.summaries()) == changed
        assert len(many.log) == changed
    if command == "remove":
        assert len(many.summaries()) == left
        assert len(many.log) == 2 * changed


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        pytest.param("", [r"━.*0/450", r"━.*100/450", r"━.*450/450"], id="a bar"),
        pytest.param(
            WITHOUT_RICH, ["\r0 of 450 messages", "\r100 of 450 messages", "\r450 of 450 messages"], id="without rich"
        ),
    ],
)
def test_somebody_who_looks_sees_how_far_it_is(many: House, before: str, shown: list[str]) -> None:
    """And in the end only what was done."""
    status, seen = on_a_terminal(f"steering.BATCH = 100; {before}", many.words("freeze", "--all"))
    assert status == 0
    assert [one for one in shown if not re.search(one, seen)] == []
    assert re.search(r"(?:\r|\x1b\[2?K|\x1b\[\?25h|\n)450 of 450 frozen\.\r\n$", seen)


def test_who_does_not_look_is_shown_nothing(many: House) -> None:
    assert "/450" not in many("freeze", "--all").stderr


def test_a_log_that_cannot_be_written_is_told_before_anything_is_changed(house: House) -> None:
    id = house.put(ANN)
    (house.directory / "mainlog").mkdir()
    done = house("remove", id)
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: cannot write the log {house.directory}/mainlog: Is a directory")
    assert [summary.id for summary in house.summaries()] == [id]


# -- files


@pytest.mark.parametrize("content", [CONTENT, CONTENT + b"0123456789abcde\r\n" * 10_000], ids=["small", "large"])
@pytest.mark.parametrize("sender", [ME, NULL_SENDER], ids=["from somebody", "from nobody"])
def test_what_is_exported_can_be_imported(house: House, content: bytes, sender: Address) -> None:
    """The same octets, for those who still wait; the message in the queue stays."""
    quoted = Recipient(Address('"a, b"', "far.example"))
    id = house.put(ANN, BEN, quoted, sender=sender, content=content)
    house.record(id, Changes(done=[ANN], waiting={BEN: Waiting(time.time() + 9000)}))
    house("export", id, "--directory", str(house.directory))
    file = house.directory / f"{id}.eml"
    assert file.stat().st_mode & 0o777 == 0o600, "it is mail"
    assert house("export", id).stdout_bytes == file.read_bytes()
    new = house("import", str(file)).output.split(" ")[0]
    before, after = (house.spool(lambda spool, one=one: spool.load(one)) for one in (id, new))  # type: ignore[misc]
    assert list(after.message.envelope.recipients) == [BEN, quoted]
    assert after.message.envelope.sender == sender
    assert b"".join(after.message.content.blocks()) == b"".join(before.message.content.blocks()) == content
    assert after.message.message_id == "1@here"
    assert house.log[-1].startswith(f"{new} <= {str(sender) or '<>'} U=")


@pytest.mark.parametrize(
    ("octets", "wire"),
    [
        pytest.param(b"A: b\n\none\ntwo\n", b"A: b\r\n\r\none\r\ntwo\r\n", id="line ends of this machine"),
        pytest.param(b"A: b\r\n\r\none\rtwo", b"A: b\r\n\r\none\r\ntwo\r\n", id="a lone CR, and none at the end"),
        pytest.param(b"A: b\r\n\r\none\r", b"A: b\r\n\r\none\r\n", id="a CR at the end"),
        pytest.param(b"", b"", id="nothing"),
    ],
)
def test_an_imported_message_is_in_wire_form(house: House, octets: bytes, wire: bytes) -> None:
    file = house.directory / "one.eml"
    file.write_bytes(b"Return-path: <me@here.example>\nEnvelope-to: ann@far.example\n" + octets)
    id = house("import", str(file)).output.split(" ")[0]
    pending = house.spool(lambda spool: spool.load(id))
    assert pending
    assert b"".join(pending.message.content.blocks()) == wire


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        pytest.param(b"Subject: x\n\n", "it does not begin with Return-path: and Envelope-to:", id="no envelope"),
        pytest.param(b"Return-path: <>\nEnvelope-to: \nA: b\n", "its Envelope-to: names nobody", id="nobody"),
        pytest.param(b"Return-path: <a b>\nEnvelope-to: a@b\n", '"a b" in its first lines: ', id="a bad sender"),
        pytest.param(
            b"Return-path: <>\nEnvelope-to: a@b, c\x1bd@e\n", '"c\\033d@e" in its first', id="a bad recipient"
        ),
        pytest.param(b"Return-path: <>\nEnvelope-to: a@b\nA: \0\n", "it holds NUL", id="NUL"),
    ],
)
def test_a_file_that_is_no_export_is_not_taken(house: House, octets: bytes, complaint: str) -> None:
    file = house.directory / "one.eml"
    file.write_bytes(octets)
    done = house("import", str(file))
    assert done.exit_code == 1
    assert f"is not taken: {complaint}" in done.output
    assert house.summaries() == []
    assert list((house.directory / "spool" / "content").iterdir()) == []


def test_many_are_exported_and_imported(many: House) -> None:
    """All that are described; what cannot be taken is told, and does not keep the others out."""
    directory = many.directory / "files"
    directory.mkdir()
    done = many("export", "--sender", "<>", "--directory", str(directory))
    assert (done.exit_code, done.output) == (0, f"225 of 225 written to {directory}.\n")
    (directory / "broken.eml").write_text("hello")
    names = sorted(map(str, directory.iterdir()))
    done = many("import", *names, str(directory / "none.eml"))
    assert done.exit_code == 1
    assert f"Error: {directory}/broken.eml is not taken: it does not begin with Return-path:" in done.output
    assert f"Error: {directory}/none.eml is not taken: No such file or directory\n225 of 227 taken.\n" in done.output
    assert len(many.summaries()) == 450 + 225
    assert sum(" <= <> U=" in line for line in many.log) == 225


def test_several_messages_are_no_stream(house: House) -> None:
    ids = [house.put(ANN), house.put(BEN)]
    for words in (ids, ["--all"]):
        done = house("export", *words)
        assert done.exit_code == 2
        assert "2 messages need a --directory" in done.output


def test_a_message_from_a_pipe_can_be_imported(house: House) -> None:
    exported = house("export", house.put(ANN)).stdout_bytes
    assert house("import", "-", stdin=exported).exit_code == 0
    first, second = house.summaries()
    assert first.size == second.size


def test_what_cannot_be_written_leaves_no_half_of_a_message(house: House) -> None:
    """And the other messages are written nevertheless."""
    first, second = house.put(ANN), house.put(BEN)
    (house.directory / f"{first}.eml").write_text("mine")
    done = house("export", first, second, "1aaaaa-000000-00", "--directory", str(house.directory))
    assert done.exit_code == 1
    assert f"{first}.eml cannot be written: File exists" in done.output
    assert "there is no message 1aaaaa-000000-00" in done.output
    assert done.output.endswith(f"1 of 3 written to {house.directory}.\n")
    assert (house.directory / f"{second}.eml").read_bytes() == house("export", second).stdout_bytes


def test_an_export_never_overwrites(house: House) -> None:
    id = house.put(ANN)
    (house.directory / f"{id}.eml").write_text("mine")
    assert house("export", id, "--directory", str(house.directory)).exit_code == 1
    assert (house.directory / f"{id}.eml").read_text() == "mine"


@pytest.mark.parametrize("words", [["list"], ["list", "--count"], ["retry", "--all"]])
def test_the_configuration_may_be_named_behind_the_command(house: House, words: list[str]) -> None:
    """Nobody remembers where it belongs."""
    house.put(ANN)
    conf = str(house.directory / "smarthostd.conf")
    done = CliRunner().invoke(queue, [*words, "-C", conf])
    assert (done.exit_code, done.output) == (0, house(*words).output)
