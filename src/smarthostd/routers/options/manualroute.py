"""The options of the router ``manualroute``."""

from typing import Literal

from smarthostd.options import Bool, Expanded, String, option
from smarthostd.routers.options import RouterOptions


class ManualrouteOptions(RouterOptions):
    """Options of ``driver = manualroute``."""

    driver: Literal["manualroute"]
    route_list: String | tuple[str, ...] = option("", "Rules between semicolons: domain pattern, hosts, options.")
    route_data: Expanded = option("", "Hosts and options, as one expanded string.")
    host_find_failed: Literal["freeze", "defer", "fail", "decline", "pass", "ignore"] = option(
        "freeze", "What to do if a host does not exist."
    )
    host_all_ignored: Literal["freeze", "defer", "fail", "decline", "pass"] = option(
        "defer", "What to do if all hosts were ignored."
    )
    hosts_randomize: Bool = option(False, "Try the hosts in random order.")
    same_domain_copy_routing: Bool = option(False, "Accepted and ignored: hosts are looked up once in a while.")
