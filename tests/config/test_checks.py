"""Whether the parts of a configuration go together: safety, and what is worth a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from smarthostd.config import ConfigurationErrors
from smarthostd.config.checks import file_advice
from tests.config.conftest import LoadText

EVERYWHERE = "local_interfaces = 0.0.0.0\n"
ROUTE = "begin routers\nr:\n  driver = manualroute\n  transport = t\n  route_list = * smtp.example.com\n"
TRANSPORT = "begin transports\nt:\n  driver = smtp\n"

OPEN = {
    "everybody": EVERYWHERE + "relay_from_hosts = *",
    "every IPv4 address": EVERYWHERE + "relay_from_hosts = 127.0.0.1 : 0.0.0.0/0",
    "every IPv6 address": EVERYWHERE + "relay_from_hosts = <; ::/0",
    "two halves of everybody": EVERYWHERE + "relay_from_hosts = 0.0.0.0/1 : 128.0.0.0/1",
    "everybody by a named list": EVERYWHERE + "hostlist all = *\nrelay_from_hosts = +all",
    "everybody but one": EVERYWHERE + "relay_from_hosts = ! 192.0.2.1",
    "an address of the network": "local_interfaces = 192.0.2.1\nrelay_from_hosts = *",
    "an address of the network with a port": "local_interfaces = <; [192.0.2.1]:587 ; 127.0.0.1\nrelay_from_hosts = *",
    "all addresses by their IPv6 name": "local_interfaces = <; ::0\nrelay_from_hosts = *",
}


@pytest.mark.parametrize("text", OPEN.values(), ids=OPEN)
def test_an_open_relay_does_not_start(load_text: LoadText, text: str) -> None:
    """Not even leniently; it must be said twice, and then it is a warning."""
    with pytest.raises(ConfigurationErrors, match="this lets everybody send mail through us"):
        load_text(text)
    warnings = load_text(f"allow_open_relay\n{text}").warnings
    assert any("this is an open relay" in warning for warning in warnings)


CLOSED = {
    "the default": EVERYWHERE,
    "private networks": EVERYWHERE + "relay_from_hosts = <; 10.0.0.0/8 ; 172.16.0.0/12 ; 192.168.0.0/16 ; fc00::/7",
    "a public network": EVERYWHERE + "relay_from_hosts = 203.0.113.0/24",
    "everybody on this machine": "relay_from_hosts = *",
    "everybody on this machine, by ports and a socket": (
        "local_interfaces = <; 127.0.0.1.2525 ; [::1]:2525 ; /run/x.sock\nrelay_from_hosts = *"
    ),
}


@pytest.mark.parametrize("text", CLOSED.values(), ids=CLOSED)
def test_no_open_relay(load_text: LoadText, text: str) -> None:
    """Loopback interfaces or a list of one's own."""
    assert not any("open relay" in warning for warning in load_text(text).warnings)


def test_a_port_behind_one_colon_is_told(load_text: LoadText) -> None:
    """Exim makes the host 0.0.2.75 of it."""
    warnings = load_text(ROUTE.replace("smtp.example.com", "smtp.example.com:587") + TRANSPORT).warnings
    assert any(
        "smtp.example.com:587 is two hosts, smtp.example.com and 587; a port is written smtp.example.com::587"
        in warning
        for warning in warnings
    )


@pytest.mark.parametrize("hosts", ["a.example::587", "a.example : b.example", '"<, a.example:587, b.example"'])
def test_ports_that_are_right_are_not_told(load_text: LoadText, hosts: str) -> None:
    """A doubled colon, or another separator."""
    warnings = load_text(ROUTE.replace("smtp.example.com", hosts) + TRANSPORT).warnings
    assert not any("is two hosts" in warning for warning in warnings)


NO_CREDENTIAL = {
    "a host of the route": "smtp.example.com",
    "everybody": "*",
    "a named list": "+friends",
    "an address": "192.0.2.1",
    "a pattern": "*.example.com",
    "a lookup": "lsearch;/etc/x",
    "an expansion": "${lookup{$host}lsearch{/etc/x}{$host}}",
}


@pytest.mark.parametrize("hosts", NO_CREDENTIAL.values(), ids=NO_CREDENTIAL)
def test_what_is_no_name_of_a_credential(load_text: LoadText, hosts: str) -> None:
    """Only a bare word that no route has is one."""
    text = f"hostlist friends = smtp.example.com\n{ROUTE}{TRANSPORT}  hosts_try_auth = {hosts}\n"
    assert not any("name of a credential" in warning for warning in load_text(text).warnings)


def test_a_short_host_name_is_told(load_text: LoadText) -> None:
    """Some smarthosts refuse a greeting from it."""
    assert any('"localhost" is no full host name' in w for w in load_text("primary_hostname = localhost").warnings)


@pytest.mark.parametrize(
    ("mode", "content", "advice"),
    [
        (0o640, b"a: b\n", None),
        (0o600, b"", None),
        (0o644, b"a: b\n", "everybody may read it"),
        (0o660, b"a: b\n", "others may write to it"),
        (0o600, b"\xef\xbb\xbfa: b\n", "byte order mark"),
        (0o600, b" a: b\n", "begins with white space"),
    ],
)
def test_a_file_of_passwords(tmp_path: Path, mode: int, content: bytes, advice: str | None) -> None:
    """Who may read and write it, and what spoils its first line."""
    file = tmp_path / "users"
    file.write_bytes(content)
    file.chmod(mode)
    told = file_advice(file)
    assert told is None if advice is None else advice in str(told)


def test_a_file_of_passwords_that_is_not_there(tmp_path: Path) -> None:
    """It may come later; mail waits."""
    assert (
        file_advice(tmp_path / "x")
        == f"{tmp_path}/x cannot be read: No such file or directory; mail waits until it can"
    )


def test_the_default_is_the_default_retry_rule(load_text: LoadText) -> None:
    """None is configured: ours; an empty section: none, as in Exim."""
    assert load_text("queue_only").settings.retry == ("* * F,2h,15m; G,16h,1h,1.5; F,4d,6h",)
    assert load_text("begin retry\n").settings.retry == ()


def test_qualification_follows_the_host_name(load_text: LoadText) -> None:
    """Unless it is said."""
    settings = load_text("primary_hostname = a.example\n").settings
    assert (settings.qualify_domain, settings.qualify_recipient) == ("a.example", "a.example")
    settings = load_text("primary_hostname = a.example\nqualify_domain = b.example\n").settings
    assert (settings.qualify_domain, settings.qualify_recipient) == ("b.example", "b.example")


@pytest.mark.parametrize("port", ["smpt", "99999"])
def test_a_port_that_there_is_not_is_a_mistake_before_the_daemon_starts(load_text: LoadText, port: str) -> None:
    with pytest.raises(ConfigurationErrors) as caught:
        load_text(
            f"daemon_smtp_ports = 25 : {port}\nbegin routers\nr:\n  driver = redirect\n  data = a@b", lenient=False
        )
    fix = "expected a number to 65535, or a name of /etc/services"
    assert str(caught.value).endswith(f'conf:1: option "daemon_smtp_ports": "{port}" is no port; {fix}')


def test_a_password_file_may_have_a_blank_in_its_name(load_text: LoadText, tmp_path: Path) -> None:
    """It stands as an octal number in what the shorthand makes of it."""
    (tmp_path / "my password").write_text("secret")
    (tmp_path / "my password").chmod(0o600)
    text = f'[smarthost]\nurl = "smtps://x.example"\nuser = "me"\npassword_file = "{tmp_path}/my password"'
    assert load_text(text, "smarthostd.toml").warnings == ()


def test_a_file_of_the_shorthand_is_told_with_its_own_line(load_text: LoadText) -> None:
    text = '[smarthost]\nurl = "smtps://x.example"\nuser = "me"\npassword_file = "/no/pw"\ntls_ca = "/no/ca"\n'
    told = load_text(text, "x.toml").warnings
    assert {int(one.split("x.toml:")[1].partition(":")[0]) for one in told if "/no/pw" in one} == {4}
    assert {int(one.split("x.toml:")[1].partition(":")[0]) for one in told if "/no/ca" in one} == {5}


def test_a_file_with_authorities_that_is_not_there_is_told(load_text: LoadText, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    text = '[smarthost]\nurl = "smtps://x.example"\ntls_ca = "{}"'
    assert load_text(text.format(tmp_path / "ca.pem"), "a.toml").warnings == ()
    (warning,) = load_text(text.format("/no/ca.pem"), "b.toml").warnings
    told = 'option "tls_verify_certificates" of transport smarthost: /no/ca.pem cannot be read; mail waits until it can'
    assert warning.endswith(told)


def test_a_file_that_is_named_by_an_expansion_is_not_looked_for(load_text: LoadText) -> None:
    text = f"{ROUTE}{TRANSPORT}  tls_certificate = /no/$sender_address_domain.pem\n"
    assert load_text(text).warnings == ()


@pytest.mark.parametrize("network", ["10.0.0.0/33", "300.1.1.0/24", "10.1.1", "fe80:/200"])
def test_a_network_that_is_none_is_told(load_text: LoadText, network: str) -> None:
    told = load_text(f"relay_from_hosts = <; 127.0.0.1 ; {network}\n{ROUTE}{TRANSPORT}").warnings
    assert [f'"{network}" is no address; ' in one for one in told] == [True]


def test_networks_addresses_and_names_are_not_doubted(load_text: LoadText) -> None:
    hosts = "<; 127.0.0.1 ; ::1 ; 10.0.0.5/24 ; 2001:db8::/32 ; ! 10.0.0.1 ; *.example.com ; host.example ; ::0/0"
    assert load_text(f"relay_from_hosts = {hosts}\n{ROUTE}{TRANSPORT}").warnings == ()


@pytest.mark.parametrize(("command", "told"), [("/no/such -x", True), ("/bin/true x", False), ("", False)])
def test_an_alarm_command_that_cannot_be_run_is_told(load_text: LoadText, command: str, told: bool) -> None:
    warnings = load_text(f"alarm_command = {command}\n{ROUTE}{TRANSPORT}").warnings
    assert any('option "alarm_command": /no/such is no program that can be run' in one for one in warnings) is told
