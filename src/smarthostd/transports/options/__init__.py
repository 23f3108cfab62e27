"""The transports' options: Exim's names and defaults (exim.md 7.1). No driver is imported with them.

A configuration is read by who sends nothing, too: a command that checks or explains it must not pay for the drivers.

What Exim has and we have not is not declared here: ``config/foreign.py`` says so to who uses it. Declared without
effect is only what asks for something that may be had without asking, or not at all.
"""

from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from smarthostd.options import (
    Bool,
    ByDriver,
    Expanded,
    ExpandedList,
    HostList,
    Integer,
    Octal,
    Options,
    Repeated,
    String,
    StringList,
    Time,
    option,
)

_MINUTES_5 = timedelta(minutes=5)


class TransportOptions(Options):
    """Generic options of an instance in the transports section."""

    name: str
    headers_add: Repeated = option((), "Header lines to add to the message, one a line.")
    headers_remove: Repeated = option((), "Names of headers to take out of the message, a colon list.")
    headers_rewrite: String = option(
        "", "Rewriting rules for the header lines of what is sent, a colon list; without flags for all of them."
    )
    return_path: Expanded = option("", "The envelope sender to use instead of the message's (not for bounces).")
    return_path_add: Bool = option(False, "Add a Return-path: header (final deliveries).")
    envelope_to_add: Bool = option(False, "Add an Envelope-to: header with the original recipients.")
    delivery_date_add: Bool = option(False, "Add a Delivery-date: header.")
    body_only: Bool = option(False, "Deliver the body without the header.")
    headers_only: Bool = option(False, "Deliver the header without the body.")
    message_size_limit: Expanded = option("", "The largest message (50M); a larger one fails. Empty or 0: no limit.")
    disable_logging: Bool = option(False, "Without effect: nothing here is silent.")
    debug_print: Expanded = option("", "Without effect: Exim's debugging output.")
    user: Expanded = option("", "The user to deliver as (only where the daemon runs as root).")
    group: Expanded = option("", "The group to deliver as (only where the daemon runs as root).")
    home_directory: Expanded = option("", "What $home is in this transport.")
    current_directory: Expanded = option("", "Without effect: no program is started.")
    retry_use_local_part: Bool = option(
        False, "Whether retry times are kept for addresses, not domains; for local deliveries yes unless set."
    )
    max_parallel: Expanded = option("", "Without effect: hosts_max_parallel decides.")


class SmtpOptions(TransportOptions):
    """Options of ``driver = smtp``."""

    driver: Literal["smtp"]

    # where to
    hosts: ExpandedList = option("", "Where to deliver when the router gave no hosts.")
    hosts_override: Bool = option(False, "Use hosts even if the router gave some.")
    hosts_randomize: Bool = option(False, "Try hosts in random order.")
    fallback_hosts: StringList = option("", "Hosts to try after all others were deferred.")
    allow_localhost: Bool = option(False, "Let hosts name this machine.")
    hosts_max_try: Integer = option(5, "How many addresses are contacted at most for one message.", ge=1)
    hosts_max_try_hardlimit: Integer = option(50, "How many hosts of a list are looked at at most.", ge=1)
    port: Expanded = option("smtp", "The port, a number or a name; 465 if the protocol is smtps and this is not set.")
    protocol: Literal["smtp", "smtps", "lmtp"] = option("smtp", "smtp, smtps (TLS from the start) or lmtp.")
    interface: ExpandedList = option("", "The address to connect from: the first of the right family.")

    # how long, how many
    connect_timeout: Time = option(_MINUTES_5, "How long to wait for a connection to one address; 0s: the system's.")
    command_timeout: Time = option(_MINUTES_5, "How long to wait for the reply to a command.")
    data_timeout: Time = option(_MINUTES_5, "How long the peer may take to accept a block of the message.")
    final_timeout: Time = option(timedelta(minutes=10), "How long to wait for the verdict after the message.")
    connection_max_messages: Integer = option(500, "Messages down one connection; 0: no limit, 1: no reuse.", ge=0)
    connection_idle_time: Time = option(timedelta(seconds=10), "How long a connection is kept for the next message.")
    connection_max_pipelined: Integer = option(
        4, "Messages under way on one connection, when hosts_max_parallel are open; 1: each waits for the last.", ge=1
    )
    hosts_max_parallel: Integer = option(20, "Connections to one host at a time.", ge=1)
    serialize_hosts: HostList = option("", "Hosts to which only one connection is opened at a time.")
    max_rcpt: Integer = option(100, "Recipients in one transaction; 0: no limit.", ge=0)
    multi_domain: Bool = option(True, "Let one transaction have recipients in several domains.")
    message_linelength_limit: Integer = option(
        0, "The longest line, in octets; a message with a longer one is refused when it comes in. 0: no limit.",
        ge=0, json_schema_extra={"exim_default": "998"},
    )  # fmt: skip

    # what is said
    helo_data: Expanded = option("$primary_hostname", "What we call ourselves in EHLO.")
    size_addition: Integer = option(1024, "Added to what SIZE= tells, for headers to come; negative: no SIZE=.")
    authenticated_sender: Expanded = option("", "What AUTH= on MAIL says, after a login.")
    authenticated_sender_force: Bool = option(False, "Say authenticated_sender without a login too.")
    hosts_avoid_esmtp: HostList = option("", "Hosts that get HELO, so no extensions at all.")
    hosts_avoid_pipelining: HostList = option("", "Hosts to which each command waits for the reply before it.")
    hosts_try_chunking: HostList = option("*", "Hosts to which BDAT is used where they offer CHUNKING.")
    lmtp_ignore_quota: Bool = option(False, "With protocol = lmtp, ask the server to ignore quotas.")

    # logging in
    hosts_try_auth: HostList = option("", "Hosts to log in to; a bare word that is no host names a credential.")
    hosts_require_auth: HostList = option("", "Hosts that get no mail without a login; bare words as above.")
    hosts_allow_cleartext_auth: HostList = option(
        "", "Hosts that may get a password over a connection that is not encrypted, or not verified."
    )

    # TLS
    hosts_require_tls: HostList = option("", "Hosts that get no mail without TLS.")
    hosts_avoid_tls: HostList = option("", "Hosts to which STARTTLS is not said.")
    tls_tempfail_tryclear: Bool = option(
        True, "Go on in clear when TLS fails, unless TLS or a good certificate is due."
    )
    tls_verify_certificates: Expanded = option("system", "Whom to believe: system, or a file or directory of CAs.")
    tls_verify_hosts: HostList = option(
        "", "Hosts whose certificate must be good; not set, those that we log in to (difference 5)."
    )
    tls_try_verify_hosts: HostList = option("*", "Hosts whose certificate is looked at; the log shows CV=.")
    tls_verify_cert_hostnames: HostList = option("*", "Hosts whose certificate must be for the name in the route.")
    tls_sni: Expanded = option("", "The name to ask for, and to find in the certificate; empty: the host's name.")
    tls_certificate: Expanded = option("", "Our client certificate, a PEM file.")
    tls_privatekey: Expanded = option("", "Its key; empty: it is in the same file.")
    tls_require_ciphers: Expanded = option("", "OpenSSL's cipher string.")

    delay_after_cutoff: Bool = option(
        True,
        "With exim_strict = 12: whether mail for a host past its last cutoff fails untried between that host's times;"
        " else each message is tried once.",
    )

    # asked for in vain
    tls_dh_min_bits: Integer = option(1024, "Without effect: OpenSSL's security level decides.")
    hosts_verify_avoid_tls: HostList = option("", "Without effect: there are no callouts.")
    hosts_try_prdr: HostList = option("*", "Without effect: PRDR is not spoken.")
    hosts_try_fastopen: HostList = option("*", "Without effect: TCP fast open is not used.")
    hosts_try_dane: HostList = option("*", "Without effect: DANE is not checked.")
    hosts_request_ocsp: HostList = option("*", "Without effect: OCSP is not asked for.")
    hosts_pipe_connect: HostList = option("", "Without effect: commands wait for the greeting.")
    retry_include_ip_address: Bool = option(True, "Without effect: hosts are known by the name in the route.")
    address_retry_include_sender: Bool = option(True, "Whether a 4xx to RCPT is remembered for its sender only.")
    utf8_downconvert: Integer = option(-1, "Without effect: domains are down-converted where that is needed.")


class LmtpOptions(TransportOptions):
    """Options of ``driver = lmtp``: a local server, by its unix socket."""

    driver: Literal["lmtp"]
    socket: Expanded = option("", "The unix socket of the LMTP server.")
    helo_data: Expanded = option("$primary_hostname", "Ours: what we call ourselves in LHLO.")
    timeout: Time = option(_MINUTES_5, "How long to wait for each reply.")
    ignore_quota: Bool = option(False, "Ask the server to ignore quotas.")
    batch_max: Integer = option(1, "Recipients in one transaction.", ge=1)


class AppendfileOptions(TransportOptions):
    """Options of ``driver = appendfile``."""

    driver: Literal["appendfile"]
    file: Expanded = option("", "The mbox file to append to.")
    directory: Expanded = option("", "The directory to deliver into.")
    maildir_format: Bool = option(False, "The directory is a Maildir.")
    create_directory: Bool = option(True, "Make the directory if it is missing.")
    create_file: String = option("anywhere", "Accepted and ignored: the file's directory must exist or be made.")
    mode: Octal = option(0o600, "The file's mode.")
    directory_mode: Octal = option(0o700, "The mode of a directory that is made.")
    use_lockfile: Bool = option(True, "Lock an mbox by FILE.lock.")
    use_fcntl_lock: Bool = option(True, "Lock an mbox by fcntl.")
    use_flock_lock: Bool = option(False, "Lock an mbox by flock.")
    lock_retries: Integer = option(10, "How often a lock is tried.", ge=1)
    lock_interval: Time = option(timedelta(seconds=3), "How long to wait between two tries for a lock.")
    lockfile_timeout: Time = option(timedelta(minutes=30), "After this a lock file is taken for left behind.")
    lockfile_mode: Octal = option(0o600, "The lock file's mode.")
    check_string: String = option("From ", "Lines of an mbox message that begin so are escaped.")
    escape_string: String = option(">", "What escapes them.")
    message_prefix: Expanded | None = option(None, "What goes before a message; not set: mbox's From line.")
    message_suffix: Expanded | None = option(None, "What goes after a message; not set: an empty line for an mbox.")
    allow_symlink: Bool = option(False, "Deliver to an mbox that is a symbolic link.")
    batch_max: Integer = option(1, "Accepted and ignored: each recipient is delivered by itself.", ge=1)
    file_must_exist: Bool = option(False, "Do not make the file.")
    mode_fail_narrower: Bool = option(True, "Accepted and ignored.")
    quota: Expanded = option("", "Accepted only if empty: quotas are not there yet.", max_length=0)
    maildir_tag: Expanded = option("", "Accepted only if empty: file names are plain.", max_length=0)


AnyTransport: TypeAlias = Annotated[AppendfileOptions | LmtpOptions | SmtpOptions, ByDriver()]
