"""No 250 leaves before the commit that covers it is on disk: the order of the system calls, seen by strace."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end import clients
from tests.end_to_end.conftest import Post, StartDaemon
from tests.end_to_end.relay import Places, forwarding
from tests.peers.presence import program

CALLS = "pwrite64,pwritev2,write,writev,sendto,sendmsg,fsync,fdatasync"
STRING_SIZE = 1 << 20
"""Octets that strace shows of each buffer: more than any call writes at once."""

_WHOLE = re.compile(r"^(\d+) +(\w+)\((\d+)<([^>]*)>(.*)\) += (-?\d+)")
_BEGUN = re.compile(r"^(\d+) +(\w+)\((\d+)<([^>]*)>(.*?) <unfinished \.\.\.>")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>.*\) += (-?\d+)")


@dataclass(frozen=True)
class Call:
    """A system call on a file, at the place in the trace where it began and where it ended."""

    name: str
    file: str
    text: str
    result: int
    began: int
    ended: int


def read(trace: str) -> list[Call]:
    """Return the calls of a trace made with ``-f -y``; those that another thread's call cut in two are joined."""
    calls: list[Call] = []
    begun: dict[str, tuple[int, re.Match[str]]] = {}
    for place, line in enumerate(trace.splitlines()):
        if match := _WHOLE.match(line):
            calls.append(Call(match[2], match[4], match[5], int(match[6]), place, place))
        elif match := _BEGUN.match(line):
            begun[match[1]] = (place, match)
        elif (match := _RESUMED.match(line)) and match[1] in begun:
            began, first = begun.pop(match[1])
            calls.append(Call(first[2], first[4], first[5], int(match[3]), began, place))
    return sorted(calls, key=lambda call: call.ended)


def first(calls: list[Call], matches: Callable[[Call], bool], after: Call | None = None) -> Call:
    """Return the first call that matches and began after *after* had ended."""
    start = after.ended if after else -1
    return next(call for call in calls if call.began > start and call.result >= 0 and matches(call))


def is_sync(call: Call, name: str) -> bool:
    """Return whether *call* syncs the file whose name ends with *name*."""
    return call.name in ("fsync", "fdatasync") and call.file.endswith(name)


def answer(calls: list[Call]) -> Call:
    """Return the call that sent the 250 with the id."""
    return first(
        calls, lambda call: call.name.startswith(("write", "send")) and re.search(r'"250 .*id=', call.text) is not None
    )


def trace(places: Places, daemon: StartDaemon, post: Post, body: bytes) -> list[Call]:
    """Run one message through a daemon under strace; return what it called."""
    file = places.directory / "trace"  # complete when the daemon's standard error ends, which strace shares
    command = [program("strace"), "-D", "-f", "-y", "-s", str(STRING_SIZE), "-e", f"trace={CALLS}", "-o", str(file)]
    relay = daemon(forwarding(places, post.route, post.ca), wrapper=command)
    clients.smtplib_(places.port, "me@app.example", ["you@remote.example"], b"Subject: TOKEN\r\n\r\n" + body)
    post.next()
    relay.kill()
    return read(file.read_text(errors="replace"))


def test_a_small_message_is_in_the_synced_tray_before_its_250(places: Places, daemon: StartDaemon, post: Post) -> None:
    """The tray's file is there for good, its octets are written to it and synced, and only then the answer leaves."""
    calls = trace(places, daemon, post, b"hello\r\n")
    there = first(calls, lambda call: is_sync(call, "/spool"))
    written = first(calls, lambda call: call.file.endswith("tray.0") and "TOKEN" in call.text, there)
    synced = first(calls, lambda call: is_sync(call, "tray.0"), written)
    assert answer(calls).began > synced.ended


def test_a_large_message_is_in_a_synced_file_before_its_row(places: Places, daemon: StartDaemon, post: Post) -> None:
    """File, directory, row, answer: each is synced before the next."""
    calls = trace(places, daemon, post, (b"x" * 98 + b"\r\n") * 2000)
    written = first(calls, lambda call: "/content/" in call.file and call.name.endswith(("write", "write64")))
    file = first(calls, lambda call: is_sync(call, Path(written.file).name), written)
    directory = first(calls, lambda call: is_sync(call, "/content"), file)
    row = first(calls, lambda call: call.file.endswith("spool.sqlite3-wal") and call.name == "pwrite64", directory)
    synced = first(calls, lambda call: is_sync(call, "spool.sqlite3-wal"), row)
    assert answer(calls).began > synced.ended


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            "7 fdatasync(5</s/spool.sqlite3-wal>) = 0",
            [Call("fdatasync", "/s/spool.sqlite3-wal", "", 0, 0, 0)],
            id="a whole call",
        ),
        pytest.param(
            '7 fsync(5</s/wal> <unfinished ...>\n8 write(6<socket:[1]>, "250", 3) = 3\n7 <... fsync resumed>) = 0',
            [Call("write", "socket:[1]", ', "250", 3', 3, 1, 1), Call("fsync", "/s/wal", "", 0, 0, 2)],
            id="a call cut in two",
        ),
    ],
)
def test_the_trace_is_read_right(line: str, expected: list[Call]) -> None:
    """The proof above rests on this reader."""
    assert read(line) == expected
