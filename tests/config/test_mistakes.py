"""What an administrator gets wrong, and the one sentence that tells it: file, line, option, what was expected."""

from __future__ import annotations

import pytest

from smarthostd.config import ConfigurationErrors
from tests.config.conftest import LoadText

ROUTER = "begin routers\nr:\n  driver = accept\n  transport = t\n"
AS_A_RULE = '; write it as PATTERN ERROR RULES, such as "* * F,2h,15m; G,16h,1h,1.5; F,4d,6h"'
TRANSPORT = "begin transports\nt:\n  driver = smtp\n"

IN_EXIMS_SYNTAX = {
    "a misspelt option": (
        "smpt_banner = x",
        1,
        'option "smpt_banner" is unknown in the main part; did you mean "smtp_banner"?',
    ),
    "an option of nowhere": (
        "nosuch = x",
        1,
        'option "nosuch" is unknown in the main part; docs/options.md lists what there is',
    ),
    "a capital letter": (
        "Message_size_limit 5M",
        1,
        '"Message_size_limit" begins with a capital letter, so this was taken for a macro, expected NAME = '
        'text; did you mean "message_size_limit"?',
    ),
    "no equals sign": ("smtp_banner hello", 1, 'option "smtp_banner" has no value; write smtp_banner = VALUE'),
    "no value": ("smtp_banner", 1, 'option "smtp_banner" has no value; write smtp_banner = VALUE'),
    "a section in brackets": ("[routers]", 1, 'expected "option = value", found "[routers]"'),
    "a size that is none": (
        "message_size_limit = ten",
        1,
        'option "message_size_limit": "ten" is wrong, expected a size such as 50M',
    ),
    "a comment behind a value": (
        "recipients_max = 10 # enough",
        1,
        'option "recipients_max": a # after a value is part of it; put the comment on a line of its own',
    ),
    "a quoted number": (
        'recipients_max = "10"',
        1,
        'option "recipients_max": "10" is wrong, expected an integer such as 100, perhaps with K, M or G',
    ),
    "a command without its place": (
        "alarm_command = page me",
        1,
        'option "alarm_command": "page" is not an absolute path: there is no shell that would look for it',
    ),
    "a command with an open quote": (
        "alarm_command = /bin/page 'me",
        1,
        'option "alarm_command": it cannot be split into words: No closing quotation',
    ),
    "a web hook that is none": (
        "alarm_webhook = ftp://hooks.example/T0KEN",
        1,
        'option "alarm_webhook": it is no http or https URL: write https://host/path',
    ),
    "a web hook whose login others can read": (
        "alarm_webhook = http://me:secret@hooks.example/alarm",
        1,
        'option "alarm_webhook": a login in an http URL can be read on the way: write https://user:password@host/path',
    ),
    "a negative limit": ("recipients_max = -1", 1, 'option "recipients_max": expected 0 or more'),
    "a time without unit": (
        "auto_thaw = 90",
        1,
        'option "auto_thaw": "90" is wrong, expected a time such as 30s, 15m, 2h, 1d or 1w',
    ),
    "a time in capitals": (
        "auto_thaw = 5M",
        1,
        'option "auto_thaw": "5M" is wrong, expected a time such as 30s, 15m, 2h, 1d or 1w',
    ),
    "times out of order": (
        "delay_warning = 8h : 4h",
        1,
        'option "delay_warning": "8h : 4h" is wrong, expected times that grow, such as 4h:8h:24h',
    ),
    "a boolean in other words": (
        "queue_only = on",
        1,
        'option "queue_only": "on" is wrong, expected true, false, yes or no',
    ),
    "a denied boolean with a value": (
        "no_queue_only = true",
        1,
        'option "no_queue_only" says no by its name, so nothing may follow it',
    ),
    "a denied string": (
        "no_smtp_banner = x",
        1,
        'option "no_smtp_banner": only an option that is true or false can be denied; write smtp_banner = VALUE',
    ),
    "an open quote": (
        'smtp_banner = "x',
        1,
        'option "smtp_banner": a quote is not closed; put one at the end, or leave both out',
    ),
    "an option twice": (
        "smtp_banner = a\n\nsmtp_banner = b",
        3,
        'option "smtp_banner" is set for the second time; the first is in line 1',
    ),
    "an unknown log selector": (
        "log_selector = +subjekt",
        1,
        'option "log_selector": unknown log_selector setting: +subjekt',
    ),
    "a log selector without sign": (
        "log_selector = subject",
        1,
        'option "log_selector": malformed log_selector setting: + or - expected but found "subject"',
    ),
    "a log path without %s": (
        "log_file_path = /var/log/x",
        1,
        'option "log_file_path": "/var/log/x" needs %s, which stands for main, reject or panic',
    ),
    "an unknown section": (
        "begin router_list",
        1,
        '"router_list" is not the name of a section; did you mean "routers"?',
    ),
    "a misspelt section": ("begin rooters", 1, '"rooters" is not the name of a section; did you mean "routers"?'),
    "a section twice": (
        TRANSPORT + "begin transports\n",
        4,
        'the section "transports" was there before; each may come once',
    ),
    "a main option after a section": (
        TRANSPORT + "smtp_banner = x",
        4,
        'option "smtp_banner" is unknown of transport t; it is a main option, which stands in front of all sections',
    ),
    "an option before the first name": (
        "begin routers\n  driver = accept\n",
        2,
        'expected the name of a router and a colon, such as "my_router:"',
    ),
    "a name with a hyphen": (
        "begin routers\nmy-router:\n  driver = accept\n",
        2,
        'expected the name of a router and a colon, such as "my_router:"',
    ),
    "something behind the colon": (
        "begin routers\nr: # first\n  driver = accept\n",
        2,
        'nothing may follow "r:" on its line',
    ),
    "no driver": (
        "begin routers\nr:\n  transport = t\n" + TRANSPORT,
        2,
        'the router "r" has no driver; expected one of accept, dnslookup, manualroute, redirect',
    ),
    "a misspelt driver": (
        "begin routers\nr:\n  driver = manualrout\n",
        3,
        'router "r": there is no driver "manualrout"; did you mean "manualroute"?',
    ),
    "a driver of another section": (
        "begin routers\nr:\n  driver = smtp\n",
        3,
        'router "r": there is no driver "smtp"; expected one of accept, dnslookup, manualroute, redirect',
    ),
    "a private option before the driver": (
        "begin routers\nr:\n  route_list = * x\n  driver = manualroute\n",
        3,
        'option "route_list" of router r must come after its driver',
    ),
    "another driver's option": (
        "begin routers\nr:\n  driver = accept\n  route_list = * x\n  transport = t\n" + TRANSPORT,
        4,
        'option "route_list" is unknown of router r; it belongs to a router with the driver manualroute',
    ),
    "two of one name": (
        ROUTER + "r:\n  driver = accept\n" + TRANSPORT,
        5,
        'there is a router "r" already; give one of them another name',
    ),
    "no transport": ("begin routers\nr:\n  driver = accept\n", 2, 'router "r" needs a transport'),
    "a redirect with a transport": (
        "begin routers\nr:\n  driver = redirect\n  data = a\n  transport = t\n" + TRANSPORT,
        2,
        'router "r" is a redirect, which has no transport of its own: take it out',
    ),
    "a redirect to nowhere": ("begin routers\nr:\n  driver = redirect\n", 2, 'router "r" needs either file or data'),
    "a manualroute without routes": (
        "begin routers\nr:\n  driver = manualroute\n  transport = t\n" + TRANSPORT,
        2,
        'router "r" needs either route_list or route_data',
    ),
    "a misspelt route_list": (
        "begin routers\nr:\n  driver = manualroute\n  transport = t\n  route_lists = * x\n" + TRANSPORT,
        5,
        'option "route_lists" is unknown of router r; did you mean "route_list"?',
    ),
    "a wrong word for self": (
        ROUTER + "  self = deliver\n" + TRANSPORT,
        5,
        'router "r": self = "deliver" is wrong, expected decline, defer, fail, freeze, pass, send or reroute: DOMAIN',
    ),
    "a file and a directory": (
        "begin transports\nt:\n  driver = appendfile\n  file = /a\n  directory = /b\n",
        2,
        'transport "t" needs either file or directory',
    ),
    "a wrong word for create_file": (
        "begin transports\nt:\n  driver = appendfile\n  file = /a\n  create_file = yes\n",
        5,
        'option "create_file" of transport t: expected one of anywhere, belowhome, inhome',
    ),
    "an option that is there to be empty": (
        "begin transports\nt:\n  driver = appendfile\n  file = /a\n  quota = 5M\n",
        5,
        'option "quota" of transport t: accepted only if empty: quotas are not there yet',
    ),
    "a harmless option with a wrong value": (
        "check_log_space = much",
        1,
        'option "check_log_space": "much" is wrong, expected a size such as 10M',
    ),
    "a user who does not exist": (
        "trusted_users = root : nobody_of_this_name",
        1,
        'option "trusted_users": user nobody_of_this_name was not found; create it, or take it out of the list',
    ),
    "a wrong word for host_find_failed": (
        "begin routers\nr:\n  driver = manualroute\n  transport = t\n  route_list = * x\n  host_find_failed = wait\n"
        + TRANSPORT,
        6,
        'option "host_find_failed" of router r: expected one of "freeze", "defer", "fail", "decline", "pass", "ignore"',
    ),
    "a router to pass to that comes before": (
        ROUTER + "s:\n  driver = accept\n  transport = t\n  pass_router = r\n" + TRANSPORT,
        8,
        'router "s": pass_router names "r", which must come after it',
    ),
    "a router to pass to that is not there": (
        ROUTER + "  redirect_router = s\n" + TRANSPORT,
        5,
        'router "r": redirect_router names "s", which is no router; expected one of r',
    ),
    "a time-out of zero": (
        "begin transports\nt:\n  driver = smtp\n  data_timeout = 0s\n",
        2,
        'option "data_timeout" of transport t must not be zero',
    ),
    "two logins of one name": (
        "begin authenticators\na:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = x\nb:\n  "
        "driver = plaintext\n  public_name = plain\n  client_send = y\n",
        6,
        "two client authenticators (a and b) have the same public name (PLAIN): take one of them out, "
        "or make it a server only",
    ),
    "CRAM-MD5 without its name": (
        "begin authenticators\na:\n  driver = cram_md5\n  client_secret = s\n",
        2,
        'authenticator "a" needs a public_name, such as CRAM-MD5',
    ),
    "a named list twice": (
        "domainlist a = x\ndomainlist a = y",
        2,
        'there is a domainlist "a" already; give one of them another name',
    ),
    "a named list without equals sign": ("domainlist a x", 1, '"=" is missing after the list\'s name "a"'),
    "a kind of list that is none": ("domainlists a = x", 1, 'unknown line; expected "domainlist NAME = items"'),
    "a reply address without domain": (
        "errors_reply_to = postmaster",
        1,
        'option "errors_reply_to": "postmaster" is wrong, expected an address such as me@example.com',
    ),
    "two options that exclude each other": (
        "local_sender_retain",
        1,
        'option "local_sender_retain" needs "no_local_from_check" beside it',
    ),
    "a retry rule without rule": (
        "begin retry\n* * F,2h",
        2,
        f"retry rule: comma expected{AS_A_RULE}",
    ),
    "a retry rule for an unknown error": (
        "begin retry\n* greylisted F,2h,1m",
        2,
        f'retry rule: unknown or malformed retry error "greylisted"{AS_A_RULE}',
    ),
    "a difference that does not exist": (
        "exim_strict = 99",
        1,
        'option "exim_strict": expected "all" or numbers of differences from Exim, 1 to 13, such as "1 : 3"',
    ),
    "a difference that protects passwords": (
        "exim_strict = 4",
        1,
        'option "exim_strict": difference 4 is never given up for everything: hosts_allow_cleartext_auth '
        "names the hosts",
    ),
}


@pytest.mark.parametrize(("text", "line", "sentence"), IN_EXIMS_SYNTAX.values(), ids=IN_EXIMS_SYNTAX)
def test_a_mistake_in_exims_syntax(load_text: LoadText, text: str, line: int, sentence: str) -> None:
    """One line: where, and what was expected."""
    with pytest.raises(ConfigurationErrors) as caught:
        load_text(text)
    assert len(caught.value.errors) == 1
    (error,) = caught.value.errors
    assert str(error).endswith(f"smarthostd.conf:{line}: {sentence}")


IN_TOML = {
    "a misspelt option": (
        'smpt_banner = "x"',
        1,
        'option "smpt_banner" is unknown in the main part; did you mean "smtp_banner"?',
    ),
    "a misspelt table": ("[router.r]", 1, 'table "router" is unknown in the main part; did you mean "routers"?'),
    "no TOML": (
        "a = \n",
        1,
        'not TOML: Invalid value; text stands in straight quotes, as in name = "text"',
    ),
    "no such port of a smarthost": (
        '[smarthost]\nurl = "smtps://smtp.example.com:99999"',
        2,
        'option "url" of [smarthost]: there is no port 99999: it is a number from 1 to 65535',
    ),
    "a time without unit": (
        "auto_thaw = 90",
        1,
        'option "auto_thaw": 90 has no unit: write it as a time, such as "90s"',
    ),
    "text for a number": (
        'recipients_max = "many"',
        1,
        'option "recipients_max": "many" is not an integer: write digits and perhaps K, M or G',
    ),
    "a number for a boolean": ("queue_only = 7", 1, 'option "queue_only": expected true, false, yes or no'),
    "a boolean for text": ("smtp_banner = true", 1, 'option "smtp_banner": expected text in quotes'),
    "a number in a list": (
        "local_interfaces = [true]",
        1,
        'option "local_interfaces": expected text in quotes or an array of texts',
    ),
    "a wrong word": ('log_format = "xml"', 1, 'option "log_format": expected one of "exim", "json"'),
    "an unknown option of a router": (
        '[routers.r]\ndriver = "accept"\ntransport = "t"\nrout_list = "x"\n[transports.t]\ndriver = "smtp"',
        4,
        'option "rout_list" is unknown of router r; docs/options.md lists what there is',
    ),
    "an unknown driver": (
        '\n[routers.r]\ndriver = "acept"',
        2,
        'router "r": there is no driver "acept"; did you mean "accept"?',
    ),
    "no driver": (
        "[transports.t]\nport = 25",
        1,
        'the transport "t" has no driver; expected one of appendfile, lmtp, smtp',
    ),
    "an option for a table": (
        "transports = 5",
        1,
        '"transports" is a table: write [transports.NAME] with a driver',
    ),
    "a key that Exim could not have": (
        '[routers."my-router"]\ndriver = "accept"\ntransport = "t"\n[transports.t]\ndriver = "smtp"',
        1,
        'the name "my-router" is no name for a router: letters, digits and underscores, a letter first',
    ),
    "a retry rule": (
        'retry = [\n  "* * F,2h,15m",\n  "* * F,2h",\n]',
        1,
        f"retry rule: comma expected{AS_A_RULE}",
    ),
    "a url of another kind": (
        '[smarthost]\nurl = "http://x"',
        2,
        'option "url" of [smarthost]: the scheme "http" is unknown, expected one of smtp, smtp+starttls, '
        "smtp+tls, starttls, smtps, smtp+notls",
    ),
    "a misspelt key": (
        '[smarthost]\nurl = "x"\npasword = "y"',
        3,
        'option "pasword" is unknown in [smarthost]; did you mean "password"?',
    ),
    "no smarthost": (
        '[smarthost]\nuser = "x"',
        1,
        'option "url" of [smarthost]: is needed, such as smtp+starttls://smtp.example.com:587',
    ),
    "a list of routers": (
        '[[routers]]\ndriver = "accept"\n',
        1,
        '"routers" is a table: write [routers.NAME] with a driver',
    ),
    "transports without names, beside the shorthand": (
        '[[transports]]\ndriver = "smtp"\n[smarthost]\nurl = "x"',
        1,
        '"transports" is a table: write [transports.NAME] with a driver',
    ),
    "a list that is no table": (
        'domainlists = "a.example"\n[smarthost]\nurl = "x"',
        1,
        '"domainlists" is a table: write [domainlists] with NAME = ITEMS below it',
    ),
    "a number for retry rules": (
        'retry = 5\n[smarthost]\nurl = "x"',
        1,
        '"retry" is an array of rules, each a text in quotes',
    ),
    "a smarthost as text": (
        'smarthost = "x"',
        1,
        '[smarthost] is one table, with url = "smtps://smtp.example.com" and more below it',
    ),
    "a smarthost's user as others call it": (
        '[smarthost]\nurl = "x"\nusername = "y"',
        3,
        'option "username" is unknown in [smarthost]; did you mean "user"?',
    ),
    "an option as others call it": (
        'mynetworks = "10.0.0.0/8"',
        1,
        'option "mynetworks" is unknown in the main part; did you mean "relay_from_hosts"?',
    ),
    "TLS by yes and no": (
        '[smarthost]\nurl = "x"\ntls = true',
        3,
        'option "tls" of [smarthost]: expected one of "auto", "starttls", "implicit", "none"',
    ),
    "a number for a user": (
        '[smarthost]\nurl = "x"\nuser = 5',
        3,
        'option "user" of [smarthost]: expected text in quotes',
    ),
    "text without quotes": (
        "[smarthost]\nurl = x",
        2,
        'not TOML: Invalid value; text stands in straight quotes, as in name = "text"',
    ),
    "a colon for an equals sign": (
        "smarthost:\n  url: x",
        1,
        "not TOML: Expected '=' after a key in a key/value pair; write name = \"value\"",
    ),
    "a user without password": (
        '[smarthost]\nurl = "x"\nuser = "y"',
        3,
        'option "user" of [smarthost]: needs a password, a password_file or credentials beside it',
    ),
    "a password without user": (
        '[smarthost]\nurl = "x"\npassword = "y"',
        1,
        'option "user" of [smarthost]: is needed beside password',
    ),
    "two places for a password": (
        '[smarthost]\nurl = "x"\nuser = "u"\npassword = "y"\npassword_file = "/z"',
        5,
        'option "password_file" of [smarthost]: goes without password: one place for the password',
    ),
    "a relative file": (
        '[smarthost]\nurl = "x"\nuser = "u"\npassword_file = "z"',
        4,
        'option "password_file" of [smarthost]: "z" must be an absolute path',
    ),
    "a password in clear": (
        '[smarthost]\nurl = "smtp+notls://x"\nuser = "u"\npassword = "y"',
        1,
        'option "tls" of [smarthost]: a password never goes to x without TLS: say "starttls" or "implicit"',
    ),
    "a name that the shorthand needs": (
        '[smarthost]\nurl = "x"\n[transports.smarthost]\ndriver = "smtp"',
        3,
        'the name "smarthost" is needed for what [smarthost] stands for: call yours something else',
    ),
}


@pytest.mark.parametrize(("text", "line", "sentence"), IN_TOML.values(), ids=IN_TOML)
def test_a_mistake_in_toml(load_text: LoadText, text: str, line: int, sentence: str) -> None:
    """The same, with the line of the key or of its table."""
    with pytest.raises(ConfigurationErrors) as caught:
        load_text(text, "smarthostd.toml")
    assert len(caught.value.errors) == 1
    (error,) = caught.value.errors
    assert str(error).endswith(f"smarthostd.toml:{line}: {sentence}")


WHAT_EXIM_WOULD_TAKE = {
    "a port that no port can be": (
        "daemon_smtp_ports = 99999",
        1,
        'option "daemon_smtp_ports": "99999" is no port; expected a number to 65535, or a name of /etc/services',
    ),
    "an address and a port": (
        'local_interfaces = "127.0.0.1:2525"',
        1,
        'option "local_interfaces": "2525" is no address; write the port as 127.0.0.1.2525 or [127.0.0.1]:2525, or set '
        "daemon_smtp_ports",
    ),
    "a network that is none": (
        'relay_from_hosts = ["10.0.0.0/33"]',
        1,
        'option "relay_from_hosts": "10.0.0.0/33" is no address; write an address, or a network such as 10.0.0.0/8',
    ),
    "an IPv6 address with single colons": (
        'relay_from_hosts = "2001:db8::/32"',
        1,
        'option "relay_from_hosts": "db8:/32" is no address; each colon of an IPv6 address is doubled in a list '
        '(::::1), or the list begins with "<;"',
    ),
}


@pytest.mark.parametrize(("text", "line", "sentence"), WHAT_EXIM_WOULD_TAKE.values(), ids=WHAT_EXIM_WOULD_TAKE)
def test_an_address_or_a_port_that_is_none(load_text: LoadText, text: str, line: int, sentence: str) -> None:
    """Exim finds out when it listens, or never: a mistake here, a warning when lenient."""
    text += '\n[smarthost]\nurl = "smtp://x.example"\n'
    with pytest.raises(ConfigurationErrors) as caught:
        load_text(text, "smarthostd.toml", lenient=False)
    assert str(caught.value).endswith(f"smarthostd.toml:{line}: {sentence}")
    assert any(warning.endswith(sentence) for warning in load_text(text, "smarthostd.toml").warnings)


NOT_WHEN_LENIENT = {
    "no router": (
        "smtp_banner = x",
        'there is no router, so no mail goes anywhere; a [smarthost] table or a section "routers" is needed',
    ),
    "a transport that is not there": (
        "begin routers\nr:\n  driver = accept\n  transport = local_smpt\nbegin transports\nlocal_smtp:\n  "
        "driver = smtp",
        'router "r": there is no transport "local_smpt"; did you mean "local_smtp"?',
    ),
    "a list that nobody defined": (
        "domainlist local_domain = x\n" + ROUTER + "  domains = ! +local_domains\n" + TRANSPORT,
        'option "domains": there is no domainlist "local_domains"; did you mean "local_domain"?',
    ),
    "access control lists": (
        "acl_smtp_rcpt = check\n" + ROUTER + TRANSPORT,
        'the option "acl_smtp_rcpt" is Exim\'s and not implemented here; take it out, or load with --lenient '
        "to go on without it",
    ),
    "a section of access control lists": (
        ROUTER + TRANSPORT + "begin acl\ncheck:\n  deny hosts = *\n",
        'the section "acl" (access control lists) is Exim\'s and not implemented here; take it out, or load '
        "with --lenient to go on without it",
    ),
    "a driver that we do not have": (
        ROUTER + TRANSPORT + "a:\n  driver = autoreply\n  to = x\n",
        'the transport driver "autoreply" is Exim\'s and not implemented here; take it out, or load with '
        "--lenient to go on without it",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), NOT_WHEN_LENIENT.values(), ids=NOT_WHEN_LENIENT)
def test_what_a_lenient_load_only_warns_of(load_text: LoadText, text: str, sentence: str) -> None:
    """A mistake; with ``--lenient`` a warning, never silence."""
    with pytest.raises(ConfigurationErrors) as caught:
        load_text(text, lenient=False)
    assert [error.message for error in caught.value.errors] == [sentence]
    assert load_text(text).warnings


ONE_THING_WRONG = {
    "a misspelt section": ("begin rooters\nr:\n  driver = accept\n  transport = t\n" + TRANSPORT, "x.conf"),
    "a router without its driver": ("begin routers\nr:\n  transport = t\n" + TRANSPORT, "x.conf"),
    "a misspelt route_list": (
        "begin routers\nr:\n  driver = manualroute\n  transport = t\n  route_lists = * x\n" + TRANSPORT, "x.conf",
    ),
    "the same in TOML": (
        '[routers.r]\ndriver = "manualroute"\ntransport = "t"\nroute_lists = "* x"\n'
        '[transports.t]\ndriver = "smtp"\n', "x.toml",
    ),
    "a shorthand that cannot be read": ('[smarthost]\nurl = "http://x"\n', "x.toml"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "name"), ONE_THING_WRONG.values(), ids=ONE_THING_WRONG)
def test_what_follows_from_a_mistake_is_not_told(load_text: LoadText, text: str, name: str) -> None:
    """One mistake, one line: not that there is no router then, or that it has no routes."""
    with pytest.raises(ConfigurationErrors) as caught:
        load_text(text, name, lenient=False)
    assert len(caught.value.errors) == 1


def test_what_cannot_be_expanded_is_told_before_mail_waits_for_it(load_text: LoadText) -> None:
    """Exim tells it at the first message; a password is not shown with it."""
    broken = ROUTER + "  condition = ${if eq{a}{b}\n" + TRANSPORT
    login = "begin authenticators\na:\n  driver = plaintext\n  client_send = ^u^pass$hunter2\n"
    with pytest.raises(ConfigurationErrors) as caught:
        load_text(broken + login, lenient=False)
    condition, client_send = map(str, caught.value.errors)
    assert 'smarthostd.conf:5: option "condition" cannot be expanded: ' in condition
    assert condition.endswith(' in "${if eq{a}{b}"')
    assert client_send.endswith(
        'smarthostd.conf:12: option "client_send" cannot be expanded: unknown variable name "…"'
    )
    assert "hunter2" not in client_send


def test_a_broken_line_among_passwords_is_not_shown(load_text: LoadText) -> None:
    """It could be a piece of one."""
    with pytest.raises(ConfigurationErrors) as caught:
        load_text("begin authenticators\na:\n  driver = plaintext\n  client_send = \\\n\n  ^user^hunter2\n")
    assert "hunter2" not in str(caught.value)


def test_all_mistakes_are_told_at_once(load_text: LoadText) -> None:
    """Reading goes on behind each, in the main part, in instances and in the rules."""
    text = "a = 1\nmessage_size_limit = x\nbegin routers\nr:\n  driver = accept\n  foo = 1\nbegin retry\n* * X\n"
    with pytest.raises(ConfigurationErrors) as caught:
        load_text(text)
    lines = [error.position.line for error in caught.value.errors if error.position]
    assert lines == [1, 2, 6, 8]
    assert str(caught.value).count("\n") == 3


def test_a_harmless_option_is_told_and_left_out(load_text: LoadText) -> None:
    """It has no effect, and that is said; in both syntaxes."""
    for name, text in (("x.conf", "check_log_space = 5M"), ("x.toml", 'check_log_space = "5M"')):
        warnings = load_text(text, name).warnings
        assert any('option "check_log_space" has no effect in smarthostd' in warning for warning in warnings)


def test_a_file_that_is_not_there() -> None:
    """One sentence with its name."""
    from pathlib import Path

    from smarthostd.config import load

    for name in ("/nowhere/smarthostd.toml", "/nowhere/smarthostd.conf"):
        with pytest.raises(ConfigurationErrors) as caught:
            load(Path(name), {})
        assert str(caught.value) == f"{name}: cannot be read: No such file or directory"
