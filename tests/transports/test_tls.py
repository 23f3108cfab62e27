"""TLS to a next hop: what must be good, what is said when it is not, and what is never done then."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smarthostd.outcome import Deferred, Delivered, Outcome
from smarthostd.routers.base import Target
from tests.peers.certificates import Authority
from tests.smtp.scripted import Script, Server, serving
from tests.transports.house import PLAIN, House

MakeContext = Callable[[str], ssl.SSLContext]
NAME = "localhost"


def local(server: Server, name: str = NAME) -> Target:
    return Target(name, server.port, ("127.0.0.1",))


def offering(context: ssl.SSLContext, **answers: str | None) -> Script:
    """Return a script that offers STARTTLS, and AUTH behind it."""
    return Script(answers, offers=("STARTTLS", "AUTH PLAIN"), context=context)


def trusting(authority: Authority, **options: Any) -> dict[str, Any]:
    return {"tls_verify_certificates": str(authority.ca), **options}


def stopped(outcome: Outcome, errno: int) -> str:
    assert isinstance(outcome, Deferred), outcome
    assert (outcome.errno, outcome.error) == (errno, "tls_required")
    return outcome.text


@pytest.mark.parametrize("protocol", ["smtp", "smtps"])
async def test_the_whole_message_goes_over_verified_tls(
    protocol: str, authority: Authority, server_tls: MakeContext
) -> None:
    script = offering(server_tls("good"))
    script.implicit_tls = protocol == "smtps"
    options = trusting(authority, protocol=protocol, hosts_require_auth="*", hosts_require_tls="*")
    async with serving(script) as server, House(options, [PLAIN]) as house:
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Delivered)
    assert outcome.tls.startswith("TLS1.3:TLS_AES_")
    assert outcome.verified
    assert outcome.authenticator == "plain"
    (heard,) = server.heard
    assert heard.tls
    assert heard.words.count("EHLO") == (1 if script.implicit_tls else 2)


SENTENCES = {
    "wrong name": r"is not for localhost, but for elsewhere\.example: write in the route .* a name that it is for",
    "expired": r"the certificate of localhost expired on \d{4}-\d\d-\d\d: its owner must renew it",
    "strange": r"comes from an authority that is not trusted here \(.+\): name a file .* in tls_verify_certificates",
}


@pytest.mark.parametrize("kind", SENTENCES)
@pytest.mark.parametrize("protocol", ["smtp", "smtps"])
async def test_a_bad_certificate_gets_neither_password_nor_mail(
    kind: str, protocol: str, authority: Authority, server_tls: MakeContext, tmp_path: Path
) -> None:
    """Difference 5: where we log in it must be good. The destination is held, with one alarm that says why."""
    script = offering(server_tls("good" if kind == "strange" else kind))
    script.implicit_tls = protocol == "smtps"
    trusted = Authority(tmp_path) if kind == "strange" else authority
    options = trusting(trusted, protocol=protocol, hosts_try_auth="*")
    async with serving(script) as server, House(options, [PLAIN]) as house:
        (outcome,) = await house.deliver(local(server))
        text = stopped(outcome, -37)
        (again,) = await house.deliver(local(server))
        assert isinstance(again, Deferred)
    assert text.startswith("TLS session: (certificate verification failed): ")
    assert re.search(SENTENCES[kind], text)
    ((_, hold),) = house.alarms.holds
    assert (hold.cause, hold.text) == ("tls", text)
    assert len(server.heard) <= 1  # with implicit TLS the server has nobody to hear
    assert not any({"AUTH", "MAIL"} & set(heard.words) for heard in server.heard)


async def test_a_self_signed_certificate_is_called_that(authority: Authority, tmp_path: Path) -> None:
    own = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    options = trusting(authority, tls_verify_hosts="*")
    async with serving(offering(context)) as server, House(options) as house:
        (outcome,) = await house.deliver(local(server))
    assert "is signed by itself" in stopped(outcome, -37)


def self_signed(directory: Path) -> Path:
    """Make a certificate that is its own authority."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - datetime.timedelta(1)).not_valid_after(
        now + datetime.timedelta(1)
    )  # fmt: skip
    certificate = builder.sign(key, hashes.SHA256())
    path = directory / "self.pem"
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    path.write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, pkcs8, plain))
    return path


async def test_where_nobody_logs_in_a_bad_certificate_is_only_noted(
    authority: Authority, server_tls: MakeContext
) -> None:
    """As in Exim: CV=no, and still encrypted."""
    async with serving(offering(server_tls("expired"))) as server, House(trusting(authority)) as house:
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Delivered)
    assert outcome.tls
    assert not outcome.verified
    assert "MAIL" not in server.heard[0].words
    assert "MAIL" in server.heard[1].words


CHOICES: dict[str, tuple[dict[str, Any], bool]] = {
    "demanded": ({"tls_verify_hosts": "*"}, False),
    "demanded of others": ({"tls_verify_hosts": "192.0.2.1"}, True),
    "not demanded, by choice": ({"tls_verify_hosts": "", "hosts_try_auth": "*"}, True),
    "demanded where nothing is tried": ({"tls_try_verify_hosts": ""}, False),
    "not demanded, by emptying both lists": ({"tls_verify_hosts": "", "tls_try_verify_hosts": ""}, True),
    "the name is not looked at": ({"tls_verify_hosts": "*", "tls_verify_cert_hostnames": ""}, True),
    "another name is asked for": ({"tls_verify_hosts": "*", "tls_sni": "elsewhere.example"}, True),
}


@pytest.mark.parametrize(("options", "goes"), [pytest.param(*row, id=id) for id, row in CHOICES.items()])
async def test_what_must_be_good_is_the_administrators_choice(
    options: dict[str, Any], goes: bool, authority: Authority, server_tls: MakeContext
) -> None:
    async with (
        serving(offering(server_tls("wrong name"))) as server,
        House(trusting(authority, **options), [PLAIN]) as house,
    ):
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Delivered) is goes


@pytest.mark.parametrize("login", ["", "*"])
async def test_required_tls_that_is_not_offered_holds(login: str) -> None:
    options = {"hosts_require_tls": "*", "hosts_try_auth": login}
    async with serving(Script(offers=("AUTH PLAIN",))) as server, House(options, [PLAIN]) as house:
        (outcome,) = await house.deliver(local(server))
        (later,) = await house.deliver(local(server))
    assert isinstance(later, Deferred)
    assert (later.errno, later.error) == (-38, "tls_required")
    text = stopped(outcome, -38)
    assert text == "a TLS session is required, but the server did not offer TLS support"
    assert house.log == [f"H=localhost [127.0.0.1]: {text}"]
    assert [hold.cause for _, hold in house.alarms.holds] == ["tls"]


@pytest.mark.parametrize("reply", ["454 not now", "554 no"])
async def test_starttls_refused_in_words(reply: str) -> None:
    """In clear where that may be, on the same connection."""
    script = Script({"STARTTLS": reply}, offers=("STARTTLS",))
    async with serving(script) as server, House() as house, House({"hosts_require_tls": "*"}) as careful:
        (outcome,) = await house.deliver(local(server))
        assert isinstance(outcome, Delivered)
        assert not outcome.tls
        (outcome,) = await careful.deliver(local(server))
        assert stopped(outcome, -38) == "a TLS session is required, but an attempt to start TLS failed"
    assert len(server.heard) == 2


async def test_without_tls_tempfail_tryclear_a_temporary_refusal_is_the_hosts_trouble() -> None:
    script = Script({"STARTTLS": "454 not now"}, offers=("STARTTLS",))
    async with serving(script) as server, House({"tls_tempfail_tryclear": "no"}) as house:
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Deferred)
    assert outcome.text == "SMTP error from remote mail server after STARTTLS: 454 not now"


async def test_a_handshake_that_fails_is_followed_by_mail_in_clear_only_where_nothing_is_asked_for(
    authority: Authority, server_tls: MakeContext
) -> None:
    old = server_tls("good")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    options = trusting(authority, tls_require_ciphers="ECDHE-RSA-AES256-GCM-SHA384")
    for more, goes in (({}, True), ({"hosts_require_tls": "*"}, False), ({"tls_verify_hosts": "*"}, False)):
        async with serving(offering(old), Script(offers=())) as server, House({**options, **more}) as house:
            (outcome,) = await house.deliver(local(server))
        if goes:
            assert isinstance(outcome, Delivered)
            assert not outcome.tls
            assert house.log[0].endswith(
                ": delivering unencrypted to H=localhost [127.0.0.1] (not in hosts_require_tls)"
            )
        else:
            assert "handshake failed" in stopped(outcome, -37)
            assert len(server.heard) == 1


async def test_hosts_avoid_tls() -> None:
    async with serving(Script(offers=("STARTTLS",))) as server, House({"hosts_avoid_tls": "*"}) as house:
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Delivered)
    assert "STARTTLS" not in server.heard[0].words


async def test_smtps_to_a_port_without_tls_is_explained() -> None:
    async with serving() as server, House({"protocol": "smtps"}) as house:
        (outcome,) = await house.deliver(local(server))
    assert "localhost does not speak TLS at this point" in stopped(outcome, -37)


FILES = {
    "a missing authority": {"tls_verify_certificates": "/nonexistent/ca.pem", "tls_verify_hosts": "*"},
    "a missing certificate": {"tls_certificate": "/nonexistent/client.pem"},
    "unknown ciphers": {"tls_require_ciphers": "NORMAL:-VERS-ALL"},
}


@pytest.mark.parametrize("options", [pytest.param(options, id=id) for id, options in FILES.items()])
async def test_files_that_cannot_be_used_hold_and_are_named(options: dict[str, str], server_tls: MakeContext) -> None:
    async with serving(offering(server_tls("good"))) as server, House(options) as house:
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Deferred)
    assert (outcome.errno, outcome.error) == (-37, "tls_required")
    ((_, hold),) = house.alarms.holds
    assert hold.cause == "configuration"
    assert next(iter(options.values())) in hold.text


async def test_where_nothing_must_be_verified_a_missing_authority_is_no_trouble(server_tls: MakeContext) -> None:
    """Debian's configuration names a file that need not be there."""
    options = {"tls_verify_certificates": "/nonexistent/ca.pem"}
    async with serving(offering(server_tls("good"))) as server, House(options) as house:
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Delivered)
    assert outcome.tls
    assert not outcome.verified


async def test_a_client_certificate_is_shown(authority: Authority, server_tls: MakeContext) -> None:
    context = server_tls("good")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca)
    own = authority.issue("good")
    options = trusting(authority, tls_certificate=str(own.chain), tls_privatekey=str(own.key), hosts_require_tls="*")
    external = {"driver": "external", "name": "external", "public_name": "EXTERNAL", "client_send": "me"}
    script = Script(offers=("STARTTLS", "AUTH EXTERNAL"), context=context)
    async with serving(script) as server, House({**options, "hosts_require_auth": "*"}, [external]) as house:
        (outcome,) = await house.deliver(local(server))
    assert isinstance(outcome, Delivered)
    assert outcome.authenticator == "external"


async def test_a_file_that_is_mended_ends_its_hold(
    authority: Authority, server_tls: MakeContext, tmp_path: Path
) -> None:
    """A client certificate that was missing, an authority that was the wrong one."""
    for option in ("tls_certificate", "tls_verify_certificates"):
        file = tmp_path / option
        options = {**trusting(authority, tls_verify_hosts="*"), option: str(file)}
        wrong = Authority(tmp_path).ca if option == "tls_verify_certificates" else None
        if wrong is not None:
            file.write_bytes(wrong.read_bytes())
        async with serving(offering(server_tls("good"))) as server, House(options) as house:
            (outcome,) = await house.deliver(local(server))
            assert isinstance(outcome, Deferred), option
            assert house.health.any_held
            assert not house.health.release_mended()
            certificate = authority.issue()
            mended = certificate.chain.read_bytes() + certificate.key.read_bytes()
            file.write_bytes(authority.ca.read_bytes() if wrong is not None else mended)
            assert house.health.release_mended()
            (outcome,) = await house.deliver(local(server))
            assert isinstance(outcome, Delivered), option
