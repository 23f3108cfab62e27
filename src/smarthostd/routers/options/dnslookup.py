"""The options of the router ``dnslookup``."""

from typing import Literal

from smarthostd.options import Bool, DomainList, Expanded, StringList, option
from smarthostd.routers.options import RouterOptions


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
