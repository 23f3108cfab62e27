"""The sandbox: a smarthost to play with, on this machine, that keeps what it receives and sends nothing on.

It demands STARTTLS (or speaks TLS at once) with a certificate made on the spot, and a password by CRAM-MD5,
PLAIN or LOGIN. It stands on stock aiosmtpd and shares no line with our own listener, so the two cannot
agree on a mistake. ``python -m smarthostd.demo.sandbox --help`` starts one to try things on.

A provider's changed password is ``change_password``: it hangs up as well, for a client that has
logged in would not notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import secrets
import ssl
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import click
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from msgspec import Struct, structs

from smarthostd.syntax import printable

MECHANISMS = ("CRAM-MD5", "PLAIN", "LOGIN")
NAMES = ("localhost", "127.0.0.1", "::1")
"""What the certificate is for."""
SIZE_LIMIT = 100 << 20
"""Octets of the largest message it takes."""
STOP_TIMEOUT = 5.0
"""Seconds for its sessions to end."""

_REFUSED = "535 5.7.8 Username and password not accepted"


class Kept(Struct, frozen=True):
    """A message as it came: envelope, octets in wire form, how the client logged in and over what."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    mechanism: str
    tls: str

    def __str__(self) -> str:
        count = f"{len(self.recipients)} recipient{'s' * (len(self.recipients) != 1)}"
        return f"<{printable(self.sender)}> to {count}, {len(self.content)} octets, {self.mechanism} over {self.tls}"


class Certificate:
    """A certificate for *names* from an authority of its own, which a client must be told to trust."""

    def __init__(self, names: Sequence[str] = NAMES) -> None:
        import trustme

        authority = trustme.CA()
        self._issued = authority.issue_cert(*names)
        self.authority = authority.cert_pem.bytes()
        """What to trust, in PEM form."""

    def context(self) -> ssl.SSLContext:
        """Return the server side's TLS settings."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._issued.configure_cert(context)
        return context


class Sandbox:
    """One smarthost; ``kept`` holds what it received, in order of arrival."""

    def __init__(
        self,
        user: str,
        password: str,
        certificate: Certificate,
        *,
        mechanisms: Sequence[str] = MECHANISMS,
        implicit_tls: bool = False,
        on_kept: Callable[[Kept], None] | None = None,
    ) -> None:
        self.user = user
        self.mechanisms = tuple(mechanisms)
        self.kept: list[Kept] = []
        self.refused = 0
        """How many logins were refused."""
        self.port = 0
        self._password = password
        self._context = certificate.context()
        self._implicit_tls = implicit_tls
        self._on_kept = on_kept
        self._server: asyncio.Server | None = None
        self.sessions: set[_Session] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 lets the system choose, and ``port`` tells."""
        loop = asyncio.get_running_loop()
        context = self._context if self._implicit_tls else None
        self._server = await loop.create_server(self._session, host, port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Hang up and stop listening."""
        if self._server:
            self._server.close()
        await self.hang_up()

    async def hang_up(self) -> None:
        """End every session."""
        sessions = list(self.sessions)
        for session in sessions:
            session.hang_up()
        async with asyncio.timeout(STOP_TIMEOUT):
            await asyncio.gather(*(session.ended.wait() for session in sessions))

    async def change_password(self, password: str) -> None:
        """From now on only *password* is right, for everybody."""
        self._password = password
        await self.hang_up()

    def accepts(self, login: LoginPassword) -> bool:
        """Return whether this is the user with the password; a refusal is counted."""
        return self._judge(login.login, hmac.compare_digest(login.password, self._password.encode()))

    def accepts_digest(self, login: bytes, challenge: bytes, digest: bytes) -> bool:
        """Return whether *digest* answers *challenge* as RFC 2195 says; a refusal is counted."""
        expected = hmac.new(self._password.encode(), challenge, "md5").hexdigest().encode()
        return self._judge(login, hmac.compare_digest(expected, digest))

    def _judge(self, login: bytes, proven: bool) -> bool:
        right = proven and login == self.user.encode()
        self.refused += not right
        return right

    def keep(self, kept: Kept) -> int:
        """Keep a message; return its number."""
        self.kept.append(kept)
        if self._on_kept:
            self._on_kept(kept)
        return len(self.kept)

    def _session(self) -> _Session:
        return _Session(self, None if self._implicit_tls else self._context)


class Running:
    """A sandbox on an event loop of its own, in a thread, for programs that have none; a context manager."""

    def __init__(self, sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> None:
        self.sandbox = sandbox
        self._address = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox", daemon=True)

    def __enter__(self) -> Running:
        self._thread.start()
        self._wait(self.sandbox.start(*self._address))
        return self

    def __exit__(self, *error: object) -> None:
        self._wait(self.sandbox.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_TIMEOUT)
        self._loop.close()

    def change_password(self, password: str) -> None:
        """From now on only *password* is right."""
        self._wait(self.sandbox.change_password(password))

    def _wait(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(STOP_TIMEOUT)


class _Login(Session):
    """What a session knows; aiosmtpd's own warns in the log whenever it is told who logged in."""

    login_data = None


class _Session(SMTP):
    """One connection; ours are only the life cycle and the list of mechanisms."""

    line_length_limit = 1 << 16  # real mail has lines that RFC 5321 forbids, and aiosmtpd would refuse them

    def __init__(self, sandbox: Sandbox, context: ssl.SSLContext | None) -> None:
        super().__init__(
            _Mailbox(sandbox),
            hostname="sandbox.smarthostd",
            ident="smarthostd's sandbox: nothing leaves this machine",
            tls_context=context,
            require_starttls=context is not None,
            auth_required=True,
            auth_exclude_mechanism=[name for name in MECHANISMS if name not in sandbox.mechanisms],
            authenticator=self._decide,
            enable_SMTPUTF8=True,
            data_size_limit=SIZE_LIMIT,
            loop=asyncio.get_running_loop(),
        )
        self._auth_require_tls = context is not None  # aiosmtpd does not see TLS that was there from the start
        self._sandbox = sandbox
        self.ended = asyncio.Event()

    def _create_session(self) -> Session:
        return _Login(self.loop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sandbox.sessions.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._sandbox.sessions.discard(self)
        self.ended.set()
        super().connection_lost(error)

    def hang_up(self) -> None:
        """Break the connection."""
        assert isinstance(self.transport, asyncio.WriteTransport)
        self.transport.abort()

    @staticmethod
    def _decide(server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: LoginPassword) -> AuthResult:
        assert isinstance(server, _Session)
        return _result(server._sandbox.accepts(login), mechanism)


class _Mailbox:
    """What aiosmtpd calls: the mechanism that it lacks, and the place for messages."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def auth_CRAM__MD5(self, server: SMTP, words: list[str]) -> AuthResult:  # noqa: N802 - aiosmtpd's way to spell it
        """Ask for a digest (RFC 2195)."""
        challenge = f"<{secrets.token_hex(8)}@sandbox.smarthostd>".encode()
        answer = await server.challenge_auth(challenge)
        if not isinstance(answer, bytes):
            return AuthResult(success=False)  # the client gave up, and was told so
        login, _, digest = answer.rpartition(b" ")
        return _result(self._sandbox.accepts_digest(login, challenge, digest), "CRAM-MD5")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name for it
        """Keep the message."""
        assert server.transport
        content = envelope.original_content or b""
        kept = Kept(
            envelope.mail_from or "",
            tuple(envelope.rcpt_tos),
            content,
            str(session.auth_data),
            server.transport.get_extra_info("ssl_object").version(),
        )
        return f"250 2.0.0 kept as number {self._sandbox.keep(kept)}"


def _result(right: bool, mechanism: str) -> AuthResult:
    if right:
        return AuthResult(success=True, auth_data=mechanism)
    return AuthResult(success=False, handled=False, message=_REFUSED)


def write(kept: Kept, number: int, directory: Path) -> None:
    """Write a message to ``NUMBER.eml`` in *directory*, and what is known of it to ``NUMBER.json``."""
    (directory / f"{number}.eml").write_bytes(kept.content)
    facts = structs.asdict(kept) | {"content": None}
    (directory / f"{number}.json").write_text(json.dumps({key: value for key, value in facts.items() if value}))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=2587, show_default=True, help="The port to listen on; 0 for any.")
@click.option("--user", default="my_username", show_default=True, help="Who may log in.")
@click.option("--password", default="secret", show_default=True, help="The user's password.")
@click.option(
    "--mechanism", "mechanisms", multiple=True, type=click.Choice(MECHANISMS), help="Offer only this (may be repeated)."
)
@click.option("--name", "names", multiple=True, help="A name that the certificate is for (may be repeated).")
@click.option("--implicit-tls", is_flag=True, help="Speak TLS at once, as on port 465.")
@click.option("--ca-file", type=click.Path(path_type=Path), help="Where to write the certificate to trust.")
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False), help="Write each message into this directory."
)
def main(
    host: str,
    port: int,
    user: str,
    password: str,
    mechanisms: Sequence[str],
    names: Sequence[str],
    implicit_tls: bool,
    ca_file: Path | None,
    keep: Path | None,
) -> None:
    """A smarthost to try things on: it wants TLS and a password, keeps what it gets, and sends nothing on."""
    certificate = Certificate(names or NAMES)
    trusted = ca_file or Path(tempfile.mkdtemp(prefix="smarthostd-sandbox-"), "ca.pem")
    trusted.write_bytes(certificate.authority)
    if keep:
        keep.mkdir(parents=True, exist_ok=True)

    def tell(kept: Kept) -> None:
        number = len(sandbox.kept)
        if keep:
            write(kept, number, keep)
        click.echo(f"kept {number}: {kept}")

    sandbox = Sandbox(
        user, password, certificate, mechanisms=mechanisms or MECHANISMS, implicit_tls=implicit_tls, on_kept=tell
    )

    async def serve() -> None:
        await sandbox.start(host, port)
        click.echo(f"listening on {host}:{sandbox.port}, user {user}; trust {trusted} (tls_verify_certificates)")
        await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())


if __name__ == "__main__":
    main()
