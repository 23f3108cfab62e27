"""Configurations for the daemon under test, and what it says about a message."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smarthostd.demo.daemon import Daemon, free_port

LOCAL_DOMAIN = "home.example"


@dataclass(frozen=True)
class Places:
    """One relay's directory and port."""

    directory: Path
    port: int

    @classmethod
    def make(cls, directory: Path) -> Places:
        """Make the directory and choose a port."""
        directory.mkdir(parents=True, exist_ok=True)
        return cls(directory, free_port())

    @property
    def maildir(self) -> Path:
        """Where mail for the local domain goes."""
        return self.directory / "Maildir"

    @property
    def credentials(self) -> Path:
        """The file that the authenticators read."""
        return self.directory / "smtp_users"

    def main(self) -> str:
        """Return the main options."""
        return f"""
primary_hostname = relay.example
domainlist local_domains = {LOCAL_DOMAIN}
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
spool_directory = {self.directory}/spool
runtime_directory = {self.directory}/run
log_file_path = stderr
message_size_limit = 100M
"""

    def start(self, text: str, **options: object) -> Daemon:
        """Run the daemon with the configuration *text*."""
        path = self.directory / "smarthostd.conf"
        path.write_text(text)
        return Daemon(path, **options)  # type: ignore[arg-type]  # passed on as they are


def forwarding(places: Places, smarthost: str, ca: Path, *, transport: str = "", authenticators: str = "") -> str:
    """Return a configuration that forwards to *smarthost* (as in ``route_list``) with authentication over TLS.

    *transport* adds options to the smtp transport; *authenticators* replaces the seed's.
    """
    return f"""{places.main()}
begin routers

outgoing:
  driver = manualroute
  domains = ! +local_domains
  transport = smarthost
  route_list = * {smarthost}
  self = send

local:
  driver = accept
  transport = mailbox

begin transports

smarthost:
  driver = smtp
  hosts_require_auth = isp_auth
  tls_verify_certificates = {ca}
  {transport}

mailbox:
  driver = appendfile
  directory = {places.maildir}
  maildir_format

begin authenticators
{authenticators or lsearch_authenticators(places.credentials)}
"""


def lsearch_authenticators(credentials: Path) -> str:
    """Return the seed's authenticators, and LOGIN in the same manner, reading *credentials*."""
    item = f"{{${{lookup{{$host}}lsearch{{{credentials}}}{{$value}}fail}} }}"
    return f"""
cram_md5:
  driver = cram_md5
  public_name = CRAM-MD5
  client_name = ${{extract{{auth_name}}{item}}}
  client_secret = ${{extract{{auth_pass}}{item}}}
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ${{extract{{auth_plain}}{item}}}
login:
  driver = plaintext
  public_name = LOGIN
  client_send = : ${{extract{{auth_name}}{item}}} : ${{extract{{auth_pass}}{item}}}
"""


def credentials(user: str = "my_username", password: str = "secret", key: str = "isp_auth") -> str:
    """Return a line of the seed's file."""
    return f"{key}: auth_name={user} auth_pass={password} auth_plain=^{user}^{password}\n"
