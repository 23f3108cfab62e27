"""``python -m bench alone | compare | profile | show``: measure, show, record.

In a comparison every relay takes its turn at a scenario before the next one comes, in an order that moves on with
each round. A ratio is formed within a round, so what the machine does besides weighs on both. The record is
written anew after each measurement: what an interruption leaves can be shown.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from bench import installed, parts, peers, plot
from bench.build import HERE
from bench.ends import ENOUGH, LoadFailed, exchange
from bench.measure import WARM_UP, Build, Stand, measure
from bench.relay import Smarthostd, Unready
from bench.report import OURS, Results, Sample, markdown, show
from bench.scenarios import SCENARIOS, Flow, Length, Scenario
from tests.peers.certificates import Authority

RESULTS = HERE / "results"
_PEERS: dict[str, Build] = {relay.name: relay for relay in (peers.PostfixTuned, peers.PostfixStock, peers.Exim)}
_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
_TROUBLE = (LoadFailed, Unready, OSError, subprocess.SubprocessError)
"""What one relay may meet without the others' figures being lost."""


@dataclass(frozen=True, slots=True)
class Course:
    """What the commands that measure have in common."""

    seconds: float
    sync_delay: timedelta
    workspace: Path
    python: str
    only: Sequence[str] = ()
    rounds: int = 1

    def scenarios(self, longest: Length) -> list[Scenario]:
        """Return those that were asked for by name, else all up to a length."""
        return [s for s in SCENARIOS if (s.name in self.only if self.only else s.length <= longest)]

    def ours(self, wrapper: Sequence[str] = ()) -> Build:
        """Return smarthostd, installed; *wrapper* is a command that runs it."""
        return partial(Smarthostd, python=installed.python(self.python), wrapper=wrapper)

    @contextmanager
    def stand(self) -> Iterator[Stand]:
        """Give a place on a disk, with a certificate for the smarthost."""
        with tempfile.TemporaryDirectory(prefix="smarthostd-bench-", dir=self.workspace) as name:
            folder = Path(name)
            folder.chmod(0o711)  # the peers' users pass through
            authority = Authority(folder)
            authority.ca.chmod(0o644)
            yield Stand(folder, authority.ca, authority.issue(), self.seconds, self.sync_delay)


def _duration(_context: click.Context, _parameter: click.Parameter, text: str) -> timedelta:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:ms)?", text)
    if not match:
        raise click.BadParameter(f"{text!r} is no number of milliseconds, such as 5ms")
    return timedelta(milliseconds=float(match[1]))


_COMMON = (
    click.option("--seconds", default=4.0, show_default=True, help="How long a flow is kept up."),
    click.option("--sync-delay", default="0ms", callback=_duration, help="Make each sync so much slower, such as 5ms."),
    click.option(
        "--workspace",
        default="/var/tmp",
        show_default=True,
        type=click.Path(path_type=Path),
        help="Where the relays keep their queues: a disk.",
    ),
    click.option("--python", default="", help="The Python that smarthostd is installed for; else the distribution's."),
)
_SCENARIO = click.Choice(list(_BY_NAME))
_FLOW = click.Choice([scenario.name for scenario in SCENARIOS if isinstance(scenario.kind, Flow)])
_SEVERAL = (
    click.option("--only", multiple=True, type=_SCENARIO, help="Measure this scenario; repeatable."),
    click.option("--full", is_flag=True, help="Measure what needs 100,000 queued messages too."),
)


def _with(*options: Callable[[Callable[..., None]], Callable[..., None]]) -> Callable[..., Callable[..., None]]:
    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.group()
def main() -> None:
    """Measure how fast smarthostd relays; loopback only."""
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    """End as after an error: what was started is ended too."""
    raise SystemExit(128 + number)


@main.command()
@_with(*_SEVERAL, *_COMMON)
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(1, 99))
@click.option("--wrapper", default="", help="A command that runs smarthostd, such as a profiler.")
def alone(full: bool, wrapper: str, **course: Any) -> None:
    """Measure smarthostd alone."""
    settings = Course(**course)
    _measure(settings, {OURS: settings.ours(shlex.split(wrapper))}, Length.LONGEST if full else Length.SHORT)


@main.command()
@_with(*_SEVERAL, *_COMMON)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 99))
@click.option("--relay", "names", multiple=True, type=click.Choice([OURS, *_PEERS]), help="This relay; repeatable.")
def compare(full: bool, names: Sequence[str], **course: Any) -> None:
    """Measure Exim and Postfix beside it, and the longer scenarios."""
    if reason := peers.what_is_missing():
        raise click.ClickException(reason)
    settings = Course(**course)
    builds: dict[str, Build] = {OURS: settings.ours(), **_PEERS}
    chosen = {name: builds[name] for name in names or builds}
    _measure(settings, chosen, Length.LONGEST if full else Length.LONG)


@main.command()
@click.argument("scenario", default="4k-10", type=_FLOW)
@_with(*_COMMON)
def profile(scenario: str, **course: Any) -> None:
    """Show where smarthostd's processor time goes, for each message of a scenario."""
    settings = Course(**course)
    with settings.stand() as stand:
        samples = stand.directory / "samples"
        ours = settings.ours(parts.wrapper(installed.python(settings.python), samples))
        figures = measure(stand, ours, _BY_NAME[scenario].kind)
        parts.show(parts.read(samples), int(figures["messages"]) + WARM_UP.most)
    print(f"\nfrom outside, the sampling included: {figures['cpu'] * 1000:,.0f} us a message")


@main.command(name="show")
@click.argument("record", type=click.Path(exists=True, path_type=Path))
@click.option("--markdown", "as_markdown", is_flag=True, help="As the documentation has it.")
def show_record(record: Path, as_markdown: bool) -> None:
    """Show a record."""
    told = json.loads(record.read_text())
    results = Results(Sample(**sample) for sample in told["samples"])
    if as_markdown:
        print(markdown(results))
    else:
        show(results)
    print(f"\n{_circumstances(told)}")


def _measure(course: Course, builds: Mapping[str, Build], longest: Length) -> None:
    place = RESULTS / f"{time.strftime('%Y-%m-%d-%H%M%S')}.json"
    RESULTS.mkdir(exist_ok=True)
    results = Results([])
    with course.stand() as stand:
        about = _about(stand, installed.python(course.python))
        print(f"{_circumstances(about)}\n")
        for sample in _rounds(stand, builds, course.scenarios(longest), course.rounds):
            results.samples.append(sample)
            _keep(place, results, about)
    show(results)
    print(f"\nrecorded in {place.relative_to(HERE.parent)}")


def _rounds(stand: Stand, builds: Mapping[str, Build], scenarios: Sequence[Scenario], rounds: int) -> Iterator[Sample]:
    for number in range(rounds):
        for scenario in scenarios:
            names = [name for name in builds if name not in scenario.without]
            turn = number % max(len(names), 1)
            for name in names[turn:] + names[:turn]:
                _tell(f"round {number + 1} of {rounds}: {scenario.name}, {name}")
                try:
                    yield Sample(scenario.name, number, name, measure(stand, builds[name], scenario.kind))
                except _TROUBLE as error:
                    _tell(f"  no figures: {error}")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _about(stand: Stand, python: str) -> dict[str, Any]:
    """Return when and where it is measured, and what the ends can do there."""
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    with stand.sink() as sink:
        ends = exchange(sink)
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        "machine": f"{os.cpu_count()} x {models[0] if models else platform.machine()}, Linux {platform.release()}",
        "python": _version(python),
        "ends": ends,
        "sync_ms": _sync_time(stand.directory) + stand.sync_delay / timedelta(milliseconds=1),
    }


def _version(python: str) -> str:
    """Return what runs smarthostd, such as ``3.11.2 (Debian's)``."""
    told = subprocess.run([python, "-c", "import sys; print(sys.version)"], capture_output=True, text=True, check=True)
    version, _, _build = told.stdout.partition(" ")
    return version + (" of the distribution" if Path(python).resolve().is_relative_to("/usr/bin") else "")


def _circumstances(about: Mapping[str, Any]) -> str:
    """Return a sentence or two that belong to every figure."""
    ends = f"load and sink alone exchange {about['ends']:,.0f} messages/s over TLS"
    if about["ends"] < ENOUGH:
        ends += f", less than {ENOUGH:,}: they are part of what is measured"
    place = f"{about['date']}, {about['machine']}, Python {about['python']}"
    return f"{place}. A sync takes {about['sync_ms']:.2f} ms; {ends}."


def _sync_time(folder: Path) -> float:
    """Return the milliseconds that it takes to append a block and sync it: the median of a few."""
    taken = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def _keep(place: Path, results: Results, about: Mapping[str, Any]) -> None:
    """Write the record, and the plot if there is something to compare."""
    samples = [sample.record() for sample in results.samples]
    place.write_text(json.dumps({**about, "samples": samples}, indent=1))
    if len(results.relays) > 1:
        place.with_suffix(".svg").write_text(plot.svg(results))
