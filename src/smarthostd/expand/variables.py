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
acl_verify_message address_data address_file address_pipe atrn_host auth1 auth2 auth3 authenticated_fail_id
authenticated_id authenticated_sender authentication_failed bmi_alt_location compile_date compile_number
dkim_domain dkim_selector dnslist_domain dnslist_matched dnslist_text dnslist_value domain domain_data exim_path
first_delivery fromaddr headers_charset home host host_address host_data host_lookup_deferred host_lookup_failed
initial_cwd local_part local_part_data local_part_prefix local_part_prefix_v local_part_suffix
local_part_suffix_v local_part_verified local_scan_data local_user_gid local_user_uid
lookup_dnssec_authenticated message_body message_body_end message_exim_id message_headers message_headers_raw
message_id original_domain original_local_part originator_gid originator_uid parent_domain parent_local_part
pipe_addresses prvscheck_address prvscheck_keynum prvscheck_result queue_name rcpt_defer_count rcpt_fail_count
received_for received_ip_address received_protocol recipient_data recipient_verify_failure recipients
reply_address return_path return_size_limit router_name runrc self_hostname sender_address sender_address_data
sender_address_domain sender_address_local_part sender_data sender_fullhost sender_helo_dnssec sender_helo_name
sender_helo_verified sender_host_address sender_host_authenticated sender_host_dnssec sender_host_name
sender_ident sender_rcvhost sender_verify_failure sending_ip_address smtp_command smtp_command_argument
smtp_command_history smtp_notquit_reason thisaddress tls_cipher tls_in_certificate_verified tls_in_cipher
tls_in_cipher_std tls_in_ocsp tls_in_ourcert tls_in_peercert tls_in_peerdn tls_in_sni tls_in_ver tls_out_cipher
tls_out_cipher_std tls_out_dane tls_out_ocsp tls_out_ourcert tls_out_peercert tls_out_peerdn tls_out_resumption
tls_out_sni tls_out_tlsa_usage tls_out_ver tls_peerdn tls_sni tls_ver transport_name verify_mode
warn_message_delay warn_message_recipients warnmsg_delay warnmsg_recipients
""")
_ZERO = _names("""
body_linecount body_zerocount bounce_return_size_limit host_port localhost_number max_received_linelength
message_age message_body_size message_linecount message_size rcpt_count received_count recipients_count
sender_host_port spam_score_int tls_bits tls_in_bits tls_out_bits tls_in_resumption tls_certificate_verified
tls_out_certificate_verified
""")
_MINUS_ONE = ("interface_port", "received_port", "sending_port", "load_average")
_FREE = re.compile(r"(?:acl_[cm](?:_|\d)\w*|r_\w+|regex\d+|regex_match_string)", re.ASCII)


def _tod(form: str) -> Callable[[], str]:
    return lambda: time.strftime(form)


def _zone() -> str:
    return time.strftime("%z")


class Variables:
    """Finds a variable's standing value by name."""

    def __init__(self, facts: Facts) -> None:
        self._known: dict[str, Value] = dict.fromkeys(_EMPTY, "")
        self._known.update(dict.fromkeys(_ZERO, "0"))
        self._known.update(dict.fromkeys(_MINUS_ONE, "-1"))
        self._known.update({
            "primary_hostname": facts.primary_hostname,
            "smtp_active_hostname": facts.primary_hostname,
            "qualify_domain": facts.qualify_domain,
            "qualify_recipient": facts.qualify_recipient or facts.qualify_domain,
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
            "tod_zone": _zone,
            "pid": lambda: str(os.getpid()),
            "exim_uid": str(os.getuid()),
            "exim_gid": str(os.getgid()),
            "caller_uid": str(os.getuid()),
            "caller_gid": str(os.getgid()),
            "queue_size": "0",
        })  # fmt: skip

    def find(self, name: str) -> Value | None:
        """Return what *name* holds when nobody has set it, or None where there is no such variable."""
        value = self._known.get(name)
        if value is None and _FREE.fullmatch(name):
            return ""
        return value
