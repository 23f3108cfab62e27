"""Exim and Postfix, from Debian's packages, doing the same job as smarthostd with the same safety.

Each runs at home in a mount namespace of its own (``tests/peers/private.py``), as root begins and its own user
goes on. Mail is synced before its 250, and leaves by STARTTLS, verified, with AUTH PLAIN. What was set beyond
that is in ``README.md`` with its reason.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.ends import PASSWORD, USER
from bench.relay import HELD_DOMAIN, PATIENCE, Relay, Site
from tests.peers import fetch
from tests.peers.private import Home

_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

_EXIM = """
primary_hostname = relay.example
spool_directory = {directory}/spool
log_file_path = {directory}/log/%s
local_interfaces = <; 127.0.0.1
daemon_smtp_ports = {port}
smtp_accept_max = 200
smtp_connect_backlog = 200
smtp_accept_queue_per_connection = 0
message_size_limit = 100M
host_lookup =
disable_ipv6
tls_advertise_hosts =
keep_environment = LD_PRELOAD : SLOWSYNC_US
acl_smtp_rcpt = rcpt
{padding}
begin acl

rcpt:
  accept hosts = 127.0.0.1

begin routers

held:
  driver = manualroute
  domains = {held}
  transport = smarthost
  route_list = * localhost::{nobody} byname
  self = send

outgoing:
  driver = manualroute
  transport = smarthost
  route_list = * localhost::{smarthost} byname
  self = send

begin transports

smarthost:
  driver = smtp
  allow_localhost
  hosts_require_auth = *
  hosts_require_tls = *
  tls_verify_hosts = *
  tls_verify_certificates = {authority}

begin retry

* * F,2h,15m; G,16h,1h,1.5; F,4d,6h

begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{user}^{password}
"""

_POSTFIX = """
compatibility_level = 3.6
myhostname = relay.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
meta_directory = {tree}/etc/postfix
queue_directory = {directory}/spool
data_directory = {directory}/data
maillog_file = /dev/stdout
message_size_limit = 104857600
alias_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [localhost]:{smarthost}
transport_maps = inline:{{ {held}=smtp:[localhost]:{nobody} }}
smtp_host_lookup = native
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = static:{user}:{password}
smtp_sasl_mechanism_filter = plain
smtp_sasl_security_options = noanonymous
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = nexthop
smtp_tls_CAfile = {authority}
smtp_tls_session_cache_database = btree:{directory}/data/smtp_scache
default_destination_concurrency_limit = {connections}
"""

_TUNED = {
    "default_process_limit": "200",
    "in_flow_delay": "0",
    "qmgr_message_active_limit": "100000",
    "qmgr_message_recipient_limit": "100000",
    "initial_destination_concurrency": "{connections}",
    "smtp_connection_cache_destinations": "static:all",
    "smtp_tls_connection_reuse": "yes",
    "smtpd_peername_lookup": "no",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_timeout": "60s",
}

_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsproxy unix - - n - 0 tlsproxy
"""


class Exim(Relay):
    """Exim 4, with delivery at once."""

    name = "exim"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._home = Home("exim4-daemon-heavy", ("Debian-exim",), site.directory)
        for folder in ("spool", "log"):
            self._home.folder(folder)
        self._configuration = site.directory / "exim.conf"
        self._configuration.write_text(_EXIM.format(padding=site.padding(), **_settings(site), port=self.port))

    def command(self) -> Sequence[str]:
        """See ``Relay``."""
        return self._exim("-bdf", "-q30m")

    def flush(self) -> None:
        """See ``Relay``."""
        subprocess.Popen(self.usage.wrap(self._exim("-qff")), stdout=subprocess.DEVNULL).wait(10 * PATIENCE)

    def _exim(self, *words: str) -> list[str]:
        variables = [f"{name}={value}" for name, value in self.site.slower_syncs().items()]
        return self._home.command("env", "-i", *variables, "/usr/sbin/exim4", "-C", str(self._configuration), *words)

    def variables(self) -> Mapping[str, str]:
        """See ``Relay``; the namespace is entered without them."""
        return {}


class PostfixStock(Relay):
    """Postfix as Debian sets it up, but for what the job demands."""

    name = "postfix-stock"
    parameters: Mapping[str, str] = {}

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        home = Home("postfix", ("postfix", "postdrop"), site.directory)
        home.folder("data")
        for folder in ("spool", "etc"):
            (site.directory / folder).mkdir(exist_ok=True)
        etc = site.directory / "etc"
        (etc / "main.cf").write_text(self._main(home.tree))
        (etc / "master.cf").write_text(_MASTER.format(port=self.port))
        variables = [f"{name}={value}" for name, value in site.slower_syncs().items()]
        self._command = home.command("env", "-i", _PATH, *variables, "postfix", "-c", str(etc))

    def _main(self, tree: Path) -> str:
        settings = _settings(self.site)
        text = _POSTFIX.format(tree=tree, **settings)
        text += "".join(f"{name} = {value.format(**settings)}\n" for name, value in self.parameters.items())
        if slower := self.site.slower_syncs():
            text += (
                f"import_environment = MAIL_CONFIG {' '.join(f'{name}={value}' for name, value in slower.items())}\n"
            )
        return text

    def command(self) -> Sequence[str]:
        """See ``Relay``."""
        return [*self._command, "start-fg"]

    def flush(self) -> None:
        """See ``Relay``."""
        subprocess.run([*self._command, "flush"], capture_output=True, timeout=PATIENCE, check=True)

    def end(self) -> None:
        """See ``Relay``; a signal would only reach the script that waits for it.

        It refuses before its master is up; then the process is killed in the end.
        """
        subprocess.run([*self._command, "stop"], capture_output=True, timeout=PATIENCE, check=False)

    def variables(self) -> Mapping[str, str]:
        """See ``Relay``; the namespace is entered without them."""
        return {}


class PostfixTuned(PostfixStock):
    """Postfix with the settings that people find when they need throughput, and without a log."""

    name = "postfix-tuned"
    parameters = _TUNED

    @property
    def said(self) -> Path:
        """See ``Relay``: nothing is kept."""
        return Path(os.devnull)


def _settings(site: Site) -> dict[str, str | int | Path]:
    return {
        "directory": site.directory,
        "smarthost": site.smarthost,
        "nobody": site.nobody,
        "authority": site.authority,
        "connections": site.connections,
        "held": HELD_DOMAIN,
        "user": USER,
        "password": PASSWORD,
    }


def what_is_missing() -> str | None:
    """Return why the peers cannot run here, in one sentence, or None."""
    if os.geteuid() != 0:
        return "Exim and Postfix change users and need a namespace of their own: run this as root"
    for name in ("exim4-daemon-heavy", "postfix"):
        if fetch.tree(name) is None:
            return f"{name} is not in .cache/peers: `make peers` fetches it"
    if not any(Path("/usr/lib").glob("*/sasl2/libplain.so*")):
        return "Postfix logs in through a module that is not here: apt-get install libsasl2-modules"
    return None
