"""The environment: our names, other images' names, files, and what a cluster puts there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from smarthostd.config import ConfigurationErrors, Loaded, load
from tests.golden import REPOSITORY


def loaded(**environ: str) -> Loaded:
    """Load the environment alone."""
    return load(None, environ, places=())


def smarthost(settings: Any) -> tuple[str, str]:
    """Return where mail goes: the route and the port."""
    return settings.routers[0].route_list, settings.transports["smarthost"].port


def sends(settings: Any) -> str:
    """Return what LOGIN sends."""
    return next(str(one.client_send) for one in settings.authenticators if one.name == "login")


def test_three_variables_are_a_configuration() -> None:
    """URL, user, password."""
    environ = {"SMARTHOST_URL": "smtps://smtp.example.com", "SMARTHOST_USER": "me", "SMARTHOST_PASSWORD": "pw"}
    result = loaded(**environ)
    assert smarthost(result.settings) == ("* smtp.example.com", "465")
    assert sends(result.settings) == "<; ; me ; pw"
    assert result.warnings == ()
    assert result.source == "the environment"


def test_parts_instead_of_a_url() -> None:
    """Host, port, TLS."""
    result = loaded(SMARTHOST_HOST="smtp.example.com", SMARTHOST_PORT="2525", SMARTHOST_TLS="starttls")
    assert smarthost(result.settings) == ("* smtp.example.com", "2525")
    assert result.settings.transports["smarthost"].model_dump()["hosts_require_tls"] == "*"


def test_main_options_and_short_names() -> None:
    """``SMARTHOSTD_`` and the option's name, in Exim's form."""
    settings = loaded(
        SMARTHOST_URL="smtp.example.com",
        SMARTHOSTD_ALLOW="10.0.0.0/8, 192.168.0.0/16",
        SMARTHOSTD_HOSTNAME="relay.example.net",
        SMARTHOSTD_MESSAGE_SIZE_LIMIT="10M",
        SMARTHOSTD_QUEUE_ONLY="yes",
        SMARTHOSTD_LOG_FORMAT="json",
        SMARTHOST_CA="/ca.pem",
        SMARTHOSTD_BOUNCE_MESSAGE_FILE="/bounce.txt",
    ).settings
    assert settings.relay_from_hosts == "<; 127.0.0.1 ; ::1 ; 10.0.0.0/8 ; 192.168.0.0/16"
    assert settings.primary_hostname == "relay.example.net"
    assert settings.message_size_limit == 10 << 20
    assert settings.queue_only
    assert settings.log_format == "json"
    assert settings.bounce_message_file == "/bounce.txt"
    assert settings.transports["smarthost"].model_dump()["tls_verify_certificates"] == "/ca.pem"


def test_local_domains_from_the_environment() -> None:
    """A Maildir for what stays here."""
    environ = {"SMARTHOST_URL": "smtp.example.com", "SMARTHOSTD_LOCAL_DOMAINS": "@", "SMARTHOSTD_MAILDIR": "/m"}
    assert [router.name for router in loaded(**environ).settings.routers] == ["smarthost", "local_user"]


def test_any_variable_may_name_a_file(tmp_path: Path) -> None:
    """Docker's secrets; the password's file is read when it is used, the others now."""
    for name, text in (("user", "me@example.com\n"), ("password", "pw\n"), ("url", "smtp.example.com\n")):
        (tmp_path / name).write_text(text)
    environ = {f"SMARTHOST_{name.upper()}_FILE": str(tmp_path / name) for name in ("user", "password", "url")}
    result = loaded(**environ, SMARTHOSTD_HOSTNAME_FILE=str(tmp_path / "url"))
    assert f"readfile{{{tmp_path}/password}}" in sends(result.settings).replace("\\137", "_")
    assert "me@example.com" in sends(result.settings)
    assert result.settings.primary_hostname == "smtp.example.com"


def test_a_file_that_is_not_there_is_a_mistake() -> None:
    """Named with its variable."""
    with pytest.raises(ConfigurationErrors) as caught:
        loaded(SMARTHOST_URL="smtp.example.com", SMARTHOST_USER_FILE="/nowhere")
    assert str(caught.value) == "$SMARTHOST_USER_FILE: the file /nowhere cannot be read: No such file or directory"


OTHERS = {
    "bokysan": ({"RELAYHOST": "[smtp.x.com]:587", "RELAYHOST_USERNAME": "me", "RELAYHOST_PASSWORD": "pw"}, "587"),
    "namshi": (
        {
            "SMARTHOST_ADDRESS": "smtp.x.com",
            "SMARTHOST_PORT": "2587",
            "SMARTHOST_USER": "me",
            "SMARTHOST_PASSWORD": "pw",
        },
        "2587",
    ),
    "juanluisbaptiste": (
        {"SMTP_SERVER": "smtp.x.com", "SMTP_PORT": "587", "SMTP_USERNAME": "me", "SMTP_PASSWORD": "pw"},
        "587",
    ),
    "cplieger": ({"RELAY_HOST": "smtp.x.com", "RELAY_PORT": "465", "RELAY_LOGIN": "me", "RELAY_PASSWORD": "pw"}, "465"),
    "crazy-max": (
        {
            "SMTP_HOST": "smtp.x.com",
            "SMTP_PORT": "465",
            "SMTP_TLS": "on",
            "SMTP_STARTTLS": "off",
            "SMTP_USER": "me",
            "SMTP_PASSWORD": "pw",
        },
        "465",
    ),
    "devture": ({"SMARTHOST": "smtp.x.com::587", "SMTP_USERNAME": "me", "SMTP_PASSWORD": "pw"}, "587"),
    "decke": ({"SMTPRELAY_REMOTES": "starttls://me:pw@smtp.x.com:587"}, "587"),
}


@pytest.mark.parametrize(("environ", "port"), OTHERS.values(), ids=OTHERS)
def test_other_images_names_are_understood(environ: dict[str, str], port: str) -> None:
    """With one warning for each that tells ours."""
    result = loaded(**environ)
    assert smarthost(result.settings) == ("* smtp.x.com", port)
    assert sends(result.settings) == "<; ; me ; pw"
    foreign = [name for name in environ if not name.startswith("SMARTHOST_") or name == "SMARTHOST_ADDRESS"]
    told = " ".join(result.warnings)
    assert all(f"${name} is taken for" in told for name in foreign if name != "SMTP_STARTTLS")


def test_gmail_needs_only_user_and_password() -> None:
    """The host follows from the name."""
    result = loaded(GMAIL_USER="me@gmail.com", GMAIL_PASSWORD="pw")
    assert smarthost(result.settings) == ("* smtp.gmail.com", "587")


def test_our_names_win_over_others() -> None:
    """What an application beside us uses does not disturb."""
    result = loaded(SMARTHOST_URL="smtp.example.com", SMTP_SERVER="localhost", SMTP_PORT="25", RELAYHOST="x")
    assert smarthost(result.settings) == ("* smtp.example.com", "25")
    assert result.warnings == ()


def test_networks_of_others_become_ours() -> None:
    """Between commas, blanks or colons."""
    for name, text in (
        ("POSTFIX_mynetworks", "10.0.0.0/8,172.16.0.0/12"),
        ("SMTP_NETWORKS", "10.0.0.0/8 172.16.0.0/12"),
        ("RELAY_NETWORKS", ":10.0.0.0/8:172.16.0.0/12"),
    ):
        result = loaded(SMARTHOST_URL="smtp.example.com", **{name: text})
        assert result.settings.relay_from_hosts == "<; 127.0.0.1 ; ::1 ; 10.0.0.0/8 ; 172.16.0.0/12"


def test_a_meaning_that_we_do_not_have_is_told() -> None:
    """Never silent."""
    assert (
        "$SMTP_FROM has no effect: SMARTHOST_FROM makes all mail leave as one address"
        in loaded(SMARTHOST_URL="smtp.example.com", SMTP_FROM="x@y.example").warnings
    )


@pytest.mark.parametrize("text", ["me@x.example", '"My Name" <me@x.example>'])
def test_one_sender_for_all_may_be_said_as_juanluisbaptiste_says_it(text: str) -> None:
    result = loaded(SMARTHOST_URL="smtp.example.com", OVERWRITE_FROM=text)
    assert result.settings.transports["smarthost"].model_dump()["return_path"] == "me@x.example"
    assert result.warnings == ("$OVERWRITE_FROM is taken for SMARTHOST_FROM: use our name",)


def test_the_image_sets_nothing_that_the_daemon_does_not_know() -> None:
    """It ended with 78 for a variable of ``sendmail``'s."""
    text = (REPOSITORY / "Dockerfile").read_text()
    (block,) = re.findall(r"^ENV ((?:.*\\\n)*.*)", text, re.MULTILINE)
    words = shlex.split(block.replace("\\\n", " "))
    values = dict(word.split("=", 1) for word in words if word.startswith("SMARTHOSTD_"))
    assert "SMARTHOSTD_DROP" in values
    settings = loaded(SMARTHOST_URL="smtp.example.com", **values).settings
    assert (settings.daemon_smtp_ports, settings.drop_directory) == ("2525", "/var/spool/smarthostd/drop")


def test_kubernetes_variables_are_none_of_ours() -> None:
    """A service called smarthost, and one called smarthostd, in the same namespace."""
    result = loaded(
        SMARTHOST_URL="smtp.example.com",
        SMARTHOST_PORT="tcp://10.0.0.1:25",
        SMARTHOST_SERVICE_HOST="10.0.0.1",
        SMARTHOST_PORT_25_TCP_ADDR="10.0.0.1",
        SMARTHOSTD_SERVICE_PORT_SMTP="25",
        SMARTHOSTD_PORT_25_TCP="tcp://10.0.0.2:25",
    )
    assert smarthost(result.settings) == ("* smtp.example.com", "25")


def test_a_misspelt_variable_is_a_mistake() -> None:
    """With the nearest that there is."""
    with pytest.raises(ConfigurationErrors) as caught:
        loaded(SMARTHOST_URL="smtp.example.com", SMARTHOST_PASWORD="x", SMARTHOSTD_MESSAGE_SIZE_LIMITS="1")
    assert sorted(map(str, caught.value.errors)) == [
        '$SMARTHOSTD_MESSAGE_SIZE_LIMITS: this variable is unknown; did you mean "SMARTHOSTD_MESSAGE_SIZE_LIMIT"?',
        '$SMARTHOST_PASWORD: this variable is unknown; did you mean "SMARTHOST_PASSWORD"?',
    ]


@pytest.mark.parametrize(
    ("written", "meant"), [("SMARTHOSTD_FROM", "SMARTHOST_FROM"), ("SMARTHOST_ALLOW", "SMARTHOSTD_ALLOW")]
)
def test_the_other_prefix_is_thought_of(written: str, meant: str) -> None:
    with pytest.raises(ConfigurationErrors) as caught:
        loaded(SMARTHOST_URL="smtp.example.com", **{written: "x"})
    assert str(caught.value) == f'${written}: this variable is unknown; did you mean "{meant}"?'


def test_a_mistake_in_a_value_names_its_variable() -> None:
    """And never its value, where that could be a secret."""
    with pytest.raises(ConfigurationErrors) as caught:
        loaded(SMARTHOST_URL="http://x", SMARTHOSTD_AUTO_THAW="90")
    text = str(caught.value)
    assert '$SMARTHOST_URL: option "url" of [smarthost]: the scheme "http" is unknown' in text
    assert '$SMARTHOSTD_AUTO_THAW: option "auto_thaw": "90" is not a time' in text


def test_nothing_at_all_is_told() -> None:
    """What to do about it."""
    with pytest.raises(ConfigurationErrors, match="there is no configuration: write "):
        loaded(PATH="/bin")


def test_a_file_wins_and_that_is_told(tmp_path: Path) -> None:
    """Variables beside a file are not mixed in."""
    file = tmp_path / "smarthostd.toml"
    file.write_text('[smarthost]\nurl = "smtp.example.com"\n')
    result = load(None, {"SMARTHOST_URL": "other.example", "SMARTHOSTD_CONFIG": str(file)}, places=())
    assert smarthost(result.settings)[0] == "* smtp.example.com"
    assert result.warnings == (f"SMARTHOST_URL in the environment: not used, since there is a file, {file}",)


def test_the_first_place_that_exists_is_read(tmp_path: Path) -> None:
    """TOML before Exim's syntax."""
    toml, conf = tmp_path / "smarthostd.toml", tmp_path / "smarthostd.conf"
    conf.write_text("primary_hostname = from.conf\n")
    assert load(None, {}, places=(toml, conf), lenient=True).settings.primary_hostname == "from.conf"
    toml.write_text('primary_hostname = "from.toml"\n')
    assert load(None, {}, places=(toml, conf), lenient=True).settings.primary_hostname == "from.toml"
