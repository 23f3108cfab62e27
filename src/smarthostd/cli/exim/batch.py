"""``-bS``: a file of SMTP commands and messages on standard input, to which nothing is answered.

Local line ends are taken as they are, and HELO may be left out. The first mistake ends the batch: what was taken
before it stays, the exit status is 1 then and 2 if nothing was, and both outputs say in which line it happened, so that
a program can go on from there.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import BinaryIO

from smarthostd.address import Address
from smarthostd.cli.exim.arguments import CommandLine
from smarthostd.cli.exim.entrance import Entrance, entrance
from smarthostd.cli.exim.process import Process
from smarthostd.config import Loaded
from smarthostd.envelope import Envelope, Recipient
from smarthostd.errors import Refused, SpoolError, SpoolFull
from smarthostd.expand.addresses import NotAnAddress
from smarthostd.listener.commands import read_address
from smarthostd.listener.content import Content
from smarthostd.reply import Reply
from smarthostd.sendmail.message import wire_form
from smarthostd.syntax import printable

PROTOCOL = "local-bsmtp"
_COMMAND = re.compile(
    r"(mail from:|rcpt to:|(?:helo|ehlo|rset|vrfy|expn|help|noop|etrn|data|quit)(?= |\Z))\s*(.*)", re.I | re.S
)
_IGNORED = frozenset({"helo", "ehlo", "rset", "vrfy", "expn", "help", "noop", "etrn"})
"""Commands that do nothing, or only forget what was begun."""
_FORGETTING = frozenset({"helo", "ehlo", "rset"})
_BARE = frozenset({"rset", "data", "quit"})
"""Commands that take no argument."""
_NOT_TAKEN = """\
An error was detected while processing a file of BSMTP input.
The error message was:

  {text}

The SMTP transaction started in line {began}.
The error was detected in line {line}.
"""
_AT_FAULT = "The SMTP command at fault was:\n\n   {command}\n\n"
_TAKEN = "{count} previous message{s} successfully processed.\nThe rest of the batch was abandoned.\n"


def take_batch(loaded: Loaded, line: CommandLine, process: Process) -> int:
    """Take all messages; return the exit status."""
    return asyncio.run(_take(loaded, line, process))


async def _take(loaded: Loaded, line: CommandLine, process: Process) -> int:
    async with entrance(loaded, line, process.say) as way:
        batch = _Batch(way, process.stdin.buffer)
        try:
            await batch.run()
        except _Wrong as wrong:
            return batch.tell(wrong, process)
    return 0


class _Wrong(Exception):
    """The batch cannot go on: what is wrong, and the command at fault, if it is one."""

    def __init__(self, text: str, command: str | None = None) -> None:
        super().__init__(text)
        self.command = command


class _Batch:
    """The batch as far as it has been read."""

    def __init__(self, way: Entrance, stream: BinaryIO) -> None:
        self._way = way
        self._lines = iter(stream)
        self._line = self._began = 0
        """Lines read, and those that stood before the transaction."""
        self._sender: Address | None = None
        self._recipients: list[Recipient] = []

    async def run(self) -> None:
        """Read to the end, or to QUIT; raises _Wrong."""
        for text in self._texts():
            match = _COMMAND.fullmatch(text)
            verb = match[1].lower() if match else ""
            argument = match[2] if match else ""
            if verb in _BARE and argument:
                raise _Wrong("501 Unexpected argument data", text)
            if verb == "quit":
                return
            if verb == "data":
                await self._data(text)
            else:
                self._command(verb, argument, text)

    def _texts(self) -> Iterator[str]:
        for octets in self._lines:
            self._line += 1
            text = octets.decode("utf-8", "surrogateescape").rstrip()
            if "\0" in text:
                raise _Wrong("501 Unexpected NULL in SMTP command", text)
            yield text

    def _command(self, verb: str, argument: str, text: str) -> None:
        if verb in _IGNORED:
            self._began = self._line
            if verb in _FORGETTING:
                self._sender, self._recipients = None, []
        elif verb == "mail from:":
            self._mail(argument, text)
        elif verb == "rcpt to:":
            self._rcpt(argument, text)
        else:
            raise _Wrong("500 Command unrecognized", text)

    def _mail(self, argument: str, text: str) -> None:
        if self._sender is not None:
            raise _Wrong("503 Sender already given", text)
        if not argument:
            raise _Wrong("501 MAIL FROM must have an address operand", text)
        self._sender = self._way.policy.sender(self._way.peer, self._address(argument, text, may_be_null=True))

    def _rcpt(self, argument: str, text: str) -> None:
        if self._sender is None:
            raise _Wrong("503 No sender yet given", text)
        if not argument:
            raise _Wrong("501 RCPT TO must have an address operand", text)
        limit = self._way.policy.recipients_max
        if limit and len(self._recipients) >= limit:
            code = 552 if self._way.loaded.settings.recipients_max_reject else 452
            raise _Wrong(f"{code} too many recipients", text)
        self._recipients.append(Recipient(self._address(argument, text)))

    def _address(self, argument: str, command: str, *, may_be_null: bool = False) -> Address:
        """Return the address in *argument*; raises _Wrong about the *command*."""
        try:
            return read_address(argument, may_be_null=may_be_null, literals=self._way.policy.domain_literals)
        except NotAnAddress as error:
            raise _Wrong(f"501 {error}", command) from error

    # -- a message

    async def _data(self, text: str) -> None:
        if self._sender is None:
            raise _Wrong("503 MAIL FROM:<sender> command must precede DATA", text)
        if not self._recipients:
            raise _Wrong("503 RCPT TO:<recipient> must precede DATA", text)
        octets = self._content(self._sender)
        incoming = self._way.door.begin()
        content = Content(incoming.sink, 0, self._way.policy.line_length_limit, normalize=True)
        content.write(octets)
        content.finish()
        addresses = [self._sender, *(one.address for one in self._recipients)]
        envelope = Envelope(
            self._sender, tuple(self._recipients), smtputf8=not all(str(one).isascii() for one in addresses),
            client=self._way.client(PROTOCOL),
        )  # fmt: skip
        try:
            content.must_be_good()
            id = await self._way.door.accept(incoming, envelope)
        except Refused as error:
            incoming.sink.discard()
            self._refuse(error.reply)
        except SpoolError as error:
            incoming.sink.discard()
            self._refuse(Reply(452 if isinstance(error, SpoolFull) else 451, str(error)))
        await self._way.deliver(id)
        self._began = self._line
        self._sender, self._recipients = None, []

    def _content(self, sender: Address) -> bytes:
        """Return the message up to the lone dot, in wire form; raises _Wrong."""
        limit = int(self._way.policy.message_size_limit)
        octets = bytearray()
        size = 0
        in_header = True
        for line in self._lines:
            plain = line.rstrip(b"\r\n")
            if plain == b".":
                break
            in_header = in_header and bool(plain)
            self._line += 1
            size += len(plain) + 1
            if not limit or size <= limit:
                octets += line[1:] if line.startswith(b".") else line
        else:
            form = "SMTP connection from {who} lost while reading message data"
            self._way.log.turned_down(self._way.client(PROTOCOL), form, needs="lost_incoming_connection", aside="")
            raise _Wrong("421 Lost incoming connection")
        if limit and size > limit:
            self._refuse(
                Reply(552, "Message size exceeds maximum permitted"), f"message too big: read={size} max={limit}"
            )
        self._line += not in_header  # Exim does not count a dot that ends a header
        return wire_form(bytes(octets), dot_ends=False)

    def _refuse(self, reply: Reply, why: str = "") -> None:
        assert self._sender is not None
        sender = self._sender.qualified(self._way.loaded.settings.qualify_domain)
        self._way.log.refused_message(self._way.door.begin().id, sender, self._way.client(PROTOCOL), reply, why)
        raise _Wrong(str(reply))

    # -- the end

    def tell(self, wrong: _Wrong, process: Process) -> int:
        """Say what went wrong, and where; return the exit status."""
        text, command, count = printable(str(wrong)), printable(wrong.command or ""), self._way.accepted
        told = f"{text}\nTransaction started in line {self._began}\nError detected in line {self._line}\n"
        process.out.write(told + f"{command}\n" * (wrong.command is not None))
        story = _NOT_TAKEN.format(text=text, began=self._began, line=self._line)
        story += _AT_FAULT.format(command=command) * (wrong.command is not None)
        process.complain(story + _TAKEN.format(count=count, s=" was" if count == 1 else "s were"))
        return 1 if count else 2
