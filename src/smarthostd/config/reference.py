"""``docs/options.md``, made from the models: ``python -m smarthostd.config.reference > docs/options.md``.

With the word ``absent`` it makes the end of ``docs/exim.md``: Exim's options that are not there, and why. With the word
``selectors`` it makes the end of ``docs/log.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from smarthostd import selectors
from smarthostd.config import foreign
from smarthostd.config.catalog import SECTIONS, OptionInfo, catalog, options_of
from smarthostd.config.shorthand import Local, Smarthost
from smarthostd.syntax import format_size, format_time

_INTRODUCTION = """\
# Options

Made from the models by `python -m smarthostd.config.reference`; a test keeps it current. Names, types and meanings
are Exim's. *Expanded* means that `${…}` in the value is expanded each time it is used. Where a default differs from
Exim's, Exim's stands beside it.

A list is written as in Exim (`a : b`, or `<; a ; b`) or, in TOML, as an array. Times have units: `30s`, `15m`, `2h`,
`1d`, `1w`. Sizes may end in K, M or G. Any main option can be set by the environment as `SMARTHOSTD_` and its name.

What is *without effect* is read, and a warning says so where it is set; of what is *accepted and ignored* nobody would
notice anything."""


def reference() -> str:
    """Return the page."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield _INTRODUCTION
    yield from _table("## The shorthand: `[smarthost]`", options_of(Smarthost))
    yield "\nEach key may come from the environment, as `SMARTHOST_URL`, `SMARTHOST_USER` and so on, or with `_FILE`."
    yield from _table("## The shorthand: `[local]`", options_of(Local))
    yield from _table("## Main options", catalog().main)
    for section, kind in SECTIONS.items():
        generic = catalog().generic[section]
        yield from _table(f"## {section.capitalize()}: what all of them have", generic)
        for driver, options in sorted(catalog().drivers[section].items()):
            own = {name: option for name, option in options.items() if name not in generic}
            yield from _table(f"### {kind.capitalize()} `{driver}`", own)


_ABSENT = """\
## Options that are not there

An option of the first table has no effect, which a warning says; one of the second decides about mail, and is an
error (`--lenient` makes it a warning). What another driver does have stands with that in [options.md](options.md)."""


def absent() -> str:
    """Return the tables of what Exim has and smarthostd has not."""
    return "\n".join(
        (
            _ABSENT,
            *_groups("no effect, for", foreign.HARMLESS_GROUPS),
            *_groups("an error, for", foreign.DECISIVE_GROUPS),
        )
    )


def selector_tables() -> str:
    """Return what each name in ``log_selector`` does."""
    rows = [
        f"| `{name}`{' *' if name in selectors.USUAL else ''} | {_cell(text)} |"
        for name, text in selectors.EFFECTS.items()
    ]
    idle = ", ".join(f"`{name}`" for name in sorted(selectors.NAMES - set(selectors.EFFECTS) - {"all"}))
    head = "| selector | what the log says with it |\n|---|---|"
    return "\n".join([head, *rows, "", f"Accepted, and without effect since there is nothing to tell: {idle}."])


def _groups(title: str, groups: Sequence[foreign.Group]) -> Iterator[str]:
    yield f"\n| {title} | options |"
    yield "|---|---|"
    for group in groups:
        yield f"| {group.reason} | {', '.join(f'`{name}`' for name in sorted(group.names))} |"


def _table(title: str, options: Mapping[str, OptionInfo]) -> Iterator[str]:
    yield f"\n{title}\n"
    if not options:
        yield "No options of its own."
        return
    yield "| option | type | default | meaning |"
    yield "|---|---|---|---|"
    for option in options.values():
        yield f"| `{option.name}` | {_type(option)} | {_default(option)} | {_cell(option.help)} |"


def _type(option: OptionInfo) -> str:
    kind = option.kind
    name = f"{kind.lists.replace('_', ' ')} list" if kind.lists else _TYPES.get(kind.name, kind.name)
    return f"{name}, expanded" if kind.expanded else name


_TYPES = {
    "bool": "yes or no",
    "octal": "file mode",
    "times": "times",
    "load": "number",
    "count": "integer",
    "kilobytes": "size",
    "repeated": "string, may come several times",
    "strict": "numbers",
}


def _default(option: OptionInfo) -> str:
    text = "this host's" if option.name == "primary_hostname" else _code(_value_text(option))
    if option.exim_default is None:
        return text
    return f"{text} (Exim: {_code(option.exim_default)})"


def _value_text(option: OptionInfo) -> str:
    value: Any = option.default
    match value:
        case None | () | "":
            return ""
        case bool():
            return "yes" if value else "no"
        case timedelta():
            return format_time(value)
        case int() if option.kind.name in ("size", "kilobytes"):
            return format_size(value)
        case int() if option.kind.name == "octal":
            return f"0{value:o}"
        case frozenset():
            return " : ".join(map(str, sorted(value)))
        case _:
            return str(value)


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else "empty"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    made = {"absent": absent, "selectors": selector_tables}.get("".join(sys.argv[1:]))
    print(f"{made()}\n" if made else reference(), end="")
