"""Exim's configuration file to plain values: main options, named lists, sections, instances (exim.md 1.2 to 1.5).

An option's kind, from the models, decides how its text is read: ``no_x`` is a boolean's, quotes are a string's. What
is wrong is kept, with Exim's report of it, and reading goes on, so that one run tells all of it.
Nothing may follow an instance's colon; ``driver`` comes before what only that driver has; a definition of a macro
between instances ends the one before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smarthostd.config import foreign
from smarthostd.config.catalog import EXPECTED, SECTIONS, Catalog, OptionInfo
from smarthostd.config.errors import (
    EXIMS_NO_ENVELOPE,
    NO_ENVELOPE,
    Mistake,
    did_you_mean,
    in_line,
    nowhere,
    one_of,
    retry_rule_complaint,
)
from smarthostd.config.exim import listing, values
from smarthostd.config.exim.lines import SPACE, Line, Lines, Macros, macro_report
from smarthostd.config.source import Source
from smarthostd.errors import ConfigurationError, Position
from smarthostd.lists import split
from smarthostd.options import Kind
from smarthostd.retry import RetryRuleError, parse_rule

LONGEST_NAME = 63
"""Characters of an option's name that Exim looks at."""
_BEGIN = re.compile(r"begin [ \t\n\v\f\r]*(.*)", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_INSTANCE = re.compile(r"([A-Za-z]\w*|)[ \t\n\v\f\r]*:[ \t\n\v\f\r]*(.*)", re.ASCII | re.DOTALL)
_DEFINITION = re.compile(r"[A-Z]\w*[ \t\n\v\f\r]*=", re.ASCII)
_NAMED_LIST = re.compile(r"(?:hide[ \t]+)?(domain|host|address|localpart)list", re.ASCII)
_LIST_BODY = re.compile(r"[ \t\v\f\r]+(\w*)[ \t\v\f\r]*(=?)[ \t\v\f\r]*(.*)", re.ASCII | re.DOTALL)
_TIMEOUT_DNS = re.compile(r"\S+\s+timeout_dns\b", re.IGNORECASE)
_NO_TIMEOUT_DNS = '"timeout_dns" is no longer available in retry rules (it has never worked) - treated as "timeout"'
_ALL_SECTIONS = ("acl", "authenticators", "local_scan", "retry", "rewrite", "routers", "transports")

_HEAD = re.compile(r"\w+\s*:")
_NO_SECTION = '; if it is a router or a transport, "begin routers" or "begin transports" must stand above it'
"""What people forget who paste the pieces of a how-to."""


class Reader:
    """Reads one configuration; :func:`read` is the way in."""

    def __init__(
        self, path: Path, catalog: Catalog, lenient: bool, macros: Mapping[str, str], as_exim: bool = False
    ) -> None:
        self.source = Source(str(path))
        self._catalog = catalog
        self._lenient = lenient
        self._as_exim = as_exim
        self._macros = Macros(macros, lambda: built_in_macros(catalog))
        self._lines = Lines(path, self._macros, self.source.mistakes.append, self._warn)
        self._section = ""
        self._seen: set[str] = set()
        self._instance: str | None = None
        self._dropped = False
        """Whether we are in an instance or a section that is left out."""
        self._ended = 0
        """The rank of what ends here: an instance, a section."""
        self._set_before: dict[tuple[str, ...], Position] = {}
        """Options by the name that was written: ``no_verify`` and then ``verify_sender`` is not twice the same."""

    def read(self) -> Source:
        """Read it all."""
        for line in self._lines:
            self._ended = line.rank - 1  # of a section; what is in it has ended before
            begin = _BEGIN.match(line.text)
            if begin:
                self._end_section()
                self._begin(begin[1], line)
            else:
                self._read_line(line)
        self._ended = self._lines.rank + 3
        self._end_section()
        self.source.macros = dict(self._macros)
        return self.source

    @property
    def history(self) -> list[str]:
        """What was read, line by logical line (:class:`Lines`)."""
        return self._lines.history

    # -- sections

    def _begin(self, written: str, line: Line) -> None:
        name = next((s for s in _ALL_SECTIONS if _plural(s) == _plural(written.lower())), "")
        self._dropped = not name or name in foreign.SECTIONS
        if not name:
            near = one_of(written, [one for one in _ALL_SECTIONS if one not in foreign.SECTIONS])
            exim = f'"{written}" is not a known configuration section name'
            self._mistake(line, f'"{written}" is not the name of a section{near}', exim)
            self.source.faulty.add(("routers",))  # it may have been theirs
        elif name in self._seen:
            exim = f'"{written}" section is repeated in the configuration file'
            self._mistake(line, f'the section "{written}" was there before; each may come once', exim)
        elif name in foreign.SECTIONS:
            self._leave_out(line, f'the section "{name}" ({foreign.SECTIONS[name]}) is')
        elif name in ("retry", "rewrite"):
            self.source.values.setdefault(name, [])
            self.source.positions.setdefault((name,), line.position)
        self._section = name or "?"
        self._seen.add(name)

    def _end_section(self) -> None:
        self._end_instance()
        self.source.ranks.setdefault((self._section,) if self._section else (), self._ended)

    def _read_line(self, line: Line) -> None:
        if self._section in SECTIONS:
            self._read_in_instances(line)
        elif self._dropped:
            return
        elif self._section:
            self._read_rule(line)
        elif line.text[0].isupper() and line.text[0].isascii():
            self._define(line)
        elif match := _NAMED_LIST.match(line.text):
            self._read_list(line, match)
        else:
            self._read_option(line, (), self._catalog.main, 'main option "{}" unknown')

    def _define(self, line: Line) -> None:
        complaint = self._macros.define(line.text)
        if complaint:
            human = complaint
            if complaint == "malformed macro definition":
                name = re.split(r"\W", line.text, maxsplit=1)[0]
                near = did_you_mean(name, self._catalog.main)
                human = (
                    f'"{name}" begins with a capital letter, so this was taken for a macro, expected NAME = text{near}'
                )
                if _HEAD.fullmatch(line.text.strip()):
                    human += _NO_SECTION
            report = macro_report(complaint, line.end)
            self.source.mistakes.append(Mistake(human, line.position, exim=report, rank=line.rank, log="PANIC"))

    def _read_list(self, line: Line, start: re.Match[str]) -> None:
        rest = line.text[start.end() :].removeprefix("_cache")
        match = _LIST_BODY.match(rest)
        if match is None:
            message = f'unknown line; expected "{start[1]}list NAME = items"'
            return self._mistake(line, message, "unrecognized configuration line")
        name, equals, text = match.groups()
        kind = f"{start[1]}lists"
        if name in self.source.values.get(kind, {}):
            what = {"localpart": "local part"}.get(start[1], start[1])
            exim = f'duplicate name "{name}" for a named {what} list'
            message = f'there is a {start[1]}list "{name}" already; give one of them another name'
            return self._mistake(line, message, exim)
        if not equals:
            return self._mistake(
                line, f'"=" is missing after the list\'s name "{name}"', f"missing '=' after \"{name}\""
            )
        try:
            value = values.read(Kind("string"), name, text)
        except values.Malformed as malformed:
            return self._mistake(line, f'the list "{name}": {malformed}', str(malformed))
        self._keep((kind, name), value, line, hidden=line.text.startswith("hide"))
        return None

    def _read_rule(self, line: Line) -> None:
        is_one = self._is_retry_rule if self._section == "retry" else self._is_rewrite_rule
        if not is_one(line):
            return
        rules = self.source.values[self._section]
        self.source.positions[self._section, str(len(rules))] = line.position
        rules.append(line.text)

    def _is_retry_rule(self, line: Line) -> bool:
        try:
            parse_rule(line.text)
            if _TIMEOUT_DNS.match(line.text):
                self.source.logged.append(_NO_TIMEOUT_DNS)
        except RetryRuleError as error:
            self._mistake(line, retry_rule_complaint(error), str(error))
            return False
        return True

    def _is_rewrite_rule(self, line: Line) -> bool:
        from smarthostd.rewrite import NotThere, RewriteRuleError, parse_rule  # 4 ms of a start, and seldom needed

        try:
            parse_rule(line.text)
        except NotThere as error:
            self._leave_out(line, str(error))
            return False
        except RewriteRuleError as error:
            self._mistake(line, f"rewriting rule: {error}; {error.fix}", str(error))
            return False
        return True

    def _are_rewrite_rules(self, line: Line, text: str) -> bool:
        """Whether a transport's ``headers_rewrite`` holds rules for header lines; that it does not is a mistake."""
        from smarthostd.rewrite import NotThere, RewriteRuleError, Where, parse_rule

        try:
            rules = [parse_rule(rule, Where.HEADERS) for rule in split(text)]
            if any(rule.where & ~Where.HEADERS for rule in rules):
                raise NotThere("a rule for the envelope is", "")
        except NotThere:
            self._mistake(line, f'option "headers_rewrite": {NO_ENVELOPE}', EXIMS_NO_ENVELOPE)
            return False
        except RewriteRuleError as error:
            self._mistake(line, f'option "headers_rewrite": {error}; {error.fix}', str(error))
            return False
        return True

    # -- instances

    def _read_in_instances(self, line: Line) -> None:
        if _DEFINITION.match(line.text) and line.text[0].isupper():
            self._end_instance()
            return self._define(line)
        instance = _INSTANCE.match(line.text)
        if instance:
            return self._open_instance(line, *instance.groups())
        if self._instance is None:
            if not self._dropped:
                kind = SECTIONS[self._section]
                self._mistake(
                    line, f'expected the name of a {kind} and a colon, such as "my_{kind}:"', f"{kind} name missing"
                )
                self._dropped = True  # one mistake is enough for all that belongs to it
            return None
        if not self._dropped:
            self._read_instance_option(line)
        return None

    def _open_instance(self, line: Line, name: str, rest: str) -> None:
        self._end_instance()
        kind = SECTIONS[self._section]
        instances = self.source.values.setdefault(self._section, {})
        if name in instances:
            exim = nowhere(f'there are two {kind}s called "{name}"')
            message = f'there is a {kind} "{name}" already; give one of them another name'
            self.source.mistakes.append(Mistake(message, line.position, exim=exim, rank=line.rank))
            self._dropped = True
        self._instance = name
        if rest and not self._dropped:
            exim = str(values.surplus(rest, f"driver name {name}"))
            self._mistake(line, f'nothing may follow "{name}:" on its line', exim)
        if not self._dropped:
            instances[name] = {}
            self.source.positions[self._section, name] = line.position

    def _end_instance(self) -> None:
        """Close the instance at hand, if any; what is left out ends with it."""
        if self._instance is not None and not self._dropped:
            path = (self._section, self._instance)
            self.source.ranks[path] = self._ended - 1
            if "driver" not in self.source.values[self._section][self._instance]:
                exim = nowhere(f'no driver defined for {SECTIONS[self._section]} "{self._instance}"')
                message = self._catalog.driver_complaint(*path, "") or ""
                where = self.source.position(path)
                self.source.mistakes.append(Mistake(message, where, exim=exim, rank=self._ended - 1))
                self._drop(path)
        self._instance = None
        if self._section in SECTIONS:
            self._dropped = False

    def _drop(self, path: tuple[str, str]) -> None:
        """Leave an instance out."""
        del self.source.values[path[0]][path[1]]
        self.source.faulty.add(path)
        self._dropped = True

    def _read_instance_option(self, line: Line) -> None:
        assert self._instance is not None
        path = (self._section, self._instance)
        driver = self.source.values[self._section][self._instance].get("driver")
        if driver is None:
            unknown = 'option "{}" unknown ("driver" must be specified before any private options)'
        else:
            unknown = 'option "{}" unknown'
        options = {
            **self._catalog.options_at(path, driver or ""),
            "driver": OptionInfo("driver", Kind("string"), "", ""),
        }
        self._read_option(line, path, options, unknown)
        chosen = self.source.values[self._section].get(self._instance, {}).get("driver")
        if driver is None and chosen is not None:
            self._choose(chosen, line, path)

    def _choose(self, driver: str, line: Line, path: tuple[str, str]) -> None:
        """Look whether there is such a driver; the instance is left out where there is none."""
        section, name = path
        complaint = self._catalog.driver_complaint(section, name, driver)
        if complaint is None:
            return
        kind = SECTIONS[section]
        if driver in foreign.DRIVERS[section]:
            self._leave_out(line, f'the {kind} driver "{driver}" is')
        else:
            self._mistake(line, complaint, f'{kind} {name}: cannot find {kind} driver "{driver}"')
        self._drop(path)

    # -- options

    def _read_option(self, line: Line, path: tuple[str, ...], options: Mapping[str, OptionInfo], unknown: str) -> None:
        text = line.text
        if not _NAME.match(text):
            # The rest of a broken line of authenticators could be a password.
            found = "" if self._section == "authenticators" else f', found "{text[:40]}"'
            message = f'expected "option = value"{found}'
            return self._mistake(line, message, f"option setting expected: {text}")
        name, text = _first_word(text)
        hidden = name == "hide"
        if hidden:
            name, text = _first_word(text)
        prefix = "not_" if name.startswith("not_") else "no_" if name.startswith("no_") else ""
        wanted = foreign.SYNONYMS.get(name.removeprefix(prefix), name.removeprefix(prefix))
        names = foreign.BOTH.get(wanted, (wanted,))
        written = (name, prefix, text)
        if any(each not in options for each in names):
            if not listing.knows(path[0] if path else "", self._driver_at(path), wanted):
                shown = _first_word(line.text)[0] if "must be specified" in unknown else name
                return self._unknown(line, path, name, wanted, options, unknown.format(shown))
            if self._is_first(line, path, name, wanted) and self._keep_unused(line, path, wanted, written):
                return self._without(line, path, wanted)
            return None
        if options[names[0]].kind.name == "repeated" or self._is_first(line, path, name, wanted):
            for each in names:
                self._set(line, (*path, each), options[each], written, hidden)
        return None

    def _driver_at(self, path: tuple[str, ...]) -> str:
        """Return the driver of an instance, as far as it is known."""
        return str(self._at(path).get("driver", "")) if path else ""

    def _is_first(self, line: Line, path: tuple[str, ...], name: str, wanted: str) -> bool:
        """Whether the option was not set before; that it was is a mistake."""
        first = self._set_before.setdefault((*path, wanted), line.position)
        if first != line.position:
            message = f'option "{name}" is set for the second time; the first is in line {first.line}'
            self._mistake(line, message, f'"{name}" option set for the second time')
        return first == line.position

    def _keep_unused(self, line: Line, path: tuple[str, ...], wanted: str, written: tuple[str, str, str]) -> bool:
        """Keep an option that we do not have, for ``-bP``; return whether its value is one that Exim takes."""
        kind = listing.kinds(path[0] if path else "").get(wanted, Kind("string"))
        option = OptionInfo(wanted, kind, "", "")
        try:
            self.source.unused[*path, wanted] = self._value(option, *written)
        except values.Malformed as malformed:
            name, _, text = written
            self._mistake(line, _sentence(option, name, text, str(malformed)), str(malformed))
            return False
        return True

    def _without(self, line: Line, path: tuple[str, ...], wanted: str) -> None:
        """Say that an option is left out."""
        where = _place(path)
        if wanted in foreign.HARMLESS:
            self._warn(line.position, foreign.without_effect(wanted, where))
        else:
            self._leave_out(line, f'the option "{wanted}"{where} is')

    def _unknown(
        self, line: Line, path: tuple[str, ...], name: str, wanted: str, options: Mapping[str, OptionInfo], exim: str
    ) -> None:
        where = _place(path)
        if path and "must be specified" in exim and self._private(path[0], wanted):
            message = f'option "{wanted}"{where} must come after its driver'
            self._mistake(line, message, exim)
        else:
            help = self._catalog.whereabouts(wanted, path, options)
            if not path and _HEAD.fullmatch(line.text.strip()):
                help = _NO_SECTION
            self._mistake(line, f'option "{name}" is unknown{where or " in the main part"}{help}', exim)

    def _private(self, section: str, name: str) -> bool:
        return any(name in options for options in self._catalog.drivers[section].values())

    def _set(
        self, line: Line, path: tuple[str, ...], option: OptionInfo, written: tuple[str, str, str], hidden: bool
    ) -> None:
        """Set one option; *written* is its name, its prefix of negation, and what follows."""
        name, prefix, text = written
        is_text = option.kind.expanded and option.kind.name in values.NUMBERS
        if is_text:
            option_as_text = OptionInfo(option.name, Kind("string"), "", "")
            try:
                self.source.unused[path] = self._value(option_as_text, name, prefix, text)  # -bP shows it as it is
            except values.Malformed as malformed:
                return self._mistake(line, _sentence(option, name, text, str(malformed)), str(malformed))
        try:
            value = self._value(option, name, prefix, text)
        except values.Malformed as malformed:
            if is_text and self._as_exim:
                return None
            exim = "" if is_text else str(malformed)
            return self._mistake(line, _sentence(option, name, text, str(malformed)), exim)
        if option.kind.name == "repeated":
            value = [*self._at(path[:-1]).get(path[-1], []), value]
        if path[-1] in ("qualify_domain", "qualify_recipient") and not value:
            self.source.unused[path] = value  # -bP shows it, though there is a default
        if path[-1] == "headers_rewrite" and not self._are_rewrite_rules(line, value):
            return None
        self._keep(path, value, line, hidden)
        return None

    @staticmethod
    def _value(option: OptionInfo, name: str, prefix: str, text: str) -> Any:
        """Return the value; raises :class:`values.Malformed`."""
        if option.kind.name == "bool":
            if text and (prefix or not text.startswith("=")):
                raise values.surplus(text, f"boolean option {name}")
            return values.read(option.kind, name, text[1:].lstrip(SPACE)) if text else not prefix
        if prefix:
            raise values.Malformed("negation prefix applied to a non-boolean option")
        if not text:
            raise values.Malformed(f"unexpected end of line (data missing) after {name}")
        if not text.startswith("="):
            raise values.Malformed(f'missing "=" after {name}')
        return values.read(option.kind, name, text[1:].lstrip(SPACE))

    def _at(self, path: tuple[str, ...]) -> dict[str, Any]:
        """Return the table that *path* leads to, made where it is missing."""
        table = self.source.values
        for step in path:
            table = table.setdefault(step, {})
        return table

    def _keep(self, path: tuple[str, ...], value: Any, line: Line, hidden: bool) -> None:
        self._at(path[:-1])[path[-1]] = value
        self.source.positions[path] = line.position
        if hidden:
            self.source.hidden.add(path)

    # -- what is wrong

    def _mistake(self, line: Line, message: str, exim: str) -> None:
        report = in_line(line.end, exim) if exim else ""
        self.source.mistakes.append(Mistake(message, line.position, exim=report, rank=line.rank))
        if self._instance is not None:
            self.source.faulty.add((self._section, self._instance))

    def _leave_out(self, line: Line, what: str) -> None:
        """Leave out something of Exim's that we do not have: with a warning if we may, else as a mistake."""
        if self._lenient:
            self._warn(line.position, foreign.left_out(what))
        else:
            self.source.mistakes.append(Mistake(foreign.unimplemented(what), line.position, rank=line.rank))

    def _warn(self, position: Position, text: str) -> None:
        self.source.warnings.append(f"{position}: {text}")


def _first_word(text: str) -> tuple[str, str]:
    """Return the name at the start of *text*, as much of it as Exim looks at, and what follows it."""
    match = re.match(r"\w*", text, re.ASCII)
    assert match is not None, "an empty word matches"
    return match[0][:LONGEST_NAME], text[match.end() :].lstrip(SPACE)


def _place(path: tuple[str, ...]) -> str:
    return f" of {SECTIONS[path[0]]} {path[1]}" if path else ""


def _plural(section: str) -> str:
    return section if section.endswith("s") else f"{section}s"


def _sentence(option: OptionInfo, name: str, text: str, exim: str) -> str:
    """Return one sentence for people about a malformed value."""
    value = text.removeprefix("=").strip(SPACE)
    expected = EXPECTED.get(option.kind.name)
    if "extra characters follow" in exim and "#" in text:
        return f'option "{name}": a # after a value is part of it; put the comment on a line of its own'
    if option.kind.name == "bool" and name != option.name and text:
        return f'option "{name}" says no by its name, so nothing may follow it'
    if expected and text.startswith("="):
        shown = value if value.startswith('"') else f'"{value}"'
        return f'option "{name}": {shown} is wrong, expected {expected}'
    if exim.startswith(('missing "="', "unexpected end of line")):
        return f'option "{name}" has no value; write {name} = {"VALUE" if expected is None else expected}'
    if exim.startswith("negation prefix"):
        return f'option "{name}": only an option that is true or false can be denied; write {option.name} = VALUE'
    if exim.startswith("missing quote"):
        return f'option "{name}": a quote is not closed; put one at the end, or leave both out'
    if exim.endswith("was not found"):
        return f'option "{name}": {exim}; create it, or take it out of the list'
    return f'option "{name}": {exim}' + (f", expected {expected}" if expected else "")


def built_in_macros(catalog: Catalog) -> dict[str, str]:
    """Return the macros by which a file can ask what there is: ``_HAVE_TLS``, ``_OPT_MAIN_…``, ``_DRIVER_…``."""
    found = {"_HAVE_IPV6": "y", "_HAVE_TLS": "y", "_HAVE_OPENSSL": "y"}
    found |= {f"_OPT_MAIN_{name.upper()}": "y" for name in catalog.main}
    for section, kind in SECTIONS.items():
        generic = catalog.generic[section]
        found |= {f"_OPT_{section.upper()}_{name.upper()}": "y" for name in generic}
        for driver, options in catalog.drivers[section].items():
            found[f"_DRIVER_{kind.upper()}_{driver.upper()}"] = "y"
            own = [name for name in options if name not in generic]
            found |= {f"_OPT_{kind.upper()}_{driver.upper()}_{name.upper()}": "y" for name in own}
    return dict(sorted(found.items()))


def read(
    path: Path,
    catalog: Catalog,
    *,
    lenient: bool = False,
    macros: Mapping[str, str] | None = None,
    as_exim: bool = False,
) -> Source:
    """Return what *path* holds, in Exim's syntax; raises ConfigurationError when the file cannot be read.

    *as_exim* does without a value that Exim takes and that means nothing here.
    """
    try:
        return Reader(path, catalog, lenient, macros or {}, as_exim).read()
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error.strerror}", Position(str(path), 0)) from None
