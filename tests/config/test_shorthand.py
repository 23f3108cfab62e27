"""The shorthand: what it stands for, and that a password arrives as it is, whatever it is made of."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarthostd.authenticators import build
from smarthostd.config import Loaded, Settings, load
from smarthostd.config.shorthand import Endpoint, Login, parse_url
from smarthostd.errors import ForcedFailure
from smarthostd.facts import Facts
from tests.config.conftest import LoadText
from tests.language import expander

HOST = "smtp.example.com"
NOT_BY_PLAIN: list[bytes | None] = []
"""Exim's rules for carets have no way to write a NUL and then a caret; LOGIN has no such trouble."""
UNDER_TLS = {"host": HOST, "tls_out_cipher": "TLS1.3:x:256"}
SMARTHOST = f'[smarthost]\nurl = "smtp+starttls://{HOST}:587"\nuser = "me@example.com"\n'


def transport(loaded: Loaded) -> dict[str, object]:
    """Return what the shorthand set for its transport."""
    options = loaded.settings.transports["smarthost"].model_dump(exclude_unset=True)
    return {name: value for name, value in options.items() if name not in ("name", "driver")}


def said(settings: Settings, values: dict[str, str] = UNDER_TLS) -> dict[str, list[bytes | None]]:
    """Return what each authenticator says, answering every challenge with ``c``; nothing where it does not try."""
    language = expander(Facts("relay.example.net"))
    found: dict[str, list[bytes | None]] = {}
    for options, authenticator in zip(settings.authenticators, build(settings.authenticators, language), strict=True):
        dialogue = authenticator.client(values)
        try:
            if options.client_condition and language.expand(options.client_condition, values) != "true":
                continue
            responses = [next(dialogue)]
            while True:
                try:
                    responses.append(dialogue.send(b"c"))
                except StopIteration:
                    break
        except ForcedFailure:
            continue
        found[authenticator.public_name] = responses
    return found


URLS = {
    "a bare name": ("smtp.example.com", Endpoint(HOST, None, "auto")),
    "a name and a port": ("smtp.example.com:2525", Endpoint(HOST, 2525, "auto")),
    "smtp": ("smtp://smtp.example.com", Endpoint(HOST, None, "auto")),
    "smtps": ("smtps://smtp.example.com:465", Endpoint(HOST, 465, "implicit")),
    "starttls": ("smtp+starttls://smtp.example.com/", Endpoint(HOST, None, "starttls")),
    "others' words for it": ("smtp+tls://smtp.example.com", Endpoint(HOST, None, "starttls")),
    "none": ("smtp+notls://localhost", Endpoint("localhost", None, "none")),
    "IPv6": ("smtp://[2001:db8::1]:25", Endpoint("2001:db8::1", 25, "auto")),
    "a login": ("smtps://me%40x.com:p%3Aw@smtp.example.com", Endpoint(HOST, None, "implicit", "me@x.com", "p:w")),
    "an @ in the user": ("smtps://me@x.com:pw@smtp.example.com", Endpoint(HOST, None, "implicit", "me@x.com", "pw")),
}


@pytest.mark.parametrize(("text", "endpoint"), URLS.values(), ids=URLS)
def test_urls(text: str, endpoint: Endpoint) -> None:
    """Scheme, login, host, port."""
    assert parse_url(text) == endpoint


TRANSPORTS = {
    "STARTTLS with a login": (
        f'url = "smtp+starttls://{HOST}"\nuser = "u"\npassword = "p"',
        {"port": "587", "hosts_require_tls": "*", "hosts_require_auth": "*", "tls_verify_hosts": "*"},
    ),
    "smtp with a login requires STARTTLS": (
        f'url = "smtp://{HOST}"\nuser = "u"\npassword = "p"',
        {"port": "587", "hosts_require_tls": "*", "hosts_require_auth": "*", "tls_verify_hosts": "*"},
    ),
    "smtp without a login takes TLS where it is offered": (f'url = "smtp://{HOST}"', {"port": "25"}),
    "TLS from the start": (
        f'url = "smtps://{HOST}"',
        {"port": "465", "protocol": "smtps", "hosts_require_tls": "*", "tls_verify_hosts": "*"},
    ),
    "port 465 means TLS from the start": (
        f'host = "{HOST}"\nport = 465',
        {"port": "465", "protocol": "smtps", "hosts_require_tls": "*", "tls_verify_hosts": "*"},
    ),
    "no TLS to this machine, with a login": (
        'url = "smtp+notls://127.0.0.1:1025"\nuser = "u"\npassword = "p"',
        {"port": "1025", "hosts_avoid_tls": "*", "hosts_require_auth": "*"},
    ),
    "a private authority": (
        f'url = "smtps://{HOST}"\ntls_ca = "/etc/ca.pem"',
        {
            "port": "465",
            "protocol": "smtps",
            "hosts_require_tls": "*",
            "tls_verify_hosts": "*",
            "tls_verify_certificates": "/etc/ca.pem",
        },
    ),
    "a certificate that is not looked at": (
        f'url = "smtps://{HOST}"\nuser = "u"\npassword = "p"\ntls_verify = false',
        {
            "port": "465",
            "protocol": "smtps",
            "hosts_require_tls": "*",
            "hosts_require_auth": "*",
            "tls_verify_hosts": "",
            "hosts_allow_cleartext_auth": "*",
        },
    ),
}


@pytest.mark.parametrize(("table", "options"), TRANSPORTS.values(), ids=TRANSPORTS)
def test_the_transport(load_text: LoadText, table: str, options: dict[str, object]) -> None:
    """Port, TLS and login follow from the URL."""
    assert transport(load_text(f"[smarthost]\n{table}\n", "x.toml", lenient=False)) == options


def test_everything_goes_to_the_smarthost_without_local_domains(load_text: LoadText) -> None:
    """One router, which asks for what is not local; nothing is."""
    settings = load_text(f'[smarthost]\nurl = "{HOST}"\n', "x.toml", lenient=False).settings
    (router,) = settings.routers
    assert (router.name, router.domains, router.transport) == ("smarthost", "! +local_domains", "smarthost")
    assert settings.domainlists == {"local_domains": ""}


def test_an_ipv6_smarthost_is_one_host(load_text: LoadText) -> None:
    """Its colons separate nothing."""
    settings = load_text('[smarthost]\nurl = "smtp://[2001:db8::1]"\n', "x.toml", lenient=False).settings
    assert settings.routers[0].model_dump()["route_list"] == '* "<, 2001:db8::1"'


def test_local_domains_are_delivered_here(load_text: LoadText) -> None:
    """Aliases first, then the users of this machine."""
    local = 'domains = ["@", "localhost"]\naliases = "/etc/aliases"\nmaildir = "/m/$local_part"\n'
    text = f'[smarthost]\nurl = "{HOST}"\n[local]\n{local}'
    settings = load_text(text, "x.toml", lenient=False).settings
    assert [router.name for router in settings.routers] == ["smarthost", "aliases", "local_user"]
    assert settings.domainlists == {"local_domains": "@ : localhost"}
    delivery = settings.transports["local_delivery"].model_dump(exclude_unset=True)
    assert (delivery["directory"], delivery["maildir_format"]) == ("/m/$local_part", True)


def test_own_routers_are_asked_before_those_of_the_shorthand(load_text: LoadText) -> None:
    """Whoever writes one knows why."""
    text = f'[smarthost]\nurl = "{HOST}"\n[routers.mine]\ndriver = "accept"\ntransport = "smarthost"\n'
    settings = load_text(text, "x.toml", lenient=False).settings
    assert [router.name for router in settings.routers] == ["mine", "smarthost"]


SOME_PASSWORDS = [
    "secret", "^", "^^", "^^^", "a^b^^c^", "with blank", " both ends ", "c:o::l:on", "semi;colon", "$w{o}r${d}",
    "${env{PATH}}", "back\\slash", "\\N\\n\\", '"quoted"', "'", "#", "<;x", "!x", "{", "}", "a=b", "100%", "%41",
    "@:/?#", "ünïcode", "\t", "tab\tin", "`$(id)`", "\\072", "^user^pw",
]  # fmt: skip


@pytest.mark.parametrize("password", SOME_PASSWORDS)
def test_a_password_arrives_as_it_is(password: str) -> None:
    """From the environment, through list, expansion and caret rules, to the octets of each mechanism."""
    environ = {"SMARTHOST_URL": f"smtps://{HOST}", "SMARTHOST_USER": "me@example.com", "SMARTHOST_PASSWORD": password}
    mechanisms = said(load(None, environ, places=()).settings)
    octets = password.encode()
    assert mechanisms.get("PLAIN", NOT_BY_PLAIN) == (
        NOT_BY_PLAIN if password.startswith("^") else [b"\0me@example.com\0" + octets]
    )
    assert mechanisms["LOGIN"] == [None, b"me@example.com", octets]
    assert mechanisms["CRAM-MD5"][0] is None


@given(
    user=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
    password=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
)
def test_any_user_and_password_arrive(user: str, password: str) -> None:
    """Whatever text they are."""
    login = Login.of_texts(user, password).authenticators(under_tls=False)
    values = {"routers": {}, "transports": {}, "authenticators": login}
    mechanisms = said(Settings.model_validate(values))
    by_plain = NOT_BY_PLAIN if "^" in (user[0], password[0]) else [b"\0" + user.encode() + b"\0" + password.encode()]
    assert mechanisms.get("PLAIN", NOT_BY_PLAIN) == by_plain
    assert mechanisms["LOGIN"] == [None, user.encode(), password.encode()]


@pytest.mark.parametrize("password", ["secret", "^a^", "x:y z", "${env{PATH}}", "ünï"])
def test_a_password_in_a_file_is_read_when_it_is_used(load_text: LoadText, tmp_path: Path, password: str) -> None:
    """Without the newline at its end; a new one counts at once, without a reload."""
    file = tmp_path / "password"
    file.write_text("before\n")
    settings = load_text(SMARTHOST + f'password_file = "{file}"\n', "x.toml", lenient=False).settings
    assert said(settings)["LOGIN"] == [None, b"me@example.com", b"before"]
    file.write_text(password + "\r\n")
    by_plain = NOT_BY_PLAIN if password.startswith("^") else [b"\0me@example.com\0" + password.encode()]
    assert said(settings).get("PLAIN", NOT_BY_PLAIN) == by_plain
    assert said(settings)["LOGIN"] == [None, b"me@example.com", password.encode()]


CREDENTIALS = {
    "the seed's": f"{HOST}: auth_name=me auth_pass=s^cret auth_plain=^me^s^^cret\n",
    "the seed's without auth_plain": f"{HOST}: auth_name=me auth_pass=s^cret\n",
    "Debian's": f"{HOST}:me:s^cret\n",
    "Debian's with a default": "*.other:x:y\n*:me:s^cret\n",
}


@pytest.mark.parametrize("content", CREDENTIALS.values(), ids=CREDENTIALS)
def test_credentials_of_either_shape(load_text: LoadText, tmp_path: Path, content: str) -> None:
    """A line by the host's name."""
    file = tmp_path / "smtp_users"
    file.write_text(content)
    settings = load_text(
        f'[smarthost]\nurl = "smtps://{HOST}"\ncredentials = "{file}"\n', "x.toml", lenient=False
    ).settings
    mechanisms = said(settings)
    assert mechanisms["PLAIN"] == [b"\0me\0s^cret"]
    assert mechanisms["LOGIN"] == [None, b"me", b"s^cret"]
    assert mechanisms["CRAM-MD5"][1] is not None
    assert mechanisms["CRAM-MD5"][1].startswith(b"me ")


def test_a_debian_password_is_all_behind_the_second_colon(load_text: LoadText, tmp_path: Path) -> None:
    """Colons and all."""
    file = tmp_path / "passwd.client"
    file.write_text(f"{HOST}:me:a:b:c d\n")
    settings = load_text(
        f'[smarthost]\nurl = "smtps://{HOST}"\ncredentials = "{file}"\n', "x.toml", lenient=False
    ).settings
    assert said(settings)["LOGIN"] == [None, b"me", b"a:b:c d"]


def test_no_credential_for_the_host_is_no_login(load_text: LoadText, tmp_path: Path) -> None:
    """A forced failure: the authenticator has nothing to say."""
    file = tmp_path / "smtp_users"
    file.write_text("other.example: auth_name=me auth_pass=x\n")
    settings = load_text(
        f'[smarthost]\nurl = "smtps://{HOST}"\ncredentials = "{file}"\n', "x.toml", lenient=False
    ).settings
    assert said(settings) == {}


def test_a_password_waits_for_tls(load_text: LoadText) -> None:
    """PLAIN and LOGIN are not tried without; CRAM-MD5 does not give the password away."""
    settings = load_text(SMARTHOST + 'password = "p"\n', "x.toml", lenient=False).settings
    assert set(said(settings, {"host": HOST, "tls_out_cipher": ""})) == {"CRAM-MD5"}


def test_no_password_is_shown_by_accident(load_text: LoadText) -> None:
    """Neither by printing settings nor by printing what was loaded."""
    loaded = load_text(SMARTHOST + 'password = "hunter2"\n', "x.toml", lenient=False)
    for text in (repr(loaded), str(loaded.settings), repr(loaded.settings), f"{loaded.warnings}"):
        assert "hunter2" not in text
        assert base64.b64encode(b"hunter2").decode() not in text


DOUBTS = {
    "smtp+starttls://x.example:465": "on port 465 TLS usually begins at once: write smtps://, or take port 587",
    "smtps://x.example:587": "on port 587 TLS usually begins with STARTTLS: write smtp+starttls://, or take port 465",
    "smtps://x.example:465": "",
    "smtps://x.example": "",
    "smtp+starttls://x.example:587": "",
    "smtp://x.example:465": "",
    "smtp://x.example:25": "",
}


@pytest.mark.parametrize(("url", "doubt"), DOUBTS.items())
def test_a_port_where_tls_begins_otherwise_is_doubted(load_text: LoadText, url: str, doubt: str) -> None:
    """A session would wait for a greeting until it is out of time."""
    warnings = load_text(f'[smarthost]\nurl = "{url}"\n', "x.toml").warnings
    assert [one.partition("x.toml:2: ")[2] for one in warnings] == [doubt] * bool(doubt)
