"""From settings to a road on which messages move: what takes them in, what delivers them, what they write to the log.

The daemon builds one and adds doors and a runner; a tool that runs the queue while the daemon is down builds the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from smarthostd import headers
from smarthostd.alarms import AlarmOptions
from smarthostd.assembly import (
    ClientList,
    HintKeys,
    Language,
    Parts,
    build_language,
    build_memory,
    build_parts,
    build_rewriting,
)
from smarthostd.bounce import Bounces, ReportOptions
from smarthostd.bounce.report import Limits
from smarthostd.clock import Clock
from smarthostd.delivery import Delivery
from smarthostd.envelope import Client, Message, Recipient
from smarthostd.errors import ExpansionError, ListDefer
from smarthostd.expand import Expander
from smarthostd.health import Alarms, Memory
from smarthostd.intake import Intake, IntakePolicy
from smarthostd.local_from import LocalFrom
from smarthostd.logwriter import Destination, SyslogOptions, places
from smarthostd.mainlog import LogStyle, MainLog
from smarthostd.message_id import MessageIds
from smarthostd.outcome import HELD_BACK, Deferred, Outcome
from smarthostd.plan import NOT_NOW, Patience, Planner
from smarthostd.rewrite import Bare
from smarthostd.routers.base import RoutedAddress
from smarthostd.selectors import selected
from smarthostd.spool.base import Spool, Waiting
from smarthostd.transports.base import Batch, Transport, all_of

if TYPE_CHECKING:
    from smarthostd.config.settings import Settings

DOMAIN_HELD, DOMAIN_QUEUED, LOCAL_ONLY = -23, -56, -55
"""Exim's numbers for these deferrals."""
HELD, QUEUED = "domain is held", "domain is in queue_domains"
"""Why a recipient waits for somebody's word, or for a queue run."""


class Surroundings(Struct, frozen=True):
    """What a road stands on, whatever its configuration."""

    spool: Spool
    log: MainLog
    clock: Clock
    alarms: Alarms
    serves: bool = False
    """Whether this program serves clients, for none of whom the others may wait."""


class Road(Struct, frozen=True):
    """All that moves messages, but the runner and the doors."""

    parts: Parts
    memory: Memory
    intake: Intake
    delivery: Delivery

    def local_only(self, settings: Settings, around: Surroundings) -> Road:
        """Return a road like this that leads to no other host."""
        transports = {name: _NotNow(one) if one.remote else one for name, one in self.parts.transports.items()}
        parts = replace(self.parts, transports=transports)
        return replace(self, parts=parts, delivery=build_delivery(settings, parts, self.memory, self.intake, around))

    async def close(self) -> None:
        """Say good-bye on all kept connections."""
        for transport in self.parts.transports.values():
            await transport.close()


class _NotNow:
    """A transport to other hosts of which nothing is wanted now (Exim's ``-ql``)."""

    remote = True

    def __init__(self, transport: Transport) -> None:
        self.name, self.max_rcpt = transport.name, transport.max_rcpt
        self.close = transport.close

    async def deliver(self, message: Message, batch: Batch) -> Mapping[RoutedAddress, Outcome]:
        """Return for each address that it is left for later."""
        return all_of(batch.addresses, Deferred("remote deliveries suppressed", LOCAL_ONLY, error=NOT_NOW))


def build_road(settings: Settings, source: str, around: Surroundings) -> Road:
    """Return the road of *settings*; what the spool remembers is still to be restored. Raises ConfigurationError."""
    language = build_language(settings, source, around.log.noted, serves=around.serves)
    memory = build_memory(settings, language, around.alarms, around.clock)
    parts = build_parts(settings, language, memory.health, around.log)
    policy = intake_policy(settings, language)
    intake = Intake(around.spool, MessageIds(around.clock), around.clock, policy, around.log)
    return Road(parts, memory, intake, build_delivery(settings, parts, memory, intake, around))


def build_delivery(settings: Settings, parts: Parts, memory: Memory, intake: Intake, around: Surroundings) -> Delivery:
    """Return what makes attempts."""
    planner = Planner(parts.retry, around.clock, patience(settings), HintKeys(settings), memory.hints)
    expander = parts.language.expander
    bounces = Bounces(report_options(settings), expander, intake.make, around.log, around.clock)
    return Delivery(
        parts.routing, parts.transports, planner, bounces, around.spool, around.log, around.clock, memory,
        HeldBack(settings, parts.language),
    )  # fmt: skip


class HeldBack:
    """What ``hold_domains`` and ``queue_domains`` keep waiting (``delivery.Stops``)."""

    def __init__(self, settings: Settings, language: Language) -> None:
        self._held, self._queued = settings.hold_domains, settings.queue_domains
        self._expander = language.expander

    def __call__(self, recipient: Recipient, waiting: Waiting) -> Deferred | None:
        """Return why a recipient is not to be tried now; None: go ahead. A list that cannot be evaluated holds."""
        try:
            if self._held and self._lists(self._held, recipient):
                return Deferred(HELD, DOMAIN_HELD, error=HELD_BACK)
            if self._queued and not waiting.attempts and self._lists(self._queued, recipient):
                return Deferred(QUEUED, DOMAIN_QUEUED, error=HELD_BACK)
        except (ExpansionError, ListDefer) as error:
            return Deferred(f"hold_domains or queue_domains: {error}", DOMAIN_HELD, error=HELD_BACK)
        return None

    def _lists(self, domains: str, recipient: Recipient) -> bool:
        return listed(self._expander, domains, recipient.address.domain)


def listed(expander: Expander, domains: str, domain: str) -> bool:
    """Return whether *domain* is in the list *domains*; raises ExpansionError and ListDefer."""
    text = expander.expand(domains)
    return expander.matcher.domain(domain, text, expander.expand) is not None


def intake_policy(settings: Settings, language: Language) -> IntakePolicy:
    """Return what matters where messages come in."""
    sender_may = ClientList(settings.sender_unqualified_hosts, language)
    recipient_may = ClientList(settings.recipient_unqualified_hosts, language)

    def bare(client: Client) -> Bare:
        """Return what becomes of bare addresses in header lines: of our own programs they are always completed."""
        return Bare(
            settings.qualify_domain if not client.address or sender_may(client.address) else "",
            settings.qualify_recipient if not client.address or recipient_may(client.address) else "",
        )

    return IntakePolicy(
        settings.primary_hostname,
        settings.qualify_domain,
        settings.qualify_recipient,
        settings.received_headers_max,
        settings.header_maxsize,
        build_rewriting(settings, language),
        bare,
        LocalFrom(
            settings.local_from_check,
            settings.local_sender_retain,
            settings.local_from_prefix,
            settings.local_from_suffix,
        ),
        frozenset(
            name for name in headers.DELIVERY_LINES if getattr(settings, f"{name.decode().replace('-', '_')}_remove")
        ),
    )


def patience(settings: Settings) -> Patience:
    """Return how long what cannot be delivered is kept."""
    return Patience(
        settings.ignore_bounce_errors_after,
        settings.timeout_frozen_after,
        settings.auto_thaw,
        drops_expired_bounces=10 in settings.exim_strict,
        ends_with_others=12 in settings.exim_strict,
    )


def alarm_options(settings: Settings) -> AlarmOptions:
    """Return who is told of a hold."""
    return AlarmOptions(
        settings.alarm_command, settings.alarm_webhook, settings.alarm_timeout, settings.primary_hostname
    )


def report_options(settings: Settings) -> ReportOptions:
    """Return what reports are made by."""
    return ReportOptions(
        primary_hostname=settings.primary_hostname,
        dsn_from=settings.dsn_from,
        errors_reply_to=settings.errors_reply_to,
        errors_copy=settings.errors_copy,
        bounce_message_text=settings.bounce_message_text,
        bounce_message_file=settings.bounce_message_file,
        warn_message_file=settings.warn_message_file,
        delay_warning=settings.delay_warning,
        delay_warning_condition=settings.delay_warning_condition,
        freeze_tell=settings.freeze_tell,
        reports_per_minute=settings.reports_per_minute,
        limits=Limits(
            settings.bounce_return_message,
            settings.bounce_return_body,
            settings.bounce_return_size_limit,
            settings.bounce_return_linesize_limit,
        ),
        strict=11 in settings.exim_strict,
    )


def log_places(settings: Settings) -> list[Destination]:
    """Return where log lines go."""
    syslog = SyslogOptions(
        settings.syslog_facility.lower().removeprefix("log_") or "mail",
        settings.syslog_processname,
        settings.syslog_timestamp,
        settings.syslog_pid,
        settings.syslog_duplication,
    )
    return places(settings.log_file_path, settings.spool_directory, syslog, reject_log=settings.write_rejectlog)


def log_style(settings: Settings) -> LogStyle:
    """Return how they look."""
    return LogStyle(settings.log_format == "json", selected(settings.log_selector), settings.log_timezone)
