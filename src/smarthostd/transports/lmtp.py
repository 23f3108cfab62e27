"""``lmtp``: delivery to a local server over its unix socket, with a verdict for each recipient (RFC 2033)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from smarthostd.envelope import Message
from smarthostd.errors import ExpansionError
from smarthostd.expand import Expander
from smarthostd.outcome import Deferred, Host, Outcome
from smarthostd.routers.base import RoutedAddress
from smarthostd.smtp.connection import Connection, Limits, SessionError, Way
from smarthostd.smtp.dialogue import mail_text, rcpt_text
from smarthostd.transports.base import Batch, all_of
from smarthostd.transports.content import Outgoing, with_delivery_headers
from smarthostd.transports.outcomes import Judge, host_error

if TYPE_CHECKING:
    from smarthostd.transports.options.lmtp import LmtpOptions

EXPANSION_FAILED = -27


class LmtpTransport:
    """One ``lmtp`` transport; the server is on this machine, so a connection serves one message."""

    remote = False

    def __init__(
        self, options: LmtpOptions, expander: Expander, log: Callable[[str, str], None] = lambda id, line: None
    ) -> None:
        """*log* takes a message's id and a line."""
        self.name = options.name
        self.max_rcpt = options.batch_max
        self._options = options
        self._expander = expander
        self._log = log
        self._outgoing = Outgoing(options, expander, log)
        self._limits = Limits.of(options.timeout, options.timeout, options.timeout, options.timeout)

    async def deliver(self, message: Message, batch: Batch) -> Mapping[RoutedAddress, Outcome]:
        """Return an outcome for each address."""
        try:
            path = self._expander.expand(self._options.socket, batch.values)
            name = self._expander.expand(self._options.helo_data, batch.values)
            batch = self._outgoing.batch(batch)
            content = self._outgoing.content(message, batch)
            if too_big := self._outgoing.too_big(content, batch.values):
                return all_of(batch.addresses, too_big)
            content = with_delivery_headers(content, batch, self._options, batch.sender)
        except ExpansionError as error:
            return all_of(batch.addresses, Deferred(str(error), EXPANSION_FAILED))
        if not path.startswith("/"):
            text = f'socket of {self.name} transport is not an absolute path: "{path}"'
            return all_of(batch.addresses, Deferred(text, EXPANSION_FAILED))
        try:
            connection = await Connection.open(Host("localhost", path, 0), self._limits)
        except SessionError as error:
            text = f"failed to connect to socket {path}: {error.text}"
            return all_of(batch.addresses, Deferred(text, error.errno))
        try:
            await connection.greeting()
            await connection.hello(name, "LHLO")
            offer, pipelining = connection.session.offer, "PIPELINING" in connection.session.offer
            utf8 = message.envelope.smtputf8 and "SMTPUTF8" in offer
            mail = mail_text(batch.sender, message.envelope, content.size, offer, utf8)
            ignore_quota = self._options.ignore_quota
            rcpts = [rcpt_text(one.address, one.recipient, offer, ignore_quota=ignore_quota) for one in batch.addresses]
            answers = await connection.transaction(mail, rcpts, content, Way(pipelining=pipelining, lmtp=True))
        except SessionError as error:
            self._log(message.id, f"{path}: {error.text}")
            return all_of(batch.addresses, host_error(error, ""))
        finally:
            await connection.quit()
        judge = Judge(connection.session, mail, pipelining, lmtp=True, size=content.size)
        return judge.outcomes({one: str(one.address) for one in batch.addresses}, answers)

    async def close(self) -> None:
        """Nothing is kept."""
