"""The spool's contract: where messages are kept between the 250 and the end.

Keepers (``sqlite.py``, later a shared one) pass the same tests in ``tests/contracts``.
``put`` returns when the message is on disk and synced; ``record`` writes all that one attempt changed,
a bounce included, in one transaction. A claim means that one runner of this daemon works on the
message; it is not on disk and ends with ``record`` or ``release``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from smarthostd.address import Address
from smarthostd.envelope import Content, Message, Recipient
from smarthostd.errors import SpoolError
from smarthostd.hints import Hint

NOT_FOUND = "Spool file {}-D not found"
"""What the log says of a message that somebody wants and that is not there."""


class Waiting(Struct, frozen=True):
    """Why and until when a recipient waits."""

    until: float
    """Seconds since the epoch at which it is due."""
    reason: str = ""
    """The last deferral in one line, for the tools."""
    destination: str = ""
    """What frees it before that time: the key of a smarthost that opens, or of a hint that is cleared; or empty."""
    attempts: int = 0
    first_failed: float = 0.0
    """When this recipient was first deferred, or the message by its host for reasons of its own; 0 if never."""
    last_try: float = 0.0
    """When it was last tried; 0 if never."""
    maybe_delivered: bool = False


class Pending(Struct, frozen=True):
    """A message with recipients still to be served."""

    message: Message
    waiting: Mapping[Recipient, Waiting]
    """The recipients to be tried now, in the envelope's order."""
    done: frozenset[str] = frozenset()
    """Keys of addresses (children of redirections too) that were served in earlier attempts."""
    frozen: bool = False
    frozen_since: float = 0.0
    warned: int = 0
    """Delay warnings sent."""
    later: Mapping[Recipient, Waiting] = field(default_factory=dict)
    """The recipients whose time has not come: an attempt leaves them alone."""

    def due(self, is_due: Callable[[Recipient, Waiting], bool]) -> Pending:
        """Return this message with those of its recipients that are not due left for later."""
        waiting = {one: waits for one, waits in self.waiting.items() if is_due(one, waits)}
        later = {one: waits for one, waits in self.waiting.items() if one not in waiting}
        return replace(self, waiting=waiting, later={**self.later, **later})


class Notice(Struct, frozen=True):
    """A report that waits to be told together with others, in a digest: its text and its RFC 3464 fields."""

    reader: str
    at: float
    text: str
    status: str
    number: int = 0
    """The keeper's; 0 before it is kept."""


class Thawing(Struct, frozen=True):
    """Which frozen messages are to be taken up again: those for which one of these times has come.

    Seconds since the epoch, each the latest that counts; minus infinity for none.
    """

    received: float
    """``timeout_frozen_after``: any message received by then."""
    null_sender_received: float
    """``ignore_bounce_errors_after``: one from the null sender received by then …"""
    null_sender_frozen: float
    """… and frozen by then, so that what freezes at each attempt is not tried all the time."""
    frozen: float
    """``auto_thaw``: one from somebody, frozen by then."""

    def takes(self, pending: Pending) -> bool:
        """Return whether this frozen message is one of them."""
        received, frozen = pending.message.received, pending.frozen_since
        if pending.message.envelope.sender:
            return received <= self.received or frozen <= self.frozen
        return received <= self.received or (
            received <= self.null_sender_received and frozen <= self.null_sender_frozen
        )


class Changes(Struct, frozen=True):
    """All that one attempt changed, to be written at once.

    Recipients that are in neither *done* nor *waiting* stay as they are. When none is left the
    message goes, its content after it.
    """

    done: Collection[Recipient] = ()
    done_addresses: Collection[str] = ()
    """Address keys to add to ``Pending.done`` (needed only while the message stays)."""
    waiting: Mapping[Recipient, Waiting] = field(default_factory=dict)
    frozen: bool | None = None
    """None: leave it as it is."""
    warned: int | None = None
    events: Sequence[str] = ()
    """Lines of this message's story, kept while the message is (Exim's message log)."""
    hints: Mapping[str, Hint | None] = field(default_factory=dict)
    """None deletes a hint."""
    new: Sequence[Message] = ()
    """Messages born of this attempt (a bounce, a warning): put in the same transaction."""
    notices: Sequence[Notice] = ()
    """Reports that are to wait for a digest."""


class State(StrEnum):
    """What a message in the queue is at, for those who look for some."""

    FROZEN = "frozen"
    NEW = "new"
    """Never tried."""
    DEFERRED = "deferred"
    """Tried, and not frozen."""
    IN_DOUBT = "in-doubt"
    """Perhaps delivered: the connection broke after it was sent."""


class Selection(Struct, frozen=True):
    """Which messages are meant: those for which all of this holds. Texts are found anywhere, case does not matter."""

    ids: Sequence[str] | None = None
    """None: any."""
    sender: str = ""
    """``<>`` is the null sender."""
    recipient: str = ""
    """Of one that is not done."""
    received_before: float = 0.0
    """0: at any time."""
    received_after: float = 0.0
    state: State | None = None


ALL = Selection()


class Counts(Struct, frozen=True):
    """How many messages there are, how many of them are frozen, and when the oldest was received (0: none)."""

    messages: int
    frozen: int
    oldest: float


class Summary(Struct, frozen=True):
    """One line of a queue listing."""

    id: str
    received: float
    size: int
    sender: str
    frozen: bool
    recipients: Sequence[tuple[str, bool, Waiting | None]]
    """Address, whether it is done, and what it waits for."""
    login: str = ""
    claimed: bool = False
    """That user has chosen the sender, and nobody has made them trusted."""
    also_done: Sequence[str] = ()
    """Addresses that were served and are no recipients: children of redirections."""


class Sink(Protocol):
    """Takes a message's octets as they arrive; small ones stay in memory, large ones go to a file."""

    size: int

    def write(self, block: bytes | bytearray | memoryview) -> None:
        """Take *block*; raises SpoolError when there is no room."""
        ...

    def discard(self) -> None:
        """Forget everything; harmless after :meth:`content` has been put."""
        ...

    def content(self, head: bytes) -> Content:
        """Return what was written, with *head* in front."""
        ...

    def beginning(self, limit: int) -> bytes:
        """Return the first octets written: at most *limit*, and the whole header if that many hold it."""
        ...


Kept: TypeAlias = Callable[[SpoolError | None], None]
"""Is told that a message is kept, or what went wrong."""


class Spool(Protocol):
    """A keeper of messages. Coroutines raise SpoolError; nothing is half done when they do."""

    def sink(self, id: str) -> Sink:
        """Return a sink for the message *id* that is being received."""
        ...

    async def put(self, message: Message, *, claim: bool = False, listing: Sequence[Notice] = ()) -> None:
        """Keep *message*; on return it is synced. With *claim* the caller works on it at once.

        The notices that it is *listing* go in the same transaction.
        """
        ...

    def take(self, message: Message, kept: Kept, *, claim: bool = False) -> None:
        """Keep *message* as ``put`` does; *kept* is called later, when it is synced or has failed."""
        ...

    async def claim(self, now: float, limit: int, *, destinations: Collection[str] = ()) -> list[Pending]:
        """Return and claim up to *limit* messages that are due at *now*, those longest due first.

        Frozen and claimed messages are never due. A message is due when one of its recipients is, or
        waits for one of *destinations* (which have opened); of its other recipients it says that they are for later.
        Where there is more than *limit* of both kinds, each gets its half.
        """
        ...

    async def claim_one(self, id: str) -> Pending | None:
        """Return and claim this message with all its recipients, frozen or not; None if it is gone or claimed."""
        ...

    async def claim_waiting(self, destination: str) -> Pending | None:
        """Return and claim the oldest message that waits for *destination*, with the recipients that do, or None."""
        ...

    async def claim_frozen(self, due: Thawing, limit: int) -> list[Pending]:
        """Return and claim up to *limit* frozen messages that are *due*, those longest frozen first."""
        ...

    async def frozen(self) -> list[str]:
        """Return the ids of the frozen messages, those longest frozen first."""
        ...

    async def notices(self, readers: int, each: int) -> list[Notice]:
        """Return up to *each* notices for up to *readers* readers, those that wait longest first."""
        ...

    async def destinations(self) -> dict[str, int]:
        """Return for each destination that recipients wait for how many do."""
        ...

    async def next_due(self) -> float | None:
        """Return when the next unclaimed, unfrozen recipient is due; None when nothing waits."""
        ...

    async def record(self, id: str, changes: Changes) -> None:
        """Write *changes* and end the claim; removals may ride along with a later commit."""
        ...

    async def release(self, ids: Collection[str]) -> None:
        """End claims without a change (shutdown)."""
        ...

    async def load(self, id: str) -> Pending | None:
        """Return a message without claiming it."""
        ...

    async def summaries(self, limit: int = 0, after: str = "", selection: Selection = ALL) -> list[Summary]:
        """Return the queue, oldest first; *limit* 0 means all, *after* continues behind that id, which may be gone."""
        ...

    async def ids(self, selection: Selection = ALL) -> list[str]:
        """Return the ids of those messages, oldest first."""
        ...

    async def count(self) -> tuple[int, int]:
        """Return how many messages there are, and how many of them are frozen."""
        ...

    async def counts(self, selection: Selection = ALL) -> Counts:
        """Return what is to be said of those messages as a whole."""
        ...

    async def standing(self, ids: Collection[str]) -> dict[str, bool]:
        """Return which of these messages there are, and whether each is frozen."""
        ...

    async def events(self, id: str) -> list[tuple[float, str]]:
        """Return the story of a message."""
        ...

    async def hints(self) -> dict[str, Hint]:
        """Return all retry hints."""
        ...

    async def freeze(self, ids: Collection[str], frozen: bool, *, at_once: bool = True, pause: float = 0.0) -> int:
        """Freeze or thaw; return how many there are of these.

        A thawed message is due *at_once*, or when it was; at the earliest in *pause* seconds.
        """
        ...

    async def hurry(self, ids: Collection[str] | None) -> int:
        """Make these messages (None: all that are not frozen) due now; return how many."""
        ...

    async def remove(self, ids: Collection[str]) -> int:
        """Remove messages, whatever they wait for; return how many."""
        ...

    async def add_recipients(self, id: str, recipients: Sequence[Recipient]) -> None:
        """Let a message have more recipients, due at once."""
        ...

    async def set_sender(self, id: str, sender: Address) -> None:
        """Let a message be from somebody else."""
        ...

    async def mark_done(self, id: str, addresses: Collection[str]) -> None:
        """Let these recipients of a message count as done, and the message stay although all may be."""
        ...

    async def finished(self) -> list[str]:
        """Return the ids of messages of which every recipient is marked as done: no claim finds them."""
        ...

    async def reserve(self, ids: Collection[str]) -> list[str]:
        """Claim these messages without reading them, so that nobody works on them; return those that were free."""
        ...

    async def close(self) -> None:
        """Write what is waiting to be written, and close."""
        ...
