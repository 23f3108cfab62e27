"""Where it began: an Exim how-to of three stanzas and a line of credentials, character for character.

Pasted as they are, they work. ``isp_auth`` is no host but the name of a credential (``docs/exim.md``, difference 1).
"""

from __future__ import annotations

ROUTER = """\
outgoing:
  driver = manualroute
  domains = ! +local_domains
  transport = IspSmarthost
  route_list = * smarthost.isp.com
"""

TRANSPORT = """\
IspSmarthost:
  driver = smtp
  hosts_try_auth = isp_auth
"""

AUTHENTICATORS = """\
begin authenticators

cram_md5:
     driver = cram_md5
     public_name = CRAM-MD5
     client_name = "${extract{auth_name}{${lookup{$host}lsearch{/etc/exim/smtp_users}{$value}fail} }}"
     client_secret = "${extract{auth_pass}{${lookup{$host}lsearch{/etc/exim/smtp_users}{$value}fail} }}"
plain:
     driver = plaintext
     public_name = PLAIN
     client_send = "${extract{auth_plain}{${lookup{$host}lsearch{/etc/exim/smtp_users}{$value}fail} }}"
"""

CREDENTIALS_FILE = "/etc/exim/smtp_users"
CREDENTIALS = "isp_auth:     auth_name=my_username   auth_pass=secret        auth_plain=^my_username^secret\n"
"""The line of that file; the user is to put in a name and a password."""
