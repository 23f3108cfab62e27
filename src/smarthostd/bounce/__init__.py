"""Who is told of what: bounces, delay warnings, success reports, notices, and nobody where nobody may be told.

A report goes to the envelope's sender (or ``errors_to``), from the null sender, and is put into the spool
in the same transaction that ends the recipients it is about: none is lost, none is doubled. A report
about a report is never made, not even for an ``errors_to``: two that cannot be delivered would make one another
for ever. ``plan.py`` has frozen that message before it gets here.

There are at most ``reports_per_minute``; what is beyond waits in the spool as notices, and goes in one digest a
minute for each reader. A loop of two programs, or a list with a thousand dead addresses, is then a few messages.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from msgspec import Struct, field

from smarthostd.address import NULL_SENDER, Address, AddressError
from smarthostd.bounce import custom, delays, report, text
from smarthostd.bounce.budget import Budget
from smarthostd.bounce.report import Limits, Part
from smarthostd.bounce.text import Kind
from smarthostd.clock import Clock
from smarthostd.envelope import Client, Envelope, Message, Recipient
from smarthostd.errors import Deferral, ExpansionError
from smarthostd.expand import Expander, Values, is_true
from smarthostd.expand.addresses import Mailboxes, NotAnAddress, split_addresses
from smarthostd.expand.nodes import State
from smarthostd.headers import end_of_header
from smarthostd.lists import split
from smarthostd.mainlog import MainLog
from smarthostd.outcome import Delivered
from smarthostd.plan import Plan, Result
from smarthostd.routers.base import Mistakes
from smarthostd.spool.base import Notice, Pending
from smarthostd.syntax import printable

Make = Callable[[Envelope, bytes], Message]
"""``Intake.make``: a message with id, Received and the rest, not yet in the spool."""

DEFAULT_FROM = "Mail Delivery System <Mailer-Daemon@$qualify_domain>"
OUR_LOGIN = "smarthostd"
"""Who writes reports."""
DIGEST_LIMIT = 500
"""Reports that one digest tells."""
_COPY = re.compile(r'(?:"((?:[^"\\]|\\.)*)"|(\S*))\s*(.*)', re.DOTALL)
"""An item of ``errors_copy``: a pattern, perhaps in quotes, and addresses."""


class ReportOptions(Struct, frozen=True):
    """The main options that say who is told, and how; each has the option's name and is expanded when it is used."""

    primary_hostname: str
    dsn_from: str = DEFAULT_FROM
    errors_reply_to: str = ""
    errors_copy: str = ""
    bounce_message_text: str = ""
    bounce_message_file: str = ""
    warn_message_file: str = ""
    delay_warning: tuple[timedelta, ...] = ()
    delay_warning_condition: str = ""
    freeze_tell: str = ""
    reports_per_minute: int = 0
    limits: Limits = field(default_factory=Limits)
    strict: bool = False
    """Exim's codes and words only (difference 11 switched off)."""


class Told(Struct):
    """What follows from one attempt for those who are to hear of it."""

    messages: list[Message] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    warned: int | None = None
    """How many delay warnings the message has had, if that has changed."""


class Bounces:
    """Composes the reports of one attempt."""

    def __init__(self, options: ReportOptions, expander: Expander, make: Make, log: MainLog, clock: Clock) -> None:
        self._options = options
        self._expander = expander
        self._make = make
        self._log = log
        self._clock = clock
        self._budget = Budget(options.reports_per_minute, clock)

    @property
    def digests_per_minute(self) -> int:
        """How many readers may have a digest in a minute."""
        return self._options.reports_per_minute or DIGEST_LIMIT

    def compose(self, pending: Pending, plan: Plan, values: Values) -> Told:
        """Return what is to be put with what the attempt recorded; *values* are the message's variables."""
        told = Told()
        if pending.message.envelope.sender:
            self._tell_successes(told, pending.message, plan)
            if plan.failed:
                self._tell_failures(told, pending.message, plan, values)
            self._warn(told, pending, plan, values)
            for mistakes in dict.fromkeys(plan.mistakes):
                self._tell_of_mistakes(told, pending.message, mistakes)
        else:
            for result in plan.failed:
                self._ignored(pending.message, result)
        if plan.freeze is not None:
            self._tell_of_frozen(told, pending.message, plan)
        return told

    # -- failures

    def _tell_failures(self, told: Told, message: Message, plan: Plan, values: Values) -> None:
        failed = [result for result in reversed(plan.failed) if self._wants_failure(message, result)]
        for reader, results in self._by_reader(message, failed).items():
            notice = self._entries(Kind.FAILED, results)
            if self._budget.take():
                told.messages.append(self._bounce(message, results, notice, reader, values))
            else:
                told.notices.append(self._notice(Kind.FAILED, message, results, notice, reader))

    def _wants_failure(self, message: Message, result: Result) -> bool:
        """Whether somebody is to be told of this failure; a line in the log says why not."""
        notify = result.address.recipient.notify.upper()
        if notify and "FAILURE" not in notify.split(","):
            reason = "RFC 3461 DSN, failure notify not requested"
            self._ignored(message, result, reason)
            return False
        if self._reader(message, result) is None:
            self._ignored(message, result)
            return False
        return True

    def _ignored(self, message: Message, result: Result, reason: str = "") -> None:
        parents = result.address.parents
        self._log.failure_ignored(message.id, result.address.shown, parents[0] if parents else None, reason)

    def _by_reader(self, message: Message, results: Iterable[Result]) -> dict[Address, list[Result]]:
        readers: dict[Address, list[Result]] = {}
        for result in results:
            reader = self._reader(message, result)
            if reader is not None:
                readers.setdefault(reader, []).append(result)
        return readers

    @staticmethod
    def _reader(message: Message, result: Result) -> Address | None:
        """Return who hears of *result*: the sender, or whom ``errors_to`` names; None for nobody."""
        if result.address.errors_to is None:
            return message.envelope.sender
        try:
            return Address.parse(result.address.errors_to)
        except AddressError:
            return None

    def _bounce(
        self, message: Message, results: list[Result], entries: str, reader: Address, values: Values
    ) -> Message:
        options = self._options
        sender, to = str(message.envelope.sender), str(reader)
        own = self._custom("bounce_message_file", options.bounce_message_file, message, {
            **values, "bounce_recipient": to, "bounce_return_size_limit": str(options.limits.size),
            "return_size_limit": str(options.limits.size),
        })  # fmt: skip
        header = [*report.failed_recipients(results), *self._header(message, to, "auto-replied", values)]
        subject = "Subject: Mail delivery failed" + ": returning message to sender" * (to == sender)
        opening = own.opening or text.failed_opening(sender, to, options.bounce_message_text)
        parts = [
            report.text(f"{opening}\n{entries}"),
            self._status(Kind.FAILED, message, list(reversed(results))),
            *report.returned(message, options.limits, whole=True, strict=options.strict),
        ]
        content = report.multipart(header, own.fields or subject, parts)
        return self._message(content, [reader, *self._copies(message, reader)])

    def _copies(self, message: Message, reader: Address) -> list[Address]:
        """Return who else gets a bounce to *reader*: the first item of ``errors_copy`` that fits."""
        subject = str(reader)
        values = {"local_part": reader.local_part, "domain": reader.domain}
        for item in split(self._options.errors_copy):
            quoted, bare, addresses = _COPY.fullmatch(item.strip()).groups()  # type: ignore[union-attr]  # fits all
            try:
                pattern = bare or re.sub(r"\\(.)", r"\1", quoted or "")
                match = self._expander.matcher.address(subject, pattern, self._expander.expand)
                if match is None or not addresses:
                    continue
                numbered = (subject, *match.numbered[1:])
                found = State(self._expander, values, numbered=numbered).expand(addresses)
                return [one for one in _addresses(found) if one.key != reader.key]
            except (ExpansionError, Deferral, AddressError) as error:
                self._log.told(message.id, f"errors_copy: no copy of this bounce is sent: {error}")
                return []
        return []

    # -- successes

    def _tell_successes(self, told: Told, message: Message, plan: Plan) -> None:
        if not any(result.address.recipient.notify for result in plan.delivered):
            return
        done = set(plan.done) - {result.address.recipient for result in plan.failed}
        results = [result for result in plan.delivered if self._wants_success(result, done)]
        if not results:
            return
        sender = message.envelope.sender
        kinds = [_kind_of_success(result) for result in results]
        blocks = {
            result.address.recipient: report.status_fields(kind, result, strict=self._options.strict)
            for kind, result in zip(kinds, results, strict=True)
        }
        body = text.delivered_text(results, strict=self._options.strict)
        if not self._budget.take():
            status = "\n".join(blocks.values())
            told.notices.append(Notice(str(sender), self._clock.now(), f"{_about(message)}\n{body}", status))
            return
        header = [
            *self._reply_to(),
            f"From: {self._from({})}",
            "Auto-Submitted: auto-generated",
            f"To: {sender}",
            "Subject: Delivery Status Notification",
            *report.references(message),
        ]
        parts = [
            report.text(body),
            self._status_part(message, blocks.values()),
            *report.returned(message, self._options.limits, whole=False, strict=self._options.strict),
        ]
        content = report.multipart(header, "", parts)
        told.messages.append(self._message(content, [sender]))

    @staticmethod
    def _wants_success(result: Result, done: set[Recipient]) -> bool:
        """Whether a delivery is to be told of: asked for, complete, and the next hop will not tell of it."""
        outcome, recipient = result.outcome, result.address.recipient
        asked = "SUCCESS" in recipient.notify.upper().split(",")
        return asked and recipient in done and isinstance(outcome, Delivered) and not outcome.dsn

    # -- delays

    def _warn(self, told: Told, pending: Pending, plan: Plan, values: Values) -> None:
        """Warn the sender, once for each age of ``delay_warning`` that has passed."""
        if not plan.deferred:
            return
        message = pending.message
        age = timedelta(seconds=max(0.0, self._clock.now() - message.received))
        due, told_age = delays.warnings_due(self._options.delay_warning, age)
        if due <= pending.warned:
            return
        results = [result for result in reversed(plan.deferred) if _wants_delay(result)]
        if not results or not self._warns(message, plan, values):
            return
        told.warned = due
        delay = delays.in_words(told_age, age)
        for reader, own in self._by_reader(message, results).items():
            entries = self._entries(Kind.DELAYED, own)
            if self._budget.take():
                told.messages.append(self._warning(message, own, entries, reader, delay, values))
            else:
                told.notices.append(self._notice(Kind.DELAYED, message, own, entries, reader))

    def _warns(self, message: Message, plan: Plan, values: Values) -> bool:
        """Return whether ``delay_warning_condition`` holds; what cannot be decided now is asked at the next attempt."""
        condition = self._options.delay_warning_condition
        if not condition:
            return True
        domains = {result.address.address.domain.lower() for result in plan.deferred}
        domain = domains.pop() if len(domains) == 1 else ""
        try:
            return is_true(self._expander.expand(condition, {**values, "domain": domain}).strip())
        except ExpansionError as error:
            self._log.told(message.id, f"delay_warning_condition: nobody is warned of the delay: {error}")
            return False

    def _warning(
        self, message: Message, results: list[Result], entries: str, reader: Address, delay: str, values: Values
    ) -> Message:
        options = self._options
        to = str(reader)
        own = self._custom("warn_message_file", options.warn_message_file, message, {
            **values, "warn_message_delay": delay, "warnmsg_delay": delay,
            **dict.fromkeys(("warn_message_recipients", "warnmsg_recipients"), to),
            **dict.fromkeys(("warn_message_recipient", "warnmsg_recipient"), to),
        })  # fmt: skip
        date = report.field(report.header_block(message), b"Date")
        hostname = options.primary_hostname
        opening = own.opening or text.delayed_opening(message, date, to, delay, hostname, len(results))
        end = own.third if own.given else text.DELAYED_END
        parts = [
            report.text(f"{opening}\n{entries}\n{end}"),
            self._status(Kind.DELAYED, message, results),
            *report.returned(message, options.limits, whole=False, strict=options.strict),
        ]
        subject = own.fields or f"Subject: Warning: message {message.id} delayed {delay}"
        header = self._header(message, to, "auto-replied", values)
        return self._message(report.multipart(header, subject, parts), [reader])

    # -- frozen messages

    def _tell_of_frozen(self, told: Told, message: Message, plan: Plan) -> None:
        """Tell the addresses of ``freeze_tell``; not of our own reports, for this is one, and may freeze as well."""
        ours = not message.envelope.sender and message.envelope.client.login == OUR_LOGIN
        if ours or not self._options.freeze_tell:
            return
        try:
            readers = _addresses(self._options.freeze_tell)
        except AddressError as error:
            self._log.told(message.id, f"freeze_tell: nobody is told: {error}")
            return
        header = self._header(message, self._options.freeze_tell, "auto-replied", {})
        reason = plan.freeze or ""
        body = text.frozen_text(message, reason, [*plan.deferred, *plan.kept])
        self._tell_plainly(told, readers, header, "Message frozen", body)

    def _tell_plainly(
        self, told: Told, readers: Sequence[Address], header: Sequence[str], subject: str, body: str
    ) -> None:
        """Tell administrators what is no report on recipients: at once, or each with the next digest."""
        if self._budget.take():
            told.messages.append(self._message(report.plain(header, subject, body), readers))
        else:
            told.notices += [Notice(str(reader), self._clock.now(), body, "") for reader in readers]

    # -- redirections

    def _tell_of_mistakes(self, told: Told, message: Message, mistakes: Mistakes) -> None:
        """Tell the addresses of ``syntax_errors_to`` what was skipped."""
        readers = _addressed(mistakes.to)
        if not readers:
            line = f'syntax_errors_to of {mistakes.router} router: no address in "{printable(mistakes.to)}"'
            self._log.told(message.id, line)
            return
        header = [
            "Auto-Submitted: auto-replied",
            f"From: {self._from({})}",
            f"To: {printable(' '.join(mistakes.to.split()))}",
            *report.references(message),
        ]
        body = text.mistakes_text(mistakes)
        self._tell_plainly(told, readers, header, "error(s) in forwarding or filtering", body)

    # -- digests

    def digest(self, notices: Sequence[Notice]) -> Message:
        """Return one message that tells all of *notices*, which are for one reader."""
        to = notices[0].reader
        opening = f"""{text.OPENING}
More reports were due within a minute than are sent one by one, so that
these {len(notices)} stand together here:
"""
        header = self._common_header(to, "auto-replied", {})
        parts = [
            report.text(opening + "".join(f"\n{notice.text}" for notice in notices)),
            report.status(self._options.primary_hostname, "", [one.status for one in notices if one.status]),
        ]
        subject = f"Subject: Mail delivery reports ({len(notices)})"
        return self._message(report.multipart(header, subject, parts), [Address.parse(to)])

    def _notice(self, kind: Kind, message: Message, results: list[Result], entries: str, reader: Address) -> Notice:
        what = "could not be delivered to" if kind is Kind.FAILED else "has not yet been delivered to"
        status = "\n".join(report.status_fields(kind, one, strict=self._options.strict) for one in reversed(results))
        return Notice(str(reader), self._clock.now(), f"{_about(message)} {what}:\n{entries}", status)

    # -- what all have

    def _entries(self, kind: Kind, results: Iterable[Result]) -> str:
        lead = "Delay reason: " if kind is Kind.DELAYED else ""
        return "".join(text.entry(result, lead, explained=not self._options.strict) for result in results)

    def _status(self, kind: Kind, message: Message, results: Iterable[Result]) -> Part:
        blocks = [report.status_fields(kind, result, strict=self._options.strict) for result in results]
        return self._status_part(message, blocks)

    def _status_part(self, message: Message, blocks: Iterable[str]) -> Part:
        envelope = message.envelope
        joined = list(blocks)
        utf8 = envelope.smtputf8 or not "".join(joined).isascii()
        envid = envelope.envid if self._options.strict else report.decoded(envelope.envid)
        return report.status(self._options.primary_hostname, envid, joined, utf8=utf8)

    def _header(self, message: Message, to: str, automatic: str, values: Values) -> list[str]:
        return [*self._common_header(to, automatic, values), *report.references(message)]

    def _common_header(self, to: str, automatic: str, values: Values) -> list[str]:
        return [
            *self._reply_to(),
            f"Auto-Submitted: {automatic}",
            f"From: {self._from(values)}",
            f"To: {to}",
        ]

    def _reply_to(self) -> list[str]:
        return [f"Reply-To: {self._options.errors_reply_to}"] * bool(self._options.errors_reply_to)

    def _from(self, values: Values) -> str:
        """Return ``dsn_from``; where it cannot be expanded, its default."""
        try:
            expanded = self._expander.expand(self._options.dsn_from, values)
        except ExpansionError as error:
            self._log.noted(f"dsn_from: failed to expand, its default is used: {error}")
            expanded = self._expander.expand(DEFAULT_FROM)
        return " ".join(expanded.split())

    def _custom(self, option: str, value: str, message: Message, values: Values) -> custom.Custom:
        return custom.read(option, value, self._expander, values, lambda line: self._log.told(message.id, line))

    def _message(self, content: bytes, readers: Sequence[Address]) -> Message:
        """Return the report as a message from the null sender."""
        client = Client(protocol="local", login=OUR_LOGIN)
        recipients = tuple(Recipient(reader) for reader in readers)
        utf8 = not content[: end_of_header(content)].isascii()
        body = "" if content.isascii() else "8BITMIME"
        return self._make(Envelope(NULL_SENDER, recipients, body=body, client=client, smtputf8=utf8), content)


def _kind_of_success(result: Result) -> Kind:
    outcome = result.outcome
    return Kind.DELIVERED if isinstance(outcome, Delivered) and outcome.final else Kind.RELAYED


def _wants_delay(result: Result) -> bool:
    notify = result.address.recipient.notify.upper()
    return not notify or "DELAY" in notify.split(",")


def _addresses(text_: str) -> list[Address]:
    """Return the addresses of a list with commas; raises AddressError."""
    return [Address.parse(one.strip()) for one in text_.split(",") if one.strip()]


def _addressed(text_: str) -> list[Address]:
    """Return the addresses of a header line; what is none is left out."""
    reader = Mailboxes(groups=True, utf8_domains=True)
    found = []
    for piece in split_addresses(text_):
        with contextlib.suppress(NotAnAddress, AddressError):
            found.append(Address.parse(str(reader.read(piece))))
    return found


def _about(message: Message) -> str:
    subject = f" ({message.subject})" if message.subject else ""
    return f"Message {message.id}{subject}"
