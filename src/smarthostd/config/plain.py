"""From the models to plain values, for the daemon, which is small because it has no models (``judging.py``)."""

from __future__ import annotations

from typing import Any

from smarthostd.config.load import Loaded
from smarthostd.options import Options
from smarthostd.plain import Plain


def plain(loaded: Loaded) -> Plain:
    """Return what the daemon needs of *loaded*: what is only there to be printed, macros say, stays behind."""
    return Plain({
        "settings": _values(loaded.settings),
        "source": loaded.source,
        "warnings": loaded.warnings,
        "positions": {path: position for path, position in loaded.positions.items() if len(path) == 1},
    })  # fmt: skip


def _plain(value: Any) -> Any:
    match value:
        case Options():
            return _values(value)
        case dict():
            return {key: _plain(one) for key, one in value.items()}
        case tuple():
            return tuple(map(_plain, value))
        case _:
            return value


def _values(options: Options) -> Plain:
    """Return a model's values; defaults of those only that may be expanded."""
    values = {name: getattr(options, name) for name in type(options).model_fields}
    expanded = [name for name, value in values.items() if isinstance(value, str) and "$" in value]
    return Plain(
        {name: _plain(value) for name, value in values.items()},
        frozenset(options.model_fields_set),
        {name: options.default(name) for name in expanded},
    )
