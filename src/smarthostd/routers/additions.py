"""What a router adds to the addresses that it takes: ``errors_to``, ``headers_add``, ``headers_remove`` (exim.md 6.2).

All three are expanded for each address, when it is routed, so that addresses whose header lines differ go in
messages of their own. A forced failure leaves out the item; any other failure defers the address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from smarthostd.errors import ExpansionError, ForcedFailure
from smarthostd.expand import Expander, Values
from smarthostd.lists import split
from smarthostd.routers.base import RoutedAddress

if TYPE_CHECKING:
    from smarthostd.routers.options import RouterOptions


class Additions:
    """The additions of one router."""

    def __init__(self, options: RouterOptions, expander: Expander) -> None:
        self._name = options.name
        self._expander = expander
        # An empty errors_to is one, too: it says that nobody hears of errors.
        self._errors_to = options.errors_to if "errors_to" in options.model_fields_set else None
        self._added = tuple(split("<\n" + "\n".join(options.headers_add)))
        self._removed = tuple(item for one in options.headers_remove for item in split(one))

    def __bool__(self) -> bool:
        return bool(self._errors_to is not None or self._added or self._removed)

    def errors_to(self, values: Values) -> str | None:
        """Return whom errors go to, None where the router does not say; raises ExpansionError."""
        if self._errors_to is None:
            return None
        try:
            return self._expander.expand(self._errors_to, values).strip()
        except ForcedFailure:
            return None
        except ExpansionError as error:
            raise ExpansionError(f'{self._name} router failed to expand "{self._errors_to}": {error}') from error

    def with_headers(self, address: RoutedAddress, values: Values) -> RoutedAddress:
        """Return *address* with its header lines to add and to remove; raises ExpansionError."""
        added = self._texts("add_headers", self._added, values)
        removed = self._texts("remove_headers", self._removed, values)
        if not (added or removed):
            return address
        return replace(
            address,
            headers_add=(*address.headers_add, *added),
            headers_remove=(*address.headers_remove, *removed),
        )

    def _texts(self, what: str, templates: tuple[str, ...], values: Values) -> list[str]:
        texts = []
        for template in templates:
            try:
                texts.append(self._expander.expand(template, values))
            except ForcedFailure:
                continue
            except ExpansionError as error:
                text = f'{self._name} router failed to expand {what} item "{template}": {error}'
                raise ExpansionError(text) from error
        return [text for text in texts if text]
