"""Who is told of what: bounces, success reports, and to nobody where nobody may be told.

A report goes to the envelope's sender (or ``errors_to``), from the null sender, and is put into the spool
in the same transaction that ends the recipients it is about: none is lost, none is doubled. A report
about a report is never made; ``plan.py`` has frozen that message before it gets here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from smarthostd.address import NULL_SENDER, Address, AddressError
from smarthostd.bounce.report import Kind, Style, compose
from smarthostd.envelope import Client, Envelope, Message, Recipient
from smarthostd.mainlog import MainLog
from smarthostd.outcome import Delivered
from smarthostd.plan import Plan, Result

Make = Callable[[Envelope, bytes], Message]
"""``Intake.make``: a message with id, Received and the rest, not yet in the spool."""


class Bounces:
    """Composes the reports of one attempt."""

    def __init__(self, style: Style, make: Make, log: MainLog) -> None:
        self._style = style
        self._make = make
        self._log = log

    def compose(self, message: Message, plan: Plan) -> list[Message]:
        """Return the messages to be put with what the attempt recorded."""
        if not message.envelope.sender:
            return []
        reports = []
        for to, results in self._by_reader(message, plan.failed).items():
            reports.append(self._report(Kind.FAILED, message, results, to))
        relayed = [result for result in plan.delivered if self._wants_success(result)]
        if relayed:
            reports.append(self._report(Kind.RELAYED, message, relayed, message.envelope.sender))
        return reports

    def _report(self, kind: Kind, message: Message, results: Sequence[Result], to: Address) -> Message:
        boundary = f"{secrets.token_hex(8)}-eximdsn-{secrets.token_hex(4)}"
        content = compose(kind, self._style, message, results, str(to), boundary)
        client = Client(protocol="local", login="smarthostd")
        utf8 = not str(to).isascii()
        return self._make(Envelope(NULL_SENDER, (Recipient(to),), client=client, smtputf8=utf8), content)

    def _by_reader(self, message: Message, failed: Sequence[Result]) -> dict[Address, list[Result]]:
        readers: dict[Address, list[Result]] = {}
        for result in failed:
            reader = self._reader(message, result)
            if reader:
                readers.setdefault(reader, []).append(result)
        return readers

    def _reader(self, message: Message, result: Result) -> Address | None:
        """Return who is to be told of this failure; None, and a line in the log, where nobody is."""
        original = result.address.recipient.address
        notify = result.address.recipient.notify.upper()
        if notify and "FAILURE" not in notify:
            reason = "RFC 3461 DSN, failure notify not requested"
            self._log.failure_ignored(message.id, original, reason)
            return None
        if result.address.errors_to is None:
            return message.envelope.sender
        try:
            return Address.parse(result.address.errors_to)
        except AddressError:
            self._log.failure_ignored(message.id, original)
            return None

    @staticmethod
    def _wants_success(result: Result) -> bool:
        outcome = result.outcome
        asked = "SUCCESS" in result.address.recipient.notify.upper()
        return asked and isinstance(outcome, Delivered) and not outcome.dsn
