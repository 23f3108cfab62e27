"""Values that are hard to write down, and secrets that are not."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from smarthostd.config.exim import values
from smarthostd.config.exim.lines import SPACE
from smarthostd.config.render import Form, exim_text, render, toml_text
from smarthostd.config.toml import parse
from smarthostd.errors import ConfigurationError
from smarthostd.options import Kind
from tests.config.conftest import LoadText

SECRETS = """begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^user^hunter2
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  client_name = user
  hide client_secret = hunter2
begin transports
t:
  driver = smtp
  hide helo_data = hunter2.example
"""


@pytest.mark.parametrize("form", ["exim", "toml"])
def test_secrets_are_stars(load_text: LoadText, form: Form) -> None:
    """What may hold a password by its name, and what ``hide`` stood in front of."""
    loaded = load_text(SECRETS)
    shown = render(loaded.settings, form, hidden=loaded.hidden)
    assert "hunter2" not in shown
    assert shown.count("***") == 3
    assert render(loaded.settings, form, secrets=True, hidden=loaded.hidden).count("hunter2") == 3


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_survives_exims_syntax(text: str) -> None:
    """Quoted where it must be; one line, whatever is in it."""
    written = exim_text(text)
    assert "\n" not in written
    assert written == written.strip(SPACE)
    assert values.read(Kind("string"), "x", written) == text


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_toml(text: str) -> None:
    """In whichever quotes."""
    from smarthostd.config.catalog import catalog

    source = parse(f"smtp_banner = {toml_text(text)}", "x.toml", catalog())
    assert source.values["smtp_banner"] == text


def test_octets_that_are_no_utf8_stay_in_exims_syntax(load_text: LoadText) -> None:
    """TOML cannot hold them, and that is said."""
    loaded = load_text("smtp_banner = caf\udce9\n")
    assert "caf\udce9" in render(loaded.settings, "exim")
    with pytest.raises(ConfigurationError, match="no UTF-8"):
        render(loaded.settings, "toml")


def test_defaults_are_not_written(load_text: LoadText) -> None:
    """Only what was set."""
    assert render(load_text("queue_only = no\n").settings, "toml") == "queue_only = false\n"
