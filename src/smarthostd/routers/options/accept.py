"""The options of the router ``accept``."""

from typing import Literal

from smarthostd.routers.options import RouterOptions


class AcceptOptions(RouterOptions):
    """Options of ``driver = accept``."""

    driver: Literal["accept"]
