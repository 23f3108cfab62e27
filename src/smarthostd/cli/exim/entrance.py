"""Where mail that a command line brings goes in: the daemon, the spool itself, or the drop directory.

A daemon that runs gets it over its unix socket, as from ``sendmail``, and delivers it. Without one the message goes
into the spool by the same door that the daemon has (:mod:`smarthostd.intake`), and this process delivers it, as Exim's
does. Who may not open the spool leaves it in the drop directory, where the daemon finds it at its next start.

Whichever it is: a message for which ``accept`` has returned an id is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from smarthostd.admission import build_policy, has_queue_file, in_force
from smarthostd.assembly import build_language
from smarthostd.authenticators import build as build_authenticators
from smarthostd.cli.exim.arguments import BadCommandLine, CommandLine
from smarthostd.clock import SystemClock
from smarthostd.config import ConfigurationErrors, Loaded, load
from smarthostd.envelope import Client, Content, Envelope
from smarthostd.errors import ConfigurationError, ExpansionError, ListDefer, Refused, SpoolError, SpoolLocked
from smarthostd.expand import Expander
from smarthostd.intake import Door, Incoming, Kept
from smarthostd.listener.commands import facts_parameter
from smarthostd.listener.peers import Peer, described, owner
from smarthostd.listener.policy import Policy
from smarthostd.mainlog import MainLog
from smarthostd.message_id import MessageIds
from smarthostd.reply import Reply
from smarthostd.sendmail.drop import keep
from smarthostd.sendmail.status import DATA_ERROR, TEMPFAIL, Stop
from smarthostd.sendmail.submission import Daemon, Letter
from smarthostd.syntax import has_control

if TYPE_CHECKING:  # a message for the daemon does not pay for it
    from smarthostd.queue_run import ByHand

_AT_ONCE = frozenset({"f", "i"})


class Entrance(Struct):
    """The way in, for one command."""

    loaded: Loaded
    line: CommandLine
    door: Door
    policy: Policy
    peer: Peer
    log: MainLog
    expander: Expander
    hand: ByHand | None = None
    """What delivers; None where the daemon does."""
    accepted: int = 0

    def client(self, protocol: str = "local") -> Client:
        """Return who the message is from, as the kernel and, if they may say so, the command line have it."""
        peer = self.peer
        whoever = Client(
            protocol, login=peer.login, uid=peer.uid, full_name=peer.full_name, trusted=self.policy.trusts(peer)
        )
        facts = {"received_protocol": protocol, **self.line.variables}
        if "sender_host_authenticated" in facts and self.line.sender is None:
            facts.setdefault("authenticated_id", peer.login)
        return described(whoever, facts)

    def refuse_strangers(self) -> None:
        """Raise BadCommandLine where the command line has what only a trusted caller may say."""
        if self.line.gateway and not self.policy.trusts(self.peer):
            raise BadCommandLine("exim: permission denied (-G requires a trusted user)")

    async def deliver(self, id: str) -> None:
        """Make the attempt that follows on a message's arrival, where one does."""
        self.accepted += 1
        if self.hand is not None and not self._is_queued(id):
            await self.report(id)

    async def report(self, id: str) -> None:
        """Deliver a report on a mistake: ``-odq`` and ``queue_only`` are said of other mail, a file is not."""
        if self.hand is None or has_queue_file(self.loaded.settings):
            return
        from smarthostd.delivery import How

        all_later = self.line.mode == "qs" or has_queue_file(self.loaded.settings, "smtp")
        later = self._is_for_a_queue_run if self.loaded.settings.queue_smtp_domains and not all_later else None
        how = How(remote_later=all_later, bypassed=self.line.no_delivery, later=later)
        await self.hand.deliver([id], forced=False, how=how)

    def _is_for_a_queue_run(self, domain: str) -> bool:
        """Whether ``queue_smtp_domains`` says so of mail for *domain*; a list that cannot be evaluated does not."""
        from smarthostd.road import listed

        try:
            return listed(self.expander, self.loaded.settings.queue_smtp_domains, domain)
        except (ExpansionError, ListDefer):
            return False

    def _is_queued(self, id: str) -> bool:
        """Whether the message waits for a queue run."""
        settings = self.loaded.settings
        limit = in_force(settings, "smtp_accept_queue_per_connection", 10)
        if limit and self.accepted > limit:
            self.log.told(id, f"no immediate delivery: more than {limit} messages received in one connection")
            return True
        if has_queue_file(settings):
            return True
        overridden = self.line.mode in _AT_ONCE and settings.queue_only_override
        return self.line.mode == "q" or (settings.queue_only and not overridden)


@asynccontextmanager
async def entrance(loaded: Loaded, line: CommandLine, alarmed: Callable[[str], object]) -> AsyncIterator[Entrance]:
    """Open the way in; *alarmed* is told what goes to the panic log. Raises BadCommandLine where there is none."""
    peer = owner(os.getuid())
    socket = f"{loaded.settings.runtime_directory}/submit.sock"
    if _is_served(socket):
        yield _elsewhere(loaded, line, peer, lambda letter: Daemon(socket).hand_over(letter))
        return
    from smarthostd.queue_run import ByHand

    if not line.strict:
        _refuse_half_a_configuration(loaded, line)
    async with contextlib.AsyncExitStack() as stack:
        try:
            hand = await stack.enter_async_context(ByHand(loaded, alarmed))
        except SpoolLocked as error:
            raise BadCommandLine(f"exim: {error}") from error
        except (SpoolError, ConfigurationError, OSError) as error:
            yield _elsewhere(loaded, line, peer, _dropping(loaded, error))
            return
        language, authenticators = hand.road.parts.language, hand.road.parts.authenticators
        policy = build_policy(loaded, language, authenticators, hand.log.noted)
        yield Entrance(loaded, line, hand.road.intake, policy.for_client(""), peer, hand.log, language.expander, hand)


def _refuse_half_a_configuration(loaded: Loaded, line: CommandLine) -> None:
    """Raise BadCommandLine where what was left out of Exim's decides about mail: no daemon would start with it."""
    file = Path(loaded.source)
    if file.exists():
        try:
            load(file, {}, macros=line.macros)
        except ConfigurationErrors as mistakes:
            raise BadCommandLine(f"exim: {mistakes.errors[0]}") from mistakes


def _is_served(socket: str) -> bool:
    """Whether a daemon takes mail there."""
    try:
        Daemon(socket).take_leave()
    except Stop:
        return False
    return True


def _dropping(loaded: Loaded, trouble: Exception) -> Callable[[Letter], str]:
    """Return what keeps a message for a daemon that is down, because of *trouble* with the spool."""

    def drop(letter: Letter) -> str:
        try:
            keep(loaded.settings.drop_directory, letter)
        except Stop as stop:
            raise Stop(stop.status, f"{trouble}; {stop}") from None
        return ""

    return drop


def _elsewhere(loaded: Loaded, line: CommandLine, peer: Peer, hand_over: Callable[[Letter], str]) -> Entrance:
    """Return the way in by somebody else, who also writes the log."""
    log = MainLog(lambda text: None, SystemClock())
    language = build_language(loaded.settings, loaded.source)
    authenticators = build_authenticators(loaded.settings.authenticators, language.expander)
    policy = build_policy(loaded, language, authenticators, log.noted)
    relay = Relay(hand_over, dict(line.variables))
    return Entrance(loaded, line, relay, policy.for_client(""), peer, log, language.expander)


class Relay:
    """A door behind which is another's: messages are gathered here, and handed on whole."""

    def __init__(self, hand_over: Callable[[Letter], str], facts: Mapping[str, str]) -> None:
        self._hand_over = hand_over
        self._facts = facts
        self._ids = MessageIds(SystemClock())

    def begin(self, id: str = "") -> Incoming:
        """See ``Door``; the id is ours, and the message will have another."""
        return Incoming(id or self._ids.new(), MemorySink(), time.monotonic())

    async def accept(
        self, incoming: Incoming, envelope: Envelope, kept: Kept | None = None, *, parent: str = ""
    ) -> str:
        """See ``Door``; returns the id that the daemon tells, ours where it is kept for later."""
        facts = {"received_protocol": envelope.client.protocol.removeprefix("utf8"), **self._facts}
        if parent:
            facts["message_reference"] = parent
        letter = _Enveloped(envelope, incoming.sink.content(b"").head, facts)
        try:
            said = await asyncio.to_thread(self._hand_over, letter)
        except Stop as stop:
            raise Refused(Reply(451 if stop.status == TEMPFAIL else 550, str(stop))) from stop
        return said.partition("id=")[2] or incoming.id


class _Enveloped(Letter):
    """A message with all that its envelope says."""

    def __init__(self, envelope: Envelope, content: bytes, facts: Mapping[str, str]) -> None:
        super().__init__(str(envelope.sender), [str(one) for one in envelope.recipients], content)
        self._envelope = envelope
        self._facts = facts

    def commands(self, *words: str) -> list[bytes]:
        """See ``Letter``."""
        envelope = self._envelope
        utf8 = envelope.smtputf8 or not all(text.isascii() for text in [self.sender, *self.recipients])
        given = {"BODY": envelope.body, "RET": envelope.ret, "ENVID": envelope.envid}
        lines = [" ".join([
            f"MAIL FROM:<{self.sender}>",
            *["SMTPUTF8"] * utf8,
            *(f"{key}={value}" for key, value in given.items() if value),
            *[facts_parameter(self._facts)] * ("XLOCAL" in words),
        ])]  # fmt: skip
        for one in envelope.recipients:
            parameters = {"NOTIFY": one.notify, "ORCPT": one.orcpt}
            lines.append(" ".join([
                f"RCPT TO:<{one}>", *(f"{key}={value}" for key, value in parameters.items() if value)
            ]))  # fmt: skip
        if any(map(has_control, lines)):
            raise Stop(DATA_ERROR, "an address holds a control character")
        return [line.encode("utf-8", "surrogateescape") + b"\r\n" for line in lines]


class MemorySink:
    """Takes a message's octets, whatever their number: the limit on a message is looked at before."""

    def __init__(self) -> None:
        self.size = 0
        self._octets = bytearray()

    def write(self, block: bytes | bytearray | memoryview) -> None:
        """See ``Sink``."""
        self._octets += block
        self.size += len(block)

    def discard(self) -> None:
        """See ``Sink``."""
        self._octets.clear()

    def content(self, head: bytes) -> Content:
        """See ``Sink``."""
        return Content(head + bytes(self._octets))

    def beginning(self, limit: int) -> bytes:
        """See ``Sink``."""
        return bytes(self._octets[:limit])
