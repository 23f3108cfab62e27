"""Whole deliveries as the real Exim 4.96 made them: its log, its sessions, its reports, its hints, its tools' answers.

The differences from Exim are switched off (``exim_strict = all``); 4 and 5, which protect a password, stay on.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.end_to_end.golden import comparable
from tests.end_to_end.golden.listed import LISTED, reason
from tests.end_to_end.golden.scenario import Scenario, Story
from tests.golden import Record, folder, records
from tests.transports.test_golden_auth import dialogue, fake_smtp, port_25

__all__ = ["fake_smtp", "port_25"]


@pytest.mark.parametrize("record", records("deliver"))
def test_a_delivery_is_that_of_exim(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_smtp: ModuleType
) -> None:
    """The same lines for each message, the same sessions, and what the next hop got."""
    if why := reason(record.id):
        pytest.skip(why)
    scenario = Scenario(record, tmp_path, monkeypatch)
    story, expected = scenario.play(fake_smtp), scenario.record.expect
    assert comparable.log(story.log) == comparable.log(expected["mainlog"])
    assert said(story.sessions) == said(expected["sessions"])
    assert shown(story.answers) == shown(answers(scenario.record))
    assert [comparable.dialogue(lines) for lines in story.dialogues] == dialogues(scenario.record)
    assert sorted(comparable.panic(story.panic)) == sorted(comparable.panic(expected.get("paniclog", [])))
    if "mbox" in expected:
        assert comparable.mbox(story.mbox) == comparable.mbox(expected["mbox"])
    for place, messages in expected.get("messages", {}).items():
        ours = [comparable.message(text) for text in story.messages[place]]
        assert sorted(ours) == sorted(map(comparable.message, messages))
    for hint in expected.get("retry_hints", ()):
        assert_remembered(story, hint)


def said(sessions: dict[str, list[list[str]]]) -> dict[str, list[list[str]]]:
    """Return what was said in each session with each server."""
    return {place: [dialogue(session) for session in own] for place, own in sessions.items()}


def answers(record: Record) -> dict[int, tuple[str, str, int]]:
    """Return what each command of the record has printed, and its exit status; most say nothing."""
    told = {one["step"]: one for one in record.expect["output"] if "step" in one}
    quiet = {"stdout": "", "stderr": "", "exit": 0}
    found = {}
    for number, step in enumerate(record.input["steps"]):
        if "args" in step:
            one = told.get(number, quiet)
            found[number] = (one["stdout"], one["stderr"], one["exit"])
    return found


def shown(answers: dict[int, tuple[str, str, int]]) -> dict[int, tuple[str, str, int]]:
    """Return them as far as they are to be the same."""
    return {
        number: (comparable.printed(out), comparable.printed(err), status)
        for number, (out, err, status) in answers.items()
    }


def dialogues(record: Record) -> list[list[str]]:
    """Return what was said in each session with the record's daemon."""
    return [comparable.dialogue(one["dialogue"]) for one in record.expect["output"] if "dialogue" in one]


def assert_remembered(story: Story, hint: dict[str, Any]) -> None:
    """Assert that the spool remembers what Exim's hint says.

    Of a message on one host its recipients' rows say it, which go with the message; Exim's hint stays. So does that
    of an address which a forced run has served in the end: Exim does not read hints then.
    """
    kind, name, *rest = hint["key"].split(":")
    seconds = hint["next_minus_last_seconds"]
    if kind == "T" and "@ID1@" in rest:
        if "@ID1@ Completed" not in story.log:
            assert [round(one.until - one.last_try) for one in story.waiting] == [seconds]
        return
    if kind == "R" and any(f" => {name} " in line for line in story.log):
        assert hint["key"] not in story.hints
        return
    (kept,) = (one for key, one in story.hints.items() if key == hint["key"] or (kind == "T" and f":{name}:" in key))
    if kept.cause:  # a hold: it waits for no time, and Exim has none
        assert hint["text"].endswith(kept.text)
        return
    assert (kept.errno, kept.text) == (hint["errno"], hint["text"])
    assert round(kept.next_try - kept.last_try) == seconds
    assert kept.expired == hint.get("expired", False)


def test_what_is_listed_is_there() -> None:
    """A record that is listed and gone would leave a reason for nothing."""
    if folder() is not None:
        assert set(LISTED) <= {parameter.values[0].id for parameter in records("deliver")}
