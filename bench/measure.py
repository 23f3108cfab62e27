"""One scenario on one relay: from a fresh start to figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias, assert_never

from bench.ends import Arrived, Sink, Submitted, submit
from bench.relay import HELD_DOMAIN, Relay, Site
from bench.scenarios import MIB, Flow, Impeded, Kind, Outage, Sizes, Start
from bench.usage import proportional_memory, watched_memory
from smarthostd.demo.daemon import free_port
from tests.peers.certificates import Certificate

Figures: TypeAlias = dict[str, float]
"""Values by the names of ``scenarios.FIGURES``."""
Build: TypeAlias = Callable[[Site], Relay]
"""Sets up a relay at a site."""

WARM_UP = Flow(clients=10, most=200)
ARRIVAL = 120.0
"""Seconds that mail may take to arrive when nothing more is submitted."""
PILE_UP = 1800.0
"""Seconds that a queue may take to build."""
SETTLE = 2.0
"""Seconds after which an idle relay has put away what its start, or its last message, took."""


@dataclass(slots=True)
class Stand:
    """Where relays are measured: *directory* for all they keep, the smarthost's *certificate* and who signed it."""

    directory: Path
    authority: Path
    certificate: Certificate
    seconds: float
    """How long a flow is kept up."""
    sync_delay: timedelta = timedelta()
    _count: int = 0

    @contextmanager
    def relay(self, build: Build, sink: Sink, *, connections: int = 20, lines: int = 0) -> Iterator[Relay]:
        """Set up a relay of its own; it is not started, and gone in the end."""
        self._count += 1
        site = Site(
            self.directory / str(self._count),
            smarthost=sink.port,
            nobody=free_port(),
            authority=self.authority,
            connections=connections,
            lines=lines,
            sync_delay=self.sync_delay,
        )
        relay = build(site)
        try:
            yield relay
        finally:
            relay.close()

    @contextmanager
    def sink(self, *flags: str) -> Iterator[Sink]:
        """Start a smarthost."""
        sink = Sink(self.certificate.chain, self.certificate.key, *flags)
        try:
            yield sink
        finally:
            sink.stop()


def measure(stand: Stand, build: Build, kind: Kind) -> Figures:
    """Return the figures of one scenario."""
    match kind:
        case Flow():
            return _measure_flow(stand, build, kind)
        case Impeded():
            return _measure_impeded(stand, build, kind)
        case Sizes():
            return _measure_sizes(stand, build, kind)
        case Start():
            return _measure_start(stand, build, kind)
        case Outage():
            return _measure_outage(stand, build, kind)
        case _:
            assert_never(kind)


def _measure_flow(stand: Stand, build: Build, flow: Flow) -> Figures:
    with ExitStack() as stack:
        sink = stack.enter_context(stand.sink(*() if flow.chunking else ("--no-chunking",)))
        relay = stack.enter_context(stand.relay(build, sink, connections=flow.connections))
        _start_warm(relay, sink)
        sink.order(f"delay {flow.reply_delay}")
        return _flow(relay, sink, flow, stand.seconds)


def _measure_impeded(stand: Stand, build: Build, kind: Impeded) -> Figures:
    with stand.sink() as sink, stand.relay(build, sink, connections=kind.flow.connections) as relay:
        _start_warm(relay, sink)
        free = _flow(relay, sink, kind.flow, stand.seconds)
        if kind.backlog:
            _pile_up(relay, kind.backlog, recipient=f"you@{HELD_DOMAIN}")
        sink.order(f"mode {kind.smarthost}")
        figures = _flow(relay, sink, kind.flow, stand.seconds, arrives=kind.smarthost == "accept")
    compared = "rate" if kind.smarthost == "accept" else "accept_rate"
    return {**figures, "kept": figures[compared] / free[compared]}


def _measure_sizes(stand: Stand, build: Build, kind: Sizes) -> Figures:
    with stand.sink() as sink, stand.relay(build, sink) as relay:
        _start_warm(relay, sink)
        small = _flow(relay, sink, kind.small, stand.seconds)
        large = _flow(relay, sink, kind.large, stand.seconds)
    return {**large, "linear": large["rate"] * kind.large.size / (small["rate"] * kind.small.size)}


def _measure_start(stand: Stand, build: Build, kind: Start) -> Figures:
    with stand.sink() as sink, stand.relay(build, sink, lines=kind.lines) as relay:
        began = relay.start()
        ready = relay.wait_until_ready()
        time.sleep(SETTLE)
        return {"ready": (ready - began) / 1e9, "memory": _memory(relay)}


def _measure_outage(stand: Stand, build: Build, kind: Outage) -> Figures:
    with stand.sink() as sink, stand.relay(build, sink) as relay:
        _start_warm(relay, sink)
        sink.order("mode down")
        submitted = _pile_up(relay, kind.messages)
        figures = {"accept_rate": submitted.rate, "errors": float(submitted.errors)}
        time.sleep(SETTLE)
        figures["memory"] = _memory(relay)
        if kind.restart:
            return figures | _find_after_restart(relay, sink)
        return figures | _drain(relay, sink, submitted.accepted)


def _find_after_restart(relay: Relay, sink: Sink) -> Figures:
    relay.stop()
    sink.order("mode accept")
    sink.order("reset")
    began = relay.start()
    ready = relay.wait_until_ready()
    arrived = sink.wait_for(1, ARRIVAL)
    figures = {"ready": (ready - began) / 1e9, "missing": float(not arrived.messages)}
    return figures | ({"first": (arrived.first - began) / 1e9} if arrived.messages else {})


def _drain(relay: Relay, sink: Sink, messages: int) -> Figures:
    sink.order("mode accept")
    sink.order("reset")
    began = time.monotonic_ns()
    relay.flush()
    arrived = sink.wait_for(messages, ARRIVAL)
    rate = arrived.messages / max(arrived.last - began, 1) * 1e9
    return {"drain": rate, "missing": float(messages - arrived.messages)}


def _start_warm(relay: Relay, sink: Sink) -> None:
    """Start the relay and let it relay something, so that its processes and connections are there."""
    relay.start()
    relay.wait_until_ready()
    _flow(relay, sink, WARM_UP, ARRIVAL)


def _pile_up(relay: Relay, messages: int, recipient: str = "") -> Submitted:
    return submit(relay.port, clients=20, messages=messages, per_connection=100, recipient=recipient, patience=PILE_UP)


def _flow(relay: Relay, sink: Sink, flow: Flow, seconds: float, *, arrives: bool = True) -> Figures:
    sink.order("reset")
    cpu, memory = relay.usage.cpu(), _memory(relay)
    with watched_memory(relay.usage) as seen:
        submitted = submit(
            relay.port,
            seconds=None if flow.most else seconds,
            messages=flow.most,
            clients=flow.clients,
            size=flow.size,
            per_connection=flow.per_connection,
            pace_ms=flow.pace,
            patience=ARRIVAL,
        )
        expected = submitted.accepted if arrives else 0
        arrived = sink.wait_for(expected, ARRIVAL)
    peak = max(seen) / MIB
    figures = _figures(submitted, arrived, relay.usage.cpu() - cpu)
    missing = float(max(expected - arrived.messages, 0))
    return {**figures, "missing": missing, "memory": peak, "growth": (peak - memory) / flow.clients}


def _figures(submitted: Submitted, arrived: Arrived, cpu: float) -> Figures:
    ended = max(arrived.last, submitted.last)
    ends = submitted.cpu + arrived.cpu
    return {
        "rate": arrived.messages / max(ended - submitted.first, 1) * 1e9,
        "accept_rate": submitted.rate,
        "accept_p50": submitted.accept.p50,
        "accept_p99": submitted.accept.p99,
        "transit_p50": arrived.transit.p50,
        "transit_p99": arrived.transit.p99,
        "cpu": cpu / max(submitted.accepted, 1) * 1000,
        "messages": float(submitted.accepted),
        "ends": ends / max(ends + cpu, 1e-9) * 100,
        "errors": float(submitted.errors + submitted.unfinished),
    }


def _memory(relay: Relay) -> float:
    return proportional_memory(relay.usage.pids()) / MIB
