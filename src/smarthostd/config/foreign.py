"""What Exim has and smarthostd has not: so that we can say so instead of calling it unknown.

Leaving out a *harmless* option changes nothing that a smarthost user would see; a warning tells that it has no
effect. All others decide about mail: they are an error, or with ``--lenient`` a warning for each, for a
rule that forbids something must never vanish in silence.

Names are looked up here only where the models have none of that name, and Exim has one in that place
(``listing.knows``): an option that one driver of ours has may be foreign to another. ``docs/exim.md`` lists the
groups with their reasons; a test holds both against Exim's own list.
"""

from __future__ import annotations

from msgspec import Struct


class Group(Struct, frozen=True):
    """Options that are not there for one *reason*, a clause that stands behind a colon."""

    reason: str
    names: frozenset[str]


def _groups(text: str) -> tuple[Group, ...]:
    """Return the groups written in *text*: a reason in column one, its options indented below it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.strip("\n").split("\n"):
        if line.startswith(" "):
            found[-1][1].extend(line.split())
        else:
            found.append((line, []))
    return tuple(Group(reason, frozenset(names)) for reason, names in found)


HARMLESS_GROUPS = _groups("""\
systemd or the container says who the daemon is and where it runs
    deliver_drop_privilege exim_group exim_path exim_user exim_version initgroups keep_environment add_environment
    never_users notifier_socket process_log_path daemon_startup_retries daemon_startup_sleep disable_ipv6
the sender's name is given by his program
    finduser_retries gecos_name gecos_pattern max_username_length unknown_login unknown_username
there is no alias database to be built
    bi_command
message ids are never the same twice anyway
    localhost_number message_id_header_domain message_id_header_text
no address is verified by a call to another host
    callout_domain_negative_expire callout_domain_positive_expire callout_negative_expire callout_positive_expire
    callout_random_local_part
a full disk is answered by 452 (`check_spool_space`, and when it is met), and nothing is lost
    check_log_inodes check_log_space check_spool_inodes smtp_check_spool_space
the system's resolver does it as the system is set up
    dns_again_means_nonexist dns_check_names_pattern dns_cname_loops dns_csa_search_limit dns_csa_use_reverse
    dns_dnssec_ok dns_ipv4_lookup dns_qualify_single dns_retrans dns_retry dns_search_parents dns_trust_aa
    dns_use_edns0 dnssec_request_domains gethostbyname helo_lookup_domains host_lookup_order
what arrives is not verified for DKIM
    dkim_verify_hashes dkim_verify_keytypes dkim_verify_min_keysizes dkim_verify_minimal dkim_verify_signers
the TLS library's own choice stands
    dane_require_tls_ciphers gnutls_allow_auto_pkcs11 gnutls_compat_mode host_name_extract openssl_options tls_alpn
    tls_dh_max_bits tls_eccurve tls_ocsp_file tls_remember_esmtp tls_resumption_hosts
it is about Exim's own logs and debugging
    debug_store event_action hosts_connection_nolog print_topbitchars slow_lookup_log smtp_return_error_details
there are no filters to be held back
    filter_prepend_home forbid_exim_filter forbid_filter_dlfunc forbid_filter_existstest forbid_filter_logwrite
    forbid_filter_lookup forbid_filter_perl forbid_filter_readfile forbid_filter_readsocket forbid_filter_reply
    forbid_filter_run forbid_sieve_filter sieve_enotify_mailto_owner
variables hold what Exim's defaults give
    check_rfc2047_length headers_charset message_body_newlines message_body_visible strict_acl_vars
mail that comes by UUCP or from old programs is not taken
    drop_cr extract_addresses_remove_arguments ignore_fromline_hosts ignore_fromline_local uucp_from_pattern
    uucp_from_sender
the listener has limits of its own
    helo_try_verify_hosts keepalive dscp hosts_nopass_tls hosts_noproxy_tls rfc1413_hosts rfc1413_query_timeout
    smtp_accept_keepalive smtp_accept_max_nonmail_hosts smtp_backlog_monitor smtp_connect_backlog smtp_etrn_command
    smtp_etrn_serialize tcp_nodelay
the queue and its files are kept otherwise
    keep_malformed lookup_open_max queue_fast_ramp queue_only_load_latch spool_wireformat
it is about how Exim makes its files, and shares them with programs that lock them
    allow_fifo lock_fcntl_timeout lock_flock_timeout maildir_quota_directory_regex maildir_retries
    maildir_use_size_file maildirfolder_create_regex notify_comsat use_mbx_lock
retry times follow the whole address
    rcpt_include_affixes
""")
"""Options without effect here."""

DECISIVE_GROUPS = _groups("""\
there are no access control lists: relay_from_hosts and authenticators say who may send
    acl_not_smtp acl_not_smtp_mime acl_not_smtp_start acl_smtp_auth acl_smtp_connect acl_smtp_data
    acl_smtp_data_prdr acl_smtp_dkim acl_smtp_etrn acl_smtp_expn acl_smtp_helo acl_smtp_mail acl_smtp_mailauth
    acl_smtp_mime acl_smtp_notquit acl_smtp_predata acl_smtp_quit acl_smtp_rcpt acl_smtp_starttls acl_smtp_vrfy
    helo_verify_hosts host_reject_connection smtp_ratelimit_hosts smtp_ratelimit_mail smtp_ratelimit_rcpt
nothing is scanned, on the way in or out
    av_scanner local_scan_path local_scan_timeout spamd_address spf_guess spf_smtp_comment_template
there are no filters: routers decide
    system_filter system_filter_directory_transport system_filter_file_transport system_filter_group
    system_filter_pipe_transport system_filter_reply_transport system_filter_user transport_filter
    transport_filter_timeout
there are no databases: write what they hold to a file for lsearch
    ldap_ca_cert_dir ldap_ca_cert_file ldap_cert_file ldap_cert_key ldap_cipher_suite ldap_default_servers
    ldap_require_cert ldap_start_tls ldap_version mysql_servers pgsql_servers redis_servers sqlite_dbfile
    sqlite_lock_timeout
there is no Perl
    perl_at_start perl_startup perl_taintmode
nothing speaks through a proxy
    hosts_proxy proxy_protocol_timeout socks_proxy
DANE, OCSP, ALPN, revocation lists and DNSSEC are not there
    dnssec_require_domains hosts_require_alpn hosts_require_dane hosts_require_ocsp tls_crl
what is signed for DKIM is signed before it comes here
    dkim_canon dkim_domain dkim_hash dkim_identity dkim_private_key dkim_selector dkim_sign_headers dkim_strict
    dkim_timestamps
mail is written to one file or one Maildir, not to programs and other forms of mailbox
    batch_id command directory_file file_format mailbox_filecount mailbox_size mailstore_format mailstore_prefix
    mailstore_suffix mbx_format use_bsmtp use_crlf
there are no quotas on mailboxes
    quota_directory quota_filecount quota_is_inclusive quota_size_regex quota_warn_message quota_warn_threshold
nothing is delivered twice, to a shadow of its transport
    shadow_condition shadow_transport
bounces are nobody's login, and Received: lines have a text of their own
    bounce_sender_authentication received_header_text
who owns a file is not looked at, and one that cannot be read is no empty one
    check_group check_owner ignore_eacces
addresses are routed by routers alone
    hosts_treat_as_local percent_hack_domains translate_ip_address
the load of the machine turns nobody away
    smtp_load_reserve
smarthostd is a daemon, not a mail program's wrapper
    mua_wrapper
""")
"""Options that decide about mail."""

HARMLESS = frozenset().union(*(group.names for group in HARMLESS_GROUPS))
DECISIVE = frozenset().union(*(group.names for group in DECISIVE_GROUPS))

DRIVERS = {
    "routers": frozenset({"ipliteral", "iplookup", "queryprogram"}),
    "transports": frozenset({"autoreply", "pipe", "lmtp", "queuefile"}),
    "authenticators": frozenset({"cyrus_sasl", "dovecot", "gsasl", "heimdal_gssapi", "spa", "tls"}),
}
"""Drivers of Exim's, by section; those that we have are found before anybody looks here."""

SECTIONS = {"acl": "access control lists", "local_scan": "options of a compiled-in scan"}
"""Sections that we do not implement, and what they hold."""

SYNONYMS = {"daemon_smtp_port": "daemon_smtp_ports"}
"""Other names that Exim understands."""
BOTH = {"verify": ("verify_sender", "verify_recipient"), "fail_verify": ("fail_verify_sender", "fail_verify_recipient")}
"""Names of a router that set two options at once."""


def unimplemented(what: str) -> str:
    """Return the sentence for something of Exim's that we do not have."""
    return f"{what} Exim's and not implemented here; take it out, or load with --lenient to go on without it"


def left_out(what: str) -> str:
    """Return the warning for the same, where it is left out."""
    return f"{what} not implemented and left out"


def without_effect(name: str, where: str = "") -> str:
    """Return the warning for a harmless option; *where* is empty or begins with a blank."""
    return f'option "{name}"{where} has no effect in smarthostd: {_reason(name, HARMLESS_GROUPS)}'


def _reason(name: str, groups: tuple[Group, ...]) -> str:
    return next(group.reason for group in groups if name in group.names)
