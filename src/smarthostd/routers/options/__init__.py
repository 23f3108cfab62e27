"""The routers' options: those that all share (exim.md 6.1, 6.2), and each driver's own.

No driver is imported with them, nor are they with a driver that is at work: its instances are plain values.
"""

from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import Field

from smarthostd.options import (
    AddressList,
    Bool,
    ByDriver,
    DomainList,
    Expanded,
    ExpandedBool,
    ExpandedList,
    HostList,
    LocalPartList,
    Options,
    Repeated,
    String,
    StringList,
    option,
)

if TYPE_CHECKING:
    from smarthostd.routers.options.accept import AcceptOptions
    from smarthostd.routers.options.dnslookup import DnslookupOptions
    from smarthostd.routers.options.manualroute import ManualrouteOptions
    from smarthostd.routers.options.redirect import RedirectOptions


class RouterOptions(Options):
    """Generic options of an instance in the routers section."""

    name: str
    domains: DomainList = option("", "Only for addresses in these domains.")
    local_parts: LocalPartList = option("", "Only for these local parts.")
    senders: AddressList = option("", "Only for messages from these senders.")
    condition: Repeated = option((), "Only if the string expands to something true; each of several must.")
    require_files: ExpandedList = option("", "Only if these files exist (!file: does not exist).")
    check_local_user: Bool = option(False, "Only if the local part is the login name of a user here.")
    local_part_prefix: StringList = option("", "Only for local parts that begin so; it is taken off.")
    local_part_prefix_optional: Bool = option(False, "The prefix may be missing.")
    local_part_suffix: StringList = option("", "Only for local parts that end so; it is taken off.")
    local_part_suffix_optional: Bool = option(False, "The suffix may be missing.")
    transport: Expanded = option("", "The transport to deliver by.")
    more: ExpandedBool = option(True, "If this router declines, ask the next one.")
    unseen: ExpandedBool = option(False, "Ask the next router too, as if this one had not seen the address.")
    pass_on_timeout: Bool = option(False, "Ask the next router when a host lookup does not complete.")
    pass_router: String = option("", "The router to go on with after a pass; a later one.")
    redirect_router: String = option("", "The router at which the new addresses of a redirection begin.")
    self_: String = Field(
        "freeze",
        alias="self",
        description="If the first host is this host: freeze, defer, fail, pass, send, or reroute: domain.",
    )
    errors_to: Expanded = option("", "Who gets bounces instead of the sender; empty after expansion: nobody.")
    headers_add: Repeated = option((), "Header lines to add, one a line.")
    headers_remove: Repeated = option((), "Names of headers to take out, a colon list.")
    ignore_target_hosts: HostList = option("", "Addresses of hosts that are not to be used.")
    fallback_hosts: StringList = option("", "Hosts to try after all others were deferred.")
    address_data: Expanded = option("", "What becomes $address_data.")
    set_: Repeated = Field((), alias="set", description="Variables to set: r_NAME = value.")
    caseful_local_part: Bool = option(False, "Let the router see the local part in the case that it came in.")
    cannot_route_message: Expanded = option("", "What is said if no router takes the address after this one.")
    address_test: Bool = option(True, "Used by -bt.")
    verify: Bool = option(True, "Used when verifying.")
    verify_only: Bool = option(False, "Used only when verifying.")
    verify_recipient: Bool = option(True, "Used when verifying recipients.")
    verify_sender: Bool = option(True, "Used when verifying senders.")
    fail_verify: Bool = option(False, "Verification fails here.")
    fail_verify_recipient: Bool = option(False, "Verification of a recipient fails here.")
    fail_verify_sender: Bool = option(False, "Verification of a sender fails here.")
    expn: Bool = option(True, "Accepted and ignored: EXPN is refused.")
    retry_use_local_part: Bool | None = option(
        None,
        "Whether retry times are kept for addresses, not domains; unset: if the router looks at more than the domain.",
    )
    router_home_directory: Expanded = option("", "What $home is in this router.")
    transport_home_directory: Expanded = option("", "What $home is in the transport.")
    transport_current_directory: Expanded = option("", "Accepted and ignored.")
    translate_ip_address: Expanded = option("", "Accepted only if empty: not there.", max_length=0)
    user: Expanded = option("", "The user to deliver as (only where the daemon runs as root).")
    group: Expanded = option("", "The group to deliver as (only where the daemon runs as root).")
    initgroups: Bool = option(False, "Accepted and ignored.")
    debug_print: Expanded = option("", "Accepted and ignored: Exim's debugging output.")
    log_as_local: Bool = option(False, "Accepted and ignored: eximstats finds out.")
    disable_logging: Bool = option(False, "Without effect: nothing here is silent.")
    dsn_lasthop: Bool = option(False, "Without effect: NOTIFY is passed on to every host that offers DSN.")


if TYPE_CHECKING:
    AnyRouter: TypeAlias = AcceptOptions | DnslookupOptions | ManualrouteOptions | RedirectOptions
else:
    AnyRouter = Annotated[
        RouterOptions,
        ByDriver(
            __name__,
            {
                "accept": "AcceptOptions",
                "dnslookup": "DnslookupOptions",
                "manualroute": "ManualrouteOptions",
                "redirect": "RedirectOptions",
            },
        ),
    ]
