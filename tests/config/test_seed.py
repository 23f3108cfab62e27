"""Where it began: the three stanzas of the how-to, character for character, with main options put round them."""

from __future__ import annotations

from pathlib import Path

import pytest

from smarthostd.config import ConfigurationErrors
from tests.config.conftest import LoadText
from tests.golden import REPOSITORY

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
MAIN = "primary_hostname = relay.example.net\ndomainlist local_domains = @ : localhost\n"
CONFIGURATION = f"{MAIN}begin routers\n{ROUTER}begin transports\n{TRANSPORT}{AUTHENTICATORS}"


@pytest.mark.parametrize("stanza", [ROUTER, TRANSPORT, AUTHENTICATORS], ids=["router", "transport", "authenticators"])
def test_the_stanzas_are_the_documents(stanza: str) -> None:
    """Every character."""
    document = REPOSITORY.parent / "shared" / "seed" / "authenticated-outgoing-smtp.md"
    if not document.exists():
        pytest.skip("the document is not here")
    assert stanza in document.read_text(encoding="utf-8")


def test_the_seed_loads_as_it_is(load_text: LoadText) -> None:
    """Strictly: nothing is left out, nothing is wrong."""
    settings = load_text(CONFIGURATION, lenient=False).settings
    assert settings.routers[0].model_dump(exclude_unset=True, by_alias=True) == {
        "name": "outgoing",
        "driver": "manualroute",
        "domains": "! +local_domains",
        "transport": "IspSmarthost",
        "route_list": "* smarthost.isp.com",
    }
    assert settings.transports["IspSmarthost"].model_dump(exclude_unset=True) == {
        "name": "IspSmarthost",
        "driver": "smtp",
        "hosts_try_auth": "isp_auth",
    }
    assert [(one.name, one.driver, one.public_name) for one in settings.authenticators] == [
        ("cram_md5", "cram_md5", "CRAM-MD5"),
        ("plain", "plaintext", "PLAIN"),
    ]


def test_the_credentials_name_is_explained_in_one_sentence(load_text: LoadText) -> None:
    """Exim takes it for a host's name and never logs in; we take it for what it is meant to be."""
    warnings = load_text(CONFIGURATION, lenient=False).warnings
    (sentence,) = [warning for warning in warnings if "isp_auth" in warning]
    assert sentence.endswith(
        'smarthostd.conf:12: option "hosts_try_auth" of transport IspSmarthost: isp_auth is no host of a route, '
        "so it is taken as the name of a credential (difference 1): every host of this transport is logged in to, "
        "and where its own name finds nothing, isp_auth is looked up"
    )


def test_with_exims_meaning_the_explanation_is_another(load_text: LoadText) -> None:
    """``exim_strict = 1``."""
    warnings = load_text(f"exim_strict = 1\n{CONFIGURATION}", lenient=False).warnings
    assert any("Exim looks it up as a host's name and never logs in" in warning for warning in warnings)


def test_the_missing_credentials_file_is_told(load_text: LoadText) -> None:
    """Once, although three options read it."""
    if Path("/etc/exim/smtp_users").exists():
        pytest.skip("this machine has one")
    warnings = load_text(CONFIGURATION, lenient=False).warnings
    assert sum("/etc/exim/smtp_users cannot be read" in warning for warning in warnings) == 1


def test_what_is_forgotten_around_the_pieces_is_told(load_text: LoadText) -> None:
    """They are pasted without the sections that they stand in, and without the list that they name."""
    with pytest.raises(ConfigurationErrors) as caught:
        load_text("outgoing:\n  driver = manualroute\nIspSmarthost:\n  driver = smtp\n", lenient=False)
    told = [str(error) for error in caught.value.errors]
    must = 'if it is a router or a transport, "begin routers" or "begin transports" must stand above it'
    assert [line.endswith(must) for line in told if "outgoing" in line or "IspSmarthost" in line] == [True, True]
    text = "begin routers\nr:\n  driver = redirect\n  domains = ! +local_domains\n  data = a@b\n"
    with pytest.raises(ConfigurationErrors) as caught:
        load_text(text, lenient=False)
    assert 'there is no domainlist "local_domains"; write "domainlist local_domains = @ : localhost"' in str(
        caught.value
    )
