"""``appendfile``: delivery into an mbox file or a Maildir (exim.md 7, the manual's chapter 26).

An mbox is locked as Exim locks it, by a lock file and by fcntl, and cut back to what it was when a write
fails. A Maildir message is written to ``tmp``, synced, and moved to ``new``. Line ends on disk are LF.
A local part never becomes a path that leaves its directory: such an address is refused.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from smarthostd.durable import sync_directory
from smarthostd.envelope import Content, Message
from smarthostd.errors import ExpansionError
from smarthostd.expand import Expander, Values
from smarthostd.outcome import Deferred, Delivered, Failed, Outcome
from smarthostd.routers.base import RoutedAddress
from smarthostd.spool.owner import give_away, give_away_open
from smarthostd.transports.base import Batch, all_of
from smarthostd.transports.content import Outgoing, with_delivery_headers

if TYPE_CHECKING:
    from smarthostd.transports.options.appendfile import AppendfileOptions

NOWHERE = Path("/dev/null")
"""A file to which nothing is written, as in Exim."""
_UNSAFE_LOCAL_PART = re.compile(r"[/\x00-\x1f\x7f]|^\.")
_numbers = count(1)


class _Parcel(Struct, frozen=True):
    """What is written, and where."""

    path: Path
    prefix: bytes
    content: Content
    suffix: bytes


class AppendfileTransport:
    """One ``appendfile`` transport."""

    remote = False
    max_rcpt = 1

    def __init__(
        self, options: AppendfileOptions, expander: Expander, log: Callable[[str, str], None] = lambda id, line: None
    ) -> None:
        """*log* takes a message's id and a line."""
        self.name = options.name
        self._options = options
        self._expander = expander
        self._outgoing = Outgoing(options, expander, log)
        self._maildir = options.maildir_format
        self._hostname = expander.facts.primary_hostname or socket.gethostname()

    async def deliver(self, message: Message, batch: Batch) -> Mapping[RoutedAddress, Outcome]:
        """Return an outcome for the one address."""
        local_parts = (batch.addresses[0].address.unquoted, str(batch.values.get("local_part", "")))
        if any(map(_UNSAFE_LOCAL_PART.search, local_parts)):
            text = "no mailbox can have this name: it has a slash, a control character, or begins with a dot"
            return all_of(batch.addresses, Failed(text))
        try:
            batch = self._outgoing.batch(batch)
            if too_big := self._outgoing.too_big(message.content, batch.values):
                return all_of(batch.addresses, too_big)
        except ExpansionError as error:
            return all_of(batch.addresses, Deferred(str(error), -27))
        try:
            parcel = self._parcel(message, batch)
        except ExpansionError as error:
            option_text = self._options.directory or self._options.file
            text = f'Expansion of "{option_text}" ({self.name} transport) failed: {error}'
            return all_of(batch.addresses, Deferred(text, -27))
        if parcel.path == NOWHERE and not self._maildir:
            return all_of(batch.addresses, Delivered(final=True))
        work = self._to_maildir if self._maildir else self._to_mbox
        try:
            await asyncio.get_running_loop().run_in_executor(None, work, parcel)
        except OSError as error:
            text = f"cannot deliver to {parcel.path}: {error.strerror or error}"
            return all_of(
                batch.addresses, Deferred(text, error.errno or -1, error="quota" if error.errno == 122 else "")
            )
        return all_of(batch.addresses, Delivered(final=True))

    async def close(self) -> None:
        """Nothing is kept."""

    # -- what is written

    def _parcel(self, message: Message, batch: Batch) -> _Parcel:
        options, values = self._options, batch.values
        path = batch.addresses[0].item  # what an alias names, where the transport names nothing
        if options.directory or options.file:
            template = options.directory if options.directory or self._maildir else options.file
            path = self._expander.expand(template, values)
        if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
            raise ExpansionError(f'"{path}" is not an absolute path without ".."')
        content = self._outgoing.content(message, batch)
        content = with_delivery_headers(content, batch, options, batch.sender)
        prefix = self._affix(options.message_prefix, self._from_line(message, batch), values)
        suffix = self._affix(options.message_suffix, b"\n", values)
        return _Parcel(Path(path), prefix, content, suffix)

    def _affix(self, text: str | None, default: bytes, values: Values) -> bytes:
        if text is None:
            return b"" if self._maildir else default
        return self._expander.expand(text, values).encode("utf-8", "surrogateescape")

    @staticmethod
    def _from_line(message: Message, batch: Batch) -> bytes:
        sender = str(batch.sender).replace(" ", "_") or "MAILER-DAEMON"
        return f"From {sender} {time.strftime('%a %b %d %H:%M:%S %Y')}\n".encode()

    # -- Maildir

    def _to_maildir(self, parcel: _Parcel) -> None:
        """Write to tmp, sync, move to new, sync the directory."""
        for place in ("tmp", "new", "cur"):
            if self._options.create_directory:
                (parcel.path / place).mkdir(mode=self._options.directory_mode, parents=True, exist_ok=True)
                give_away(parcel.path, parcel.path / place)
        name = f"{int(time.time())}.H{next(_numbers)}P{os.getpid()}.{self._hostname.replace('/', '_')}"
        temporary = parcel.path / "tmp" / name
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._options.mode)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                give_away_open(descriptor, temporary.parent)
                stream.writelines(self._octets(parcel))
                stream.flush()
                os.fsync(stream.fileno())
            temporary.rename(parcel.path / "new" / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(parcel.path / "new")

    def _octets(self, parcel: _Parcel) -> Iterator[bytes]:
        yield parcel.prefix
        yield from _lf(parcel.content)
        yield parcel.suffix

    # -- mbox

    def _to_mbox(self, parcel: _Parcel) -> None:
        """Append under locks; a write that fails leaves the file as it was."""
        options = self._options
        if options.create_directory:
            parcel.path.parent.mkdir(mode=options.directory_mode, parents=True, exist_ok=True)
        with self._lock_file(parcel.path):
            descriptor = self._open_mbox(parcel.path)
            with os.fdopen(descriptor, "ab") as stream:
                give_away_open(descriptor, parcel.path.parent)
                self._lock(stream.fileno())
                before = os.fstat(stream.fileno()).st_size
                try:
                    stream.writelines(self._escaped(parcel))
                    stream.flush()
                    os.fsync(stream.fileno())
                except OSError:
                    os.ftruncate(stream.fileno(), before)
                    raise

    def _open_mbox(self, path: Path) -> int:
        """Open a mailbox, made if need be: a regular file, and no link unless that may be. Raises OSError."""
        options = self._options
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe is not waited for
        flags |= (0 if options.file_must_exist else os.O_CREAT) | (0 if options.allow_symlink else os.O_NOFOLLOW)
        try:
            descriptor = os.open(path, flags, options.mode)
        except OSError as error:
            if error.errno == errno.ELOOP and not options.allow_symlink:
                raise OSError(f"{path} is a symbolic link (allow_symlink)") from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(f"{path} is not a regular file")
        return descriptor

    def _escaped(self, parcel: _Parcel) -> Iterator[bytes]:
        """Yield the message's octets with the lines escaped that would look like a new message."""
        check = self._options.check_string.encode()
        escape = self._options.escape_string.encode()
        yield parcel.prefix
        held = b"\n"
        ended = True
        for block in _lf(parcel.content):
            piece = held + block
            # What may be the beginning of a line to be escaped is kept back until it is whole.
            cut = piece.rfind(b"\n", max(0, len(piece) - len(check)))
            held = piece[cut:] if cut > 0 else b""
            piece = piece[:cut] if cut > 0 else piece
            piece = piece.replace(b"\n" + check, b"\n" + escape + check) if check else piece
            yield piece[1:] if ended else piece
            ended = False
        if held:
            held = held.replace(b"\n" + check, b"\n" + escape + check) if check else held
            yield held[1:] if ended else held
        yield parcel.suffix

    @contextmanager
    def _lock_file(self, path: Path) -> Iterator[None]:
        if not self._options.use_lockfile:
            yield
            return
        lock = path.with_name(path.name + ".lock")
        self._make_lock(lock)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)

    def _make_lock(self, lock: Path) -> None:
        options = self._options
        for tries in range(options.lock_retries):
            if tries:
                time.sleep(options.lock_interval.total_seconds())
            try:
                os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, options.lockfile_mode))
            except FileExistsError:
                self._break_old(lock)
            else:
                return
        raise TimeoutError(110, f"failed to lock {lock.with_suffix('')} (lock file)")

    def _break_old(self, lock: Path) -> None:
        """Take away a lock file that somebody has left behind."""
        try:
            age = time.time() - lock.stat().st_mtime
        except FileNotFoundError:
            return
        if age > self._options.lockfile_timeout.total_seconds():
            lock.unlink(missing_ok=True)

    def _lock(self, descriptor: int) -> None:
        """Lock by fcntl, and by flock where that is asked for; a lock that somebody holds is waited for."""
        options = self._options
        locks = [fcntl.lockf] * options.use_fcntl_lock + [fcntl.flock] * options.use_flock_lock
        for lock in locks:
            for tries in range(options.lock_retries):
                try:
                    lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if tries + 1 == options.lock_retries:
                        raise TimeoutError(110, "failed to lock mailbox (fcntl)") from None
                    time.sleep(options.lock_interval.total_seconds())


def _lf(content: Content) -> Iterator[bytes]:
    """Yield *content* with LF line ends; a CR at a block's end is kept back until the next octet is known."""
    held = b""
    for block in content.blocks():
        piece = held + block
        held = b"\r" if piece.endswith(b"\r") else b""
        yield (piece[:-1] if held else piece).replace(b"\r\n", b"\n")
    yield held
