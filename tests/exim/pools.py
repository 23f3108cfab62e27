# ruff: noqa: E501 - configurations and commands stand here as they are
"""What random deliveries are made of: options, scripts of servers, messages, commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MAIN = """primary_hostname = client.example.net
qualify_domain = example.net
spool_directory = @DIR@/spool
log_file_path = @DIR@/log/%slog
domainlist local_domains = local.example
remote_max_parallel = 1
queue_run_in_order
acl_smtp_rcpt = check
tls_advertise_hosts =
"""
ACL = "begin acl\ncheck:\n  accept\n"
ALIASES = """fred: fred@one.example
both: a@one.example, b@two.example
gone: :fail: This user has gone
later: :defer: try again
hole: :blackhole:
nested: both, fred
mixed: boxuser, c@three.example
list: :include:@DIR@/list
file: @DIR@/spool/filebox
self: self, d@other.example
loop: loop2
loop2: loop
bad: a@b@c, e@any.example
named: "Full Name" <f@any.example>
tobox: boxuser
nowhere: nobody@local.example
code: :fail: 551 5.7.9 moved away
dup: rcpt@any.example, fred, both
"""
LIST = "one@one.example, two@two.example\n# a comment\nThird Person <three@any.example> (comment)\n\nboxuser\n"
ROUTES = (
    "* smarthost.isp.example", "* smarthost.isp.example", "* smarthost.isp.example", "* 127.0.0.10",
    "* dead.isp.example:smarthost.isp.example", "* mail1.isp.example:smarthost.isp.example",
    "* smarthost.isp.example:mail1.isp.example", "any.example mail1.isp.example ; * smarthost.isp.example",
    "any.example smarthost.isp.example ; two.example mail1.isp.example ; other.example dead.isp.example",
    "* alias.isp.example", "* nosuch.isp.example:smarthost.isp.example", "* mxdom.example/MX", "* mxdom.example",
    "* smarthost.isp.example byname", "* smarthost.isp.example::587", "* host.again.example:smarthost.isp.example",
    "any.example nosuch.isp.example ; * smarthost.isp.example",
    "any.example dead.isp.example ; * smarthost.isp.example",
    "* \"<; mail1.isp.example ; mail2.isp.example ; smarthost.isp.example\"",
    "any.example 127.0.0.1 ; * smarthost.isp.example", "any.example dead.isp.example ; * smarthost.isp.example",
)  # fmt: skip
MAINS = (
    "qualify_recipient = other.example", "queue_only", "queue_domains = other.example : two.example",
    "hold_domains = any.example", "queue_smtp_domains = *", "errors_copy = *@example.net watcher@one.example",
    "errors_copy = *@two.example \"x@one.example, y@two.example\" : * z@any.example",
    "dsn_from = Bouncer <b@$qualify_domain>", "bounce_message_file = @DIR@/bounce.txt", "bounce_message_text = Some more words.\\nAnd a line.\\n",
    "no_bounce_return_message", "bounce_return_size_limit = 500",
    "bounce_return_linesize_limit = 40", "warn_message_file = @DIR@/warn.txt", "no_return_path_remove",
    "no_envelope_to_remove", "no_delivery_date_remove", "message_size_limit = 20K", "received_headers_max = 2", "header_line_maxsize = 60", "untrusted_set_sender = *@elsewhere.example : ^nob", "untrusted_set_sender = *",
    "trusted_users = nobody", "no_local_from_check", "no_local_from_check\nlocal_sender_retain",
    "local_from_prefix = *-", "local_from_suffix = +*", "allow_domain_literals", "allow_utf8_domains", "freeze_tell = admin@ok.example", "auto_thaw = 1s",
    "timeout_frozen_after = 1s", "ignore_bounce_errors_after = 0s", "ignore_bounce_errors_after = 1s",
    "delay_warning = 1s", "delay_warning = 1s:2s", "delay_warning =",
    "delay_warning = 1s\ndelay_warning_condition = ${if match{$h_precedence:}{bulk}{no}{yes}}",
    "smtp_active_hostname = active.example",
    "smtp_banner = hello from $smtp_active_hostname\\nsecond", "helo_allow_chars = _", "helo_accept_junk_hosts = *",
    "hosts_require_helo =", "no_accept_8bitmime", "pipelining_advertise_hosts =", "chunking_advertise_hosts =",
    "smtputf8_advertise_hosts =", "dsn_advertise_hosts = *", "sender_unqualified_hosts = *",
    "recipient_unqualified_hosts = *", "retry_interval_max = 5m", "smtp_accept_max_per_connection = 1",
    "smtp_max_synprot_errors = 1", "smtp_max_unknown_commands = 1", "smtp_accept_max_nonmail = 2",
    "helo_verify_hosts =", "no_write_rejectlog", "queue_only_file = @DIR@/aliases",
    "no_queue_only_override\nqueue_only", "print_topbitchars",
)  # fmt: skip
SELECTORS = (
    "+all_parents", "+address_rewrite", "+received_recipients", "+received_sender", "+sender_on_delivery",
    "+return_path_on_delivery", "+deliver_time", "+delivery_size", "+queue_time", "+queue_time_overall",
    "+receive_time", "+subject", "+smtp_confirmation", "-smtp_confirmation", "+outgoing_port", "-queue_run",
    "+smtp_connection", "+smtp_protocol_error", "+smtp_syntax_error", "+smtp_incomplete_transaction", "-retry_defer",
    "-size_reject", "-skip_delivery", "-delay_delivery", "-lost_incoming_connection", "+8bitmime",
    "+outgoing_interface", "+incoming_interface", "-rejected_header", "+unknown_in_list", "+smtp_mailauth", "-host_lookup_failed", "-etrn", "+msg_id", "-msg_id", "-dnslist_defer", "+tls_sni",
    "-tls_cipher", "+tls_certificate_verified", "-tls_certificate_verified", "+tls_peerdn",
)  # fmt: skip
REWRITES = (
    "*@any.example $1@rewritten.example Th", "*@any.example $1@rewritten.example T",
    "sender@example.net other@example.net Ffr", "*@example.net $1@isp.example h",
    '*@example.net "${if eq{$1}{sender}{me@isp.example}fail}" Fh', "fred@local.example fred2@two.example E",
    "*@two.example $1@three.example EhQ", "root@* admin@one.example Ehq", "*@two.example $0 b",
    "*@one.example ${lookup{$1}lsearch{@DIR@/aliases}{$value}fail} Ehtcb", "\\N^sender@(.*)$\\N s@$1 EhR",
    "sender@example.net \"New Name <new@example.net>\" Ffw",
)  # fmt: skip
SMARTHOST = (
    "headers_add = X-Router: $local_part at $domain",
    "headers_add = X-A: one\\nX-B: two", "headers_remove = subject:x-remove",
    "headers_remove = received : message-id", "headers_remove = x-*", "address_data = <$sender_address>",
    "host_find_failed = defer", "host_find_failed = fail", "host_find_failed = ignore", "host_find_failed = decline",
    "host_find_failed = pass", "host_find_failed = freeze", "hosts_randomize = no", "self = defer", "self = fail",
    "self = send", "self = pass", "fallback_hosts = smarthost.isp.example",
    "fallback_hosts = mail1.isp.example : smarthost.isp.example", "no_more", "unseen",
    "cannot_route_message = Sorry, no way for $local_part", "local_parts = ! bad", "senders = ! <> : *",
    "condition = ${if def:h_subject:}", "ignore_target_hosts = 127.0.0.11", "ignore_target_hosts = 127.0.0.0/8",
    "host_all_ignored = fail", "no_address_test",
    "transport = ${if eq{$domain}{two.example}{nosuch}{smarthost_smtp}}", "dsn_lasthop", "log_as_local",
    "retry_use_local_part", "caseful_local_part", )  # fmt: skip
ALIASING = (
    "headers_add = X-Alias: $local_part", "headers_remove = subject", "hide_child_in_errmsg",
    "skip_syntax_errors\n  syntax_errors_to = admin@ok.example",
    "skip_syntax_errors\n  syntax_errors_to = admin@ok.example\n  syntax_errors_text = There are mistakes in $local_part.",
    "skip_syntax_errors", "one_time", "check_ancestor", "no_rewrite", "qualify_preserve_domain",
    "qualify_domain = other.example", "no_repeat_use", "forbid_include", "forbid_blackhole", "forbid_file",
    "forbid_smtp_code", "no_allow_fail", "no_allow_defer", "include_directory = @DIR@", "unseen",
    "local_part_suffix = -*\n  local_part_suffix_optional", "local_part_prefix = x-",
    "file_transport = local_delivery", "file_transport = to_file", "redirect_router = smarthost", "more = no",
    "pass_router = smarthost",
)  # fmt: skip
SMTP = (
    "return_path = ${if eq{$sender_address}{}{}{bounces+$local_part@example.net}}",
    "return_path = ${if eq{$sender_address}{}{}{r@two.example}}",
    "headers_add = ${if eq{$domain}{any.example}{X-Any: yes}fail}", "headers_remove = subject : x-remove",
    "headers_remove = ${if def::h_subject::{message-id}}",
    "headers_rewrite = sender@example.net rewritten@isp.example f",
    "headers_rewrite = *@example.net $1@isp.example : *@any.example hidden@isp.example t",
    "helo_data = [$sending_ip_address].$host", "helo_data = $sender_address_domain", "helo_data = ${nosuch:x}",
    "helo_data =", "max_rcpt = 1", "max_rcpt = 2", "no_multi_domain", "hosts_max_try = 1", "hosts_max_try = 2",
    "hosts_avoid_esmtp = *", "hosts_avoid_pipelining = *", "hosts_try_chunking =", "size_addition = -1",
    "size_addition = 4", "message_size_limit = 300", "message_linelength_limit = 2000",
    "message_linelength_limit = 40", "no_delay_after_cutoff", "no_retry_include_ip_address",
    "no_address_retry_include_sender", "retry_use_local_part", "hosts = smarthost.isp.example\n  hosts_override",
    "hosts = mail1.isp.example : smarthost.isp.example\n  hosts_override", "hosts = mail2.isp.example",
    "fallback_hosts = smarthost.isp.example", "fallback_hosts = mail1.isp.example", "allow_localhost",
    "authenticated_sender = auth@example.net",
    "authenticated_sender = auth@example.net\n  authenticated_sender_force",
    "command_timeout = 1s", "protocol = lmtp\n  port = 25", "port = 587", "interface = 127.0.0.1", "interface = 127.0.0.1 : 192.0.2.1", "body_only", "headers_only", "envelope_to_add",
    "delivery_date_add", "return_path_add", "serialize_hosts = *", "lmtp_ignore_quota", "hosts_require_auth = *", "hosts_try_auth = *", "hosts_try_auth = ${if eq{$domain}{any.example}{*}}",
    "hosts_try_auth = smarthost.isp.example", "hosts_try_auth = ! mail1.isp.example : *", "hosts_avoid_tls = *",
    "no_tls_tempfail_tryclear", "utf8_downconvert = 0", "utf8_downconvert = 1", "hosts_noproxy_tls = *",
    "tls_verify_hosts = *\n  tls_verify_certificates = @TLS@/ca.crt", "tls_try_verify_hosts =",
    "tls_sni = $host", "tls_require_ciphers = NORMAL",
)  # fmt: skip
LOCAL = (
    "message_prefix =", "message_suffix =",
    "message_prefix = \"From ${if def:return_path{$return_path}{MAILER-DAEMON}} X\\n\"", "check_string =",
    "escape_string = >>", "batch_max = 3", "headers_add = X-Local: $local_part_data$local_part $home",
    "headers_remove = subject", "headers_rewrite = *@example.net $1@isp.example", "return_path = local@two.example",
    "body_only", "headers_only", "no_return_path_add", "no_envelope_to_add", "no_delivery_date_add",
    "file_must_exist", "file = @DIR@/spool/nosuch/mbox\n  create_file = belowhome", "message_size_limit = 300",
    "message_size_limit = 1", "retry_use_local_part", "mode = 0640", "no_create_directory", "lock_retries = 1",
)  # fmt: skip
EXTRA_ROUTERS = (
    "copy:\n  driver = accept\n  domains = any.example\n  transport = local_delivery\n  unseen\n",
    "copied:\n  driver = redirect\n  domains = any.example\n  data = archive@one.example\n  unseen\n",
    "deny:\n  driver = redirect\n  domains = other.example\n  allow_fail\n  data = :fail: not to $domain\n",
    "wait:\n  driver = redirect\n  domains = other.example\n  allow_defer\n  data = :defer: not yet to $domain\n",
    "eat:\n  driver = redirect\n  local_parts = rcpt\n  data = :blackhole:\n",
    "bysender:\n  driver = manualroute\n  senders = *@two.example\n  domains = ! +local_domains\n" "  transport = smarthost_smtp\n  route_list = * mail1.isp.example\n",
    "other:\n  driver = manualroute\n  domains = two.example\n  transport = second_smtp\n" "  route_list = * mail1.isp.example\n",
    "mxs:\n  driver = dnslookup\n  domains = mxdom.example : mxone.example : again.example : mxdead.example : ehlo.example\n" "  transport = smarthost_smtp\n",
    "subst:\n  driver = redirect\n  domains = any.example\n  data = ${local_part}@other.example\n",
    "subst:\n  driver = redirect\n  domains = any.example\n  data = ${quote_local_part:$local_part}@two.example\n" "  errors_to = subst@one.example\n  headers_add = X-Subst: $domain\n",
    "missing:\n  driver = redirect\n  domains = any.example\n  data = ${lookup{x}lsearch{@DIR@/nosuch}}\n",
    "readerr:\n  driver = redirect\n  domains = any.example\n  file = @DIR@/nosuch\n",
    "filed:\n  driver = redirect\n  domains = other.example\n  file = @DIR@/list\n",
    "sub:\n  driver = accept\n  local_part_suffix = +*\n  transport = local_delivery\n",
    "ends:\n  driver = accept\n  domains = two.example\n  condition = no\n  no_more\n  transport = local_delivery\n",
    "maildir:\n  driver = accept\n  local_parts = rcpt\n  transport = to_maildir\n",
    "lmtp:\n  driver = manualroute\n  domains = two.example : one.example\n  transport = to_lmtp\n" "  route_list = * mail2.isp.example\n",
)  # fmt: skip
TRANSPORTS = """second_smtp:
  driver = smtp
  connection_max_messages = 1
  headers_add = X-Second: $host
to_file:
  driver = appendfile
  user = Debian-exim
  return_path_add
to_maildir:
  driver = appendfile
  directory = @DIR@/spool/maildir
  maildir_format
  user = Debian-exim
to_lmtp:
  driver = smtp
  protocol = lmtp
  port = 2424
"""
RETRIES = (
    ("* * F,2h,15m; G,16h,1h,1.5; F,4d,6h",), ("* * F,2h,15m; G,16h,1h,1.5; F,4d,6h",),
    ("* * F,2h,15m; G,16h,1h,1.5; F,4d,6h",), ("* * G,1h,10m,2",),
    ("* refused F,1h,5m", "* rcpt_4xx F,1h,7m", "* * F,2h,15m"), ("any.example * F,1h,5m", "* timeout F,1h,10m"),
    ("* rcpt_452 F,1h,5m", "* mail_4xx F,1h,6m", "* data_4xx F,1h,7m", "* lost_connection F,1h,8m", "* * F,1h,9m"),
    ("* auth_failed F,1h,5m", "* tls_required F,1h,6m", "* refused_A F,1h,7m", "* * F,1h,8m"),
    ("rcpt@any.example rcpt_4xx F,1h,3m", "*@any.example * F,1h,4m", "smarthost.isp.example * F,1h,5m", "* * F,1h,9m"),
    ("* quota F,1h,5m", "* * F,2h,20m"),
)  # fmt: skip
CODES: dict[str, tuple[Any, ...]] = {
    "banner": (
        "554 5.3.2 go away", "421 4.3.2 busy", "450 no", None, ["220-first", "220 second"], "hello", "220", "250 odd",
        ["421-4.3.2 two", "421 4.3.2 lines"], "550 no", ["554-one", "554-two", "554 three"],
    ),
    "ehlo_reply": (
        "500 unknown", "502 5.5.1 no", "550 not you", "421 busy", "450 later", "554 no", "250",
        ["250-smtp.isp.example", "250-SIZE 200", "250-PIPELINING", "250 DSN"],
        ["250-smtp.isp.example", "250 SIZE abc"], "nonsense",
    ),
    "helo": (
        "550 go away", "421 later", "250 fine", "500 what",
    ),
    "mail": (
        "451 4.3.0 try later", "550 5.1.8 bad sender", "421 4.7.0 closing", "452 4.3.1 no space", "552 5.3.4 too big",
        "250 2.1.0 ok", ["250 ok", "450 greylisted"], "501 5.5.4 syntax", None, "530 5.7.0 auth", "555 params",
        "354 what", "250-x\r\n250 y", "junk",
    ),
    "rcpt": (
        "450 4.2.0 try later", "550 5.1.1 no such user", "452 4.5.3 too many", "421 4.3.0 closing", "251 forwarded",
        "252 maybe", ["250 ok", "550 no", "450 later"], ["450 later", "250 ok"], ["550 no", "250 ok"],
        {"rcpt@any.example": "550 5.1.1 no such user"}, {"bad@any.example": "550 5.1.1 no such user"},
        {"rcpt@any.example": "450 4.2.0 try later", "b@two.example": "550 gone"},
        {"fred@one.example": "451 4.7.1 greylisted", "a@one.example": "553 5.1.3 bad"}, "554 5.7.1 relaying denied",
        ["250 ok", "452 4.5.3 too many", "250 ok"], ["250 ok", None], "530 5.7.0 auth first", "503 sequence",
        {"rcpt@any.example": ["450 4.2.0 try later", "250 ok"]}, "521 host accepts no mail", "200 odd",
    ),
    "data": (
        "451 4.3.0 try later", "554 5.5.1 no valid recipients", "421 4.3.0 closing", "250 odd", "354", None,
        "550 5.7.1 no", ["354 go", "451 later"], "503 bad",
    ),
    "eod": (
        "452 4.3.1 disk full", "554 5.7.1 content rejected", "421 4.3.0 closing", "250 2.0.0 queued as ABC123", "250",
        ["554 5.7.1 content rejected", "250 OK"], ["451 4.3.0 later", "250 OK"], None,
        "550 5.7.1 spam \"quoted\" back\\slash", "450 4.7.1 wait", "552 5.2.2 over quota", "251 hm", "354 more",
        "250 OK with a tab\there", "500 5 5",
        "250 2.6.0 <very-long-identifier-0123456789@host.example> [InternalId=1234] Queued mail for delivery",
    ),
    "rset": (
        "421 bye", "500 what", "250 flushed", None,
    ),
    "quit": (
        "221 2.0.0 bye", "500 no", None,
    ),
    "close_after": (
        "EHLO", "MAIL", "RCPT", "DATA", ".", "QUIT", "RSET", "AUTH", "STARTTLS", "LHLO",
    ),
    "hang_after": (
        "MAIL", "RCPT", "DATA",
    ),
}  # fmt: skip
EHLO = (
    ["SIZE"], ["SIZE 1000000"], ["SIZE 300"], ["PIPELINING"], ["8BITMIME"], ["DSN"],
    ["PIPELINING", "SIZE", "8BITMIME"], ["DSN", "PIPELINING"], ["SIZE 0"], ["SMTPUTF8"], ["8BITMIME", "SMTPUTF8"],
    ["ENHANCEDSTATUSCODES", "PIPELINING"], ["AUTH PLAIN LOGIN CRAM-MD5"], ["AUTH PLAIN"], ["AUTH LOGIN"],
    ["AUTH CRAM-MD5 PLAIN"], ["AUTH=PLAIN LOGIN"], ["AUTH NTLM"], ["AUTH EXTERNAL"],
    ["AUTH PLAIN", "PIPELINING", "SIZE"], ["AUTH"], ["STARTTLS"], ["STARTTLS", "AUTH PLAIN LOGIN"],
    ["X-UNKNOWN", "HELP"],
)  # fmt: skip
AUTH = (
    ["235 2.7.0 ok"], ["535 5.7.8 bad credentials"], ["454 4.7.0 temporary"], ["504 5.5.4 unknown mechanism"],
    ["334 ", "235 ok"], ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 ok"], ["334 VXNlcm5hbWU6", "535 no such user"],
    ["334 PDEyMy40NTZAaG9zdD4=", "235 ok"], ["334 PDEyMy40NTZAaG9zdD4=", "535 5.7.8 no"],
    ["334 not base64!", "501 cancelled"], [None], ["421 closing"], ["534 5.7.9 weak"], ["432 4.7.12 transition"],
    ["250 odd"], ["535 no", "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 ok"], ["535 no", "235 ok"], ["535 no"],
    ["538 5.7.11 encrypt"], ["530 5.7.0 tls first"], ["334 VXNlcm5hbWU6", "454 4.7.0 later"], ["501 5.5.2 syntax"],
    ["435 unable"], ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "334 TW9yZT8=", "235 ok"],
)  # fmt: skip
TLS: tuple[dict[str, Any], ...] = (
    {}, {"cert": "selfsigned"}, {"cert": "wrongname"}, {"starttls": "454 4.7.0 not now"}, {"starttls": "554 no"},
    {"starttls": "501 what"}, {"ehlo_tls": []}, {"ehlo_tls": ["AUTH PLAIN"]},
    {"ehlo_tls": ["PIPELINING", "SIZE 300"]}, {"starttls": "421 bye"}, {"close_after": "STARTTLS"},
)  # fmt: skip
AUTHENTICATORS = (
    "plain:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ^user^pass\n",
    "plain:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = authz^user^pa^^ss\n  client_set_id = me\n",
    "login:\n  driver = plaintext\n  public_name = LOGIN\n  client_send = : user : pass\n",
    "login:\n  driver = plaintext\n  public_name = LOGIN\n  client_send = <; ; $auth1 ; pass\n  client_ignore_invalid_base64\n",
    "cram:\n  driver = cram_md5\n  public_name = CRAM-MD5\n  client_name = user\n  client_secret = pass\n",
    "cram:\n  driver = cram_md5\n  public_name = CRAM-MD5\n  client_name = ${if eq{$host}{smarthost.isp.example}{u}fail}\n  client_secret = p\n",
    "ext:\n  driver = external\n  public_name = EXTERNAL\n  client_send = user\n",
    "plain:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ^u^${lookup{x}lsearch{@DIR@/nosuch}}\n",
    "plain:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ${if eq{1}{1}fail}\n",
    "plain:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ^u^p\n  client_condition = ${if eq{$host_address}{127.0.0.10}}\n",
    "plain:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ^u^p\n  client_set_id = ${nosuch:x}\n",
    "login:\n  driver = plaintext\n  public_name = LOGIN\n  client_send = \"<; ; ${if eq{1}{1}fail} ; x\"\n",
)  # fmt: skip
RECIPIENTS = (
    "rcpt@any.example", "rcpt@any.example", "rcpt@any.example", "bad@any.example", "two@two.example",
    "x@other.example", "fred@local.example", "both@local.example", "gone@local.example", "later@local.example",
    "hole@local.example", "nested@local.example", "mixed@local.example", "list@local.example", "self@local.example", "loop@local.example", "bad@local.example", "named@local.example", "tobox@local.example",
    "nowhere@local.example", "code@local.example", "dup@local.example", "boxuser@local.example",
    "nobody@local.example", "RCPT@Any.Example", "u@mxdom.example", "u@mxone.example", "u@again.example",
    "u@mxdead.example", "u@ehlo.example", "plain", "Postmaster", "Fred@LOCAL.example", "x-fred@local.example",
    "fred-tag@local.example", "boxuser+tag@local.example", '"quoted part"@any.example', "u@[127.0.0.10]",
    "o'brien@any.example", "a.very.long.local.part.indeed@any.example", "u@two.example.", "%hack%x@any.example",
    "a@b@c", "bad bad", "u@", "@any.example", "<angle@any.example>", "Some Name <named@any.example>",
    "u@under_score.example", "first@any.example, second@two.example",
)  # fmt: skip
SENDERS = (
    "sender@example.net", "sender@example.net", "sender@example.net", "sender@example.net", "<>",
    "boxuser@local.example", "other@two.example", "plain", "gone@local.example", "S@Example.NET",
    "<sender@example.net>", "sender", '"q s"@example.net', "bad sender", "s@again.example",
)  # fmt: skip
HEAD = (
    "From: Sender Name <sender@example.net>", "To: rcpt@any.example", "Subject: golden test",
    "Message-Id: <test@example.net>", "Date: Mon, 01 Jan 2024 00:00:00 +0000",
)  # fmt: skip
HEADERS = (
    "Cc: cc@any.example, Some Body <sb@two.example>", "Bcc: hidden@any.example", "Sender: faked@x.example",
    "Return-path: <old@x.example>", "Delivery-date: Mon, 01 Jan 2024 00:00:00 +0000",
    "Envelope-to: someone@x.example", "X-Remove: this", "X-Long: " + "word " * 30, "X-Folded: one\n two\n\tthree",
    "Received: from a by b; Mon, 01 Jan 2024 00:00:00 +0000",
    "Received: from a by b; Mon, 01 Jan 2024 00:00:00 +0000\nReceived: from c by d; Mon, 01 Jan 2024 00:00:00 +0000",
    "Precedence: bulk", "Auto-Submitted: auto-replied", "List-Id: <list.example>", "Resent-From: re@two.example",
    "Resent-To: resent@any.example\nResent-From: re@example.net",
    "Resent-To: resent@two.example\nResent-Bcc: rb@any.example", "Reply-To: reply@example.net",
    "Content-Type: text/plain; charset=utf-8", "X-Eight: caf\u00e9", "Bad header line", "From: second@two.example",
    "X-Empty:", "X-Space : before the colon", "To: undisclosed: ;", "To: bare, another",
    "Cc: broken <a@b, c@d.example", "Disposition-Notification-To: sender@example.net", "X-A: 1\nX-A: 2",
    "Errors-To: e@example.net", "Bcc:", "Reply-To: sender, x@any.example (comment)",
    "To: group: a@any.example, b@two.example;", "In-Reply-To: <abc@two.example>", "References: <a@b> <c@d>",
    "MIME-Version: 1.0",
)  # fmt: skip
BODIES = (
    "hello\nworld\n", "hello\nworld\n", "hello\nworld\n", "", "no newline at the end",
    "From here\n>From there\nFrom\n", "h\u00e9llo\nworld\n", ".\n..\n.x\n...\n", "y" * 997 + "\n", "y" * 998 + "\n", "line\n" * 100, "\n\n\nmany\n\n\n",
    "tab\t\x0c\x07bell\n", "x" * 70 + "\n" + "end", "long " * 60 + "\nshort\n", "\r\n.\r\nafter\r\n",
    " leading\n\ttabs\n",
)  # fmt: skip
MODES = (
    ("-odi",), ("-odi",), ("-odi",), ("-odi",), ("-odi",), ("-odq",), ("-odqs",), ("-odf",), ("-odb",), (),
)  # fmt: skip
MORE_WORDS = (
    ("-oi",), ("-oi",), ("-oi",), (), ("-i",), ("-oMr", "scanned-ok"), ("-oMa", "10.1.2.3"),
    ("-oMs", "there.example"), ("-oMa", "10.1.2.3.4567", "-oMs", "there.example", "-oMr", "esmtp"),
    ("-oMi", "192.0.2.1.25"), ("-oMt", "ident"), ("-oMaa", "login"), ("-oMai", "authid@example.net"),
    ("-oMm", "1abcde-000001-AB"), ("-F", "Full Name"), ("-F", "O. 'Quote' \"x\""), ("-oem",), ("-oep",), ("-oee",),
    ("-oeq",), ("-oew",), ("-em",), ("-bnq",), ("-B8BITMIME",), ("-om",), ("-oo",), ("-bm",),
    ("-p", "smtp:there.example"), ("-G",), ("-U",), ("-h", "3"), ("-x",), ("-O", "opt=1"), ("-oA", "x"), ("-n",), ("-oMas", "as@example.net"), ("-odd",),
)  # fmt: skip
TAILS: tuple[tuple[Sequence[str], ...], ...] = (
    (), (), (), (("-q",),), (("-qff",),), (("-qff",), ("-q",)), (("-qf",),), (("-M", "@ID1@"),),
    (("-R", "any.example"),), (("-S", "sender"),), (("-Rf", "any"),),
    (("-Mf", "@ID1@"), ("-q",), ("-Mt", "@ID1@"), ("-q",)), (("-Mg", "@ID1@"),), (("-Mrm", "@ID1@"),),
    (("-Mes", "@ID1@", "new@two.example"), ("-qff",)), (("-Mar", "@ID1@", "added@two.example"), ("-qff",)),
    (("-Mmd", "@ID1@", "rcpt@any.example"), ("-qff",)), (("-Mmad", "@ID1@"), ("-q",)), (("-bpa",), ("-bpu",)),
    (("-bpc",),), (("-q", "@ID1@"),), (("-qff", "@ID1@", "@ID1@"),),
    (("-Sff", "sender"),), (("-Rr", "^rcpt"),), (("-Mt", "@ID1@"),), (("-qff",), ("-qff",)),
    (("-Mvb", "@ID1@"),), (("-bp", "@ID1@"),), )  # fmt: skip
COMMANDS = (
    "NOOP", "RSET", "HELP", "VRFY x", "EXPN x", "FOO", "AUTH PLAIN AGJvYgBzZWNyZXQ=", "STARTTLS",
    "HELO again", "EHLO again", "NOOP with words", "noop", "DATA", "BDAT 5", "MAIL FROM:<>",
    "RCPT TO:<rcpt@any.example>", "", " NOOP", "TURN", "HELO", "EHLO [127.0.0.1]", "EHLO under_score",
    "HELO bad!name", "EHLO  two  words", "X" * 600, "LHLO x", "HELP MAIL", "VRFY",
)  # fmt: skip
MAILS = (
    "MAIL FROM:<a@b.example>", "MAIL FROM:<a@b.example>", "MAIL FROM:<a@b.example>", "MAIL FROM:<>",
    "mail from: <a@b.example>", "MAIL FROM:<a@b.example> SIZE=100", "MAIL FROM:<a@b.example> SIZE=99999999",
    "MAIL FROM:<a@b.example> BODY=8BITMIME", "MAIL FROM:<a@b.example> BODY=7BIT",
    "MAIL FROM:<a@b.example> BODY=BINARYMIME", "MAIL FROM:<a>", "MAIL FROM:<a@b.example> RET=HDRS ENVID=abc+2Bd",
    "MAIL FROM:<a@b.example> RET=FULL", "MAIL FROM:<a@b.example> RET=NONE", "MAIL FROM:<a@b.example> ENVID=",
    "MAIL FROM:<a b@c>", "MAIL FROM:a@b.example", "MAIL FROM: a@b.example", "MAIL FROM:Some Name <a@b.example>",
    "MAIL FROM:<@r1,@r2:a@b.example>", "MAIL FROM:<a@b.example", "MAIL FROM", "MAIL", "MAIL a@b.example",
    "MAIL FROM:<a@b.example> FOO=1", "MAIL FROM:<a@b.example> SIZE=abc", "MAIL FROM:<boxuser@local.example>",
    "MAIL FROM:<a@[127.0.0.1]>", "MAIL FROM:<a@b.example> SMTPUTF8", "MAIL FROM:<a@b.example.>",
    "MAIL FROM:<<a@b.example>>", "MAIL FROM:<a@b.example> RET=HDRS RET=FULL", 'MAIL FROM:<"q s"@b.example>',
    "MAIL FROM:<a@b_c.example>", "MAIL FROM:<sender@example.net>",
)  # fmt: skip
RCPTS = (
    "RCPT TO:<rcpt@any.example>", "RCPT TO:<rcpt@any.example>", "RCPT TO:<rcpt@any.example>",
    "RCPT TO:<bad@any.example>", "RCPT TO:<two@two.example>", "RCPT TO:<both@local.example>",
    "RCPT TO:<boxuser@local.example>", "RCPT TO:<nobody@local.example>", "RCPT TO:<rcpt@any.example> NOTIFY=NEVER",
    "RCPT TO:<rcpt@any.example> NOTIFY=SUCCESS", "RCPT TO:<rcpt@any.example> NOTIFY=SUCCESS,FAILURE,DELAY",
    "RCPT TO:<bad@any.example> NOTIFY=FAILURE ORCPT=rfc822;orig+40x@any.example",
    "RCPT TO:<boxuser@local.example> NOTIFY=SUCCESS",
    "RCPT TO:<both@local.example> NOTIFY=SUCCESS ORCPT=rfc822;both@local.example",
    "RCPT TO:<rcpt@any.example> NOTIFY=SUCCESS,NEVER", "RCPT TO:<rcpt@any.example> NOTIFY=WHEN",
    "RCPT TO:<rcpt@any.example> ORCPT=x", "RCPT TO:<>", "RCPT TO:<plain>", "RCPT TO:<u@>", "RCPT TO:u@any.example",
    "RCPT TO:<@a,@b:u@any.example>", "RCPT TO:<postmaster>", "RCPT u@any.example", "RCPT TO:<u@any.example",
    "rcpt to: <lower@any.example>", 'RCPT TO:<"q p"@any.example>', "RCPT TO:<u@any.example.>",
    "RCPT TO:<<u@any.example>>", "RCPT", "RCPT TO:", "RCPT TO:<u@[127.0.0.10]>",
    "RCPT TO:<nobody@local.example> NOTIFY=NEVER", "RCPT TO:<later@local.example> NOTIFY=DELAY",
    "RCPT TO:<nobody@local.example> NOTIFY=SUCCESS", "RCPT TO:<hole@local.example> NOTIFY=SUCCESS",
)  # fmt: skip
MESSAGE = "\n".join(HEAD) + "\n\nhello\nworld\n"
BOUNCE_TEXT = """Subject: It failed for $bounce_recipient
X-Own: yes
****
Hello, we could not deliver it.
****
These failed:
****
Here is your message:
------ $message_exim_id ------
****
too long text $bounce_return_size_limit
****
"""
WARN_TEXT = """Subject: Slow ($warn_message_delay)

It is late: $warn_message_recipients
****
That is all, after $warn_message_delay.
"""
USUAL = ("-odi", "-oi", "-f", "sender@example.net")
UNVERIFIED = {"tls_verify_hosts": "tls_verify_hosts =", "tls_try_verify_hosts": "tls_try_verify_hosts ="}
"""No certificate is looked at: where we log in one must be good (difference 5)."""
