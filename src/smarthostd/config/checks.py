"""What no single option can tell: whether the parts of a configuration go together.

The checks look at the plain values, so that they tell their part even where the model objects to
something else. What stops Exim too carries Exim's report. What Exim would only stumble over later (a
transport that is not there, a list that nobody defined) is a mistake here, or a warning when lenient.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as File
from typing import Any

from smarthostd.config import foreign
from smarthostd.config.catalog import NAMED_LISTS, SECRETS, SECTIONS, catalog
from smarthostd.config.errors import (
    EXIMS_NO_ENVELOPE,
    NO_ENVELOPE,
    Mistake,
    did_you_mean,
    in_instance,
    in_line,
    nowhere,
    one_of,
    retry_rule_complaint,
)
from smarthostd.config.settings import own_name
from smarthostd.config.source import Path, Source
from smarthostd.errors import ExpansionError, ResolveDefer
from smarthostd.expand import Expander
from smarthostd.facts import Facts
from smarthostd.lists import Matcher, split
from smarthostd.lookups import Files, Lookups
from smarthostd.reading import join_list, read_port
from smarthostd.retry import RetryRuleError, parse_rule
from smarthostd.syntax import named_files, parse_time

NEED_A_TRANSPORT = frozenset({"accept", "dnslookup"})
EXPANDED_ONCE = ("spool_directory", "log_file_path", "pid_file_path")
"""Options that are expanded when they have been read."""
SELF = ("decline", "defer", "fail", "freeze", "pass", "send")
"""What may be done with mail for a remote domain that would come back here."""
CREATE_FILE = ("anywhere", "belowhome", "inhome")
LIST_OF_KIND = {"domain": "domainlists", "host": "hostlists", "address": "addresslists", "local_part": "localpartlists"}
NOT_LISTS = frozenset(
    {"ignore_unknown", "include_unknown", "ignore_defer", "include_defer", "caseful", "caseless", "allow_unknown"}
)
"""Words behind a plus that are no named list."""
WIDEST_NETWORK = {4: 8, 6: 16}
"""Prefix lengths: a public network wider than this in relay_from_hosts counts as everybody."""

SPLIT_FIRST = "client_send"
"""The list that is split before its items are expanded."""
_NAMED = re.compile(r"!?\s*(?:[^@\s]*@)?\+(\w+)", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9_](?:[\w.-]*\w)?", re.ASCII)
_NO_LOCAL_DOMAINS = (
    '; write "domainlist local_domains = @ : localhost", or nothing behind the = if no mail is to stay here'
)
"""What people forget who paste the pieces of a how-to."""
_EXPANDED = re.compile(r"[\\$]")
_CAPITALS = re.compile(r"(?:[^\s@^$;+/!]*@)?\*?[\w.-]*[A-Z][\w.-]*", re.ASCII)
"""A rewriting pattern that compares a domain, and in it capitals."""
_RATE = re.compile(r"[^,]*[^\d,]*\d[\d.]*,\d[\w.]*[smhdw],\d[\d.]*,\d\w*[smhdw]", re.ASCII)
_NOT_LISTENED = re.compile(r"\d+|\d+\.\d+\.\d+\.\d+:\d+", re.ASCII)
"""What people write for an address and a port: alone it is an address, and behind a colon a second one."""
_LIKE_A_NETWORK = re.compile(r"[\d.]+(?:/.*)?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:/.*)?", re.ASCII)
_CLIENT_OPTIONS = {"plaintext": "client_send", "external": "client_send", "cram_md5": "client_secret"}
_SERVER_OPTIONS = {"cram_md5": "server_secret"}


class Checks:
    """All checks of one source; mistakes go where the reader's went, warnings too."""

    def __init__(self, source: Source, *, lenient: bool) -> None:
        self._source = source
        self._values = source.values
        self._lenient = lenient

    def run(self) -> None:
        """Look at everything."""
        for check in (
            self._main_options,
            self._routers,
            self._transports,
            self._authenticators,
            self._named_lists,
            self._expansions,
            self._retry_rules,
            self._rewrite_rules,
            self._open_relay,
            self._where_we_listen,
            self._who_may_relay,
        ):
            check()
        for path, text in self._advice():
            self._source.warn(path, text)

    # -- what the checks use

    def _instances(self, section: str) -> Mapping[str, Mapping[str, Any]]:
        instances = self._values.get(section, {})
        if not isinstance(instances, Mapping):
            return {}
        return {name: options for name, options in instances.items() if isinstance(options, Mapping)}

    def _given(self, path: Path) -> Mapping[str, Any]:
        """Return what was set where *path* points, with Exim's options that we do not have."""
        unused = {one[-1]: value for one, value in self._source.unused.items() if one[:-1] == path}
        return {**unused, **(self._instances(path[0])[path[1]] if path else self._values)}

    def _mistake(
        self,
        path: Path,
        message: str,
        exim: str = "",
        *,
        always: bool = False,
        log: str = "PANIC DIE",
        at: Path | None = None,
    ) -> None:
        """Keep a mistake; one that Exim would not see is only a warning when lenient, unless *always*.

        Exim meets it when it has read all of *at*: a section, the main part, or one instance.
        """
        if path in self._source.faulty:
            return None
        if not exim and self._lenient and not always:
            return self._source.warn(path, message)
        if at is not None:
            rank = self._source.rank(at)
        elif path[0] in SECTIONS:  # a section that is there twice ends before what is in the second one
            rank = max(self._source.rank(path[:1]), self._source.ranks.get(path[:2], 0))
        else:
            rank = self._source.rank(())
        position = self._source.position(path)
        self._source.mistakes.append(Mistake(message, position, exim=exim, rank=rank, log=log))
        return None

    # -- main options

    def _main_options(self) -> None:
        for name in EXPANDED_ONCE:
            self._expand_once(name)
        values = self._given(())
        if values.get("local_sender_retain") is True and values.get("local_from_check", True) is True:
            exim = "both local_from_check and local_sender_retain are set; this combination is not allowed"
            message = 'option "local_sender_retain" needs "no_local_from_check" beside it'
            self._mistake(("local_sender_retain",), message, exim, log="MAIN PANIC DIE")
        if values.get("spool_directory") == "":
            text = "spool_directory undefined: cannot proceed"
            message = 'option "spool_directory" is empty: give it a directory, or leave it out'
            self._mistake(("spool_directory",), message, text, log="MAIN PANIC DIE")
        self._log_file_path(values.get("log_file_path", ""))
        self._syslog_facility(values.get("syslog_facility"))
        self._what_exim_looks_at(values)
        if "errors_reply_to" in values:
            self._errors_reply_to(values["errors_reply_to"])
        if not self._source.file.endswith(".toml"):
            self._places_for_clients(values)
        self._localhost_number(values.get("localhost_number"))
        if int(values.get("tls_dh_max_bits", 1024)) < 1024:
            text = "tls_dh_max_bits is too small, must be at least 1024 for interop"
            self._mistake(("tls_dh_max_bits",), f'option "tls_dh_max_bits": {text}', nowhere(text))

    def _what_exim_looks_at(self, values: Mapping[str, Any]) -> None:
        """Look at options without effect whose mistakes Exim does not take."""
        for name in ("smtp_ratelimit_mail", "smtp_ratelimit_rcpt"):
            if name in values and not _RATE.fullmatch(values[name]):
                text = f"malformed ratelimit data: {values[name]}"
                self._mistake((name,), f'option "{name}": {text}', text, log="MAIN PANIC DIE")
        user = str(values.get("system_filter_user", ""))
        if user.isdigit() and "system_filter_group" not in values:
            try:
                pwd.getpwuid(int(user))
            except KeyError:
                text = f"Failed to look up uid {user}"
                self._mistake(
                    ("system_filter_user",), f'option "system_filter_user": {text}', text, log="MAIN PANIC DIE"
                )

    def _places_for_clients(self, values: Mapping[str, Any]) -> None:
        queue = values.get("smtp_accept_queue", 0)
        if values.get("smtp_accept_max") == 0 and ("smtp_accept_max_per_host" in values or queue > 0):
            text = "smtp_accept_max must be set if smtp_accept_queue or smtp_accept_max_per_host is set"
            self._mistake(("smtp_accept_max",), text, nowhere(text))

    def _localhost_number(self, written: object) -> None:
        path = ("localhost_number",)
        if not isinstance(written, str):
            return None
        try:
            text = _language().expand(written)
        except ExpansionError as error:
            exim = f'failed to expand localhost_number "{written}": {error}'
            return self._mistake(path, f'option "localhost_number": {error}', exim, log="MAIN PANIC DIE")
        number = re.fullmatch(r"\s*([+-]?(?:0[xX][0-9a-fA-F]+|\d+))?\s*", text, re.ASCII)
        if number is None:
            exim = f"localhost_number value is not a number: {text}"
            self._mistake(path, f'option "localhost_number": "{text}" is no number', nowhere(exim))
        elif int(number[1] or "0", 16 if "x" in text.lower() else 8 if re.match(r"\s*[+-]?0", text) else 10) > 16:
            exim = "localhost_number is greater than the maximum allowed value (16)"
            self._mistake(path, f'option "localhost_number": {text} is more than 16', nowhere(exim))
        return None

    def _expand_once(self, name: str) -> None:
        """Put what an option is expanded to in its place."""
        written = self._values.get(name)
        if not isinstance(written, str) or "$" not in written:
            return
        hostname = self._values.get("primary_hostname")
        try:
            self._values[name] = _language(hostname if isinstance(hostname, str) else own_name()).expand(written)
        except ExpansionError as error:
            exim = f'failed to expand {name} "{written}": {error}'
            self._mistake((name,), f'option "{name}" cannot be expanded: {error}', exim, log="MAIN PANIC DIE")

    def _errors_reply_to(self, text: object) -> None:
        from smarthostd.expand.addresses import Mailboxes, NotAnAddress

        if not isinstance(text, str):
            return
        try:
            if Mailboxes().read(text).domain:
                return
            exim = nowhere(f"errors_reply_to ({text}) does not contain a domain")
        except NotAnAddress as error:
            exim = nowhere(f"error in errors_reply_to ({text}): {error}")
        self._mistake(
            ("errors_reply_to",),
            f'option "errors_reply_to": "{text}" is wrong, expected an address such as me@example.com',
            exim,
        )

    def _log_file_path(self, text: object) -> None:
        for item in split(text) if isinstance(text, str) else []:
            if item and item not in ("stderr", "syslog") and "%s" not in item:
                exim = nowhere(f'log_file_path "{item}" does not contain "%s"')
                message = f'option "log_file_path": "{item}" needs %s, which stands for main, reject or panic'
                self._mistake(("log_file_path",), message, exim)

    def _syslog_facility(self, text: object) -> None:
        if not text or not isinstance(text, str):
            return
        from smarthostd.logwriter.syslog import FACILITIES  # asyncio comes with it, and most have no need of either

        if text.lower().removeprefix("log_") not in FACILITIES:
            message = f'option "syslog_facility": "{text}" is none, expected one of {", ".join(FACILITIES)}'
            self._mistake(("syslog_facility",), message, nowhere(f'failed to interpret syslog_facility "{text}"'))

    # -- routers

    def _routers(self) -> None:
        routers = self._instances("routers")
        broken = any(path[0] == "routers" for path in self._source.faulty)
        if not routers and not broken:
            message = (
                'there is no router, so no mail goes anywhere; a [smarthost] table or a section "routers" is needed'
            )
            self._mistake(("routers",), message)
        for name, options in routers.items():
            path = ("routers", name)
            self._own_options_of_router(path, options)
            self._other_routers(path, list(routers), options)
            transport = options.get("transport")
            known = [
                *self._instances("transports"),
                *(each[1] for each in self._source.faulty if each[0] == "transports" and len(each) > 1),
            ]
            if isinstance(transport, str) and transport and "$" not in transport and transport not in known:
                message = f'router "{name}": there is no transport "{transport}"{one_of(transport, known)}'
                self._mistake((*path, "transport"), message)

    def _own_options_of_router(self, path: Path, options: Mapping[str, Any]) -> None:
        driver, name = options.get("driver"), path[1]
        if driver == "redirect":
            self._redirect(path, options)
        if driver == "manualroute":
            self._manualroute(path, options)
        if driver in NEED_A_TRANSPORT and not options.get("transport") and options.get("verify_only") is not True:
            exim = nowhere(f"{name} router:\n  a transport is required for this router")
            self._mistake(path, f'router "{name}" needs a transport', exim * ("transport" not in options))
        if driver == "redirect" and "transport" in options:
            exim = nowhere(f"{name} router:\n  a transport must not be defined for this router")
            self._mistake(path, f'router "{name}" is a redirect, which has no transport of its own: take it out', exim)
        own = options.get("self", "freeze")
        if isinstance(own, str) and own not in SELF and not own.startswith("reroute:"):
            exim = in_instance(name, "router", f"{own} is not valid for the self option")
            message = f'router "{name}": self = "{own}" is wrong, expected {", ".join(SELF)} or reroute: DOMAIN'
            self._mistake((*path, "self"), message, exim)

    def _manualroute(self, path: Path, options: Mapping[str, Any]) -> None:
        given = [option for option in ("route_list", "route_data") if option in options]
        if len(given) != 1:
            exim = in_instance(path[1], "router", "route_list or route_data (but not both) must be specified")
            self._mistake(path, f'router "{path[1]}" needs either route_list or route_data', exim, at=path)
        for option in given:
            self._ports(path, option, options[option])

    def _redirect(self, path: Path, options: Mapping[str, Any]) -> None:
        name = path[1]
        given = [option for option in ("file", "data") if option in options]
        if len(given) != 1:
            words = 'one of "file" or "data" must be specified'
            exim = in_instance(name, "router", f"only {words}" if given else words)
            self._mistake(path, f'router "{name}" needs either file or data', exim, at=path)
        for message, words in _together_in_redirect(self._given(path)):
            self._mistake(path, f'router "{name}" {message}', in_instance(name, "router", words), at=path)

    def _ports(self, path: Path, option: str, text: object) -> None:
        """Warn of ``host:587``, which is a second host called 587."""
        found = re.search(r"(?<![:\w.])([A-Za-z][\w.-]*):(\d+)\b", text) if isinstance(text, str) else None
        if found and "<" not in str(text)[: found.start()]:
            host, port = found.groups()
            advice = f"{host}:{port} is two hosts, {host} and {port}; a port is written {host}::{port}"
            self._source.warn((*path, option), f'option "{option}" of router {path[1]}: {advice}')

    def _other_routers(self, path: Path, names: list[str], options: Mapping[str, Any]) -> None:
        for option in ("redirect_router", "pass_router"):
            other, name = options.get(option), path[1]
            if not isinstance(other, str):
                continue
            if other not in names:
                exim = nowhere(f'new_router "{other}" not found for "{name}" router')
                message = f'router "{name}": {option} names "{other}", which is no router{one_of(other, names)}'
                self._mistake((*path, option), message, exim)
            elif option == "pass_router" and names.index(other) <= names.index(name):
                exim = nowhere(f'new_router "{other}" does not follow "{name}" router')
                message = f'router "{name}": pass_router names "{other}", which must come after it'
                self._mistake((*path, option), message, exim)

    # -- transports

    def _transports(self) -> None:
        for name, options in self._instances("transports").items():
            path = ("transports", name)
            given = self._given(path)
            if options.get("driver") == "appendfile":
                self._appendfile(path, given)
            if options.get("driver") == "lmtp" and ("socket" in given) == ("command" in given):
                exim = nowhere(f"one (and only one) of command or socket must be set for the {name} transport")
                self._mistake(path, f'transport "{name}" needs a socket', exim, at=path)
            if options.get("driver") != "smtp" and str(given.get("user", "")).isdigit() and "group" not in given:
                exim = nowhere(f"user set without group for the {name} transport")
                self._mistake(path, f'transport "{name}" needs a group beside a user that is a number', exim, at=path)
            if "shadow_transport" in given and options.get("driver") == "smtp":
                exim = nowhere(f"shadow transport not allowed on non-local transport {name}")
                self._mistake(path, f'transport "{name}" is for other hosts and has no shadow_transport', exim)
            if given.get("body_only") is True and given.get("headers_only") is True:
                exim = nowhere(f"{name} transport: body_only and headers_only are mutually exclusive")
                self._mistake(path, f'transport "{name}": body_only and headers_only leave nothing to send', exim)
            for option in ("command_timeout", "data_timeout", "final_timeout"):
                time = parse_time(str(options.get(option, "1s")))
                if options.get("driver") == "smtp" and time is not None and not time:
                    exim = nowhere(f"command, data, or final timeout value is zero for {name} transport")
                    self._mistake(path, f'option "{option}" of transport {name} must not be zero', exim, at=path)
                    break

    def _appendfile(self, path: Path, options: Mapping[str, Any]) -> None:
        name = path[1]
        for message, words in _together_in_appendfile(options):
            self._mistake(path, f'transport "{name}" {message}', in_instance(name, "transport", words), at=path)
        create = options.get("create_file", CREATE_FILE[0])
        if isinstance(create, str) and create and create not in CREATE_FILE:
            exim = nowhere(f"invalid value given for \"create_file\" for the {name} transport: '{create}'")
            exim *= not create.startswith("/")  # a directory, below which Exim would make files
            message = f'option "create_file" of transport {name}: expected one of {", ".join(CREATE_FILE)}'
            self._mistake((*path, "create_file"), message, exim, at=path)

    # -- authenticators

    def _authenticators(self) -> None:
        authenticators = self._instances("authenticators")
        for name, options in authenticators.items():
            if options.get("driver") == "cram_md5" and not options.get("public_name"):
                exim = nowhere(f"no public name specified for the {name} authenticator") * (
                    "public_name" not in options
                )
                message = f'authenticator "{name}" needs a public_name, such as CRAM-MD5'
                self._mistake(("authenticators", name), message, exim)
        seen: list[tuple[str, str, Mapping[str, Any]]] = []
        for name, options in authenticators.items():
            public_name = str(options.get("public_name", name))
            for other, other_public_name, other_options in seen:
                sides = _sides(options) & _sides(other_options)
                if sides and public_name.lower() == other_public_name.lower():
                    side = min(_sides(other_options))
                    pair = f"two {side} authenticators ({other} and {name})"
                    text = f"{pair} have the same public name ({other_public_name})"
                    message = f"{text}: take one of them out, or make it a server only"
                    self._mistake(("authenticators", name), message, nowhere(text))
            seen.append((name, public_name, options))

    # -- lists and rules

    def _named_lists(self) -> None:
        for path, kind, text in self._lists():
            for name in _named_in(text):
                known = self._values.get(LIST_OF_KIND[kind], {})
                if name not in known and not (kind == "address" and name in self._values.get("domainlists", {})):
                    what = LIST_OF_KIND[kind].removesuffix("s")
                    near = did_you_mean(name, known)
                    if name == "local_domains":
                        near = near or _NO_LOCAL_DOMAINS
                    message = f'option "{path[-1]}": there is no {what} "{name}"{near}'
                    self._mistake(path, message)

    def _lists(self) -> Iterator[tuple[Path, str, str]]:
        """Yield every list that is no mere list of strings: where, what of, its text."""
        for kind, table in LIST_OF_KIND.items():
            named = self._values.get(table, {})
            for name, text in named.items() if isinstance(named, Mapping) else ():
                yield (table, name), kind, _list_text(text)
        for path, options, values in self._tables():
            for name, value in values.items():
                kind = options[name].kind.lists if name in options else ""
                if kind in LIST_OF_KIND:
                    yield (*path, name), kind, _list_text(value)

    def _tables(self) -> Iterator[tuple[Path, Mapping[str, Any], Mapping[str, Any]]]:
        yield (), catalog().main, self._values
        for section in SECTIONS:
            for name, values in self._instances(section).items():
                yield (section, name), catalog().options_at((section,), str(values.get("driver", ""))), values

    def _expansions(self) -> None:
        """Look whether what is to be expanded can be: Exim would tell at the first message."""
        language = _language()
        for path, text in self._expanded_texts():
            for item in split(text) if path[-1] == SPLIT_FIRST else [text]:
                try:
                    language.compile(item)
                except ExpansionError as error:
                    secret = path[-1] in SECRETS or path in self._source.hidden
                    reason = re.sub(r'".*"', '"…"', str(error)) if secret else f'{error} in "{item}"'
                    self._mistake(path, f'option "{path[-1]}" cannot be expanded: {reason}')
                    break

    def _expanded_texts(self) -> Iterator[tuple[Path, str]]:
        for path, _, text in self._lists():
            yield path, text
        for path, options, values in self._tables():
            for name, value in values.items():
                kind = options[name].kind if name in options else None
                if kind and kind.expanded and kind.lists not in LIST_OF_KIND:
                    texts = (
                        value if isinstance(value, list | tuple) and kind.name == "repeated" else [_list_text(value)]
                    )
                    yield from (((*path, name), str(text)) for text in texts)

    def _retry_rules(self) -> None:
        rules = self._values.get("retry", ())
        for number, rule in enumerate((rules,) if isinstance(rules, str) else rules):
            try:
                parse_rule(str(rule))
            except RetryRuleError as error:
                self._mistake(("retry", str(number)), retry_rule_complaint(error), always=True)

    def _rewrite_rules(self) -> None:
        lines = list(self._rewrite_lines())
        if not lines:
            return  # and does without their modules: 4 ms of a start
        from smarthostd.rewrite import NotThere, RewriteRuleError, Where
        from smarthostd.rewrite import parse_rule as parse_rewrite_rule

        language = _language()
        for path, line in lines:
            of_transport = path[0] == "transports"
            where = f'option "{path[-1]}"' if of_transport else "rewriting rule"
            try:
                rule = parse_rewrite_rule(line, Where.HEADERS if of_transport else Where.EVERYWHERE)
                for text in (rule.pattern, rule.replacement):
                    language.compile(text)
                if of_transport and rule.where & ~Where.HEADERS:
                    self._mistake(
                        path, f"{where}: {NO_ENVELOPE}", in_line(self._source.position(path), EXIMS_NO_ENVELOPE)
                    )
            except NotThere as error:
                self._mistake(path, f"{where}: {foreign.unimplemented(str(error))}")
            except RewriteRuleError as error:
                exim = in_line(self._source.position(path), str(error))
                self._mistake(path, f"{where}: {error}; {error.fix}", exim, always=True)
            except ExpansionError as error:
                self._mistake(path, f'{where}: "{text}" cannot be expanded: {error}')
            else:
                if match := _CAPITALS.fullmatch(rule.pattern):
                    text = f'a domain with capitals fits no address here, as in Exim: write "{match[0].lower()}"'
                    self._source.warn(path, f"{where}: {text}")

    def _rewrite_lines(self) -> Iterator[tuple[Path, str]]:
        """Yield all rewriting rules: where each stands, and its text."""
        rules = self._values.get("rewrite", ())
        for number, rule in enumerate((rules,) if isinstance(rules, str) else rules):
            yield ("rewrite", str(number)), str(rule)
        for name, options in self._instances("transports").items():
            if ("transports", name) in self._source.faulty:
                continue
            for rule in split(_list_text(options.get("headers_rewrite", ""))):
                yield ("transports", name, "headers_rewrite"), rule

    # -- safety

    def _open_relay(self) -> None:
        text = _list_text(self._values.get("relay_from_hosts", ""))
        if not self._reaches_everybody(text) or not self._listens_to_everybody():
            return
        if self._values.get("allow_open_relay") in (True, "true", "yes"):
            self._source.warn(("allow_open_relay",), "this is an open relay: anybody may send mail through it")
            return
        message = (
            'option "relay_from_hosts": this lets everybody send mail through us; name your own networks, or say '
            "allow_open_relay = true beside it if that is what you want"
        )
        self._source.mistakes.append(Mistake(message, self._source.position(("relay_from_hosts",))))

    def _reaches_everybody(self, text: str, depth: int = 0) -> bool:
        items = split(text)
        for item in items:
            named = re.fullmatch(r"\+(\w+)", item)
            if named and depth < len(NAMED_LISTS):
                inner = self._values.get("hostlists", {}).get(named[1], "")
                if self._reaches_everybody(_list_text(inner), depth + 1):
                    return True
            elif item == "*" or _wide(item):
                return True
        return bool(items) and items[-1].startswith("!")  # a list that ends with a "no" says yes to the rest

    def _listens_to_everybody(self) -> bool:
        for item in split(_list_text(self._values.get("local_interfaces", ""))):
            host = re.sub(r"^\[(.*)\](?::\d+)?$", r"\1", item)
            match = re.fullmatch(r"(\d+\.\d+\.\d+\.\d+)\.\d+", host)
            try:
                address = ipaddress.ip_address(match[1] if match else "::" if host == "::0" else host)
            except ValueError:
                continue  # a unix socket, or a mistake that the listener will tell
            if not address.is_loopback:
                return True
        return False

    # -- addresses and ports

    def _where_we_listen(self) -> None:
        for name in ("daemon_smtp_ports", "tls_on_connect_ports"):
            for item in filter(None, _items(self._values.get(name, ""))):
                try:
                    read_port(item)
                except ValueError as error:
                    self._mistake((name,), f'option "{name}": {error}')
        for item in _items(self._values.get("local_interfaces", "")):
            if _NOT_LISTENED.fullmatch(item):
                fix = "write the port as 127.0.0.1.2525 or [127.0.0.1]:2525, or set daemon_smtp_ports"
                self._mistake(("local_interfaces",), f'option "local_interfaces": "{item}" is no address; {fix}')

    def _who_may_relay(self) -> None:
        for item in _items(self._values.get("relay_from_hosts", "")):
            text = item.lstrip("! ")
            if _LIKE_A_NETWORK.fullmatch(text) and not _is_network(text):
                fix = "write an address, or a network such as 10.0.0.0/8"
                if ":" in text:
                    fix = 'each colon of an IPv6 address is doubled in a list (::::1), or the list begins with "<;"'
                self._mistake(("relay_from_hosts",), f'option "relay_from_hosts": "{text}" is no address; {fix}')

    # -- what is worth a sentence

    def _advice(self) -> Iterator[tuple[Path, str]]:
        name = self._values.get("primary_hostname")
        if isinstance(name, str) and "." not in name:
            text = f'"{name}" is no full host name; some smarthosts refuse a greeting from it'
            yield ("primary_hostname",), f'option "primary_hostname": {text}'
        yield from self._alarm_command()
        yield from self._credential_names()
        yield from self._credential_files()
        yield from self._tls_files()

    def _alarm_command(self) -> Iterator[tuple[Path, str]]:
        """Look whether the program is there: else this is met when mail is held, and nobody hears of it."""
        words = str(self._values.get("alarm_command", "")).split()
        if words and "/" in words[0] and not os.access(words[0].strip("\"'"), os.X_OK):
            yield ("alarm_command",), f'option "alarm_command": {words[0]} is no program that can be run'

    def _credential_names(self) -> Iterator[tuple[Path, str]]:
        """Explain a bare word in ``hosts_try_auth`` that is no host of a route (difference 1)."""
        strict = str(self._values.get("exim_strict", ""))
        for name, options in self._instances("transports").items():
            for option in ("hosts_try_auth", "hosts_require_auth"):
                for word in _bare_words(_list_text(options.get(option, ""))):
                    if word in self._hosts_of(name, options):
                        continue
                    path = ("transports", name, option)
                    if re.search(r"\b1\b|all", strict):
                        text = f'"{word}" is no host of a route; Exim looks it up as a host\'s name and never logs in'
                    else:
                        text = (
                            f"{word} is no host of a route, so it is taken as the name of a credential (difference 1): "
                            "every host of this transport is logged in to, and where its own name finds nothing, "
                            f"{word} is looked up"
                        )
                    yield path, f'option "{option}" of transport {name}: {text}'

    def _hosts_of(self, transport: str, options: Mapping[str, Any]) -> frozenset[str]:
        """Return the words that may be hosts of a route to *transport*."""
        texts = [options.get("hosts", "")]
        for router in self._instances("routers").values():
            if router.get("transport") == transport or transport in str(router.get("route_list", "")):
                texts += [router.get("route_list", ""), router.get("route_data", "")]
        return frozenset(_WORD.findall(" ".join(map(str, texts))))

    def _credential_files(self) -> Iterator[tuple[Path, str]]:
        """Look at the files that logins are read from: whether they are there, and who may read them."""
        seen = set()
        for name, options in self._instances("authenticators").items():
            for option, value in options.items():
                for file in named_files(value) if isinstance(value, str) else ():
                    if file not in seen:
                        seen.add(file)
                        text = file_advice(File(file))
                        if text:
                            yield ("authenticators", name, option), text

    def _tls_files(self) -> Iterator[tuple[Path, str]]:
        """Look whether files that TLS needs are there, where a name holds nothing to be expanded."""
        for name, options in self._instances("transports").items():
            for option in ("tls_verify_certificates", "tls_certificate", "tls_privatekey"):
                file = str(options.get(option, ""))
                if file.startswith("/") and not _EXPANDED.search(file) and not os.access(file, os.R_OK):
                    text = f'option "{option}" of transport {name}: {file} cannot be read; mail waits until it can'
                    yield ("transports", name, option), text


def _together_in_redirect(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what does not go together in a redirect router: for people, and in Exim's words."""
    if given.get("one_time") is True:
        for option, both in (("headers_add", True), ("headers_remove", True), ("unseen", False)):
            if given.get(option, False) is not False:
                words = (
                    '"headers_add" and "headers_remove" are not permitted with'
                    if both
                    else '"unseen" may not be used with'
                )
                yield f"has {option}, which does not go with one_time", f'{words} "one_time"'
    if "qualify_domain" in given and given.get("qualify_preserve_domain") is True:
        yield (
            "needs either qualify_domain or qualify_preserve_domain",
            'only one of "qualify_domain" or "qualify_preserve_domain" must be set',
        )
    if given.get("allow_filter") is True and not given.get("check_local_user") and "user" not in given:
        yield (
            "has allow_filter, but there are no filters",
            '"user" or "check_local_user" must be set with "allow_filter"',
        )


def _together_in_appendfile(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what does not go together in an appendfile transport: for people, and in Exim's words."""
    if "file" in given and "directory" in given:
        yield "needs either file or directory", 'only one of "file" or "directory" can be specified'
    for option in ("quota_filecount", "quota_directory"):
        if option in given and "file" in given:
            yield f"has {option}, which needs a directory, not a file", f'{option} must not be set without "directory"'
    locks = {"use_fcntl_lock": True, "use_flock_lock": False, "use_lockfile": True, "use_mbx_lock": False}
    if given.get("mbx_format") is not True and not any(given.get(lock, usual) for lock, usual in locks.items()):
        yield "needs a lock: use_lockfile or use_fcntl_lock", "no locking configured"
    if "directory" in given and given.get("maildir_format") is True and given.get("mailstore_format") is True:
        yield "needs either maildir_format or mailstore_format", "only one of maildir and mailstore may be specified"
    for option in ("quota_filecount", "quota_directory"):
        if option in given and "directory" in given and "quota" not in given:
            yield f"has {option}, which needs a quota", f"quota must be set if {option} is set"


class _NoNames:
    """No name service: checking a text asks for none."""

    def addresses(self, name: str) -> list[str]:
        raise ResolveDefer(name)

    def name_of(self, address: str) -> str:
        raise ResolveDefer(address)

    def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        raise ResolveDefer(domain)


def _language(hostname: str = "") -> Expander:
    """Return an expander that compiles, and expands what asks for nothing but this host's name."""
    facts, lookups = Facts(hostname), Lookups(Files())
    return Expander(facts, lookups, Matcher(facts, lookups, _NoNames()))


def file_advice(file: File) -> str | None:
    """Return what is to be said about a file with passwords, or None."""
    try:
        status = file.stat()
        with file.open("rb") as stream:
            start = stream.read(4)
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}; mail waits until it can"
    if status.st_uid not in (0, os.getuid()):
        return f"{file} holds passwords and belongs to another user: chown root {file}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{file} holds passwords and others may write to it: chmod 0640 {file}"
    if status.st_mode & stat.S_IROTH:
        return f"{file} holds passwords and everybody may read it: chmod 0640 {file}"
    if start.startswith(b"\xef\xbb\xbf"):
        return f"{file} begins with a byte order mark, which spoils its first key: remove it"
    if start[:1] in (b" ", b"\t"):
        return f"{file} begins with white space, so its first line is no item: remove it"
    return None


def _list_text(value: object) -> str:
    if isinstance(value, list | tuple):
        return join_list([str(item) for item in value])
    return value if isinstance(value, str) else ""


def _items(value: object) -> list[str]:
    """Return the items of a list; none where they depend on an expansion, or it is a number."""
    text = str(value) if isinstance(value, int) else _list_text(value)
    return [] if "$" in text else split(text)


def _is_network(text: str) -> bool:
    try:
        return bool(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return False


def _named_in(text: str) -> Iterator[str]:
    """Yield the names of lists that *text* refers to; nothing where they depend on an expansion."""
    if "$" in text:
        return
    for item in split(text):
        match = _NAMED.fullmatch(item)
        if match and match[1] not in NOT_LISTS:
            yield match[1]


def _bare_words(text: str) -> list[str]:
    """Return the items that are plain names: no pattern, no address, no list, no expansion."""
    if "$" in text:
        return []
    return [item for item in split(text) if _WORD.fullmatch(item) and not re.fullmatch(r"[\d.]+", item)]


def _sides(options: Mapping[str, Any]) -> set[str]:
    """Return whether an authenticator is a client, a server, or both (exim.md 8)."""
    driver = str(options.get("driver", ""))
    sides: dict[str, Callable[[], object]] = {
        "client": lambda: options.get(_CLIENT_OPTIONS.get(driver, "client_send")),
        "server": lambda: options.get(_SERVER_OPTIONS.get(driver, "server_condition")),
    }
    return {side for side, given in sides.items() if given() is not None}


def _wide(item: str) -> bool:
    """Whether *item* is a public network so wide that it stands for everybody."""
    try:
        network = ipaddress.ip_network(item.replace("::0/", "::/"), strict=False)
    except ValueError:
        return False
    return network.prefixlen < WIDEST_NETWORK[network.version] and not network.is_private
