"""Text with ``${…}`` to text, as Exim does it (exim.md 5): parsed once into a tree, evaluated often.

``parser.py`` reads, ``nodes.py`` holds the tree and the state, ``items.py``, ``operators.py`` and ``conditions.py``
are tables by name. Values are inserted, never parsed again, but for ``${expand:…}`` and the replacement of ``${sg``.
"""

from __future__ import annotations

from smarthostd.expand.conditions import is_true
from smarthostd.expand.expander import Expander, Limits, Template
from smarthostd.facts import NO_VALUES, Facts, Value, Values

__all__ = ["NO_VALUES", "Expander", "Facts", "Limits", "Template", "Value", "Values", "is_true"]
