"""What runs beside the name service: each record is played by the real Exim, then by us, and compared.

``python -m tests.exim.played RECORDS.JSON ANSWERS.JSON DIRECTORY``; an answer is a list of what differs, each a name
with what Exim said and what we did. Exim's processes are ours to wait for: what a command has left in the background
is over before the next step.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.end_to_end.golden import compared
from tests.end_to_end.golden.scenario import Scenario, dialogue_with, servers_of, text_of
from tests.golden import Record
from tests.transports.test_golden_auth import load_fake_smtp

EXIM = "/usr/sbin/exim4"
CONFIGURATION = Path("/etc/exim4/exim4.conf")
TIMEOUT = 40
FIRST_PORT = 3000
"""The daemons' ports: two for each record."""
_BECOME_REAPER = 36
_ID = re.compile(r"\b[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}\b")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", re.MULTILINE)
_LINE_BREAK = re.compile(r"\n(?!\d{4}-\d\d-\d\d |\Z)")
"""One in the middle of a line of the log."""
_TOLD_OTHERWISE = (
    (re.compile(r" SIZE=\d+"), ""),  # the programs' names differ in length
    (re.compile(r',?\n *"Message is frozen"'), ""),  # of what a queue run leaves out
)
_TIME = re.compile(r"\d\d-\w{3}-\d{4} \d\d:\d\d:\d\d")
_HINT = re.compile(r"^ *(?P<key>[TR]:\S*) (?P<errno>-?\d+) (?P<more>-?\d+) ?(?P<text>.*)\n(?P<times>.*)", re.MULTILINE)


def main(asked: str, answers: str, directory: str) -> None:
    """Read the records, write what differs."""
    ctypes.CDLL(None).prctl(_BECOME_REAPER, 1, 0, 0, 0)
    os.environ["TZ"] = "UTC"
    time.tzset()
    records = [Record(**fields) for fields in json.loads(Path(asked).read_text())]
    places = [(Path(directory, "exim", record.id), Path(directory, "ours", record.id)) for record in records]
    _lay_over_etc(Path(directory, "etc"))
    fake_smtp = load_fake_smtp()
    found = [_compared(record, *place, fake_smtp) for record, place in zip(records, places, strict=True)]
    Path(answers).write_text(json.dumps(found))


def _lay_over_etc(extra: Path) -> None:
    """Lay a folder over ``/etc`` in which is where Exim looks for its usual configuration.

    Named on its command line, no user but root could have any other used with its rights.
    """
    (extra / CONFIGURATION.parent.name).mkdir(parents=True, exist_ok=True)
    for name in ("passwd", "group", "hosts", "resolv.conf", "nsswitch.conf"):
        (extra / name).write_text(Path("/etc", name).read_text())
    subprocess.run(["mount", "-t", "overlay", "-o", f"lowerdir={extra}:/etc", "overlay", "/etc"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", CONFIGURATION.parent], check=True)


def _compared(record: Record, exims: Path, ours: Path, fake_smtp: ModuleType) -> list[tuple[str, str, str]]:
    for place in (exims, ours):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    number = FIRST_PORT + 2 * int(record.id)
    expected = RealExim(_at_port(record, number), exims, fake_smtp).play()
    text = json.dumps(expected).replace(str(exims), "@DIR@")
    patched = pytest.MonkeyPatch()
    try:
        scenario = Scenario(replace(_at_port(record, number + 1), expect=json.loads(text)), ours, patched)
        story = scenario.play(fake_smtp)
        pairs = list(compared.pairs(story, scenario.record))
    except Exception:
        pairs = [("played", "", traceback.format_exc())]
    finally:
        patched.undo()
    shown = [(name, _shown(one), _shown(other)) for name, one, other in pairs]
    return [(name, one, other) for name, one, other in shown if one != other]


def _at_port(record: Record, port: int) -> Record:
    """Return *record* with its daemon at *port*: one that was used a moment ago cannot be had."""
    steps = [
        {**step, **{key: port for key in ("daemon", "smtp") if key in step}} for step in record.input["steps"]
    ]  # fmt: skip
    return replace(record, input={**record.input, "steps": steps})


def _shown(value: Any) -> str:
    """Return *value* as a text, without what is told in two ways (docs/exim.md)."""
    text = value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False, default=sorted)
    for pattern, token in _TOLD_OTHERWISE:
        text = pattern.sub(token, text)
    return text


class RealExim:
    """A record under way in *directory*, as the golden records were made."""

    def __init__(self, record: Record, directory: Path, fake_smtp: ModuleType) -> None:
        self._record = record.placed(directory)
        self._directory = directory
        self._fake_smtp = fake_smtp
        self._ids: list[str] = []
        self._output: list[dict[str, Any]] = []
        CONFIGURATION.write_text(self._record.config)
        user = pwd.getpwnam("Debian-exim")
        for name in ("spool", "log"):
            os.chown(directory / name, user.pw_uid, user.pw_gid)

    def play(self) -> dict[str, Any]:
        """Go through all steps; return what came of them in the form of a record's ``expect``."""
        try:
            return self._played()
        finally:
            for child in _children(os.getpid()):
                os.kill(child, signal.SIGKILL)

    def _played(self) -> dict[str, Any]:
        daemon = None
        with servers_of(self._record, self._fake_smtp) as servers:
            for number, step in enumerate(self._record.input["steps"]):
                match step:
                    case {"sleep": seconds}:
                        time.sleep(seconds)
                    case {"daemon": port}:
                        daemon = subprocess.Popen(
                            [EXIM, "-bdf", "-oX", f"127.0.0.1.{port}"],
                            env={}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                        )  # fmt: skip
                    case {"smtp": port, "lines": lines}:
                        said = asyncio.run(dialogue_with(port, lines))
                        self._output.append({"step": number, "dialogue": said})
                    case {"wait": True}:
                        assert daemon is not None
                        _end(daemon)
                    case {"args": words}:
                        self._run(number, step, words)
                _reap()
                self._note_ids()
        expect: dict[str, Any] = {
            "mainlog": self._log("mainlog"),
            "paniclog": self._log("paniclog"),
            "output": [self._with_names(one) for one in self._output],
            "sessions": {place: server.log for place, server in servers.items()},
            "messages": {
                place: [self._named(text_of(one)) for one in server.messages] for place, server in servers.items()
            },
            "retry_hints": self._hints(),
        }
        mbox = self._directory / "spool" / "mbox"
        if mbox.exists():
            expect["mbox"] = self._named(text_of(mbox.read_bytes()))
        return expect

    def _run(self, number: int, step: dict[str, Any], words: list[str]) -> None:
        asked = [re.sub(r"@ID(\d+)@", self._id, word) for word in words]
        uid = pwd.getpwnam(step.get("run_as", "root")).pw_uid
        process = subprocess.Popen(
            [EXIM, *asked],
            env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: os.setresuid(uid, 0, 0),
        )  # fmt: skip
        try:
            out, err = process.communicate(step.get("stdin", "").encode("utf-8", "surrogateescape"), TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        texts = [_STAMP.sub("", text_of(one)) for one in (out, err)]
        self._output.append({"step": number, "stdout": texts[0], "stderr": texts[1], "exit": process.returncode})

    def _id(self, match: re.Match[str]) -> str:
        number = int(match[1]) - 1
        return self._ids[number] if number < len(self._ids) else "1aaaaa-000000-00"

    def _log(self, name: str) -> list[str]:
        path = self._directory / "log" / name
        if not path.exists():
            return []
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        text = _LINE_BREAK.sub(r"\\n", text)  # which we write so
        return [self._named(_STAMP.sub("", line)) for line in text.splitlines()]

    def _note_ids(self) -> None:
        for line in self._log("mainlog"):
            self._ids += [id for id in dict.fromkeys(_ID.findall(line)) if id not in self._ids]

    def _named(self, text: str) -> str:
        for number, id in enumerate(self._ids, 1):
            text = text.replace(id, f"@ID{number}@")
        return text

    def _with_names(self, output: dict[str, Any]) -> dict[str, Any]:
        named: dict[str, Any] = json.loads(self._named(json.dumps(output)))
        if "dialogue" in named:
            named["dialogue"] = [line for line in named["dialogue"] if line != "S: 250-PIPECONNECT"]
        return named

    def _hints(self) -> list[dict[str, Any]]:
        dump = subprocess.run(
            ["/usr/sbin/exim_dumpdb", str(self._directory / "spool"), "retry"],
            capture_output=True, check=False, env={"TZ": "UTC"},
        )  # fmt: skip
        return [_hint(match, self._named) for match in _HINT.finditer(text_of(dump.stdout))]


def _hint(match: re.Match[str], named: Any) -> dict[str, Any]:
    _, last, following = (datetime.strptime(one, "%d-%b-%Y %H:%M:%S") for one in _TIME.findall(match["times"]))
    return {
        "key": named(match["key"]),
        "errno": int(match["errno"]),
        "text": match["text"],
        "next_minus_last_seconds": int((following - last).total_seconds()),
        "expired": match["times"].rstrip().endswith("*"),
    }


def _end(daemon: subprocess.Popen[bytes]) -> None:
    """Stop *daemon* when its children, and theirs, are done."""
    quiet = time.monotonic()
    until = quiet + TIMEOUT
    while time.monotonic() - quiet < 0.2 and time.monotonic() < until:
        if _children(daemon.pid) or _children(os.getpid()) != [daemon.pid]:
            quiet = time.monotonic()
            _reap_but(daemon.pid)
        time.sleep(0.02)
    daemon.send_signal(signal.SIGTERM)
    daemon.wait(TIMEOUT)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found += map(int, (task / "children").read_text().split())
    return found


def _reap_but(pid: int) -> None:
    for child in _children(os.getpid()):
        if child != pid:
            os.waitpid(child, os.WNOHANG)


def _reap() -> None:
    """Wait for all that runs in the background."""
    until = time.monotonic() + TIMEOUT
    while children := [one for one in _children(os.getpid()) if not _is_daemon(one)]:
        for child in children:
            os.waitpid(child, os.WNOHANG)
        if time.monotonic() > until:
            for child in children:
                os.kill(child, signal.SIGKILL)
        time.sleep(0.005)


def _is_daemon(pid: int) -> bool:
    try:
        return b"-bdf" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
