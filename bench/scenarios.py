"""What is measured, as data: the scenarios, their figures, and what smarthostd is to reach.

A target is a ratio to the tuned Postfix of the same round, unless it says otherwise. ``gate`` is what must be
reached and ``aim`` what is hoped for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

KIB = 1 << 10
MIB = 1 << 20
MANY = 500
"""Messages a connection, where it is not one: below what every relay allows by default."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that comes out: what it is, in what unit, and whether less of it is better."""

    title: str
    unit: str
    less: bool = False


FIGURES = {
    "rate": Figure("arrived", "/s"),
    "accept_rate": Figure("accepted", "/s"),
    "accept_p50": Figure("MAIL to 250, p50", "ms", less=True),
    "accept_p99": Figure("MAIL to 250, p99", "ms", less=True),
    "transit_p50": Figure("MAIL to smarthost, p50", "ms", less=True),
    "transit_p99": Figure("MAIL to smarthost, p99", "ms", less=True),
    "cpu": Figure("CPU for 1,000 messages", "s", less=True),
    "memory": Figure("memory (PSS), peak", "MiB", less=True),
    "growth": Figure("memory a message adds", "MiB", less=True),
    "kept": Figure("of the unimpeded rate", ""),
    "linear": Figure("octets/s, of those in small messages", ""),
    "ready": Figure("exec to first 220", "s", less=True),
    "first": Figure("exec to first delivery", "s", less=True),
    "drain": Figure("drained", "/s"),
    "ends": Figure("CPU of load and sink, of all", "%"),
    "messages": Figure("accepted", ""),
    "errors": Figure("errors seen by the load", "", less=True),
    "missing": Figure("accepted, not arrived in time", "", less=True),
}
"""All figures by name; a scenario shows some, the record holds all."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Clients submit as fast as the relay lets them, for a while or *most* messages; it ends when all have arrived."""

    clients: int = 10
    size: int = 4 * KIB
    per_connection: int = MANY
    most: int = 0
    pace: int = 0
    """Milliseconds from one message of a client to its next; 0: at once."""
    reply_delay: int = 0
    """Milliseconds by which the smarthost's replies are late."""
    chunking: bool = True
    """Whether the smarthost offers BDAT."""
    connections: int = 20
    """How many connections to the smarthost the relay may use."""


@dataclass(frozen=True, slots=True)
class Impeded:
    """The same flow twice: with nothing in its way, then with something; what is kept of the rate."""

    flow: Flow
    smarthost: Literal["accept", "down", "tempfail"] = "accept"
    backlog: int = 0
    """Messages that wait for another smarthost, which is not there."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Small messages, then large ones; how many octets pass in a second, compared."""

    small: Flow
    large: Flow


@dataclass(frozen=True, slots=True)
class Start:
    """From nothing to the first greeting, and what it holds when idle."""

    lines: int = 100
    """Lines that the configuration has beyond what is needed."""


@dataclass(frozen=True, slots=True)
class Outage:
    """The smarthost goes away, *messages* pile up, it comes back."""

    messages: int
    restart: bool = False
    """Whether the relay is restarted and has to find out by itself; else it is told to flush its queue."""


Kind: TypeAlias = Flow | Impeded | Sizes | Start | Outage


class Length(IntEnum):
    """How long a scenario takes: seconds, a minute or more, many minutes."""

    SHORT = 0
    LONG = 1
    LONGEST = 2


@dataclass(frozen=True, slots=True)
class Target:
    """What *figure* is to reach: a ratio to the tuned Postfix, or with *absolute* a value.

    With *or_ratio* such a ratio reaches the gate, too.
    """

    figure: str
    gate: float
    aim: float
    absolute: bool = False
    or_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One measurement."""

    name: str
    title: str
    kind: Kind
    figures: tuple[str, ...]
    targets: tuple[Target, ...] = ()
    length: Length = Length.SHORT
    without: tuple[str, ...] = ()
    """Relays that would take too long."""


_FLOW = ("rate", "accept_p50", "accept_p99", "cpu")

SCENARIOS = (
    Scenario(
        "4k-10",
        "4 KiB, 10 clients, many messages a connection",
        Flow(),
        ("rate", "accept_p50", "accept_p99", "transit_p50", "cpu"),
        (Target("rate", 3, 6), Target("cpu", 0.45, 0.2, absolute=True, or_ratio=0.2)),
    ),
    Scenario("4k-1", "4 KiB, 1 client", Flow(clients=1), _FLOW, (Target("rate", 2, 3),)),
    Scenario("4k-50", "4 KiB, 50 clients", Flow(clients=50), _FLOW, (Target("rate", 4, 10),)),
    Scenario(
        "4k-10-one",
        "4 KiB, 10 clients, one message a connection",
        Flow(per_connection=1),
        _FLOW,
        (Target("rate", 2.2, 5),),
    ),
    Scenario("50k-10", "50 KiB, 10 clients", Flow(size=50 * KIB), _FLOW, (Target("rate", 2.5, 6),)),
    Scenario("1m-10", "1 MiB, 10 clients", Flow(size=MIB), _FLOW, (Target("rate", 2.5, 4),)),
    Scenario(
        "far-data",
        "smarthost 50 ms away, 20 connections, no BDAT",
        Flow(clients=50, most=2000, reply_delay=50, chunking=False),
        ("rate", "accept_p50"),
        (Target("rate", 3.4, 15),),
    ),
    Scenario(
        "far-bdat",
        "smarthost 50 ms away, 20 connections, BDAT",
        Flow(clients=50, most=2000, reply_delay=50),
        ("rate", "accept_p50"),
        (Target("rate", 10, 15),),
    ),
    Scenario(
        "idle",
        "one message at a time, at leisure",
        Flow(clients=1, most=100, pace=20),
        ("accept_p50", "accept_p99", "transit_p50", "transit_p99"),
        (Target("accept_p50", 1, 0.5), Target("transit_p50", 1, 0.5)),
    ),
    Scenario(
        "4k-20",
        "4 KiB, 20 clients",
        Flow(clients=20),
        ("accept_p50", "accept_p99"),
        (Target("accept_p50", 0.5, 0.2), Target("accept_p99", 0.5, 0.2)),
    ),
    Scenario(
        "start",
        "start, with a configuration of 100 lines; then idle",
        Start(),
        ("ready", "memory"),
        (Target("ready", 0.3, 0.2, absolute=True), Target("memory", 40, 30, absolute=True)),
    ),
    Scenario(
        "1m-50",
        "1 MiB, 50 clients",
        Flow(clients=50, size=MIB),
        ("rate", "memory"),
        (Target("memory", 60, 40, absolute=True),),
    ),
    Scenario(
        "50m-1",
        "50 MiB, 1 client, after the same in 1 MiB",
        Sizes(Flow(clients=1, size=MIB, most=250), Flow(clients=1, size=50 * MIB, most=5)),
        ("rate", "linear", "growth"),
        (Target("linear", 0.9, 1, absolute=True), Target("growth", 3, 3, absolute=True)),
    ),
    Scenario(
        "down",
        "accepting while the smarthost is down",
        Impeded(Flow(), smarthost="down"),
        ("kept", "accept_rate", "memory"),
        (Target("kept", 0.9, 1, absolute=True),),
    ),
    Scenario(
        "tempfail",
        "accepting while the smarthost refuses all for now",
        Impeded(Flow(), smarthost="tempfail"),
        ("kept", "accept_rate", "memory"),
        (Target("kept", 0.9, 1, absolute=True),),
    ),
    Scenario(
        "outage-10k",
        "10,000 queued in an outage, then flushed",
        Outage(10_000),
        ("drain", "accept_rate", "memory"),
        (Target("drain", 2, 4), Target("memory", 50, 35, absolute=True)),
        Length.LONG,
        without=("exim",),
    ),
    Scenario(
        "restart-10k",
        "10,000 queued, restarted, no flush",
        Outage(10_000, restart=True),
        ("first", "ready"),
        (Target("first", 1, 0.4, absolute=True),),
        Length.LONG,
        without=("exim", "postfix-stock"),
    ),
    Scenario(
        "restart-100k",
        "100,000 queued, restarted, no flush",
        Outage(100_000, restart=True),
        ("first", "ready", "memory"),
        (Target("first", 2, 0.5, absolute=True), Target("memory", 60, 40, absolute=True)),
        Length.LONGEST,
        without=("exim", "postfix-stock"),
    ),
    Scenario(
        "backlog-100k",
        "4 KiB, 10 clients, beside 100,000 that wait",
        Impeded(Flow(), backlog=100_000),
        ("kept", "rate"),
        (Target("kept", 0.9, 1, absolute=True),),
        Length.LONGEST,
        without=("exim", "postfix-stock"),
    ),
)
