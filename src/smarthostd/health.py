"""What we know of each destination: open, backing off until a time, reluctant, or held until somebody acts.

While a destination is not open, messages for it are not tried one by one: when the time has come the
runner sends one as a probe (:meth:`Health.probes_due`), and its success opens the destination for all
that wait. A hold means that trying is pointless or harmful (a refused password locks accounts): it makes
only a rare probe, raises one alarm, and is probed at once when one of the files that were read changes,
since that is how people mend it. One that takes sessions and then defers message after message is reluctant: a message
goes there ten times a second, and the first that is served opens it.

::

    open ── host error ──► backing off(until) ── until passes: one probe ──► open | backing off
      ├──── hold ────────► held ── file changed, or a rare probe ──────────► open | held
      └──── deferrals ───► reluctant ── one message now and then ──────────► open | reluctant

What changes is written to the spool with the attempt that changed it (:meth:`Health.take_changes`), so that a
restart knows it: the alarm is not raised again and growing gaps go on growing, but each destination is probed soon,
for a restart is what people do after mending something. Reluctance is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Protocol, TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from smarthostd.clock import Clock
from smarthostd.hints import HOST, Hint, Hints
from smarthostd.outcome import NEVER_EXPIRES, Deferred, Hold, Scope
from smarthostd.retry import Rules, Subject, Tried
from smarthostd.spool.base import Waiting

RETRY_TIME_NOT_REACHED = -54
PROBE_PATIENCE = 900.0
"""Seconds after which a probe that never reported is taken for lost."""
SOON = 15.0
"""Seconds after the last try at which a destination is probed after a start: a daemon that starts again and again
must not try a wrong password each time."""

RELUCTANT_PAUSE = 0.1
"""Seconds between two messages for a destination that defers all that it is given."""


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

    def reluctant(self, destination: str, text: str) -> None:
        """Tell of a destination that defers message after message, and what it has said to the last one."""
        ...


class Errand(Struct, frozen=True):
    """For which message a destination is asked, and what of it retry rules may ask for."""

    id: str
    received: float = 0.0
    domain: str = ""
    """Of its first address."""
    sender: str = ""


class _NotOpen(Struct, frozen=True, kw_only=True):
    """What is known of every destination that messages do not simply go to."""

    until: float
    """When the next one may go there, as a probe."""
    last_try: float
    probe: str = ""
    """The id of the message that is the probe under way; empty if none is."""
    probing_since: float = 0.0

    @property
    def due(self) -> float:
        """When a probe may go; while one is under way, when it would be taken for lost."""
        return self.probing_since + PROBE_PATIENCE if self.probing_since else self.until

    def is_probed_by(self, id: str) -> bool:
        """Whether the message *id* is the probe under way."""
        return self.probing_since != 0.0 and self.probe == id


class BackingOff(_NotOpen, frozen=True):
    """The host did not serve us; nobody is to blame for long."""

    first_failed: float
    deferred: Deferred
    expired: bool = False
    """The last cutoff of its retry rule has passed."""

    def hint(self) -> Hint:
        """Return what the spool keeps of it."""
        deferred = self.deferred
        return Hint(
            self.first_failed, self.last_try, self.until, self.expired, deferred.errno, deferred.told, deferred.error
        )


class Held(_NotOpen, frozen=True):
    """Only an administrator's change helps: probes are rare."""

    hold: Hold
    errno: int
    error: str
    """What the log and retry rules call it: not all holds are refused logins."""
    since: float
    stamps: object

    def hint(self) -> Hint:
        """Return what the spool keeps of it."""
        hold = self.hold
        return Hint(
            self.since, self.last_try, self.until, False, self.errno, hold.text, self.error, hold.cause, hold.fix
        )  # fmt: skip


class Reluctant(_NotOpen, frozen=True):
    """It takes sessions, and has deferred message after message."""

    deferred: Deferred
    """What it said to the last one."""


Closed: TypeAlias = BackingOff | Held | Reluctant
S = TypeVar("S", bound=_NotOpen)


class Health:
    """The state of every destination; keys are ``transport:host:port``."""

    def __init__(
        self,
        clock: Clock,
        rules: Rules,
        watched: Watched,
        alarms: Alarms,
        probe_interval: timedelta = timedelta(hours=1),
    ) -> None:
        self._clock = clock
        self._rules = rules
        self._watched = watched
        self._alarms = alarms
        self._probe_interval = probe_interval.total_seconds()
        self._closed: dict[str, Closed] = {}
        self._known_open: set[str] = set()
        self._in_vain: dict[str, int] = {}
        """How many messages in a row an open destination has deferred, with no error of its own between."""
        self._listeners: list[Callable[[str], None]] = []
        self._changes: dict[str, Hint | None] = {}

    # -- what transports ask and tell

    def refusal(self, key: str, errand: Errand) -> Deferred | None:
        """Return why *key* is not to be tried now for this message, or None: go ahead (perhaps as the probe)."""
        state = self._closed.get(key)
        if state is None or isinstance(state, Reluctant) or state.is_probed_by(errand.id):
            return None
        if self._clock.now() >= state.due:
            self.probe(key, errand.id)
            return None
        return self._refusal(key, state)

    def reluctance(self, key: str, id: str) -> Deferred | None:
        """Return why the message *id* is not to go to *key* now, even on a connection that is there, or None."""
        state = self._closed.get(key)
        if not isinstance(state, Reluctant) or state.is_probed_by(id):
            return None
        now = self._clock.now()
        if now < state.due:
            return self._refusal(key, state)
        self._closed[key] = _unprobed(state, now + RELUCTANT_PAUSE)
        return None

    def is_last_chance(self, key: str, errand: Errand) -> bool:
        """Whether Exim would try *key* before its time: the message is so old that it will be given up after, or there
        is no retry rule, and so nothing that it could have remembered.
        """
        state = self._closed.get(key)
        if not isinstance(state, BackingOff):
            return False
        patience = self._rules.patience(_subject(key, state.deferred, errand))
        return not patience or (not state.expired and self._clock.now() - errand.received > patience)

    def opened(self, key: str) -> None:
        """A session came up as it should: everything that waits for *key* may go, unless it is reluctant."""
        if key in self._known_open or isinstance(self._closed.get(key), Reluctant):
            return
        self._open(key)

    def served(self, key: str) -> None:
        """*key* has taken a message, or refused one for good: everything that waits for it may go."""
        self._in_vain.pop(key, None)
        if key not in self._known_open:
            self._open(key)

    def put_off(self, key: str, deferred: Deferred, limit: int) -> None:
        """The session is good, but the message was deferred; *limit* such in a row (0: none) make *key* reluctant."""
        now = self._clock.now()
        self.opened(key)
        reluctant = isinstance(self._closed.get(key), Reluctant)
        if not reluctant:
            self._in_vain[key] = self._in_vain.get(key, 0) + 1
            if not limit or self._in_vain[key] < limit:
                return
            del self._in_vain[key]
            self._known_open.discard(key)
            self._alarms.reluctant(key, deferred.text)
        self._closed[key] = Reluctant(deferred, until=now + RELUCTANT_PAUSE, last_try=now)

    def _open(self, key: str) -> None:
        self._known_open.add(key)
        if key in self._closed:
            self._set(key, None)
            self._alarms.opened(key)
        for listener in self._listeners:
            listener(key)

    def failed(self, key: str, deferred: Deferred, errand: Errand, *, ends: bool = False) -> Deferred:
        """The host did not serve us: back off as the retry rules say; return the deferral, with what that means.

        With *ends*, one for which a message too old has failed may be tried at once by the next one, as in Exim.
        """
        self._known_open.discard(key)
        self._in_vain.pop(key, None)
        now = self._clock.now()
        state = self._closed.get(key)
        if isinstance(state, Held):
            self._set(key, replace(_unprobed(state, now + self._probe_interval), last_try=now))
            return deferred
        if isinstance(state, Reluctant):
            state = None  # a host error says more
        if state is None or state.probing_since or now >= state.until:  # else the first of several has set the time
            known = Tried(state.first_failed, state.last_try, state.until) if state else Tried(now, now, now)
            until, expired = self._rules.next_try(_subject(key, deferred, errand), known, now)
            state = BackingOff(known.first_failed, deferred, expired, until=until, last_try=now)
            self._set(key, state)
        old = errand.received <= state.first_failed and self._too_old(key, deferred, errand)
        if ends and old and not state.expired:
            self._set(key, replace(state, until=now))
        return replace(deferred, hopeless=_is_hopeless(deferred, expired=state.expired or old))

    def _too_old(self, key: str, deferred: Deferred, errand: Errand) -> bool:
        """Whether the message has been here for longer than the destination's retry rule lasts."""
        return self._clock.now() - errand.received > self._rules.patience(_subject(key, deferred, errand))

    def hold(self, key: str, hold: Hold, deferred: Deferred) -> Deferred:
        """Hold *key*; return the deferral for the message at hand, with the number of *deferred*.

        The alarm is raised once.
        """
        self._known_open.discard(key)
        self._in_vain.pop(key, None)
        now = self._clock.now()
        state = self._closed.get(key)
        since = state.since if isinstance(state, Held) else now
        until = now + self._probe_interval
        stamps = self._watched.stamps()
        held = Held(hold, deferred.errno, deferred.error, since, stamps, until=until, last_try=now)
        self._set(key, held)
        if not isinstance(state, Held):
            self._alarms.held(key, hold)
        return replace(self._refusal(key, held), tried=0.0)

    def _set(self, key: str, state: BackingOff | Held | None) -> None:
        """Be in this state (None: open), and let the spool know with the next attempt that is recorded."""
        if state is None:
            self._closed.pop(key, None)
        else:
            self._closed[key] = state
        self._changes[HOST + key] = None if state is None else state.hint()

    # -- what the spool keeps

    def take_changes(self) -> Mapping[str, Hint | None]:
        """Return what has changed since this was last asked, for the spool."""
        changes, self._changes = self._changes, {}
        return changes

    def restore(self, hints: Mapping[str, Hint], *, soon: bool = True) -> None:
        """Start with what the spool has kept, each destination due for a probe *soon*, or when it was."""
        now = self._clock.now()
        for key, hint in hints.items():
            first = max(now, min(hint.last_try, now) + SOON) if hint.cause else now
            until = min(hint.next_try, first) if soon else hint.next_try
            if hint.cause:
                hold = Hold(hint.cause, hint.text, hint.fix)
                self._closed[key] = Held(
                    hold, hint.errno, hint.error, hint.first_failed, self._watched.stamps(), until=until,
                    last_try=hint.last_try,
                )  # fmt: skip
            else:
                deferred = Deferred(hint.text, hint.errno, Scope.HOST, hint.error, destination=key)
                self._closed[key] = BackingOff(
                    hint.first_failed, deferred, hint.expired, until=until, last_try=hint.last_try
                )

    # -- what the runner asks

    def on_open(self, listener: Callable[[str], None]) -> None:
        """Call *listener* with a key whenever that destination opens (also the first time it is seen to)."""
        self._listeners.append(listener)

    def awaited(self, keys: Collection[str]) -> None:
        """Mail that waits for *keys* is in the spool now; what has opened meanwhile has opened for it, too."""
        for key in self._known_open.intersection(keys):
            for listener in self._listeners:
                listener(key)

    def suspect(self, key: str) -> None:
        """Start with *key* closed and due for a probe: mail waits for it, and nobody knows why."""
        if key not in self._closed and key not in self._known_open:
            now = self._clock.now()
            self._closed[key] = BackingOff(now, Deferred("not tried since the start"), until=now, last_try=now)

    def probes_due(self) -> list[str]:
        """Return the destinations that one message should be sent to now."""
        now = self._clock.now()
        return [key for key, state in self._closed.items() if now >= state.due]

    def next_probe(self, besides: Collection[str] = ()) -> float | None:
        """Return when the next probe is due, in seconds since the epoch; None when all is open, *besides* these."""
        return min((state.due for key, state in self._closed.items() if key not in besides), default=None)

    def probe(self, key: str, id: str) -> None:
        """Let the message *id*, and no other, try *key* now."""
        state = self._closed.get(key)
        if state is not None:
            self._closed[key] = replace(state, probe=id, probing_since=self._clock.now())

    def probed(self, key: str, id: str) -> None:
        """The attempt at *id* is over; if it has not reached *key*, mail does not go there any more, or not now."""
        state = self._closed.get(key)
        if state is None or not state.is_probed_by(id):
            return
        if isinstance(state, Held):
            self._closed[key] = _unprobed(state, self._clock.now() + self._probe_interval)
        else:
            self.forget(key)
            for listener in self._listeners:
                listener(key)

    def forget(self, key: str) -> None:
        """Nobody waits for *key* any more: it counts as open until tried again."""
        self._set(key, None)

    # -- what the administrator does

    def watch(self, watched: Watched, rules: Rules) -> None:
        """Go on with another configuration's files and retry rules."""
        self._watched, self._rules = watched, rules

    def release(self, key: str | None = None) -> None:
        """Let *key* (None: everything) be probed at once; what is reluctant gets a new chance."""
        for each, state in list(self._closed.items()):
            if key not in (None, each):
                continue
            if isinstance(state, Reluctant):
                self._closed.pop(each)
            else:
                until = min(state.until, self._clock.now())  # an earlier time stays: the next gap grows from this one
                self._closed[each] = _unprobed(state, until)

    def turned_back(self) -> None:
        """The clock was set back: nothing has been tried, or has failed, at a time that is yet to come."""
        now = self._clock.now()
        for each, state in list(self._closed.items()):
            if isinstance(state, BackingOff):
                state = replace(state, first_failed=min(state.first_failed, now))
            elif isinstance(state, Held):
                state = replace(state, since=min(state.since, now))
            self._closed[each] = replace(state, last_try=min(state.last_try, now))
        self.release()

    def release_mended(self) -> bool:
        """Let what is held be probed where a file that was read has changed; called every second or so."""
        mended = False
        for key, state in list(self._closed.items()):
            if isinstance(state, Held) and not state.probing_since and self._watched.changed(state.stamps):
                self._closed[key] = replace(state, until=self._clock.now(), stamps=self._watched.stamps())
                mended = True
        return mended

    def states(self) -> dict[str, Closed]:
        """Return what is not open, for the tools."""
        return dict(self._closed)

    @property
    def any_held(self) -> bool:
        """Whether something waits for an administrator."""
        return any(isinstance(state, Held) for state in self._closed.values())

    def _refusal(self, key: str, state: Closed) -> Deferred:
        if isinstance(state, Held):
            text = f"held: {state.hold.text}; {state.hold.fix}"
            return Deferred(text, state.errno, Scope.HOST, state.error, destination=key, tried=state.last_try)
        return Deferred(
            "retry time not reached", RETRY_TIME_NOT_REACHED, Scope.HOST, state.deferred.error, destination=key,
            because=f"{key}: {state.deferred.text}", tried=state.last_try,
            hopeless=isinstance(state, BackingOff) and _is_hopeless(state.deferred, expired=state.expired),
        )  # fmt: skip


def _unprobed(state: S, until: float) -> S:
    """Return *state* with no probe under way, and the next one due at *until*."""
    return replace(state, until=until, probe="", probing_since=0.0)


def _subject(key: str, deferred: Deferred, errand: Errand) -> Subject:
    """Return what the retry rule of the destination *key* is looked for by."""
    name = key.split(":")[1] if ":" in key else key
    return Subject(name, deferred.error, errand.sender, errand.domain)


def _is_hopeless(deferred: Deferred, *, expired: bool) -> bool:
    return expired and deferred.error not in NEVER_EXPIRES


class Memory(Struct, frozen=True):
    """What one attempt teaches for others: of destinations, and of addresses and domains."""

    health: Health
    hints: Hints

    def restore(self, hints: Mapping[str, Hint], *, soon: bool = True) -> None:
        """Take over what the spool has kept; a daemon tries all of it *soon*."""
        destinations = {key.removeprefix(HOST): hint for key, hint in hints.items() if _of_destination(key)}
        self.health.restore(destinations, soon=soon)
        self.hints.restore({key: hint for key, hint in hints.items() if not _of_destination(key)})

    def lets_go(self, waiting: Waiting, now: float) -> bool:
        """Return whether it is time for a recipient: by its time, or because its host may be asked, which decides."""
        return waiting.until <= now or (waiting.destination != "" and waiting.destination not in self.hints)

    def learn(self, changes: Mapping[str, Hint | None]) -> dict[str, Hint | None]:
        """Take over what a plan says of addresses; return that, and what has changed of destinations, for the spool."""
        return {**self.health.take_changes(), **self.hints.learn(changes)}


def _of_destination(key: str) -> bool:
    """Whether a key in the spool is a destination's (``T:transport:host:port``) and not a mailbox's."""
    return key.startswith(HOST) and key.rpartition(":")[2].isdigit() and key.count(":") > 2
