"""A password that stands in a configuration is not shown with the model that holds it."""

from __future__ import annotations

from smarthostd.config.catalog import SECRETS
from tests.config.conftest import LoadText

LOGINS = """\
begin authenticators
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  client_secret = hunter2
  server_secret = hunter2
plain:
  driver = plaintext
  client_send = ^me^hunter2
  server_condition = ${if eq{$auth3}{hunter2}}
outside:
  driver = external
  client_send = hunter2
  server_condition = ${if eq{$auth1}{hunter2}}
"""


def test_no_model_shows_a_secret(load_text: LoadText) -> None:
    """Neither in its own repr nor in that of what holds it."""
    loaded = load_text(LOGINS)
    assert {name for one in loaded.settings.authenticators for name in one.model_fields_set} >= SECRETS
    assert "hunter2" not in repr(loaded)
    assert "hunter2" not in repr(loaded.settings)
    assert "hunter2" not in str(loaded.settings)
