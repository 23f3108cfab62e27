"""The routers' options: those that all share (exim.md 6.1, 6.2), and each driver's own.

No driver is imported with them, nor are they with a driver that is at work: its instances are plain values.
"""

from typing import Annotated, Literal, TypeAlias

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
    Octal,
    Options,
    Repeated,
    String,
    StringList,
    option,
)


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
    disable_logging: Bool = option(False, "Accepted and ignored: nothing here is silent.")
    dsn_lasthop: Bool = option(False, "Accepted and ignored.")


class AcceptOptions(RouterOptions):
    """Options of ``driver = accept``."""

    driver: Literal["accept"]


class DnslookupOptions(RouterOptions):
    """Options of ``driver = dnslookup``."""

    driver: Literal["dnslookup"]
    mx_domains: DomainList = option("", "Domains that must have MX records.")
    mx_fail_domains: DomainList = option("", "Domains whose MX lookup that does not complete counts as no MX records.")
    srv_fail_domains: DomainList = option("", "Accepted and ignored.")
    check_secondary_mx: Bool = option(False, "Only for domains of which this host is a secondary MX.")
    check_srv: StringList = option("", "Accepted only if empty: SRV is not looked up.", max_length=0)
    fail_defer_domains: DomainList = option("", "Domains that wait when they are not found.")
    ipv4_only: Expanded = option("", "A condition: hosts have their IPv4 addresses only.")
    ipv4_prefer: Expanded = option("", "A condition: IPv4 addresses are tried first.")
    dnssec_request_domains: DomainList = option("*", "Accepted and ignored.")
    dnssec_require_domains: DomainList = option("", "Accepted only if empty: DNSSEC is not checked.", max_length=0)
    qualify_single: Bool = option(True, "Look a domain without a dot up in the machine's own domain.")
    rewrite_headers: Bool = option(
        True, "Header lines stay as they are; where it is set, a sender is verified without another domain."
    )
    same_domain_copy_routing: Bool = option(False, "Accepted and ignored.")
    search_parents: Bool = option(False, "Accepted and ignored.")
    widen_domains: StringList = option("", "What to put behind a domain that is not found, one after the other.")


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


class RedirectOptions(RouterOptions):
    """Options of ``driver = redirect``."""

    driver: Literal["redirect"]
    data: Expanded = option("", "Where the address is redirected to.")
    file: Expanded = option("", "A file that says where.")
    allow_fail: Bool = option(False, "Allow :fail:.")
    allow_defer: Bool = option(False, "Allow :defer:.")
    allow_filter: Bool = option(False, "Accepted only as false: filters are not there.")
    allow_freeze: Bool = option(False, "Accepted and ignored: for filters.")
    forbid_blackhole: Bool = option(False, "Forbid :blackhole:.")
    forbid_file: Bool = option(False, "Forbid deliveries to files.")
    forbid_include: Bool = option(False, "Forbid :include:.")
    forbid_pipe: Bool = option(False, "Forbid pipes.")
    forbid_smtp_code: Bool = option(False, "Accepted and ignored.")
    check_ancestor: Bool = option(False, "Drop a new address that is an ancestor of this one.")
    check_owner: Bool = option(False, "Accepted and ignored.")
    check_group: Bool = option(False, "Accepted and ignored.")
    directory_transport: Expanded = option("", "The transport for /dir/ items.")
    file_transport: Expanded = option("", "The transport for /file items.")
    pipe_transport: Expanded = option("", "Accepted and ignored: pipes are not run.")
    reply_transport: Expanded = option("", "Accepted and ignored: for filters.")
    hide_child_in_errmsg: Bool = option(False, "Do not name the new addresses in bounces.")
    ignore_enotdir: Bool = option(False, "A path of which a part is no directory counts as a missing file.")
    include_directory: Expanded = option("", "Includes must be below this directory.")
    modemask: Octal = option(0o022, "Accepted and ignored.")
    one_time: Bool = option(False, "Accepted and ignored: new addresses are found again at each attempt.")
    owners: StringList = option("", "Accepted and ignored.")
    owngroups: StringList = option("", "Accepted and ignored.")
    qualify_domain: Expanded = option("", "The domain for new addresses without one.")
    qualify_preserve_domain: Bool = option(False, "New addresses without a domain get the incoming one.")
    repeat_use: Bool = option(True, "Accepted and ignored.")
    rewrite: Bool = option(True, "Whether the rewriting rules apply to new addresses.")
    skip_syntax_errors: Bool = option(False, "Leave out items that cannot be read; the log says which.")
    syntax_errors_text: Expanded = option("", "Accepted and ignored.")
    syntax_errors_to: String = option("", "Accepted and ignored.")
    sieve_subaddress: Expanded = option("", "Accepted and ignored: Sieve is not there.")
    sieve_useraddress: Expanded = option("", "Accepted and ignored: Sieve is not there.")
    sieve_vacation_directory: Expanded = option("", "Accepted and ignored: Sieve is not there.")


AnyRouter: TypeAlias = Annotated[AcceptOptions | DnslookupOptions | ManualrouteOptions | RedirectOptions, ByDriver()]
