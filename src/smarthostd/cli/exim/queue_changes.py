"""``exim -Mf``, ``-Mt``, ``-Mrm``, ``-Mg``, ``-Mar``, ``-Mes``, ``-Mmd``, ``-Mmad``: changes, told in Exim's words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TextIO

from smarthostd.address import NULL_SENDER, Address, AddressError
from smarthostd.cli.queue.steering import Fate, Fates, Queue
from smarthostd.expand.addresses import Mailboxes, NotAnAddress
from smarthostd.spool.base import NOT_FOUND
from smarthostd.syntax import printable

_MISSING = "Spool data file for {} does not exist"
_NOTHING_TO_REMOVE = """\
Spool data file for {0} does not exist
Continuing, to ensure all files removed
Spool read error for {0}-H: No such file or directory
Continuing to ensure all files removed
Message {0} has been removed or did not exist"""
_MODIFIED = "has been modified"


class _Unsuitable(Exception):
    """What is wrong with an address that cannot be used so."""


async def freeze(queue: Queue, ids: Sequence[str], out: TextIO) -> int:
    """``-Mf``."""
    return _say(await queue.freeze(ids), out, "is now frozen", "is already frozen")


async def thaw(queue: Queue, ids: Sequence[str], out: TextIO) -> int:
    """``-Mt``."""
    return _say(await queue.thaw(ids, at_once=False), out, "is no longer frozen", "is not frozen")


async def remove(queue: Queue, ids: Sequence[str], out: TextIO) -> int:
    """``-Mrm``."""
    return _say(await queue.remove(ids), out, "has been removed", missing=_NOTHING_TO_REMOVE)


async def give_up(queue: Queue, ids: Sequence[str], out: TextIO) -> int:
    """``-Mg``: only what could not be done is told."""
    fates = await queue.bounce(ids)
    return _say({id: fate for id, fate in fates.items() if fate is Fate.BUSY}, out)


async def mark_all(queue: Queue, ids: Sequence[str], out: TextIO) -> int:
    """``-Mmad``."""
    fates = {id: await queue.mark_done(id, await _recipients(queue, id)) for id in ids}
    status = _say(fates, out, _MODIFIED)
    out.write("\n")
    return status


async def add(queue: Queue, words: Sequence[str], out: TextIO) -> int:
    """``-Mar``: an id, and addresses."""
    id, *texts = words
    return await _edit(
        queue, id, texts, out, "adding recipient", lambda: queue.add_recipients(id, [_address(text) for text in texts])
    )


async def set_sender(queue: Queue, words: Sequence[str], out: TextIO) -> int:
    """``-Mes``: an id, and an address."""
    id, *texts = words
    if len(texts) > 1:
        out.write(f"Message {id} - only one sender address can be specified\n")
        return 1

    async def change() -> Fate:
        return await queue.set_sender(id, NULL_SENDER if texts[0] in ("", "<>") else _address(texts[0]))

    return await _edit(queue, id, texts, out, "editing sender", change)


async def mark(queue: Queue, words: Sequence[str], out: TextIO) -> int:
    """``-Mmd``: an id, and addresses as they are written in the message's list."""
    id, *texts = words

    async def change() -> Fate:
        known = await _recipients(queue, id)
        for text in texts:
            if text not in known:
                raise _Unsuitable(f"{printable(text)} is not a recipient: message not updated")
        return await queue.mark_done(id, texts)

    return await _edit(queue, id, texts, out, "marking as delivered", change)


async def _edit(
    queue: Queue, id: str, texts: Sequence[str], out: TextIO, doing: str, change: Callable[[], Awaitable[Fate]]
) -> int:
    """Change one message by *texts*, and say what became of it."""
    trouble = f"Message {id} - error while {doing}:"
    if not await queue.spool.standing([id]):
        await queue.tell([(id, NOT_FOUND.format(id))])
        out.write(f"{_MISSING.format(id)}\n")
        return 1
    if not texts:
        out.write(f"{trouble} no address given\n")
        return 1
    try:
        fate = await change()
    except _Unsuitable as error:
        out.write(f"{trouble}\n  {error}\n")
        return 1
    return _say({id: fate}, out, _MODIFIED)


def _address(text: str) -> Address:
    """Return the address in *text*, which must have a domain; raises _Unsuitable."""
    try:
        found = Mailboxes().read(text)
        address = Address.of(found.local_part, found.domain)
    except (NotAnAddress, AddressError) as error:
        raise _Unsuitable(f"bad address {printable(text)}: {printable(str(error))}") from error
    if not address.domain:
        raise _Unsuitable(f"bad address {printable(text)}: domain missing")
    return address


async def _recipients(queue: Queue, id: str) -> list[str]:
    pending = await queue.spool.load(id)
    return [str(one) for one in pending.message.envelope.recipients] if pending else []


def _say(
    fates: Mapping[str, Fate] | Fates, out: TextIO, done: str = "", same: str = "", missing: str = _MISSING
) -> int:
    """Say what became of each message; return 1 where it was not what was asked for."""
    for id, fate in fates.items():
        match fate:
            case Fate.CHANGED:
                out.write(f"Message {id} {done}\n")
            case Fate.SAME:
                out.write(f"Message {id} {same}\n")
            case Fate.MISSING:
                out.write(f"{missing.format(id)}\n")
            case Fate.BUSY:
                out.write(f"Message {id} is locked\n")
    return int(any(fate is not Fate.CHANGED for fate in fates.values()))
