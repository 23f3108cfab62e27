"""The two ends of the road: the load that submits, the sink that stands for the smarthost. See the C files."""

from __future__ import annotations

import json
import select
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.build import program

USER = "my_username"
PASSWORD = "secret"
ENOUGH = 10_000
"""Messages a second that the ends must exchange without a relay, or they are part of what is measured."""
NEARBY = 10.0
"""Seconds in which the sink answers an order."""


@dataclass(frozen=True, slots=True)
class Times:
    """Percentiles, in milliseconds."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def read(cls, microseconds: dict[str, int]) -> Times:
        """Return what a C program printed."""
        count = microseconds.pop("count")
        return cls(count, **{name: value / 1000 for name, value in microseconds.items()})


@dataclass(frozen=True, slots=True)
class Submitted:
    """What the load saw; instants are nanoseconds of the monotonic clock."""

    accepted: int
    errors: int
    complaint: str
    connections: int
    unfinished: int
    first: int
    last: int
    cpu: float
    accept: Times
    greeting: Times

    @property
    def rate(self) -> float:
        """Messages a second that got their 250."""
        return self.accepted / max(self.last - self.first, 1) * 1e9


@dataclass(frozen=True, slots=True)
class Arrived:
    """What the sink saw."""

    messages: int
    octets: int
    recipients: int
    connections: int
    logins: int
    refused_logins: int
    chunked: int
    turned_away: int
    first: int
    last: int
    cpu: float
    transit: Times


class LoadFailed(Exception):
    """The load did not do what was asked; the text says what it said."""


def submit(port: int, *, seconds: float | None = None, patience: float = 120, **options: int | str | bool) -> Submitted:
    """Submit mail to *port* and return how it went; see ``load.c`` for *options*."""
    command = [program("load"), f"--port={port}", f"--timeout={patience}"]
    if seconds is not None:
        command.append(f"--seconds={seconds}")
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        command += [flag] if value is True else [f"{flag}={value}"] if value else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience + NEARBY, check=False)
    if done.returncode:
        raise LoadFailed(done.stderr.strip())
    told = json.loads(done.stdout)
    return Submitted(**{**told, "accept": Times.read(told["accept"]), "greeting": Times.read(told["greeting"])})


class Sink:
    """The smarthost, as a child; it ends with us."""

    def __init__(self, certificate: Path, key: Path, *flags: str) -> None:
        login = (f"--user={USER}", f"--password={PASSWORD}")
        command = [program("sink"), f"--cert={certificate}", f"--key={key}", *login, *flags]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.port = int(self._line(NEARBY) or 0)

    def order(self, words: str) -> Arrived:
        """Give an order; return what was counted when it was done."""
        self._say(words)
        arrived = self._answer(NEARBY)
        if arrived is None:
            raise TimeoutError(f"the sink does not answer to {words!r}")
        return arrived

    def wait_for(self, messages: int, patience: float) -> Arrived:
        """Return what was counted once *messages* have arrived, or after *patience* seconds."""
        self._say(f"await {messages}")
        arrived = self._answer(patience)
        if arrived is None:
            self._say("await 0")  # the wait is over: this one is answered at once
            arrived = self._answer(NEARBY)
        if arrived is None:
            raise TimeoutError("the sink does not answer")
        return arrived

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(NEARBY)

    def _say(self, words: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{words}\n")

    def _answer(self, patience: float) -> Arrived | None:
        line = self._line(patience)
        if line is None:
            return None
        told: dict[str, Any] = json.loads(line)
        return Arrived(**{**told, "transit": Times.read(told["transit"])})

    def _line(self, patience: float) -> str | None:
        assert self._process.stdout
        if not select.select([self._process.stdout], [], [], patience)[0]:
            return None
        return self._process.stdout.readline()


def exchange(sink: Sink, seconds: float = 2.0) -> float:
    """Return how many messages of 4 KiB a second the ends exchange when nothing stands between them, over TLS."""
    sink.order("reset")
    submitted = submit(
        sink.port, seconds=seconds, clients=10, pipeline=True, starttls=True, user=USER, password=PASSWORD
    )
    arrived = sink.wait_for(submitted.accepted, NEARBY)
    return arrived.messages / max(arrived.last - submitted.first, 1) * 1e9
