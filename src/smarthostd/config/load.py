"""The way in: find the configuration, read it by whichever front end it is for, and judge it.

What not every configuration needs is imported where it is used: a front end, or the shorthand, takes 4 ms of a start.

All mistakes come at once (:class:`ConfigurationErrors`). A lenient load leaves out what Exim has and we have not, and
takes for warnings what Exim would only stumble over later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smarthostd.config.catalog import catalog
from smarthostd.config.checks import Checks
from smarthostd.config.errors import NEVER, ConfigurationErrors, Mistake
from smarthostd.config.idle import idle
from smarthostd.config.judge import judge
from smarthostd.config.settings import Settings
from smarthostd.config.source import SHORTHAND, Source
from smarthostd.errors import ConfigurationError, Position

PLACES = (Path("/etc/smarthostd/smarthostd.toml"), Path("/etc/smarthostd/smarthostd.conf"))
"""Where a configuration is looked for, after ``-C`` and ``$SMARTHOSTD_CONFIG``."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration in force: the settings, where they came from, and what is to be said about them."""

    settings: Settings
    source: str
    """The file, or ``the environment``."""
    warnings: tuple[str, ...] = ()
    positions: Mapping[tuple[str, ...], Position] = field(default_factory=dict, repr=False)
    hidden: frozenset[tuple[str, ...]] = frozenset()
    """Options that ``hide`` stood in front of."""
    macros: Mapping[str, str] = field(default_factory=dict, repr=False)
    logged: tuple[str, ...] = ()
    """What Exim would have logged while reading."""
    unused: Mapping[tuple[str, ...], Any] = field(default_factory=dict, repr=False)
    """Options of Exim's that have no effect here, as written."""


def load(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    lenient: bool = False,
    macros: Mapping[str, str] | None = None,
    places: tuple[Path, ...] = PLACES,
    as_exim: bool = False,
) -> Loaded:
    """Return the configuration: *path*, or what ``$SMARTHOSTD_CONFIG``, *places* and the environment offer.

    *macros* are those of Exim's command line (``-DNAME=text``). *as_exim* does without values that Exim takes and we do
    not, for comparing. Raises ConfigurationErrors.
    """
    file = find(path, environ, places)
    try:
        source = _read(file, environ, lenient, macros or {}, as_exim)
    except ConfigurationError as error:
        raise ConfigurationErrors([error]) from None
    if any(table in source.values for table in SHORTHAND):
        from smarthostd.config import shorthand

        shorthand.expand(source)
    Checks(source, lenient=lenient).run()
    settings = judge(source, as_exim=as_exim)
    if source.mistakes or settings is None:
        raise ConfigurationErrors(_in_order(source))
    for where, text in idle(settings):
        source.warn(where, text)
    return Loaded(
        settings,
        source.file,
        tuple(source.warnings),
        source.positions,
        frozenset(source.hidden),
        source.macros,
        tuple(source.logged),
        source.unused,
    )


def find(path: Path | None, environ: Mapping[str, str], places: tuple[Path, ...] = PLACES) -> Path | None:
    """Return the file to read; None where the environment is all there is."""
    if path is not None:
        return path
    if named := environ.get("SMARTHOSTD_CONFIG"):
        return Path(named)
    return next((place for place in places if place.exists()), None)


def _read(
    file: Path | None, environ: Mapping[str, str], lenient: bool, macros: Mapping[str, str], as_exim: bool
) -> Source:
    if file is None:
        return _from_environment(environ)
    if file.suffix == ".toml":
        from smarthostd.config import toml

        source = toml.read(file, catalog(), lenient=lenient)
    else:
        from smarthostd.config.exim import reader

        source = reader.read(file, catalog(), lenient=lenient, macros=macros, as_exim=as_exim)
    ignored = _in_environment(environ)
    if ignored:
        source.warnings.append(f"{', '.join(ignored)} in the environment: not used, since there is a file, {file}")
    return source


def _in_environment(environ: Mapping[str, str]) -> list[str]:
    """Return the variables that would be a configuration if there were no file."""
    if not any(name.startswith("SMARTHOST_") for name in environ):
        return []
    from smarthostd.config import environ as environment

    return environment.present(environ)


def _from_environment(environ: Mapping[str, str]) -> Source:
    from smarthostd.config import environ as environment

    source = environment.gather(environ, catalog())
    if not source.values and not source.mistakes:
        text = (
            f"there is no configuration: write {PLACES[0]}, or set SMARTHOST_URL, SMARTHOST_USER and SMARTHOST_PASSWORD"
        )
        raise ConfigurationError(text)
    return source


def _in_order(source: Source) -> list[Mistake]:
    """Return the mistakes as Exim would meet them; those that it would not meet by line."""

    def place(mistake: Mistake) -> tuple[int, int]:
        met_by_exim = mistake.rank < NEVER
        return mistake.rank, 0 if met_by_exim or mistake.position is None else mistake.position.line

    return sorted(source.mistakes, key=place)
