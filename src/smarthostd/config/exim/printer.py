"""``-bP``: a configuration's options as Exim prints them (exim.md 11).

Names and their order are Exim's (``listing.py``); the values of what was set are ours, the rest are Exim's defaults,
also where ours differ, so that the output can be compared. Options that Exim does not have are printed when asked for
by name.
"""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path as File
from types import MappingProxyType
from typing import Any

from smarthostd.config import foreign
from smarthostd.config.catalog import NAMED_LISTS, SECTIONS, catalog, fields_of, kind_of
from smarthostd.config.exim import listing
from smarthostd.config.exim.lines import SPACE
from smarthostd.config.exim.reader import Reader, built_in_macros
from smarthostd.config.load import Loaded
from smarthostd.config.render import render
from smarthostd.expand.variables import EXIM_VERSION
from smarthostd.options import Kind, Options
from smarthostd.routers.options.redirect import RedirectOptions
from smarthostd.syntax import format_size, format_time, parse_time

ALWAYS_OURS = ("primary_hostname", "qualify_domain", "qualify_recipient", "spool_directory", "log_file_path")
"""Options that depend on the machine: never Exim's default."""
_JOINED = {"headers_add": "\n", "headers_remove": ":", "set": ";"}
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\U0010ffff]")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", "\v": "\\v"}


def print_options(
    loaded: Loaded,
    arguments: Sequence[str],
    *,
    values_only: bool = False,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, int]:
    """Return what ``exim -bP ARGUMENTS`` prints, and its exit status; *values_only* is ``-n``."""
    printer = _Printer(loaded, values_only, environ)
    lines: list[str] = []
    status = 0
    rest = list(arguments) or ["all"]
    while rest:
        word = rest.pop(0)
        named = word in ("router", "transport", "authenticator", "macro") and bool(rest)
        found = printer.named(word, rest.pop(0)) if named else printer.one(word)
        lines += found.lines
        status = found.status or (status if named else 0)  # in 4.96 a word forgets what was wrong before it
    return "".join(f"{line}\n" for line in lines), status


def print_configuration(loaded: Loaded, macros: Mapping[str, str], *, terse: bool = False) -> str:
    """Return what ``exim -bP config`` prints: the lines that count, with macros replaced; *terse* is ``-n``.

    What was not written in Exim's syntax is shown as it would be written there.
    """
    heading = f"# Exim Configuration ({EXIM_VERSION})\n"
    if not loaded.source.endswith(".conf") and (loaded.source.endswith(".toml") or not File(loaded.source).is_file()):
        return heading + render(loaded.settings, "exim", secrets=True, hidden=loaded.hidden)
    reader = Reader(File(loaded.source), catalog(), True, macros)
    reader.read()
    return heading + "".join(_laid_out(reader.history, 0 if terse else 2))


def _laid_out(lines: Sequence[str], step: int) -> Iterator[str]:
    """Yield lines with the indentation of their sections and instances, *step* deep."""
    indent = 0
    gap = "\n" if step else ""
    for line in map(_collapsed, lines):
        if line.startswith("#"):
            yield f"{line}\n"
        elif line.startswith("begin "):
            indent = step
            yield f"{gap}{line}\n"
        elif line.endswith(":") and "=" not in line:
            indent = 2 * step
            yield f"{gap}{' ' * step}{line}\n"
        else:
            yield f"{' ' * indent}{line}\n"


def _collapsed(line: str) -> str:
    """Return *line* with one blank for white space, up to a quote or a dollar: what follows may be laid out."""
    head, rest = re.fullmatch(rf"(.*?(?:[{SPACE}]+(?=[\"'$])|\Z))(.*)", line, re.DOTALL).groups()  # type: ignore[union-attr]
    return re.sub(f"[{SPACE}]+", " ", head) + rest


class _Found:
    """The lines for one argument."""

    def __init__(self, lines: Sequence[str], status: int = 0) -> None:
        self.lines = lines
        self.status = status


class _Printer:
    def __init__(self, loaded: Loaded, values_only: bool, environ: Mapping[str, str]) -> None:
        self._loaded = loaded
        self._environ = environ
        self._macros = dict(loaded.macros) | built_in_macros(catalog())
        self._settings = loaded.settings
        self._values_only = values_only
        self._instances: dict[str, dict[str, Options]] = {
            "router": {router.name: router for router in loaded.settings.routers},
            "transport": dict(loaded.settings.transports),
            "authenticator": {one.name: one for one in loaded.settings.authenticators},
        }

    # -- what may be asked for

    def one(self, word: str) -> _Found:
        """Return what stands for one word."""
        if word in foreign.SYNONYMS:
            return _Found(
                [line.replace(foreign.SYNONYMS[word], word, 1) for line in self.one(foreign.SYNONYMS[word]).lines]
            )
        section = next((section for section, kind in SECTIONS.items() if word in (section, f"{kind}_list")), None)
        if word == "all":
            return _Found([self._shown(line) for line in self._main()])
        if word.startswith("+"):
            return self._named_list(word[1:])
        if word in ("config_file", "configure_file"):
            return _Found([self._loaded.source])
        if word in ("macros", "macro_list"):
            return _Found([f"{n}={text}" if word == "macros" else n for n, text in self._macros.items()])
        if word == "local_scan":
            return _Found(["local_scan() options are not supported"], 1)
        if word == "environment":
            return _Found([f"{name}={value}" for name, value in sorted(self._environ.items())])
        if section:
            return _Found(list(self._section(SECTIONS[section], names_only=word != section)))
        for line in self._main():
            if _name(line) == word:
                return _Found([self._shown(line)])
        ours = dict(_set_lines(self._settings, everything=True))
        if word in ours:
            return _Found([self._shown(ours[word])])
        if (word,) in self._loaded.unused:
            return _Found([self._shown(_as_written(word, listing.kinds(), self._loaded.unused[word,]))])
        return _Found([f"{word} is not a known option"], 1)

    def named(self, kind: str, name: str) -> _Found:
        """Return the options of one instance, or a macro's text."""
        if kind == "macro":
            text = self._macros.get(name)
            if text is None:
                return _Found([f"macro {name} not found"], 1)
            return _Found([text if self._values_only else f"{name}={text}"])
        instance = self._instances[kind].get(name)
        if instance is None:
            return _Found([f"{kind} {name} not found"], 1)
        return _Found([self._shown(line) for line in self._instance(kind, name, instance)])

    def _instance(self, kind: str, name: str, instance: Options) -> Iterator[str]:
        section = next(section for section, one in SECTIONS.items() if one == kind)
        unused = {path[-1]: value for path, value in self._loaded.unused.items() if path[:-1] == (section, name)}
        lines = _instance_lines(section, instance, self._settings.primary_hostname, unused)
        return self._with_unused((section, name), lines)

    def _with_unused(self, path: tuple[str, ...], lines: Iterable[str]) -> Iterator[str]:
        """Yield *lines*, those about options that we do not have with the values that were set."""
        kinds = listing.kinds(path[0] if path else "")
        for line in lines:
            name = _name(line)
            value = self._loaded.unused.get((*path, name))
            yield line if value is None else _as_written(name, kinds, value)

    def _section(self, kind: str, *, names_only: bool) -> Iterator[str]:
        for name, instance in self._instances[kind].items():
            if names_only:
                yield name
            else:
                yield from ("", f"{name} {kind}:", *map(self._shown, self._instance(kind, name, instance)))

    def _named_list(self, name: str) -> _Found:
        lines = []
        for table in NAMED_LISTS:
            lists = getattr(self._settings, table)
            if name in lists:
                text = printed(lists[name])
                lines.append(text if self._values_only else f"{table.removesuffix('s')} {name} = {text}")
        if not lines:
            return _Found([f'no address, domain, host, or local part list called "{name}" exists'], 1)
        return _Found(lines)

    # -- lines

    def _main(self) -> list[str]:
        known = dict(_set_lines(self._settings))
        known["process_log_path"] = f"process_log_path = {self._settings.spool_directory}/exim-process.info"
        lines = (known.get(_name(line), _completed(line)) for line in listing.MAIN.splitlines())
        return list(self._with_unused((), lines))

    def _shown(self, line: str) -> str:
        name, equals, value = line.partition(" =")
        return value.removeprefix(" ") if self._values_only and equals and " " not in name else line


def _as_written(name: str, kinds: Mapping[str, Kind], value: Any) -> str:
    """Return the line of an option that was read but not judged."""
    kind = kinds.get(name, Kind("string"))
    if name == "message_body_visible":
        kind = Kind("size")
    if isinstance(value, str) and kind.name in ("integer", "size", "kilobytes"):
        kind = Kind("string")
    return _line(name, kind, _measured(kind, value))


def _measured(kind: Kind, value: Any) -> Any:
    """Return a value that was read but not judged as the models would have it."""
    match kind.name:
        case "time":
            return parse_time(value)
        case "kilobytes":
            return value * 1024
        case "load":
            whole, _, thousandths = value.partition(".")
            return int(whole) * 1000 + int(f"{thousandths}000"[:3])
        case _:
            return value


def _name(line: str) -> str:
    """Return the option that a line is about."""
    name, equals, _ = line.partition(" =")
    return name if equals else name.removeprefix("no_")


def _completed(line: str) -> str:
    """Return a line of the listing as Exim prints it, with the blank behind an empty value."""
    return f"{line} " if line.endswith(" =") and _name(line) not in listing.BARE else line


def _instance_lines(section: str, instance: Options, hostname: str, unused: Mapping[str, Any]) -> Iterator[str]:
    """Yield an instance's options: its section's, then its driver's; *unused* are those that we do not have."""
    known = dict(_set_lines(instance))
    generic, drivers = listing.SECTIONS[section]
    own = drivers.get(str(getattr(instance, "driver", "")), "").splitlines()
    defaults = {_name(line): line for line in own}
    generic_names = {_name(line) for line in generic.splitlines()}
    for name, line in _consequences(section, instance, unused, hostname):
        known.setdefault(name, line)
    for line in generic.splitlines():
        yield known.get(_name(line)) or _completed(defaults.get(_name(line), line))
    for line in own:
        if _name(line) not in generic_names:
            yield known.get(_name(line)) or _completed(line)


_ABOUT_LOCAL_PARTS = (
    "check_local_user", "local_parts", "condition", "local_part_prefix", "local_part_suffix", "senders",
    "require_files",
)  # fmt: skip
"""Options of a router that make its retry times the local part's own, unless it says otherwise."""


def _consequences(
    section: str, instance: Options, unused: Mapping[str, Any], hostname: str
) -> Iterator[tuple[str, str]]:
    """Yield defaults that follow from what was set."""
    if section == "authenticators":
        yield "public_name", f"public_name = {getattr(instance, 'name', '')}"
        if getattr(instance, "client_secret", ""):
            yield "client_name", f"client_name = {hostname}"
    if section == "routers" and any(_is_said(instance, name) for name in _ABOUT_LOCAL_PARTS):
        yield "retry_use_local_part", "retry_use_local_part"
    if isinstance(instance, RedirectOptions) and instance.one_time:
        yield from ((name, name) for name in ("forbid_file", "forbid_filter_reply", "forbid_pipe"))
    if isinstance(instance, RedirectOptions) and (instance.check_local_user or instance.owners):
        yield "check_owner", "check_owner"
    if isinstance(instance, RedirectOptions) and (
        instance.owngroups or (instance.check_local_user and not instance.modemask & 0o020)
    ):
        yield "check_group", "check_group"
    if getattr(instance, "driver", "") == "appendfile":
        yield from _of_appendfile(instance, unused)
    if getattr(instance, "protocol", "smtp") != "smtp":
        yield "port", f"port = {getattr(instance, 'protocol', '')}"
    user = getattr(instance, "user", "")
    if user and "$" not in user and not user.isdigit():
        with suppress(KeyError, ValueError):
            entry = pwd.getpwnam(user)
            yield "group", f"group = {grp.getgrgid(entry.pw_gid).gr_name}"


_MBOX = ("message_prefix", "message_suffix", "check_string", "escape_string")
"""What has a default in a file of many messages only."""
_LOCKS = ("use_lockfile", "use_fcntl_lock", "use_flock_lock", "use_mbx_lock")
_QUOTA_MESSAGE = (
    r"To: $local_part@$domain\nSubject: Your mailbox\n\nThis message is automatically created by mail delivery "
    r"software (Exim).\n\nThe size of your mailbox has exceeded a warning threshold that is\nset by the system "
    r"administrator.\n"
)


def _of_appendfile(instance: Options, unused: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the defaults that follow from what was set in an ``appendfile`` transport."""
    said = {name for name in instance.model_fields_set if getattr(instance, name) is not False} | {
        name for name, value in unused.items() if value is not False
    }
    if "use_bsmtp" in said:
        yield from (("check_string", "check_string = ."), ("escape_string", "escape_string = .."))
    if said & {"use_bsmtp", "directory", "maildir_format", "mailstore_format"}:
        yield from ((name, f"{name} = ") for name in _MBOX)
    if "mbx_format" in said and not {*_LOCKS} & {*instance.model_fields_set, *unused}:
        yield from (("use_lockfile", "no_use_lockfile"), ("use_mbx_lock", "use_mbx_lock"))
    if "quota_warn_threshold" in said:
        yield "quota_warn_message", f"quota_warn_message = {_QUOTA_MESSAGE}"


def _is_said(instance: Options, name: str) -> bool:
    """Whether an option was set, to nothing perhaps; a boolean must be true."""
    return name in instance.model_fields_set and getattr(instance, name) is not False


def _set_lines(options: Options, *, everything: bool = False) -> Iterator[tuple[str, str]]:
    """Yield each option that was set, or every one, with its line."""
    for attribute, field in fields_of(type(options)).items():
        name = field.alias or attribute
        if everything or attribute in options.model_fields_set or name in ALWAYS_OURS:
            yield name, _line(name, kind_of(field), getattr(options, attribute))


def _as_it_is(value: Any) -> Any:
    return value


_TAKEN: Mapping[str, Callable[[Any], Any]] = {
    "lock_retries": lambda value: value or 1,
    "remote_max_parallel": lambda value: max(value, 1),
    "self": lambda value: re.sub(rf"^reroute:[{SPACE}]*(?:rewrite:[{SPACE}]*)?", "", value),
    "retry_interval_max": lambda value: min(value, timedelta(days=1)),
}
"""What Exim makes of some values when it has read them."""


def _line(name: str, kind: Kind, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"no_{name}"
    value = _TAKEN.get(name, _as_it_is)(value)
    text = printed(_text(name, kind, value))
    return f"{name} = {text}" if text or name not in listing.BARE else f"{name} ="


def _text(name: str, kind: Kind, value: Any) -> str:
    """Return a value in Exim's words."""
    match value:
        case None:
            return ""
        case timedelta():
            return format_time(value)
        case int():
            return _number(kind.name, value)
        case tuple() if kind.name == "times":
            return ":".join(map(format_time, value))
        case tuple() if name == "condition":
            return _all_of(value)
        case tuple() | list():
            return _JOINED.get(name, ":").join(_items(name, value))
        case frozenset():
            return " : ".join(map(str, sorted(value)))
        case str() if name in ("user", "group") and value.isdigit():
            return _NAMES[name](value)
        case str() if kind.name in _NAMES:
            return ":".join(_NAMES[kind.name](item) for item in _items("users", [value]))
        case _:
            return str(value)


def _user(text: str) -> str:
    with suppress(KeyError, ValueError):
        return pwd.getpwuid(int(text)).pw_name
    return text


def _group(text: str) -> str:
    with suppress(KeyError, ValueError):
        return grp.getgrgid(int(text)).gr_name
    return text


_NAMES = {"users": _user, "groups": _group, "user": _user, "group": _group}
"""Numbers that Exim prints as names."""


def _items(name: str, values: Sequence[str]) -> list[str]:
    """Return the items of lists that are joined without blanks."""
    if name in ("headers_remove", "users"):
        return [item.strip() for value in values for item in value.split(":")]
    return list(values)


def _all_of(conditions: Sequence[str]) -> str:
    """Return one condition for several, as Exim chains them."""
    first, *rest = conditions or ("",)
    for condition in rest:
        first = f"${{if and{{{{bool_lax{{{first}}}}}{{bool_lax{{{condition}}}}}}}}}"
    return first


def _number(kind: str, value: int) -> str:
    match kind:
        case "octal":
            return f"0{value:o}" if value else "0"
        case "load":
            return f"{value // 1000}.{f'{value % 1000:03d}'.rstrip('0') or '0'}"
        case "size":
            return re.sub(r"^(\d+)G$", lambda found: f"{int(found[1]) << 10}M", format_size(value))
        case "kilobytes":
            return format_size(value)
        case _:
            return str(value)


def printed(text: str) -> str:
    """Return *text* with whatever is no printable ASCII escaped, octet by octet."""
    return _UNPRINTABLE.sub(lambda found: _escaped(found[0]), text)


def _escaped(char: str) -> str:
    octets = char.encode("utf-8", "surrogateescape")
    return _ESCAPES.get(char) or "".join(f"\\{octet:03o}" for octet in octets)
