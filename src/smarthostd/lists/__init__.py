"""Domain, host, address and local part lists, in every form that Exim knows (exim.md 3).

A list's text has been expanded as a whole by the caller; it is split once for each text. Items are tried
from left to right and the first that matches decides; what stands at the end of the list is the opposite
of its last item's sign. A list that cannot be decided raises ListDefer.
"""

from __future__ import annotations

from smarthostd.lists.matcher import ListBroken, ListUndecided, Match, Matcher
from smarthostd.lists.split import join, separator_of, split

__all__ = ["ListBroken", "ListUndecided", "Match", "Matcher", "join", "separator_of", "split"]
