"""What the language costs: routing one recipient, making a login's text, loading a configuration.

``python -m bench.language`` prints the best and the median of several rounds, in microseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from smarthostd.address import Address
from smarthostd.assembly import Language, build_language, build_routing
from smarthostd.authenticators import build as build_authenticators
from smarthostd.config import Loaded, load
from smarthostd.delivery import message_values
from smarthostd.envelope import Client, Content, Envelope, Message, Recipient
from smarthostd.routers.base import ToTransport
from smarthostd.spool.base import Pending, Waiting

ROUNDS = 15
CREDENTIALS = 10_000
"""Lines of the credentials file."""

DEBIAN = """
primary_hostname = bench.example
qualify_domain = bench.example
domainlist local_domains = @:localhost:bench.example
domainlist relay_to_domains =
.ifndef ROUTER_SMARTHOST_TRANSPORT
ROUTER_SMARTHOST_TRANSPORT = remote_smtp_smarthost
.endif

begin routers

domain_literal_or_hub:
  debug_print = "R: hub for $local_part@$domain"
  driver = manualroute
  domains = +relay_to_domains
  transport = remote_smtp_smarthost
  route_data = ${lookup{$domain}partial-lsearch{DIRECTORY/hubbed_hosts}}

smarthost:
  debug_print = "R: smarthost for $local_part@$domain"
  driver = manualroute
  domains = ! +local_domains
  transport = ROUTER_SMARTHOST_TRANSPORT
  route_list = * 127.0.0.10::587 byname
  host_find_failed = ignore
  same_domain_copy_routing = yes
  no_more

local:
  driver = accept
  domains = +local_domains
  transport = remote_smtp_smarthost

begin transports

remote_smtp_smarthost:
  debug_print = "T: remote_smtp_smarthost for $local_part@$domain"
  driver = smtp
  multi_domain
"""
_LOOKUP = "${lookup{$host}lsearch{DIRECTORY/smtp_users}{$value}fail}"
SEED = f"""
begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  client_send = "${{extract{{auth_plain}}{{{_LOOKUP} }}}}"
"""
"""The seed's: a field of the credential that is kept under the host's name."""


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "hubbed_hosts").write_text("hub.example: 127.0.0.11\n")
        (directory / "smtp_users").write_text("".join(_credentials()))
        for what, work in (
            ("route one recipient, Debian's smarthost configuration", _routing(directory)),
            (f"client_send with a file of {CREDENTIALS} lines that has not changed", _login(directory)),
            ("load and check 500 lines", _loading(directory)),
        ):
            best, median = _measured(work)
            print(f"{what}: best {best:.1f} us, median {median:.1f} us")


def _measured(work: Callable[[], None]) -> tuple[float, float]:
    """Return best and median of the rounds, each of as many calls as make it long enough to measure."""
    began = time.perf_counter()
    work()
    calls = max(1, round(0.05 / max(time.perf_counter() - began, 1e-7)))
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(calls):
            work()
        rounds.append((time.perf_counter() - began) / calls * 1e6)
    return min(rounds), statistics.median(rounds)


def _credentials() -> Iterable[str]:
    for number in range(CREDENTIALS):
        yield f"host{number}.example: auth_name=u{number} auth_pass=p{number} auth_plain=^u{number}^p{number}\n"


def _loaded(directory: Path, text: str) -> tuple[Loaded, Language]:
    path = directory / "bench.conf"
    path.write_text(text.replace("DIRECTORY", str(directory)))
    loaded = load(path, {}, lenient=True)
    return loaded, build_language(loaded.settings, loaded.source)


def _routing(directory: Path) -> Callable[[], None]:
    loaded, language = _loaded(directory, DEBIAN)
    routing = build_routing(loaded.settings, language)
    recipient = Recipient(Address.parse("you@remote.example"))
    envelope = Envelope(Address.parse("me@bench.example"), (recipient,), client=Client("esmtp", "127.0.0.1", 2))
    message = Message("1abcde-000000-AB", 0.0, envelope, Content(b"Subject: x\r\n\r\n"))
    pending = Pending(message, {recipient: Waiting(0)})

    def work() -> None:
        # Nothing waits here, so no loop is needed; what one costs is not the language's.
        walk = routing.route(recipient, message_values(pending))
        with contextlib.suppress(StopIteration):
            walk.send(None)

    (routed,) = asyncio.run(routing.route(recipient, message_values(pending)))
    assert isinstance(routed.verdict, ToTransport), "the bench's own configuration routes"
    return work


def _login(directory: Path) -> Callable[[], None]:
    loaded, language = _loaded(directory, DEBIAN + SEED)
    (plain,) = build_authenticators(loaded.settings.authenticators, language.expander)
    values = {"host": "host9999.example"}

    def work() -> None:
        assert next(plain.client(values)) == b"\0u9999\0p9999"

    return work


def _loading(directory: Path) -> Callable[[], None]:
    lists = "".join(f"domainlist list{at} = a{at}.example : *.b{at}.example\n" for at in range(440))
    path = directory / "long.conf"
    path.write_text(
        (DEBIAN.replace("begin routers", f"{lists}\nbegin routers") + SEED).replace("DIRECTORY", str(directory))
    )

    def work() -> None:
        load(path, {}, lenient=True)

    return work


if __name__ == "__main__":
    main()
