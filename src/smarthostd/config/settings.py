"""The model: every main option, the named lists, and the instances of the drivers.

Names, types, defaults and meanings are Exim's (exim.md 2). Where a default of ours differs for the user's
safety, Exim's stands beside it (:func:`differing`) and is told in ``docs/options.md``. Both front ends and
the shorthand end here; nothing that this model refuses gets further.

A driver's options are a model beside the driver; an instance stands under its name, as TOML has it
(``{"outgoing": {"driver": "manualroute", …}}``), and keeps its place: routers and authenticators are asked in order.
"""

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from smarthostd import selectors
from smarthostd.authenticators.options import AnyAuthenticator
from smarthostd.options import (
    AddressList,
    Bool,
    DomainList,
    Expanded,
    ExpandedInteger,
    ExpandedList,
    ExpandedSize,
    ExpandedTime,
    Groups,
    HostList,
    Integer,
    Kind,
    Options,
    Read,
    Size,
    String,
    StringList,
    Time,
    Times,
    Users,
    option,
)
from smarthostd.reading import or_expanded, read_size
from smarthostd.retry import DEFAULT_RULES
from smarthostd.routers.options import AnyRouter
from smarthostd.syntax import is_loopback
from smarthostd.transports.options import AnyTransport

DIFFERENCES = frozenset(range(1, 14))
"""The differences from Exim, by number (docs/exim.md)."""
NEVER_WHOLESALE = {4: "hosts_allow_cleartext_auth names the hosts", 5: 'tls_verify_hosts = "" says so for a transport'}
"""Differences that protect a password: given up for named hosts only, and how."""
DELAY_WARNING_CONDITION = (
    "${if or {{ !eq{$h_list-id:$h_list-post:$h_list-subscribe:}{} }"
    "{ match{$h_precedence:}{(?i)bulk|list|junk} }"
    "{ match{$h_auto-submitted:}{(?i)auto-generated|auto-replied} }} {no}{yes}}"
)


def differing(default: Any, exim: str, help: str, **constraints: Any) -> Any:
    """Declare an option whose default is not Exim's; *exim* is Exim's as ``-bP`` prints it."""
    return option(default, help, json_schema_extra={"exim_default": exim}, **constraints)


def own_name() -> str:
    """Return this host's name; where that has no domain, the full name that /etc/hosts gives it (no DNS)."""
    name = socket.gethostname()
    if "." in name:
        return name
    try:
        lines = Path("/etc/hosts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return name
    for line in lines:
        _, *names = line.partition("#")[0].split() or [""]
        if name in names:
            return next((full for full in names if full.startswith(f"{name}.")), name)
    return name


def _read_strict(value: object) -> object:
    """Return numbers of differences from ``all``, ``1 : 3``, a number or an array."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if isinstance(value, str):
        value = [item.strip() for item in re.split("[:,]", value) if item.strip()]
    if not isinstance(value, list | tuple | set | frozenset):
        return value
    if any(item == "all" for item in value):
        return DIFFERENCES - set(NEVER_WHOLESALE)
    numbers = {int(item) for item in value if str(item).isdigit()}
    if len(numbers) < len(set(value)) or not numbers <= DIFFERENCES:
        raise ValueError(
            f'expected "all" or numbers of differences from Exim, 1 to {max(DIFFERENCES)}, such as "1 : 3"'
        )
    for number in sorted(numbers & set(NEVER_WHOLESALE)):
        raise ValueError(f"difference {number} is never given up for everything: {NEVER_WHOLESALE[number]}")
    return frozenset(numbers)


def _read_kilobytes(value: object) -> object:
    """Return an integer from ``10M``; without a suffix the number already counts kilobytes, as in Exim."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value * 1024
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+", value.strip()):
        return int(value) * 1024
    return read_size(value)


def _read_load(value: object) -> object:
    """Return a load average in thousandths from ``1.5``: digits and at most three decimals count."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return round(value * 1000)
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+)(?:\.(\d*))?", value.strip(), re.ASCII)
        if match is None:
            raise ValueError(f'"{value}" is not a number: write digits and perhaps a point, such as 1.5')
        return int(match[1]) * 1000 + int(((match[2] or "") + "000")[:3])
    return value


def _read_optional_size(value: object) -> object:
    """Return an integer; empty text, as Exim's default has it, is zero."""
    return 0 if value == "" else read_size(value)


Strict = Annotated[frozenset[int], Read(_read_strict), Kind("strict")]
Kilobytes = Annotated[int, Read(_read_kilobytes), Kind("kilobytes")]
Load = Annotated[int, Read(_read_load), Kind("load")]
Count = Annotated[int, Read(_read_optional_size), Kind("count")]
ExpandedCount = Annotated[int | str, Read(or_expanded(_read_optional_size)), Kind("count", expanded=True)]


def _named(instances: object) -> object:
    """Return instances in order, each with its name, from ``{name: options}``."""
    if isinstance(instances, Mapping):
        return tuple({**body, "name": name} if isinstance(body, Mapping) else body for name, body in instances.items())
    return instances


def _keyed(instances: object) -> object:
    """Return instances by name, each with its name, from ``{name: options}``."""
    if isinstance(instances, Mapping):
        return {name: {**body, "name": name} if isinstance(body, Mapping) else body for name, body in instances.items()}
    return instances


def _texts(value: object) -> object:
    """Return a tuple of texts from one text or an array."""
    return (value,) if isinstance(value, str) else value


NamedLists = dict[str, ExpandedList]
Rules = Annotated[tuple[str, ...], Read(_texts), Kind("rules")]
PARTS = (
    "domainlists", "hostlists", "addresslists", "localpartlists",
    "routers", "transports", "authenticators", "retry", "rewrite",
)  # fmt: skip
"""What of a configuration is no main option."""


class Settings(Options):
    """A whole configuration, judged: the main options, then the other parts.

    One model: to inherit 130 options from another would take 3 ms of every start.
    """

    # -- who we are

    primary_hostname: String = Field(
        default_factory=own_name,
        description="This host's full name: in the greeting, EHLO, Received, Message-ID and the log.",
    )
    qualify_domain: String = option(
        "",
        "The domain that bare sender addresses get, and recipients too unless qualify_recipient says otherwise; "
        "empty: primary_hostname.",
        validate_default=True,
    )
    qualify_recipient: String = option(
        "", "The domain that bare recipient addresses get; empty: qualify_domain.", validate_default=True
    )
    smtp_active_hostname: Expanded = option("", "The name in the greeting and in replies; empty: primary_hostname.")
    exim_strict: Strict = option(
        frozenset(),
        "Differences from Exim that are switched off: their numbers in docs/exim.md, or all (4 and 5 stay on: "
        "they are given up for named hosts only).",
    )

    # -- places

    spool_directory: Expanded = differing("/var/spool/smarthostd", "/var/spool/exim4", "Where the queue is kept.")
    runtime_directory: String = option("/run/smarthostd", "Where the sockets submit.sock and control.sock are made.")
    drop_directory: String = option(
        "",
        "Ours: where sendmail leaves messages while the daemon is down; empty: spool_directory with -drop behind it.",
        validate_default=True,
    )
    log_file_path: ExpandedList = differing(
        "stderr",
        "/var/log/exim4/%slog",
        "Where the log goes: stderr, syslog, or a path in which %s stands for main, reject or panic.",
    )
    write_rejectlog: Bool = option(True, "Whether rejections are written to a log of their own too.")
    syslog_facility: String = option("", "The facility for syslog: mail, daemon, local0 …; empty: mail.")
    syslog_processname: String = differing("smarthostd", "exim", "The name of the program in syslog.")
    syslog_pid: Bool = option(True, "Whether syslog gets the process id.")
    syslog_timestamp: Bool = option(True, "Whether syslog gets the time of a line, beside the one that it writes.")
    syslog_duplication: Bool = option(True, "Whether syslog gets rejections and panics twice, at two priorities.")
    log_format: Literal["exim", "json"] = option(
        "exim", "The form of log lines: Exim's mainlog, or one JSON object a line."
    )
    log_selector: String = option(
        "", "What the log says beyond the usual: +name and -name on top of Exim's default set."
    )
    log_timezone: Bool = option(False, "Whether log lines carry the time zone.")
    timezone: String = option(
        "", "The time zone of the log and of Date headers; empty: this host's; UTC is understood."
    )
    pid_file_path: Expanded = option("", "A file that holds the daemon's process id; empty: none.")

    # -- listening

    local_interfaces: StringList = differing(
        "<; 127.0.0.1 ; ::1",
        "<; ::0 ; 0.0.0.0",
        "Addresses to listen on: IP, [IP]:port, IP.port, or the path of a unix socket; 0.0.0.0 and ::0 are all.",
    )
    extra_local_interfaces: StringList = option("", "Addresses that count as this host, beyond those listened on.")
    daemon_smtp_ports: StringList = option("smtp", "Ports to listen on: numbers or service names.")
    tls_on_connect_ports: StringList = option("", "Those ports of daemon_smtp_ports where TLS starts at once.")
    relay_from_hosts: HostList = option(
        "<; 127.0.0.1 ; ::1", "Clients that may send to anywhere without logging in; unix sockets always may."
    )
    allow_open_relay: Bool = option(
        False,
        "Whether relay_from_hosts may let the whole Internet in; without this, such a configuration does not start.",
    )
    smtp_banner: Expanded = differing(
        "$smtp_active_hostname ESMTP smarthostd $tod_full",
        "$smtp_active_hostname ESMTP Exim $version_number $tod_full",
        "The greeting.",
    )
    host_lookup: HostList = option("", "Without effect: names are looked up where a list of hosts needs them.")
    hosts_require_helo: HostList = option("*", "Without effect: all clients must say HELO or EHLO before MAIL.")
    helo_allow_chars: String = option("", "Without effect: any name of one word is taken from HELO.")
    helo_accept_junk_hosts: HostList = option("", "Without effect: any name of one word is taken from HELO.")
    sender_unqualified_hosts: HostList = differing(
        "<; 127.0.0.1 ; ::1",
        "",
        "Clients that may send MAIL FROM:<user>; the address is completed with qualify_domain.",
    )
    recipient_unqualified_hosts: HostList = differing(
        "<; 127.0.0.1 ; ::1",
        "",
        "Clients that may send RCPT TO:<user>; the address is completed with qualify_recipient.",
    )
    auth_advertise_hosts: HostList = option("*", "Clients that are offered AUTH; looked at again at each EHLO.")
    pipelining_advertise_hosts: HostList = option("*", "Clients that are offered PIPELINING.")
    pipelining_connect_advertise_hosts: HostList = option("*", "Without effect: early pipelining is not offered.")
    chunking_advertise_hosts: HostList = option("*", "Clients that are offered CHUNKING.")
    smtputf8_advertise_hosts: HostList = option("*", "Clients that are offered SMTPUTF8.")
    dsn_advertise_hosts: HostList = differing("*", "", "Clients that are offered DSN.")
    accept_8bitmime: Bool = option(True, "Whether 8BITMIME is offered.")
    prdr_enable: Bool = option(False, "Without effect: PRDR is not offered.")
    smtp_enforce_sync: Bool = option(True, "Without effect: what a client sends ahead is read when its turn comes.")

    # -- limits

    message_size_limit: ExpandedSize = option(50 << 20, "The largest message, in octets; 0: no limit.")
    recipients_max: Integer = differing(1000, "50000", "The most recipients of one message; 0: no limit.", ge=0)
    recipients_max_reject: Bool = option(False, "Whether a message with too many recipients is refused whole.")
    received_headers_max: Integer = option(
        30, "A message with more Received lines than this is taken for a loop.", ge=0
    )
    header_maxsize: Integer = option(1 << 20, "The largest header, in octets.", ge=0)
    line_length_limit: Size = option(
        1 << 20, "Ours: the longest line of a message that is accepted, in octets; 0: no limit.", ge=0
    )
    bare_newlines: Literal["reject", "normalize"] = option(
        "reject", "Ours: what is done with a CR or LF alone in a message from a client: reject it, or make CRLF of it."
    )
    header_line_maxsize: Integer = option(0, "Without effect: see header_maxsize and line_length_limit.", ge=0)
    smtp_accept_max: Integer = differing(100, "20", "The most clients at one time; 0: no limit.", ge=0)
    smtp_accept_max_per_host: ExpandedCount = option(0, "The most connections from one address; 0: no limit.")
    smtp_accept_max_per_connection: ExpandedInteger = option(1000, "The most messages in one connection; 0: no limit.")
    smtp_accept_reserve: Integer = option(0, "Without effect: see smtp_accept_max and smtp_accept_max_per_host.", ge=0)
    smtp_reserve_hosts: HostList = option("", "Without effect: see smtp_accept_max and smtp_accept_max_per_host.")
    smtp_accept_queue: Integer = option(0, "Without effect: see smtp_accept_max.", ge=0)
    smtp_accept_queue_per_connection: Integer = differing(
        0,
        "10",
        "After so many messages of one exim -bs or -bS, without a daemon, the rest is only queued; 0: never.",
        ge=0,
    )
    smtp_accept_max_nonmail: Integer = option(10, "Without effect: see smtp_max_synprot_errors.", ge=0)
    smtp_max_synprot_errors: Integer = option(3, "Errors of syntax or order before a client is dropped.", ge=0)
    smtp_max_unknown_commands: Integer = option(3, "Unknown commands before a client is dropped.", ge=0)
    smtp_receive_timeout: ExpandedTime = option(
        "5m", "The longest wait for a client's next command or block.", validate_default=True
    )
    receive_timeout: Time = option("0s", "Without effect: local programs may take their time.", validate_default=True)
    check_spool_space: Kilobytes = option(
        10 << 20, "Free space that the spool's disk must have for new mail; 0: not looked at.", ge=0
    )

    regex_time_limit: Time = option(
        "1s",
        "Ours: how long a regular expression may work on one text, in processor time; 0s: no limit.",
        validate_default=True,
    )

    # -- TLS, as a server

    tls_advertise_hosts: HostList = option("*", "Clients that are offered STARTTLS, once tls_certificate is set.")
    tls_certificate: Expanded = option("", "The server's certificate; without one, TLS is not offered.")
    tls_privatekey: Expanded = option("", "The certificate's key; empty: it is in the same file.")
    tls_require_ciphers: Expanded = option("", "The ciphers, as OpenSSL names them; empty: the library's choice.")
    tls_dhparam: Expanded = option("", "Without effect: the library's own parameters are used.")
    tls_verify_certificates: Expanded = option(
        "system", "Authorities that clients' certificates are checked with: a file, a directory, or system."
    )
    tls_verify_hosts: HostList = option("", "Clients that must show a good certificate.")
    tls_try_verify_hosts: HostList = option("", "Clients that are asked for a certificate.")

    # -- who may what, at the command line

    trusted_users: Users = option(
        "", "Logins that may give any sender and keep a Sender header; root and the daemon's always may."
    )
    trusted_groups: Groups = option("", "Groups whose members may do the same.")
    admin_groups: Groups = option(
        "", "Groups that steer the queue with a set-id exim; else who may write to the spool."
    )
    prod_requires_admin: Bool = option(True, "Whether only they may start deliveries.")
    queue_list_requires_admin: Bool = option(
        True, "Whether only they list it with a set-id exim; else who may read the spool."
    )
    commandline_checks_require_admin: Bool = option(False, "Without effect: who may read it may check it.")
    untrusted_set_sender: AddressList = option("", "Senders that anybody may give with -f.")
    local_from_check: Bool = option(
        True, "Whether a Sender header is added where From is not the caller's own address."
    )
    local_sender_retain: Bool = option(
        False, "Whether a Sender header from an untrusted caller stays; needs no_local_from_check."
    )
    local_from_prefix: String = option("", "What may stand before the login in a From that counts as the caller's own.")
    local_from_suffix: String = option("", "What may stand after it.")

    # -- messages

    return_path_remove: Bool = option(True, "Whether Return-path headers are taken out of what comes in.")
    envelope_to_remove: Bool = option(True, "Whether Envelope-to headers are.")
    delivery_date_remove: Bool = option(True, "Whether Delivery-date headers are.")
    allow_domain_literals: Bool = option(
        False,
        "Whether addresses may be user@[192.0.2.1] in Exim's own sessions (`exim_strict = 13`); in others they may.",
    )
    allow_mx_to_ip: Bool = option(False, "Whether an MX record may hold an IP address.")
    strip_trailing_dot: Bool = option(False, "Without effect: domains are taken as they are written.")
    strip_excess_angle_brackets: Bool = option(False, "Without effect: <<user@domain>> is refused.")
    allow_utf8_domains: Bool = option(False, "Without effect: see SMTPUTF8.")

    # -- bounces and warnings

    dsn_from: Expanded = option(
        "Mail Delivery System <Mailer-Daemon@$qualify_domain>", "The From header of bounces and warnings."
    )
    errors_reply_to: String = option("", "The Reply-To header of bounces; with a domain.")
    errors_copy: ExpandedList = option(
        "", "Who gets copies of bounces: pattern and address, several separated by colons."
    )
    bounce_return_message: Bool = option(True, "Whether a bounce brings the message back.")
    bounce_return_body: Bool = option(True, "Whether with its body.")
    bounce_return_size_limit: Size = option(100 << 10, "A message larger than this comes back cut.")
    bounce_return_linesize_limit: Size = option(998, "A message with longer lines comes back without its body.")
    bounce_message_text: String = option("", "A text that stands in bounces behind their first line.")
    bounce_message_file: Expanded = option("", "A file with texts for bounces; empty: the usual ones.")
    warn_message_file: Expanded = option("", "A file with texts for warnings; empty: the usual ones.")
    reports_per_minute: Count = option(
        60,
        "The most reports sent in a minute; further ones go in one digest a minute for each reader; 0: no limit.",
        ge=0,
    )
    alarm_command: String = option(
        "", "Run without a shell when mail is held: a program and its words; it reads what is wrong as JSON."
    )
    alarm_webhook: String = option(
        "",
        "An http or https URL to which what is wrong is posted as JSON when mail is held; it may hold user:password@.",
    )
    alarm_timeout: Time = option("30s", "How long each of the two may take.", validate_default=True)
    delay_warning: Times = option(
        "24h",
        "Ages at which the sender is told that a message waits; the last gap repeats; 0s: never.",
        validate_default=True,
    )
    delay_warning_condition: Expanded = option(
        DELAY_WARNING_CONDITION, "Whether to warn: not when this expands to empty, 0, no or false."
    )
    ignore_bounce_errors_after: Time = option(
        "10w", "The age at which a bounce that cannot be delivered is given up.", validate_default=True
    )
    timeout_frozen_after: Time = option(
        "0s", "The age at which a frozen message is given up; 0s: never.", validate_default=True
    )
    auto_thaw: Time = option(
        "0s", "The time after which a frozen message is tried again; 0s: never.", validate_default=True
    )
    move_frozen_messages: Bool = option(False, "Without effect: frozen messages stay in the queue.")
    freeze_tell: String = option("", "Addresses, separated by commas, that are told when a message freezes.")

    # -- the queue

    queue_only: Bool = option(False, "Leave what exim takes for a queue run, where no daemon runs.")
    queue_only_override: Bool = option(True, "Whether exim -odi and -odf deliver it all the same.")
    queue_only_load: Load | None = option(None, "Without effect: the load of the machine holds nothing back.")
    queue_only_file: StringList = option(
        "", "Files, one of which is enough to do so; behind `smtp`, for what goes to other hosts."
    )
    deliver_queue_load_max: Load | None = option(None, "Without effect: the load of the machine stops nothing.")
    queue_domains: DomainList = option("", "Domains whose mail waits for the next queue run.")
    queue_smtp_domains: DomainList = option(
        "", "Domains to whose hosts exim sends by a queue run only, where no daemon runs."
    )
    hold_domains: DomainList = option("", "Domains whose mail is held until it is forced.")
    queue_run_max: ExpandedCount = option(5, "Without effect: the daemon is one queue run that never ends.")
    queue_run_in_order: Bool = option(False, "Without effect: the daemon is one queue run that never ends.")
    remote_max_parallel: Integer = option(2, "Without effect: see hosts_max_parallel of the transport.", ge=1)
    remote_sort_domains: DomainList = option("", "Without effect: domains have no order.")
    split_spool_directory: Bool = option(False, "Without effect: the spool is one database.")
    message_logs: Bool = option(True, "Without effect: `smarthostd queue show` tells each message's story.")
    preserve_message_logs: Bool = option(False, "Without effect: the log keeps what was done.")
    retry_interval_max: Time = option("1d", "The longest gap between two attempts.", validate_default=True)
    retry_data_expire: Time = option(
        "7d", "The age at which what is known of a destination is forgotten.", validate_default=True
    )

    # -- the other parts

    domainlists: NamedLists = option({}, "Domain lists by name: +name in other lists.")
    hostlists: NamedLists = option({}, "Host lists by name.")
    addresslists: NamedLists = option({}, "Address lists by name.")
    localpartlists: NamedLists = option({}, "Local part lists by name.")
    routers: Annotated[tuple[AnyRouter, ...], Read(_named)] = option((), "Who an address goes to; asked in order.")
    transports: Annotated[dict[str, AnyTransport], Read(_keyed)] = option({}, "How mail gets there.")
    authenticators: Annotated[tuple[AnyAuthenticator, ...], Read(_named)] = option((), "How to log in; tried in order.")
    retry: Rules = option(DEFAULT_RULES, "When to try again: Exim's retry rules, the first that fits is used.")
    rewrite: Rules = option((), "Exim's rewriting rules.")

    @field_validator("qualify_domain")
    @classmethod
    def _own_domain(cls, value: str, info: ValidationInfo) -> str:
        return value or str(info.data.get("primary_hostname", ""))

    @field_validator("qualify_recipient")
    @classmethod
    def _same_domain(cls, value: str, info: ValidationInfo) -> str:
        return value or str(info.data.get("qualify_domain", ""))

    @field_validator("drop_directory")
    @classmethod
    def _beside_the_spool(cls, value: str, info: ValidationInfo) -> str:
        return value or f"{str(info.data.get('spool_directory', '')).rstrip('/')}-drop"

    @field_validator("alarm_command")
    @classmethod
    def _words(cls, value: str) -> str:
        import shlex

        try:
            words = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"it cannot be split into words: {error}") from error
        if words and not words[0].startswith("/"):
            raise ValueError(f'"{words[0]}" is not an absolute path: there is no shell that would look for it')
        return value

    @field_validator("alarm_webhook")
    @classmethod
    def _url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        except ValueError:
            known = False
        if value and not known:
            raise ValueError("it is no http or https URL: write https://host/path")
        if value and parts.username is not None and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError("a login in an http URL can be read on the way: write https://user:password@host/path")
        return value

    @field_validator("log_selector")
    @classmethod
    def _known_selectors(cls, value: str) -> str:
        complaint = selectors.complaint(value)
        if complaint:
            raise ValueError(complaint)
        return value

    def __repr__(self) -> str:
        """Tell the names only: values may hold passwords."""
        names = [*(router.name for router in self.routers), *self.transports, *(a.name for a in self.authenticators)]
        return f"Settings({self.primary_hostname}: {', '.join(names)})"

    __str__ = __repr__
