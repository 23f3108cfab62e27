"""``lmtp``: delivery to a local server over its unix socket, with a verdict for each recipient (RFC 2033)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smarthostd.envelope import Message
from smarthostd.errors import ExpansionError
from smarthostd.expand import Expander
from smarthostd.outcome import Deferred, Host, Outcome
from smarthostd.routers.base import RoutedAddress
from smarthostd.smtp.connection import Connection, Limits, StageError
from smarthostd.smtp.dialogue import mail_line, rcpt_line
from smarthostd.transports.base import Batch, all_of
from smarthostd.transports.content import Outgoing
from smarthostd.transports.options import LmtpOptions
from smarthostd.transports.outcomes import Judge, host_error


class LmtpTransport:
    """One ``lmtp`` transport; the server is on this machine, so a connection serves one message."""

    def __init__(
        self, options: LmtpOptions, expander: Expander, log: Callable[[str, str], None] = lambda id, line: None
    ) -> None:
        """*log* takes a message's id and a line."""
        self.name = options.name
        self.max_rcpt = options.batch_max
        self._options = options
        self._expander = expander
        self._outgoing = Outgoing(options, expander, log)
        self._limits = Limits.of(options.timeout, options.timeout, options.timeout, options.timeout)

    async def deliver(self, message: Message, batch: Batch) -> Mapping[RoutedAddress, Outcome]:
        """Return an outcome for each address."""
        try:
            path = self._expander.expand(self._options.socket, batch.values)
            name = self._expander.expand(self._options.helo_data, batch.values)
            batch = self._outgoing.batch(batch)
            content = self._outgoing.content(message, batch)
        except ExpansionError as error:
            return all_of(batch.addresses, Deferred(str(error), -27))
        host = Host("localhost", path, 0)
        try:
            connection = await Connection.open(host, self._limits)
        except StageError as error:
            return all_of(batch.addresses, Deferred(f"failed to connect to socket {path}: {error.text}", error.errno))
        try:
            await connection.greeting()
            await connection.hello(name, "LHLO")
            offer = connection.session.offer
            mail = mail_line(batch.sender, message.envelope, content.size, offer)
            rcpts = [self._rcpt(rcpt_line(one.address, one.recipient, offer)) for one in batch.addresses]
            answers = await connection.transaction(
                mail, rcpts, content, bdat=False, pipelining="PIPELINING" in offer, lmtp=True
            )
        except StageError as error:
            return all_of(batch.addresses, host_error(error, ""))
        finally:
            await connection.quit()
        judge = Judge(connection.session, "")
        return {
            one: judge.outcome(answer, str(batch.sender), str(one.address), content.size)
            for one, answer in zip(batch.addresses, answers, strict=True)
        }

    def _rcpt(self, line: bytes) -> bytes:
        return line[:-2] + b" IGNOREQUOTA\r\n" if self._options.ignore_quota else line

    async def close(self) -> None:
        """Nothing is kept."""
