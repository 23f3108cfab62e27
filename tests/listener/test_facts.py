"""What a command line says of a message on the daemon's socket (XLOCAL), and what of it is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarthostd.envelope import Client
from smarthostd.errors import Refused
from smarthostd.listener.commands import facts_parameter, mail_from
from smarthostd.listener.peers import described

NAMES = ("received_protocol", "sender_host_address", "sender_ident")
FACTS = {
    "received_protocol": "scanned\x1b", "sender_host_address": "192.0.2.9", "sender_host_port": "99",
    "sender_host_name": "h.example", "sender_ident": "ann", "sender_host_authenticated": "au", "authenticated_id": "me",
}  # fmt: skip
BAD = {
    "an address that is none": {"sender_host_address": "localhost"},
    "a port that is none": {"sender_host_address": "192.0.2.9", "sender_host_port": "x"},
    "a name without an address": {"sender_host_name": "h.example"},
}


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs",)), min_size=1),
        min_size=1,
    )
)
def test_what_is_said_is_heard(facts: dict[str, str]) -> None:
    """Whatever characters it has, it is one word of a command."""
    word = facts_parameter(facts)
    assert word.isascii()
    assert not set(word) & set(" \r\n\0")
    assert mail_from(f"FROM:<a@b> {word}", 0, local=True).facts == facts


def test_xlocal_alone_says_nothing() -> None:
    mail = mail_from(f"FROM:<a@b> {facts_parameter({})}", 0, local=True)
    assert (mail.command_line, mail.facts) == (True, {})


@pytest.mark.parametrize("word", ["XLOCAL=+4", "XLOCAL=ü", "XLOCAL=a=b"])
def test_what_is_no_xtext_is_refused(word: str) -> None:
    with pytest.raises(Refused):
        mail_from(f"FROM:<a@b> {word}", 0, local=True)


def test_who_is_trusted_is_believed() -> None:
    """As far as it can be: nothing of it can forge a line of the log."""
    client = described(Client("local-esmtp", login="root", helo="localhost"), FACTS)
    assert client == Client(
        "scanned\\033", "192.0.2.9", 99, "h.example", authenticated_id="me", authenticator="au", login="ann"
    )


@pytest.mark.parametrize("facts", BAD.values(), ids=BAD)
def test_what_cannot_be_is_not_believed(facts: dict[str, str]) -> None:
    client = described(Client(login="root"), facts)
    assert (client.name, client.port) == ("", 0)
    assert client.address in ("", "192.0.2.9")


@pytest.mark.parametrize(("protocol", "believed"), [("local-bsmtp", "local-bsmtp"), ("esmtpsa", "local")])
def test_others_say_only_which_of_our_ways_it_came(protocol: str, believed: str) -> None:
    client = Client(login="ann", uid=1000, trusted=False)
    said = described(client, {**FACTS, "received_protocol": protocol})
    assert said == Client(believed, login="ann", uid=1000, trusted=False)
