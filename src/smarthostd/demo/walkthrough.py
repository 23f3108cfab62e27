"""The demo, step by step: mail that is relayed, mail that stays here, mail that waits for a mended password.

Everything is real but the smarthost, which is the sandbox: the client is smtplib, the daemon is
``smarthostd run`` with the seed's stanzas, in which only the smarthost's address and the places of files
are changed. What is shown is read from the daemon's log, and in the end the messages are compared where
they arrived.
"""

from __future__ import annotations

import contextlib
import email.policy
import re
import smtplib
import tempfile
import time
from collections.abc import Sequence
from email.message import EmailMessage
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from smarthostd.demo import seed
from smarthostd.demo.screen import Advance, Screen, open_screen

if TYPE_CHECKING:
    from smarthostd.demo.daemon import Daemon
    from smarthostd.demo.sandbox import Running

SMARTHOST = "127.0.0.10"
"""Where the sandbox listens: a loopback address, but none of an interface, for which Exim's ``self`` would matter."""
SENDER = "me@example.com"
REMOTE = "you@example.org"
LOCAL = "me@localhost"
COUNT = 20
"""Messages that are relayed in the first step; the first has an attachment."""
ATTACHMENT = 1 << 20
"""Octets of it."""
TIMEOUT = 10.0
"""Seconds after which something that was waited for will not come."""

_FIELD = re.compile(r" ([A-Z]+)=(\S+(?: \[\S+\])?)")
"""A field of a log line: ``R=outgoing``, ``H=name [address]``."""


_LOCAL_ROUTER = """
local:
  driver = accept
  transport = mailbox
"""
_LOCAL_TRANSPORT = """
mailbox:
  driver = appendfile
  directory = {maildir}
  maildir_format
"""


class Unexpected(Exception):
    """The demo saw something else than it should; the text says what."""


class Files(Struct, frozen=True):
    """The demo's files, in a directory that is removed in the end."""

    directory: Path

    @property
    def configuration(self) -> Path:
        """The daemon's configuration."""
        return self.directory / "smarthostd.conf"

    @property
    def credentials(self) -> Path:
        """The seed's ``smtp_users``."""
        return self.directory / "smtp_users"

    @property
    def authority(self) -> Path:
        """The certificate that signed the sandbox's."""
        return self.directory / "ca.pem"

    @property
    def maildir(self) -> Path:
        """The local mailbox."""
        return self.directory / "Maildir"

    def write_credentials(self, password: str) -> None:
        """Put the seed's line with *password* in place, whole or not at all."""
        new = self.credentials.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(seed.CREDENTIALS.replace("secret", password))
        new.replace(self.credentials)


@click.command()
def demo() -> None:
    """See it work, against a sandbox smarthost on this machine; nothing leaves it."""
    if missing := [name for name in ("rich", "trustme") if find_spec(name) is None]:
        fix = f"`make demo` in the sources has them, or pip install {' '.join(missing)}"
        raise click.ClickException(f"the demo needs {' and '.join(missing)}: {fix}")
    screen = open_screen()
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="smarthostd-demo-") as folder:
            summary = walk(screen, Files(Path(folder)))
    except Exception as error:  # the last word must be one sentence, whatever it was
        screen.end(f"The demo failed: {error}", good=False)
        raise SystemExit(1) from error
    screen.end(f"{summary} ({time.monotonic() - started:.1f} s)", good=True)


def walk(screen: Screen, files: Files) -> str:
    """Go through the steps; return what arrived, in one sentence, or raise."""
    from smarthostd.demo.daemon import Daemon, free_port
    from smarthostd.demo.sandbox import Certificate, Running, Sandbox

    certificate = Certificate([SMARTHOST])
    files.authority.write_bytes(certificate.authority)
    files.write_credentials("secret")
    port = free_port()
    with (
        Running(Sandbox("my_username", "secret", certificate), SMARTHOST) as smarthost,
        contextlib.ExitStack() as ending,
    ):
        screen.step("A smarthost: a sandbox that wants STARTTLS and a password, and sends nothing on")
        screen.tell("listening", f"{SMARTHOST}:{smarthost.sandbox.port}, AUTH {' '.join(smarthost.sandbox.mechanisms)}")
        files.configuration.write_text(configuration(files, port, smarthost.sandbox.port))
        screen.step("smarthostd, with the how-to's stanzas; only the smarthost's address and the paths are changed")
        screen.show(stanzas(files, smarthost.sandbox.port))
        screen.tell(
            "isp_auth",
            f"is no host of the route, so it is the name of a credential: the key in {files.credentials.name}",
        )
        daemon = Daemon(files.configuration)
        ending.callback(_kill_if_running, daemon)
        screen.tell("ready", f"127.0.0.1:{port}, process {daemon.pid}")
        relayed = relay(screen, daemon, smarthost, port)
        local = deliver_locally(screen, daemon, files, port)
        held = hold_and_release(screen, daemon, smarthost, files, port)
        check(smarthost, files, [*relayed, held], local)
        stop(screen, daemon)
    return f"Everything arrived: {len(relayed) + 1} messages at the smarthost, 1 in the Maildir, 0 bounces"


def stanzas(files: Files, smarthost_port: int) -> str:
    """Return the seed's router, transport and authenticators for the sandbox."""
    router = seed.ROUTER.replace("smarthost.isp.com", f"{SMARTHOST}::{smarthost_port}")
    transport = f"{seed.TRANSPORT}  tls_verify_certificates = {files.authority}\n"
    authenticators = seed.AUTHENTICATORS.replace(seed.CREDENTIALS_FILE, str(files.credentials))
    local = _LOCAL_TRANSPORT.format(maildir=files.maildir)
    return f"begin routers\n\n{router}{_LOCAL_ROUTER}\nbegin transports\n\n{transport}{local}\n{authenticators}"


def configuration(files: Files, port: int, smarthost_port: int) -> str:
    """Return the daemon's whole configuration: listen on *port*, forward to *smarthost_port*."""
    return f"""\
primary_hostname = demo.localhost
domainlist local_domains = localhost
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
spool_directory = {files.directory}/spool
runtime_directory = {files.directory}/run
log_file_path = stderr

{stanzas(files, smarthost_port)}"""


def relay(screen: Screen, daemon: Daemon, smarthost: Running, port: int) -> list[bytes]:
    """Send messages to a remote address; return them once they are delivered."""
    screen.step(f"{COUNT} messages from smtplib to {REMOTE}")
    messages = [_compose(f"Message {number}", ATTACHMENT if number == 1 else 0) for number in range(1, COUNT + 1)]
    with screen.counting("accepted", COUNT) as advance:
        ids = submit(port, REMOTE, messages, advance)
    with screen.counting("delivered", COUNT) as advance:
        for id in ids:
            _delivery(daemon, id)
            advance()
    _tell_story(screen, daemon, smarthost, ids[0])
    return messages


def _tell_story(screen: Screen, daemon: Daemon, smarthost: Running, id: str) -> None:
    story = _delivery(daemon, id)
    login = f"{smarthost.sandbox.kept[0].mechanism} by authenticator {story['A']}"
    screen.tell("the first", f"{id}: on disk before the 250")
    screen.tell("routed", f"by router {story['R']} to transport {story['T']}, host {story['H']}")
    screen.tell("authenticated", f"{login}, over {story['X'].partition(':')[0]}, certificate verified: {story['CV']}")


def deliver_locally(screen: Screen, daemon: Daemon, files: Files, port: int) -> bytes:
    """Send one message to a local address; return it once it is in the Maildir."""
    screen.step(f"One message to {LOCAL}, a local domain")
    message = _compose("Stays here")
    (id,) = submit(port, LOCAL, [message])
    story = _delivery(daemon, id)
    screen.tell("accepted", id)
    screen.tell("delivered", f"by transport {story['T']} into {files.maildir}/new")
    return message


def hold_and_release(screen: Screen, daemon: Daemon, smarthost: Running, files: Files, port: int) -> bytes:
    """Send one message while the smarthost refuses the password; return it once it has gone with the new one."""
    screen.step("The smarthost's password is changed, and nobody tells smarthostd")
    smarthost.change_password("changed")
    message = _compose("Waits for a password")
    (id,) = submit(port, REMOTE, [message])
    screen.tell("accepted", id)
    with screen.waiting("smarthostd tries the old password, once"):
        alarm = daemon.lines.wait_for(r" ALARM: (.*)", patience=TIMEOUT)[0][1]
    screen.tell("held", alarm)
    screen.tell("in the queue", f"{len(daemon.queue())} message; {len(_bounces(daemon))} bounces")
    screen.step(f"{files.credentials.name} is mended; nothing is restarted")
    mended = time.monotonic()
    files.write_credentials("changed")
    with screen.waiting("smarthostd sees the file change"):
        story = _delivery(daemon, id)
    screen.tell("delivered", f"{id} by {story['A']}, {time.monotonic() - mended:.1f} s after the change")
    return message


def stop(screen: Screen, daemon: Daemon) -> None:
    """Stop the daemon as systemd would."""
    screen.step("SIGTERM")
    status = daemon.stop()
    if status:
        raise Unexpected(f"the daemon ended with status {status}:\n" + "\n".join(daemon.lines()))
    if waiting := daemon.queue():
        raise Unexpected(f"{len(waiting)} messages are still in the queue")
    screen.tell("stopped", "the queue is empty")


def check(smarthost: Running, files: Files, relayed: Sequence[bytes], local: bytes) -> None:
    """Compare what arrived with what was sent, octet for octet; raise Unexpected where they differ."""
    arrived = sorted(_below_trace(kept.content) for kept in smarthost.sandbox.kept)
    if arrived != sorted(relayed):
        raise Unexpected(f"{len(relayed)} messages were sent to the smarthost, and {len(arrived)} others arrived")
    mailbox = [path.read_bytes() for path in (files.maildir / "new").iterdir()]
    if [_below_trace(content) for content in mailbox] != [local.replace(b"\r\n", b"\n")]:
        raise Unexpected(f"the Maildir holds {len(mailbox)} messages, not the one that was sent")


def submit(port: int, recipient: str, messages: Sequence[bytes], advance: Advance = lambda: None) -> list[str]:
    """Hand *messages* over in one SMTP session; return the ids that the daemon answered."""
    ids = []
    with smtplib.SMTP("127.0.0.1", port, local_hostname="app.localhost", timeout=TIMEOUT) as client:
        client.ehlo()
        for message in messages:
            client.mail(SENDER)
            client.rcpt(recipient)
            code, reply = client.data(message)
            match = re.search(rb"id=(\S+)", reply)
            if code != 250 or not match:
                raise Unexpected(f"a message was refused: {code} {reply.decode(errors='replace')}")
            ids.append(match[1].decode())
            advance()
    return ids


def _delivery(daemon: Daemon, id: str) -> dict[str, str]:
    """Return the fields of the ``=>`` line of message *id*, once it is there."""
    (line, *_) = daemon.lines.wait_for(rf" {id} => .*", patience=TIMEOUT)
    return dict(_FIELD.findall(line[0].partition(' C="')[0]))


def _bounces(daemon: Daemon) -> list[re.Match[str]]:
    return daemon.lines.matching(r" <= <> ")


def _compose(subject: str, attachment: int = 0) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = SENDER, REMOTE, subject
    message["Date"], message["Message-ID"] = email.utils.localtime(), email.utils.make_msgid(domain="example.com")
    message.set_content(f"{subject}: a line,\n.and one that begins with a dot.\n")
    if attachment:
        message.add_attachment(bytes(range(256)) * (attachment // 256), maintype="application", subtype="octet-stream")
    return message.as_bytes(policy=email.policy.SMTP)


def _below_trace(content: bytes) -> bytes:
    """Return *content* without the lines that are added on the way, which all stand above our From."""
    return content[content.index(b"From: ") :]


def _kill_if_running(daemon: Daemon) -> None:
    if daemon.running:
        daemon.kill()
