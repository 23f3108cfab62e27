"""From settings to what a listener admits clients by: the daemon's, and that of a session on standard input.

Mistakes that are met only here (a certificate that cannot be read, a user that does not exist) get the place of the
option that they are about.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from smarthostd.assembly import ClientLimits, ClientList, ClientNames, Language, Trust
from smarthostd.errors import ConfigurationError, ExpansionError, ForcedFailure, ListDefer
from smarthostd.expand import Values, is_true
from smarthostd.listener.policy import Policy
from smarthostd.listener.room import Room
from smarthostd.tls import server_context

if TYPE_CHECKING:
    from smarthostd.authenticators.base import Authenticator
    from smarthostd.config.load import Loaded
    from smarthostd.config.settings import Settings
    from smarthostd.lists import Matcher

Value = TypeVar("Value")


def in_force(settings: Settings, option: str, exims: Value) -> Value:
    """Return an option's value: with difference 13 switched off Exim's default, where none is set."""
    as_exim = 13 in settings.exim_strict and option not in settings.model_fields_set
    return exims if as_exim else cast(Value, getattr(settings, option))


def has_queue_file(settings: Settings, kind: str = "") -> bool:
    """Whether there is one of the files in ``queue_only_file``, of those behind the word *kind*."""
    files = [one.removeprefix(kind) for one in settings.queue_only_file if one.startswith(f"{kind}/")]
    return any(map(os.path.exists, files))


@contextlib.contextmanager
def about(loaded: Loaded, *options: str) -> Iterator[None]:
    """Give a mistake that is met only now the place of the first of *options* that the configuration sets."""
    try:
        yield
    except (ConfigurationError, ExpansionError) as error:
        position = next((loaded.positions[name,] for name in options if (name,) in loaded.positions), None)
        raise ConfigurationError(str(error), position) from error


def build_policy(
    loaded: Loaded, language: Language, authenticators: Sequence[Authenticator], tell: Callable[[str], None]
) -> Policy:
    """Return the policy of *loaded*; *tell* takes a remark for the log. Raises ConfigurationError."""
    settings = loaded.settings
    limits = ClientLimits(settings, language, tell)
    tls, trust = _server_tls(loaded, language), Trust(settings, language)
    strict = 13 in settings.exim_strict
    relays_for = ClientList(settings.relay_from_hosts, language, decides=True)
    offers_tls = ClientList(settings.tls_advertise_hosts, language)
    offers_login, offers = _OffersLogin(settings, language), _extensions(settings, language)
    senders_bare = ClientList(in_force(settings, "sender_unqualified_hosts", ""), language)
    recipients_bare = ClientList(in_force(settings, "recipient_unqualified_hosts", ""), language)
    names = ClientNames(
        [relays_for, offers_tls, offers_login, *offers.values(), senders_bare, recipients_bare], language
    )
    hostname = _active_hostname(loaded, language)
    return Policy(
        hostname=hostname,
        banner=lambda: language.expander.expand(settings.smtp_banner, {"smtp_active_hostname": hostname}),
        relays_for=relays_for,
        names=names if names.needed else None,
        trusts=trust.trusts,
        may_send_as=trust.may_send_as,
        tls=tls,
        offers_tls=offers_tls,
        authenticators=[one for one in authenticators if one.is_server],
        offers_login=offers_login,
        offers=offers,
        strict=strict,
        senders_bare=senders_bare,
        recipients_bare=recipients_bare,
        domain_literals=settings.allow_domain_literals,
        syntax_errors_max=settings.smtp_max_synprot_errors,
        unknown_commands_max=settings.smtp_max_unknown_commands,
        recipients_max=in_force(settings, "recipients_max", 50_000),
        recipients_max_reject=settings.recipients_max_reject,
        line_length_limit=_line_limit(settings),
        normalize_newlines=settings.bare_newlines == "normalize",
        room=Room(settings.spool_directory, settings.check_spool_space, (lambda text: None) if strict else tell),
        accept_max=settings.smtp_accept_max,
        errors_max=settings.smtp_max_synprot_errors + settings.smtp_max_unknown_commands,
        limits_of=limits if limits.expanded else None,
        **limits.fixed,
    )


def _active_hostname(loaded: Loaded, language: Language) -> str:
    """Return the name that we go by in sessions."""
    settings = loaded.settings
    with about(loaded, "smtp_active_hostname"), contextlib.suppress(ForcedFailure):
        return language.expander.expand(settings.smtp_active_hostname) or settings.primary_hostname
    return settings.primary_hostname


def _server_tls(loaded: Loaded, language: Language) -> ssl.SSLContext | None:
    settings, expand = loaded.settings, language.expander.expand
    with about(loaded, "tls_certificate", "tls_privatekey"):
        certificate, key = expand(settings.tls_certificate), expand(settings.tls_privatekey)
        return server_context(certificate, key, settings.tls_require_ciphers) if certificate else None


def _extensions(settings: Settings, language: Language) -> dict[str, ClientList]:
    """Return which clients are offered an extension, for those that not all are."""
    hosts = {
        "DSN": in_force(settings, "dsn_advertise_hosts", ""),
        "PIPELINING": settings.pipelining_advertise_hosts,
        "CHUNKING": settings.chunking_advertise_hosts,
        "SMTPUTF8": settings.smtputf8_advertise_hosts,
        "8BITMIME": "*" if settings.accept_8bitmime else "",
    }
    return {word: ClientList(listed, language) for word, listed in hosts.items() if listed != "*"}


class _OffersLogin:
    """Who may log in by what: ``auth_advertise_hosts``, ``server_advertise_condition``."""

    def __init__(self, settings: Settings, language: Language) -> None:
        self.hosts = settings.auth_advertise_hosts
        self._expander = language.expander
        self._matcher = language.clients

    def __call__(self, authenticator: Authenticator, address: str, tls: str) -> bool:
        """Return whether the client at *address* is offered *authenticator*; what cannot be decided is a no."""
        try:
            if not self.holds(address, self._matcher, tls):
                return False
            condition = authenticator.options.server_advertise_condition
            return not condition or is_true(self._expander.expand(condition, _values(address, tls)))
        except (ExpansionError, ListDefer):
            return False

    def holds(self, address: str, matcher: Matcher, tls: str = "") -> bool:
        """Return what *matcher* says now of the list; raises ExpansionError or ListDefer."""
        hosts = self._expander.expand(self.hosts, _values(address, tls))
        return matcher.host(address, None, hosts, self._expander.expand) is not None


def _values(address: str, tls: str) -> Values:
    return {"sender_host_address": address, "tls_in_cipher": tls}


def _line_limit(settings: Settings) -> int:
    """Return the longest line that we can promise to send on: the smallest limit of any transport, and our own.

    With difference 7 switched off nothing is promised: the transport fails the message later.
    """
    limits = [settings.line_length_limit]
    if 7 not in settings.exim_strict:
        limits += [getattr(one, "message_linelength_limit", 0) for one in settings.transports.values()]
    return min((limit for limit in limits if limit), default=0)
