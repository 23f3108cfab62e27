"""A judged configuration as plain values: what the daemon has of it, instead of the models that judged it.

Who works with options reads their attributes, asks which were given, and now and then for a default. Both a model and
a :class:`Plain` answer that, so the type of either is the model's; a tool may as well go on with the models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Plain:
    """Values by the names of a model's attributes; they do not change."""

    model_fields_set: frozenset[str]
    """The names of what was given, as pydantic calls it."""
    _defaults: Mapping[str, Any]

    def __init__(
        self, values: Mapping[str, Any], given: frozenset[str] = frozenset(), defaults: Mapping[str, Any] | None = None
    ) -> None:
        self.__dict__.update(values, model_fields_set=given, _defaults=defaults or {})

    def default(self, name: str) -> Any:
        """Return the default of an option whose text is expanded to something else than a text."""
        return self._defaults[name]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} is as the configuration has it")

    def __repr__(self) -> str:
        """Tell no more than the name: values may hold passwords."""
        return f"Plain({self.__dict__.get('name', '')})"
