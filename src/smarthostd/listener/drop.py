"""The drop directory: what ``sendmail`` left while the daemon was down, taken in exactly once.

The form of a file stands in ``sendmail/drop.py``. Its owner, by the kernel's word, is the one who submits it. The order
makes "once" true, wherever the daemon may be killed:

1. the file is renamed to ``taken/ID``, where nobody else can reach it, ID being the id that the message will have;
   both directories are synced;
2. the message is put into the spool under this id, claimed, so that nobody delivers it yet;
3. the file is removed and the directory synced; only then may the message be delivered.

At a start, before the queue is run, a file in ``taken/`` whose id is in the spool is one that was killed between 2 and
3: it goes. One whose id is not there was killed before 2: it is taken in. What cannot be taken in, because it is
malformed, the policy refuses it or something of ours breaks, is set aside as ``refused/ID``, and the log says so.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from msgspec.structs import replace

from smarthostd.durable import make_directory, sync_directory
from smarthostd.envelope import BLOCK, Client, Envelope, Recipient
from smarthostd.errors import Refused, SpoolError
from smarthostd.intake import Incoming, Intake
from smarthostd.listener.commands import MailFrom, mail_from, rcpt_to
from smarthostd.listener.content import Content
from smarthostd.listener.peers import described, owner
from smarthostd.listener.policy import Policy
from smarthostd.message_id import SHAPE
from smarthostd.reply import Reply
from smarthostd.syntax import has_control

MODE = 0o3777
"""Sticky, as ``/tmp``; and set-group-id, so that the files' group is ours and their owners need not let others read."""
WATCH_INTERVAL = 2.0
"""Seconds between looks whether something has been dropped."""
SETTLED = 1_000_000_000
"""Nanoseconds after which a change of the directory was the last of its moment."""
COMMANDS_LIMIT = 1 << 20
"""Octets that the envelope of a dropped message may have."""
_NAME = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Log(Protocol):
    """What the log is told (``mainlog.MainLog``)."""

    def noted(self, text: str) -> None:
        """A remark."""
        ...

    def panicked(self, id: str, what: str, error: BaseException) -> None:
        """A defect of ours."""
        ...


class Kept(Protocol):
    """What is asked of the spool."""

    async def load(self, id: str) -> object | None:
        """Return a message, None where there is none of this id."""
        ...


class _Malformed(Exception):
    """The file is not of the form, or not where it came from."""


class Drop:
    """The directory, and what becomes of what lies in it."""

    def __init__(self, directory: Path, policy: Callable[[], Policy], intake: Intake, spool: Kept, log: Log) -> None:
        self._directory = directory
        self._taken = directory / "taken"
        self._refused = directory / "refused"
        self._policy = policy
        self._intake = intake
        self._spool = spool
        self._log = log
        self._seen = 0
        """When the directory was changed last, as of the last look; 0: look again."""
        self._waiting: list[str] = []
        """What could not be stored, or not be removed."""
        self._usable = False

    async def start(self) -> None:
        """Make the directory, and take in what lies there. To be awaited before the queue is run."""
        try:
            self._make()
            self._waiting = sorted(file.name for file in self._taken.iterdir() if SHAPE.fullmatch(file.name))
        except OSError as error:
            text = f"sendmail cannot keep mail while smarthostd is down: {self._directory}: {error.strerror}"
            self._log.noted(f"{text}; make it, owned by smarthostd, mode {MODE:o} (drop_directory)")
            return
        self._usable = True
        await self._look()

    async def watch(self) -> None:
        """Take in what is dropped from now on, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            if self._usable:
                await self._look()

    # -- the directories

    def _make(self) -> None:
        """Make what is missing; nobody may enter before all of it is there."""
        make_directory(self._directory, 0o700)
        status = self._directory.stat()
        if status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "it belongs to another user")
        for own in (self._taken, self._refused):
            self._make_own(own)
        if stat.S_IMODE(status.st_mode) != MODE:
            self._directory.chmod(MODE)

    def _make_own(self, folder: Path) -> None:
        """Make a folder that only we enter; what a stranger has put in its place is moved away."""
        try:
            folder.mkdir(mode=0o700)
            sync_directory(self._directory)
        except FileExistsError:
            status = folder.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                return
            folder.rename(folder.with_name(f"{folder.name}.{secrets.token_hex(4)}"))
            folder.mkdir(mode=0o700)

    async def _look(self) -> None:
        """Go on with what waits, and take in what has been dropped since the last look."""
        waiting, self._waiting = self._waiting, []
        for id in waiting:
            await self._resume(id)
        try:
            taken = [self._take(name) for name in self._dropped()]
            if taken:
                await _sync(self._directory, self._taken)
        except OSError as error:
            self._seen = 0
            self._log.noted(f"what was dropped cannot be taken in, trying again: {self._directory}: {error.strerror}")
            return
        for id in taken:
            await self._take_in(id)

    def _dropped(self) -> list[str]:
        """Return the names of whole files, if the directory has changed; a change of just now may not be the last."""
        changed = self._directory.stat().st_mtime_ns
        if changed == self._seen:
            return []
        self._seen = changed if time.time_ns() - changed > SETTLED else 0
        return sorted(file.name for file in self._directory.iterdir() if _NAME.fullmatch(file.name))

    def _take(self, name: str) -> str:
        """Put the file *name* where only we reach it; return the id that its message will have."""
        id = self._intake.new_id()
        (self._directory / name).rename(self._taken / id)
        return id

    # -- one message

    async def _resume(self, id: str) -> None:
        """Go on with what was begun earlier, perhaps by a daemon that was killed."""
        try:
            if await self._spool.load(id) is None:
                await self._take_in(id)
            else:
                await self._forget(id)
                await self._intake.let_go(id)
        except (OSError, SpoolError) as error:
            self._put_off(id, error)

    async def _take_in(self, id: str) -> None:
        """Put the message into the spool, and forget the file."""
        incoming = self._intake.begin(id)
        try:
            with self._open(id) as stream:
                envelope = await self._read(stream, incoming)
            await self._intake.accept(incoming, envelope, lambda: self._forget(id))
        except (OSError, SpoolError) as error:
            incoming.sink.discard()
            self._put_off(id, error)
        except (Refused, _Malformed) as error:
            incoming.sink.discard()
            self._set_aside(id, str(error))
        except Exception as error:  # a defect of ours, which would end the daemon at each start
            incoming.sink.discard()
            self._log.panicked(id, "drop directory", error)
            self._set_aside(id, "an error of smarthostd's own")

    def _put_off(self, id: str, error: Exception) -> None:
        if not self._waiting:
            self._log.noted(f"a dropped message waits as {self._taken / id}: {error}")
        self._waiting.append(id)

    async def _forget(self, id: str) -> None:
        """Remove the file of a message that is in the spool, so that it never comes back."""
        (self._taken / id).unlink(missing_ok=True)
        await _sync(self._taken)

    def _set_aside(self, id: str, why: str) -> None:
        place = self._refused / id
        try:
            uid = (self._taken / id).lstat().st_uid
            (self._taken / id).rename(place)
        except OSError as error:
            self._log.noted(f"a dropped message that is refused cannot be set aside: {error}: {why}")
        else:
            self._log.noted(f"a message that user {owner(uid).login} dropped is refused and kept as {place}: {why}")

    def _open(self, id: str) -> BinaryIO:
        """Open the file, which must be a plain one with one name; raises _Malformed."""
        try:
            descriptor = os.open(self._taken / id, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.EACCES):
                raise _Malformed(f"it cannot be read: {error.strerror}") from error
            raise
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            os.close(descriptor)
            raise _Malformed("it is not a plain file with one name")
        return os.fdopen(descriptor, "rb")

    async def _read(self, stream: BinaryIO, incoming: Incoming) -> Envelope:
        """Feed the message to *incoming*; return the envelope. Raises Refused, SpoolError, _Malformed."""
        policy = self._policy()
        mail, recipients = _commands(stream, policy)
        peer = owner(os.fstat(stream.fileno()).st_uid)
        content = Content(
            incoming.sink, policy.message_size_limit, policy.line_length_limit, normalize=policy.normalize_newlines
        )
        while block := stream.read(BLOCK):
            content.write(block)
            await asyncio.sleep(0)
        content.finish()
        content.must_be_good()
        whoever = Client(login=peer.login, uid=peer.uid, full_name=peer.full_name, trusted=policy.trusts(peer))
        client = described(whoever, mail.facts)
        if mail.smtputf8:
            client = replace(client, protocol=f"utf8{client.protocol}")
        sender = policy.sender(peer, mail.sender)
        return Envelope(sender, recipients, mail.ret, mail.envid, mail.body, mail.smtputf8, client)


def _commands(stream: BinaryIO, policy: Policy) -> tuple[MailFrom, tuple[Recipient, ...]]:
    """Read MAIL, every RCPT, and DATA; raises Refused as a session would, and _Malformed."""
    left = COMMANDS_LIMIT
    mail: MailFrom | None = None
    recipients: list[Recipient] = []
    while left > 0:
        line = stream.readline(left)
        left -= len(line)
        verb, _, argument = _text(line).partition(" ")
        match verb:
            case "MAIL" if mail is None:
                mail = mail_from(argument, policy.message_size_limit, local=True)
            case "RCPT" if mail is not None:
                recipients.append(rcpt_to(argument, mail.smtputf8))
            case "DATA" if mail is not None and recipients and not argument:
                break
            case _:
                raise _Malformed("it does not hold MAIL, RCPT and DATA in this order")
    else:
        raise _Malformed(f"its envelope is larger than {COMMANDS_LIMIT} octets")
    if policy.recipients_max and len(recipients) > policy.recipients_max:
        raise Refused(Reply(552, "5.5.3 too many recipients"))
    return mail, tuple(recipients)


def _text(line: bytes) -> str:
    """Return a line that ends with CRLF and holds no control character; raises _Malformed."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text.endswith("\r\n") or has_control(text[:-2]):
        raise _Malformed("a line of its envelope is damaged")
    return text[:-2]


async def _sync(*directories: Path) -> None:
    """Have what was renamed or removed there survive a loss of power."""
    for directory in directories:
        await asyncio.get_running_loop().run_in_executor(None, sync_directory, directory)
