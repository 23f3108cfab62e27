"""The options of the transport ``smtp``."""

from datetime import timedelta
from typing import Literal

from smarthostd.options import Bool, Expanded, ExpandedList, HostList, Integer, StringList, Time, option
from smarthostd.transports.options import TransportOptions

_MINUTES_5 = timedelta(minutes=5)


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
        8, "Messages under way on one connection, when hosts_max_parallel are open; 1: each waits for the last.", ge=1
    )
    hosts_max_parallel: Integer = option(20, "Connections to one host at a time.", ge=1)
    hosts_max_deferrals: Integer = option(
        100, "Messages in a row that a host defers (4xx) before it is asked only ten times a second; 0: no limit.", ge=0
    )
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
