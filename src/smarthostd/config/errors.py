"""Mistakes in a configuration: all of them at once, each one sentence with its file and line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smarthostd.errors import ConfigurationError, Position
from smarthostd.retry import RetryRuleError

NEVER = 1 << 62


class Mistake(ConfigurationError):
    """One mistake. *exim* is Exim's own report, where Exim has one; *rank* its place in Exim's order.

    *log* is what Exim logs it as: nearly always something that it dies of.
    """

    def __init__(
        self,
        message: str,
        position: Position | None = None,
        *,
        exim: str = "",
        rank: int = NEVER,
        log: str = "PANIC DIE",
    ) -> None:
        super().__init__(message, position)
        self.exim = exim
        self.rank = rank
        self.log = log


class ConfigurationErrors(ConfigurationError):
    """Every mistake that was found; its text has one line for each."""

    def __init__(self, errors: Sequence[ConfigurationError]) -> None:
        assert errors, "no mistakes, no exception"
        super().__init__("\n".join(map(str, errors)))
        self.errors = tuple(errors)

    @property
    def first_of_exim(self) -> Mistake | None:
        """The mistake at which Exim would have stopped; None where it would have gone on."""
        known = (error for error in self.errors if isinstance(error, Mistake) and error.exim)
        return min(known, key=lambda error: error.rank, default=None)

    @property
    def exim(self) -> str:
        """What Exim would have said; empty where it would have gone on."""
        first = self.first_of_exim
        return first.exim if first else ""


def in_line(position: Position, text: str) -> str:
    """Return Exim's report of a mistake in a line."""
    return f"Exim configuration error in line {position.line} of {position.file}:\n  {text}"


def nowhere(text: str) -> str:
    """Return Exim's report of a mistake that it gives no line for."""
    return f"Exim configuration error:\n  {text}"


def in_instance(name: str, kind: str, text: str) -> str:
    """Return Exim's report of a mistake in an instance as a whole."""
    return f"Exim configuration error for {name} {kind}:\n  {text}"


def retry_rule_complaint(error: RetryRuleError) -> str:
    """Return the sentence for a retry rule that cannot be read."""
    return f'retry rule: {error}; write it as PATTERN ERROR RULES, such as "* * F,2h,15m; G,16h,1h,1.5; F,4d,6h"'


NO_ENVELOPE = "the envelope stays as it is where mail is sent: leave out the flags E, F, T and S"
EXIMS_NO_ENVELOPE = "rewrite rule specifies a non-header rewrite - not allowed at transport time -"


def one_of(name: str, known: Iterable[str]) -> str:
    """Return the clause that names what is near, or all that is known; nothing where that is nothing."""
    names = list(known)
    return did_you_mean(name, names) or (f"; expected one of {', '.join(names)}" if names else "")


FAMILIAR = {
    "username": "user", "login": "user", "auth_user": "user", "passwd": "password", "pass": "password",
    "auth_pass": "password", "secret": "password", "server": "host", "hostname": "primary_hostname host",
    "myhostname": "primary_hostname", "mydomain": "qualify_domain", "domain": "qualify_domain", "ssl": "tls",
    "starttls": "tls", "use_tls": "tls", "from": "sender", "listen": "local_interfaces", "bind": "local_interfaces",
    "listen_address": "local_interfaces", "inet_interfaces": "local_interfaces", "port": "daemon_smtp_ports",
    "listen_port": "daemon_smtp_ports",
    "relayhost": "smarthost", "relay": "smarthost", "smtp": "smarthost",
    "mynetworks": "relay_from_hosts", "networks": "relay_from_hosts", "allow": "relay_from_hosts",
    "log_level": "log_selector", "loglevel": "log_selector", "logfile": "log_file_path",
    "max_size": "message_size_limit",
}  # fmt: skip
"""What other programs call an option, or people would: the first word to come to mind."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "…"?``, or nothing where no known name is near."""
    import difflib

    by_lower = {one.lower(): one for one in known}
    for familiar in FAMILIAR.get(name.lower(), "").split():
        if familiar in by_lower:
            return f'; did you mean "{familiar}"?'
    near = difflib.get_close_matches(name.lower(), by_lower, 1, 0.75)
    return f'; did you mean "{by_lower[near[0]]}"?' if near else ""
