"""The options that all transports share, and those of everything that speaks SMTP (exim.md 7.1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from smarthostd.options import (
    Bool,
    Expanded,
    ExpandedList,
    HostList,
    Integer,
    Options,
    Repeated,
    String,
    StringList,
    Time,
    option,
)

_MINUTES5 = timedelta(minutes=5)


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
    message_size_limit: Expanded = option("0", "Largest message, in octets (50M); 0 for no limit; larger ones fail.")
    disable_logging: Bool = option(False, "Accepted and ignored: nothing here is silent.")
    debug_print: Expanded = option("", "Accepted and ignored: Exim's debugging output.")
    user: Expanded = option("", "The user to deliver as (only where the daemon runs as root).")
    group: Expanded = option("", "The group to deliver as (only where the daemon runs as root).")
    home_directory: Expanded = option("", "What $home is in this transport.")


class SmtpFamilyOptions(TransportOptions):
    """What ``smtp`` and ``lmtp`` have in common; Exim's names and defaults."""

    command_timeout: Time = option(_MINUTES5, "How long to wait for the reply to a command.")
    connect_timeout: Time = option(
        _MINUTES5, "How long to wait for a connection to one address; 0s for the system's limit."
    )
    data_timeout: Time = option(_MINUTES5, "How long a block of the message may take to be sent.")
    final_timeout: Time = option(timedelta(minutes=10), "How long to wait for the verdict after the message.")
    connection_max_messages: Integer = option(
        500, "Messages down one connection; 0 for no limit, 1 for no reuse.", ge=0
    )
    connection_idle_time: Time = option(
        timedelta(seconds=10), "Ours: how long a connection is kept for the next message."
    )
    hosts_max_parallel: Integer = option(20, "Ours: connections to one destination at a time.", ge=1)
    max_rcpt: Integer = option(100, "Recipients in one transaction; 0 for no limit.", ge=0)
    helo_data: Expanded = option("$primary_hostname", "What we call ourselves in EHLO.")
    message_linelength_limit: Integer = option(
        0, "Longest line, in octets, that is sent on; 0 for no limit (Exim: 998). Enforced when mail comes in.", ge=0
    )


class SmtpOptions(SmtpFamilyOptions):
    """Options of ``driver = smtp``."""

    driver: Literal["smtp"]
    hosts: ExpandedList = option("", "Where to deliver when the router gave no hosts.")
    hosts_override: Bool = option(False, "Use hosts even if the router gave some.")
    hosts_randomize: Bool = option(False, "Try the hosts in random order.")
    fallback_hosts: StringList = option("", "Hosts to try after all others were deferred.")
    allow_localhost: Bool = option(False, "Let hosts name this machine.")
    hosts_max_try: Integer = option(5, "How many hosts are contacted at most.", ge=1)
    hosts_max_try_hardlimit: Integer = option(50, "How many hosts of a list are looked at at most.", ge=1)
    port: Expanded = option("", "The port; 25 for smtp, 465 for smtps.")
    protocol: Literal["smtp", "smtps", "lmtp"] = option("smtp", "smtp, smtps (TLS from the start) or lmtp.")
    interface: ExpandedList = option("", "The address to connect from; the first of the right family.")
    hosts_try_auth: HostList = option("", "Hosts to log in to where they offer it; or the name of a credential.")
    hosts_require_auth: HostList = option("", "Hosts that get no mail without a login; or the name of a credential.")
    hosts_allow_cleartext_auth: HostList = option("", "Ours: hosts that may get a password without verified TLS.")
    authenticated_sender: Expanded = option("", "What AUTH= on MAIL says, after a login.")
    authenticated_sender_force: Bool = option(False, "Say authenticated_sender without a login too.")
    hosts_require_tls: HostList = option("", "Hosts that get no mail without TLS.")
    hosts_avoid_tls: HostList = option("", "Hosts to which STARTTLS is not said.")
    hosts_verify_avoid_tls: HostList = option("", "Accepted and ignored: for callouts.")
    tls_tempfail_tryclear: Bool = option(True, "Go on without TLS when it fails, unless TLS or a login is required.")
    tls_verify_certificates: Expanded = option("system", "Whom to believe: system, or a file or directory of CAs.")
    tls_verify_hosts: HostList | None = option(None, "Hosts whose certificate must be good; not set: where we log in.")
    tls_try_verify_hosts: HostList = option("*", "Hosts whose certificate is looked at, and noted in the log.")
    tls_verify_cert_hostnames: HostList = option("*", "Hosts whose name must be the certificate's.")
    tls_sni: Expanded = option("", "The server name to ask for; the host's name if empty.")
    tls_certificate: Expanded = option("", "Our client certificate, a PEM file.")
    tls_privatekey: Expanded = option("", "Its key; the certificate's file if empty.")
    tls_require_ciphers: Expanded = option("", "OpenSSL cipher string.")
    tls_dh_min_bits: Integer = option(1024, "Accepted and ignored: OpenSSL's security level decides.")
    hosts_try_chunking: HostList = option("*", "Hosts to which BDAT is used where they offer CHUNKING.")
    hosts_avoid_pipelining: HostList = option("", "Hosts to which each command waits for the reply before it.")
    hosts_avoid_esmtp: HostList = option("", "Hosts that get HELO, so no extensions at all.")
    hosts_try_prdr: HostList = option("*", "Accepted and ignored: PRDR is not spoken.")
    hosts_try_fastopen: HostList = option("*", "Accepted and ignored: TCP fast open.")
    hosts_try_dane: HostList = option("*", "Accepted and ignored: DANE is not there yet.")
    hosts_require_dane: HostList = option("", "Accepted only if empty: DANE is not there yet.", max_length=0)
    hosts_request_ocsp: HostList = option("*", "Accepted and ignored: OCSP.")
    hosts_require_ocsp: HostList = option("", "Accepted only if empty: OCSP is not there.", max_length=0)
    hosts_pipe_connect: HostList = option("", "Accepted and ignored: early pipelining.")
    hosts_noproxy_tls: HostList = option("", "Accepted and ignored.")
    multi_domain: Bool = option(True, "Let one transaction have recipients in several domains.")
    serialize_hosts: HostList = option("", "Hosts to which only one connection is opened at a time.")
    size_addition: Integer = option(1024, "Added to SIZE=; negative for no SIZE (Exim also adds the number of lines).")
    retry_include_ip_address: Expanded = option("true", "Accepted and ignored: destinations are known by name.")
    address_retry_include_sender: Bool = option(True, "Accepted and ignored: retry times are the message's own.")
    delay_after_cutoff: Bool = option(True, "Accepted and ignored: a message past its cutoff is given up.")
    dkim_domain: ExpandedList = option("", "Accepted only if empty: DKIM signing is not there yet.", max_length=0)
    dkim_selector: Expanded = option("", "Accepted and ignored without dkim_domain.")
    dkim_private_key: Expanded = option("", "Accepted and ignored without dkim_domain.")
    dkim_canon: Expanded = option("", "Accepted and ignored without dkim_domain.")
    dkim_hash: String = option("sha256", "Accepted and ignored without dkim_domain.")
    dkim_identity: Expanded = option("", "Accepted and ignored without dkim_domain.")
    dkim_sign_headers: Expanded = option("", "Accepted and ignored without dkim_domain.")
    dkim_strict: Expanded = option("", "Accepted and ignored without dkim_domain.")
    dkim_timestamps: Expanded = option("", "Accepted and ignored without dkim_domain.")
    gethostbyname: Bool = option(False, "Accepted and ignored: names are always looked up by the system.")
    dns_qualify_single: Bool = option(True, "Accepted and ignored: the system's resolver decides.")
    dns_search_parents: Bool = option(False, "Accepted and ignored: the system's resolver decides.")
    keepalive: Bool = option(True, "Accepted and ignored: connections are always kept alive.")
    dscp: Expanded = option("", "Accepted and ignored.")
    lmtp_ignore_quota: Bool = option(False, "With protocol = lmtp, ask the server to ignore quotas.")
    utf8_downconvert: Integer = option(-1, "Accepted and ignored: addresses are not down-converted.")
    socks_proxy: Expanded = option("", "Accepted only if empty: SOCKS is not there yet.", max_length=0)
    max_parallel: Expanded = option("", "Accepted and ignored: hosts_max_parallel decides.")


class LmtpOptions(SmtpFamilyOptions):
    """Options of ``driver = lmtp``: a local server, by its unix socket."""

    driver: Literal["lmtp"]
    socket: Expanded = option("", "The unix socket of the LMTP server.")
    timeout: Time = option(_MINUTES5, "How long to wait for each reply.")
    ignore_quota: Bool = option(False, "Ask the server to ignore quotas.")
    batch_max: Integer = option(1, "Recipients in one transaction.", ge=1)
