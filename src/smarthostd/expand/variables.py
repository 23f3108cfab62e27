"""The variables that exist, and what they hold when nobody has set them (exim.md 5.2).

A name that is in no table here is an error wherever it stands, also in a branch that is not taken.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

from smarthostd.facts import Facts, Value

EXIM_VERSION = "4.96"
"""The version whose language this is; what ``$version_number`` says, since configurations ask for it."""


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_EMPTY = _names("""
acl_verify_message address_data address_file address_pipe auth1 auth2 auth3 authenticated_fail_id authenticated_id
authenticated_sender bounce_recipient callout_address compile_date compile_number csa_status dnslist_domain
dnslist_matched dnslist_text dnslist_value domain domain_data event_data event_name exim_path headers_added home host
host_address host_data initial_cwd interface_address local_part local_part_data local_part_prefix local_part_prefix_v
local_part_suffix local_part_suffix_v local_part_verified local_scan_data local_user_gid local_user_uid
lookup_dnssec_authenticated mailstore_basename message_body message_body_end message_exim_id message_headers
message_headers_raw message_id original_domain original_local_part originator_gid originator_uid parent_domain
parent_local_part proxy_external_address proxy_local_address prvscheck_address prvscheck_keynum
prvscheck_result queue_name queue_size received_for received_ip_address received_protocol recipient_data
recipient_verify_failure recipients regex_match_string reply_address return_path return_size_limit router_name
self_hostname sender_address sender_address_data sender_address_domain sender_address_local_part sender_data
sender_fullhost sender_helo_name sender_helo_verified sender_host_address sender_host_authenticated sender_host_name
sender_ident sender_rate sender_rate_limit sender_rate_period sender_rcvhost sender_verify_failure sending_ip_address
smtp_command smtp_command_argument smtp_command_history smtp_notquit_reason srs_recipient thisaddress tls_cipher
tls_in_cipher tls_in_cipher_std tls_in_ourcert tls_in_peercert tls_in_peerdn tls_in_sni tls_in_ver tls_out_cipher
tls_out_cipher_std tls_out_ourcert tls_out_peercert tls_out_peerdn tls_out_sni tls_out_ver tls_peerdn tls_sni
transport_name verify_mode warn_message_delay warn_message_recipient warn_message_recipients warnmsg_delay
warnmsg_recipient warnmsg_recipients
""")
_ZERO = _names("""
acl_narg authentication_failed body_linecount body_zerocount event_defer_errno host_lookup_deferred
host_lookup_failed host_port inode localhost_number max_received_linelength message_age message_body_size
message_linecount message_size proxy_external_port proxy_local_port rcpt_count rcpt_defer_count rcpt_fail_count
received_count received_time recipients_count runrc sender_host_port smtp_count_at_connection_start tls_bits
tls_certificate_verified tls_in_bits tls_in_certificate_verified tls_in_ocsp tls_in_resumption tls_out_bits
tls_out_certificate_verified tls_out_ocsp tls_out_resumption tls_out_tlsa_usage
""")
_NO = _names("message_smtputf8 prdr_requested proxy_session sender_helo_dnssec sender_host_dnssec tls_out_dane")
_MINUS_ONE = _names("interface_port log_inodes log_space received_port sending_port")
_SCANNING = _names("""
av_failed dkim_algo dkim_bodylength dkim_canon_body dkim_canon_headers dkim_copiedheaders dkim_created dkim_cur_signer
dkim_domain dkim_expires dkim_headernames dkim_identity dkim_key_granularity dkim_key_length dkim_key_nosubdomains
dkim_key_notes dkim_key_srvtype dkim_key_testing dkim_selector dkim_signers dkim_verify_reason dkim_verify_status
ldap_dn malware_name mime_anomaly_level mime_anomaly_text mime_boundary mime_charset mime_content_description
mime_content_disposition mime_content_id mime_content_size mime_content_transfer_encoding mime_content_type
mime_decoded_filename mime_filename mime_is_coverletter mime_is_multipart mime_is_rfc822 mime_part_count spam_action
spam_bar spam_report spam_score spam_score_int spf_guess spf_header_comment spf_received spf_result
spf_result_guessed spf_smtp_comment
""")
"""Known to Exim, never set here: nothing is scanned."""
_FREE = re.compile(r"acl_[cm](?:[_\d]\w*)?|acl_arg[1-9]|r_[\w-]*|regex[1-9]", re.ASCII)
"""What the administrator names."""


def _tod(form: str) -> Callable[[], str]:
    return lambda: time.strftime(form)


def _room(directory: str) -> tuple[str, str]:
    """Return the KiB and the inodes that are free where *directory* is."""
    try:
        status = os.statvfs(directory)
    except OSError:
        return "-1", "-1"
    return str(status.f_bavail * status.f_frsize // 1024), str(status.f_favail)


class Variables:
    """Finds a variable's standing value by name."""

    def __init__(self, facts: Facts) -> None:
        self._known: dict[str, Value] = dict.fromkeys((*_EMPTY, *_SCANNING), "")
        self._known.update(dict.fromkeys(_ZERO, "0"))
        self._known.update(dict.fromkeys(_NO, "no"))
        self._known.update(dict.fromkeys(_MINUS_ONE, "-1"))
        self._known.update({
            "primary_hostname": facts.primary_hostname,
            "smtp_active_hostname": facts.primary_hostname,
            "qualify_domain": facts.qualify_domain or facts.primary_hostname,
            "qualify_recipient": facts.qualify_recipient or facts.qualify_domain or facts.primary_hostname,
            "spool_directory": facts.spool_directory,
            "config_file": facts.config_file,
            "config_dir": facts.config_file.rpartition("/")[0],
            "version_number": EXIM_VERSION,
            "exim_version": EXIM_VERSION,
            "tod_full": _tod("%a, %d %b %Y %H:%M:%S %z"),
            "tod_log": _tod("%Y-%m-%d %H:%M:%S"),
            "tod_bsdinbox": _tod("%a %b %d %H:%M:%S %Y"),
            "tod_logfile": _tod("%Y%m%d"),
            "tod_zulu": lambda: time.strftime("%Y%m%d%H%M%SZ", time.gmtime()),
            "tod_epoch": lambda: str(int(time.time())),
            "tod_epoch_l": lambda: str(time.time_ns() // 1000),
            "tod_zone": _tod("%z"),
            "spool_space": lambda: _room(facts.spool_directory)[0],
            "spool_inodes": lambda: _room(facts.spool_directory)[1],
            "load_average": lambda: str(int(os.getloadavg()[0] * 1000)),
            "pid": lambda: str(os.getpid()),
            "exim_uid": str(os.getuid()),
            "exim_gid": str(os.getgid()),
            "caller_uid": str(os.getuid()),
            "caller_gid": str(os.getgid()),
            "bounce_return_size_limit": "102400",
        })  # fmt: skip

    def find(self, name: str) -> Value | None:
        """Return what *name* holds when nobody has set it, or None where there is no such variable."""
        value = self._known.get(name)
        if value is None and _FREE.fullmatch(name):
            return ""
        return value
