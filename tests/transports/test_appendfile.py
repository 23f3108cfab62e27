"""Local deliveries on disk: mbox with locks, Maildir, and names that must not become paths."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from smarthostd.address import Address
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.expand import Facts
from smarthostd.outcome import Deferred, Delivered, Failed, Outcome
from smarthostd.routers.base import RoutedAddress
from smarthostd.transports.appendfile import AppendfileTransport
from smarthostd.transports.base import Batch
from smarthostd.transports.options.appendfile import AppendfileOptions
from tests.language import expander

BODY = b"Subject: x\r\n\r\nhello\r\nFrom me\r\n.dot\r\n"


async def deliver(options: Mapping[str, Any], local_part: str = "joe", content: Content | None = None) -> Outcome:
    """Deliver one message by a transport with *options*."""
    made = AppendfileOptions(name="box", driver="appendfile", **options)
    transport = AppendfileTransport(made, expander(Facts("relay.example")))
    recipient = Recipient(Address(local_part, "here.example"))
    address = RoutedAddress(recipient.address, recipient)
    sender = Address("me", "app.example")
    message = Message("ID", 0.0, Envelope(sender, (recipient,)), content or Content(BODY))
    batch = Batch("local", transport, (address,), sender, values={"local_part": local_part})
    return (await transport.deliver(message, batch))[address]


async def test_an_mbox_message_is_framed_and_from_lines_are_escaped(tmp_path: Path) -> None:
    box = tmp_path / "mbox"
    for _ in range(2):
        assert isinstance(await deliver({"file": str(box)}), Delivered)
    one = rb"From me@app\.example \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\nSubject: x\n\nhello\n>From me\n\.dot\n\n"
    assert re.fullmatch(one * 2, box.read_bytes())
    assert box.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [box]


async def test_a_link_that_is_put_there_at_the_last_moment_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a directory that others may write, between any look and the opening."""
    monkeypatch.setattr(Path, "is_symlink", lambda path: False)
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "mbox").symlink_to(tmp_path / "elsewhere")
    outcome = await deliver({"file": str(tmp_path / "mbox")})
    assert isinstance(outcome, Deferred)
    assert "is a symbolic link (allow_symlink)" in outcome.text
    assert (tmp_path / "elsewhere").read_text() == "precious"


async def test_what_goes_nowhere_is_not_written(tmp_path: Path) -> None:
    assert isinstance(await deliver({"file": "/dev/null"}), Delivered)


async def test_what_is_no_regular_file_is_no_mailbox(tmp_path: Path) -> None:
    """A pipe that nobody reads would hold its thread for ever."""
    os.mkfifo(tmp_path / "mbox")
    outcome = await deliver({"file": str(tmp_path / "mbox")}, content=Content(BODY * 10_000))
    assert isinstance(outcome, Deferred)
    assert "is not a regular file" in outcome.text


async def test_from_lines_are_escaped_wherever_blocks_end(tmp_path: Path) -> None:
    large = tmp_path / "content"
    for fill in (65_530, 65_531, 65_532, 65_533, 65_534, 65_535, 65_536):
        large.write_bytes(b"x" * fill + b"\r\nFrom me\r\nFrom you\r\n")
        box = tmp_path / f"mbox{fill}"
        assert isinstance(await deliver({"file": str(box)}, content=Content(b"", large)), Delivered)
        text = box.read_bytes().split(b"\n", 1)[1]
        assert text == b"x" * fill + b"\n>From me\n>From you\n\n", fill


async def test_a_locked_mbox_waits(tmp_path: Path) -> None:
    box = tmp_path / "mbox"
    box.touch()
    quick = {"file": str(box), "lock_retries": 2, "lock_interval": timedelta(milliseconds=1)}
    with box.open("a") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        # fcntl locks are the process's own: the lock file is what another delivery of ours meets.
        (tmp_path / "mbox.lock").touch()
        outcome = await deliver(quick)
    assert isinstance(outcome, Deferred)
    assert "failed to lock" in outcome.text
    assert box.read_bytes() == b""


async def test_a_lock_file_that_was_left_behind_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "mbox.lock").touch()
    options = {
        "file": str(tmp_path / "mbox"),
        "lockfile_timeout": timedelta(0),
        "lock_interval": timedelta(milliseconds=1),
    }
    assert isinstance(await deliver(options), Delivered)


async def test_a_maildir_message_lies_in_new_with_its_headers(tmp_path: Path) -> None:
    options = {
        "directory": str(tmp_path / "mail" / "$local_part"), "maildir_format": True,
        "return_path_add": True, "envelope_to_add": True, "delivery_date_add": True,
    }  # fmt: skip
    assert isinstance(await deliver(options), Delivered)
    (file,) = (tmp_path / "mail" / "joe" / "new").iterdir()
    assert list((tmp_path / "mail" / "joe" / "tmp").iterdir()) == []
    text = file.read_bytes()
    assert text.startswith(b"Return-path: <me@app.example>\nEnvelope-to: joe@here.example\nDelivery-date: ")
    assert text.endswith(b"Subject: x\n\nhello\nFrom me\n.dot\n")


@pytest.mark.parametrize("local_part", ["../evil", "a/b", ".hidden", "x\x00y", "..", "/etc/passwd"])
async def test_a_local_part_never_leaves_its_directory(tmp_path: Path, local_part: str) -> None:
    outcome = await deliver({"file": f"{tmp_path}/$local_part"}, local_part)
    assert isinstance(outcome, Failed)
    assert list(tmp_path.iterdir()) == []


async def test_what_the_disk_refuses_waits(tmp_path: Path) -> None:
    (tmp_path / "notadirectory").touch()
    outcome = await deliver({"file": f"{tmp_path}/notadirectory/mbox"})
    assert isinstance(outcome, Deferred)
    assert str(tmp_path) in outcome.text


async def test_a_symbolic_link_is_not_followed_unless_allowed(tmp_path: Path) -> None:
    (tmp_path / "mbox").symlink_to(tmp_path / "elsewhere")
    assert isinstance(await deliver({"file": str(tmp_path / "mbox")}), Deferred)
    assert not (tmp_path / "elsewhere").exists()
    assert isinstance(await deliver({"file": str(tmp_path / "mbox"), "allow_symlink": True}), Delivered)


async def test_an_expansion_that_fails_waits(tmp_path: Path) -> None:
    outcome = await deliver({"file": "${if eq{a}{b}{/x}fail}"})
    assert isinstance(outcome, Deferred)
    assert outcome.errno == -27
