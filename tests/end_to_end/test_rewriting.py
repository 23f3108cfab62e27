"""Mail that leaves as somebody else: the daemon itself, with the shorthand and with Debian's own files."""

from __future__ import annotations

import json

import pytest

from smarthostd.demo.daemon import Daemon
from tests.end_to_end import clients
from tests.end_to_end.conftest import Post, StartDaemon
from tests.end_to_end.debian import debian
from tests.end_to_end.relay import LOCAL_DOMAIN, Places
from tests.peers.certificates import Authority
from tests.peers.fixtures import StartExim

BODY = b"\r\nFrom: root@home.example\r\n..\r\n"
HEADER = b"From: Cron Daemon <root@home.example>\r\nTo: you@remote.example\r\nSubject: root@home.example\r\n"


def test_with_sender_all_mail_leaves_as_one_address(places: Places, post: Post) -> None:
    """Envelope and From; the name, other lines and the body stay."""
    file = places.directory / "smarthostd.toml"
    main = f"""
primary_hostname = "relay.example"
local_interfaces = "127.0.0.1"
daemon_smtp_ports = "{places.port}"
spool_directory = "{places.directory}/spool"
runtime_directory = "{places.directory}/run"
log_file_path = "stderr"
[smarthost]
host = "127.0.0.1"
port = {post.sandbox.port}
user = "my_username"
password = "secret"
tls = "starttls"
tls_ca = {json.dumps(str(post.ca))}
sender = "me@provider.example"
"""
    file.write_text(main)
    relay = Daemon(file)
    try:
        clients.smtplib_(places.port, "root@home.example", ["you@remote.example"], HEADER + BODY)
        kept = post.next()
    finally:
        relay.kill()
    assert kept.sender == "me@provider.example"
    assert kept.content.endswith(HEADER.replace(b"<root@home.example>", b"<me@provider.example>") + BODY)


@pytest.mark.parametrize(
    ("macros", "sender"),
    [
        pytest.param("", "me@provider.example", id="email-addresses"),
        pytest.param("HIDE_MAILNAME = 1\nDCreadhost = visible.example", "nobody@visible.example", id="readhost"),
    ],
)
def test_debians_rules_as_its_package_writes_them(
    places: Places, daemon: StartDaemon, exim_smarthost: StartExim, authority: Authority, macros: str, sender: str
) -> None:
    """``/etc/email-addresses`` knows root; ``readhost`` is what all others leave as."""
    (places.directory / "passwd.client").write_text("*:my_username:secret\n")
    (places.directory / "email-addresses").write_text("# users\nroot: me@provider.example\n")
    smarthost = exim_smarthost(mechanisms=["PLAIN"])
    daemon(debian(places, smarthost.port, authority.ca, macros))
    user = "root" if sender.startswith("me@") else "nobody"
    header = HEADER.replace(b"<root@", f"<{user}@".encode())
    clients.smtplib_(places.port, f"{user}@{LOCAL_DOMAIN}", ["you@remote.example"], header + BODY)
    (received,) = smarthost.messages()
    assert received.sender == sender
    changed = header.replace(f"<{user}@{LOCAL_DOMAIN}>".encode(), f"<{sender}>".encode())
    assert changed + BODY in received.content
