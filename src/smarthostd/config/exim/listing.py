"""Exim 4.96's options in its order, as ``-bP`` prints them where nothing is set.

Printed by Exim itself (Debian's 4.96, heavy); options that no relay has to do with (databases, virus scanners) are left
out. A value that depends on the machine or on the instance is empty here. A driver's lines come behind those of its
section; one of the section's that stands there again is that driver's own default. Behind ``=`` Exim prints a blank even
where nothing follows, except for those in ``BARE``.
"""
# ruff: noqa: E501 - Exim's lines as they are

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from smarthostd.options import Kind

MAIN = """\
accept_8bitmime
acl_not_smtp =
acl_not_smtp_mime =
acl_not_smtp_start =
acl_smtp_auth =
acl_smtp_connect =
acl_smtp_data =
acl_smtp_data_prdr = accept
acl_smtp_dkim =
acl_smtp_etrn =
acl_smtp_expn =
acl_smtp_helo =
acl_smtp_mail =
acl_smtp_mailauth =
acl_smtp_mime =
acl_smtp_notquit =
acl_smtp_predata =
acl_smtp_quit =
acl_smtp_rcpt =
acl_smtp_starttls =
acl_smtp_vrfy =
admin_groups =
no_allow_domain_literals
no_allow_mx_to_ip
no_allow_utf8_domains
auth_advertise_hosts = *
auto_thaw = 0s
bi_command =
bounce_message_file =
bounce_message_text =
bounce_return_body
bounce_return_linesize_limit = 998
bounce_return_message
bounce_return_size_limit = 100K
bounce_sender_authentication =
callout_domain_negative_expire = 3h
callout_domain_positive_expire = 1w
callout_negative_expire = 2h
callout_positive_expire = 1d
callout_random_local_part = $primary_hostname-$tod_epoch-testing
check_log_inodes = 100
check_log_space = 10M
check_rfc2047_length
check_spool_inodes = 100
check_spool_space = 10M
chunking_advertise_hosts = *
no_commandline_checks_require_admin
daemon_smtp_ports = smtp
daemon_startup_retries = 9
daemon_startup_sleep = 30s
no_debug_store
delay_warning = 1d
delay_warning_condition = ${if or {{ !eq{$h_list-id:$h_list-post:$h_list-subscribe:}{} }{ match{$h_precedence:}{(?i)bulk|list|junk} }{ match{$h_auto-submitted:}{(?i)auto-generated|auto-replied} }} {no}{yes}}
no_deliver_drop_privilege
deliver_queue_load_max =
delivery_date_remove
no_disable_ipv6
dkim_verify_hashes = sha256:sha512
dkim_verify_keytypes = ed25519:rsa
dkim_verify_min_keysizes = rsa=1024 ed25519=250
no_dkim_verify_minimal
dkim_verify_signers = $dkim_signers
dns_again_means_nonexist =
dns_check_names_pattern = (?i)^(?>(?(1)\\.|())[^\\W](?>[a-z0-9/_-]*[^\\W])?)+(\\.?)$
dns_cname_loops = 1
dns_csa_search_limit = 5
dns_csa_use_reverse
dns_dnssec_ok = -1
dns_ipv4_lookup =
dns_retrans = 0s
dns_retry = 0
dns_trust_aa =
dns_use_edns0 = -1
no_drop_cr
dsn_advertise_hosts =
dsn_from = Mail Delivery System <Mailer-Daemon@$qualify_domain>
envelope_to_remove
errors_copy =
errors_reply_to =
event_action =
extra_local_interfaces =
extract_addresses_remove_arguments
finduser_retries = 0
freeze_tell =
gecos_name =
gecos_pattern =
no_gnutls_allow_auto_pkcs11
no_gnutls_compat_mode
header_line_maxsize = 0
header_maxsize = 1048576
headers_charset = UTF-8
helo_accept_junk_hosts =
helo_allow_chars =
helo_lookup_domains = @ : @[]
helo_try_verify_hosts =
helo_verify_hosts =
hold_domains =
host_lookup =
host_lookup_order = bydns:byaddr
host_reject_connection =
hosts_connection_nolog =
hosts_require_alpn =
hosts_require_helo = *
hosts_treat_as_local =
ignore_bounce_errors_after = 10w
ignore_fromline_hosts =
no_ignore_fromline_local
keep_malformed = 4d
no_ldap_start_tls
local_from_check
local_from_prefix =
local_from_suffix =
local_interfaces = <; ::0 ; 0.0.0.0
no_local_sender_retain
localhost_number =
log_file_path =
log_selector =
no_log_timezone
lookup_open_max = 25
max_username_length = 0
no_message_body_newlines
message_body_visible = 500
message_id_header_domain =
message_id_header_text =
message_logs
message_size_limit = 50M
no_move_frozen_messages
no_mua_wrapper
never_users =
openssl_options =
percent_hack_domains =
no_perl_at_start
no_perl_taintmode
pipelining_advertise_hosts = *
pipelining_connect_advertise_hosts = *
no_prdr_enable
no_preserve_message_logs
primary_hostname =
no_print_topbitchars
process_log_path =
prod_requires_admin
qualify_domain =
qualify_recipient =
queue_domains =
no_queue_fast_ramp
queue_list_requires_admin
no_queue_only
queue_only_file =
queue_only_load =
queue_only_load_latch
queue_only_override
no_queue_run_in_order
queue_run_max = 5
queue_smtp_domains =
receive_timeout = 0s
received_header_text = Received: ${if def:sender_rcvhost {from $sender_rcvhost\\n\\t}{${if def:sender_ident {from ${quote_local_part:$sender_ident} }}${if def:sender_helo_name {(helo=$sender_helo_name)\\n\\t}}}}by $primary_hostname ${if def:received_protocol {with $received_protocol }}${if def:tls_in_ver        { ($tls_in_ver)}}${if def:tls_in_cipher_std { tls $tls_in_cipher_std\\n\\t}}(Exim $version_number)\\n\\t${if def:sender_address {(envelope-from <$sender_address>)\\n\\t}}id $message_exim_id${if def:received_for {\\n\\tfor $received_for}}
received_headers_max = 30
recipient_unqualified_hosts =
recipients_max = 50000
no_recipients_max_reject
remote_max_parallel = 2
remote_sort_domains =
retry_data_expire = 1w
retry_interval_max = 1d
return_path_remove
rfc1413_hosts = @[]
rfc1413_query_timeout = 0s
sender_unqualified_hosts =
slow_lookup_log = 0
smtp_accept_keepalive
smtp_accept_max = 20
smtp_accept_max_nonmail = 10
smtp_accept_max_nonmail_hosts = *
smtp_accept_max_per_connection = 1000
smtp_accept_max_per_host =
smtp_accept_queue = 0
smtp_accept_queue_per_connection = 10
smtp_accept_reserve = 0
smtp_active_hostname =
smtp_backlog_monitor = 0
smtp_banner = $smtp_active_hostname ESMTP Exim $version_number $tod_full
smtp_check_spool_space
smtp_connect_backlog = 20
smtp_enforce_sync
smtp_etrn_command =
smtp_etrn_serialize
smtp_load_reserve =
smtp_max_synprot_errors = 3
smtp_max_unknown_commands = 3
smtp_ratelimit_hosts =
smtp_ratelimit_mail =
smtp_ratelimit_rcpt =
smtp_receive_timeout = 5m
smtp_reserve_hosts =
no_smtp_return_error_details
smtputf8_advertise_hosts = *
no_split_spool_directory
spool_directory =
no_spool_wireformat
no_strict_acl_vars
no_strip_excess_angle_brackets
no_strip_trailing_dot
syslog_duplication
syslog_facility =
syslog_pid
syslog_processname = exim
syslog_timestamp
system_filter =
system_filter_directory_transport =
system_filter_file_transport =
system_filter_group =
system_filter_pipe_transport =
system_filter_reply_transport =
system_filter_user =
tcp_nodelay
timeout_frozen_after = 0s
timezone =
tls_advertise_hosts = *
tls_alpn = smtp:esmtp
tls_certificate =
tls_crl =
tls_dh_max_bits = 2236
tls_dhparam =
tls_eccurve = auto
tls_ocsp_file =
tls_on_connect_ports =
tls_privatekey =
no_tls_remember_esmtp
tls_require_ciphers =
tls_resumption_hosts =
tls_try_verify_hosts =
tls_verify_certificates = system
tls_verify_hosts =
trusted_groups =
trusted_users =
unknown_login =
unknown_username =
untrusted_set_sender =
uucp_from_pattern = ^From\\s+(\\S+)\\s+(?:[a-zA-Z]{3},?\\s+)?(?:[a-zA-Z]{3}\\s+\\d?\\d|\\d?\\d\\s+[a-zA-Z]{3}\\s+\\d\\d(?:\\d\\d)?)\\s+\\d\\d?:\\d\\d?
uucp_from_sender = $1
warn_message_file =
write_rejectlog
"""

_ROUTERS = """\
address_data =
address_test
cannot_route_message =
no_caseful_local_part
no_check_local_user
condition =
debug_print =
no_disable_logging
dnssec_request_domains = *
dnssec_require_domains =
domains =
driver =
no_dsn_lasthop
errors_to =
expn
no_fail_verify_recipient
no_fail_verify_sender
fallback_hosts =
group =
headers_add =
headers_remove =
ignore_target_hosts =
no_initgroups
local_part_prefix =
no_local_part_prefix_optional
local_part_suffix =
no_local_part_suffix_optional
local_parts =
no_log_as_local
more
no_pass_on_timeout
pass_router =
redirect_router =
require_files =
no_retry_use_local_part
router_home_directory =
self = freeze
senders =
set =
transport =
transport_current_directory =
transport_home_directory =
no_unseen
user =
no_verify_only
verify_recipient
verify_sender
"""

_ACCEPT = """\
log_as_local
"""

_DNSLOOKUP = """\
no_check_secondary_mx
check_srv =
fail_defer_domains =
ipv4_only =
ipv4_prefer =
mx_domains =
mx_fail_domains =
qualify_single
rewrite_headers
no_same_domain_copy_routing
no_search_parents
srv_fail_domains =
widen_domains =
"""

_MANUALROUTE = """\
host_all_ignored = defer
host_find_failed = freeze
no_hosts_randomize
route_data =
route_list =
no_same_domain_copy_routing
"""

_REDIRECT = """\
no_allow_defer
no_allow_fail
no_allow_filter
no_allow_freeze
no_check_ancestor
no_check_group
no_check_owner
data =
directory_transport =
file =
file_transport =
filter_prepend_home
no_forbid_blackhole
no_forbid_exim_filter
no_forbid_file
no_forbid_filter_dlfunc
no_forbid_filter_existstest
no_forbid_filter_logwrite
no_forbid_filter_lookup
no_forbid_filter_perl
no_forbid_filter_readfile
no_forbid_filter_readsocket
no_forbid_filter_reply
no_forbid_filter_run
no_forbid_include
no_forbid_pipe
no_forbid_sieve_filter
no_forbid_smtp_code
no_hide_child_in_errmsg
no_ignore_eacces
no_ignore_enotdir
include_directory =
modemask = 022
no_one_time
owners =
owngroups =
pipe_transport =
qualify_domain =
no_qualify_preserve_domain
repeat_use
reply_transport =
rewrite
sieve_enotify_mailto_owner =
sieve_subaddress =
sieve_useraddress =
sieve_vacation_directory =
no_skip_syntax_errors
syntax_errors_text =
syntax_errors_to =
"""

_TRANSPORTS = """\
no_body_only
current_directory =
debug_print =
no_delivery_date_add
no_disable_logging
driver =
no_envelope_to_add
event_action =
group =
headers_add =
no_headers_only
headers_remove =
headers_rewrite =
home_directory =
no_initgroups
max_parallel =
message_size_limit =
no_rcpt_include_affixes
no_retry_use_local_part
return_path =
no_return_path_add
shadow_condition =
shadow_transport =
transport_filter =
transport_filter_timeout = 5m
user =
"""

_SMTP = """\
address_retry_include_sender
no_allow_localhost
authenticated_sender =
no_authenticated_sender_force
command_timeout = 5m
connect_timeout = 5m
connection_max_messages = 500
dane_require_tls_ciphers =
data_timeout = 5m
delay_after_cutoff
dkim_canon =
dkim_domain =
dkim_hash = sha256
dkim_identity =
dkim_private_key =
dkim_selector =
dkim_sign_headers =
dkim_strict =
dkim_timestamps =
dns_qualify_single
no_dns_search_parents
dnssec_request_domains = *
dnssec_require_domains =
dscp =
fallback_hosts =
final_timeout = 10m
no_gethostbyname
helo_data = $primary_hostname
host_name_extract = ${if and {{match{$host}{.outlook.com\\$}} {match{$item}{\\N^250-([\\w.]+)\\s\\N}}} {$1}}
hosts =
hosts_avoid_esmtp =
hosts_avoid_pipelining =
hosts_avoid_tls =
hosts_max_try = 5
hosts_max_try_hardlimit = 50
hosts_nopass_tls =
hosts_noproxy_tls =
no_hosts_override
hosts_pipe_connect =
no_hosts_randomize
hosts_request_ocsp = *
hosts_require_alpn =
hosts_require_auth =
hosts_require_dane =
hosts_require_ocsp =
hosts_require_tls =
hosts_try_auth =
hosts_try_chunking = *
hosts_try_dane = *
hosts_try_fastopen = *
hosts_try_prdr = *
hosts_verify_avoid_tls =
interface =
keepalive
no_lmtp_ignore_quota
max_rcpt = 100
message_linelength_limit = 998
multi_domain
port = smtp
protocol = smtp
retry_include_ip_address
serialize_hosts =
size_addition = 1024
socks_proxy =
tls_alpn =
tls_certificate =
tls_crl =
tls_dh_min_bits = 1024
tls_privatekey =
tls_require_ciphers =
tls_resumption_hosts =
tls_sni =
tls_tempfail_tryclear
tls_try_verify_hosts = *
tls_verify_cert_hostnames = *
tls_verify_certificates = system
tls_verify_hosts =
utf8_downconvert = -1
"""

_APPENDFILE = """\
retry_use_local_part
*expand_maildir_use_size_file =
no_allow_fifo
no_allow_symlink
batch_id =
batch_max = 1
no_check_group
check_owner
check_string = From\x20
create_directory
create_file = anywhere
directory =
directory_file = q${base62:$tod_epoch}-$inode
directory_mode = 0700
escape_string = >From\x20
file =
file_format =
no_file_must_exist
lock_fcntl_timeout = 0s
lock_flock_timeout = 0s
lock_interval = 3s
lock_retries = 10
lockfile_mode = 0600
lockfile_timeout = 30m
mailbox_filecount =
mailbox_size =
no_maildir_format
maildir_quota_directory_regex = ^(?:cur|new|\\..*)$
maildir_retries = 10
maildir_tag =
no_maildir_use_size_file
maildirfolder_create_regex =
no_mailstore_format
mailstore_prefix =
mailstore_suffix =
no_mbx_format
message_prefix = From ${if def:return_path{$return_path}{MAILER-DAEMON}} ${tod_bsdinbox}\\n
message_suffix = \\n
mode = 0600
mode_fail_narrower
no_notify_comsat
quota =
quota_directory =
quota_filecount =
quota_is_inclusive
quota_size_regex =
quota_warn_message =
quota_warn_threshold =
no_use_bsmtp
no_use_crlf
use_fcntl_lock
no_use_flock_lock
use_lockfile
no_use_mbx_lock
"""

_LMTP = """\
batch_id =
batch_max = 1
command =
no_ignore_quota
retry_use_local_part
socket =
timeout = 5m
"""

_AUTHENTICATORS = """\
client_condition =
client_set_id =
driver =
public_name =
server_advertise_condition =
server_condition =
server_debug_print =
server_mail_auth_condition =
server_set_id =
"""

_PLAINTEXT = """\
no_client_ignore_invalid_base64
client_send =
server_prompts =
"""

_CRAM_MD5 = """\
client_name =
client_secret =
server_secret =
"""

_EXTERNAL = """\
client_send =
server_param2 =
server_param3 =
"""

BARE = frozenset(
    {
        "admin_groups",
        "deliver_queue_load_max",
        "never_users",
        "owners",
        "owngroups",
        "queue_only_load",
        "smtp_load_reserve",
        "trusted_groups",
        "trusted_users",
    }
)
"""Options that print no blank where they are empty: lists of users, and loads."""

SECTIONS = {
    "routers": (
        _ROUTERS,
        {"accept": _ACCEPT, "dnslookup": _DNSLOOKUP, "manualroute": _MANUALROUTE, "redirect": _REDIRECT},
    ),
    "transports": (_TRANSPORTS, {"appendfile": _APPENDFILE, "lmtp": _LMTP, "smtp": _SMTP}),
    "authenticators": (_AUTHENTICATORS, {"cram_md5": _CRAM_MD5, "external": _EXTERNAL, "plaintext": _PLAINTEXT}),
}
"""By section: what all drivers have, and each driver's own."""

_UNLISTED = """\
add_environment av_scanner exim_group exim_path exim_user exim_version hosts_proxy keep_environment
ldap_ca_cert_dir ldap_ca_cert_file ldap_cert_file ldap_cert_key ldap_cipher_suite ldap_default_servers
ldap_require_cert ldap_version local_scan_path local_scan_timeout mysql_servers notifier_socket perl_startup
pgsql_servers pid_file_path proxy_protocol_timeout redis_servers spamd_address spf_guess
spf_smtp_comment_template sqlite_dbfile sqlite_lock_timeout
"""
"""Main options that ``MAIN`` leaves out."""
_ELSEWHERE = {"routers": frozenset({"translate_ip_address"})}
"""Options of an Exim that is built otherwise than Debian's."""

_KINDS = (
    (re.compile(r"\d+[wdhms](?:\d+[wdhms])*"), "time"),
    (re.compile(r"-?\d+"), "integer"),
    (re.compile(r"\d+[KM]"), "kilobytes"),
)
"""What a default looks like, and the kind of option that has such a one."""
_OWNERS = {"exim_user": "user", "system_filter_user": "user", "exim_group": "group", "system_filter_group": "group"}
_LOADS = frozenset({"deliver_queue_load_max", "queue_only_load", "smtp_load_reserve"})
_EXPANDED_NUMBERS = frozenset({"queue_run_max", "smtp_accept_max_per_connection"})


@cache
def kinds(section: str = "") -> Mapping[str, Kind]:
    """Return the kind of each option of Exim's, of the main part or of a section, as its default tells it."""
    if not section:
        return dict(map(_kind, MAIN.splitlines())) | {name: Kind(kind) for name, kind in _OWNERS.items()}
    generic, drivers = SECTIONS[section]
    return dict(map(_kind, "".join((generic, *drivers.values())).splitlines()))


def knows(section: str, driver: str, name: str) -> bool:
    """Return whether Exim has an option *name* in its main part (no *section*), or for a *driver* of a section.

    Without a driver those count that all drivers have.
    """
    if not section:
        return name in kinds() or name in _UNLISTED.split()
    generic, drivers = SECTIONS[section]
    return name in _ELSEWHERE.get(section, ()) or name in _names(generic + drivers.get(driver, ""))


@cache
def _names(lines: str) -> frozenset[str]:
    return frozenset(name for name, _ in map(_kind, lines.splitlines()))


def _kind(line: str) -> tuple[str, Kind]:
    name, equals, value = line.partition(" =")
    if not equals:
        return name.removeprefix("no_"), Kind("bool")
    if name in _LOADS:
        return name, Kind("load")
    if name in BARE:
        return name, Kind("groups" if name.endswith("groups") else "users")
    if name in _EXPANDED_NUMBERS:
        return name, Kind("string")
    return name, Kind(next((kind for form, kind in _KINDS if form.fullmatch(value.strip())), "string"))
