"""IP addresses as Exim reads and writes them: ``${mask:…}``, ``${reverse_ip:…}`` and ``isip``.

An address may carry a mask behind a slash, where one is asked for, or an IPv6 scope behind a percent sign,
never both. What is written out is Exim's: masked IPv6 with dots, so that it can be a lookup's key.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_network

from msgspec import Struct

from smarthostd.errors import ExpansionError
from smarthostd.expand.octets import unsigned

_SCOPE = re.compile(r"[!-~]*")
_MAPPED = "::ffff:"


class IPText(Struct, frozen=True):
    """An address as it was written."""

    address: IPv4Address | IPv6Address
    mask: int | None
    """None where none was written."""


def read_ip(text: str, *, mask: bool = False) -> IPText | None:
    """Return the address in *text*, behind which a mask may stand if *mask*; None for anything else."""
    base, slash, bits = text.partition("/")
    number = _mask_bits(bits) if slash else None
    if slash and (number is None or not mask):
        return None
    base, percent, scope = base.partition("%")
    if percent and (slash or ":" not in base or not _SCOPE.fullmatch(scope)):
        return None
    try:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in base else socket.AF_INET, base)
    except (OSError, ValueError):
        return None
    address = IPv6Address(packed) if ":" in base else IPv4Address(packed)
    return IPText(address, number)


def _mask_bits(text: str) -> int | None:
    number = unsigned(text)
    return None if number is None or (number and text.lstrip().startswith("-")) else number


def ip_version(text: str) -> int:
    """Return 4, 6, or 0 for what is no IP address."""
    found = read_ip(text)
    return found.address.version if found else 0


def masked(name: str, suffix: str) -> Callable[[str], str]:
    """Return ``mask``, or ``mask_n`` which writes IPv6 with colons."""

    def operate(text: str) -> str:
        found = read_ip(text, mask=True)
        if found is None:
            raise ExpansionError(f'"{text}" is not an IP address')
        if found.mask is None:
            raise ExpansionError(f'missing mask value in "{text}"')
        if found.mask > found.address.max_prefixlen:
            raise ExpansionError(f'mask value too big in "{text}"')
        network = ip_network((found.address, found.mask), strict=False).network_address
        if isinstance(network, IPv4Address):
            return f"{network}/{found.mask}"
        shown = normalised(network) if suffix.startswith("n") else network.exploded.replace(":", ".")
        return f"{shown}/{found.mask}"

    return operate


def reverse_ip(text: str) -> str:
    """Return the address the other way round, as DNS block lists are asked; a mask is left out."""
    found = read_ip(text, mask=True)
    if found is None:
        raise ExpansionError(f"reverse_ip() not given an IP address [{text}]")
    address = found.address
    if text.startswith(_MAPPED) and "." in text and isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if isinstance(address, IPv6Address):
        return ".".join(reversed(address.exploded.replace(":", "")))
    return ".".join(reversed(str(address).split(".")))


def _as_ipv6(text: str) -> IPv6Address:
    found = read_ip(text)
    if found is None:
        raise ExpansionError(f'"{text}" is not an IP address')
    if isinstance(found.address, IPv4Address):
        return IPv6Address((0xFFFF << 32) | int(found.address))
    return IPv6Address(found.address)


def ipv6norm(text: str) -> str:
    """Return the address as the shortest IPv6 text."""
    return normalised(_as_ipv6(text))


def ipv6denorm(text: str) -> str:
    """Return the address as IPv6 with all its digits."""
    return _as_ipv6(text).exploded


def normalised(address: IPv6Address) -> str:
    """Write *address* with its longest run of zero groups, one alone included, as ``::``.

    What is nothing but zeros is one colon, a slip of Exim's: keys in files may have been written after it.
    """
    if not int(address):
        return ":"
    groups = [f"{int(group, 16):x}" for group in address.exploded.split(":")]
    runs = [
        (end - start, -start) for start in range(8) for end in range(start + 1, 9) if set(groups[start:end]) == {"0"}
    ]
    if not runs:
        return ":".join(groups)
    length, start = max(runs)
    return ":".join(groups[:-start]) + "::" + ":".join(groups[length - start :])
