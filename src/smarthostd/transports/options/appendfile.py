"""The options of the transport ``appendfile``."""

from datetime import timedelta
from typing import Literal

from smarthostd.options import Bool, Expanded, Integer, Octal, String, Time, option
from smarthostd.transports.options import TransportOptions


class AppendfileOptions(TransportOptions):
    """Options of ``driver = appendfile``."""

    driver: Literal["appendfile"]
    file: Expanded = option("", "The mbox file to append to.")
    directory: Expanded = option("", "The directory to deliver into.")
    maildir_format: Bool = option(False, "The directory is a Maildir.")
    create_directory: Bool = option(True, "Make the directory if it is missing.")
    create_file: String = option("anywhere", "Accepted and ignored: the file's directory must exist or be made.")
    mode: Octal = option(0o600, "The file's mode.")
    directory_mode: Octal = option(0o700, "The mode of a directory that is made.")
    use_lockfile: Bool = option(True, "Lock an mbox by FILE.lock.")
    use_fcntl_lock: Bool = option(True, "Lock an mbox by fcntl.")
    use_flock_lock: Bool = option(False, "Lock an mbox by flock.")
    lock_retries: Integer = option(10, "How often a lock is tried.", ge=1)
    lock_interval: Time = option(timedelta(seconds=3), "How long to wait between two tries for a lock.")
    lockfile_timeout: Time = option(timedelta(minutes=30), "After this a lock file is taken for left behind.")
    lockfile_mode: Octal = option(0o600, "The lock file's mode.")
    check_string: String = option("From ", "Lines of an mbox message that begin so are escaped.")
    escape_string: String = option(">", "What escapes them.")
    message_prefix: Expanded | None = option(None, "What goes before a message; not set: mbox's From line.")
    message_suffix: Expanded | None = option(None, "What goes after a message; not set: an empty line for an mbox.")
    allow_symlink: Bool = option(False, "Deliver to an mbox that is a symbolic link.")
    batch_max: Integer = option(1, "Accepted and ignored: each recipient is delivered by itself.", ge=1)
    file_must_exist: Bool = option(False, "Do not make the file.")
    mode_fail_narrower: Bool = option(True, "Accepted and ignored.")
    quota: Expanded = option("", "Accepted only if empty: quotas are not there yet.", max_length=0)
    maildir_tag: Expanded = option("", "Accepted only if empty: file names are plain.", max_length=0)
