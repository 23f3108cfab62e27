"""What is said to the daemon: the commands of one message, and the conversation over its unix socket.

The daemon's sockets speak SMTP. Where it offers ``XLOCAL`` (on unix sockets only), MAIL says by that word that the
message comes from a command line and not from a program that speaks SMTP (``P=local`` in the log).
"""

import os
from _socket import AF_UNIX, SHUT_WR, SOCK_STREAM, socket

from smarthostd.sendmail.status import DATA_ERROR, NO_USER, NOT_PERMITTED, TEMPFAIL, UNAVAILABLE, Stop, Unreachable

GREETING_TIMEOUT = 10.0
"""Seconds until the daemon must have said that it is there: who waits longer is better served by the drop directory."""
TIMEOUT = 60.0
"""Seconds for each further answer of the daemon; ``$SMARTHOSTD_TIMEOUT`` says otherwise, for the greeting too."""
BLOCK = 1 << 16
GROUP = 500
"""Commands that are said before their answers are read: who reads none of many is not listened to any more."""
ANSWER_LIMIT = 1 << 20
"""Octets of one reply."""
_STATUSES = {500: DATA_ERROR, 501: DATA_ERROR, 550: NOT_PERMITTED, 553: NO_USER, 555: DATA_ERROR}


class Letter:
    """One message with its envelope, ready to be handed over."""

    def __init__(self, sender: str, recipients: list[str], content: bytes) -> None:
        self.sender = sender
        self.recipients = recipients
        self.content = content
        self.notify = self.ret = self.envid = ""

    def commands(self, *words: str) -> list[bytes]:
        """Return MAIL, with *words* as further parameters, and one RCPT for each recipient; raises Stop."""
        parameters = ["SMTPUTF8"] * (not all(text.isascii() for text in [self.sender, *self.recipients]))
        parameters += [f"RET={self.ret}"] * bool(self.ret) + [f"ENVID={self.envid}"] * bool(self.envid)
        notify = f" NOTIFY={self.notify}" * bool(self.notify)
        lines = [" ".join([f"MAIL FROM:<{self.sender}>", *parameters, *words])]
        lines += [f"RCPT TO:<{recipient}>{notify}" for recipient in self.recipients]
        for line in lines:
            if any(char < " " or char == "\x7f" for char in line):
                raise Stop(DATA_ERROR, "an address holds a control character")
        return [line.encode("utf-8", "surrogateescape") + b"\r\n" for line in lines]


class Daemon:
    """The conversation with the daemon."""

    def __init__(self, path: str) -> None:
        """Connect; raises Unreachable."""
        patience = _patience()
        self._socket = socket(AF_UNIX, SOCK_STREAM)
        self._socket.settimeout(patience or GREETING_TIMEOUT)
        self._timeout = patience or TIMEOUT
        self._unread = b""
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise Unreachable(f"cannot reach smarthostd at {path}: {error.strerror or error}") from None
        self._path = path

    def take_leave(self) -> None:
        """Go away without a message; raises Unreachable where none would be taken."""
        self._greeted()
        self._send(b"QUIT\r\n")
        self._socket.close()

    def hand_over(self, letter: Letter) -> str:
        """Have *letter* kept; return what the daemon says of it. Raises Stop, and Unreachable where it saw nothing."""
        self._greeted()
        _, offers = self._command(b"EHLO localhost\r\n")
        commands = letter.commands(*["XLOCAL"] * ("XLOCAL" in offers.split()))
        for at in range(0, len(commands), GROUP):
            group = commands[at : at + GROUP]
            self._send(b"".join(group))
            answers = [(line, *self._answer()) for line in group]
            for line, code, text in answers:
                if code >= 400:
                    said = line.decode("utf-8", "replace").strip()
                    raise Stop(_status(code), f"{said} was refused: {code} {text}")
        code, text = self._command(b"DATA\r\n")
        if code == 354:
            stuffed = (b"\r\n" + letter.content).replace(b"\r\n.", b"\r\n..")[2:]
            code, text = self._command(stuffed + b".\r\n")
        if code >= 400:
            raise Stop(_status(code), f"the message was refused: {code} {text}")
        self._send(b"QUIT\r\n")
        return text

    def pass_through(self) -> None:
        """Connect standard input and output to the daemon (``-bs``) until it has said its last word.

        Who ends the first line with LF alone does so with all of them, and means CRLF, as with ``smarthostd exim -bs``.
        """
        from select import POLLIN, poll

        self._socket.settimeout(None)
        waiting = poll()
        waiting.register(0, POLLIN)
        waiting.register(self._socket.fileno(), POLLIN)
        local_ends: bool | None = None
        while True:
            for descriptor, _ in waiting.poll():
                if descriptor:
                    block = self._socket.recv(BLOCK)
                    if not block:
                        return
                    _write(block)
                elif block := os.read(0, BLOCK):
                    if local_ends is None and b"\n" in block:
                        local_ends = b"\r\n" not in block[: block.index(b"\n") + 1]
                    self._send(block.replace(b"\n", b"\r\n") if local_ends else block)
                else:
                    waiting.unregister(0)
                    self._socket.shutdown(SHUT_WR)

    def _greeted(self) -> None:
        try:
            code, text = self._answer()
        except Stop as stop:
            raise Unreachable(str(stop)) from None
        if code != 220:
            raise Unreachable(f"smarthostd at {self._path} takes no mail now: {code} {text}")
        self._socket.settimeout(self._timeout)

    def _command(self, line: bytes) -> tuple[int, str]:
        self._send(line)
        return self._answer()

    def _send(self, octets: bytes) -> None:
        try:
            self._socket.sendall(octets)
        except OSError as error:
            raise Stop(TEMPFAIL, f"smarthostd closed the connection: {error.strerror or error}") from None

    def _answer(self) -> tuple[int, str]:
        """Return the next reply; raises Stop when none comes."""
        lines = []
        while True:
            line = self._line().decode("utf-8", "replace").rstrip("\r\n")
            if not line[:3].isdigit():
                raise Stop(TEMPFAIL, "smarthostd closed the connection, or does not speak SMTP")
            lines.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), " ".join(lines)

    def _line(self) -> bytes:
        """Return the next line, or what there is of it when the connection ends."""
        while b"\n" not in self._unread and len(self._unread) < ANSWER_LIMIT:
            try:
                block = self._socket.recv(BLOCK)
            except OSError as error:
                raise Stop(TEMPFAIL, f"smarthostd did not answer: {error.strerror or error}") from None
            if not block:
                break
            self._unread += block
        line, end, self._unread = self._unread.partition(b"\n")
        return line + end


def _patience() -> float:
    """Return the seconds that ``$SMARTHOSTD_TIMEOUT`` gives; 0 where it gives none."""
    try:
        return max(0.0, float(os.environ.get("SMARTHOSTD_TIMEOUT") or 0))
    except ValueError:
        return 0.0


def _write(octets: bytes) -> None:
    """Write to standard output, all of it."""
    while octets:
        octets = octets[os.write(1, octets) :]


def _status(code: int) -> int:
    """Return the exit status for a refusal."""
    return TEMPFAIL if code < 500 else _STATUSES.get(code, UNAVAILABLE)
