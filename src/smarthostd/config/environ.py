"""The environment to the shorthand's tables, for containers: ``SMARTHOST_URL``, ``SMARTHOST_USER`` and their kin.

Any variable may end in ``_FILE`` and name a file that holds the value. ``SMARTHOSTD_`` and the name of a main option
sets that option. The names that other images use are understood as well, with one warning that tells ours; they
count only where ours is not set. What Kubernetes puts into the environment of a pod beside a service of
our name (``SMARTHOST_PORT=tcp://…``) is none of our business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as File

from msgspec import Struct

from smarthostd.config.catalog import Catalog
from smarthostd.config.errors import Mistake, did_you_mean
from smarthostd.config.shorthand import Smarthost
from smarthostd.config.source import Path, Source
from smarthostd.errors import Position

FILE = "_FILE"
OURS = {
    **{f"SMARTHOST_{name.upper()}": ("smarthost", name) for name in Smarthost.model_fields},
    "SMARTHOST_CA": ("smarthost", "tls_ca"),
    "SMARTHOST_FROM": ("smarthost", "sender"),
    "SMARTHOSTD_LOCAL_DOMAINS": ("local", "domains"),
    "SMARTHOSTD_ALIASES": ("local", "aliases"),
    "SMARTHOSTD_MAILBOX": ("local", "mailbox"),
    "SMARTHOSTD_MAILDIR": ("local", "maildir"),
    "SMARTHOSTD_ALLOW": ("relay_from_hosts",),
    "SMARTHOSTD_HOSTNAME": ("primary_hostname",),
}
"""Our variables and what they set; beside them stands SMARTHOSTD_ with the name of any main option."""
ELSEWHERE = frozenset(
    {"SMARTHOSTD_CONFIG", "SMARTHOSTD_SUBMIT", "SMARTHOSTD_DROP", "SMARTHOSTD_TIMEOUT", "SMARTHOSTD_GOLDEN"}
)
"""Variables that other parts of smarthostd read."""
LARGEST_FILE = 1 << 16

_KUBERNETES = re.compile(r"SMARTHOSTD?(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)")
_LOOPBACK = ("127.0.0.1", "::1")


class Alias(Struct, frozen=True):
    """Another image's name for one of our variables; *read* makes our values of its value."""

    ours: str
    read: Callable[[str], Mapping[str, str]]


def _same(ours: str) -> Alias:
    return Alias(ours, lambda text: {ours: text})


def _host_and_port(text: str) -> Mapping[str, str]:
    """Return host and port from ``[host]:port``, ``host:port`` or ``host::port``."""
    match = re.fullmatch(r"\[?([^\[\]\s]*?)\]?(?:::?(\d+))?", text.strip())
    if match is None:
        return {"SMARTHOST_HOST": text}
    return {"SMARTHOST_HOST": match[1]} | ({"SMARTHOST_PORT": match[2]} if match[2] else {})


def _tls_level(text: str) -> Mapping[str, str]:
    """Return TLS from Postfix's ``smtp_tls_security_level``."""
    return {"SMARTHOST_TLS": {"none": "none", "may": "auto"}.get(text.lower(), "starttls")}


def _implicit(text: str) -> Mapping[str, str]:
    return {"SMARTHOST_TLS": "implicit"} if _on(text) else {}


def _starttls(text: str) -> Mapping[str, str]:
    return {"SMARTHOST_TLS": "starttls"} if _on(text) else {}


def _on(text: str) -> bool:
    return text.strip().lower() in ("on", "yes", "true", "1")


def _bare_address(text: str) -> str:
    """Return the address of ``"Name" <address>``."""
    match = re.fullmatch(r".*<([^<>]*)>\s*", text, re.DOTALL)
    return match[1] if match else text.strip()


def _provider(host: str, ours: str) -> Alias:
    return Alias(ours, lambda text: {"SMARTHOST_HOST": host, "SMARTHOST_PORT": "587", ours: text})


ALIASES = {
    "RELAYHOST": Alias("SMARTHOST_URL", _host_and_port),
    "SMARTHOST": Alias("SMARTHOST_URL", _host_and_port),
    "SMTPRELAY_REMOTES": _same("SMARTHOST_URL"),
    **dict.fromkeys(("SMARTHOST_ADDRESS", "SMTP_SERVER", "RELAY_HOST", "SMTP_HOST"), _same("SMARTHOST_HOST")),
    **dict.fromkeys(("SMTP_PORT", "RELAY_PORT"), _same("SMARTHOST_PORT")),
    **dict.fromkeys(("RELAYHOST_USERNAME", "SMTP_USERNAME", "RELAY_LOGIN", "SMTP_USER"), _same("SMARTHOST_USER")),
    **dict.fromkeys(("RELAYHOST_PASSWORD", "SMTP_PASSWORD", "RELAY_PASSWORD"), _same("SMARTHOST_PASSWORD")),
    "GMAIL_USER": _provider("smtp.gmail.com", "SMARTHOST_USER"),
    "GMAIL_PASSWORD": _same("SMARTHOST_PASSWORD"),
    "SES_USER": _provider("email-smtp.us-east-1.amazonaws.com", "SMARTHOST_USER"),
    "SES_REGION": Alias("SMARTHOST_HOST", lambda text: {"SMARTHOST_HOST": f"email-smtp.{text}.amazonaws.com"}),
    "SES_PASSWORD": _same("SMARTHOST_PASSWORD"),
    "OVERWRITE_FROM": Alias("SMARTHOST_FROM", lambda text: {"SMARTHOST_FROM": _bare_address(text)}),
    "SMTP_STARTTLS": Alias("SMARTHOST_TLS", _starttls),
    "SMTP_TLS": Alias("SMARTHOST_TLS", _implicit),
    "SMTP_TLS_CHECKCERT": Alias("SMARTHOST_TLS_VERIFY", lambda text: {"SMARTHOST_TLS_VERIFY": str(_on(text)).lower()}),
    **dict.fromkeys(
        ("SMTP_TLS_SECURITY_LEVEL", "POSTFIX_smtp_tls_security_level"), Alias("SMARTHOST_TLS", _tls_level)
    ),
    **dict.fromkeys(
        (
            "POSTFIX_mynetworks", "RELAY_NETWORKS", "SMTP_NETWORKS", "ACCEPTED_NETWORKS", "RELAY_FROM_HOSTS",
            "SMTPRELAY_ALLOWED_NETS",
        ),
        _same("SMARTHOSTD_ALLOW"),
    ),
    **dict.fromkeys(
        (
            "POSTFIX_myhostname", "MAILNAME", "SERVER_HOSTNAME", "SMTP_HOSTNAME", "SMTP_DOMAIN",
            "SMTPRELAY_HOSTNAME",
        ),
        _same("SMARTHOSTD_HOSTNAME"),
    ),
    **dict.fromkeys(
        ("LOG_FORMAT", "SMTPRELAY_LOG_FORMAT"),
        Alias("SMARTHOSTD_LOG_FORMAT", lambda text: {"SMARTHOSTD_LOG_FORMAT": "json"} if text == "json" else {}),
    ),
}  # fmt: skip
"""Names that people have in their compose files already; the order tells who wins."""
NOT_YET = {
    **dict.fromkeys(("ALLOWED_SENDER_DOMAINS", "SMTPRELAY_ALLOWED_SENDER"), "senders are not restricted"),
    **dict.fromkeys(("SMTP_FROM", "SMTP_SET_FROM_HEADER"), "SMARTHOST_FROM makes all mail leave as one address"),
    **dict.fromkeys(
        ("XOAUTH2_CLIENT_ID", "XOAUTH2_INITIAL_REFRESH_TOKEN"), "there is no OAuth 2 here; use an app password"
    ),
}
"""Names whose meaning we do not have: ignoring them must not be silent."""


def gather(environ: Mapping[str, str], catalog: Catalog) -> Source:
    """Return the source that the environment is."""
    source = Source("the environment")
    ours = {name: text for name, text in environ.items() if text and not _is_kubernetes(name, text)}
    found = dict(_aliased(ours, source)) | {name: (name, text) for name, text in ours.items() if _is_ours(name)}
    for name, (origin, text) in found.items():
        _take(source, catalog, name, origin, text)
    return source


def present(environ: Mapping[str, str]) -> list[str]:
    """Return the variables of ours that are set, for a warning where a file is used instead."""
    names = [name for name, text in environ.items() if text and name.startswith("SMARTHOST_")]
    return sorted(name for name in names if not _is_kubernetes(name, environ[name]))


def _is_ours(name: str) -> bool:
    return name.startswith(("SMARTHOST_", "SMARTHOSTD_")) and name not in ELSEWHERE and name not in ALIASES


def _is_kubernetes(name: str, text: str) -> bool:
    return _KUBERNETES.fullmatch(name) is not None and (not name.endswith("_PORT") or "://" in text)


def _aliased(environ: Mapping[str, str], source: Source) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield our names for what others' names say, with the name that was used; a warning for each that counts."""
    taken: set[str] = set()
    if {"SMARTHOST_URL", "SMARTHOST_HOST"} & {name.removesuffix(FILE) for name in environ}:
        taken |= {"SMARTHOST_URL", "SMARTHOST_HOST", "SMARTHOST_PORT"}
    for name, alias in ALIASES.items():
        written = name if name in environ else name + FILE
        if written not in environ:
            continue
        text = environ[written]
        values = {alias.ours + FILE: text} if written != name else dict(alias.read(text))
        values = {ours: value for ours, value in values.items() if ours not in taken and ours not in environ}
        if values:
            source.warnings.append(
                f"${written} is taken for {alias.ours}{FILE if written != name else ''}: use our name"
            )
        for ours, value in values.items():
            taken.add(ours)
            yield ours, (written, value)
    for name, consequence in NOT_YET.items():
        if name in environ:
            source.warnings.append(f"${name} has no effect: {consequence}")


def _take(source: Source, catalog: Catalog, name: str, origin: str, text: str) -> None:
    """Put one variable's value where it belongs."""
    position = Position(f"${origin}", 0)
    path = _path(name, catalog)
    if path is None and name.endswith(FILE):
        path = _path(name.removesuffix(FILE), catalog)
        if path is not None:
            content = _content(source, position, text)
            if content is None:
                return
            text = content
    if path is None:
        source.mistakes.append(Mistake(f"this variable is unknown{_near(name, catalog)}", position))
        return
    _keep(source, path, text, position)


def _near(name: str, catalog: Catalog) -> str:
    """Return the nearest variable of the same prefix, as a question."""
    prefix, _, rest = name.partition("_")
    known = [*OURS, *(f"SMARTHOSTD_{option.upper()}" for option in catalog.main)]
    elsewhere = f"{'SMARTHOST' if prefix == 'SMARTHOSTD' else 'SMARTHOSTD'}_{rest}"
    if elsewhere in known:
        return f'; did you mean "{elsewhere}"?'
    near = did_you_mean(rest, [other.partition("_")[2] for other in known if other.startswith(f"{prefix}_")])
    return near.replace('"', f'"{prefix}_', 1)


def _path(name: str, catalog: Catalog) -> Path | None:
    """Return what a variable sets."""
    if name in OURS:
        return OURS[name]
    option = name.removeprefix("SMARTHOSTD_").lower()
    return (option,) if name.startswith("SMARTHOSTD_") and option in catalog.main else None


def _content(source: Source, position: Position, name: str) -> str | None:
    """Return what a file holds, without the newline at its end; None with a mistake kept."""
    try:
        with File(name).open("rb") as stream:
            content = stream.read(LARGEST_FILE)
    except OSError as error:
        source.mistakes.append(Mistake(f"the file {name} cannot be read: {error.strerror}", position))
        return None
    return content.decode("utf-8", "surrogateescape").rstrip("\r\n")


def _keep(source: Source, path: Path, text: str, position: Position) -> None:
    value = _networks(text) if path == ("relay_from_hosts",) else text
    table = source.values if len(path) == 1 else source.values.setdefault(path[0], {})
    table[path[-1]] = value
    source.positions[path] = position
    source.positions.setdefault(path[:1], position)


def _networks(text: str) -> str:
    """Return a host list from networks between commas, blanks or single colons; this machine always belongs to it."""
    if text.startswith("<") or "+" in text:
        return text
    items = [item for item in re.split(r"[,\s]+", text.strip().lstrip(":")) if item]
    if len(items) == 1 and items[0].count(".") > 3:
        items = items[0].split(":")
    return "<; " + " ; ".join([*_LOOPBACK, *(item for item in items if item not in _LOOPBACK)])
