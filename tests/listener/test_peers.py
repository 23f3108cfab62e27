"""Who a local user is and may be: the kernel's word on the unix socket, and what follows for sender and header."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping

import pytest

from smarthostd.address import Address, login_address
from smarthostd.assembly import Trust, build_language
from smarthostd.config.settings import Settings
from smarthostd.errors import ConfigurationError
from smarthostd.listener.peers import Peer, owner, peer_of

NOBODY = Peer(65534, frozenset({65534, 7}), "nobody", "nobody")


def trust(**options: str) -> Trust:
    settings = Settings(primary_hostname="relay.example", qualify_domain="qualify.example", **options)  # type: ignore[arg-type]  # texts, as a file has them
    return Trust(settings, build_language(settings))


def test_the_kernel_says_who_has_connected() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = peer_of(ours)
    assert peer.uid == os.getuid()
    assert peer.login == pwd.getpwuid(os.getuid()).pw_name
    assert {os.getgid(), *os.getgroups()} <= peer.groups


def test_the_owner_of_a_file_has_the_groups_of_the_account() -> None:
    entry = pwd.getpwuid(os.getuid())
    assert owner(os.getuid()).groups == frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))


def test_a_user_whom_the_machine_does_not_know_is_a_number() -> None:
    assert owner(4_000_000_000).login == "4000000000"


@pytest.mark.parametrize(
    ("login", "address"),
    [
        pytest.param("jo", "jo", id="plain"),
        pytest.param("jo smith", '"jo smith"', id="quoted where it must be"),
        pytest.param("DOMAIN\\jo", '"DOMAIN\\\\jo"', id="a backslash"),
        pytest.param("jo@realm", '"jo@realm"', id="an at sign does not make a domain"),
        pytest.param("a\r\nb", "7", id="the uid where nothing else can be said"),
    ],
)
def test_a_login_as_an_address(login: str, address: str) -> None:
    assert login_address(login, 7) == Address(address, "")


@pytest.mark.parametrize(
    ("options", "trusted"),
    [
        pytest.param({}, False, id="nobody is"),
        pytest.param({"trusted_users": "daemon : nobody"}, True, id="by name"),
        pytest.param({"trusted_users": "65534"}, True, id="by number"),
        pytest.param({"trusted_groups": "7"}, True, id="by a group"),
        pytest.param({"trusted_groups": "daemon"}, False, id="by no group of theirs"),
    ],
)
def test_who_is_trusted(options: Mapping[str, str], trusted: bool) -> None:
    assert trust(**options).trusts(NOBODY) is trusted


def test_root_and_our_own_user_are_trusted() -> None:
    assert trust().trusts(Peer(0))
    assert trust().trusts(Peer(os.geteuid()))


@pytest.mark.parametrize("options", [{"trusted_users": "no-such-user"}, {"trusted_groups": "no-such-group"}])
def test_a_user_or_group_that_is_not_there_is_a_mistake(options: Mapping[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no (user|group) 'no-such-"):
        trust(**options)


@pytest.mark.parametrize(
    ("senders", "sender", "may"),
    [
        pytest.param("", "a@b.example", False, id="none"),
        pytest.param("*", "a@b.example", True, id="any"),
        pytest.param("*@b.example", "a@b.example", True, id="of a domain"),
        pytest.param("*@b.example", "a@c.example", False, id="of another domain"),
        pytest.param("*@qualify.example", "a", True, id="a bare one counts with its domain"),
        pytest.param("^$sender_ident-", "nobody-x@c.example", True, id="by the login"),
        pytest.param("^$sender_ident-", "root-x@c.example", False, id="by another's login"),
        pytest.param("@@lsearch;/no/such/file", "a@b.example", False, id="what cannot be decided is a no"),
    ],
)
def test_untrusted_set_sender(senders: str, sender: str, may: bool) -> None:
    assert trust(untrusted_set_sender=senders).may_send_as(NOBODY, Address.parse(sender)) is may
