"""What we know of each destination: open, backing off until a time, or held until somebody acts.

While a destination is not open, messages for it are not tried one by one: when the time has come the
runner sends one as a probe (:meth:`Health.probes_due`), and its success opens the destination for all
that wait. A hold means that trying is pointless or harmful (a refused password locks accounts): it makes
only a rare probe, raises one alarm, and is probed at once when one of the files that were read changes,
since that is how people mend it.

::

    open ── host error ──► backing off(until) ── until passes: one probe ──► open | backing off
      └──── hold ────────► held ── file changed, or a rare probe ──────────► open | held
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from smarthostd.clock import Clock
from smarthostd.outcome import Deferred, Hold, Scope

RETRY_TIME_NOT_REACHED = -54
AUTHENTICATION_REQUIRED = -42
PROBE_PATIENCE = 900.0
"""Seconds after which a probe that never reported is taken for lost."""


class Watched(Protocol):
    """Files that were read, and whether they have changed since (``lookups.Files``)."""

    def stamps(self) -> object:
        """Return what the files look like now."""
        ...

    def changed(self, stamps: object) -> bool:
        """Return whether any of them looks different."""
        ...


class Alarms(Protocol):
    """Where holds and recoveries are announced (``mainlog.MainLog``)."""

    def held(self, destination: str, hold: Hold) -> None:
        """Announce a hold, once."""
        ...

    def opened(self, destination: str) -> None:
        """Announce a recovery."""
        ...


NextTry = Callable[[str, Deferred, float, float], float]
"""(key, deferral, first failed, last try) to the next try, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class BackingOff:
    """The host did not serve us; nobody is to blame for long."""

    until: float
    first_failed: float
    deferred: Deferred
    probing_since: float = 0.0


@dataclass(frozen=True, slots=True)
class Held:
    """Only an administrator's change helps."""

    hold: Hold
    since: float
    probe_at: float
    stamps: object
    probing_since: float = 0.0


class Health:
    """The state of every destination; keys are ``transport:host:port``."""

    def __init__(
        self,
        clock: Clock,
        next_try: NextTry,
        watched: Watched,
        alarms: Alarms,
        probe_interval: timedelta = timedelta(hours=1),
    ) -> None:
        self._clock = clock
        self._next_try = next_try
        self._watched = watched
        self._alarms = alarms
        self._probe_interval = probe_interval.total_seconds()
        self._closed: dict[str, BackingOff | Held] = {}
        self._known_open: set[str] = set()
        self._listeners: list[Callable[[str], None]] = []

    # -- what transports ask and tell

    def refusal(self, key: str) -> Deferred | None:
        """Return why *key* is not to be tried now, or None: go ahead (perhaps as the one probe)."""
        state = self._closed.get(key)
        if state is None:
            return None
        if self._clock.now() >= self._due(state):
            self._closed[key] = replace(state, probing_since=self._clock.now())
            return None
        return self._refusal(key, state)

    def opened(self, key: str) -> None:
        """A session came up as it should: everything that waits for *key* may go."""
        if key in self._known_open:
            return
        self._known_open.add(key)
        if self._closed.pop(key, None) is not None:
            self._alarms.opened(key)
        for listener in self._listeners:
            listener(key)

    def failed(self, key: str, deferred: Deferred) -> None:
        """The host did not serve us: back off as the retry rules say."""
        self._known_open.discard(key)
        now = self._clock.now()
        state = self._closed.get(key)
        if isinstance(state, Held):
            self._closed[key] = replace(state, probe_at=now + self._probe_interval, probing_since=0.0)
            return
        if state and not state.probing_since and now < state.until:
            return  # one of several connections that failed together: the first has set the time
        first_failed = state.first_failed if state else now
        until = self._next_try(key, deferred, first_failed, now)
        self._closed[key] = BackingOff(until, first_failed, deferred)

    def hold(self, key: str, hold: Hold) -> Deferred:
        """Hold *key*; return the deferral for the message at hand. The alarm is raised once."""
        self._known_open.discard(key)
        now = self._clock.now()
        state = self._closed.get(key)
        since = state.since if isinstance(state, Held) else now
        held = Held(hold, since, now + self._probe_interval, self._watched.stamps())
        self._closed[key] = held
        if not isinstance(state, Held):
            self._alarms.held(key, hold)
        return self._refusal(key, held)

    def probing(self, key: str) -> bool:
        """Return whether a probe of *key* is under way."""
        state = self._closed.get(key)
        return state is not None and state.probing_since > 0

    # -- what the runner asks

    def on_open(self, listener: Callable[[str], None]) -> None:
        """Call *listener* with a key whenever that destination opens (also the first time it is seen to)."""
        self._listeners.append(listener)

    def suspect(self, key: str) -> None:
        """Start with *key* closed and due for a probe: mail waited for it when we were last stopped."""
        if key not in self._closed and key not in self._known_open:
            now = self._clock.now()
            self._closed[key] = BackingOff(now, now, Deferred("not tried since the start"))

    def probes_due(self) -> list[str]:
        """Return the destinations that one message should be sent to now."""
        now = self._clock.now()
        return [key for key, state in self._closed.items() if now >= self._due(state)]

    def next_probe(self) -> float | None:
        """Return when the next probe is due, in seconds since the epoch; None when all is open."""
        return min(map(self._due, self._closed.values()), default=None)

    def forget(self, key: str) -> None:
        """Nobody waits for *key* any more: it counts as open until tried again."""
        self._closed.pop(key, None)

    # -- what the administrator does

    def watch(self, watched: Watched, next_try: NextTry) -> None:
        """Go on with another configuration's files and retry rules."""
        self._watched, self._next_try = watched, next_try

    def release(self, key: str | None = None) -> None:
        """Let *key* (None: everything) be probed at once."""
        now = self._clock.now()
        for name in [key] if key else list(self._closed):
            state = self._closed.get(name)
            if isinstance(state, Held):
                self._closed[name] = replace(state, probe_at=now, probing_since=0.0)
            elif state:
                self._closed[name] = replace(state, until=now, probing_since=0.0)

    def release_mended(self) -> bool:
        """Let what is held be probed where a file that was read has changed; called every second or so."""
        mended = False
        for key, state in list(self._closed.items()):
            if isinstance(state, Held) and not state.probing_since and self._watched.changed(state.stamps):
                self._closed[key] = replace(state, probe_at=self._clock.now(), stamps=self._watched.stamps())
                mended = True
        return mended

    def states(self) -> dict[str, BackingOff | Held]:
        """Return what is not open, for the tools."""
        return dict(self._closed)

    @property
    def any_held(self) -> bool:
        """Whether something waits for an administrator."""
        return any(isinstance(state, Held) for state in self._closed.values())

    @staticmethod
    def _due(state: BackingOff | Held) -> float:
        """When *state* allows a probe; while one is under way, when it would be taken for lost."""
        if state.probing_since:
            return state.probing_since + PROBE_PATIENCE
        return state.probe_at if isinstance(state, Held) else state.until

    def _refusal(self, key: str, state: BackingOff | Held) -> Deferred:
        if isinstance(state, Held):
            text = f"held: {state.hold.text}; {state.hold.fix}"
            return Deferred(text, AUTHENTICATION_REQUIRED, Scope.HOST, "auth_failed", destination=key)
        text = f"retry time not reached for {key}: last error was {state.deferred.text}"
        return Deferred(text, RETRY_TIME_NOT_REACHED, Scope.HOST, state.deferred.error, destination=key)
