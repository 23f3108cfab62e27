"""What Exim has and smarthostd has not: so that we can say so instead of calling it unknown.

Leaving out a *harmless* option changes nothing that a smarthost user would see; a warning tells that it has no
effect. All others decide about mail: they are an error, or with ``--lenient`` a warning for each, for a
rule that forbids something must never vanish in silence.
"""

from __future__ import annotations

import re

_HARMLESS_NAMES = (
    "add_environment bi_command callout_domain_negative_expire callout_domain_positive_expire "
    "callout_negative_expire callout_positive_expire callout_random_local_part check_log_inodes check_log_space "
    "check_rfc2047_length check_spool_inodes daemon_startup_retries daemon_startup_sleep dane_require_tls_ciphers "
    "debug_print debug_store deliver_drop_privilege disable_ipv6 dkim_verify_hashes dkim_verify_keytypes "
    "dkim_verify_min_keysizes dkim_verify_minimal dkim_verify_signers dns_again_means_nonexist "
    "dns_check_names_pattern dns_cname_loops dns_csa_search_limit dns_csa_use_reverse dns_dnssec_ok "
    "dns_ipv4_lookup dns_qualify_single dns_retrans dns_retry dns_search_parents dns_trust_aa dns_use_edns0 "
    "dnssec_request_domains drop_cr dscp dsn_lasthop event_action exim_group exim_path exim_user "
    "extract_addresses_remove_arguments filter_prepend_home finduser_retries forbid_exim_filter "
    "forbid_filter_dlfunc forbid_filter_existstest forbid_filter_logwrite forbid_filter_lookup forbid_filter_perl "
    "forbid_filter_readfile forbid_filter_readsocket forbid_filter_reply forbid_filter_run forbid_sieve_filter "
    "gecos_name gecos_pattern gethostbyname gnutls_allow_auto_pkcs11 gnutls_compat_mode headers_charset "
    "helo_lookup_domains helo_try_verify_hosts host_lookup_order host_name_extract hosts_connection_nolog "
    "hosts_nopass_tls hosts_noproxy_tls ignore_fromline_hosts ignore_fromline_local initgroups keep_environment "
    "keep_malformed keepalive localhost_number lookup_open_max max_username_length message_body_newlines "
    "message_body_visible message_id_header_domain message_id_header_text modemask never_users notifier_socket "
    "openssl_options print_topbitchars process_log_path queue_fast_ramp queue_only_load_latch "
    "rcpt_include_affixes repeat_use rfc1413_hosts rfc1413_query_timeout same_domain_copy_routing "
    "server_debug_print sieve_enotify_mailto_owner sieve_subaddress sieve_useraddress sieve_vacation_directory "
    "slow_lookup_log smtp_accept_keepalive smtp_accept_max_nonmail_hosts smtp_backlog_monitor "
    "smtp_check_spool_space smtp_connect_backlog smtp_etrn_command smtp_etrn_serialize smtp_return_error_details "
    "spool_wireformat strict_acl_vars syslog_duplication syslog_facility syslog_pid syslog_processname "
    "syslog_timestamp tcp_nodelay tls_alpn tls_dh_max_bits tls_eccurve tls_ocsp_file tls_remember_esmtp "
    "tls_resumption_hosts transport_current_directory transport_home_directory unknown_login unknown_username "
    "uucp_from_pattern uucp_from_sender write_rejectlog"
)
HARMLESS = frozenset(_HARMLESS_NAMES.split())
"""Options without effect here, of the main part and of drivers."""

_DECISIVE_NAMES = (
    "allow_filter allow_freeze av_scanner bounce_message_text bounce_sender_authentication check_group "
    "check_owner dnssec_require_domains helo_verify_hosts host_reject_connection "
    "hosts_require_alpn hosts_require_dane hosts_require_ocsp hosts_treat_as_local ignore_eacces ignore_enotdir "
    "include_directory ldap_default_servers message_prefix message_suffix mua_wrapper mysql_servers owners "
    "owngroups percent_hack_domains perl_at_start perl_startup perl_taintmode pgsql_servers received_header_text "
    "redis_servers reply_transport shadow_condition shadow_transport smtp_load_reserve smtp_ratelimit_hosts "
    "smtp_ratelimit_mail smtp_ratelimit_rcpt socks_proxy spamd_address sqlite_dbfile sqlite_lock_timeout "
    "syntax_errors_text syntax_errors_to system_filter system_filter_directory_transport "
    "system_filter_file_transport system_filter_group system_filter_pipe_transport system_filter_reply_transport "
    "system_filter_user tls_crl translate_ip_address transport_filter transport_filter_timeout"
)
DECISIVE = frozenset(_DECISIVE_NAMES.split())
"""Options that decide about mail, and that we do not have; ``acl_…``, ``…_acl`` and ``dkim_…`` are all among them."""

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

_DECISIVE = re.compile(r"acl_\w+|\w+_acl|dkim_\w+")


def decisive(name: str) -> bool:
    """Return whether *name* is an option of Exim's that decides about mail."""
    return name in DECISIVE or _DECISIVE.fullmatch(name) is not None


def unimplemented(what: str) -> str:
    """Return the sentence for something of Exim's that we do not have."""
    return f"{what} Exim's and not implemented here; take it out, or load with --lenient to go on without it"


def left_out(what: str) -> str:
    """Return the warning for the same, where it is left out."""
    return f"{what} not implemented and left out"


def without_effect(name: str, where: str = "") -> str:
    """Return the warning for a harmless option; *where* is empty or begins with a blank."""
    return f'option "{name}"{where} has no effect in smarthostd'
