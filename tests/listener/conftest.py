"""Which event loops a test runs on: the usual one, and where the loop's own work matters the daemon's as well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

USUAL: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
BOTH = {**USUAL, "uvloop": uvloop.new_event_loop}
ON_BOTH = frozenset({"test_tls"})
"""Modules whose tests run on both."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the loops for a test, by their names."""
    return BOTH if item.path.stem in ON_BOTH else USUAL
