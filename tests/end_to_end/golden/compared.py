"""A story of ours beside what a record says that Exim did: pairs that are to be the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.end_to_end.golden import comparable
from tests.end_to_end.golden.scenario import Story
from tests.golden import Record
from tests.transports.test_golden_auth import dialogue

_TEXT_LIMIT = 150
"""Octets of a hint's text that Exim keeps."""


def pairs(story: Story, record: Record) -> Iterator[tuple[str, Any, Any]]:
    """Yield what is compared: its name, what Exim did, what we did."""
    expected = record.expect
    yield "log", comparable.log(expected["mainlog"]), comparable.log(story.log)
    yield "sessions", said(expected["sessions"]), said(story.sessions)
    yield "answers", shown(answers(record)), shown(story.answers)
    yield "dialogues", dialogues(record), [comparable.dialogue(lines) for lines in story.dialogues]
    yield "panic log", *(sorted(comparable.panic(one)) for one in (expected.get("paniclog", []), story.panic))
    if "mbox" in expected:
        yield "mailbox", comparable.mbox(expected["mbox"]), comparable.mbox(story.mbox)
    for place, messages in expected.get("messages", {}).items():
        both = (messages, story.messages[place])
        yield f"messages at {place}", *(sorted(map(comparable.message, one)) for one in both)
    for hint in expected.get("retry_hints", ()):
        yield from remembered(story, hint)


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


def remembered(story: Story, hint: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield what Exim's hint says, and what the spool remembers.

    Of a message on one host its recipients' rows say it, which go with the message; Exim's hint stays. So does that
    of an address which a forced run has served in the end: Exim does not read hints then.
    """
    kind, name, *rest = hint["key"].split(":")
    seconds = hint["next_minus_last_seconds"]
    what = f"hint {hint['key']}"
    if kind == "T" and "@ID1@" in rest:
        if "@ID1@ Completed" not in story.log:
            yield what, {seconds}, {round(one.until - one.last_try) for one in story.waiting}
        return
    if kind == "R" and any(f" => {name} " in line for line in story.log):
        yield what, False, hint["key"] in story.hints
        return
    kept = [one for key, one in story.hints.items() if key == hint["key"] or (kind == "T" and f":{name}:" in key)]
    if len(kept) != 1:
        yield what, hint["key"], [*story.hints]
    elif kept[0].cause:  # a hold: it waits for no time, and Exim has none
        yield what, True, hint["text"].endswith(kept[0].text)
    else:
        (one,) = kept
        expected = (hint["errno"], hint["text"][:_TEXT_LIMIT], seconds, hint.get("expired", False))
        yield what, expected, (one.errno, one.text[:_TEXT_LIMIT], round(one.next_try - one.last_try), one.expired)
