"""One attempt after another on a held clock: who is told, what freezes, and what thaws it.

What is delivered, fails or waits is said by routers. Log lines are those of the real Exim for the same story (golden
records ``dlv-frozen-*``, ``dlv-ignore-bounce-errors-0``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from smarthostd.address import NULL_SENDER, Address
from smarthostd.bounce import Told
from smarthostd.config.settings import Settings
from smarthostd.envelope import Envelope, Recipient
from smarthostd.runner import LOOK_INTERVAL
from tests import road as roads
from tests.road import SENDER, Road

ROUTERS = {
    "box": {"driver": "accept", "domains": "box.example", "transport": "box"},
    "never": {"driver": "redirect", "domains": "never.example", "data": ":fail: no such user", "allow_fail": True},
    "later": {"driver": "redirect", "domains": "later.example", "data": ":defer: come again", "allow_defer": True},
    "self": {"driver": "manualroute", "domains": "self.example", "route_list": "* 127.0.0.1", "transport": "out"},
}


@asynccontextmanager
async def road(directory: Path, **options: Any) -> AsyncIterator[Road]:
    """Build one with these main options, and a router for each domain."""
    box = directory / "box"
    settings = Settings.model_validate({
        "primary_hostname": "client.example.net",
        "exim_strict": "9",  # any port of this machine is this machine, as in the records
        "routers": ROUTERS,
        "transports": {"box": {"driver": "appendfile", "file": str(box)}, "out": {"driver": "smtp"}},
        **options,
    })  # fmt: skip
    async with roads.road(box, settings) as one:
        yield one


async def test_a_failure_is_reported_and_the_message_is_complete(tmp_path: Path) -> None:
    async with road(tmp_path) as one:
        await one.put("nobody@never.example")
        lines = await one.story(" Completed", " Completed")
    assert lines[0] == "1 ** nobody@never.example R=never: no such user"
    assert lines[1].startswith("2 <= <> R=1 U=smarthostd P=local S=")
    assert sorted(lines[2:]) == ["1 Completed", "2 => sender <sender@box.example> R=box T=box", "2 Completed"]
    assert "X-Failed-Recipients: nobody@never.example" in one.box.read_text()


async def test_a_report_that_fails_is_frozen_and_makes_no_other(tmp_path: Path) -> None:
    async with road(tmp_path) as one:
        await one.put("nobody@never.example", sender=Address("me", "never.example"))
        lines = await one.story(" Frozen (delivery error message)")
        assert len(await one.frozen()) == 1
    assert "2 ** me@never.example R=never: no such user" in lines
    assert sum(" <= " in line for line in lines) == 1


async def test_errors_ignored_at_once(tmp_path: Path) -> None:
    async with road(tmp_path, ignore_bounce_errors_after="0s") as one:
        await one.put("nobody@never.example", sender=NULL_SENDER)
        assert await one.story(" Completed") == [
            "1 ** nobody@never.example R=never: no such user",
            "1 nobody@never.example: error ignored",
            "1 Completed",
        ]


async def test_an_old_frozen_report_is_tried_once_more_and_gone(tmp_path: Path) -> None:
    async with road(tmp_path) as one:
        await one.put("nobody@never.example", sender=NULL_SENDER)
        await one.story(" Frozen (delivery error message)")
        one.pass_(71 * 86400)
        assert await one.story(" Completed") == [
            "1 Unfrozen by errmsg timer",
            "1 ** nobody@never.example R=never: no such user",
            "1 nobody@never.example: error ignored",
            "1 Completed",
        ]


async def test_self_freezes_and_auto_thaw_tries_again(tmp_path: Path) -> None:
    async with road(tmp_path, auto_thaw="1h") as one:
        id = await one.put("you@self.example")
        lines = await one.story(" Frozen")
        assert lines[-2:] == [
            "1 == you@self.example R=self defer (-1): remote host address is the local host",
            "1 Frozen",
        ]
        one.pass_(LOOK_INTERVAL)
        assert await one.frozen() == [id]
        one.pass_(3600)
        again = await one.story(" Frozen")
    assert again[0] == "1 Unfrozen by auto-thaw"


async def test_items_that_are_skipped_are_told_in_exims_words(tmp_path: Path) -> None:
    """Each time the address is routed; what a stranger may have written there is made harmless."""
    alias = {
        "driver": "redirect", "domains": "alias.example", "skip_syntax_errors": True,
        "data": 'bad@@x, ok@box.example, "c d"@x y, \x1b @z, @',
    }  # fmt: skip
    async with road(tmp_path, routers={"alias": alias, **ROUTERS}) as one:
        await one.put("you@alias.example")
        lines = await one.story(" Completed")
    told = [line.removeprefix("1 alias router: skipped error: ") for line in lines if "skipped error" in line]
    assert told == [
        'domain missing or malformed in "bad@@x"',
        'malformed address: y may not follow "c d"@x  in ""c d"@x y"',
        told[2],
        'domain missing or malformed in "@"',
    ]
    assert told[2].endswith('in "\\033 @z"')


def _skipping(**options: Any) -> dict[str, Any]:
    """Return routers with one for alias.example that skips what it cannot read, and tells of it."""
    alias = {
        "driver": "redirect", "domains": "alias.example", "skip_syntax_errors": True, "data": "ok@box.example, bad@@x",
        "syntax_errors_to": "admin@box.example", **options,
    }  # fmt: skip
    return {"alias": alias, **ROUTERS}


async def test_what_was_skipped_is_told_by_mail_once(tmp_path: Path) -> None:
    """Exim says it at each attempt."""
    async with road(tmp_path, routers=_skipping(data="later@later.example, bad@@x")) as one:
        await one.put("you@alias.example")
        first = await one.story("come again", " Completed")
        one.pass_(900)
        again = await one.story("come again")
        await one.quiet()
    assert sum(" <= <> R=1 " in line for line in first) == 1
    assert [line for line in again if " <= " in line] == []
    assert one.box.read_text().count("Subject: error(s) in forwarding or filtering") == 1


async def test_what_was_skipped_for_a_report_makes_no_report(tmp_path: Path) -> None:
    """Else two aliases with mistakes would write to one another for ever, one of them on another machine perhaps."""
    async with road(tmp_path, routers=_skipping()) as one:
        await one.put("you@alias.example", sender=NULL_SENDER)
        assert await one.story(" Completed") == [
            '1 alias router: skipped error: domain missing or malformed in "bad@@x"',
            "1 => ok <you@alias.example> R=box T=box",
            "1 Completed",
        ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(
            {"syntax_errors_to": "${lc:x"},
            '== you@alias.example R=alias defer (-1): failed to expand "${lc:x": missing } at end of string',
            id="to whom",
        ),
        pytest.param(
            {"syntax_errors_text": "${if eq{1}{2}{x}fail}"},
            '== you@alias.example R=alias defer (-1): failed to expand "${if eq{1}{2}{x}fail}": '
            '"if" failed and "fail" requested', id="what",
        ),
        pytest.param(
            {"syntax_errors_to": "\x1b ${if eq{1}{2}{x}}"}, 'syntax_errors_to of alias router: no address in "\\033 "',
            id="to nobody, and mail goes on",
        ),
    ],
)  # fmt: skip
async def test_nobody_can_be_told_of_what_was_skipped(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    async with road(tmp_path, routers=_skipping(**options)) as one:
        await one.put("you@alias.example")
        lines = await one.story(said)
        await one.quiet()
    assert [line for line in lines if " <= " in line] == []


async def test_what_a_stranger_has_written_is_harmless_where_it_is_told(tmp_path: Path) -> None:
    mistakes = {
        "data": "ok@box.example, \x1b[2J, $h_x:",
        "syntax_errors_text": "see $h_x:",
        "syntax_errors_to": "$h_to:",
    }
    async with road(tmp_path, routers=_skipping(**mistakes)) as one:
        to = (Recipient(Address("you", "alias.example")),)
        content = b"To: a@box.example,\r\n Bcc: b@box.example\r\nX: \x1b\r\n [2J\r\n\r\nbody\r\n"
        await one.put_envelope(Envelope(SENDER, to), content)
        await one.story(" Completed", " Completed")
        await one.quiet()
    told = one.box.read_text()
    assert "\x1b" not in told.partition("Auto-Submitted")[2].partition("From sender")[0]
    assert "\nTo: a@box.example, Bcc: b@box.example\n" in told
    assert '\n  "\\033[2J"\n' in told


async def test_what_was_skipped_is_told_to_all_that_are_addresses(tmp_path: Path) -> None:
    readers = "Two <two@box.example>, no address, team: three@b\N{LATIN SMALL LETTER U WITH DIAERESIS}ro.example;"
    async with road(tmp_path, routers=_skipping(syntax_errors_to=readers)) as one:
        await one.put("you@alias.example")
        lines = await one.story(" => two <two@box.example> R=box T=box")
        await one.quiet()
    assert "2 ** three@b\N{LATIN SMALL LETTER U WITH DIAERESIS}ro.example: Unrouteable address" in lines


async def test_what_was_skipped_is_told_a_hundred_times_at_most(tmp_path: Path) -> None:
    many = ", ".join(["ok@box.example", *["bad@@x"] * 103, "y" * 600 + " z"])
    async with road(tmp_path, routers=_skipping(data=many)) as one:
        await one.put("you@alias.example")
        await one.story(" Completed", " Completed")
        await one.quiet()
    told = one.box.read_text()
    assert told.count('  "bad@@x"\n') == 100
    assert "\nThe log tells of 4 more.\n\nOther addresses were processed normally.\n" in told


async def test_what_was_skipped_is_told_in_a_digest_where_there_is_much_to_tell(tmp_path: Path) -> None:
    async with road(tmp_path, routers=_skipping(), reports_per_minute=1) as one:
        await one.put("nobody@never.example", "you@alias.example")
        lines = await one.story(" Completed", " Completed")
    assert "1 report for admin@box.example waits for the next digest" in lines


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(
            {"driver": "redirect", "data": ":defer: $h_x:", "allow_defer": True}, "defer (-1): caf\\351", id="a message"
        ),
        pytest.param(
            {"driver": "accept", "condition": "${if >{$h_x:}{5}}", "transport": "box"},
            'later router: integer expected but "caf\\351" found', id="what is wrong with an expansion",
        ),
        pytest.param(
            {"driver": "redirect", "data": "caf\udce9@box.example"},
            'octets that are no UTF-8 in "caf\\351@box.example"', id="an address",
        ),
        pytest.param(
            {"driver": "redirect", "data": '"a\x01b"@box.example'},
            'control characters, or octets that are no UTF-8 in ""a\\001b"@box.example"', id="an address of controls",
        ),
    ],
)  # fmt: skip
async def test_octets_that_are_no_text_do_not_keep_an_attempt_from_being_recorded(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    async with road(tmp_path, routers={"later": options}) as one:
        to = (Recipient(Address("you", "later.example")),)
        id = await one.put_envelope(Envelope(SENDER, to), b"X: caf\xe9\r\n\r\nbody\r\n")
        lines = await one.story(said)
        await one.quiet()
        pending = await one.spool.load(id)
    assert len(lines) == 1
    assert pending
    assert next(iter(pending.waiting.values())).attempts == 1


async def test_what_a_stranger_has_written_forges_no_line_of_a_story(tmp_path: Path) -> None:
    """Nor does it reach the terminal of who reads it with ``exim -Mvl``."""
    later = {"driver": "redirect", "data": ":defer: $h_x:", "allow_defer": True}
    async with road(tmp_path, routers={"later": later}) as one:
        to = (Recipient(Address("you", "later.example")),)
        id = await one.put_envelope(Envelope(SENDER, to), b"X: a\x1b[2J\r\n 2026-01-01 you: delivered\r\n\r\nbody\r\n")
        await one.story("delivered")
        await one.quiet()
        (event,) = await one.spool.events(id)
    assert event[1] == "you@later.example R=later defer (-1): a\\033[2J\\n 2026-01-01 you: delivered"


async def test_octets_that_are_no_text_do_not_keep_a_report_from_being_made(tmp_path: Path) -> None:
    """A configuration may be in Latin-1."""
    async with road(tmp_path, dsn_from="B\udcfcro <office@box.example>", bounce_message_text="Gr\udcfc\udcdfe") as one:
        await one.put("nobody@never.example")
        await one.story(" Completed", " Completed")
    assert b"\nFrom: B\xfcro <office@box.example>\n" in one.box.read_bytes()
    assert b"\nGr\xfc\xdfe\n" in one.box.read_bytes()


async def test_an_alias_to_nowhere_asks_no_transport(tmp_path: Path) -> None:
    """The lines are those of the real Exim."""
    nobody = {"driver": "redirect", "domains": "alias.example", "data": "/dev/null", "file_transport": "box"}
    async with road(tmp_path, routers={"nobody": nobody}) as one:
        await one.put("noreply@alias.example")
        assert await one.story(" Completed") == [
            "1 => /dev/null <noreply@alias.example> R=nobody T=**bypassed**",
            "1 Completed",
        ]
    assert not one.box.exists()


async def test_what_thaws_by_itself_waits_for_its_time_as_before(tmp_path: Path) -> None:
    """In Exim, too, its hints still count (golden record ``dlv-frozen-autothaw``); then it is tried like any other."""
    async with road(tmp_path, auto_thaw="1m", retry=["* * F,4d,15m"]) as one:
        await one.put("you@self.example")
        await one.story(" Frozen")
        await one.quiet()
        one.pass_(LOOK_INTERVAL)
        assert await one.story("not reached") == [
            "1 Unfrozen by auto-thaw",
            "1 == you@self.example routing defer (-52): retry time not reached",
        ]
        assert await one.frozen() == []
        one.pass_(14 * 60 - 1)
        await one.looked()
        one.pass_(1)
        assert await one.story(" Frozen") == [
            "1 == you@self.example R=self defer (-1): remote host address is the local host",
            "1 Frozen",
        ]


async def test_a_frozen_message_that_is_too_old_goes_back_to_its_sender(tmp_path: Path) -> None:
    async with road(tmp_path, timeout_frozen_after="2d") as one:
        await one.put("you@self.example")
        await one.story(" Frozen")
        one.pass_(2 * 86400)
        lines = await one.story(" Completed", " Completed")
    assert lines[0] == "1 cancelled by timeout_frozen_after"
    assert lines[1].startswith("2 <= <> R=1 ")
    assert "The message was kept back for longer than this relay keeps mail." in one.box.read_text().replace(
        "\n    ", " "
    )


async def test_a_frozen_report_that_is_too_old_is_dropped_with_a_line(tmp_path: Path) -> None:
    async with road(tmp_path, timeout_frozen_after="2d") as one:
        await one.put("nobody@never.example", sender=NULL_SENDER)
        await one.story(" Frozen (delivery error message)")
        one.pass_(2 * 86400)
        assert await one.story(" Completed") == ["1 cancelled by timeout_frozen_after", "1 Completed"]


async def test_force_thaws_and_what_then_waits_is_not_frozen(tmp_path: Path) -> None:
    async with road(tmp_path) as one:
        id = await one.put("you@later.example")
        await one.story("come again")
        await one.quiet()
        await one.spool.freeze([id], True)
        one.runner.want(id)
        assert (await one.story("come again"))[0] == "1 Unfrozen by forced delivery"
        assert await one.frozen() == []


async def test_an_administrator_may_give_a_message_up(tmp_path: Path) -> None:
    async with road(tmp_path) as one:
        id = await one.put("you@later.example", "two@later.example")
        await one.story("come again", "come again")
        await one.quiet()
        pending = await one.spool.claim_one(id)
        assert pending
        assert (await one.delivery.give_up(pending, "root")).reports
        lines = await one.story(" Completed")
    assert lines[0] == "1 cancelled by root"
    assert lines[1].startswith("2 <= <> R=1 ")
    assert lines[2] == "1 Completed"


async def test_hold_domains_keeps_mail_until_somebody_forces_it(tmp_path: Path) -> None:
    """Not even the next attempt delivers it; the other recipient's mail has gone."""
    async with road(tmp_path, hold_domains="held.example : box.example") as one:
        id = await one.put("you@box.example", "you@later.example")
        lines = await one.story("domain is held")
        assert "1 == you@box.example defer (-23): domain is held" in lines
        await one.quiet()
        await one.spool.hurry(None)
        one.runner.wake()
        assert "1 == you@box.example defer (-23): domain is held" in await one.story("domain is held")
        await one.quiet()
        pending = await one.spool.claim_one(id)
        assert pending
        await one.delivery.attempt(pending, forced=True)
        assert (await one.story("R=box T=box"))[-1] == "1 => you <you@box.example> R=box T=box"


async def test_hold_domains_never_runs_out_of_time(tmp_path: Path) -> None:
    async with road(tmp_path, hold_domains="*", retry=("* * F,1h,15m",)) as one:
        id = await one.put("you@box.example")
        await one.story("domain is held")
        await one.quiet()
        one.pass_(30 * 86400)
        await one.story("domain is held")
        await one.quiet()
        assert await one.spool.load(id)


async def test_a_hold_domains_that_cannot_be_evaluated_holds(tmp_path: Path) -> None:
    """A rule that holds mail back must not vanish with the file that it is read from."""
    async with road(tmp_path, hold_domains="lsearch;/nowhere/at/all") as one:
        await one.put("you@box.example")
        (line,) = await one.story("")
    assert line.startswith("1 == you@box.example defer (-23): hold_domains or queue_domains: ")
    assert "/nowhere/at/all" in line


async def test_queue_domains_leaves_mail_for_the_next_attempt(tmp_path: Path) -> None:
    async with road(tmp_path, queue_domains="box.example", retry=("* * F,4d,15m",)) as one:
        await one.put("you@box.example")
        (line,) = await one.story("queue_domains")
        assert line == "1 == you@box.example routing defer (-56): domain is in queue_domains"
        await one.quiet()
        one.pass_(15 * 60)
        assert (await one.story(" Completed"))[0] == "1 => you <you@box.example> R=box T=box"


async def test_what_a_copy_became_says_nothing_of_what_went_on(tmp_path: Path) -> None:
    """A router with ``unseen`` has served an address that then waits elsewhere: it is tried again."""
    routers = {
        "copy": {"driver": "accept", "domains": "later.example", "transport": "box", "unseen": True},
        "again": {
            "driver": "manualroute",
            "domains": "later.example",
            "transport": "out",
            "route_list": "* 127.0.0.1::1",
        },
    }
    waits = "1 == you@later.example R=again T=out defer (111): Connection refused"
    async with road(tmp_path, routers={**routers, **ROUTERS}, retry=("* * F,4d,15m",), exim_strict="") as one:
        await one.put("you@later.example")
        assert (await one.story(waits[1:]))[-1] == waits
        await one.quiet()
        one.pass_(15 * 60)
        assert (await one.story(waits[1:]))[-1] == waits
        assert one.box.read_text().count("From ") == 1


async def test_the_story_of_a_message_tells_of_each_attempt(tmp_path: Path) -> None:
    async with road(tmp_path, retry=("* * F,4d,15m",)) as one:
        id = await one.put("you@box.example", "you@later.example", "you@never.example")
        await one.story(" Completed")  # of the report
        await one.quiet()
        one.pass_(15 * 60)
        await one.story("come again")
        await one.quiet()
        events = await one.spool.events(id)
    assert [text for _, text in events] == [
        "you@never.example R=never: no such user",
        "you@later.example R=later defer (-1): come again",
        "you@box.example: box transport succeeded",
        "you@later.example R=later defer (-1): come again",
    ]
    assert events[-1][0] - events[0][0] == 15 * 60


async def test_a_delayed_message_warns_its_sender_once_a_day(tmp_path: Path) -> None:
    async with road(tmp_path, delay_warning="1d", retry=("* * F,7d,6h",)) as one:
        await one.put("you@later.example")
        await one.story("come again")
        for _ in range(10):
            await one.quiet()
            one.pass_(6 * 3600)
            await one.story("come again")
        await one.put("end@box.example")
        await one.story("=> end <end@box.example> R=box T=box")
    box = one.box.read_text()
    assert [line for line in box.splitlines() if line.startswith("Subject: Warning")] == [
        line
        for line in box.splitlines()
        if line.startswith("Subject: Warning") and line.endswith(("24 hours", "48 hours"))
    ]
    assert box.count("Subject: Warning") == 2


@pytest.mark.parametrize(
    ("sender", "errors_to", "return_path"),
    [
        pytest.param(SENDER, None, "sender@box.example", id="the sender"),
        pytest.param(SENDER, "owner@lists.example", "owner@lists.example", id="errors_to"),
        pytest.param(SENDER, "", "", id="an empty errors_to: nobody"),
        pytest.param(SENDER, "${if eq{1}{1}{}}", "", id="an errors_to that becomes empty"),
        pytest.param(SENDER, "no address", "sender@box.example", id="an errors_to that is no address"),
        pytest.param(NULL_SENDER, "owner@lists.example", "", id="a report stays one from nobody"),
    ],
)
async def test_who_the_next_hop_sees_as_the_sender(
    tmp_path: Path, sender: Address, errors_to: str | None, return_path: str
) -> None:
    box = {"driver": "accept", "transport": "box"} | ({} if errors_to is None else {"errors_to": errors_to})
    file = {"driver": "appendfile", "file": str(tmp_path / "box"), "return_path_add": True}
    async with road(tmp_path, routers={"box": box}, transports={"box": file}) as one:
        await one.put("you@box.example", sender=sender)
        await one.story(" Completed")
    assert f"\nReturn-path: <{return_path}>\n" in one.box.read_text()


async def test_a_report_that_cannot_be_made_delays_what_failed_and_repeats_nothing(tmp_path: Path) -> None:
    """A defect in making reports: what was delivered is recorded, the failure waits, and is told in the end."""
    async with road(tmp_path) as one:
        make, one.bounces.compose = one.bounces.compose, broken  # type: ignore[method-assign]  # the defect
        id = await one.put("you@box.example", "nobody@never.example")
        lines = await one.story("broken")
        assert lines[-1].startswith("1 PANIC: reports: ZeroDivisionError at test_delivery.py:")
        await one.quiet()
        pending = await one.spool.load(id)
        assert pending
        assert [str(recipient) for recipient in pending.waiting] == ["nobody@never.example"]
        one.bounces.compose = make  # type: ignore[method-assign]  # mended
        one.pass_(3600)
        await one.story(" Completed", " Completed")
    assert one.box.read_text().count("Subject: hello\n\nbody") == 2, "one of them in the bounce"


def broken(*arguments: object) -> Told:
    raise ZeroDivisionError("broken")


async def test_a_storm_of_failures_is_a_few_messages(tmp_path: Path) -> None:
    """Two reports by themselves, the rest in a digest a minute later; each failure is told exactly once."""
    failures = 5
    async with road(tmp_path, reports_per_minute="2") as one:
        for number in range(failures):
            await one.put(f"user{number}@never.example")
        lines = await one.story(*[" Completed"] * (failures + 2))
        assert sum("waits for the next digest" in line for line in lines) == failures - 2
        one.pass_(LOOK_INTERVAL)
        await one.story(" Completed")
    box = one.box.read_text()
    assert box.count("\nSubject: Mail delivery failed") == 2
    assert box.count("\nSubject: Mail delivery reports (3)") == 1
    assert sorted(line for line in box.splitlines() if line.startswith("Final-Recipient:")) == [
        f"Final-Recipient: rfc822;user{number}@never.example" for number in range(failures)
    ]
