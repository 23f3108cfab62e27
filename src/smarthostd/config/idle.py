"""Options that are read and change nothing: what sets one is told so.

The model says it itself: the sentence of such an option begins with ``Without effect:``. Where it begins with
``Accepted and ignored`` nobody would notice, and nothing is said. A test looks for options that nothing reads and that
have neither.
"""

from __future__ import annotations

from collections.abc import Iterator

from smarthostd.config.catalog import SECTIONS, fields_of
from smarthostd.config.settings import Settings
from smarthostd.config.source import Path
from smarthostd.options import Options

MARK = "Without effect: "
QUIET = "Accepted and ignored"


def idle(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Yield a warning for each option that is set, to another value than its default, and has no effect."""
    for name, reason in _idle(settings):
        yield (name,), f'option "{name}" has no effect in smarthostd: {reason}'
    for section, kind in SECTIONS.items():
        instances = getattr(settings, section)
        for one in instances.values() if isinstance(instances, dict) else instances:
            for name, reason in _idle(one):
                text = f'option "{name}" of {kind} {one.name} has no effect in smarthostd: {reason}'
                yield (section, one.name, name), text


def _idle(options: Options) -> Iterator[tuple[str, str]]:
    """Yield the names of such options, and the reasons."""
    fields = fields_of(type(options))
    for name, field in fields.items():
        help = field.description or ""
        if help.startswith(MARK) and name in options.model_fields_set and getattr(options, name) != field.default:
            yield name, help.removeprefix(MARK).rstrip(".")
