"""The drop directory: where a message waits for a daemon that is down.

Anybody may put files there, nobody may take those of others away (``drwxrwsrwt``, as ``/tmp``), and the set-group-id
bit of the *directory* lets the daemon's group read them, and no other. A file holds what would have been said to the
daemon: MAIL, RCPT for each recipient, DATA, and then the message as it is, to the file's end. Its owner is the
one who submitted it. It has its name, 32 hexadecimal digits, once it is whole and synced.
"""

import os

from smarthostd.sendmail.status import TEMPFAIL, UNAVAILABLE, Stop
from smarthostd.sendmail.submission import Letter

LIMIT = 50 << 20
"""Octets of a message that is kept there; Exim's default for ``message_size_limit``."""
MODE = 0o640


def keep(directory: str, letter: Letter) -> None:
    """Keep *letter*; on return it is on disk. Raises Stop, and then nothing is kept."""
    if len(letter.content) > LIMIT:
        raise Stop(UNAVAILABLE, f"the message is larger than {LIMIT} octets, the most that is kept for later")
    octets = b"".join(letter.commands("XLOCAL")) + b"DATA\r\n" + letter.content
    name = os.urandom(16).hex()
    unfinished = f"{directory}/{name}.new"
    try:
        _write(unfinished, octets)
        os.rename(unfinished, f"{directory}/{name}")
        _sync(directory)
    except FileNotFoundError:
        raise Stop(TEMPFAIL, f"there is no drop directory {directory}; start smarthostd and send again") from None
    except OSError as error:
        _forget(unfinished)
        raise Stop(TEMPFAIL, f"the message cannot be kept in {directory}: {error.strerror}; send it again") from None


def _write(path: str, octets: bytes) -> None:
    """Make the file *path* of *octets*, synced."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    try:
        os.fchmod(descriptor, MODE)  # whatever the caller's umask is, the daemon must be able to read it
        left = memoryview(octets)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # it was never made, or the disk is beyond help
