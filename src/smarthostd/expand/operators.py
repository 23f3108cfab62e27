"""The operators, ``${OP:text}`` (exim.md 5.3): a table of functions from a text to a text."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from smarthostd.errors import ExpansionError
from smarthostd.expand.addresses import extract, split_addresses
from smarthostd.expand.arithmetic import evaluate_expression
from smarthostd.expand.nodes import Node, Nodes, State, evaluate
from smarthostd.expand.octets import hash_text, nhash_text, octets, substring, text_of
from smarthostd.lists import split
from smarthostd.lookups.kinds import SINGLE_KEY
from smarthostd.syntax import format_time, parse_time

_DIGITS62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LOWER = {upper: upper + 32 for upper in range(65, 91)}
_UPPER = {lower: lower - 32 for lower in range(97, 123)}

Operator = Callable[[str], str]
Maker = Callable[[str, str], Operator]
"""(name, what stands behind its underscore) to the operator; raises what a bad argument raises."""


def _digest(name: str, *, upper: bool) -> Operator:
    def operate(text: str) -> str:
        digest = hashlib.new(name, octets(text), usedforsecurity=False).hexdigest()
        return digest.upper() if upper else digest

    return operate


def _base64d(text: str) -> str:
    try:
        plain = "".join(text.split())
        return text_of(base64.b64decode(octets(plain), validate=True))
    except (binascii.Error, ValueError):
        raise ExpansionError(f'string "{text}" is not well-formed for "base64d" operator') from None


def _base62(text: str) -> str:
    if not re.fullmatch(r"[0-9]+", text):
        raise ExpansionError(f'argument for base62 operator is "{text}", which is not a decimal number')
    number, digits = int(text), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _DIGITS62[digit] + digits
    return digits


def _base62d(text: str) -> str:
    number = 0
    for char in text:
        digit = _DIGITS62.find(char)
        if digit < 0:
            raise ExpansionError(f'argument for base62d operator is "{text}", which is not a base 62 number')
        number = number * 62 + digit
    return str(number)


def _hex2b64(text: str) -> str:
    try:
        if any(char.isspace() for char in text):
            raise ValueError(text)
        return base64.b64encode(bytes.fromhex(text)).decode()
    except ValueError:
        raise ExpansionError(f'"{text}" is not a hex string') from None


def _hexquote(text: str) -> str:
    return "".join(chr(octet) if 33 <= octet <= 126 else f"\\x{octet:02x}" for octet in octets(text))


def _in_quotes(text: str) -> str:
    special = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}
    return '"' + "".join(special.get(char, char) for char in text) + '"'


def _quote(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_.-]+", text) else _in_quotes(text)


def _quote_local_part(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*[^.])?", text)
    plain = plain if re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*", text) else None
    return text if plain else _in_quotes(text)


def _quote_for(name: str, kind: str) -> Operator:
    if kind in SINGLE_KEY:
        return lambda text: text
    if kind in ("mysql", "pgsql"):
        table = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "'": "\\'", '"': '\\"', "\\": "\\\\"}
        return lambda text: "".join(table.get(char, char) for char in text)
    if kind == "sqlite":
        return lambda text: text.replace("'", "''")
    raise ExpansionError(f'unknown lookup type "{kind}"')


def _rxquote(text: str) -> str:
    return re.sub(r"([^A-Za-z0-9\udc80-\udcff])", r"\\\1", text)


def _escape(text: str) -> str:
    named = {10: "\\n", 13: "\\r", 9: "\\t", 8: "\\b", 11: "\\v", 12: "\\f", 92: "\\\\"}
    plain = {9: "\t"}
    return "".join(
        plain.get(octet) or (chr(octet) if 32 <= octet <= 126 else named.get(octet) or f"\\{octet:03o}")
        for octet in octets(text)
    )


def _escape8bit(text: str) -> str:
    return "".join(chr(octet) if octet < 128 else f"\\{octet:03o}" for octet in octets(text))


# -- addresses


def _part(which: int) -> Operator:
    def operate(text: str) -> str:
        found = extract(text)
        if found is None:
            return ""
        return "@".join(part for part in found if part) if which < 0 else found[which]

    return operate


def _addresses(text: str) -> str:
    separator, body = ":", text.lstrip()
    if body.startswith(">"):
        separator, body = body[1:2], body[2:]
        if not separator:
            raise ExpansionError(f"output separator missing in expanding ${{addresses:{text}}}")
    found = [_part(-1)(piece) for piece in split_addresses(body)]
    return separator.join(one.replace(separator, separator * 2) for one in found if one)


# -- numbers and times


def _eval(decimal: bool) -> Operator:
    return lambda text: str(evaluate_expression(text, decimal=decimal))


def _time_interval(text: str) -> str:
    if not re.fullmatch(r"[0-9]+", text) or len(text) > 18:
        raise ExpansionError(f'string "{text}" is not a positive number in "time_interval" operator')
    weeks, rest = divmod(int(text), 604800)
    shown = format_time(timedelta(seconds=rest)) if rest or not weeks else ""
    return (f"{weeks}w" if weeks else "") + shown


def _time_eval(text: str) -> str:
    time = parse_time(text)
    if time is None:
        raise ExpansionError(f'string "{text}" is not an Exim time interval in "time_eval" operator')
    return str(int(time.total_seconds()))


# -- IP addresses


def _mask(name: str, suffix: str) -> Operator:
    def operate(text: str) -> str:
        base, slash, bits = text.partition("/")
        try:
            address = ip_address(base)
        except ValueError:
            raise ExpansionError(f'"{text}" is not an IP address') from None
        if not slash:
            raise ExpansionError(f'missing mask value in "{text}"')
        if not re.fullmatch(r"[0-9]+", bits) or int(bits) > address.max_prefixlen:
            raise ExpansionError(f'mask value too big in "{text}"')
        network = ip_network((address, int(bits)), strict=False).network_address
        if isinstance(network, IPv6Address) and suffix != "n":
            return f"{network.exploded.replace(':', '.')}/{int(bits)}"
        return f"{network}/{int(bits)}"

    return operate


def _reverse_ip(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        raise ExpansionError(f"reverse_ip() not given an IP address [{text}]") from None
    if isinstance(address, IPv6Address):
        return ".".join(reversed(address.exploded.replace(":", "")))
    return ".".join(reversed(str(address).split(".")))


def _ipv6(compress: bool) -> Operator:
    def operate(text: str) -> str:
        try:
            address = ip_address(text)
        except ValueError:
            raise ExpansionError(f'"{text}" is not an IP address') from None
        if not isinstance(address, IPv6Address):
            address = IPv6Address(f"::ffff:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}")
        if not compress:
            return address.exploded
        groups = [f"{int(group, 16):x}" for group in address.exploded.split(":")]
        return _compressed(groups)

    return operate


def _compressed(groups: list[str]) -> str:
    """Write the longest run of zero groups as ``::``."""
    best = max(
        ((end - start, -start) for start in range(8) for end in range(start, 9) if set(groups[start:end]) <= {"0"}),
        default=(0, 0),
    )
    length, start = best[0], -best[1]
    if length < 2:
        return ":".join(groups)
    return ":".join(groups[:start]) + "::" + ":".join(groups[start + length :])


# -- texts for headers


def _rfc2047(text: str) -> str:
    data = octets(text)
    if all(32 <= octet <= 126 for octet in data) and "=?" not in text:
        return text
    words, word = [], ""
    for octet in data:
        char = "_" if octet == 32 else chr(octet)
        if octet != 32 and not (33 <= octet <= 126 and char not in "=?_\"#$%&'(),.:;<>@[\\]^`{|}~"):
            char = f"={octet:02X}"
        if len(word) + len(char) > 60:
            words.append(word)
            word = ""
        word += char
    return " ".join(f"=?UTF-8?Q?{word}?=" for word in [*words, word])


def _from_utf8(text: str) -> str:
    return text_of(text.encode("latin-1", "replace"))


def _utf8clean(text: str) -> str:
    return octets(text).decode("utf-8", "replace").replace("\ufffd", "?")


def _headerwrap(name: str, suffix: str) -> Operator:
    match = re.fullmatch(r"(?:([0-9]+)(?:_([0-9]+))?)?", suffix)
    if match is None:
        raise ExpansionError(f'non-digit after underscore in "{name}"')
    columns, limit = int(match[1] or 80), int(match[2] or 998)

    def operate(text: str) -> str:
        lines = []
        while len(text) > columns:
            cut = text.rfind(" ", 0, columns)
            if cut <= 0:
                break
            lines.append(text[:cut])
            text = text[cut:]
        return "\n".join([*lines, text])[:limit]

    return operate


def _stat(text: str) -> str:
    try:
        status = os.stat(text)  # noqa: PTH116 - paths are texts here
    except (OSError, ValueError) as error:
        raise ExpansionError(f"stat({text}) failed: {getattr(error, 'strerror', error)}") from error
    return (
        f"mode={status.st_mode & 0o7777:04o} smode={_mode(status.st_mode)} inode={status.st_ino}"
        f" device={status.st_dev} links={status.st_nlink} uid={status.st_uid} gid={status.st_gid}"
        f" size={status.st_size} atime={int(status.st_atime)} mtime={int(status.st_mtime)} ctime={int(status.st_ctime)}"
    )


def _mode(mode: int) -> str:
    import stat

    return stat.filemode(mode)


# -- operators with arguments behind an underscore


def _counted(function: Callable[[int, int, str], str], *, signed: bool = False, length_only: bool = False) -> Maker:
    """Make an operator of a function of two numbers and a text: ``substr_2_3``, ``length_5``."""

    def make(name: str, suffix: str) -> Operator:
        def operate(text: str) -> str:
            sign, digits = (-1, suffix[1:]) if signed and suffix.startswith("-") else (1, suffix)
            match = re.fullmatch(r"([0-9]*)(?:_([0-9]+))?", digits)
            if match is None or (length_only and match[2]):
                raise ExpansionError(f'non-digit after underscore in "{name}"')
            first, second = int(match[1] or 0), match[2]
            if length_only:
                return function(0, first, text)
            return function(sign * first, -1 if second is None else int(second), text)

        return operate

    return make


def _sha(prefix: str) -> Maker:
    def make(name: str, suffix: str) -> Operator:
        size = suffix or "256"
        if size not in ("224", "256", "384", "512"):
            raise ExpansionError(f'bad suffix on "{prefix}" operator')
        return _digest(f"{'sha' if prefix == 'sha2' else 'sha3_'}{size}", upper=True)

    return make


_PLAIN: dict[str, Operator] = {
    "lc": lambda text: text.lower() if text.isascii() else text.translate(_LOWER),
    "uc": lambda text: text.upper() if text.isascii() else text.translate(_UPPER),
    "strlen": lambda text: str(len(octets(text))),
    "md5": _digest("md5", upper=False), "sha1": _digest("sha1", upper=True), "sha256": _digest("sha256", upper=True),
    "base64": lambda text: base64.b64encode(octets(text)).decode(),
    "str2b64": lambda text: base64.b64encode(octets(text)).decode(),
    "base64d": _base64d, "base62": _base62, "base62d": _base62d, "hex2b64": _hex2b64, "hexquote": _hexquote,
    "base32": lambda text: _base32(text), "base32d": lambda text: _base32d(text),
    "quote": _quote, "quote_local_part": _quote_local_part, "rxquote": _rxquote,
    "escape": _escape, "escape8bit": _escape8bit,
    "address": _part(-1), "local_part": _part(0), "domain": _part(1), "addresses": _addresses,
    "eval": _eval(False), "eval10": _eval(True), "time_interval": _time_interval, "time_eval": _time_eval,
    "reverse_ip": _reverse_ip, "ipv6norm": _ipv6(True), "ipv6denorm": _ipv6(False),
    "rfc2047": _rfc2047, "rfc2047d": lambda text: _rfc2047d(text), "from_utf8": _from_utf8, "utf8clean": _utf8clean,
    "listcount": lambda text: str(len(split(text))), "stat": _stat,
}  # fmt: skip
_WITH_SUFFIX: dict[str, Maker] = {
    **dict.fromkeys(("substr", "s"), _counted(substring, signed=True)),
    **dict.fromkeys(("length", "l"), _counted(substring, length_only=True)),
    **dict.fromkeys(("hash", "h"), _counted(hash_text)), **dict.fromkeys(("nhash", "nh"), _counted(nhash_text)),
    "mask": _mask, "sha2": _sha("sha2"), "sha3": _sha("sha3"), "headerwrap": _headerwrap, "quote": _quote_for,
}  # fmt: skip
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


def _base32(text: str) -> str:
    if not re.fullmatch(r"[0-9]+", text):
        raise ExpansionError(f'argument for base32 operator is "{text}", which is not a decimal number')
    number, digits = int(text), ""
    while number:
        number, digit = divmod(number, 32)
        digits = _BASE32[digit] + digits
    return digits


def _base32d(text: str) -> str:
    number = 0
    for char in text:
        digit = _BASE32.find(char)
        if digit < 0:
            raise ExpansionError(f'argument for base32d operator is "{text}", which is not a base 32 number')
        number = number * 32 + digit
    return str(number)


def _rfc2047d(text: str) -> str:
    from smarthostd.expand.header_text import decoded

    return decoded(text)


# -- nodes


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator on the text behind its colon."""

    operator: Operator
    argument: Nodes

    def put(self, out: list[str], state: State) -> None:
        """Append the result."""
        out.append(self.operator(evaluate(self.argument, state)))


@dataclass(frozen=True, slots=True)
class Unmade:
    """An operator whose suffix is wrong: an error only when it is reached."""

    make: Maker
    name: str
    suffix: str
    argument: Nodes

    def put(self, out: list[str], state: State) -> None:
        """Append the result, or raise what is wrong with the suffix."""
        out.append(self.make(self.name, self.suffix)(evaluate(self.argument, state)))


@dataclass(frozen=True, slots=True)
class ExpandAgain:
    """``${expand:text}``: the one place where a value is parsed as an expansion because somebody says so."""

    argument: Nodes

    def put(self, out: list[str], state: State) -> None:
        """Append the expansion of the text."""
        text = evaluate(self.argument, state)
        try:
            out.append(state.expand(text))
        except ExpansionError as error:
            raise type(error)(f'internal expansion of "{text}" failed: {error}') from error


@dataclass(frozen=True, slots=True)
class NamedList:
    """``${listnamed:name}``: a named list's text, of any kind or of the one in the suffix."""

    suffix: str
    argument: Nodes

    def put(self, out: list[str], state: State) -> None:
        """Append the list's text, expanded."""
        name = evaluate(self.argument, state).removeprefix("+")
        facts = state.expander.facts
        kinds = {
            "d": ("domain", facts.domainlists), "h": ("host", facts.hostlists), "a": ("address", facts.addresslists),
            "l": ("local part", facts.localpartlists),
        }  # fmt: skip
        if self.suffix and self.suffix not in kinds:
            raise ExpansionError('bad suffix on "list" operator')
        chosen = [kinds[self.suffix]] if self.suffix else list(kinds.values())
        for _, lists in chosen:
            if name in lists:
                out.append(state.expand(lists[name]))
                return
        kind = f"{chosen[0][0]} " if self.suffix else ""
        raise ExpansionError(f'"{name}" is not a {kind}named list')


def find_operator(name: str) -> Callable[[Nodes], Node]:
    """Return what makes a node for the operator *name* from its argument; raises for an unknown one."""
    base, _, suffix = name.partition("_")
    if name in _PLAIN:
        operator = _PLAIN[name]
        return lambda argument: Operation(operator, argument)
    if name == "expand":
        return ExpandAgain
    if base == "listnamed":
        return lambda argument: NamedList(suffix, argument)
    if base in _WITH_SUFFIX:
        make = _WITH_SUFFIX[base]
        return lambda argument: Unmade(make, name, suffix, argument)
    raise ExpansionError(f'unknown expansion operator "{name}"')
