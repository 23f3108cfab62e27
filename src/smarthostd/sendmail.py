"""``sendmail``: what programs call to send mail. It hands the message to the daemon over its unix socket.

It needs no set-id bit and starts in milliseconds, so it imports next to nothing. Exit statuses are those of
sysexits.h: 0 only when the message is on disk at the daemon. One argument is one recipient; nothing is
given to a shell. Options that other sendmails have and that mean nothing here are swallowed.
"""

import os
import re
import socket
import sys

OK, USAGE, DATA_ERROR, NO_USER, UNAVAILABLE, SOFTWARE, TEMPFAIL, NOPERM, CONFIG = 0, 64, 65, 67, 69, 70, 75, 77, 78
DEFAULT_SOCKET = "/run/smarthostd/submit.sock"
TIMEOUT = 60.0
"""Seconds for each answer of the daemon."""
_WITH_ARGUMENT = "fFrNRVBhLXOCopqDdM"
"""Options that take an argument, in the same word or the next one (``-o`` and its kin only in the same)."""
_SAME_WORD_ONLY = "ohOqpdDMB"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ADDRESS_FIELDS = ("to", "cc", "bcc")


class Stop(Exception):
    """The end: an exit status, and a sentence for it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Options:
    """What the command line says."""

    def __init__(self) -> None:
        self.sender: str | None = None
        self.full_name = ""
        self.from_header = False
        self.dot_ends = True
        self.smtp = False
        self.notify = self.ret = self.envid = ""
        self.recipients: list[str] = []

    def read(self, arguments: list[str]) -> None:
        """Read the arguments; raises Stop for what would be misunderstood."""
        words = list(arguments)
        while words:
            word = words.pop(0)
            if word == "--":
                self.recipients += words
                return
            if not word.startswith("-") or word == "-":
                self.recipients.append(word)
                continue
            letter, value = word[1], word[2:]
            if letter in _WITH_ARGUMENT and not value and letter not in _SAME_WORD_ONLY and words:
                value = words.pop(0)
            self._option(letter, value)

    def _option(self, letter: str, value: str) -> None:
        if letter in "fr":
            self.sender = "" if value in ("", "<>") else value.strip("<>")
        elif letter == "F":
            self.full_name = value
        elif letter == "t":
            self.from_header = True
            if "i" in value:
                self.dot_ends = False
        elif letter == "i" or (letter == "o" and value == "i"):
            self.dot_ends = False
        elif letter == "N":
            self.notify = value
        elif letter == "R":
            self.ret = value
        elif letter == "V":
            self.envid = value
        elif letter == "b":
            self._mode(value)

    def _mode(self, value: str) -> None:
        if value == "s":
            self.smtp = True
        elif value in ("p", "i", "v", "t"):
            command = {"p": "smarthostd queue", "i": "nothing: aliases are read as they are"}.get(
                value, "smarthostd route"
            )
            raise Stop(USAGE, f"sendmail -b{value} is not there: use {command}")


class Daemon:
    """The conversation with the daemon: SMTP over its unix socket."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(TIMEOUT)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            text = f"cannot reach smarthostd at {path}: {error.strerror}; nothing was kept: start it and send again"
            raise Stop(TEMPFAIL, text) from error
        self._stream = self._socket.makefile("rb")

    def answer(self) -> tuple[int, str]:
        """Return the next reply; raises Stop when none comes."""
        lines = []
        while True:
            try:
                line = self._stream.readline(65536).decode("utf-8", "replace").rstrip("\r\n")
            except OSError as error:
                raise Stop(TEMPFAIL, f"smarthostd did not answer: {error}") from error
            if not line[:3].isdigit():
                raise Stop(TEMPFAIL, "smarthostd closed the connection; the message was not kept")
            lines.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), " ".join(lines)

    def command(self, line: str) -> tuple[int, str]:
        """Send a command and return the reply."""
        if _CONTROL.search(line):
            raise Stop(DATA_ERROR, "an address holds a control character")
        self.send(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return self.answer()

    def must(self, line: str) -> str:
        """Send a command that must succeed."""
        code, text = self.command(line)
        if code >= 400:
            raise Stop(_status(code), f"{line.split(':', maxsplit=1)[0]} was refused: {code} {text}")
        return text

    def send(self, octets: bytes) -> None:
        """Write."""
        try:
            self._socket.sendall(octets)
        except OSError as error:
            raise Stop(TEMPFAIL, f"smarthostd closed the connection: {error.strerror}") from error

    def pass_through(self) -> int:
        """Connect standard input and output to the daemon (-bs)."""
        import threading

        def copy_out() -> None:
            while block := self._socket.recv(65536):
                os.write(1, block)

        writer = threading.Thread(target=copy_out, daemon=True)
        self._socket.settimeout(None)
        writer.start()
        while block := os.read(0, 65536):
            self.send(block)
        self._socket.shutdown(socket.SHUT_WR)
        writer.join(TIMEOUT)
        return OK


def _status(code: int) -> int:
    """Return the exit status for a refusal."""
    if code < 500:
        return TEMPFAIL
    return {550: NOPERM, 553: NO_USER, 501: DATA_ERROR}.get(code, UNAVAILABLE)


def read_message(octets: bytes, *, dot_ends: bool) -> bytes:
    """Return the message with CRLF line ends; a line of one dot ends it, unless told otherwise."""
    octets = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"")
    if dot_ends:
        end = octets.find(b"\n.\n") + 1 if not octets.startswith(b".\n") else 0
        if end or octets.startswith(b".\n"):
            octets = octets[:end]
    if octets.startswith(b"From "):
        octets = octets[octets.find(b"\n") + 1 :]
    if octets and not octets.endswith(b"\n"):
        octets += b"\n"
    return octets.replace(b"\n", b"\r\n")


def fields(header: bytes) -> list[tuple[str, bytes]]:
    """Return the header's fields: name in lower case, and the lines."""
    found: list[tuple[str, bytes]] = []
    for line in header.splitlines(keepends=True):
        if line[:1] in (b" ", b"\t") and found:
            found[-1] = (found[-1][0], found[-1][1] + line)
        else:
            name, colon, _ = line.partition(b":")
            found.append((name.strip().lower().decode("ascii", "replace") if colon else "", line))
    return found


def addresses_in(text: str) -> list[str]:
    """Return the addresses of a header field: comments and display names taken off."""
    text = re.sub(r"\((?:[^()\\]|\\.)*\)", " ", text.replace("\r\n", " "))
    text = re.sub(r'(^|[,;])\s*[^,;:<>@"]+:', r"\1", text)  # a group's name
    found = []
    for piece in re.findall(r'(?:"(?:\\.|[^"\\])*"|<[^>]*>|[^,;:<"])+', text):
        match = re.search(r"<([^>]*)>", piece)
        address = (match[1] if match else piece).strip()
        if address:
            found.append(address)
    return found


def from_headers(message: bytes, options: Options) -> tuple[bytes, list[str]]:
    """Return the message without Bcc, and its recipients; arguments are added (-t)."""
    at = message.find(b"\r\n\r\n")
    header, body = (message, b"") if at < 0 else (message[: at + 2], message[at + 2 :])
    all_fields = fields(header)
    resent = any(name.startswith("resent-") for name, _ in all_fields)
    wanted = [f"resent-{name}" for name in _ADDRESS_FIELDS] if resent else list(_ADDRESS_FIELDS)
    recipients = list(options.recipients)
    kept = b""
    for name, line in all_fields:
        if name in wanted:
            recipients += addresses_in(line.partition(b":")[2].decode("utf-8", "surrogateescape"))
        if name not in ("bcc", "resent-bcc"):
            kept += line
    return kept + body, list(dict.fromkeys(recipients))


def with_name(message: bytes, options: Options, sender: str) -> bytes:
    """Give the message a From with the full name, where it has none and -F was given."""
    at = message.find(b"\r\n\r\n")
    header = message if at < 0 else message[: at + 2]
    if not options.full_name or any(name == "from" for name, _ in fields(header)):
        return message
    name = options.full_name.replace("\\", "\\\\").replace('"', '\\"')
    name = _CONTROL.sub(" ", name)
    return f'From: "{name}" <{sender}>\r\n'.encode("utf-8", "surrogateescape") + message


def submit(options: Options, daemon: Daemon, message: bytes) -> None:
    """Hand the message over; raises Stop."""
    recipients = options.recipients
    if options.from_header:
        message, recipients = from_headers(message, options)
    if not recipients:
        raise Stop(USAGE, "there is no recipient: name one, or use -t and a To: header")
    sender = options.sender if options.sender is not None else _login()
    message = with_name(message, options, sender)
    utf8 = not all(text.isascii() for text in [sender, *recipients])
    daemon.answer()
    daemon.must("EHLO localhost")
    parameters = (
        " SMTPUTF8" * utf8 + f" RET={options.ret}" * bool(options.ret) + f" ENVID={options.envid}" * bool(options.envid)
    )
    daemon.must(f"MAIL FROM:<{sender}>{parameters}")
    for recipient in recipients:
        daemon.must(f"RCPT TO:<{recipient.strip('<>')}>" + f" NOTIFY={options.notify}" * bool(options.notify))
    code, text = daemon.command("DATA")
    if code != 354:
        raise Stop(_status(code), f"the message was refused: {code} {text}")
    stuffed = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:]
    daemon.send(stuffed + b".\r\n")
    code, text = daemon.answer()
    if code >= 400:
        raise Stop(_status(code), f"the message was refused: {code} {text}")
    daemon.command("QUIT")


def _login() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid{os.getuid()}"


def main() -> None:
    """Run as ``sendmail``."""
    options = Options()
    try:
        options.read(sys.argv[1:])
        path = os.environ.get("SMARTHOSTD_SUBMIT", DEFAULT_SOCKET)
        if options.smtp:
            sys.exit(Daemon(path).pass_through())
        message = read_message(sys.stdin.buffer.read(), dot_ends=options.dot_ends)
        submit(options, Daemon(path), message)
    except Stop as stop:
        text = _CONTROL.sub("?", str(stop))
        sys.stderr.write(f"sendmail: {text}\n")
        sys.exit(stop.status)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
