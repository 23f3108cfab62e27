"""The program: what the command line asks for, done."""

import os
import sys

from smarthostd.sendmail import arguments
from smarthostd.sendmail.arguments import Options
from smarthostd.sendmail.message import recipients_of, wire_form, with_sender_name
from smarthostd.sendmail.status import CONFIG, DATA_ERROR, IO_ERROR, OK, TEMPFAIL, USAGE, Stop, Unreachable, shown
from smarthostd.sendmail.submission import Daemon, Letter

SUBMIT_SOCKET = "/run/smarthostd/submit.sock"
"""Where the daemon listens; ``$SMARTHOSTD_SUBMIT`` says otherwise, or ``-C FILE`` by its ``runtime_directory``."""
DROP_DIRECTORY = "/var/spool/smarthostd-drop"
"""Where messages wait for a daemon that is down; ``$SMARTHOSTD_DROP`` says otherwise."""
_EXIM_MODES = {"p": ["-bp"], "v": ["-bv"], "t": ["-bt"]}


def run(words: list[str]) -> int:
    """Do what *words*, the program's name first, ask for; return the exit status. Raises Stop."""
    options = arguments.read(words)
    if options.mode == "i":
        sys.stdout.write("aliases are read where they are: there is nothing to build\n")
        return OK
    if options.mode in "pvtq":
        _exim(options)
    submit_socket, drop_directory = _places(options)
    if options.mode == "s":
        return _speak_smtp(submit_socket)
    letter = _letter(options)
    try:
        said = Daemon(submit_socket).hand_over(letter)
    except Unreachable as trouble:
        said = _keep_for_later(drop_directory, letter, trouble)
    if options.verbose:
        sys.stdout.write(f"{shown(said)}\n")
    return OK


def _keep_for_later(directory: str, letter: Letter, trouble: Unreachable) -> str:
    """Keep *letter* in the drop directory; raises Stop that tells of both troubles where that cannot be done."""
    from smarthostd.sendmail.drop import keep

    try:
        keep(directory, letter)
    except Stop as stop:
        raise Stop(stop.status, f"{trouble}; {stop}") from None
    return "smarthostd is down: the message is kept, and goes when it is up again"


def _speak_smtp(submit_socket: str) -> int:
    """Let standard input and output speak with the daemon."""
    try:
        daemon = Daemon(submit_socket)
    except Unreachable as trouble:
        sys.stdout.write(f"421 4.3.2 {shown(str(trouble))}\r\n")
        return TEMPFAIL
    daemon.pass_through()
    return OK


# -- the message


def _letter(options: Options) -> Letter:
    """Return the message on standard input with its envelope; raises Stop."""
    recipients = [one.removeprefix("<").removesuffix(">") for one in options.recipients]
    if not (recipients or options.from_header):
        raise Stop(USAGE, "there is no recipient: name one, or use -t and a To: header")
    content = wire_form(_standard_input(), dot_ends=options.dot_ends)
    if options.from_header:
        content, found = recipients_of(content)
        recipients += found
    if not recipients:
        raise Stop(DATA_ERROR, "there is no recipient in the header's To, Cc and Bcc")
    login, name = _caller()
    sender = login if options.sender is None else options.sender
    content = with_sender_name(content, options.full_name or os.environ.get("NAME", "") or name, sender)
    letter = Letter(sender, list(dict.fromkeys(recipients)), content)
    letter.notify, letter.ret, letter.envid = options.notify, options.ret, options.envid
    return letter


def _standard_input() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except (OSError, AttributeError) as error:  # AttributeError: the caller has closed it
        raise Stop(IO_ERROR, f"the message cannot be read from standard input: {error}") from None


def _caller() -> tuple[str, str]:
    """Return the login and the full name of who is calling."""
    from pwd import getpwuid

    uid = os.getuid()
    try:
        entry = getpwuid(uid)
    except KeyError:
        return str(uid), ""
    name = entry.pw_gecos.partition(",")[0]
    return entry.pw_name, name.replace("&", entry.pw_name.capitalize())


# -- what others do


def _places(options: Options) -> tuple[str, str]:
    """Return the daemon's socket and the drop directory; only with ``-C`` is a configuration read, which takes long."""
    if options.config:
        return _configured_places(options.config)
    environ = os.environ
    return environ.get("SMARTHOSTD_SUBMIT") or SUBMIT_SOCKET, environ.get("SMARTHOSTD_DROP") or DROP_DIRECTORY


def _configured_places(path: str) -> tuple[str, str]:
    from pathlib import Path

    from smarthostd.config import ConfigurationErrors, load

    try:
        settings = load(Path(path), os.environ, lenient=True).settings
    except ConfigurationErrors as mistakes:
        raise Stop(CONFIG, str(mistakes.errors[0])) from None
    return f"{settings.runtime_directory}/submit.sock", settings.drop_directory


def _exim(options: Options) -> None:
    """Become ``smarthostd exim``, which shows the queue, runs it, and tests addresses."""
    asked = _EXIM_MODES.get(options.mode) or [f"-q{options.queue}"]
    config = ["-C", options.config] if options.config else []
    os.execv(sys.executable, [sys.executable, "-m", "smarthostd", "exim", *config, *asked, *options.recipients])  # noqa: S606 - our own program, no shell


def main() -> None:
    """Run as ``sendmail``, ``mailq`` or ``newaliases``."""
    try:
        status = run(sys.argv)
    except Stop as stop:
        quiet = any(word in ("-oeq", "-eq") for word in sys.argv)
        if not quiet:
            sys.stderr.write(f"sendmail: {shown(str(stop))}\n")
        status = stop.status
    except KeyboardInterrupt:
        status = 130
    sys.stdout.flush()
    os._exit(status)  # nothing is left to be done, and tearing the interpreter down costs milliseconds
