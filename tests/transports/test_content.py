"""What a transport changes in a message: its sender, its header, never its body."""

from __future__ import annotations

from typing import Any

import pytest

from smarthostd.address import NULL_SENDER, Address
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.errors import ExpansionError
from smarthostd.expand import Facts
from smarthostd.routers.base import RoutedAddress
from smarthostd.transports.appendfile import AppendfileTransport
from smarthostd.transports.base import Batch
from smarthostd.transports.content import Outgoing
from smarthostd.transports.options.appendfile import AppendfileOptions
from tests.language import expander

SENDER = Address("u", "a.example")
HEADER = b"From: U <u@a.example>\r\nTo: v@b.example\r\nX-Old: 1\r\n"
BODY = b"\r\nFrom: u@a.example\r\n"


class Sent:
    """One message through one transport's changes."""

    def __init__(self, sender: Address = SENDER, **options: Any) -> None:
        language = expander(Facts("relay.example", "q.example", "q.example"))
        made = AppendfileOptions(name="out", driver="appendfile", file="/dev/null", **options)
        recipient = Recipient(Address("v", "b.example"))
        address = RoutedAddress(recipient.address, recipient)
        values = {"return_path": str(sender), "local_part": "v", "domain": "b.example"}
        self.told: list[tuple[str, str]] = []
        self._outgoing = Outgoing(made, language, lambda id, line: self.told.append((id, line)))
        self._message = Message("ID", 0.0, Envelope(sender, (recipient,)), Content(HEADER + BODY))
        self._batch = Batch("r", AppendfileTransport(made, language), (address,), sender, values=values)

    @property
    def sender(self) -> Address:
        return self._outgoing.batch(self._batch).sender

    @property
    def content(self) -> Content:
        return self._outgoing.content(self._message, self._batch)

    def octets(self) -> bytes:
        return b"".join(self.content.blocks())


SENDERS = {
    "nothing said": ("", "u@a.example"),
    "an address": ("me@provider.example", "me@provider.example"),
    "one for each recipient": ("bounces+$local_part=$domain@provider.example", "bounces+v=b.example@provider.example"),
    "the null sender": ("${if eq{a}{b}{x}}", ""),
    "left as it is, by force": ("${if eq{a}{b}{x}fail}", "u@a.example"),
    "made of the old one": ("${local_part:$return_path}@provider.example", "u@provider.example"),
}


@pytest.mark.parametrize(("return_path", "sender"), SENDERS.values(), ids=SENDERS)
def test_return_path_replaces_the_sender(return_path: str, sender: str) -> None:
    assert str(Sent(return_path=return_path).sender) == sender


def test_bounces_keep_the_null_sender() -> None:
    """Exim gives them one, and the loop that may come of it."""
    assert Sent(NULL_SENDER, return_path="me@provider.example").sender == NULL_SENDER


@pytest.mark.parametrize("return_path", ["${nosuch}", "no address", "u@b\r\nRCPT TO:<x@y>"])
def test_a_sender_that_is_none_defers(return_path: str) -> None:
    with pytest.raises(ExpansionError, match=r"(?s)return path .* in out transport"):
        _ = Sent(return_path=return_path).sender


def test_without_changes_the_content_is_the_spools() -> None:
    sent = Sent()
    assert sent.content is sent.content


def test_headers_rewrite_is_for_all_header_lines_unless_it_says_otherwise() -> None:
    everywhere = Sent(headers_rewrite="*@* me@provider.example").octets()
    assert (
        everywhere
        == HEADER.replace(b"u@a.example", b"me@provider.example").replace(b"v@b.example", b"me@provider.example") + BODY
    )
    from_alone = Sent(headers_rewrite="*@a.example $1@c.example f : *@c.example $1@d.example fs").octets()
    assert from_alone == HEADER.replace(b"u@a.example", b"u@d.example") + BODY


def test_lines_are_taken_out_and_rewritten_before_others_are_added() -> None:
    """What is added is not rewritten, as in Exim."""
    sent = Sent(headers_rewrite="* me@p.example f", headers_remove="X-Old", headers_add="From: u@a.example").octets()
    assert sent == b"From: U <me@p.example>\r\nTo: v@b.example\r\nFrom: u@a.example\r\n" + BODY


def test_what_goes_wrong_is_told_of_the_message() -> None:
    sent = Sent(headers_rewrite="* bare t")
    assert sent.octets() == HEADER + BODY
    assert sent.told == [("ID", 'Rewrite of v@b.example yielded unqualified address "bare"')]
