"""A login that is refused: the mail waits, the administrator is told once, and nobody's account is locked.

The smarthost is hammered with no guesses while the credential is wrong, and the saved file sets everything going.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.simulated.world import CONNECTIONS, HOUR, MINUTE, Relay, Smarthost, world

OFFERS = ("PIPELINING", "8BITMIME", "AUTH PLAIN")
SUBJECTS = [f"number {number}" for number in range(200)]
RIGHT = "isp: plain=^me^right\n"
REFUSED = "535 5.7.8 Username and password not accepted"


@asynccontextmanager
async def story(directory: Path, credentials: str) -> AsyncIterator[tuple[Relay, Smarthost, Path]]:
    """Lend a relay that must log in with what the file holds, the smarthost, and the file."""
    file = directory / "credentials"
    file.write_text(credentials)
    secret = f"${{extract{{plain}}{{${{lookup{{isp}}lsearch{{{file}}}{{$value}}fail}}}}}}"
    authenticators = {"plain": {"driver": "plaintext", "public_name": "PLAIN", "client_send": secret}}
    transport = {"hosts_require_auth": "*"}
    async with world(directory, OFFERS, authenticators=authenticators, transport=transport) as (relay, smarthost):
        yield relay, smarthost, file


async def mend(relay: Relay, file: Path) -> None:
    """Save the right credential, as an editor does, and wait until it has been seen."""
    new = file.with_suffix(".new")
    new.write_text(RIGHT)
    os.replace(new, file)  # noqa: PTH105 - what an editor calls
    await relay.mended()


async def assert_held(relay: Relay, smarthost: Smarthost, connections: int) -> None:
    """Assert that after an hour all mail waits, nobody was told but the administrator, and that once."""
    await relay.put(*SUBJECTS)
    await relay.pass_(HOUR - MINUTE)
    assert len(relay.lines("^ALARM: ")) == 1
    assert len(smarthost.connected) <= connections
    assert await relay.waiting() == len(SUBJECTS)
    assert not relay.failures()
    assert not relay.lines(" <= <> ")


async def assert_all_arrived(relay: Relay, smarthost: Smarthost) -> None:
    """Assert that the queue is empty, and that each message was taken once."""
    assert smarthost.taken() == dict.fromkeys(SUBJECTS, 1)
    assert await relay.waiting() == 0
    assert not relay.failures()
    assert len(relay.lines("^ALARM: ")) == 1


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(REFUSED, id="535"),
        pytest.param("432 4.7.12 A password transition is needed", id="432"),
        pytest.param("454 4.7.0 Temporary authentication failure", id="454"),
    ],
)
async def test_a_refused_login_holds_all_mail_until_the_file_is_mended(reply: str, tmp_path: Path) -> None:
    async with story(tmp_path, "isp: plain=^me^wrong\n") as (relay, smarthost, file):
        smarthost.answers["AUTH"] = reply
        await assert_held(relay, smarthost, CONNECTIONS)
        smarthost.answers.clear()
        await mend(relay, file)
        await assert_all_arrived(relay, smarthost)


async def test_a_missing_credential_makes_no_connection_after_the_first(tmp_path: Path) -> None:
    async with story(tmp_path, "# nobody yet\n") as (relay, smarthost, file):
        await assert_held(relay, smarthost, CONNECTIONS)
        assert not [line for heard in smarthost.heard for line in heard.lines if line.startswith(("AUTH", "MAIL"))]
        await mend(relay, file)
        await assert_all_arrived(relay, smarthost)


async def test_a_hold_outlives_a_restart_with_its_one_alarm(tmp_path: Path) -> None:
    async with story(tmp_path, "isp: plain=^me^wrong\n") as (relay, smarthost, file):
        smarthost.answers["AUTH"] = REFUSED
        await assert_held(relay, smarthost, CONNECTIONS)
        before = len(smarthost.connected)
        await relay.restart()
        await relay.pass_(HOUR - MINUTE)
        assert len(smarthost.connected) <= before + 2
        assert len(relay.lines("^ALARM: ")) == 1
        smarthost.answers.clear()
        await mend(relay, file)
        await assert_all_arrived(relay, smarthost)


async def test_a_held_destination_is_tried_by_a_rare_probe(tmp_path: Path) -> None:
    """The provider has mended it: nobody has to touch the file."""
    async with story(tmp_path, RIGHT) as (relay, smarthost, _):
        smarthost.answers["AUTH"] = REFUSED
        await assert_held(relay, smarthost, CONNECTIONS)
        before = len(smarthost.connected)
        smarthost.answers.clear()
        await relay.pass_(2 * MINUTE)
        await assert_all_arrived(relay, smarthost)
        assert len(smarthost.connected) > before


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param("550 5.4.5 Daily user sending quota exceeded", id="Gmail: 5.4.5"),
        pytest.param(
            "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", id="Microsoft's words"
        ),
        pytest.param("452 4.5.3 too many messages, slow down", id="452"),
    ],
)
async def test_a_quota_of_the_provider_bounces_nothing(reply: str, tmp_path: Path) -> None:
    """It says no to the sender, not to the mail: all waits, at few connections, and goes when the day is over."""
    async with world(tmp_path, ("8BITMIME",), retry=["* * F,4d,1h"]) as (relay, smarthost):
        smarthost.answers["MAIL"] = reply
        await relay.put(*SUBJECTS)
        await relay.pass_(5 * HOUR)
        assert await relay.waiting() == len(SUBJECTS)
        smarthost.answers.clear()
        await relay.pass_(2 * HOUR)
        assert smarthost.taken() == dict.fromkeys(SUBJECTS, 1)
        assert not relay.failures()
        assert await relay.waiting() == 0
