"""Telling somebody that mail is held: the log, and where the configuration names them a command and a web hook.

Each hears of a hold once, when it begins (``health.py`` sees to that). The command is run without a shell and gets the
facts as one JSON object on standard input, the hook gets the same object by POST::

    {"event": "held", "destination": "smarthost:smtp.example.com:587", "cause": "credential", "text": "…", "fix": "…",
     "host": "relay.example"}

Neither may take longer than ``alarm_timeout``, and neither delays mail. What goes wrong with them is told to the log; a
hook's URL is not, for it often holds a token, or a login (``https://user:password@host/``).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shlex
import socket
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Coroutine
from datetime import timedelta
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from smarthostd.outcome import Hold
from smarthostd.syntax import remote_text

if TYPE_CHECKING:
    from http.client import HTTPConnection

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
"""All that the command sees of ours: the daemon's own environment may hold a password."""
_ERRORS_KEPT = 500
"""Octets of what a command complains of."""


class Log(Protocol):
    """Where everything about holds is written (``mainlog.MainLog``)."""

    def held(self, destination: str, hold: Hold) -> None:
        """Write the alarm."""
        ...

    def opened(self, destination: str) -> None:
        """Write that mail flows again."""
        ...

    def reluctant(self, destination: str, text: str) -> None:
        """Write that a destination defers message after message."""
        ...

    def noted(self, text: str) -> None:
        """Write that something is wrong with a command or a hook."""
        ...


class AlarmOptions(Struct, frozen=True):
    """The main options of these names, and who we are."""

    alarm_command: str = ""
    alarm_webhook: str = ""
    alarm_timeout: timedelta = timedelta(seconds=30)
    primary_hostname: str = ""


class Announcer:
    """Raises alarms (``health.Alarms``)."""

    def __init__(self, log: Log, options: AlarmOptions) -> None:
        self._log = log
        self._options = options
        self._telling: set[asyncio.Task[None]] = set()

    def renew(self, options: AlarmOptions) -> None:
        """Follow *options* from the next alarm on."""
        self._options = options

    def held(self, destination: str, hold: Hold) -> None:
        """Announce a hold; the caller does not wait."""
        self._log.held(destination, hold)
        options = self._options
        facts = {
            "event": "held", "destination": destination, "cause": hold.cause, "text": hold.text, "fix": hold.fix,
            "host": options.primary_hostname,
        }  # fmt: skip
        octets = json.dumps(facts).encode()
        if options.alarm_command:
            self._start(self._within("alarm_command", _run(shlex.split(options.alarm_command), octets)))
        if options.alarm_webhook:
            seconds = options.alarm_timeout.total_seconds()
            self._start(self._within("alarm_webhook", _post(options.alarm_webhook, octets, seconds)))

    def opened(self, destination: str) -> None:
        """Announce a recovery."""
        self._log.opened(destination)

    def reluctant(self, destination: str, text: str) -> None:
        """Tell the log: mail waits, and nobody need act."""
        self._log.reluctant(destination, text)

    async def close(self, grace: timedelta) -> None:
        """Wait until everybody has been told, but no longer than *grace*."""
        telling = list(self._telling)
        if telling:
            await asyncio.wait(telling, timeout=grace.total_seconds())
        for task in telling:
            task.cancel()
        await asyncio.gather(*telling, return_exceptions=True)

    def _start(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(telling)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _within(self, option: str, telling: Awaitable[str]) -> None:
        """Wait for *telling*, and let the log have its complaint, if it has one."""
        limit = self._options.alarm_timeout.total_seconds()
        try:
            async with asyncio.timeout(limit):
                complaint = await telling
        except TimeoutError:
            complaint = f"it took longer than alarm_timeout ({limit:.0f}s)"
        except Exception as error:  # an alarm that cannot be raised must not stop what raised it
            complaint = f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
        if complaint:
            self._log.noted(
                f"{option} did not do its work: {remote_text(complaint)}; the alarm stands in the log alone"
            )


async def _run(words: list[str], octets: bytes) -> str:
    """Run a command with *octets* on standard input; return what is to be complained of, or nothing."""
    process = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=DEVNULL, stderr=PIPE, env=_ENVIRONMENT)
    try:
        _, said = await process.communicate(octets)
    except asyncio.CancelledError:
        await _kill(process)
        raise
    if process.returncode == 0:
        return ""
    words_of_it = said[-_ERRORS_KEPT:].decode("utf-8", "replace").strip()
    return f"exit status {process.returncode}{f': {words_of_it}' if words_of_it else ''}"


async def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def _post(url: str, octets: bytes, seconds: float) -> str:
    """Post *octets* as JSON; return what is to be complained of, or nothing. No redirection is followed."""
    from http.client import HTTPConnection, HTTPSConnection

    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    try:
        return await asyncio.to_thread(_exchange, connection, parts, octets)
    except asyncio.CancelledError:
        # The thread would go on for as long as a few octets come now and then; at the end, all threads are waited for.
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
        raise


def _exchange(connection: HTTPConnection, parts: SplitResult, octets: bytes) -> str:
    from http.client import HTTPException

    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", target, octets, {"Content-Type": "application/json", **_login(parts)})
        answer = connection.getresponse()
        return "" if answer.status < 300 else f"{parts.hostname} answered {answer.status} {answer.reason}"
    except HTTPException as error:
        return f"{parts.hostname}: {type(error).__name__}"
    except SSLCertVerificationError as error:
        return f"the certificate of {parts.hostname} cannot be verified: {error.verify_message}"
    finally:
        connection.close()


def _login(parts: SplitResult) -> dict[str, str]:
    """Return the header field for the login that a URL may hold."""
    if parts.username is None:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
