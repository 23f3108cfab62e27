"""The shorthand: a small table for those who never heard of Exim, made into the full configuration.

::

    [smarthost]
    url = "smtp+starttls://smtp.example.com:587"
    user = "me@example.com"
    password_file = "/etc/smarthostd/password"

    [local]
    domains = ["@", "localhost"]

becomes the router, transport and authenticators that an Exim administrator would have written
(``smarthostd config show`` prints them). A password is never parsed: what could mean something to a list, to an
expansion or to the rules of ``^`` is written as ``\\ooo`` or doubled. One that stands in a file stays there and
is read when it is used, so a new one needs no reload.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

from msgspec import Struct
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from smarthostd.address import Address, AddressError
from smarthostd.config.errors import Mistake, did_you_mean
from smarthostd.config.source import Source
from smarthostd.options import Bool, Options, String, StringList, option
from smarthostd.syntax import PORT_LIMIT, is_loopback

NAME = "smarthost"
"""What the generated router and transport are called."""
Tls = Literal["auto", "starttls", "implicit", "none"]
SCHEMES: Mapping[str, Tls] = {
    "smtp": "auto",
    "smtp+starttls": "starttls",
    "smtp+tls": "starttls",
    "starttls": "starttls",
    "smtps": "implicit",
    "smtp+notls": "none",
}
"""How TLS is spoken, by the scheme of the URL."""

_URL = re.compile(
    r"(?:(?P<scheme>[A-Za-z+]+)://)?(?:(?P<login>.*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::(?P<port>\d{1,5}))?/?",
    re.DOTALL,
)
_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=,./!#&*()^-]|[^\x00-\x7f]")
_CARETS = r"{\N\^\N}{^^}"


class Smarthost(Options):
    """The table ``[smarthost]``."""

    url: String = option(
        "", "smtps://HOST, smtp+starttls://HOST:PORT, or smtp://HOST: STARTTLS where a password is sent."
    )
    host: String = option("", "The smarthost's name, instead of url.")
    port: int | None = option(None, "Its port; 465 with TLS from the start, 587 with a login, else 25.", ge=1, le=65535)
    tls: Tls = option("auto", "starttls, implicit (from the start), none, or auto: required where a password is sent.")
    tls_ca: String = option("", "A file or directory with the authorities to believe, instead of the system's.")
    tls_verify: Bool = option(True, "Whether the certificate is checked; false only for a network that you own.")
    user: String = option("", "The name to log in with.")
    password: String = option("", "The password; better in a file of its own.", repr=False)
    password_file: String = option("", "A file that holds the password and nothing else.")
    sender: String = option(
        "", "The address that all mail leaves as: the envelope's sender, From and Sender; names and Reply-To stay."
    )
    credentials: String = option(
        "", "Or a file with logins by host, as for Exim: host: auth_name=… auth_pass=…, or host:login:password."
    )


class Local(Options):
    """The table ``[local]``: what is delivered here."""

    domains: StringList = option("", "Domains that are delivered here; all others go to the smarthost.")
    aliases: String = option("", "A file of aliases, such as /etc/aliases.")
    mailbox: String = option("/var/mail/$local_part", "The file to deliver to, for each user of this machine.")
    maildir: String = option("", "Or the Maildir.")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the smarthost is and how TLS is spoken with it."""

    host: str
    port: int | None
    tls: Tls
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def loopback(self) -> bool:
        """Whether what is sent there does not leave this machine."""
        return is_loopback(self.host)


def parse_url(text: str) -> Endpoint:
    """Return what a URL says; a login in it is percent-decoded. Raises ValueError with one sentence."""
    match = _URL.fullmatch(text.strip())
    if match is None:
        raise ValueError("expected a URL such as smtps://smtp.example.com or smtp+starttls://smtp.example.com:587")
    scheme = (match["scheme"] or "smtp").lower()
    if scheme not in SCHEMES:
        raise ValueError(f'the scheme "{scheme}" is unknown, expected one of {", ".join(SCHEMES)}')
    user, _, password = (match["login"] or "").partition(":")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 1 <= port <= PORT_LIMIT:
        raise ValueError(f"there is no port {port}: it is a number from 1 to {PORT_LIMIT}")
    return Endpoint(match["host"].strip("[]"), port, SCHEMES[scheme], unquote(user), unquote(password))


def literal(text: str) -> str:
    """Return *text* so that no list, expansion or quoting takes anything in it for its own."""
    return "".join(char if _PLAIN.match(char) else f"\\{ord(char):03o}" for char in text)


def doubled(text: str) -> str:
    """Return *text* with its carets doubled, as ``client_send`` wants them."""
    return text.replace("^", "^^")


class Login(Struct, frozen=True):
    """Expansions that give a user and a password; in the *doubled* ones each caret is two, for ``client_send``."""

    user: str
    password: str
    doubled_user: str
    doubled_password: str
    plain: str = ""
    """What PLAIN sends, where that is not made of the doubled ones."""
    for_plain: str = ""
    """A condition for PLAIN: false where the password begins with a caret (``^^^`` is a caret and then a NUL)."""

    @staticmethod
    def of_texts(user: str, password: str) -> Login:
        """Return a login that is known now."""
        for_plain = "false" if user.startswith("^") or password.startswith("^") else ""
        return Login(
            literal(user), literal(password), literal(doubled(user)), literal(doubled(password)), "", for_plain
        )

    @staticmethod
    def of_file(user: str, password_file: str) -> Login:
        """Return a login whose password is read from a file when it is used; the newline at its end goes."""
        password = rf"${{sg{{${{readfile{{{literal(password_file)}}}}}}}{{\N[\r\n]+$\N}}{{}}}}"
        return Login(
            literal(user),
            password,
            literal(doubled(user)),
            f"${{sg{{{password}}}{_CARETS}}}",
            "",
            _unlike_caret(password),
        )

    @staticmethod
    def of_credentials(file: str) -> Login:
        """Return a login found by the host's name in a file of either shape (exim.md 4.3, the seed)."""
        found = f"${{lookup{{$host}}nwildlsearch{{{literal(file)}}}{{$value}}fail}}"
        user = f"${{extract{{auth_name}}{{{found}}}{{$value}}{{${{extract{{1}}{{:}}{{{found}}}{{$value}}fail}}}}}}"
        rest = rf"${{sg{{{found}}}{{\N^[^:]*:\N}}{{}}}}"
        password = f"${{extract{{auth_pass}}{{{found}}}{{$value}}{{{rest}}}}}"
        doubled_user, doubled_password = f"${{sg{{{user}}}{_CARETS}}}", f"${{sg{{{password}}}{_CARETS}}}"
        plain = f"${{extract{{auth_plain}}{{{found}}}{{$value}}{{^{doubled_user}^{doubled_password}}}}}"
        return Login(user, password, doubled_user, doubled_password, plain, _unlike_caret(password))

    def authenticators(self, *, under_tls: bool) -> dict[str, dict[str, Any]]:
        """Return the instances that log in with this; *under_tls*: none that gives the password away without TLS."""
        tls = ["def:tls_out_cipher"] if under_tls else []
        plain = {
            "driver": "plaintext",
            "public_name": "PLAIN",
            **_client_condition(tls + [self.for_plain] * bool(self.for_plain)),
            "client_send": f"<; {self.plain or f'^{self.doubled_user}^{self.doubled_password}'}",
        }
        login = {
            "driver": "plaintext",
            "public_name": "LOGIN",
            **_client_condition(tls),
            "client_send": f"<; ; {self.doubled_user} ; {self.doubled_password}",
        }
        cram_md5 = {
            "driver": "cram_md5",
            "public_name": "CRAM-MD5",
            "client_name": self.user,
            "client_secret": self.password,
        }
        return {"plain": plain, "login": login, "cram_md5": cram_md5}


def _unlike_caret(password: str) -> str:
    return rf"!match{{{password}}}{{\N^\^\N}}"


def _client_condition(conditions: list[str]) -> dict[str, str]:
    """Return the option for all of *conditions*, or none."""
    if "false" in conditions:
        return {"client_condition": "false"}
    if not conditions:
        return {}
    one = conditions[0] if len(conditions) == 1 else f"and{{{''.join(f'{{{each}}}' for each in conditions)}}}"
    return {"client_condition": f"${{if {one}}}"}


class _Wrong(Exception):
    """A mistake in one key of a table."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


def expand(source: Source) -> None:
    """Replace the tables of the shorthand in *source* by what they stand for; mistakes go where the others are."""
    for table, model, put in (("smarthost", Smarthost, _smarthost), ("local", Local, _local)):
        if table not in source.values:
            continue
        body = source.values.pop(table)
        options = _read(source, table, model, body)
        if options is None:
            source.faulty.add(("routers",))
            continue
        try:
            put(source, options)
        except _Wrong as wrong:
            position = source.position((table, wrong.key))
            source.mistakes.append(Mistake(f'option "{wrong.key}" of [{table}]: {wrong}', position))
            source.faulty.add(("routers",))


_FIRST = {"smarthost": 'url = "smtps://smtp.example.com"', "local": 'domains = "example.com"'}
"""What a table cannot do without."""


def _objection(details: ErrorDetails) -> str:
    """Return what is wrong with one value."""
    match details["type"]:
        case "string_type":
            return "expected text in quotes"
        case "literal_error":
            return f"expected one of {details['ctx']['expected']}".replace(" or ", ", ").replace("'", '"')
        case _:
            text = details["msg"].removeprefix("Value error, ")
            return f"{text[:1].lower()}{text[1:]}"


def _read(source: Source, table: str, model: type[Options], body: object) -> Any:
    """Return the table as its model, or None with its mistakes kept."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            key = str(details["loc"][0]) if details["loc"] else ""
            message = f'option "{key}" of [{table}]: {_objection(details)}'
            if not key:
                message = f"[{table}] is one table, with {_FIRST[table]} and more below it"
            if details["type"] == "extra_forbidden":
                message = f'option "{key}" is unknown in [{table}]{did_you_mean(key, model.model_fields)}'
            source.mistakes.append(Mistake(message, source.position((table, key))))
        return None


def _smarthost(source: Source, options: Smarthost) -> None:
    endpoint = _endpoint(options)
    login = _login(options, endpoint)
    tls = _tls(endpoint, login)
    transport = _transport(options, endpoint, login, tls)
    source.values.setdefault("domainlists", {}).setdefault("local_domains", "")
    # As Debian sets Exim up for a smarthost: who can reach port 25 may give any sender, so sendmail's users may too.
    source.values.setdefault("untrusted_set_sender", "*")
    source.values.setdefault("local_from_check", False)
    hosts = f'"<, {endpoint.host}"' if ":" in endpoint.host else endpoint.host
    router = {"driver": "manualroute", "domains": "! +local_domains", "transport": NAME, "route_list": f"* {hosts}"}
    _add(source, "smarthost", "routers", {NAME: router})
    _add(source, "smarthost", "transports", {NAME: transport}, "tls_ca" if options.tls_ca else "url")
    if login:
        # Without TLS there is nothing to wait for: only a loopback address gets this far with a password.
        file = "credentials" if options.credentials else "password_file" if options.password_file else "password"
        _add(source, "smarthost", "authenticators", login.authenticators(under_tls=tls != "none"), file)
        if login.for_plain == "false":
            source.warn(
                ("smarthost", "password"), "a password that begins with ^ cannot be sent by PLAIN; LOGIN is used"
            )
    if doubt := _doubt_about_port(endpoint.port, tls):
        source.warn(("smarthost", "port" if options.port else "url" if options.url else "host"), doubt)
    if not options.tls_verify:
        source.warn(
            ("smarthost", "tls_verify"),
            f"the certificate of {endpoint.host} is not checked: whoever sits in between reads the password",
        )


def _endpoint(options: Smarthost) -> Endpoint:
    """Return where the smarthost is, from the URL or from its parts."""
    if bool(options.url) == bool(options.host):
        raise _Wrong(
            "url", "is needed, such as smtp+starttls://smtp.example.com:587" if not options.url else "goes without host"
        )
    try:
        parsed = parse_url(options.url) if options.url else Endpoint(options.host.strip("[]"), None, "auto")
    except ValueError as error:
        raise _Wrong("url", str(error)) from None
    if not _HOST.fullmatch(parsed.host) and not _is_address(parsed.host):
        raise _Wrong("url" if options.url else "host", f'"{parsed.host}" is no host\'s name')
    if parsed.tls != "auto" and options.tls not in ("auto", parsed.tls):
        raise _Wrong("tls", f"says {options.tls}, and the url says {parsed.tls}")
    tls = parsed.tls if options.tls == "auto" else options.tls
    port = options.port or parsed.port
    if port == 465 and tls == "auto":
        tls = "implicit"
    return Endpoint(parsed.host, port, tls, parsed.user, parsed.password)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _login(options: Smarthost, endpoint: Endpoint) -> Login | None:
    """Return how to log in, if at all."""
    user, password = options.user or endpoint.user, options.password or endpoint.password
    given = [
        key
        for key, text in (
            ("password", password),
            ("password_file", options.password_file),
            ("credentials", options.credentials),
        )
        if text
    ]
    if len(given) > 1:
        raise _Wrong(given[1], f"goes without {given[0]}: one place for the password")
    if not given:
        if user:
            raise _Wrong("user", "needs a password, a password_file or credentials beside it")
        return None
    for key in ("password_file", "credentials"):
        file = getattr(options, key)
        if file and not file.startswith("/"):
            raise _Wrong(key, f'"{file}" must be an absolute path')
    if options.credentials:
        return Login.of_credentials(options.credentials)
    if not user:
        raise _Wrong("user", f"is needed beside {given[0]}")
    return Login.of_texts(user, password) if password else Login.of_file(user, options.password_file)


def _tls(endpoint: Endpoint, login: Login | None) -> Tls:
    """Return how TLS is spoken: never not at all where a password goes over the network."""
    if endpoint.tls == "auto":
        return "starttls" if login and not endpoint.loopback else "auto"
    if endpoint.tls == "none" and login and not endpoint.loopback:
        raise _Wrong("tls", f'a password never goes to {endpoint.host} without TLS: say "starttls" or "implicit"')
    return endpoint.tls


def _doubt_about_port(port: int | None, tls: Tls) -> str:
    """Return what is odd about a port and how TLS is to begin there; one of the two would wait for the other."""
    if port == 465 and tls in ("starttls", "none"):
        return "on port 465 TLS usually begins at once: write smtps://, or take port 587"
    if port in (25, 587) and tls == "implicit":
        return f"on port {port} TLS usually begins with STARTTLS: write smtp+starttls://, or take port 465"
    return ""


def _identity(sender: str) -> dict[str, str]:
    """Return the options with which all mail leaves as *sender*; mail that stays here keeps its own."""
    if not sender:
        return {}
    try:
        domain = Address.parse(sender).domain
    except AddressError:
        domain = ""
    if not domain:
        raise _Wrong("sender", f'"{sender}" is no address with a domain, such as me@example.com')
    text = literal(sender)
    return {"headers_rewrite": f"* {text} fs", "return_path": text}


def _transport(options: Smarthost, endpoint: Endpoint, login: Login | None, tls: Tls) -> dict[str, Any]:
    port = endpoint.port or (465 if tls == "implicit" else 587 if login or tls == "starttls" else 25)
    transport: dict[str, Any] = {"driver": "smtp", "port": str(port), **_identity(options.sender)}
    if tls == "implicit":
        transport["protocol"] = "smtps"
    if tls == "none":
        transport["hosts_avoid_tls"] = "*"
    if tls in ("starttls", "implicit"):
        transport["hosts_require_tls"] = "*"
    if login:
        transport["hosts_require_auth"] = "*"
    if options.tls_ca:
        transport["tls_verify_certificates"] = literal(options.tls_ca)
    if not options.tls_verify:
        transport |= {"tls_verify_hosts": "", "hosts_allow_cleartext_auth": "*"}
    elif tls in ("starttls", "implicit"):
        transport["tls_verify_hosts"] = "*"
    return transport


def _local(source: Source, options: Local) -> None:
    if not options.domains:
        raise _Wrong("domains", "is needed: the domains that are delivered here")
    source.values.setdefault("domainlists", {})["local_domains"] = options.domains
    routers: dict[str, dict[str, Any]] = {}
    if options.aliases:
        if not options.aliases.startswith("/"):
            raise _Wrong("aliases", f'"{options.aliases}" must be an absolute path')
        lookup = f"${{lookup{{$local_part}}lsearch{{{literal(options.aliases)}}}}}"
        routers["aliases"] = {
            "driver": "redirect",
            "domains": "+local_domains",
            "allow_fail": True,
            "allow_defer": True,
            "data": lookup,
        }
    routers["local_user"] = {
        "driver": "accept",
        "domains": "+local_domains",
        "check_local_user": True,
        "transport": "local_delivery",
        "cannot_route_message": "Unknown user",
    }
    transport: dict[str, Any] = {
        "driver": "appendfile",
        "delivery_date_add": True,
        "envelope_to_add": True,
        "return_path_add": True,
    }
    transport |= (
        {"directory": options.maildir, "maildir_format": True} if options.maildir else {"file": options.mailbox}
    )
    _add(source, "local", "routers", routers)
    _add(source, "local", "transports", {"local_delivery": transport})


def _add(source: Source, table: str, section: str, instances: Mapping[str, dict[str, Any]], key: str = "") -> None:
    """Put generated instances behind those that were written out; a name that is taken is a mistake.

    They stand where *key* of the table does, if it is one that stands anywhere.
    """
    known = source.values.setdefault(section, {})
    for name, options in instances.items():
        if name in known:
            position = source.position((section, name))
            message = f'the name "{name}" is needed for what [{table}] stands for: call yours something else'
            source.mistakes.append(Mistake(message, position))
        else:
            known[name] = options
            source.positions[section, name] = source.position((table, key))
