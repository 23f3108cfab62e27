"""Values as rows of the spool's tables, and back: plain functions, each inside a transaction of its caller's.

What is told of an attempt may quote anything, octets that are no text among it; a row holds text.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from smarthostd.address import Address
from smarthostd.envelope import Client, Content, Envelope, Message, Recipient
from smarthostd.spool.base import Changes, Notice, Pending, Summary, Waiting
from smarthostd.syntax import whole

PENDING, DONE, FROZEN = 0, 1, 2
"""A recipient's ``state``: only pending ones stand in the indexes that claims read."""
STORY_LIMIT = 100
"""Lines of a message's story; older ones go."""


def _envelope_text(message: Message) -> str:
    envelope, client = message.envelope, message.envelope.client
    fields: dict[str, Any] = {
        "m": message.message_id, "s": message.subject, "r": envelope.ret, "e": envelope.envid, "b": envelope.body,
        "8": int(envelope.smtputf8),
    }  # fmt: skip
    if message.content.skip:
        fields["k"] = message.content.skip
    if client.login and not client.trusted and envelope.sender.local_part != client.login:
        fields["u"] = 1
    fields["c"] = [
        client.protocol, client.address, client.port, client.name, client.helo, client.authenticated_id,
        client.authenticator, client.login, client.uid, client.tls,
    ]  # fmt: skip
    try:
        return msgspec.json.encode(fields).decode()  # 6 us less than json's
    except UnicodeEncodeError:  # octets that are no UTF-8, as surrogates
        return json.dumps(fields, separators=(",", ":"))


def _address(text: str) -> Address:
    """Return the address that ``str`` made *text* of; it was parsed when it came in."""
    local_part, at, domain = text.rpartition("@")
    return Address(local_part, domain) if at else Address(domain, "")


_LAST = (1 << 63) - 1
MESSAGE = """
SELECT seq, id, received, sender, envelope, size, in_file,
       coalesce((SELECT since FROM freezing WHERE message = seq), 0.0), warned, done_addresses, head
FROM message
"""
"""Frozen messages stand in a table of their own: to freeze one must not rewrite its row, which holds its body."""
_RECIPIENTS = """
SELECT address, notify, orcpt, state, until, reason, destination, attempts, first_failed, last_try, maybe_delivered
FROM recipient WHERE message = ? ORDER BY position
"""


class Damaged(Exception):
    """A row or a content file that does not say what it should; the message is set aside."""


IsDue = Callable[[Waiting], bool]


def pending(
    connection: sqlite3.Connection, row: Sequence[Any], content_path: Callable[[str], Path], is_due: IsDue | None
) -> Pending:
    """Return the message of one row with its recipients, all of them due without *is_due*; raises Damaged."""
    seq, id, received, sender, text, size, in_file, frozen_since, warned, done_addresses, head = row
    try:
        fields = json.loads(text)
        recipients: list[Recipient] = []
        waiting: dict[Recipient, Waiting] = {}
        later: dict[Recipient, Waiting] = {}
        for address, notify, orcpt, state, *rest in connection.execute(_RECIPIENTS, (seq,)):
            recipient = Recipient(_address(address), notify, orcpt)
            recipients.append(recipient)
            if state != DONE:
                waits = _waiting(rest)
                (waiting if is_due is None or is_due(waits) else later)[recipient] = waits
        envelope = Envelope(
            _address(sender), tuple(recipients), fields["r"], fields["e"], fields["b"], bool(fields["8"]),
            Client(*fields["c"]),
        )  # fmt: skip
        content = Content(head, content_path(id) if in_file else None, skip=fields.get("k", 0))
        done = frozenset(json.loads(done_addresses))
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error
    if content.size != size:
        raise Damaged(f"the content has {content.size} octets instead of {size}")
    message = Message(id, received, envelope, content, fields["m"], fields["s"])
    return Pending(message, waiting, done, frozen_since > 0, frozen_since, warned, later)


def _waiting(row: Sequence[Any]) -> Waiting:
    until, reason, destination, attempts, first_failed, last_try, maybe = row
    return Waiting(until, reason, destination, attempts, first_failed, last_try, bool(maybe))


def insert(connection: sqlite3.Connection, message: Message, due: float) -> None:
    """Add a message and its recipients, due at *due*."""
    cursor = connection.execute(
        "INSERT INTO message (id, received, sender, envelope, size, in_file, head) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            message.id, message.received, str(message.envelope.sender), _envelope_text(message), message.content.size,
            int(message.content.file is not None), message.content.head,
        ),
    )  # fmt: skip
    seq = cursor.lastrowid
    cursor.executemany(
        "INSERT INTO recipient (message, position, address, notify, orcpt, until) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (seq, position, str(recipient.address), recipient.notify, recipient.orcpt, due)
            for position, recipient in enumerate(message.envelope.recipients)
        ],
    )


def insert_if_missing(connection: sqlite3.Connection, message: Message, due: float) -> None:
    """Add a message that may be there already."""
    if find(connection, message.id) is None:
        insert(connection, message, due)


_PLACE = """
SELECT seq, EXISTS (SELECT 1 FROM freezing WHERE message = seq),
       (SELECT max(position) FROM recipient WHERE message = seq)
FROM message WHERE id = ?
"""


def add_recipients(connection: sqlite3.Connection, id: str, recipients: Sequence[Recipient], now: float) -> None:
    """Let a message have more recipients, due *now* if it is not frozen."""
    seq, frozen, last = connection.execute(_PLACE, (id,)).fetchone()
    state = FROZEN if frozen else PENDING
    connection.executemany(
        "INSERT INTO recipient (message, position, address, notify, orcpt, until, state) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (seq, position, str(one.address), one.notify, one.orcpt, now, state)
            for position, one in enumerate(recipients, (last or 0) + 1)
        ],
    )


def insert_notices(connection: sqlite3.Connection, notices: Collection[Notice]) -> None:
    """Add notices."""
    if not notices:  # to prepare a statement takes 3 us, for nothing
        return
    connection.executemany(
        "INSERT INTO notice (reader, at, text, status) VALUES (?, ?, ?, ?)",
        [(one.reader, one.at, whole(one.text), whole(one.status)) for one in notices],
    )


def remove(connection: sqlite3.Connection, seq: int, *, has_past: bool = True) -> None:
    """Remove a message, its recipients and, if it *has_past*, its story; its file is the caller's."""
    connection.execute("DELETE FROM recipient WHERE message = ?", (seq,))
    if has_past:
        connection.execute("DELETE FROM event WHERE message = ?", (seq,))
        connection.execute("DELETE FROM freezing WHERE message = ?", (seq,))
    connection.execute("DELETE FROM message WHERE seq = ?", (seq,))


def remove_by_id(connection: sqlite3.Connection, ids: Collection[str]) -> list[tuple[str, bool]]:
    """Remove messages; return the ids of those that were there, and whether each has a file."""
    query = "SELECT seq, id, in_file FROM message WHERE id IN (SELECT value FROM json_each(?))"
    found = connection.execute(query, (json.dumps(list(ids)),)).fetchall()
    chosen = (json.dumps([seq for seq, _, _ in found]),)
    connection.execute("DELETE FROM recipient WHERE message IN (SELECT value FROM json_each(?))", chosen)
    connection.execute("DELETE FROM event WHERE message IN (SELECT value FROM json_each(?))", chosen)
    connection.execute("DELETE FROM freezing WHERE message IN (SELECT value FROM json_each(?))", chosen)
    connection.execute("DELETE FROM message WHERE seq IN (SELECT value FROM json_each(?))", chosen)
    return [(id, bool(in_file)) for _, id, in_file in found]


def find(connection: sqlite3.Connection, id: str) -> int | None:
    """Return a message's number in the tables, None where there is none."""
    row = connection.execute("SELECT seq FROM message WHERE id = ?", (id,)).fetchone()
    return None if row is None else int(row[0])


def numbers(connection: sqlite3.Connection, ids: Collection[str]) -> list[int]:
    """Return the numbers of those of these messages that are there."""
    query = "SELECT seq FROM message WHERE id IN (SELECT value FROM json_each(?))"
    return [seq for (seq,) in connection.execute(query, (json.dumps(list(ids)),))]


_LEFT = """
SELECT seq, in_file, (SELECT count(*) FROM recipient WHERE message = seq AND state <> 1),
       EXISTS (SELECT 1 FROM event WHERE message = seq) OR EXISTS (SELECT 1 FROM freezing WHERE message = seq)
FROM message WHERE id = ?
"""


def place_of(connection: sqlite3.Connection, id: str) -> int:
    """Return the number behind which the queue goes on after *id*: of a message that is gone, by the time in its id."""
    seq = find(connection, id)
    if seq is not None:
        return seq
    row = connection.execute("SELECT seq FROM message WHERE id > ? ORDER BY id LIMIT 1", (id,)).fetchone()
    return _LAST if row is None else int(row[0]) - 1


def record(connection: sqlite3.Connection, id: str, changes: Changes, now: float) -> bool:
    """Write *changes*; return whether the message is finished, its rows are gone, and a file of it is left."""
    for message in changes.new:
        insert_if_missing(connection, message, now)  # it is there where the same changes were written before, unsynced
    insert_notices(connection, changes.notices)
    _record_hints(connection, changes)
    row = connection.execute(_LEFT, (id,)).fetchone()
    if row is None:
        return False  # a tool has removed it meanwhile, and its file
    seq, in_file, left, has_past = row
    if len(changes.done) >= left and not changes.waiting:
        remove(connection, seq, has_past=has_past)
        return bool(in_file)
    if changes.frozen is not None:
        # whom the attempt has left alone, waits as before
        freeze(connection, [seq], changes.frozen, now, at_once=False)
    _record_recipients(connection, seq, changes)
    _record_message(connection, seq, changes, now, has_past=has_past)
    return False


def _record_recipients(connection: sqlite3.Connection, seq: int, changes: Changes) -> None:
    if changes.done:
        connection.executemany(
            "UPDATE recipient SET state = 1 WHERE message = ? AND address = ? AND notify = ? AND orcpt = ?",
            [(seq, str(one.address), one.notify, one.orcpt) for one in changes.done],
        )
    connection.executemany(
        "UPDATE recipient SET until = ?, reason = ?, destination = ?, attempts = ?, first_failed = ?, last_try = ?,"
        " maybe_delivered = ? WHERE message = ? AND address = ? AND notify = ? AND orcpt = ?",
        [
            (
                waits.until, whole(waits.reason), whole(waits.destination), waits.attempts, waits.first_failed,
                waits.last_try, int(waits.maybe_delivered), seq, str(one.address), one.notify, one.orcpt,
            )
            for one, waits in changes.waiting.items()
        ],
    )  # fmt: skip


def _record_message(connection: sqlite3.Connection, seq: int, changes: Changes, now: float, *, has_past: bool) -> None:
    if changes.done_addresses:
        row = connection.execute("SELECT done_addresses FROM message WHERE seq = ?", (seq,)).fetchone()
        known = sorted({*json.loads(row[0]), *changes.done_addresses})
        connection.execute("UPDATE message SET done_addresses = ? WHERE seq = ?", (json.dumps(known), seq))
    if changes.warned is not None:
        connection.execute("UPDATE message SET warned = ? WHERE seq = ?", (changes.warned, seq))
    if changes.events:
        connection.executemany(
            "INSERT INTO event (message, at, text) VALUES (?, ?, ?)",
            [(seq, now, whole(text)) for text in changes.events],
        )
        if has_past or len(changes.events) > STORY_LIMIT:
            connection.execute(_SHORTEN_STORY, (seq, seq, STORY_LIMIT))


def _record_hints(connection: sqlite3.Connection, changes: Changes) -> None:
    for key, hint in changes.hints.items():
        if hint is None:
            connection.execute("DELETE FROM hint WHERE key = ?", (whole(key),))
        else:
            connection.execute(
                "INSERT OR REPLACE INTO hint VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    whole(key), hint.first_failed, hint.last_try, hint.next_try, int(hint.expired), hint.errno,
                    whole(hint.text), hint.error, hint.cause, whole(hint.fix),
                ),
            )  # fmt: skip


def freeze(
    connection: sqlite3.Connection, seqs: Collection[int], frozen: bool, now: float, *, at_once: bool = True
) -> None:
    """Freeze or thaw; a thawed message is due *at_once*, or when it was."""
    chosen = json.dumps(list(seqs))
    if frozen:
        connection.execute("INSERT OR REPLACE INTO freezing SELECT value, ? FROM json_each(?)", (now, chosen))
        connection.execute(
            "UPDATE recipient SET state = 2 WHERE state = 0 AND message IN (SELECT value FROM json_each(?))", (chosen,)
        )
    else:
        connection.execute("DELETE FROM freezing WHERE message IN (SELECT value FROM json_each(?))", (chosen,))
        connection.execute(
            "UPDATE recipient SET state = 0, until = max(iif(?, 0, until), ?)"
            " WHERE state = 2 AND message IN (SELECT value FROM json_each(?))",
            (at_once, now, chosen),
        )


def hurry(connection: sqlite3.Connection, seqs: Collection[int], now: float) -> None:
    """Let recipients that wait be due *now*; those that are due keep their place."""
    connection.execute(
        "UPDATE recipient SET until = ? WHERE state = 0 AND until > ? AND message IN (SELECT value FROM json_each(?))",
        (now, now, json.dumps(list(seqs))),
    )


_LATER = """
SELECT DISTINCT message FROM recipient WHERE message > ? AND state = 0 AND until > ? ORDER BY message LIMIT ?
"""


def hurry_some(connection: sqlite3.Connection, after: int, count: int, now: float) -> int | None:
    """Let *count* messages behind the number *after* be due *now*; return the last one's, None where there is none."""
    seqs = [seq for (seq,) in connection.execute(_LATER, (after, now, count))]
    hurry(connection, seqs, now)
    return seqs[-1] if seqs else None


_SHORTEN_STORY = """
DELETE FROM event WHERE message = ? AND rowid <= (
    SELECT rowid FROM event WHERE message = ? ORDER BY rowid DESC LIMIT 1 OFFSET ?
)
"""


_RECIPIENTS_OF_MANY = """
SELECT message, address, state, until, reason, destination, attempts, first_failed, last_try, maybe_delivered
FROM recipient WHERE message IN (SELECT value FROM json_each(?)) ORDER BY message, position
"""


def summaries(connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> list[Summary]:
    """Return what is told of the messages in these rows; one query reads the recipients of all of them."""
    recipients: dict[int, list[tuple[str, bool, Waiting | None]]] = {row[0]: [] for row in rows}
    for seq, address, state, *rest in connection.execute(_RECIPIENTS_OF_MANY, (json.dumps(list(recipients)),)):
        recipients[seq].append((address, state == DONE, None if state == DONE else _waiting(rest)))
    return [_summary(row, recipients[row[0]]) for row in rows]


def _summary(row: Sequence[Any], recipients: Sequence[tuple[str, bool, Waiting | None]]) -> Summary:
    _, id, received, size, sender, frozen_since, text, done_addresses = row
    login, claimed, also_done = "", False, []
    with contextlib.suppress(ValueError, KeyError, IndexError, TypeError):  # a damaged row is still listed
        fields = json.loads(text)
        login, claimed = fields["c"][7], bool(fields.get("u"))
        if done_addresses != "[]":
            own = {_address(address).key for address, _, _ in recipients}
            also_done = [key for key in json.loads(done_addresses) if key not in own]
    return Summary(id, received, size, sender, frozen_since > 0, recipients, login, claimed, also_done)
