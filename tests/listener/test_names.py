"""Names in lists of clients: a client waits for them before its greeting, and nobody else does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from smarthostd.admission import build_policy
from smarthostd.assembly import build_language
from smarthostd.config import load
from smarthostd.listener.policy import Policy
from tests.listener.house import PATIENCE, Client, House, house
from tests.listener.test_tls import reset, tls_house
from tests.names import NameServer

FOREVER = timedelta(days=1)
OTHER = "127.0.0.2"
"""Another client's address."""


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NameServer]:
    """A name server that keeps everybody waiting until ``answers`` is set."""
    server = NameServer(monkeypatch)
    yield server
    server.answers.set()


def policy_of(directory: Path, text: str) -> Policy:
    """Return the daemon's policy for the main options *text*."""
    path = directory / "smarthostd.conf"
    path.write_text(f"primary_hostname = relay.example\nspool_directory = {directory}/spool\n{text}\n")
    loaded = load(path, {}, lenient=True)
    return build_policy(loaded, build_language(loaded.settings, serves=True), [], lambda line: None)


@asynccontextmanager
async def listening(directory: Path, text: str, **changes: object) -> AsyncIterator[House]:
    """Run a listener for whose policy the main options *text* count."""
    policy = policy_of(directory, text)
    async with house(directory) as relay:
        relay.listener.renew(replace(policy, **changes))
        yield relay


async def begin(relay: House, address: str = "127.0.0.1") -> Client:
    """Return a client that has connected from *address* and read nothing yet."""
    client = Client(*await asyncio.open_connection("127.0.0.1", relay.port, local_addr=(address, 0)))
    relay.clients.append(client)
    return client


async def may_relay(client: Client) -> str:
    """Go on behind the greeting, and return what RCPT is answered."""
    assert (await client.reply()).startswith("220 ")
    assert (await client.say("EHLO client.example")).startswith("250")
    assert (await client.say("MAIL FROM:<a@b.example>")).startswith("250")
    return await client.say("RCPT TO:<c@d.example>")


LISTS = {
    "a name": "relay_from_hosts = {other} : known.example",
    "a negated name": "relay_from_hosts = {other} : !other.example : 127.0.0.1",
    "a pattern": "relay_from_hosts = {other} : *.example",
    "a regular expression": "relay_from_hosts = {other} : ^known\\\\.",
    "a named list": "hostlist ours = {other} : known.example\nrelay_from_hosts = +ours",
    "an expanded list": "relay_from_hosts = ${{if eq{{a}}{{a}}{{{other} : known.example}}}}",
    "a named list that is expanded": "hostlist ours = ${{lc:{other} : KNOWN.example}}\nrelay_from_hosts = +ours",
    "a file": "relay_from_hosts = {file}",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
async def test_one_client_waits_for_names_and_no_other_does(tmp_path: Path, server: NameServer, text: str) -> None:
    """Neither one with a session nor one that comes, and is in the list before a name in it counts."""
    (tmp_path / "hosts").write_text(f"{OTHER}\nknown.example\n")
    server.names = {"known.example": "127.0.0.1", "other.example": "192.0.2.1"}
    server.reverse = {"127.0.0.1": "known.example"}
    async with listening(tmp_path, text.format(other=OTHER, file=tmp_path / "hosts")) as relay:
        before = await begin(relay, OTHER)
        assert (await may_relay(before)).startswith("250")
        waiting = await begin(relay)
        await server.is_asked()
        assert (await before.say("RSET")).startswith("250")
        assert (await may_relay(await begin(relay, OTHER))).startswith("250")
        server.answers.set()
        assert (await may_relay(waiting)).startswith("250")


async def test_what_is_known_is_not_asked_again(tmp_path: Path, server: NameServer) -> None:
    """Neither the name of an address nor the addresses of a name."""
    server.answers.set()
    server.names = {"known.example": "127.0.0.1"}
    server.reverse = {"127.0.0.1": "known.example"}
    async with listening(tmp_path, "relay_from_hosts = !known.example : *.example") as relay:
        assert (await may_relay(await begin(relay))).startswith("550")
        assert (await may_relay(await begin(relay, OTHER))).startswith("451")
    async with listening(tmp_path, "relay_from_hosts = *.example") as relay:
        for _ in range(3):
            assert (await may_relay(await begin(relay))).startswith("250")
    assert server.asked == ["known.example", OTHER, "127.0.0.1", "known.example"]


UNKNOWN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
AGAIN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
ANSWERS = {
    "an unknown name makes the list false": ("nosuch.example : 127.0.0.1", UNKNOWN, "550"),
    "unless it is ignored": ("+ignore_unknown : nosuch.example : 127.0.0.1", UNKNOWN, "250"),
    "a name that DNS does not tell leaves it undecided": ("nosuch.example : 127.0.0.1", AGAIN, "451"),
    "unless it is ignored, too": ("+ignore_defer : nosuch.example : 127.0.0.1", AGAIN, "250"),
    "or counts": ("+include_defer : nosuch.example", AGAIN, "250"),
    "a client without a name": ("*.example : 127.0.0.1", socket.herror(1, "Unknown host"), "550"),
    "a client whose name is not told": ("*.example : 127.0.0.1", socket.herror(2, "Host name lookup failure"), "451"),
    "an address that decides before": ("127.0.0.1 : nosuch.example", UNKNOWN, "250"),
}


@pytest.mark.parametrize(("hosts", "answer", "code"), ANSWERS.values(), ids=ANSWERS)
async def test_what_cannot_be_looked_up_means_what_it_means_in_exim(
    tmp_path: Path, server: NameServer, hosts: str, answer: OSError, code: str
) -> None:
    server.answers.set()
    server.names = {"nosuch.example": answer}
    server.reverse = {"127.0.0.1": answer}
    async with listening(tmp_path, f"relay_from_hosts = {hosts}") as relay:
        assert (await may_relay(await begin(relay))).startswith(code)


@pytest.mark.parametrize(
    ("hosts", "code"),
    [
        pytest.param("slow.example : dead.example : 127.0.0.1", "451", id="undecided"),
        pytest.param("+ignore_defer : slow.example : dead.example : *.example : 127.0.0.1", "250", id="ignored"),
        pytest.param("+include_defer : slow.example", "250", id="included"),
    ],
)
async def test_a_name_server_that_says_nothing_is_waited_for_only_so_long(
    tmp_path: Path, server: NameServer, monkeypatch: pytest.MonkeyPatch, hosts: str, code: str
) -> None:
    """All names together; then the list is undecided, and the session goes on."""
    monkeypatch.setattr("smarthostd.resolver.LOOKUP_TIMEOUT", 0.1)
    async with listening(tmp_path, f"relay_from_hosts = {hosts}") as relay:
        assert (await may_relay(await begin(relay))).startswith(code)
        server.names = dict.fromkeys(server.asked, UNKNOWN)
        server.reverse = {"127.0.0.1": UNKNOWN}


OFFERS = {
    "STARTTLS": "tls_advertise_hosts = known.example",
    "PIPELINING": "pipelining_advertise_hosts = *.example",
    "DSN": "hostlist ours = known.example\ndsn_advertise_hosts = +ours",
}


@pytest.mark.parametrize(("word", "text"), OFFERS.items(), ids=OFFERS)
async def test_what_is_offered_may_depend_on_names(tmp_path: Path, server: NameServer, word: str, text: str) -> None:
    server.names = {"known.example": "127.0.0.1"}
    server.reverse = {"127.0.0.1": "known.example", OTHER: "known.example"}
    policy = policy_of(tmp_path, text)
    async with tls_house(tmp_path, names=policy.names, offers=policy.offers, offers_tls=policy.offers_tls) as here:
        waiting = await begin(here.relay)
        await server.is_asked()
        server.answers.set()
        assert (await waiting.reply()).startswith("220 ")
        assert word in await waiting.say("EHLO client.example")
        other = await begin(here.relay, OTHER)
        assert (await other.reply()).startswith("220 ")
        assert word not in await other.say("EHLO client.example")


async def test_a_list_may_be_another_over_tls(tmp_path: Path, server: NameServer) -> None:
    """Then its names are asked for when the handshake is done, with STARTTLS and where TLS comes first."""
    server.names = {"known.example": "127.0.0.1"}
    policy = policy_of(tmp_path, "auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{known.example}}")
    async with tls_house(tmp_path, names=policy.names, offers_login=policy.offers_login) as here:
        client = await here.starttls()
        assert server.asked == []
        upgrading = asyncio.create_task(client.writer.start_tls(here.context()))
        await server.is_asked()
        server.answers.set()
        await upgrading
        assert (await client.say("EHLO client.example")).startswith("250")
        assert server.asked == ["known.example"]
        assert (await here.connect()).greeting.startswith("220 ")


async def test_who_waits_for_names_counts_and_is_ended(tmp_path: Path, server: NameServer) -> None:
    async with listening(tmp_path, "relay_from_hosts = known.example", accept_max=1) as relay:
        waiting = await begin(relay)
        await server.is_asked()
        assert (await (await begin(relay, OTHER)).reply()).startswith("421 4.3.2 Too many")
        async with asyncio.timeout(PATIENCE):
            await relay.listener.drain(FOREVER)
        assert (await waiting.reply()).startswith("421 4.3.2 relay.example is shutting down")
        assert await waiting.ended()
        assert not relay.listener.sessions
        server.names = {"known.example": UNKNOWN}


async def test_who_goes_while_it_waits_counts_no_more(tmp_path: Path, server: NameServer) -> None:
    async with listening(tmp_path, "relay_from_hosts = known.example", accept_max=1) as relay:
        waiting = await begin(relay)
        await server.is_asked()
        await reset(waiting)
        async with asyncio.timeout(PATIENCE):
            await relay.listener._empty()
        server.names = {"known.example": "127.0.0.1"}
        server.answers.set()
        assert (await may_relay(await begin(relay))).startswith("250")


async def test_what_a_client_says_before_its_greeting_is_kept(tmp_path: Path, server: NameServer) -> None:
    async with listening(tmp_path, "relay_from_hosts = known.example") as relay:
        waiting = await begin(relay)
        await waiting.send(b"EHLO client.example\r\n")
        await server.is_asked()
        server.names = {"known.example": "127.0.0.1"}
        server.answers.set()
        assert (await waiting.reply()).startswith("220 ")
        assert (await waiting.reply()).startswith("250-relay.example Hello")


async def test_a_silent_client_is_not_one_that_we_keep_waiting(tmp_path: Path, server: NameServer) -> None:
    async with listening(tmp_path, "relay_from_hosts = known.example") as relay:
        waiting = await begin(relay)
        await server.is_asked()
        (session,) = relay.listener.sessions
        session.look_at_clock(session._active + FOREVER.total_seconds())
        server.names = {"known.example": "127.0.0.1"}
        server.answers.set()
        assert (await may_relay(waiting)).startswith("250")


WITHOUT_NAMES = {
    "nobody": "relay_from_hosts =",
    "everybody": "auth_advertise_hosts = *\ntls_advertise_hosts = *",
    "addresses and networks": "relay_from_hosts = 127.0.0.1 : !10.0.0.0/8 : 192.168.0.0/16",
    "addresses of IPv6": "relay_from_hosts = <; 127.0.0.1 ; ::1 ; fe80::/10",
    "this host's own": "relay_from_hosts = @[]",
    "named lists": "hostlist ours = 127.0.0.1 : +theirs\nhostlist theirs = 10.0.0.0/8\nrelay_from_hosts = +ours",
    "switches": "relay_from_hosts = +ignore_unknown : 10.0.0.0/8 : +include_defer",
    "a lookup of the network": "relay_from_hosts = net24-lsearch;/etc/hosts",
}


@pytest.mark.parametrize("text", WITHOUT_NAMES.values(), ids=WITHOUT_NAMES)
def test_lists_without_names_ask_nobody(tmp_path: Path, text: str) -> None:
    assert policy_of(tmp_path, text).names is None


WITH_NAMES = {**LISTS, "this host": "relay_from_hosts = @", "a lookup of the name": "relay_from_hosts = lsearch;/x"}


@pytest.mark.parametrize("text", WITH_NAMES.values(), ids=WITH_NAMES)
def test_lists_in_which_there_may_be_names_are_known(tmp_path: Path, text: str) -> None:
    (tmp_path / "hosts").touch()
    assert policy_of(tmp_path, text.format(other=OTHER, file=tmp_path / "hosts")).names is not None
