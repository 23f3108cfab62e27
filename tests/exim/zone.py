"""The zone of random routes: what mail meets in DNS, each kind under a name that says so.

Nothing here has two answers that could come in either order.
"""

from __future__ import annotations

from typing import Any

ZONE: dict[str, Any] = {
    "zone": {
        "h.example": {"A": ["192.0.2.1"]},
        "one.example": {"A": ["198.51.100.1"]},
        "two.example": {"A": ["198.51.100.2"]},
        "three.example": {"A": ["198.51.100.3"]},
        "six.example": {"AAAA": ["2001:db8::25"]},
        "dual.example": {"A": ["198.51.100.30"], "AAAA": ["2001:db8::30"]},
        "alias.example": {"CNAME": ["one.example"]},
        "alias2.example": {"CNAME": ["alias.example"]},
        "astray.example": {"CNAME": ["nosuch.example"]},
        "loop.example": {"A": ["127.0.0.1"]},
        "text.example": {"TXT": ["nothing to send mail to"]},
        "again.example": "SERVFAIL",
        "mx.example": {"MX": [[10, "one.example"], [20, "two.example"]]},
        "mxback.example": {"MX": [[30, "three.example"], [10, "dual.example"], [20, "two.example"]]},
        "mxself.example": {"MX": [[10, "h.example"]]},
        "mxsecond.example": {"MX": [[10, "one.example"], [20, "h.example"], [30, "two.example"]]},
        "mxloop.example": {"MX": [[10, "one.example"], [20, "loop.example"]]},
        "mxdead.example": {"MX": [[10, "nosuch.example"]]},
        "mxhalf.example": {"MX": [[10, "nosuch.example"], [20, "two.example"]]},
        "mxagain.example": {"MX": [[10, "again.example"], [20, "two.example"]]},
        "mxlater.example": {"MX": [[10, "two.example"], [20, "again.example"]]},
        "mxnull.example": {"MX": [[0, ""]]},
        "mxip.example": {"MX": [[10, "198.51.100.9"]]},
        "mxips.example": {"MX": [[10, "198.51.100.9"], [20, "one.example"]]},
        "mxalias.example": {"MX": [[10, "alias.example"], [20, "two.example"]]},
        "mxtwice.example": {"MX": [[10, "one.example"], [20, "alias.example"], [30, "two.example"]]},
        "mxtext.example": {"MX": [[10, "text.example"]]},
        "mxa.example": {"MX": [[10, "two.example"]], "A": ["198.51.100.77"]},
        "aliasmx.example": {"CNAME": ["mx.example"]},
        "sub.wide.example": {"A": ["198.51.100.40"]},
        "narrow.wide.example": {"MX": [[5, "one.example"]]},
    },
    "etc_hosts": "127.0.0.1 localhost\n198.51.100.50 fileonly.example fileonly\n"
    "198.51.100.51 bare\n192.0.2.1 h.example h\n",
    "local_interface_addresses": ["127.0.0.1", "192.0.2.1", "::1"],
    "host_name": "h.example",
}
