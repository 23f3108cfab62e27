"""The runner's races, forced: what happens to mail while an attempt at it, or at another message, is being recorded.

The clock is held, so that whatever is tried at all is tried at once; what the runner has missed never comes, and the
test runs into its patience.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from smarthostd import company
from smarthostd.config.settings import Settings
from smarthostd.delivery import Left
from smarthostd.demo.daemon import free_port
from smarthostd.spool.base import Changes, Pending
from tests import road as roads
from tests.road import PATIENCE, Road
from tests.smtp.scripted import Script, serving

PUT_OFF = "* * F,4d,30s"


class Gate:
    """Stands in front of ``spool.record``: the next one is let through when the test says so."""

    def __init__(self, one: Road, monkeypatch: pytest.MonkeyPatch) -> None:
        self._record = one.spool.record
        self._reached, self._open = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(one.spool, "record", self.record)

    async def record(self, id: str, changes: Changes) -> None:
        """Record when the gate is open."""
        self._reached.set()
        await self._open.wait()
        await self._record(id, changes)

    async def reached(self) -> None:
        """Wait until somebody stands in front of it."""
        async with asyncio.timeout(PATIENCE):
            await self._reached.wait()

    def open(self) -> None:
        """Let everybody through from now on."""
        self._open.set()


@asynccontextmanager
async def road(directory: Path, transports: dict[str, Any] | None = None, **routers: Any) -> AsyncIterator[Road]:
    """Build one with these routers, a mailbox, and a smarthost where nobody listens, besides *transports*."""
    box = directory / "box"
    settings = Settings.model_validate({
        "primary_hostname": "client.example.net",
        "routers": routers,
        "transports": {
            "box": {"driver": "appendfile", "file": str(box)},
            "dead": {"driver": "smtp", "port": str(free_port()), "allow_localhost": True},
            **(transports or {}),
        },
        "retry": [PUT_OFF],
    })  # fmt: skip
    async with roads.road(box, settings) as one:
        yield one


DEAD = {"driver": "manualroute", "route_list": "* 127.0.0.1", "transport": "dead", "self": "send"}


async def test_a_destination_is_not_forgotten_while_the_message_that_waits_for_it_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time comes before the record has: it is probed right after, and its first failure still counts."""
    async with road(tmp_path, dead=DEAD) as one:
        gate = Gate(one, monkeypatch)
        await one.put("you@far.example")
        await gate.reached()
        (before,) = one.memory.health.states().values()
        one.pass_(30)
        await one.looked()
        assert one.memory.health.states()
        gate.open()
        await one.story("Connection refused", "Connection refused", "Connection refused", "Connection refused")
        await one.quiet()
        (after,) = one.memory.health.states().values()
    assert getattr(after, "first_failed") == getattr(before, "first_failed")  # noqa: B009 - of a union


async def test_a_destination_that_opens_while_a_message_is_recorded_has_opened_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is tried again at once, not when an hour has passed."""
    async with road(tmp_path, dead=DEAD) as one:
        gate = Gate(one, monkeypatch)
        await one.put("you@far.example")
        await gate.reached()
        (key,) = one.memory.health.states()
        one.memory.health.opened(key)
        await one.looked()
        gate.open()
        await one.story("Connection refused", "Connection refused", "Connection refused", "Connection refused")


async def test_a_retry_that_falls_due_during_its_own_attempt_is_not_slept_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt ends while the runner is reckoning its pause, without the message: it reckons again."""
    later = {"driver": "redirect", "data": ":defer: come again", "allow_defer": True}
    async with road(tmp_path, later=later) as one:
        await one.looked()
        next_due, answer = one.spool.next_due, asyncio.Event()

        async def held() -> float | None:
            due = await next_due()
            async with asyncio.timeout(PATIENCE):
                await answer.wait()
            return due

        monkeypatch.setattr(one.spool, "next_due", held)
        await one.put("you@later.example")
        await one.story("come again")
        await one.quiet()
        one.clock.pass_(30)
        answer.set()
        assert len(await one.story("come again")) == 1


async def test_after_the_clock_was_set_back_what_waits_is_tried(tmp_path: Path) -> None:
    """Its time would come a month later."""
    later = {"driver": "redirect", "data": ":defer: come again", "allow_defer": True}
    async with road(tmp_path, later=later) as one:
        await one.looked()
        await one.put("you@later.example")
        await one.story("come again")
        await one.quiet()
        one.clock.pass_(-30 * 86400)
        one.runner.wake()
        told, tried = await one.story("come again")
        assert told.endswith("clock was set back by 2592000s or more: what waits is tried now")
        assert tried.endswith(" == you@later.example R=later defer (-1): come again")


async def test_what_opens_and_closes_again_does_not_go_round_in_circles(tmp_path: Path) -> None:
    """Of those that wait some go, the first of them finds it closed, and so do they; nobody is taken up twice."""
    async with road(tmp_path, dead=DEAD) as one:
        for _ in range(12):
            await one.put(*(f"{number}@far.example" for number in range(8)))
        await one.empty_or_waiting()
        (key,) = one.memory.health.states()
        one.memory.health.opened(key)
        await one.looked()
        await one.quiet()
        await one.looked()
        assert set(one.memory.health.states()) == {key}
        waiting = [waits for summary in await one.spool.summaries() for _, _, waits in summary.recipients if waits]
    assert {waits.attempts for waits in waiting} <= {1, 2}


async def test_a_message_of_which_all_is_marked_as_done_is_completed_after_a_start(tmp_path: Path) -> None:
    """No claim finds it, for nobody of it waits."""
    later = {"driver": "redirect", "data": ":defer: come again", "allow_defer": True}
    async with road(tmp_path, later=later) as one:
        id = await one.put("you@later.example")
        await one.story("come again")
        await one.quiet()
        await one.spool.mark_done(id, ["you@later.example"])
    async with road(tmp_path, later=later) as one:
        assert await one.story("Completed") == ["1 Completed"]


async def test_attempts_begin_a_few_in_a_turn_of_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who hands in mail does not wait until a whole window has gone as far as it can without waiting."""
    monkeypatch.setattr("smarthostd.runner.AT_ONCE", 2)
    begun: list[int] = []
    turn = 0

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async with road(tmp_path, box={"driver": "redirect", "data": ":blackhole:"}) as one:  # needs no thread
        attempt = one.delivery.attempt

        async def noted(pending: Pending, *, forced: bool = False) -> Left:
            begun.append(turn)
            return await attempt(pending, forced=forced)

        monkeypatch.setattr(one.delivery, "attempt", noted)
        await one.looked()
        with monkeypatch.context() as patch:
            patch.setattr(one.runner, "wake", lambda: None)
            for number in range(9):
                await one.put(f"{number}@box.example")
        counting = asyncio.create_task(count())
        one.runner.wake()
        await one.story(*["Completed"] * 9)
        counting.cancel()
    assert len(begun) == 9
    assert max(Counter(begun).values()) <= 2


async def test_what_a_reluctant_host_was_not_asked_for_goes_when_it_takes_a_message(tmp_path: Path) -> None:
    """Ten a second of those that wait are tried; the first that is taken lets all the others go at once."""
    script = Script({"RCPT": ["450 4.3.0 later"] * 5 + ["250 ok"]})
    async with serving(script, Script()) as server:
        hub = {"driver": "manualroute", "route_list": "* 127.0.0.1", "transport": "hub", "self": "send"}
        transport = {"driver": "smtp", "port": str(server.port), "allow_localhost": True, "hosts_max_deferrals": "3"}
        async with road(tmp_path, {"hub": transport}, hub=hub) as one:
            for number in range(20):
                await one.put(f"{number}@far.example")
                await one.story(" later" if number < 3 else "for 'far.example'")
            for tries in (4, 5):
                one.pass_(0.11)
                await server.hears("RCPT", tries)
                await one.story("450 4.3.0 later")
                await one.quiet()
            one.pass_(0.11)
            await one.story("flows again", *["Completed"] * 15)
        assert sum(heard.words.count("RCPT") for heard in server.heard) == 5 + 15


async def test_who_stops_waiting_for_a_message_to_be_given_up_leaves_no_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool's time is over while the spool is in trouble: the message is tried as before."""
    async with road(tmp_path, dead=DEAD) as one:
        id = await one.put("you@far.example")
        await one.story("Connection refused", "Connection refused")
        await one.quiet()
        gate = Gate(one, monkeypatch)
        giving_up = asyncio.create_task(one.runner.give_up(id, "root"))
        await gate.reached()
        giving_up.cancel()
        await asyncio.gather(giving_up, return_exceptions=True)
        assert await one.spool.claim_one(id) is not None


@pytest.mark.parametrize("how", ["claim", "claim_one"], ids=["what is due", "what is wanted"])
async def test_nothing_begins_while_the_runner_drains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """What it was about to begin would be cut in the middle, and perhaps be delivered twice; it is let go."""
    later = {"driver": "redirect", "domains": "later.example", "data": ":defer: come again", "allow_defer": True}
    async with road(tmp_path, later=later, box={"driver": "accept", "transport": "box"}) as one:
        id = await one.put("you@later.example")
        await one.story("come again")
        await one.quiet()
        gate = Gate(one, monkeypatch)
        await one.put("first@box.example")
        await gate.reached()
        claim, reached, answer = getattr(one.spool, how), asyncio.Event(), asyncio.Event()

        async def held(*given: Any, **named: Any) -> Any:
            found = await claim(*given, **named)
            if found:
                reached.set()
                await answer.wait()
            return found

        monkeypatch.setattr(one.spool, how, held)
        if how == "claim":
            one.pass_(30)
        else:
            one.runner.want(id)
        async with asyncio.timeout(PATIENCE):
            await reached.wait()
        draining = asyncio.create_task(one.runner.drain(timedelta(seconds=PATIENCE)))
        await asyncio.sleep(0)
        answer.set()
        await one.looked()
        gate.open()
        assert await draining == 0
        assert await one.story(" Completed") == ["1 => first <first@box.example> R=box T=box", "1 Completed"]
        monkeypatch.undo()
        assert await one.spool.claim_one(id), "nobody has it"


async def test_a_house_that_empties_waits_for_no_company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for others is under way, and goes when the runner drains; so does what is offered after."""
    monkeypatch.setattr(company, "LONGEST", 6 * PATIENCE)
    async with road(tmp_path, box={"driver": "accept", "transport": "box"}) as one:
        await one.offer("first@box.example")
        await one.story(" Completed")
        second = await one.offer("second@box.example")
        assert one.runner.active == 1
        assert one.runner.is_trying(second)
        draining = asyncio.create_task(one.runner.drain(timedelta(seconds=PATIENCE)))
        await asyncio.sleep(0)
        await one.offer("third@box.example")
        assert await draining == 0
        story = await one.story(" Completed", " Completed")
        assert {line.partition("<")[2].partition(">")[0] for line in story if " => " in line} == {
            "second@box.example", "third@box.example",
        }  # fmt: skip


async def test_what_one_host_put_off_goes_when_another_opens(tmp_path: Path) -> None:
    """The second one was down. All that the first has deferred go there, and do not wait for times of their own."""
    async with serving(Script({"MAIL": "451 later"})) as first:
        other = free_port()
        route = f"* 127.0.0.1::{first.port}:127.0.0.1::{other}"
        pair = {"driver": "manualroute", "route_list": route, "transport": "pair", "self": "send"}
        async with road(tmp_path, {"pair": {"driver": "smtp", "allow_localhost": True}}, pair=pair) as one:
            for name in ("one", "two"):
                await one.put(f"{name}@far.example")
            await one.story("451 later", "451 later", "451 later", "451 later")
            await one.quiet()
            (key,) = one.memory.health.states()
            assert key.endswith(f":{other}")
            waiting = [one_ for summary in await one.spool.summaries() for _, _, one_ in summary.recipients]
            assert {waits.destination for waits in waiting if waits} == {key}
            assert {waits.until - one.clock.now() for waits in waiting if waits} == {30.0}
            one.memory.health.opened(key)
            await one.story("451 later", "451 later")
