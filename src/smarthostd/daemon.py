"""The daemon: builds the house, opens the doors, and closes them in an order that one can recite.

Start: log, spool (locked), language, transports, runner, ports, dropped mail, control socket, listeners, READY.
Stop: listeners stop accepting, messages under way finish, deliveries finish, connections say good-bye, the
spool writes what is left and closes. What does not finish in time is tried again by the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from msgspec import Struct

from smarthostd import __version__
from smarthostd.admission import about, build_policy
from smarthostd.alarms import Announcer
from smarthostd.assembly import Parts, build_language, build_parts
from smarthostd.clock import SystemClock
from smarthostd.control import Answer, ControlServer
from smarthostd.doors import Door, Doors
from smarthostd.errors import ConfigurationError, ExpansionError, JudgeEnded, SpoolError
from smarthostd.health import Held
from smarthostd.intake import IntakePolicy
from smarthostd.listener.drop import Drop
from smarthostd.listener.policy import Policy
from smarthostd.listener.server import Listener
from smarthostd.logwriter import Destination, LogWriter
from smarthostd.mainlog import MainLog
from smarthostd.road import (
    Surroundings,
    alarm_options,
    build_delivery,
    build_road,
    intake_policy,
    log_places,
    log_style,
)
from smarthostd.runner import Runner
from smarthostd.spool.trayed import TraySpool
from smarthostd.syntax import printable
from smarthostd.systemd import Notifier, take_sockets

if TYPE_CHECKING:
    from smarthostd.config.load import Loaded
    from smarthostd.config.settings import Settings

DRAIN = timedelta(seconds=8)
"""How long messages and deliveries under way may take to finish after SIGTERM, all together: Docker kills after 10."""
WINDOW = 500
"""Messages under way at a time; memory is bounded by this and by the size of what is kept in memory of each."""
RESERVED_FOR = 60.0
"""Seconds after which a message that a tool has reserved, and not released, may be tried again."""
STATUS_INTERVAL = 10.0
"""Seconds between two STATUS lines for the service manager."""

LINES_AT_ONCE = 500
"""Lines about messages that are written to the log in one turn of the event loop: some 4 ms."""

FIXED = ("spool_directory", "runtime_directory", "drop_directory", "pid_file_path")
"""Options that a reload does not change."""

T = TypeVar("T")
Load: TypeAlias = "Callable[[], Loaded]"


class _Prepared(Struct, frozen=True):
    """All of a new configuration, built and not yet in force."""

    loaded: Loaded
    parts: Parts
    policy: Policy
    intake_policy: IntakePolicy
    places: Sequence[Destination]
    bound: Mapping[Door, socket.socket]


class Daemon:
    """One running smarthostd."""

    def __init__(self, loaded: Loaded, load: Load, environ: MutableMapping[str, str]) -> None:
        """*load* reads the configuration again, for SIGHUP; it is called in a thread of its own."""
        self._loaded = loaded
        self._load = load
        self._environ = environ
        self._clock = SystemClock()
        self._stop = asyncio.Event()
        self._notifier = Notifier(environ)
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pid_file: Path | None = None
        self._reserved: dict[str, object] = {}
        """Messages that tools have reserved, each with what tells one reservation from a later one."""
        self._not_in_force = ""
        """What is wrong with the configuration that was read last; empty where it is in force."""

    async def run(self) -> None:
        """Serve until SIGTERM; raises ConfigurationError or SpoolError when it cannot start."""
        settings = self._loaded.settings
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold passwords
        _set_time_zone(settings, self._environ)
        with about(self._loaded, "log_file_path"):
            self._writer = LogWriter(log_places(settings))
        self._log = MainLog(self._writer.write, self._clock, log_style(settings), self._writer.write_to)
        spool = await TraySpool.open(Path(settings.spool_directory), set_aside=self._set_aside)
        try:
            await self._serve(settings, spool)
        finally:
            try:
                await spool.close()
            finally:
                self._writer.close()

    async def _serve(self, settings: Settings, spool: TraySpool) -> None:
        self._spool = spool
        self._build(settings)
        self._memory.restore(await spool.hints())
        self._doors = Doors(
            self._listener, [sock for _, sock in take_sockets(self._environ)], Path(settings.runtime_directory)
        )
        with about(self._loaded, "local_interfaces", "daemon_smtp_ports"):
            bound = self._doors.bind(settings)
        drop = Drop(Path(settings.drop_directory), lambda: self._listener.policy, self._intake, spool, self._log)
        await drop.start()
        control = ControlServer(Path(settings.runtime_directory) / "control.sock", self._handlers())
        await control.start()
        await self._doors.open(settings, bound)
        self._catch_signals()
        gc.freeze()  # what a start has made stays; it is not looked through again
        gc.enable()
        background = [
            asyncio.create_task(forever) for forever in (self._runner.run(), self._keep_telling(), drop.watch())
        ]
        self._announce()
        waiting = asyncio.create_task(self._stop.wait())
        await asyncio.wait([waiting, *background], return_when=asyncio.FIRST_COMPLETED)
        await self._close(control, background)

    async def _close(self, control: ControlServer, background: list[asyncio.Task[None]]) -> None:
        """Finish, in order; then say what a background task has died of, if one has."""
        self._stop.set()
        self._notifier.tell("STOPPING=1")
        deadline = self._clock.monotonic() + DRAIN.total_seconds()
        await self._listener.drain(DRAIN)
        cut = await self._runner.drain(self._until(deadline))
        for task in background:
            task.cancel()
        ended = await asyncio.gather(*background, return_exceptions=True)
        for transport in self._parts.transports.values():
            await transport.close()
        await control.stop()
        await self._alarms.close(self._until(deadline))
        self._remove_pid_file()
        deliveries = f"{cut} {'delivery' if cut == 1 else 'deliveries'} cut short"
        self._log.noted(f"smarthostd {__version__} stopped" + (f", {deliveries}" if cut else ""))
        for error in ended:
            if isinstance(error, Exception):
                raise error

    def _until(self, deadline: float) -> timedelta:
        """Return the time that is left."""
        return timedelta(seconds=max(0.0, deadline - self._clock.monotonic()))

    # -- building

    def _build(self, settings: Settings) -> None:
        self._alarms = Announcer(self._log, alarm_options(settings))
        self._around = Surroundings(self._spool, self._log, self._clock, self._alarms, serves=True)
        road = build_road(settings, self._loaded.source, self._around)
        self._memory, self._health = road.memory, road.memory.health
        self._parts, self._intake = road.parts, road.intake
        self._runner = Runner(self._spool, road.delivery, self._memory, self._log, self._clock, WINDOW)
        self._intake.connect(self._runner.room, self._runner.offer, self._runner.wake)
        policy = build_policy(self._loaded, road.parts.language, road.parts.authenticators, self._log.noted)
        self._listener = Listener(policy, self._intake, self._log)

    def _announce(self) -> None:
        places = self._doors.places()
        self._write_pid_file()
        self._log.noted(f"smarthostd {__version__} daemon started: pid={os.getpid()}, listening for SMTP on {places}")
        self._writer.flush()
        self._notifier.tell("READY=1", f"STATUS=listening on {places}")

    def _write_pid_file(self) -> None:
        """Say which process we are where ``pid_file_path`` says; that this cannot be done keeps no mail waiting."""
        path = self._parts.language.expander.expand(self._loaded.settings.pid_file_path)
        if path:
            try:
                Path(path).write_text(f"{os.getpid()}\n", encoding="ascii")
            except OSError as error:
                self._log.noted(f"pid_file_path {path} cannot be written: {error.strerror}")
            else:
                self._pid_file = Path(path)

    def _remove_pid_file(self) -> None:
        if self._pid_file is not None:
            with contextlib.suppress(OSError):
                self._pid_file.unlink()

    # -- signals and tools

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._tasks_add(self._hang_up()))
        loop.add_signal_handler(signal.SIGUSR1, lambda: self._tasks_add(self._run_queue({})))

    def _tasks_add(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hang_up(self) -> None:
        """Open the log's files again, and read the configuration again, one reload after the other."""
        async with self._reloading:
            self._notifier.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                await self._reload()
            except Exception as error:  # a defect of ours, or a spool in trouble: the daemon serves on
                self._log.panicked("", "reload", error)
            status = self._not_in_force or f"listening on {self._doors.places()}"
            self._notifier.tell("READY=1", f"STATUS={printable(status)}")

    async def _reload(self) -> None:
        """Read the configuration again; a broken one changes nothing, and says so (difference 8)."""
        try:
            self._writer.reopen()
        except ConfigurationError as error:
            self._log.noted(str(error))
        try:
            loaded = await asyncio.to_thread(self._load)
            if self._stop.is_set():
                return  # no door is opened any more
            prepared = self._prepare(loaded)
        except (ConfigurationError, ExpansionError, JudgeEnded) as error:
            text = "; ".join(str(error).splitlines())
            self._not_in_force = f"the new configuration is not in force, the old one stays: {text}"
            self._log.noted(self._not_in_force)
        else:
            await self._enact(prepared)
            self._not_in_force = ""

    def _prepare(self, loaded: Loaded) -> _Prepared:
        """Build all that a new configuration stands for; raises ConfigurationError or ExpansionError."""
        settings = loaded.settings
        language = build_language(settings, loaded.source, self._log.noted, serves=True)
        parts = build_parts(settings, language, self._health, self._log)
        policy = build_policy(loaded, language, parts.authenticators, self._log.noted)
        arrivals = intake_policy(settings, language)
        with contextlib.ExitStack() as undo:
            places = log_places(settings)
            with about(loaded, "log_file_path"):
                for place in places:
                    place.open()
                    undo.callback(place.close)
            with about(loaded, "local_interfaces", "daemon_smtp_ports"):
                bound = self._doors.bind(settings)
            undo.pop_all()
        return _Prepared(loaded, parts, policy, arrivals, places, bound)

    async def _enact(self, prepared: _Prepared) -> None:
        """Let the new configuration be in force; sessions and deliveries under way end as they began."""
        settings = prepared.loaded.settings
        fixed = [name for name in FIXED if getattr(settings, name) != getattr(self._loaded.settings, name)]
        before, self._parts, self._loaded = self._parts, prepared.parts, prepared.loaded
        _set_time_zone(settings, self._environ)
        self._writer.renew(prepared.places)
        self._log.renew(log_style(settings))
        self._alarms.renew(alarm_options(settings))
        self._health.watch(prepared.parts.language.files, prepared.parts.retry)
        self._intake.renew(prepared.intake_policy)
        self._runner.deliver_by(build_delivery(settings, self._parts, self._memory, self._intake, self._around))
        self._listener.renew(prepared.policy)
        await self._doors.open(settings, prepared.bound)
        await self._spool.hurry(None)  # what waits may wait for a host that no route names any more
        self._health.release()
        self._runner.wake()
        for transport in before.transports.values():
            self._tasks_add(transport.close())
        later = f"; {', '.join(fixed)} will be after a restart" if fixed else ""
        self._log.noted(f"the configuration was read again and is in force{later}")

    def _handlers(self) -> Mapping[str, Callable[[Mapping[str, Any]], Any]]:
        return {
            "status": self._status, "run": self._run_queue, "retry": self._retry, "reserve": self._reserve,
            "release": self._release, "give_up": self._give_up, "complete": self._complete, "settle": self._settle,
        }  # fmt: skip

    async def _status(self, request: Mapping[str, Any]) -> Answer:
        count, frozen = await self._spool.count()
        held = [
            f"mail for {key} is held: {state.hold.text}; {state.hold.fix}"
            for key, state in self._health.states().items()
            if isinstance(state, Held)
        ]
        return {
            "queue": count, "frozen": frozen, "active": self._runner.active, "held": held, "pid": os.getpid(),
            "not_in_force": self._not_in_force, "no_room": self._listener.policy.room.complaint(),
            "trying": self._runner.is_trying(str(request.get("id", ""))),
        }  # fmt: skip

    async def _settle(self, request: Mapping[str, Any]) -> Answer:
        """Let a tool find all messages in the database; what cannot be put there stays where it is."""
        with contextlib.suppress(SpoolError):
            await self._spool.settle()
        return {}

    async def _run_queue(self, request: Mapping[str, Any]) -> Answer:
        """Try everything now; what is frozen stays so, and the log says it."""
        flags = str(request.get("flags", ""))
        self._log.queue_run("Start", flags)
        async for id in _by_and_by(await self._spool.frozen()):
            self._log.still_frozen(id)
        try:
            await self._spool.hurry(None)
        finally:  # on a full disk, say, where nothing can be made due, deliveries make room
            self._health.release()
            self._runner.wake()
        self._log.queue_run("End", flags)
        return {}

    async def _retry(self, request: Mapping[str, Any]) -> Answer:
        """Try these messages now."""
        self._health.release()
        for id in _ids(request):
            self._runner.want(id)
        return {}

    async def _reserve(self, request: Mapping[str, Any]) -> Answer:
        """Keep these messages from being tried until they are released, or for as long as a tool takes; tell which."""
        free = await self._spool.reserve(_ids(request))
        if free:
            reservation = object()
            self._reserved.update(dict.fromkeys(free, reservation))
            asyncio.get_running_loop().call_later(RESERVED_FOR, self._expire, free, reservation)
        return {"free": free}

    async def _release(self, request: Mapping[str, Any]) -> Answer:
        """Let these messages be tried again, and write what has been done to them to the log."""
        async for id, line in _by_and_by(request.get("lines", [])):
            self._log.told(str(id), str(line))
        self._let_go(_ids(request))
        self._runner.wake()
        return {}

    def _expire(self, ids: Sequence[str], reservation: object) -> None:
        """End a reservation that nobody has ended, and none that was made since."""
        self._let_go([id for id in ids if self._reserved.get(id) is reservation])

    def _let_go(self, ids: Sequence[str]) -> None:
        """End reservations, where they have not ended before."""
        ours = [id for id in dict.fromkeys(ids) if self._reserved.pop(id, None) is not None]
        self._tasks_add(self._spool.release(ours))

    async def _complete(self, request: Mapping[str, Any]) -> Answer:
        """Finish these messages, of which a tool has marked every recipient as done."""
        for id in _ids(request):
            self._runner.want(id)
        return {}

    async def _give_up(self, request: Mapping[str, Any]) -> Answer:
        """End these messages, and tell their senders; return which of them are under way or gone."""
        ids, who = _ids(request), str(request.get("who", "a tool"))
        ended = await asyncio.gather(*(self._runner.give_up(id, who) for id in ids))
        return {"left": [id for id, done in zip(ids, ended, strict=True) if not done]}

    def _set_aside(self, id: str, why: str) -> None:
        self._log.told(id, f"damaged in the spool and set aside: {why}")

    async def _keep_telling(self) -> None:
        """Give the service manager its signs of life and a line on how we are."""
        interval = self._notifier.watchdog_interval or STATUS_INTERVAL
        while True:
            try:
                count, frozen = await self._spool.count()
                queue = f"{count} queued, {frozen} frozen"
            except SpoolError as error:  # the runner says so in the log, and tries again
                queue = f"the queue cannot be read: {error}"
            held = sum(isinstance(state, Held) for state in self._health.states().values())
            trouble = f", {held} destination{'s' * (held != 1)} HELD" if held else ""
            trouble += ", the new configuration is NOT in force" * bool(self._not_in_force)
            trouble += ", the disk is FULL" * bool(self._listener.policy.room.complaint())
            self._notifier.tell("WATCHDOG=1", f"STATUS={printable(queue + trouble)}")
            await asyncio.sleep(min(interval, STATUS_INTERVAL))


# -- settings to what the parts want


async def _by_and_by(items: Sequence[T]) -> AsyncIterator[T]:
    """Yield *items*, with a turn of the event loop for others in between."""
    for at in range(0, len(items), LINES_AT_ONCE):
        for item in items[at : at + LINES_AT_ONCE]:
            yield item
        await asyncio.sleep(0)


def _ids(request: Mapping[str, Any]) -> list[str]:
    return [str(id) for id in request.get("ids", [])]


def _set_time_zone(settings: Settings, environ: MutableMapping[str, str]) -> None:
    """Write times in the log and in Date lines in ``timezone``, or in this host's."""
    if settings.timezone:
        environ["TZ"] = settings.timezone
        time.tzset()
