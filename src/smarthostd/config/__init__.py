"""Configuration: two front ends and a shorthand that end in one model. ``load`` is the way in."""

from __future__ import annotations

from smarthostd.config.errors import ConfigurationErrors, Mistake
from smarthostd.config.load import Loaded, load
from smarthostd.config.settings import Settings

__all__ = ["ConfigurationErrors", "Loaded", "Mistake", "Settings", "load"]
