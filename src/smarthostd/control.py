"""The control socket: how tools nudge a running daemon (``<runtime_directory>/control.sock``).

One request a connection: a line of JSON, ``{"command": "retry", "ids": [...]}``, and a line of JSON
back, ``{"ok": true, ...}`` or ``{"ok": false, "error": "…"}``. Tools change the spool themselves, so they also work
when the daemon is down; when it is up, they have it reserve the messages first, so that no attempt is under way at
them, and tell it to look afterwards. The socket is for its owner and root.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from smarthostd.errors import ConfigurationError, ControlError, SpoolError

REQUEST_LIMIT = 1 << 20
"""Octets of one request."""
TIMEOUT = 10.0
"""Seconds for one exchange, on either side."""

Answer: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[Answer]]


class ControlServer:
    """Answers tools; handlers by command name."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Listen; a socket that a crash left behind is replaced (the spool's lock says that we are alone)."""
        try:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._answer, self._path, limit=REQUEST_LIMIT)
            self._path.chmod(0o600)
        except OSError as error:
            text = (
                f"cannot listen on {self._path}: {error.strerror}; set runtime_directory to a place of smarthostd's own"
            )
            raise ConfigurationError(text) from error

    async def stop(self) -> None:
        """Stop listening and take the socket away."""
        if self._server:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await self._handle(await reader.readline())
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass  # a tool that went away, or a line over the limit: it has its own time-out
        finally:
            writer.close()

    async def _handle(self, line: bytes) -> Answer:
        try:
            request = json.loads(line)
            handler = self._handlers[request["command"]]
        except (ValueError, KeyError, TypeError):
            return {"ok": False, "error": f"unknown command; known are {', '.join(sorted(self._handlers))}"}
        try:
            return {"ok": True, **await handler(request)}
        except SpoolError as error:
            return {"ok": False, "error": str(error)}


def ask(path: Path, command: str, **arguments: Any) -> Answer | None:
    """Send one request to the daemon at *path*; None where no daemon is.

    Raises ControlError where one is and does not answer, or says no: a tool must not take that for a daemon that is
    down, and change what it works on.
    """
    request = json.dumps({"command": command, **arguments}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(str(path))
            connection.sendall(request)
            with connection.makefile("rb") as stream:
                answer: Answer = json.loads(stream.readline())
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it does not answer"
        raise ControlError(f"the daemon at {path}: {reason}; is it stopped, or of another user?") from error
    if not answer.get("ok"):
        raise ControlError(f"the daemon at {path}: {answer.get('error', 'no reason given')}")
    return answer
