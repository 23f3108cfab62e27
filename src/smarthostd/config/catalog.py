"""What options there are, read off the models: for the front ends, for printing and for the reference.

An option is written once, in a model; here are only views of it. A driver's generic options are those of
the model that all drivers of its section share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, get_args

from msgspec import Struct
from pydantic.fields import FieldInfo

from smarthostd.authenticators.options import AnyAuthenticator
from smarthostd.config.errors import did_you_mean, one_of
from smarthostd.config.settings import PARTS, Settings
from smarthostd.options import ByDriver, Kind, Options
from smarthostd.routers.options import AnyRouter
from smarthostd.transports.options import AnyTransport

SECTIONS = {"routers": "router", "transports": "transport", "authenticators": "authenticator"}
"""The sections of instances, and what one of them is called."""
NAMED_LISTS = ("domainlists", "hostlists", "addresslists", "localpartlists")
INSTANCE_FIELDS = ("name", "driver")
"""Fields of an instance's model that are not options to be set like others."""
SECRETS = frozenset({"client_secret", "client_send", "server_secret", "server_condition"})
"""Options that may hold a password: starred in what we show, hidden in what we write."""

EXPECTED = {
    "bool": "true, false, yes or no",
    "integer": "an integer such as 100, perhaps with K, M or G",
    "count": "a number such as 20",
    "size": "a size such as 50M",
    "kilobytes": "a size such as 10M",
    "octal": "a file mode such as 0600",
    "load": "a number such as 1.5",
    "time": "a time such as 30s, 15m, 2h, 1d or 1w",
    "times": "times that grow, such as 4h:8h:24h",
}
"""What to write for an option of each kind that is not just text."""


class OptionInfo(Struct, frozen=True):
    """One option: its name, what its text is, its default, and one sentence of help."""

    name: str
    kind: Kind
    default: Any
    help: str
    exim_default: str | None = None
    """Exim's default as ``-bP`` prints it, where ours differs."""


class Catalog(Struct, frozen=True):
    """All options: of the main part, and by section and driver."""

    main: Mapping[str, OptionInfo]
    generic: Mapping[str, Mapping[str, OptionInfo]]
    """By section."""
    drivers: Mapping[str, Mapping[str, Mapping[str, OptionInfo]]]
    """By section and driver; generic options included."""

    def options_at(self, path: tuple[str, ...], driver: str = "") -> Mapping[str, OptionInfo]:
        """Return the options that may stand where *path* points: the main part, or one instance."""
        if path and path[0] in SECTIONS:
            return self.drivers[path[0]].get(driver) or self.generic[path[0]]
        return self.main

    def whereabouts(self, name: str, path: tuple[str, ...], known: Iterable[str]) -> str:
        """Return the clause that helps who wrote an option *name* at *path*, where it is not among the *known*."""
        near = did_you_mean(name, known)
        if near:
            return near
        if path and name in self.main:
            return "; it is a main option, which stands in front of all sections"
        for section, drivers in self.drivers.items():
            having = [driver for driver, options in drivers.items() if name in options]
            if having:
                return f"; it belongs to a {SECTIONS[section]} with the driver {' or '.join(having)}"
        return "; docs/options.md lists what there is"

    def driver_complaint(self, section: str, name: str, driver: str) -> str | None:
        """Return what is wrong with the driver of an instance; None where nothing is."""
        kind, drivers = SECTIONS[section], self.drivers[section]
        if not driver:
            return f'the {kind} "{name}" has no driver; expected one of {", ".join(drivers)}'
        if driver in drivers:
            return None
        return f'{kind} "{name}": there is no driver "{driver}"{one_of(driver, drivers)}'


def kind_of(field: FieldInfo) -> Kind:
    """Return the kind that a field's annotation carries, also inside ``… | None``; the outermost of several."""
    kinds = [one for one in (*_nested(field.annotation), *field.metadata) if isinstance(one, Kind)]
    if kinds:
        return kinds[-1]
    return Kind("integer" if int in (field.annotation, *get_args(field.annotation)) else "string")


def _nested(annotation: Any) -> Iterator[Any]:
    for argument in get_args(annotation):
        yield from getattr(argument, "__metadata__", ())


def fields_of(model: type[Options]) -> dict[str, FieldInfo]:
    """Return the fields of *model* that are options: of a whole configuration those of its main part."""
    fields = model.model_fields
    return {name: fields[name] for name in fields if name not in PARTS} if model is Settings else fields


def options_of(model: type[Options]) -> dict[str, OptionInfo]:
    """Return the options of *model*, in its order."""
    found = {}
    for name, field in fields_of(model).items():
        if name in INSTANCE_FIELDS:
            continue
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        exim_default = extra.get("exim_default")
        default = None if field.default_factory else field.default
        name = field.alias or name
        found[name] = OptionInfo(
            name, kind_of(field), default, field.description or "", None if exim_default is None else str(exim_default)
        )
    return found


class _Drivers(Mapping[str, Mapping[str, OptionInfo]]):
    """The options of each driver of a section; a driver's are looked at when somebody asks for them."""

    def __init__(self, drivers: ByDriver) -> None:
        self._drivers = drivers
        self._known: dict[str, Mapping[str, OptionInfo]] = {}

    def __getitem__(self, driver: str) -> Mapping[str, OptionInfo]:
        if driver not in self._known:
            if driver not in self._drivers.models:
                raise KeyError(driver)
            self._known[driver] = options_of(self._drivers.model(driver))
        return self._known[driver]

    def __contains__(self, driver: object) -> bool:
        return driver in self._drivers.models

    def __iter__(self) -> Iterator[str]:
        return iter(self._drivers.models)

    def __len__(self) -> int:
        return len(self._drivers.models)


def _instances(section: str) -> tuple[type[Options], ByDriver]:
    """Return the model that all drivers of *section* share, and what knows their own."""
    union = {"routers": AnyRouter, "transports": AnyTransport, "authenticators": AnyAuthenticator}[section]
    shared, drivers = get_args(union)
    return shared, drivers


def models(section: str) -> dict[str, type[Options]]:
    """Return the model of each driver of *section*."""
    _, drivers = _instances(section)
    return {driver: drivers.model(driver) for driver in drivers.models}


@cache
def catalog() -> Catalog:
    """Return the catalog of everything there is."""
    instances = {section: _instances(section) for section in SECTIONS}
    return Catalog(
        options_of(Settings),
        {section: options_of(shared) for section, (shared, _) in instances.items()},
        {section: _Drivers(drivers) for section, (_, drivers) in instances.items()},
    )
